//! Files of rows sorted by a 64-bit key, with fast lookups: what posting files and runs of seen ids have in common.
//!
//! The key is the first column, in the order of signed integers, by which Parquet keeps the least and greatest of each page. Those are
//! decoded once and kept; a lookup reads the one or two pages that can hold the key. It must not know what keys and values mean.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::ops::Range;
use std::path::PathBuf;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::basic::{Compression, Encoding};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::encrypted::{
    FileFacts, FileWriter, SharedFile, WriteError, decryption, encryption, guarded, properties, row_groups, split_by_group,
};
use crate::secret::Key32;
use crate::snapshot::ReadError;

#[cfg(test)]
mod tests;

/// Rows in a page: what one lookup decodes.
const PAGE_ROWS: usize = 1024;
/// Rows in a row group: bounds what the writer holds in memory.
const ROW_GROUP_ROWS: usize = 1 << 18;

/// Rows that a merge holds of each of its inputs.
const MERGE_ROWS: usize = 1 << 13;

/// A source of records, ascending.
pub(crate) type Stream<'a, T> = Box<dyn Iterator<Item = Result<T, ReadError>> + Send + 'a>;
/// Reads records out of a batch of rows.
pub(crate) type Decode<T> = fn(&RecordBatch) -> Result<Vec<T>, ReadError>;

/// Merges ascending streams into one, holding one record of each. It ends at the first error.
pub(crate) fn merge<'a, T: Ord + 'a>(mut streams: Vec<Stream<'a, T>>) -> impl Iterator<Item = Result<T, ReadError>> + 'a {
    let mut heap = BinaryHeap::with_capacity(streams.len());
    let mut failed = None;
    for (at, stream) in streams.iter_mut().enumerate() {
        match stream.next() {
            Some(Ok(record)) => heap.push(Reverse((record, at))),
            Some(Err(error)) => failed = failed.or(Some(error)),
            None => {}
        }
    }
    std::iter::from_fn(move || {
        if let Some(error) = failed.take() {
            heap.clear();
            return Some(Err(error));
        }
        let mut least = heap.peek_mut()?;
        let at = least.0.1;
        // The next record takes its place: the heap is put in order once a record, not twice.
        match streams.get_mut(at).and_then(Iterator::next) {
            Some(Ok(next)) => Some(Ok(std::mem::replace(&mut least.0.0, next))),
            other => {
                failed = other.and_then(Result::err);
                Some(Ok(PeekMut::pop(least).0.0))
            }
        }
    })
}

/// Where a sorted file lies, and what opens it.
pub(crate) struct SortedPlace<'a> {
    pub path: PathBuf,
    pub key: &'a Key32,
    /// Binds the file to its id.
    pub aad: u64,
    pub schema: SchemaRef,
}

fn leaves(schema: &SchemaRef) -> impl Iterator<Item = &str> {
    schema.fields().iter().map(|field| field.name().as_str())
}

/// Writes a sorted file.
pub(crate) struct SortedWriter {
    file: FileWriter,
}

impl SortedWriter {
    pub(crate) fn create(place: &SortedPlace<'_>) -> Result<Self, WriteError> {
        let keys = encryption(place.key, leaves(&place.schema).map(|leaf| (leaf, place.key)), place.aad);
        let keys = keys.map_err(|source| WriteError::Encode { path: place.path.clone(), source })?;
        let mut settings = properties(keys)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_write_batch_size(PAGE_ROWS)
            .set_dictionary_enabled(false)
            .set_encoding(Encoding::DELTA_BINARY_PACKED)
            .set_compression(Compression::UNCOMPRESSED)
            .set_statistics_enabled(EnabledStatistics::None);
        if let Some(key) = leaves(&place.schema).next() {
            settings = settings.set_column_statistics_enabled(ColumnPath::from(key), EnabledStatistics::Page);
        }
        let settings: WriterProperties = settings.build();
        Ok(Self { file: FileWriter::create(&place.path, place.schema.clone(), settings)? })
    }

    /// Adds rows; the caller gives them in order.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<(), WriteError> {
        self.file.write(rows)
    }

    pub(crate) fn finish(self) -> Result<FileFacts, WriteError> {
        self.file.finish()
    }
}

