//! Committed events that no segment holds yet: searched columns, postings and identities in memory, content as the sealed sections that
//! were committed (`docs/decisions/0003`).
//!
//! One `Fresh` covers one committed batch, or several neighbours that were joined so that a scan need not visit each. It must not know
//! files.

mod load;
mod scan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, StringDictionaryBuilder};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use arrow::error::ArrowError;

pub use load::{Loaded, StoredBatch};

use crate::batch::{BATCH_COLUMNS, Batch, Identity, Note, Sealed, notes};
use crate::keys::Keys;
use crate::postings::Posting;
use crate::snapshot::{Batches, ReadError, Scan};
use crate::token::Token;

/// From so many events on, text is kept as dictionaries, which take a third of the room.
const DICTIONARY_EVENTS: u32 = 4_096;

/// Committed events in memory.
pub struct Fresh {
    first_index: u64,
    count: u32,
    key_set: u64,
    keys: Arc<Keys>,
    /// `BATCH_COLUMNS`; text plain or as dictionaries.
    columns: Vec<ArrayRef>,
    /// Sorted.
    postings: Vec<Posting>,
    identities: Vec<Identity>,
    pieces: Vec<Piece>,
    time_range: (i64, i64),
}

/// The sealed content of one committed batch.
#[derive(Clone)]
struct Piece {
    first_row: u32,
    count: u32,
    sealed: Sealed,
    /// Bytes of an event in it on average, of both parts, before compression.
    event_bytes: u64,
}

impl Fresh {
    /// A batch that was committed at `first_index` under `key_set`.
    pub fn new(batch: Batch, sealed: Sealed, first_index: u64, key_set: u64, keys: &Arc<Keys>) -> Self {
        let content_bytes = batch.size_bytes();
        let (columns, postings, identities) = batch.into_kept();
        let at = Position { first_index, key_set, keys: Arc::clone(keys), content_bytes };
        Self::from_columns(columns, postings, identities, sealed, at)
    }

    fn from_columns(columns: RecordBatch, postings: Vec<Posting>, identities: Vec<Identity>, sealed: Sealed, at: Position) -> Self {
        let count = u32::try_from(columns.num_rows()).unwrap_or(u32::MAX);
        let (_, columns, _) = columns.into_parts();
        let times = columns.first().map(|time| time.as_primitive::<Int64Type>().values().as_ref()).unwrap_or_default();
        let time_range = (times.iter().copied().min().unwrap_or(0), times.iter().copied().max().unwrap_or(0));
        Self {
            first_index: at.first_index,
            count,
            key_set: at.key_set,
            keys: at.keys,
            columns,
            postings,
            identities,
            pieces: vec![Piece { first_row: 0, count, sealed, event_bytes: (at.content_bytes as u64).div_ceil(u64::from(count).max(1)) }],
            time_range,
        }
    }

    /// Joins neighbours of one key set, oldest first. Text becomes dictionaries once there is enough of it. `None` if there is nothing to
    /// join, or they are no neighbours.
    pub(crate) fn join(run: &[Arc<Self>]) -> Result<Option<Self>, ArrowError> {
        let Some(first) = run.first() else { return Ok(None) };
        let follows = |pair: &[Arc<Self>]| matches!(pair, [a, b] if a.end() == b.first_index && a.key_set == b.key_set);
        if !run.windows(2).all(follows) {
            return Ok(None);
        }
        let count = run.iter().map(|fresh| fresh.count).fold(0, u32::saturating_add);
        let mut columns = Vec::with_capacity(BATCH_COLUMNS.len());
        for (at, column) in BATCH_COLUMNS.iter().enumerate() {
            let parts: Vec<&dyn Array> = run.iter().filter_map(|fresh| fresh.columns.get(at)).map(|part| &**part).collect();
            columns.push(if column.is_dictionary() { join_text(&parts, count >= DICTIONARY_EVENTS)? } else { concat(&parts)? });
        }
        let mut joined = Self {
            first_index: first.first_index,
            count: 0,
            key_set: first.key_set,
            keys: Arc::clone(&first.keys),
            columns,
            postings: Vec::with_capacity(run.iter().map(|fresh| fresh.postings.len()).sum()),
            identities: Vec::with_capacity(run.iter().map(|fresh| fresh.identities.len()).sum()),
            pieces: Vec::with_capacity(run.iter().map(|fresh| fresh.pieces.len()).sum()),
            time_range: first.time_range,
        };
        run.iter().for_each(|fresh| joined.absorb(fresh));
        // Each part's are sorted: the stable sort merges such runs.
        joined.postings.sort();
        Ok(Some(joined))
    }

