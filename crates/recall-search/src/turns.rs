//! How much is read at once: a bounded number of questions, each of which is let in whole.
//!
//! Reading blocks threads, and a process has few of them. A question waits for its turn before it starts a thread, and then has all that
//! it needs: no reader waits for another of the same question. It knows neither questions nor what they read.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A question's turn. It lasts until the last that holds it, be it a thread that still reads, lets go.
pub type Turn = Arc<OwnedSemaphorePermit>;

/// The turns there are.
#[derive(Clone, Debug)]
pub struct Turns(Arc<Semaphore>);

impl Turns {
    /// So many at a time.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS))))
    }

    /// The next turn, unless others keep it longer than `wait`.
    pub async fn next(&self, wait: Duration) -> Option<Turn> {
        let turn = tokio::time::timeout(wait, Arc::clone(&self.0).acquire_owned()).await;
        turn.ok()?.ok().map(Arc::new)
    }

    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.0.available_permits()
    }
}
