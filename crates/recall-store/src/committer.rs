//! The committer: one thread that gives events their place and makes them durable (`docs/format.md` section 8, steps 2 to 5).
//!
//! Whatever waits when a commit ends goes into the next one, so that groups grow with the load and no timer is needed. Everything dear was
//! done before (`batch`); what is left is telling repeats, hashing into the frontier, sealing, and one transaction. It must not know who
//! sends, nor what an event says.

mod group;
mod queue;
#[cfg(test)]
mod tests;
mod work;

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use recall_log::merkle::Hash;
use thiserror::Error;

use crate::batch::Batch;
use crate::catalog::{ApplyError, Change, RowChange};
use crate::seams::Step;
use queue::{Job, Queue};
pub(crate) use work::{Parts, Worker, month};

pub use queue::{QUEUE_BYTES, SubmitError};

/// Events in memory that wait for a segment, or for publication, before ingest is told to wait.
pub const FRESH_LIMIT: u64 = 3 * 262_144;

/// Bytes of memory that events in no segment take, about, before ingest is told to wait. Three segments' worth: one in the making, one that
/// gathers, and room for a disk that is slow.
pub const FRESH_BYTES: u64 = 512 << 20;

/// Events above `FRESH_LIMIT` that gateways may still bring, so that senders who flood the trail stop no statement.
pub const GATEWAY_FRESH: u64 = 262_144;

/// The same above `FRESH_BYTES`.
pub const GATEWAY_FRESH_BYTES: u64 = 128 << 20;

/// What kind of record it is: decides who gets the last room in memory and on a full disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Events that senders bring.
    Ingest,
    /// Records of what passes a gateway. They have room in memory that senders can't take, and none on a full disk: the statement fails, and
    /// what is left there stays with those who put things right. This process made their ids, at random.
    Gateway,
    /// Records of reads, of administration and of erasure. This process made their ids, at random.
    Duty,
}

/// Events and rows that are committed together, or not at all.
pub struct Submission {
    /// The events.
    pub batches: Vec<Batch>,
    /// Rows that go with them.
    pub rows: Vec<RowChange>,
    /// Sources whose expected interval (seconds) changes with them.
    pub expect: Vec<(String, Option<u64>)>,
    /// Who gets the last room.
    pub class: Class,
}

impl Submission {
    /// Events alone.
    pub fn events(batches: Vec<Batch>, class: Class) -> Self {
        Self { batches, rows: Vec::new(), expect: Vec::new(), class }
    }

    fn size_bytes(&self) -> usize {
        let rows = self.rows.iter().map(|row| row.name.len() + row.value.as_ref().map_or(0, Vec::len));
        self.batches.iter().map(Batch::size_bytes).chain(rows).sum()
    }
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It is stored under this index.
    Stored,
    /// It was stored before, under this index.
    Duplicate,
    /// Other content was stored under the same source and id; this event was refused.
    Conflict,
    /// It was stored before under this index, and erased since.
    Erased,
}

/// The answer for one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Its index, or that of the event it repeats.
    pub index: u64,
    /// The leaf hash at that index.
    pub leaf_hash: Hash,
    /// What became of it.
    pub status: Status,
}

/// Why a submission was not committed. Nothing of it is stored, except where said.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommitError {
    /// No room.
    #[error("the disk is full; make room, and it goes on by itself")]
    DiskFull,
    /// The catalog or the keyring refused.
    #[error("the events could not be stored: {0}; see the disk and the log, then send them again")]
    Failed(String),
    /// Whether they repeat others can't be told: the index of repeats is damaged. It is made again, if the events that it is about are
    /// whole. Records of reads, of administration and of erasure are stored all the same.
    #[error("the events are not stored: {0}")]
    Repeats(String),
    /// Whether it is stored is unknown.
    #[error("whether the events are stored is unknown: {0}; send them again, repeats are recognised")]
    Unknown(String),
    /// The trail is closing, or its committer has ended. What was on its way may be stored.
    #[error("the trail is closed; start it again, then send the events again: repeats are recognised")]
    Closed,
}

impl From<ApplyError> for CommitError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Full => Self::DiskFull,
            ApplyError::Failed(what) => Self::Failed(what),
            ApplyError::Unknown(what) => Self::Unknown(what),
        }
    }
}

/// Called once with what became of a submission, in the committer's thread: it must be short.
pub type Done = Box<dyn FnOnce(Result<Vec<Outcome>, CommitError>) + Send>;

/// Makes the rest of a transaction once the indexes are known.
pub(crate) type MakeRest = Box<dyn FnOnce(&mut Worker, &[Outcome]) -> Result<Change, CommitError> + Send>;

/// What goes with a submission beside its own rows.
pub(crate) struct Rest {
    /// The retention class of its events.
    pub class: &'static str,
    pub make: MakeRest,
}

/// Hands work to the committer. Cloning it is cheap.
#[derive(Clone)]
pub struct Handle(Arc<Queue>);

impl Handle {
    /// Queues a submission; `done` is called when it is durable, or failed.
    pub fn submit(&self, submission: Submission, done: Done) -> Result<(), SubmitError> {
        self.0.push(Job::submit(submission, None, done))
    }

    /// Queues a submission whose rows depend on the indexes that it gets.
    pub(crate) fn submit_with(&self, submission: Submission, rest: Rest, done: Done) -> Result<(), SubmitError> {
        self.0.push(Job::submit(submission, Some(rest), done))
    }

    /// Does `change` in a transaction of its own and waits for it.
    pub fn change(&self, step: Step, change: Change) -> Result<(), CommitError> {
        self.call(move |worker| worker.change(step, change))
    }

    /// The next id of a segment, a run or a key set. It is never given twice, not even after a crash.
    pub fn next_id(&self) -> Result<u64, CommitError> {
        self.call(Worker::take_id)
    }

    /// Does something in the committer's thread, between commits, and waits for it.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Worker) -> Result<T, CommitError> + Send + 'static,
    ) -> Result<T, CommitError> {
        let (sender, receiver) = sync_channel(1);
        let job = Job::Call(Box::new(move |worker| {
            // Whoever waits may have gone; then nobody wants the answer.
            let _ = sender.send(work(worker));
        }));
        self.0.push(job).map_err(|_| CommitError::Closed)?;
        receiver.recv().unwrap_or(Err(CommitError::Closed))
    }

    /// Does anything wait to be committed?
    pub fn is_waiting(&self) -> bool {
        self.0.is_waiting()
    }

    /// Is the disk full, so that only records of reads, administration and erasure are taken?
    pub fn is_full(&self) -> bool {
        self.0.is_full()
    }

    /// Has the committer ended?
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// The running thread.
pub(crate) struct Committer {
    handle: Handle,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Committer {
    /// Starts the thread.
    pub(crate) fn start(worker: Worker) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let handle = Handle(Arc::clone(&queue));
        let thread = std::thread::Builder::new().name("committer".to_owned()).spawn(move || work::run(worker, &queue))?;
        Ok(Self { handle, thread: Mutex::new(Some(thread)) })
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Takes no more submissions and waits until those that wait are done.
    pub(crate) fn drain(&self) {
        self.handle.0.drain();
        // That it is closed already is as good.
        let _ = self.handle.call(|_| Ok(()));
    }

    /// Takes no more work, finishes what waits, ends the thread.
    pub(crate) fn stop(&self) {
        self.handle.0.close();
        let thread = self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic there has already been answered with `Closed` to all who waited.
            let _ = thread.join();
        }
    }
}