/// An open sorted file.
pub(crate) struct SortedFile {
    place: String,
    file: SharedFile,
    metadata: ArrowReaderMetadata,
    groups: Vec<Range<usize>>,
    pages: Vec<KeyPage>,
}

/// The least and greatest key of a page, and its rows.
struct KeyPage {
    least: i64,
    greatest: i64,
    rows: Range<usize>,
}

impl SortedFile {
    /// Opens the file, and decodes its footer and page index.
    pub(crate) fn open(place: &SortedPlace<'_>) -> Result<Self, ReadError> {
        let name = place.path.display().to_string();
        let file = SharedFile::open(&place.path)?;
        let (metadata, pages) = guarded(&name, || {
            let keys = decryption(place.key, leaves(&place.schema).map(|leaf| (leaf, place.key)), place.aad)?;
            let footer = ParquetMetaDataReader::new()
                .with_decryption_properties(Some(keys))
                .with_page_index_policy(PageIndexPolicy::Required)
                .parse_and_finish(&file)?;
            let pages = key_pages(&footer)?;
            let footer = footer.into_builder().set_column_index(None).build();
            let options = ArrowReaderOptions::new().with_schema(place.schema.clone());
            Ok((ArrowReaderMetadata::try_new(footer.into(), options)?, pages))
        })?;
        let groups = row_groups(metadata.metadata());
        Ok(Self { place: name, file, metadata, groups, pages })
    }

    /// How many rows.
    pub(crate) fn len(&self) -> usize {
        self.groups.last().map_or(0, |group| group.end)
    }

    /// The file, for messages.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// All rows, in order.
    pub(crate) fn scan(&self, batch_rows: usize) -> Result<SortedRows, ReadError> {
        self.read(None, batch_rows)
    }

    /// All rows, one at a time, as `decode` reads them out of a batch.
    pub(crate) fn records<T: Send + 'static>(&self, decode: Decode<T>) -> Result<Stream<'static, T>, ReadError> {
        Ok(one_by_one(self.scan(MERGE_ROWS)?, decode))
    }

    /// Row groups.
    pub(crate) fn groups(&self) -> usize {
        self.groups.len()
    }

    /// The rows of one row group, in order.
    pub(crate) fn group(&self, group: usize) -> Result<SortedRows, ReadError> {
        self.read(Some(self.groups.get(group).cloned().into_iter().collect()), MERGE_ROWS)
    }

    /// The rows of one row group, one at a time, as `decode` reads them out of a batch.
    pub(crate) fn group_records<T: Send + 'static>(&self, group: usize, decode: Decode<T>) -> Result<Stream<'static, T>, ReadError> {
        Ok(one_by_one(self.group(group)?, decode))
    }

    /// The rows whose key is `key`, in order.
    pub(crate) fn find(&self, key: i64) -> Result<Vec<RecordBatch>, ReadError> {
        let mut found = Vec::new();
        for rows in self.candidates(&[key])? {
            let rows = rows?;
            let keys = keys_of(&rows)?;
            let start = keys.partition_point(|other| *other < key);
            let length = keys.get(start..).unwrap_or_default().partition_point(|other| *other == key);
            if length > 0 {
                found.push(rows.slice(start, length));
            }
        }
        Ok(found)
    }

    /// The rows of all pages that can hold one of `keys`, which are ascending. Many keys share the reading of a page.
    pub(crate) fn candidates(&self, keys: &[i64]) -> Result<SortedRows, ReadError> {
        let mut ranges: Vec<Range<usize>> = Vec::new();
        let mut next_page = 0;
        for key in keys {
            let unread = self.pages.get(next_page..).unwrap_or_default();
            let start = next_page + unread.partition_point(|page| page.greatest < *key);
            let holding = self.pages.get(start..).unwrap_or_default().iter().take_while(|page| page.least <= *key);
            for page in holding {
                match ranges.last_mut() {
                    Some(last) if last.end == page.rows.start => last.end = page.rows.end,
                    Some(last) if last.end >= page.rows.end => {}
                    _ => ranges.push(page.rows.clone()),
                }
            }
            next_page = start;
        }
        if ranges.is_empty() {
            return Ok(SortedRows { place: self.place.clone(), reader: None });
        }
        self.read(Some(ranges), PAGE_ROWS)
    }

