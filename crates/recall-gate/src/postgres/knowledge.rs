//! What is protected upstream, as of a moment ago, shared by all sessions of a gateway: it is read again every few seconds, and at once after a
//! statement that may have changed definitions.
//!
//! It must not know how a catalog is read.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::catalog::Catalog;

/// What all sessions share.
#[derive(Default)]
pub struct Knowledge {
    held: Mutex<Held>,
    changed: Notify,
}

#[derive(Default)]
struct Held {
    catalog: Arc<Catalog>,
    /// Counts changes of definitions that sessions asked for.
    changes: u64,
    /// As of how many of them the catalog was read; none yet where it never was.
    read: Option<u64>,
}

impl Knowledge {
    /// What is known, and whether it is: false before the first reading, and from a change of definitions to the reading after it.
    pub fn now(&self) -> (Arc<Catalog>, bool) {
        let held = self.held();
        (Arc::clone(&held.catalog), held.read == Some(held.changes))
    }

    /// Definitions may have changed, or will once a statement that is on its way runs.
    pub fn changed(&self) {
        let mut held = self.held();
        held.changes = held.changes.saturating_add(1);
        drop(held);
        self.changed.notify_one();
    }

    /// How many changes there were: to be asked before a reading begins.
    pub fn changes(&self) -> u64 {
        self.held().changes
    }

    /// A catalog was read; `changes` is what [`Knowledge::changes`] said before.
    pub fn read(&self, catalog: Catalog, changes: u64) {
        let mut held = self.held();
        held.catalog = Arc::new(catalog);
        held.read = Some(changes);
    }

    /// It could not be read: what is held is not known to hold any more.
    pub fn lost(&self) {
        self.held().read = None;
    }

    /// Waits for the next change.
    pub async fn wait(&self) {
        self.changed.notified().await;
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
