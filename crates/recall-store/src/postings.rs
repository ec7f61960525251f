//! Posting files: which rows of a segment have a token (`docs/format.md` section 5).
//!
//! It must not know what tokens stand for.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};

use crate::encrypted::{FileFacts, WriteError, file_path};
use crate::secret::Key32;
use crate::snapshot::ReadError;
use crate::sorted::{self, SortedFile, SortedPlace, SortedRows, SortedWriter, int64s};
use crate::token::Token;

#[cfg(test)]
mod tests;

/// A token, as files sort it, and a row that has it.
pub(crate) type Posting = (i64, u32);
/// A source of postings, ascending.
pub(crate) type Stream<'a> = sorted::Stream<'a, Posting>;

/// Postings gathered before they are written.
const WRITE_ROWS: usize = 1 << 14;

static SCHEMA: LazyLock<SchemaRef> =
    LazyLock::new(|| Arc::new(Schema::new(vec![Field::new("token", DataType::Int64, false), Field::new("row", DataType::Int32, false)])));

fn place<'a>(folder: &Path, segment: u64, key: &'a Key32) -> SortedPlace<'a> {
    SortedPlace { path: file_path(folder, segment, "postings"), key, aad: segment, schema: Arc::clone(&SCHEMA) }
}

/// Writes the posting file of a segment from ascending streams.
pub(crate) fn write(folder: &Path, segment: u64, key: &Key32, streams: Vec<Stream<'_>>) -> Result<FileFacts, WriteError> {
    let mut file = SortedWriter::create(&place(folder, segment, key))?;
    let mut merged = sorted::merge(streams).peekable();
    while merged.peek().is_some() {
        let (tokens, rows): (Vec<i64>, Vec<i32>) = merged
            .by_ref()
            .take(WRITE_ROWS)
            .map(|posting| posting.map(|(token, row)| (token, row.cast_signed())))
            .collect::<Result<_, _>>()?;
        let columns = RecordBatch::try_new(Arc::clone(&SCHEMA), vec![Arc::new(Int64Array::from(tokens)), Arc::new(Int32Array::from(rows))]);
        file.write(&columns.map_err(ReadError::from)?)?;
    }
    file.finish()
}

/// An open posting file.
pub(crate) struct Postings(SortedFile);

impl Postings {
    pub(crate) fn open(folder: &Path, segment: u64, key: &Key32) -> Result<Self, ReadError> {
        SortedFile::open(&place(folder, segment, key)).map(Self)
    }

    /// The rows that have `token`, ascending.
    pub(crate) fn rows_of(&self, token: Token) -> Result<Vec<u32>, ReadError> {
        let mut found = Vec::new();
        for rows in self.0.find(token.sorted())? {
            found.extend(decode(&rows)?.into_iter().map(|posting| posting.1));
        }
        Ok(found)
    }

    /// Row groups of the file.
    pub(crate) fn groups(&self) -> usize {
        self.0.groups()
    }

    /// The rows of one row group, ascending; see `columns`.
    pub(crate) fn group(&self, group: usize) -> Result<SortedRows, ReadError> {
        self.0.group(group)
    }

    /// All postings, ascending, their rows moved by `offset`.
    pub(crate) fn stream(&self, offset: u32) -> Result<Stream<'static>, ReadError> {
        let moved = move |posting: Result<Posting, ReadError>| posting.map(|(token, row)| (token, row.saturating_add(offset)));
        Ok(Box::new(self.0.records(decode)?.map(moved)))
    }
}

/// Tokens and rows, side by side.
pub(crate) fn columns(rows: &RecordBatch) -> Result<(&[i64], &[i32]), ReadError> {
    let tokens = int64s(rows, 0)?;
    let rows = rows.columns().get(1).and_then(|column| column.as_primitive_opt::<Int32Type>()).ok_or(ReadError::Rows)?;
    Ok((tokens, rows.values()))
}

fn decode(rows: &RecordBatch) -> Result<Vec<Posting>, ReadError> {
    let (tokens, rows) = columns(rows)?;
    Ok(tokens.iter().copied().zip(rows.iter().map(|row| row.cast_unsigned())).collect())
}
