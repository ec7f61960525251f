//! What committer, publisher and readers share: entries that are committed but in no checkpoint yet, and how far publication has come.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use recall_log::entry::Entry;
use recall_log::merkle::{Frontier, Hash, HashReader as _, ReadError};
use recall_log::tile::TileHashReader;
use thiserror::Error;

use super::{LogFolder, PublishError};

/// The entries of one commit.
#[derive(Clone)]
pub(crate) struct Chunk {
    /// The tree after it.
    pub frontier: Frontier,
    pub entries: Vec<Entry>,
    pub leaves: Vec<Hash>,
}

impl Chunk {
    pub(crate) fn new(frontier: &Frontier) -> Self {
        Self { frontier: frontier.clone(), entries: Vec::new(), leaves: Vec::new() }
    }

    pub(crate) fn push(&mut self, entries: &[Entry], leaves: &[Hash]) {
        self.entries.extend_from_slice(entries);
        self.leaves.extend_from_slice(leaves);
    }

    fn first(&self) -> u64 {
        self.frontier.size().saturating_sub(u64::try_from(self.entries.len()).unwrap_or(0))
    }
}

/// The last published checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its size.
    pub size: u64,
    /// The signed note; empty before the first.
    pub note: String,
}

/// Why waiting for a publication ended without one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WaitError {
    /// It took longer than the caller would wait.
    #[error("the checkpoint is not published yet ({0}); ask again in a second")]
    Late(String),
    /// The trail is closing.
    #[error("the trail is closed")]
    Closed,
}

/// Reads leaf hashes, and keeps the tile that it read last: repeats come in runs, as they were sent the first time.
pub(crate) struct Leaves<'p> {
    publication: &'p Publication,
    last: RefCell<Option<Tile<'p>>>,
}

struct Tile<'p> {
    index: u64,
    /// The size of the tree that it was read of.
    size: u64,
    reader: TileHashReader<'p>,
}

impl Leaves<'_> {
    /// The leaf hash of a committed event.
    pub(crate) fn hash(&self, index: u64) -> Result<Hash, ReadError> {
        if let Some(leaf) = self.publication.pending_leaf(index) {
            return Ok(leaf);
        }
        let mut last = self.last.borrow_mut();
        if last.as_ref().is_none_or(|tile| tile.index != index / 256 || tile.size <= index) {
            let size = self.publication.signed();
            *last = Some(Tile { index: index / 256, size, reader: TileHashReader::new(&self.publication.log, size) });
        }
        let tile = last.as_ref().ok_or_else(|| ReadError { place: "log".to_owned(), problem: "no tile was read".to_owned() })?;
        tile.reader.hash(0, index)
    }
}

struct State {
    chunks: VecDeque<Arc<Chunk>>,
    committed: u64,
    signed: u64,
    published: Arc<Published>,
    /// Rounds that were done, and what the last one failed with.
    rounds: u64,
    failure: Option<String>,
    /// Is a round under way?
    in_round: bool,
    /// Does the publisher wait for something to publish?
    idle: bool,
    /// Rounds below this number do not wait for the interval.
    urgent_below: u64,
    stopping: bool,
    ended: bool,
}

impl State {
    fn is_urgent(&self) -> bool {
        self.rounds < self.urgent_below
    }
}

/// The state of publication.
pub struct Publication {
    state: Mutex<State>,
    changed: Condvar,
    log: LogFolder,
}

impl Publication {
    /// Starts with the tree as signed last (`signed` events, all in tiles) and as published last.
    pub(crate) fn new(log: LogFolder, signed: u64, published: Published) -> Self {
        let state = State {
            chunks: VecDeque::new(),
            committed: signed,
            signed,
            published: Arc::new(published),
            rounds: 0,
            failure: None,
            in_round: false,
            idle: false,
            urgent_below: 0,
            stopping: false,
            ended: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), log }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a commit.
    pub(crate) fn add(&self, chunk: Chunk) {
        if chunk.entries.is_empty() {
            return;
        }
        let mut state = self.lock();
        state.committed = chunk.frontier.size();
        state.chunks.push_back(Arc::new(chunk));
        // While it pauses, or works, the publisher looks by itself when it is done; nobody else waits for a commit.
        if state.idle {
            self.changed.notify_all();
        }
    }

    /// Events that are committed and in no signed tree.
    pub(crate) fn waiting(&self) -> u64 {
        let state = self.lock();
        state.committed.saturating_sub(state.signed)
    }