    fn absorb(&mut self, next: &Self) {
        let offset = self.count;
        self.postings.extend(next.postings.iter().map(|(token, row)| (*token, row.saturating_add(offset))));
        self.identities.extend_from_slice(&next.identities);
        let moved = next.pieces.iter().map(|piece| Piece { first_row: piece.first_row.saturating_add(offset), ..piece.clone() });
        self.pieces.extend(moved);
        self.time_range = (self.time_range.0.min(next.time_range.0), self.time_range.1.max(next.time_range.1));
        self.count = self.count.saturating_add(next.count);
    }

    /// The index of its first event.
    pub fn first_index(&self) -> u64 {
        self.first_index
    }

    /// How many events.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The index after its last event.
    pub fn end(&self) -> u64 {
        self.first_index.saturating_add(u64::from(self.count))
    }

    /// The key set that its content is sealed under.
    pub fn key_set(&self) -> u64 {
        self.key_set
    }

    /// The least and greatest `time`, in microseconds.
    pub fn time_range(&self) -> (i64, i64) {
        self.time_range
    }

    /// What tells repeats, in order.
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// What the register of sources learns of a batch just loaded; `seqs` are those that came with it.
    pub fn notes<'a>(&'a self, seqs: &'a [Option<u64>]) -> impl Iterator<Item = Note<'a>> {
        notes(&self.columns, seqs)
    }

    pub(crate) fn postings(&self) -> &[Posting] {
        &self.postings
    }

    /// The rows with a posting of `token`, ascending.
    pub fn rows_of(&self, token: Token) -> Vec<u32> {
        let token = token.sorted();
        let start = self.postings.partition_point(|posting| posting.0 < token);
        let found = self.postings.get(start..).unwrap_or_default().iter().take_while(|posting| posting.0 == token);
        found.map(|posting| posting.1).collect()
    }

    /// How many of `rows`, from the first, hold at most `bytes` of content, as far as averages tell; at least one.
    pub fn fitting(&self, rows: impl Iterator<Item = u32>, bytes: u64) -> usize {
        let mut left = bytes;
        let fits = rows.take_while(|row| {
            let after = self.pieces.partition_point(|piece| piece.first_row <= *row);
            let size = after.checked_sub(1).and_then(|at| self.pieces.get(at)).map_or(0, |piece| piece.event_bytes);
            let rest = left.checked_sub(size);
            left = rest.unwrap_or(0);
            rest.is_some()
        });
        fits.count().max(1)
    }

    /// About what it takes in memory.
    pub fn size_bytes(&self) -> u64 {
        let sealed: usize = self.pieces.iter().map(|piece| piece.sealed.public.len().saturating_add(piece.sealed.phi.len())).sum();
        let columns: usize = self.columns.iter().map(|column| column.get_array_memory_size()).sum();
        let rest = size_of_val(&*self.postings).saturating_add(size_of_val(&*self.identities));
        u64::try_from(sealed.saturating_add(columns).saturating_add(rest)).unwrap_or(u64::MAX)
    }

    /// The rows that `scan` asks for, ascending.
    pub fn scan(self: &Arc<Self>, scan: Scan<'_>) -> Result<Batches, ReadError> {
        scan::scan(self, scan)
    }
}

/// A text column of several parts in one: plain while all are and `dictionary` is not asked for, so that what is joined again and again is
/// only copied; else each distinct value of a part's dictionary is looked up once.
fn join_text(parts: &[&dyn Array], dictionary: bool) -> Result<ArrayRef, ArrowError> {
    if !dictionary && parts.iter().all(|part| part.data_type() == &DataType::Utf8) {
        return concat(parts);
    }
    let mut joined = StringDictionaryBuilder::<Int32Type>::new();
    for part in parts {
        match (part.as_string_opt::<i32>(), part.as_dictionary_opt::<Int32Type>().and_then(|part| part.downcast_dict::<StringArray>())) {
            (Some(plain), _) => {
                for value in plain {
                    match value {
                        Some(value) => drop(joined.append(value)?),
                        None => joined.append_null(),
                    }
                }
            }
            (None, Some(part)) => joined.extend_dictionary(&part)?,
            (None, None) => return Err(ArrowError::CastError("a text column is no text".to_owned())),
        }
    }
    Ok(Arc::new(joined.finish()))
}

struct Position {
    content_bytes: usize,
    first_index: u64,
    key_set: u64,
    keys: Arc<Keys>,
}
