//! Reading rows of a segment that are listed one by one, as postings find them: each column by the way that costs least.
//!
//! Indexes are counted, not read; content comes page by page; only searched columns go through Parquet's reader.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;

use super::Segment;
use super::pages::{PageReader, Source};
use super::read::{Opened, ranges, whole_scan};
use crate::columns::{Column, schema_of};
use crate::snapshot::{Predicate, ReadError, Rows};

/// Rows of the largest batch, as far as content is read: an event may be 1 MiB long.
const CONTENT_ROWS: usize = 1_024;

/// Reads listed rows, batch by batch.
pub(super) struct ListScan {
    pub(super) segment: Arc<Segment>,
    pub(super) opened: Opened,
    /// Rows still to be read.
    pub(super) rows: std::vec::IntoIter<u32>,
    pub(super) columns: Vec<Column>,
    pub(super) predicate: Option<Predicate>,
    pub(super) batch_rows: usize,
}

impl ListScan {
    fn step(&mut self) -> Result<Option<RecordBatch>, ReadError> {
        let content = self.columns.iter().any(|column| column.is_content());
        let most = if content { self.batch_rows.min(CONTENT_ROWS) } else { self.batch_rows };
        loop {
            let mut rows: Vec<u32> = self.rows.by_ref().take(most).collect();
            if rows.is_empty() {
                return Ok(None);
            }
            if let Some(mut predicate) = self.predicate.take() {
                let tested = self.read(&predicate.columns, &rows).and_then(|batch| Ok((predicate.test)(&batch)?));
                self.predicate = Some(predicate);
                let mask = tested?;
                rows = rows.into_iter().zip(mask.iter()).filter(|(_, passes)| *passes == Some(true)).map(|(row, _)| row).collect();
            }
            if !rows.is_empty() {
                return self.read(&self.columns, &rows).map(Some);
            }
        }
    }

    fn read(&self, columns: &[Column], rows: &[u32]) -> Result<RecordBatch, ReadError> {
        let events = &self.segment.events;
        let source = Source {
            place: &events.place,
            file: &events.file,
            metadata: self.opened.metadata.metadata(),
            groups: &events.groups,
            aad: &events.aad,
        };
        let searched: Vec<Column> = columns.iter().copied().filter(|column| !column.is_content() && *column != Column::Index).collect();
        let read = if searched.is_empty() { None } else { Some(self.searched(&searched, rows)?) };
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(columns.len());
        for column in columns {
            arrays.push(match column {
                Column::Index => {
                    let index = |row: &u32| self.segment.first_index().saturating_add((*row).into()).cast_signed();
                    Arc::new(rows.iter().map(index).collect::<Int64Array>())
                }
                content if content.is_content() => {
                    PageReader::new(&source, *content, self.opened.key(*content, &self.segment)?)?.read(rows)?
                }
                searched => {
                    let array = read.as_ref().and_then(|read| read.column_by_name(searched.name()));
                    Arc::clone(array.ok_or(ReadError::Rows)?)
                }
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(schema_of(columns), arrays, &options)?)
    }

    /// Searched columns in these rows, by Parquet's reader.
    fn searched(&self, columns: &[Column], rows: &[u32]) -> Result<RecordBatch, ReadError> {
        let ranges = ranges(Rows::List(rows.to_vec()), self.segment.count());
        let scan = whole_scan(&self.segment, &self.opened, ranges, columns, None, rows.len().max(1));
        let batches = scan.collect::<Result<Vec<_>, _>>()?;
        let read = match batches.as_slice() {
            [only] => only.clone(),
            several => concat_batches(&schema_of(columns), several)?,
        };
        if read.num_rows() == rows.len() {
            Ok(read)
        } else {
            Err(ReadError::damaged(self.segment.events.place.as_str(), "its columns are not equally long"))
        }
    }
}

impl Iterator for ListScan {
    type Item = Result<RecordBatch, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.step().transpose();
        if matches!(next, Some(Err(_))) {
            self.rows = Vec::new().into_iter();
        }
        next
    }
}
