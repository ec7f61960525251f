//! Merging the catalog's log into its file beside the commits (`docs/format.md` section 4).
//!
//! SQLite would do it inside whichever commit fills the log, and many senders would wait for thousands of pages. Here a second connection
//! moves them while commits go on; what was committed meanwhile is little, and the committer moves it itself between two commits, upon which
//! the log begins anew. It must not know what the pages hold.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::connect;

/// Bytes in the log at which merging begins.
const MERGE_BYTES: usize = 8 << 20;

/// The thread that merges, started when there is something to do.
pub(super) struct LogMerger {
    path: PathBuf,
    logged_bytes: usize,
    asked: bool,
    done: Arc<AtomicBool>,
    thread: Option<(SyncSender<()>, JoinHandle<()>)>,
}

impl LogMerger {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), logged_bytes: 0, asked: false, done: Arc::default(), thread: None }
    }

    /// A commit added so much to the log.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.logged_bytes = self.logged_bytes.saturating_add(bytes);
        if self.logged_bytes >= MERGE_BYTES && !self.asked {
            self.asked = self.ask();
        }
    }

    fn ask(&mut self) -> bool {
        if self.thread.is_none() {
            let (sender, receiver) = sync_channel(1);
            let (path, done) = (self.path.clone(), Arc::clone(&self.done));
            let thread = std::thread::Builder::new().name("catalog-log".to_owned()).spawn(move || run(&path, &receiver, &done));
            self.thread = thread.ok().map(|thread| (sender, thread));
        }
        // Without a thread, SQLite's own limit of the log holds.
        self.thread.as_ref().is_some_and(|(sender, _)| sender.try_send(()).is_ok())
    }

    /// Is all but a little merged, so that the rest is quickly done? True once.
    pub(super) fn take_done(&mut self) -> bool {
        let done = self.asked && self.done.swap(false, Ordering::Acquire);
        if done {
            (self.asked, self.logged_bytes) = (false, 0);
        }
        done
    }

    /// Ends the thread.
    pub(super) fn stop(&mut self) {
        if let Some((sender, thread)) = self.thread.take() {
            drop(sender);
            // A panic there has left the log as it was.
            let _ = thread.join();
        }
    }
}

impl Drop for LogMerger {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(path: &Path, wanted: &Receiver<()>, done: &AtomicBool) {
    let mut conn: Option<Connection> = None;
    while wanted.recv().is_ok() {
        let merged = match conn.take().map_or_else(|| connect(path), Ok) {
            Ok(open) => merge(&open).map(|()| conn = Some(open)).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = merged {
            tracing::warn!(error, "the catalog's log was not merged into its file; it is tried again");
        }
        done.store(true, Ordering::Release);
    }
}

/// Moves what no reader needs to see in the log, without keeping anybody waiting.
pub(super) fn merge(conn: &Connection) -> rusqlite::Result<()> {
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}
