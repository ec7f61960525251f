//! Reading rows of a segment: positions first, then only the pages that hold them.

use std::iter::once;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowFilter,
    RowSelection,
};
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, Type};

use super::list::ListScan;
use super::pages::FileAad;
use super::{EVENTS, Segment, SegmentRow};
use crate::columns::{Column, schema};
use crate::encrypted::{SharedFile, decryption, file_path, guarded, row_groups, split_by_group};
use crate::keys::{PhiAccess, PhiKey};
use crate::secret::Key32;
use crate::snapshot::{Batches, Predicate, ReadError, Rows, Scan, Test};

/// The open file of events: its footer as the public key alone shows it, and with the PHI key once somebody had the right to it.
pub(super) struct EventsFile {
    pub(super) place: String,
    pub(super) file: SharedFile,
    pub(super) groups: Vec<Range<usize>>,
    pub(super) aad: FileAad,
    public_key: Key32,
    pub(super) public: ArrowReaderMetadata,
    phi: OnceLock<ArrowReaderMetadata>,
    /// Held while the footer is read with the PHI key, so that it happens once.
    phi_opening: Mutex<()>,
}

impl EventsFile {
    pub(super) fn open(folder: &Path, row: &SegmentRow, public_key: &Key32) -> Result<Self, ReadError> {
        let path = file_path(folder, row.id, EVENTS);
        let place = path.display().to_string();
        let file = SharedFile::open(&path)?;
        let public = guarded(&place, || {
            let leaves = Column::ALL.iter().filter(|column| !column.is_phi()).map(|column| (column.leaf_path(), public_key));
            readable(public_footer(&file, decryption(public_key, leaves, row.id)?)?)
        })?;
        let groups = row_groups(public.metadata());
        if groups.last().map_or(0, |group| group.end) != usize::try_from(row.count).unwrap_or(usize::MAX) {
            return Err(ReadError::damaged(place, "it does not hold the number of events that the catalog says"));
        }
        let aad = FileAad::read(&file, &place, row.id)?;
        Ok(Self { place, file, groups, aad, public_key: public_key.clone(), public, phi: OnceLock::new(), phi_opening: Mutex::new(()) })
    }

    #[cfg(test)]
    pub(super) fn is_open_with_phi(&self) -> bool {
        self.phi.get().is_some()
    }

    pub(super) fn with_phi(&self, row: &SegmentRow, access: &PhiAccess) -> Result<&ArrowReaderMetadata, ReadError> {
        // Asked each time, so that a key set that was dropped meanwhile opens nothing.
        let phi_key = access.key(row.key_set, PhiKey::Segment(row.id))?;
        let _one = self.phi_opening.lock().unwrap_or_else(PoisonError::into_inner);
        if self.phi.get().is_none() {
            let opened = guarded(&self.place, || {
                let leaves =
                    Column::ALL.iter().map(|column| (column.leaf_path(), if column.is_phi() { &phi_key } else { &self.public_key }));
                let keys = decryption(&self.public_key, leaves, row.id)?;
                let footer = ParquetMetaDataReader::new().with_decryption_properties(Some(keys));
                readable(offsets_only(footer).parse_and_finish(&self.file)?)
            })?;
            let _ = self.phi.set(opened);
        }
        self.phi.get().ok_or_else(|| ReadError::damaged(&*self.place, "its PHI columns could not be opened"))
    }
}

fn readable(footer: ParquetMetaData) -> ParquetResult<ArrowReaderMetadata> {
    ArrowReaderMetadata::try_new(footer.into(), ArrowReaderOptions::new().with_schema(schema()))
}

/// The footer and page index as the public key shows them. Parquet's reader decodes the page index of every column chunk or none, and
/// would fail at those of the PHI columns; so the row groups are cut down to the public columns, which come first, before it looks.
fn public_footer(file: &SharedFile, keys: Arc<FileDecryptionProperties>) -> ParquetResult<ParquetMetaData> {
    let whole = ParquetMetaDataReader::new().with_decryption_properties(Some(keys)).parse_and_finish(file)?;
    let schema = public_schema(whole.file_metadata().schema())?;
    let groups = whole.row_groups().iter().map(|group| public_group(group, &schema)).collect::<ParquetResult<Vec<_>>>()?;
    let public = whole.into_builder().set_row_groups(groups).build();
    let mut reader = offsets_only(ParquetMetaDataReader::new_with_metadata(public));
    reader.read_page_indexes(file)?;
    reader.finish()
}

