//! What waits for the committer, within a byte budget.
//!
//! Every job is answered exactly once: one that is dropped unanswered, because the thread ended or panicked, answers `Closed`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;

use super::{Class, CommitError, Done, FRESH_LIMIT, GATEWAY_FRESH, Outcome, Rest, Submission, Worker};

/// Bytes of events that may wait (`docs/format.md` section 11).
pub const QUEUE_BYTES: usize = 96 << 20;
/// Room above that for records of gateways.
pub(super) const GATEWAY_BYTES: usize = 16 << 20;
/// Room above both for records of reads, of administration and of erasure.
const DUTY_BYTES: usize = 16 << 20;
/// Bytes that one commit takes at most, which bounds how long the others wait.
const GROUP_BYTES: usize = 32 << 20;

/// How often it is looked again whether the disk is still full.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Why a submission was not queued. Nothing of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SubmitError {
    /// Too much waits already.
    #[error("too many events wait to be stored; send again in a second")]
    Busy,
    /// The folder was opened for reading.
    #[error("the trail is read-only: {0}")]
    ReadOnly(String),
    /// The trail is closing, or its committer has ended.
    #[error("the trail is closed; start it again")]
    Closed,
}

/// The one answer to a submission.
pub(super) struct Reply(Option<Done>);

impl Reply {
    pub(super) fn send(mut self, result: Result<Vec<Outcome>, CommitError>) {
        if let Some(done) = self.0.take() {
            done(result);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(Err(CommitError::Closed));
        }
    }
}

pub(super) struct Submitted {
    pub submission: Submission,
    pub rest: Option<Rest>,
    pub reply: Reply,
}

type Call = Box<dyn FnOnce(&mut Worker) + Send>;

pub(super) enum Job {
    Submit(Box<Submitted>),
    Call(Call),
}

impl Job {
    pub(super) fn submit(submission: Submission, rest: Option<Rest>, done: Done) -> Self {
        Self::Submit(Box::new(Submitted { submission, rest, reply: Reply(Some(done)) }))
    }

    fn size_bytes(&self) -> usize {
        match self {
            Self::Submit(submitted) => submitted.submission.size_bytes(),
            Self::Call(_) => 0,
        }
    }

    fn budget(&self) -> usize {
        match self {
            Self::Submit(submitted) => match submitted.submission.class {
                Class::Ingest => QUEUE_BYTES,
                Class::Gateway => QUEUE_BYTES + GATEWAY_BYTES,
                Class::Duty => QUEUE_BYTES + GATEWAY_BYTES + DUTY_BYTES,
            },
            Self::Call(_) => usize::MAX,
        }
    }

    /// The backlog at which it is refused.
    fn backlog(&self) -> u64 {
        match self {
            Self::Submit(submitted) => match submitted.submission.class {
                Class::Ingest => FRESH_LIMIT,
                Class::Gateway => FRESH_LIMIT + GATEWAY_FRESH,
                Class::Duty => u64::MAX,
            },
            Self::Call(_) => u64::MAX,
        }
    }
}

#[derive(Default)]
struct Waiting {
    jobs: std::collections::VecDeque<Job>,
    size_bytes: usize,
    /// No more submissions.
    draining: bool,
    /// No more work at all.
    closed: bool,
}

#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    backlog: AtomicU64,
    full: AtomicBool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the committer tells those who queue: events that wait for a segment or for publication, and whether the disk is full.
    pub(super) fn report(&self, backlog: u64, full: bool) {
        self.backlog.store(backlog, Ordering::Relaxed);
        self.full.store(full, Ordering::Relaxed);
    }

    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    pub(super) fn is_closed(&self) -> bool {
        let waiting = self.lock();
        waiting.closed || waiting.draining
    }

    /// Refuses submissions from now on; what waits is done, and so are calls.
    pub(super) fn drain(&self) {
        self.lock().draining = true;
    }

    /// Queues a job, or gives the reason why not; its `done` is not called then.
    pub(super) fn push(&self, mut job: Job) -> Result<(), SubmitError> {
        let size_bytes = job.size_bytes();
        let refused = {
            let mut waiting = self.lock();
            let backlog = self.backlog.load(Ordering::Relaxed) >= job.backlog();
            // One submission always fits into an empty queue, whatever its size.
            let full = !waiting.jobs.is_empty() && waiting.size_bytes.saturating_add(size_bytes) > job.budget();
            if waiting.closed || (waiting.draining && matches!(job, Job::Submit(_))) {
                Err(SubmitError::Closed)
            } else if backlog || full {
                Err(SubmitError::Busy)
            } else {
                waiting.size_bytes = waiting.size_bytes.saturating_add(size_bytes);
                waiting.jobs.push_back(job);
                self.arrived.notify_one();
                return Ok(());
            }
        };
        if let Job::Submit(submitted) = &mut job {
            submitted.reply.0 = None;
        }
        refused
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.lock().jobs.is_empty()
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    /// Waits for work and takes what fits into one commit, into `jobs`. False when the queue is closed and empty. While the disk is full or
    /// ingest waits, it also returns without any after a while: nobody may come any more to make the committer look again.
    pub(super) fn take(&self, jobs: &mut Vec<Job>) -> bool {
        let mut waiting = self.lock();
        while waiting.jobs.is_empty() {
            if waiting.closed {
                return false;
            }
            waiting = match self.is_full() || self.backlog.load(Ordering::Relaxed) >= FRESH_LIMIT {
                false => self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                true => {
                    let (waiting, waited) = self.arrived.wait_timeout(waiting, LOOK_AGAIN).unwrap_or_else(PoisonError::into_inner);
                    if waited.timed_out() && waiting.jobs.is_empty() {
                        return true;
                    }
                    waiting
                }
            };
        }
        let mut taken = 0_usize;
        while let Some(job) = waiting.jobs.front() {
            let size_bytes = job.size_bytes();
            if !jobs.is_empty() && taken.saturating_add(size_bytes) > GROUP_BYTES {
                break;
            }
            taken = taken.saturating_add(size_bytes);
            jobs.extend(waiting.jobs.pop_front());
        }
        waiting.size_bytes = waiting.size_bytes.saturating_sub(taken);
        true
    }

    /// Closes and answers all that wait with `Closed`.
    pub(super) fn abandon(&self) {
        let dropped = {
            let mut waiting = self.lock();
            waiting.closed = true;
            waiting.size_bytes = 0;
            std::mem::take(&mut waiting.jobs)
        };
        // Outside the lock: the answers may run anything.
        drop(dropped);
    }
}
