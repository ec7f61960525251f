//! What one reader may see of one moment of the trail.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// How many rows were read for this view so far.
    pub meter: Meter,
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("size", &self.snapshot.size()).field("phi", &self.phi.is_some()).finish_non_exhaustive()
    }
}

/// Counts rows read: what a query costs.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<AtomicU64>);

impl Meter {
    /// Rows read so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, rows: usize) {
        self.0.fetch_add(rows as u64, Ordering::Relaxed);
    }
}