/// Where pages lie is kept; what is least and greatest in each serves nobody here, and would be most of what is kept.
fn offsets_only(reader: ParquetMetaDataReader) -> ParquetMetaDataReader {
    reader.with_offset_index_policy(PageIndexPolicy::Required).with_column_index_policy(PageIndexPolicy::Skip)
}

fn public_schema(whole: &Type) -> ParquetResult<SchemaDescPtr> {
    let public = whole.get_fields().get(..Column::PUBLIC_COUNT);
    let public = public.ok_or_else(|| ParquetError::General("columns are missing".to_owned()))?;
    let root = Type::group_type_builder(whole.name()).with_fields(public.to_vec()).build()?;
    Ok(Arc::new(SchemaDescriptor::new(Arc::new(root))))
}

fn public_group(group: &RowGroupMetaData, schema: &SchemaDescPtr) -> ParquetResult<RowGroupMetaData> {
    let columns = group.columns().get(..Column::PUBLIC_COUNT);
    let columns = columns.ok_or_else(|| ParquetError::General("columns are missing".to_owned()))?;
    RowGroupMetaData::builder(Arc::clone(schema))
        .set_num_rows(group.num_rows())
        .set_total_byte_size(group.total_byte_size())
        .set_column_metadata(columns.to_vec())
        .build()
}

/// A file of events as one reader may read it.
#[derive(Clone)]
pub(super) struct Opened {
    pub(super) metadata: ArrowReaderMetadata,
    phi_key: Option<Key32>,
}

impl Opened {
    /// The key of a column.
    pub(super) fn key<'a>(&'a self, column: Column, segment: &'a Segment) -> Result<&'a Key32, ReadError> {
        if column.is_phi() { self.phi_key.as_ref().ok_or(ReadError::Denied(column)) } else { Ok(&segment.events.public_key) }
    }
}

pub(super) fn scan(segment: &Arc<Segment>, scan: Scan<'_>) -> Result<Batches, ReadError> {
    scan.check(segment.count())?;
    let needs_phi = scan.columns.iter().chain(scan.predicate.iter().flat_map(|predicate| &predicate.columns)).any(|column| column.is_phi());
    let opened = match scan.phi.filter(|_| needs_phi) {
        Some(access) => {
            let phi_key = access.key(segment.row.key_set, PhiKey::Segment(segment.row.id))?;
            Opened { metadata: segment.events.with_phi(&segment.row, access)?.clone(), phi_key: Some(phi_key) }
        }
        None => Opened { metadata: segment.events.public.clone(), phi_key: None },
    };
    if let Rows::List(rows) = scan.rows {
        let (segment, rows) = (Arc::clone(segment), rows.into_iter());
        let (columns, predicate) = (scan.columns, scan.predicate);
        return Ok(Box::new(ListScan { segment, opened, rows, columns, predicate, batch_rows: scan.batch_rows }));
    }
    let predicate = scan.predicate.map(SharedPredicate::new);
    let ranges = ranges(scan.rows, segment.count());
    Ok(Box::new(whole_scan(segment, &opened, ranges, &scan.columns, predicate, scan.batch_rows)))
}

/// A scan by Parquet's own reader.
pub(super) fn whole_scan(
    segment: &Arc<Segment>,
    opened: &Opened,
    ranges: Vec<Range<usize>>,
    columns: &[Column],
    predicate: Option<SharedPredicate>,
    batch_rows: usize,
) -> SegmentScan {
    let mut groups = split_by_group(&segment.events.groups, ranges);
    groups.reverse();
    let projection = Projection::of(columns);
    SegmentScan { segment: Arc::clone(segment), metadata: opened.metadata.clone(), groups, projection, predicate, batch_rows, reader: None }
}

