//! One moment of the trail: its parts in index order without a gap, and how to ask them.
//!
//! Readers take an `Arc<Snapshot>` and keep it for the whole of a query; what it pins stays readable, files included. The committer and
//! the compactor put new snapshots in place through `Snapshots`. It must not know why a part exists.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{BooleanArray, RecordBatch};
use arrow::error::ArrowError;
use thiserror::Error;

use crate::columns::Column;
use crate::fresh::Fresh;
use crate::keys::{PhiAccess, SetGone};
use crate::segment::Segment;
use crate::token::Token;

#[cfg(test)]
mod tests;

/// Why stored events could not be read. It names the place, never content.
#[derive(Debug, Error)]
pub enum ReadError {
    /// A PHI column was asked for without the right to PHI.
    #[error("column `{}` holds PHI, and this reader has no right to it", .0.name())]
    Denied(Column),
    /// The key is destroyed.
    #[error(transparent)]
    Erased(#[from] SetGone),
    /// The bytes are not those that were written.
    #[error("{place} is damaged: {what}; restore the file from a backup")]
    Damaged {
        /// File or batch.
        place: String,
        /// What is wrong with it.
        what: String,
    },
    /// The operating system could not read.
    #[error("{place} could not be read: {source}")]
    Io {
        /// The file.
        place: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Computing on columns failed: a predicate, or a batch too large.
    #[error("columns could not be computed: {0}")]
    Compute(#[from] ArrowError),
    /// Index beyond the part, or rows out of order: a mistake of the caller.
    #[error("rows asked for must be ascending and lie in the part")]
    Rows,
}

impl ReadError {
    pub(crate) fn damaged(place: impl Into<String>, what: impl ToString) -> Self {
        Self::Damaged { place: place.into(), what: what.to_string() }
    }
}

/// Which rows of a part. Row 0 is the part's first event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rows {
    /// All of them.
    All,
    /// A range.
    Range(Range<u32>),
    /// Those named, ascending and distinct.
    List(Vec<u32>),
}

/// The test of a predicate: a batch of its columns in, one boolean per row out. Null counts as false.
pub type Test = Box<dyn FnMut(&RecordBatch) -> Result<BooleanArray, ArrowError> + Send>;

/// A test that is made before the columns asked for are decoded.
pub struct Predicate {
    /// What the test looks at.
    pub columns: Vec<Column>,
    /// The test.
    pub test: Test,
}

/// What is asked of a part.
pub struct Scan<'a> {
    /// The columns wanted, in the order wanted; may be empty, then batches hold a number of rows only.
    pub columns: Vec<Column>,
    /// The rows wanted.
    pub rows: Rows,
    /// Which of them pass.
    pub predicate: Option<Predicate>,
    /// The most rows in one batch.
    pub batch_rows: usize,
    /// The right to PHI columns, of the predicate's too.
    pub phi: Option<&'a PhiAccess>,
}

impl Scan<'_> {
    /// The rows wanted, as a list or range within a part of `count` rows; PHI columns without a right are refused.
    pub(crate) fn check(&self, count: u32) -> Result<(), ReadError> {
        let asked = self.columns.iter().chain(self.predicate.iter().flat_map(|predicate| &predicate.columns));
        if let (None, Some(column)) = (self.phi, asked.into_iter().find(|column| column.is_phi())) {
            return Err(ReadError::Denied(*column));
        }
        let good = match &self.rows {
            Rows::All => true,
            Rows::Range(range) => range.start <= range.end && range.end <= count,
            Rows::List(list) => list.is_sorted_by(|a, b| a < b) && list.last().is_none_or(|last| *last < count),
        };
        if good && self.batch_rows > 0 { Ok(()) } else { Err(ReadError::Rows) }
    }
}

/// Batches of rows, ascending.
pub type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ReadError>> + Send>;

/// Events whose key set was destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// The first of them.
    pub first_index: u64,
    /// How many.
    pub count: u32,
    /// The key set that was dropped.
    pub key_set: u64,
    /// The event that records it.
    pub by: Option<u64>,
}

/// A contiguous run of events.
#[derive(Clone)]
pub enum Part {
    /// In encrypted files.
    Segment(Arc<Segment>),
    /// In memory and in the catalog.
    Fresh(Arc<Fresh>),
    /// Gone, but for their entries in the tree.
    Erased(Erased),
}

impl Part {
    /// The index of its first event.
    pub fn first_index(&self) -> u64 {
        match self {
            Self::Segment(segment) => segment.first_index(),
            Self::Fresh(fresh) => fresh.first_index(),
            Self::Erased(erased) => erased.first_index,
        }
    }

    /// How many events.
    pub fn count(&self) -> u32 {
        match self {
            Self::Segment(segment) => segment.count(),
            Self::Fresh(fresh) => fresh.count(),
            Self::Erased(erased) => erased.count,
        }
    }

    /// The index after its last event.
    pub fn end(&self) -> u64 {
        self.first_index().saturating_add(u64::from(self.count()))
    }