    /// Events up to here are in tiles under a checkpoint that the catalog holds: they can be proven without their batches.
    pub fn signed(&self) -> u64 {
        self.lock().signed
    }

    /// The last published checkpoint.
    pub fn published(&self) -> Arc<Published> {
        Arc::clone(&self.lock().published)
    }

    /// Why the last round failed, if it did.
    pub fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    /// Reads the leaf hashes of committed events.
    pub(crate) fn leaves(&self) -> Leaves<'_> {
        Leaves { publication: self, last: RefCell::new(None) }
    }

    fn pending_leaf(&self, index: u64) -> Option<Hash> {
        let state = self.lock();
        let at = state.chunks.partition_point(|chunk| chunk.frontier.size() <= index);
        let chunk = state.chunks.get(at)?;
        chunk.leaves.get(usize::try_from(index.checked_sub(chunk.first())?).ok()?).copied()
    }

    /// All that is committed and in no signed tree, oldest first.
    pub(crate) fn pending(&self) -> Vec<Arc<Chunk>> {
        self.lock().chunks.iter().cloned().collect()
    }

    /// A tree of `size` events is signed and in the catalog.
    pub(crate) fn set_signed(&self, size: u64) {
        let done: Vec<_> = {
            let mut state = self.lock();
            state.signed = size;
            let done = state.chunks.partition_point(|chunk| chunk.frontier.size() <= size);
            state.chunks.drain(..done).collect()
        };
        // Outside the lock, for which the committer may wait: it is some megabytes.
        drop(done);
    }

    pub(crate) fn set_published(&self, published: Published) {
        self.lock().published = Arc::new(published);
        self.changed.notify_all();
    }

    /// Waits until the tree of `size` events is published.
    pub fn wait_published(&self, size: u64, timeout: Duration) -> Result<Arc<Published>, WaitError> {
        let waits = |state: &mut State| state.published.size < size && !state.ended;
        let (state, _) = self.changed.wait_timeout_while(self.lock(), timeout, waits).unwrap_or_else(PoisonError::into_inner);
        if state.published.size >= size {
            return Ok(Arc::clone(&state.published));
        }
        match state.ended {
            true => Err(WaitError::Closed),
            false => Err(WaitError::Late(state.failure.clone().unwrap_or_else(|| "it takes its time".to_owned()))),
        }
    }

    /// Has the publisher's thread ended?
    pub(crate) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// Publishes without waiting for the interval. Says what a round that began after the call came to.
    pub fn publish_now(&self) -> Result<Arc<Published>, String> {
        let mut state = self.lock();
        // A round under way may not see what was committed last: the one after it counts.
        let wanted = state.rounds.saturating_add(if state.in_round { 2 } else { 1 });
        state.urgent_below = state.urgent_below.max(wanted);
        self.changed.notify_all();
        let waits = |state: &mut State| state.rounds < wanted && !state.ended;
        state = self.changed.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
        match (&state.failure, state.rounds < wanted) {
            (Some(failure), _) => Err(failure.clone()),
            (None, true) => Err("the trail is closed".to_owned()),
            (None, false) => Ok(Arc::clone(&state.published)),
        }
    }

    // For the publisher's thread.

    /// Waits until there is something to publish. False when the thread is to end.
    pub(super) fn wait_for_work(&self) -> bool {
        let idle =
            |state: &mut State| !state.stopping && !state.is_urgent() && state.failure.is_none() && state.published.size >= state.committed;
        let mut state = self.lock();
        state.idle = true;
        state = self.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
        state.idle = false;
        state.in_round = !state.stopping;
        state.in_round
    }

    /// Waits for the rest of the interval; after a failure at least a tenth of a second.
    pub(super) fn pause(&self, interval: Duration) {
        let state = self.lock();
        let pause = if state.failure.is_some() { interval.max(Duration::from_millis(100)) } else { interval };
        let waits = |state: &mut State| !state.stopping && !state.is_urgent();
        drop(self.changed.wait_timeout_while(state, pause, waits));
    }

    pub(super) fn round_done(&self, result: Result<(), PublishError>) {
        let mut state = self.lock();
        state.rounds = state.rounds.saturating_add(1);
        state.in_round = false;
        state.failure = result.err().map(|error| error.to_string());
        self.changed.notify_all();
    }

    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.changed.notify_all();
    }

    /// Wakes all who wait when the thread ends, however it ends.
    pub(super) fn end_on_drop(&self) -> impl Drop + '_ {
        struct End<'a>(&'a Publication);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.lock().ended = true;
                self.0.changed.notify_all();
            }
        }
        End(self)
    }
}
