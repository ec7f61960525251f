//! The publisher: one thread that makes what is committed public (`docs/format.md` section 8, steps 6 to 9).
//!
//! Tiles, then a signed checkpoint in the catalog, then `DIR.anchor`, then `log/checkpoint`; at most once in an interval, and only when
//! the trail grew. A step that fails is done again with all behind it. It must not know what an entry commits to.

mod pending;
mod round;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use thiserror::Error;

pub(crate) use pending::{Chunk, Leaves};
pub use pending::{Publication, Published, WaitError};
pub(crate) use round::{LogFolder, PUBLIC_MODE, Publisher, Signed};

use crate::committer::CommitError;

/// Why nothing was published. It is tried again.
#[derive(Debug, Error)]
pub enum PublishError {
    /// The operating system refused.
    #[error("the tree could not be written: {0}; see the disk")]
    Io(#[from] std::io::Error),
    /// The tiles that are there do not fit.
    #[error("the tree could not be continued: {0}")]
    Tiles(#[from] recall_log::merkle::ReadError),
    /// The tiles lead to another root than the commits.
    #[error("the tiles lead to another root than what was committed; run `recall verify`")]
    Root,
    /// No signature.
    #[error("the checkpoint could not be signed: {0}")]
    Sign(#[from] recall_log::note::SignError),
    /// The catalog did not take the checkpoint.
    #[error("the checkpoint could not be kept: {0}")]
    Commit(#[from] CommitError),
    /// Somebody else works with the same trail, or this is a copy of it.
    #[error("{place} is ahead of this folder: it says {anchored} events, here are {here}; stop the other copy, or run `recall recover`")]
    Ahead {
        /// Which file.
        place: String,
        /// The size there.
        anchored: u64,
        /// The size here.
        here: u64,
    },
    /// The trail is closing.
    #[error("the trail is closed")]
    Closed,
}

/// The running thread.
pub(crate) struct PublisherThread {
    publication: Arc<Publication>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl PublisherThread {
    /// Starts it. It publishes at most once in `interval`.
    pub(crate) fn start(mut publisher: Publisher, interval: Duration) -> std::io::Result<Self> {
        let publication = Arc::clone(publisher.publication());
        let shared = Arc::clone(&publication);
        let thread = std::thread::Builder::new().name("publisher".to_owned()).spawn(move || {
            let ended = shared.end_on_drop();
            while shared.wait_for_work() {
                let result = publisher.publish();
                if let Err(error) = &result {
                    tracing::warn!(%error, "nothing was published; it is tried again");
                }
                shared.round_done(result);
                shared.pause(interval);
            }
            // What was committed meanwhile is published before the end.
            shared.round_done(publisher.publish());
            drop(ended);
        })?;
        Ok(Self { publication, thread: Mutex::new(Some(thread)) })
    }

    /// Publishes what there is and ends the thread.
    pub(crate) fn stop(&self) {
        self.publication.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic there has already woken those who waited.
            let _ = thread.join();
        }
    }
}
