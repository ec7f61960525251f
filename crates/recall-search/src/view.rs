//! What one reader may see of one moment of the trail.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use recall_store::keys::PhiAccess;
use recall_store::snapshot::{ReadError, Snapshot};
use recall_store::token::Tokens;

/// Finds the indexes of events by their id, over all sources, through the index of what was seen before. `None` where that index may lack
/// some, and the events must be read.
pub type FindId = Arc<dyn Fn(&str) -> Result<Option<Vec<u64>>, ReadError> + Send + Sync>;

/// One moment of the trail, pinned, as one reader may see it.
#[derive(Clone)]
pub struct View {
    /// The moment.
    pub snapshot: Arc<Snapshot>,
    /// The right to PHI. Without it `patients` is null, `event` is the public part, and PHI can't be asked for.
    pub phi: Option<PhiAccess>,
    /// What makes the tokens of searched identifiers.
    pub tokens: Tokens,
    /// How ids are found.
    pub find_id: FindId,
    /// What reading this view came to so far.
    pub meter: Meter,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("size", &self.snapshot.size()).field("phi", &self.phi.is_some()).finish_non_exhaustive()
    }
}

/// What reading comes to: rows read, and events that could not be read. All copies of a meter are one.
#[derive(Clone, Default)]
pub struct Meter(Arc<Measured>);

#[derive(Default)]
struct Measured {
    rows: AtomicU64,
    damaged: Mutex<Vec<Damaged>>,
    /// Let go when the last reader stops.
    _guard: Option<Box<dyn Any + Send + Sync>>,
}

/// Events that could not be read, and are missing from what was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The index of the first.
    pub first: u64,
    /// The index of the last.
    pub last: u64,
    /// The place and what is wrong with it.
    pub what: String,
}

impl Meter {
    /// A meter that drops `guard` when nobody reads any more.
    #[must_use]
    pub fn with_guard(guard: impl Any + Send + Sync) -> Self {
        Self(Arc::new(Measured { _guard: Some(Box::new(guard)), ..Measured::default() }))
    }

    /// Rows read so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.0.rows.load(Ordering::Relaxed)
    }

    /// What could not be read so far, in order; neighbours are one.
    #[must_use]
    pub fn damaged(&self) -> Vec<Damaged> {
        let mut all = self.0.damaged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.sort_by_key(|damaged| damaged.first);
        let mut joined: Vec<Damaged> = Vec::new();
        for damaged in all {
            match joined.last_mut() {
                Some(last) if damaged.first <= last.last.saturating_add(1) => last.last = last.last.max(damaged.last),
                _ => joined.push(damaged),
            }
        }
        joined
    }

    pub(crate) fn add(&self, rows: usize) {
        self.0.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(crate) fn damage(&self, damaged: Damaged) {
        let mut all = self.0.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains(&damaged) {
            all.push(damaged);
        }
    }
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meter").field("rows", &self.rows()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
