//! How large the content of rows is, as the page indexes of a segment tell it without decoding a page.

use std::ops::Range;

use parquet::file::metadata::ParquetMetaData;

use super::Segment;
use crate::columns::Column;
use crate::keys::PhiAccess;

/// Bytes of one content column, row by row. The page that was looked at last is kept, since rows come in order.
struct ColumnSizes<'a> {
    metadata: &'a ParquetMetaData,
    groups: &'a [Range<usize>],
    column: usize,
    page: (Range<usize>, u64),
}

impl ColumnSizes<'_> {
    fn bytes(&mut self, row: usize) -> u64 {
        if !self.page.0.contains(&row) {
            self.page = self.page(row).unwrap_or((row..row.saturating_add(1), 0));
        }
        self.page.1
    }

    /// The rows of the page that holds `row`, and the bytes of each of them on average.
    fn page(&self, row: usize) -> Option<(Range<usize>, u64)> {
        let group = self.groups.partition_point(|group| group.end <= row);
        let rows = self.groups.get(group)?;
        let index = self.metadata.offset_index()?.get(group)?.get(self.column)?;
        let pages = index.page_locations();
        let within = i64::try_from(row.checked_sub(rows.start)?).ok()?;
        let at = pages.partition_point(|page| page.first_row_index <= within).checked_sub(1)?;
        let start_of = |at: usize| pages.get(at).and_then(|page| rows.start.checked_add(usize::try_from(page.first_row_index).ok()?));
        let page = start_of(at)?..start_of(at.saturating_add(1)).unwrap_or(rows.end);
        let bytes = match index.unencoded_byte_array_data_bytes() {
            Some(sizes) => *sizes.get(at)?,
            None => i64::from(pages.get(at)?.compressed_page_size),
        };
        let count = u64::try_from(page.len()).unwrap_or(u64::MAX).max(1);
        Some((page, u64::try_from(bytes).ok()?.div_ceil(count)))
    }
}

/// How many of `rows`, from the first, hold at most `bytes` of content; at least one.
pub(super) fn fitting(segment: &Segment, rows: impl Iterator<Item = u32>, bytes: u64, phi: Option<&PhiAccess>) -> usize {
    let events = &segment.events;
    // Where the PHI columns can't be opened, whoever reads them will say so.
    let metadata = phi.and_then(|access| events.with_phi(&segment.row, access).ok()).unwrap_or(&events.public).metadata();
    let columns: &[Column] = if phi.is_some() { &[Column::Public, Column::Phi] } else { &[Column::Public] };
    let mut sizes: Vec<_> =
        columns.iter().map(|column| ColumnSizes { metadata, groups: &events.groups, column: *column as usize, page: (0..0, 0) }).collect();
    let mut left = bytes;
    let fits = rows.take_while(|row| {
        let row = usize::try_from(*row).unwrap_or(usize::MAX);
        let size = sizes.iter_mut().map(|column| column.bytes(row)).fold(0, u64::saturating_add);
        let rest = left.checked_sub(size);
        left = rest.unwrap_or(0);
        rest.is_some()
    });
    fits.count().max(1)
}