    /// The least and greatest `time`, in microseconds; none where nothing is known.
    pub fn time_range(&self) -> Option<(i64, i64)> {
        match self {
            Self::Segment(segment) => Some(segment.time_range()),
            Self::Fresh(fresh) => Some(fresh.time_range()),
            Self::Erased(_) => None,
        }
    }

    fn fresh_bytes(&self) -> u64 {
        match self {
            Self::Fresh(fresh) => fresh.size_bytes(),
            Self::Segment(_) | Self::Erased(_) => 0,
        }
    }

    /// The rows with a posting of `token`, ascending and distinct.
    pub fn rows_of(&self, token: Token) -> Result<Vec<u32>, ReadError> {
        match self {
            Self::Segment(segment) => segment.rows_of(token),
            Self::Fresh(fresh) => Ok(fresh.rows_of(token)),
            Self::Erased(_) => Ok(Vec::new()),
        }
    }

    /// How many of `rows`, from the first, hold at most about `bytes` of content, which is what memory a batch of them takes; at least one.
    /// Rows are ascending or descending.
    pub fn fitting(&self, rows: impl Iterator<Item = u32>, bytes: u64, phi: Option<&PhiAccess>) -> usize {
        match self {
            Self::Segment(segment) => segment.fitting(rows, bytes, phi),
            Self::Fresh(fresh) => fresh.fitting(rows, bytes),
            Self::Erased(_) => rows.count().max(1),
        }
    }

    /// The rows that `scan` asks for, ascending.
    pub fn scan(&self, scan: Scan<'_>) -> Result<Batches, ReadError> {
        match self {
            Self::Segment(segment) => segment.scan(scan),
            Self::Fresh(fresh) => fresh.scan(scan),
            Self::Erased(_) => Ok(Box::new(std::iter::empty())),
        }
    }
}

fn bytes_of(parts: &[Part]) -> u64 {
    parts.iter().fold(0, |sum, part| sum.saturating_add(part.fresh_bytes()))
}

/// The trail at one moment.
#[derive(Clone, Default)]
pub struct Snapshot {
    parts: Vec<Part>,
    /// What its fresh parts take in memory, about.
    fresh_bytes: u64,
}

/// Parts that leave a gap, or that are not there to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the parts of the trail do not follow one another at index {0}")]
pub struct Gap(pub u64);

impl Snapshot {
    /// Takes parts in index order, starting at 0.
    pub fn new(parts: Vec<Part>) -> Result<Self, Gap> {
        let mut end = 0;
        for part in &parts {
            if part.first_index() != end {
                return Err(Gap(end));
            }
            end = part.end();
        }
        let fresh_bytes = bytes_of(&parts);
        Ok(Self { parts, fresh_bytes })
    }

    /// How many events the trail holds.
    pub fn size(&self) -> u64 {
        self.parts.last().map_or(0, Part::end)
    }

    /// About how many bytes of memory its events take that are in no segment.
    pub fn fresh_bytes(&self) -> u64 {
        self.fresh_bytes
    }

    /// All parts, oldest first.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The part that holds event `index`, and the event's row in it.
    pub fn locate(&self, index: u64) -> Option<(&Part, u32)> {
        let after = self.parts.partition_point(|part| part.first_index() <= index);
        let part = self.parts.get(after.checked_sub(1)?)?;
        let row = u32::try_from(index - part.first_index()).ok()?;
        (row < part.count()).then_some((part, row))
    }
}

/// The current snapshot. Readers never wait for more than the copying of a pointer.
#[derive(Default)]
pub struct Snapshots(Mutex<Arc<Snapshot>>);

impl Snapshots {
    /// Starts with `snapshot`.
    pub fn new(snapshot: Snapshot) -> Self {
        Self(Mutex::new(Arc::new(snapshot)))
    }

    /// The trail as it is now.
    pub fn load(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds parts at the end, all or none. The list is copied only where a reader holds the snapshot before.
    pub fn append(&self, parts: &[Part]) -> Result<(), Gap> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut end = current.size();
        for part in parts {
            if part.first_index() != end {
                return Err(Gap(end));
            }
            end = part.end();
        }
        let next = Arc::make_mut(&mut current);
        next.fresh_bytes = next.fresh_bytes.saturating_add(bytes_of(parts));
        next.parts.extend_from_slice(parts);
        Ok(())
    }

    /// Puts `part` in place of the parts that cover the same events.
    pub fn replace(&self, part: Part) -> Result<(), Gap> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&current);
        let start = next.parts.partition_point(|old| old.first_index() < part.first_index());
        let end = next.parts.partition_point(|old| old.first_index() < part.end());
        let covered = next.parts.get(start..end).unwrap_or_default();
        let same = covered.first().map(Part::first_index) == Some(part.first_index()) && covered.last().map(Part::end) == Some(part.end());
        if !same {
            return Err(Gap(part.first_index()));
        }
        next.fresh_bytes = next.fresh_bytes.saturating_sub(bytes_of(covered)).saturating_add(part.fresh_bytes());
        next.parts.splice(start..end, [part]);
        *current = Arc::new(next);
        Ok(())
    }
}
