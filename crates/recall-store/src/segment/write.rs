//! Writing a segment from neighbouring parts of the snapshot: fresh batches become one, and smaller segments merge into one.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{AsArray, RecordBatch};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::Result as ParquetResult;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::{EVENTS, SegmentRow};
use crate::columns::{Column, schema};
use crate::encrypted::{FileFacts, FileWriter, WriteError, encryption, file_path, properties};
use crate::keys::{Keys, PhiAccess, PhiKey, PublicKey};
use crate::postings::{self, Posting, Stream};
use crate::secret::Key32;
use crate::snapshot::{Part, ReadError, Rows, Scan};

/// Rows in a row group (`docs/format.md` section 5).
const ROW_GROUP_ROWS: usize = 1 << 18;
/// Content in a row group. Bounds memory, and keeps the pages of a column below the 32,767 that Parquet can encrypt.
const ROW_GROUP_BYTES: usize = 256 << 20;
/// A page of content: what reading one event costs. Smaller ones compress worse.
const CONTENT_PAGE_BYTES: usize = 16 << 10;
/// A page of salts, which do not compress: 512 of them.
const SALTS_PAGE_BYTES: usize = 8 << 10;
/// A page of searched columns. Reading one row costs a page of each column; at 4,096 rows that is some 15 µs, and the page's own header
/// and seal a hundredth of a byte a row.
const PAGE_ROWS: usize = 4_096;
/// A page of patients. Skipping rows in a list column is slow, so that its pages are small.
const PATIENTS_PAGE_BYTES: usize = 8 << 10;
/// Limits are looked at after so many rows; events of some 300 bytes overshoot a page by a third at most.
const WRITE_BATCH_ROWS: usize = 32;
/// Rows read at once while writing; an event may be 1 MiB long.
const READ_ROWS: usize = 256;

/// A segment to be written.
pub(crate) struct Plan<'a> {
    /// Its id, never used before.
    pub id: u64,
    /// Its tier.
    pub tier: u32,
    /// Its key set, which all parts share.
    pub key_set: u64,
    /// Neighbours, oldest first.
    pub parts: &'a [Part],
    /// zstd level.
    pub zstd_level: i32,
    /// Set when the work is to be given up.
    pub stop: &'a AtomicBool,
}

/// Writes both files of a segment into `folder`; the caller puts the row into the catalog.
pub(crate) fn write(folder: &Path, plan: &Plan<'_>, keys: &Keys, phi: &PhiAccess) -> Result<SegmentRow, WriteError> {
    let public_key = keys.public(plan.key_set, PublicKey::Segment(plan.id)).map_err(ReadError::from)?;
    let phi_key = phi.key(plan.key_set, PhiKey::Segment(plan.id)).map_err(ReadError::from)?;
    let postings_key = keys.public(plan.key_set, PublicKey::Postings(plan.id)).map_err(ReadError::from)?;
    let events = write_events(folder, plan, &public_key, &phi_key, phi)?;
    let postings = postings::write(folder, plan.id, &postings_key, streams(plan.parts)?)?;
    let count = plan.parts.iter().map(Part::count).fold(0, u32::saturating_add);
    let times: Vec<(i64, i64)> = plan.parts.iter().filter_map(Part::time_range).collect();
    Ok(SegmentRow {
        id: plan.id,
        first_index: plan.parts.first().map_or(0, Part::first_index),
        count,
        key_set: plan.key_set,
        tier: plan.tier,
        time_range: (times.iter().map(|range| range.0).min().unwrap_or(0), times.iter().map(|range| range.1).max().unwrap_or(0)),
        events,
        postings,
    })
}

fn write_events(folder: &Path, plan: &Plan<'_>, public_key: &Key32, phi_key: &Key32, phi: &PhiAccess) -> Result<FileFacts, WriteError> {
    let path = file_path(folder, plan.id, EVENTS);
    let settings = settings(plan, public_key, phi_key).map_err(|source| WriteError::Encode { path: path.clone(), source })?;
    let mut file = FileWriter::create(&path, schema(), settings)?;
    let mut group_bytes = 0;
    for part in plan.parts {
        let scan = Scan { columns: Column::ALL.to_vec(), rows: Rows::All, predicate: None, batch_rows: READ_ROWS, phi: Some(phi) };
        for batch in part.scan(scan)? {
            if plan.stop.load(Ordering::Relaxed) {
                return Err(WriteError::Stopped(path));
            }
            let batch = batch?;
            let bytes = content_bytes(&batch);
            if group_bytes > 0 && group_bytes + bytes > ROW_GROUP_BYTES {
                file.flush()?;
                group_bytes = 0;
            }
            group_bytes += bytes;
            file.write(&batch)?;
        }
    }
    file.finish()
}

fn content_bytes(batch: &RecordBatch) -> usize {
    [Column::Public, Column::Phi]
        .iter()
        .filter_map(|column| batch.columns().get(*column as usize)?.as_binary_opt::<i64>())
        .map(|bytes| bytes.values().len())
        .sum()
}

/// The postings of fresh batches are in memory: they are one stream, sorted at once.
fn streams(parts: &[Part]) -> Result<Vec<Stream<'_>>, ReadError> {
    let mut offset = 0_u32;
    let mut streams: Vec<Stream<'_>> = Vec::new();
    let mut fresh_postings: Vec<Posting> = Vec::new();
    for part in parts {
        let own = offset;
        match part {
            Part::Fresh(fresh) => fresh_postings.extend(fresh.postings().iter().map(|(token, row)| (*token, row.saturating_add(own)))),
            Part::Segment(segment) => streams.push(segment.postings(own)?),
            Part::Erased(_) => {}
        }
        offset = offset.saturating_add(part.count());
    }
    // Each batch's are sorted: the stable sort merges such runs.
    fresh_postings.sort();
    streams.push(Box::new(fresh_postings.into_iter().map(Ok)));
    Ok(streams)
}

fn settings(plan: &Plan<'_>, public_key: &Key32, phi_key: &Key32) -> ParquetResult<WriterProperties> {
    let leaves = Column::ALL.iter().map(|column| (column.leaf_path(), if column.is_phi() { phi_key } else { public_key }));
    let mut settings = properties(encryption(public_key, leaves, plan.id)?)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(WRITE_BATCH_ROWS)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(plan.zstd_level)?));
    for column in Column::ALL {
        let path = || ColumnPath::new(column.leaf_path().split('.').map(str::to_owned).collect());
        settings = settings.set_column_dictionary_enabled(path(), column.is_dictionary());
        let statistics = if column.is_content() || column.is_phi() { EnabledStatistics::None } else { EnabledStatistics::Page };
        settings = settings.set_column_statistics_enabled(path(), statistics);
        settings = match column {
            Column::Index | Column::Time | Column::ReceivedAt => settings.set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED),
            Column::SaltPublic | Column::SaltPhi => settings
                .set_column_encoding(path(), Encoding::PLAIN)
                .set_column_compression(path(), Compression::UNCOMPRESSED)
                .set_column_data_page_size_limit(path(), SALTS_PAGE_BYTES),
            Column::Public | Column::Phi => settings
                .set_column_encoding(path(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
                .set_column_data_page_size_limit(path(), CONTENT_PAGE_BYTES),
            Column::Patients => settings.set_column_data_page_size_limit(path(), PATIENTS_PAGE_BYTES),
            _ => settings,
        };
    }
    Ok(settings.build())
}