    fn read(&self, ranges: Option<Vec<Range<usize>>>, batch_rows: usize) -> Result<SortedRows, ReadError> {
        let reader = guarded(&self.place, || {
            let mut builder =
                ParquetRecordBatchReaderBuilder::new_with_metadata(self.file.clone(), self.metadata.clone()).with_batch_size(batch_rows);
            if let Some(ranges) = ranges {
                // Row groups without a row wanted are left out: skipping through them would cost more than the lookup.
                let (mut groups, mut within, mut before) = (Vec::new(), Vec::new(), 0);
                for (group, own) in split_by_group(&self.groups, ranges) {
                    within.extend(own.into_iter().map(|range| before + range.start..before + range.end));
                    before += self.groups.get(group).map_or(0, ExactSizeIterator::len);
                    groups.push(group);
                }
                let selection = RowSelection::from_consecutive_ranges(within.into_iter(), before);
                builder = builder.with_row_groups(groups).with_row_selection(selection);
            }
            builder.build()
        })?;
        Ok(SortedRows { place: self.place.clone(), reader: Some(reader) })
    }
}

fn one_by_one<T: Send + 'static>(rows: SortedRows, decode: Decode<T>) -> Stream<'static, T> {
    Box::new(rows.flat_map(move |batch| match batch.and_then(|batch| decode(&batch)) {
        Ok(records) => records.into_iter().map(Ok).collect::<Vec<_>>(),
        Err(error) => vec![Err(error)],
    }))
}

/// The key column of rows read.
pub(crate) fn keys_of(rows: &RecordBatch) -> Result<&[i64], ReadError> {
    int64s(rows, 0)
}

/// An int64 column of rows read.
pub(crate) fn int64s(rows: &RecordBatch, column: usize) -> Result<&[i64], ReadError> {
    let values = rows.columns().get(column).and_then(|column| column.as_primitive_opt::<Int64Type>());
    Ok(values.ok_or(ReadError::Rows)?.values())
}

fn key_pages(footer: &ParquetMetaData) -> ParquetResult<Vec<KeyPage>> {
    if footer.row_groups().is_empty() {
        return Ok(Vec::new());
    }
    let missing = || ParquetError::General("the page index is missing".to_owned());
    let (columns, offsets) = (footer.column_index().ok_or_else(missing)?, footer.offset_index().ok_or_else(missing)?);
    let mut pages = Vec::new();
    let mut first_row = 0_usize;
    for ((group, columns), offsets) in footer.row_groups().iter().zip(columns).zip(offsets) {
        let (Some(ColumnIndexMetaData::INT64(keys)), Some(offsets)) = (columns.first(), offsets.first()) else {
            return Err(missing());
        };
        let group_rows = usize::try_from(group.num_rows())?;
        let starts: Vec<usize> =
            offsets.page_locations().iter().map(|page| usize::try_from(page.first_row_index)).collect::<Result<_, _>>()?;
        let ends = starts.iter().copied().skip(1).chain([group_rows]);
        for (at, (start, end)) in starts.iter().copied().zip(ends).enumerate() {
            let (Some(least), Some(greatest)) = (keys.min_value(at), keys.max_value(at)) else { return Err(missing()) };
            pages.push(KeyPage { least: *least, greatest: *greatest, rows: first_row + start..first_row + end });
        }
        first_row += group_rows;
    }
    Ok(pages)
}

/// Rows of a sorted file, in order.
pub(crate) struct SortedRows {
    place: String,
    reader: Option<ParquetRecordBatchReader>,
}

impl Iterator for SortedRows {
    type Item = Result<RecordBatch, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.reader.as_mut()?;
        let next = guarded(&self.place, || Ok(reader.next().transpose()?)).transpose();
        if !matches!(next, Some(Ok(_))) {
            self.reader = None;
        }
        next
    }
}