pub(super) fn ranges(rows: Rows, count: u32) -> Vec<Range<usize>> {
    let wide = |row: u32| usize::try_from(row).unwrap_or(usize::MAX);
    match rows {
        Rows::All => once(0..wide(count)).collect(),
        Rows::Range(range) if range.is_empty() => Vec::new(),
        Rows::Range(range) => once(wide(range.start)..wide(range.end)).collect(),
        Rows::List(list) => {
            let mut ranges: Vec<Range<usize>> = Vec::new();
            for row in list.into_iter().map(wide) {
                match ranges.last_mut() {
                    Some(last) if last.end == row => last.end += 1,
                    _ => ranges.push(row..row + 1),
                }
            }
            ranges
        }
    }
}

/// Columns in the order wanted, out of the file's order.
struct Projection {
    columns: Vec<Column>,
    /// For each column wanted, its place among those read.
    order: Vec<usize>,
}

impl Projection {
    fn of(columns: &[Column]) -> Self {
        let mut read = columns.to_vec();
        read.sort_unstable();
        read.dedup();
        let order = columns.iter().filter_map(|column| read.binary_search(column).ok()).collect();
        Self { columns: columns.to_vec(), order }
    }

    fn mask(&self, schema: &SchemaDescriptor) -> ProjectionMask {
        ProjectionMask::roots(schema, self.columns.iter().map(|column| *column as usize))
    }

    fn apply(&self, read: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        read.project(&self.order)
    }
}

/// A predicate that each row group's reader uses in turn.
#[derive(Clone)]
pub(super) struct SharedPredicate {
    projection: Arc<Projection>,
    test: Arc<Mutex<Test>>,
}

impl SharedPredicate {
    fn new(predicate: Predicate) -> Self {
        Self { projection: Arc::new(Projection::of(&predicate.columns)), test: Arc::new(Mutex::new(predicate.test)) }
    }

    fn filter(&self, schema: &SchemaDescriptor) -> RowFilter {
        let own = self.clone();
        let test = move |read: RecordBatch| -> Result<BooleanArray, ArrowError> {
            let mut test = own.test.lock().unwrap_or_else(PoisonError::into_inner);
            test(&own.projection.apply(&read)?)
        };
        RowFilter::new(vec![Box::new(ArrowPredicateFn::new(self.projection.mask(schema), test))])
    }
}

pub(super) struct SegmentScan {
    segment: Arc<Segment>,
    metadata: ArrowReaderMetadata,
    /// Row groups still to be read, the next one last.
    groups: Vec<(usize, Vec<Range<usize>>)>,
    projection: Projection,
    predicate: Option<SharedPredicate>,
    batch_rows: usize,
    reader: Option<ParquetRecordBatchReader>,
}

impl SegmentScan {
    fn open_group(&self, group: usize, ranges: Vec<Range<usize>>) -> ParquetResult<ParquetRecordBatchReader> {
        let events = &self.segment.events;
        let rows = events.groups.get(group).map_or(0, ExactSizeIterator::len);
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(events.file.clone(), self.metadata.clone());
        let schema = builder.metadata().file_metadata().schema_descr_ptr();
        builder = builder
            .with_row_groups(vec![group])
            .with_projection(self.projection.mask(&schema))
            .with_batch_size(self.batch_rows.min(rows.max(1)));
        if let Some(predicate) = &self.predicate {
            builder = builder.with_row_filter(predicate.filter(&schema));
        }
        if !matches!(&*ranges, [all] if *all == (0..rows)) {
            builder = builder.with_row_selection(RowSelection::from_consecutive_ranges(ranges.into_iter(), rows));
        }
        builder.build()
    }

    fn step(&mut self) -> ParquetResult<Option<RecordBatch>> {
        loop {
            if let Some(reader) = &mut self.reader {
                if let Some(read) = reader.next().transpose()? {
                    return Ok(Some(self.projection.apply(&read)?));
                }
                self.reader = None;
            }
            let Some((group, ranges)) = self.groups.pop() else { return Ok(None) };
            self.reader = Some(self.open_group(group, ranges)?);
        }
    }
}

impl Iterator for SegmentScan {
    type Item = Result<RecordBatch, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let segment = Arc::clone(&self.segment);
        let next = guarded(&segment.events.place, || self.step()).transpose();
        if matches!(next, Some(Err(_))) {
            self.groups.clear();
            self.reader = None;
        }
        next
    }
}
