//! A segment: events in index order in one encrypted Parquet file, with a posting file beside it (`docs/format.md` section 5).
//!
//! Public columns and footer are under one key, PHI columns under another: a reader without `PhiAccess` opens the file with the public
//! key alone. Footers and page indexes are decoded once and kept. Files that are obsolete go when the last reader lets go of the segment.

mod compact;
mod list;
mod pages;
mod read;
mod sizes;
#[cfg(test)]
mod tests;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

pub(crate) use write::{Plan, write};

use crate::durable;
use crate::encrypted::{FileFacts, decode_row, encode_row, facts_of, file_path};
use crate::keys::{Keys, PhiAccess, PublicKey};
use crate::postings::{self, Postings};
use crate::snapshot::{Batches, ReadError, Scan};
use crate::sorted::SortedRows;
use crate::token::Token;
use read::EventsFile;

/// What the catalog keeps of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentRow {
    /// Its id.
    pub id: u64,
    /// The index of its first event.
    pub first_index: u64,
    /// How many events.
    pub count: u32,
    /// The key set.
    pub key_set: u64,
    /// 0 for one made of batches; one more with each merge.
    pub tier: u32,
    /// The least and greatest `time`, in microseconds.
    pub time_range: (i64, i64),
    /// The file of events.
    pub events: FileFacts,
    /// The posting file.
    pub postings: FileFacts,
}

impl SegmentRow {
    /// The row's value in the catalog: JSON.
    pub fn encode(&self) -> Vec<u8> {
        encode_row(self)
    }

    /// Reads what `encode` made.
    pub fn decode(value: &[u8]) -> Result<Self, ReadError> {
        decode_row(value, "the row of a segment in the catalog")
    }

    /// The row's name in the catalog.
    pub fn name(id: u64) -> String {
        format!("{id:016x}")
    }

    /// The index after its last event.
    pub fn end(&self) -> u64 {
        self.first_index.saturating_add(u64::from(self.count))
    }
}

/// An open segment.
pub struct Segment {
    row: SegmentRow,
    folder: PathBuf,
    events: EventsFile,
    postings: Postings,
    obsolete: AtomicBool,
}

impl Segment {
    /// Opens both files of a segment in `folder` (`DIR/segments`).
    pub fn open(folder: &Path, row: SegmentRow, keys: &Keys) -> Result<Self, ReadError> {
        let events = EventsFile::open(folder, &row, &keys.public(row.key_set, PublicKey::Segment(row.id))?)?;
        let postings = Postings::open(folder, row.id, &keys.public(row.key_set, PublicKey::Postings(row.id))?)?;
        Ok(Self { row, folder: folder.to_owned(), events, postings, obsolete: AtomicBool::new(false) })
    }

    /// What the catalog keeps of it.
    pub fn row(&self) -> &SegmentRow {
        &self.row
    }

    /// The index of its first event.
    pub fn first_index(&self) -> u64 {
        self.row.first_index
    }

    /// How many events.
    pub fn count(&self) -> u32 {
        self.row.count
    }

    /// The key set that its files are under.
    pub fn key_set(&self) -> u64 {
        self.row.key_set
    }

    /// The least and greatest `time`, in microseconds.
    pub fn time_range(&self) -> (i64, i64) {
        self.row.time_range
    }

    /// The rows with a posting of `token`, ascending.
    pub fn rows_of(&self, token: Token) -> Result<Vec<u32>, ReadError> {
        self.postings.rows_of(token)
    }

    /// How many of `rows`, from the first, hold at most `bytes` of content; at least one.
    pub fn fitting(&self, rows: impl Iterator<Item = u32>, bytes: u64, phi: Option<&PhiAccess>) -> usize {
        sizes::fitting(self, rows, bytes, phi)
    }

    /// All postings, ascending, their rows moved by `offset`.
    pub(crate) fn postings(&self, offset: u32) -> Result<postings::Stream<'static>, ReadError> {
        self.postings.stream(offset)
    }

    /// Row groups of the posting file.
    pub(crate) fn posting_groups(&self) -> usize {
        self.postings.groups()
    }

    /// The postings of one of them, ascending; see `postings::columns`.
    pub(crate) fn posting_group(&self, group: usize) -> Result<SortedRows, ReadError> {
        self.postings.group(group)
    }

    /// The rows that `scan` asks for, ascending. A predicate is tested a row group at a time, as the iterator advances.
    pub fn scan(self: &Arc<Self>, scan: Scan<'_>) -> Result<Batches, ReadError> {
        read::scan(self, scan)
    }

    #[cfg(test)]
    fn events_opened_with_phi(&self) -> Option<()> {
        self.events.is_open_with_phi().then_some(())
    }

    /// No catalog row names it any more: its files go with its last user.
    pub(crate) fn mark_obsolete(&self) {
        self.obsolete.store(true, Ordering::Release);
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire) {
            // What can't be removed now is a leftover that the next start removes.
            let _ = remove_files(&self.folder, self.row.id);
        }
    }
}

/// Removes the files of a segment that no catalog row names.
pub(crate) fn remove_files(folder: &Path, id: u64) -> std::io::Result<()> {
    durable::remove(&file_path(folder, id, EVENTS))?;
    durable::remove(&file_path(folder, id, POSTINGS))
}

/// Compares both files with what the catalog says of them; `Err` names the file that differs.
#[cfg(test)]
pub(crate) fn compare_files(folder: &Path, row: &SegmentRow) -> Vec<ReadError> {
    let pairs = [(EVENTS, &row.events), (POSTINGS, &row.postings)];
    pairs.iter().filter_map(|(extension, facts)| compare_file(&file_path(folder, row.id, extension), facts).err()).collect()
}

/// Compares a file with what the catalog says of it.
pub(crate) fn compare_file(path: &Path, facts: &FileFacts) -> Result<(), ReadError> {
    let place = || path.display().to_string();
    let found = facts_of(path).map_err(|source| ReadError::Io { place: place(), source })?;
    if found == *facts { Ok(()) } else { Err(ReadError::damaged(place(), "its bytes are not those that were written")) }
}

/// Extensions of the two files.
pub(crate) const EVENTS: &str = "events";
pub(crate) const POSTINGS: &str = "postings";
