//! Shredding the key sets of an epoch (`docs/format.md` section 3): record, remove, destroy the keys, and only then report it done.
//!
//! Order: that the root key can be replaced is tried; nothing new is sealed under the sets; all under them is in the tree and in segments, so
//! that neither tree nor index of repeats needs its content again; one transaction holds the event, the erasures and the removal of the
//! segments; then the keys go. A crash after the transaction leaves erasures that are not done, which the next start completes.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use super::erasure::Erasure;
use super::{CommitError, Outcome, Status, Submission, SubmitError, Trail};
use crate::catalog::{Change, Kind, RowChange};
use crate::committer::{Handle, Rest, Worker};
use crate::keys::{ERASURE_CLASS, KeyringError, SetInfo};
use crate::seams::Step;
use crate::segment::SegmentRow;
use crate::snapshot::Part;

/// What is about to be erased, for whoever writes the record of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doomed {
    /// The key sets.
    pub sets: Vec<SetInfo>,
    /// First index and count of each run of events under them, ascending.
    pub ranges: Vec<(u64, u32)>,
}

/// What a shredding did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shredding {
    /// What was erased, and by which event: one for each key set.
    pub erasures: Vec<Erasure>,
    /// The event that records it.
    pub by: u64,
}

/// Why a set was not shredded.
#[derive(Debug, Error)]
pub enum ShredError {
    /// There is no such set.
    #[error("there is no key set of this epoch and class; see `recall keys list`")]
    Unknown,
    /// What says that others were erased must outlive them.
    #[error("the records of erasures are kept: without them nobody could tell 'erased' from 'missing'")]
    Kept,
    /// The record is no new event.
    #[error("the record of an erasure must be one new event")]
    Record,
    /// The record could not be made.
    #[error("the erasure can't be recorded, so nothing was erased: {0}")]
    Unrecordable(String),
    /// The trail takes nothing.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The record could not be stored, so nothing was erased.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// What is to be erased could not be put into the tree first.
    #[error("nothing was erased: {0}")]
    Unready(String),
    /// The root key that wraps the sets can't be destroyed, so nothing was begun.
    #[error("nothing was erased: {0}")]
    Root(KeyringError),
    /// The events are gone and recorded as erased, but the keys could not be destroyed yet.
    #[error("the erasure is recorded, but the key is not destroyed yet: {0}; ask for it again, or start the trail again, to complete it")]
    Key(#[from] KeyringError),
}

impl Trail {
    /// Erases all events of an epoch and retention class by destroying every key set of theirs. `record` makes the one event that says what,
    /// by which rule, approved by whom. When this returns `Ok`, no copy of the folder and no backup can be opened any more as far as these
    /// events go, but with a copy of the root key that was kept elsewhere. Where an earlier attempt got as far as its record, that one is
    /// completed.
    pub fn shred(
        &self,
        epoch: &str,
        class: &str,
        record: impl FnOnce(&Doomed) -> Result<Submission, String>,
    ) -> Result<Shredding, ShredError> {
        let _one_at_a_time = self.key_work.lock().unwrap_or_else(PoisonError::into_inner);
        let running = self.running.as_ref().map_err(|reason| SubmitError::ReadOnly(reason.clone()))?;
        if class == ERASURE_CLASS {
            return Err(ShredError::Kept);
        }
        self.keys.check_replaceable(&self.root).map_err(ShredError::Root)?;
        let handle = running.committer.handle();
        let mut begun = self.erasures.all();
        begun.retain(|erasure| !erasure.done && erasure.epoch == epoch && erasure.class == class);
        if let Some(by) = begun.first().map(|erasure| erasure.by) {
            return Ok(Shredding { erasures: self.destroy(&handle, begun)?, by });
        }
        let mut sets = self.keys.sets();
        sets.retain(|set| set.epoch == epoch && set.class == class);
        if sets.is_empty() {
            return Err(ShredError::Unknown);
        }
        for set in sets.clone() {
            handle.call(move |worker| worker.retire(&set))?;
        }
        self.publish_now().map_err(ShredError::Unready)?;
        let paused = running.compactor.flush(sets.iter().map(|set| set.id).collect()).map_err(ShredError::Unready)?;
        let doomed = doomed(&handle, sets.clone())?;
        let record = record(&doomed).map_err(ShredError::Unrecordable)?;
        let erasures = self.record(&handle, sets, record)?;
        drop(paused);
        let by = erasures.first().map_or(0, |erasure| erasure.by);
        Ok(Shredding { erasures: self.destroy(&handle, erasures)?, by })
    }

    /// The transaction: event, erasure rows, segment rows removed; then the same in memory.
    fn record(&self, handle: &Handle, sets: Vec<SetInfo>, record: Submission) -> Result<Vec<Erasure>, ShredError> {
        let events: usize = record.batches.iter().map(crate::batch::Batch::len).sum();
        if events != 1 {
            return Err(ShredError::Record);
        }
        let (sender, receiver) = sync_channel(1);
        let planned = Arc::new(Mutex::new(Vec::new()));
        let plan = Arc::clone(&planned);
        let make = Box::new(move |worker: &mut Worker, outcomes: &[Outcome]| {
            let [Outcome { index, status: Status::Stored, .. }] = outcomes else {
                return Err(CommitError::Failed(ShredError::Record.to_string()));
            };
            let (erasures, change) = removal(worker, sets, *index)?;
            *plan.lock().unwrap_or_else(PoisonError::into_inner) = erasures;
            Ok(change)
        });
        let done = Box::new(move |result: Result<Vec<Outcome>, CommitError>| {
            let _ = sender.send(result);
        });
        handle.submit_with(record, Rest { class: ERASURE_CLASS, make }, done)?;
        receiver.recv().unwrap_or(Err(CommitError::Closed))?;
        let erasures = std::mem::take(&mut *planned.lock().unwrap_or_else(PoisonError::into_inner));
        for erasure in &erasures {
            self.erasures.put(erasure.clone());
            self.swap(erasure);
        }
        Ok(erasures)
    }

    /// Puts the erasure in place of its segments, whose files go with the last query that reads them.
    fn swap(&self, erasure: &Erasure) {
        for part in self.snapshot().parts() {
            if let Part::Segment(segment) = part
                && segment.key_set() == erasure.key_set
            {
                segment.mark_obsolete();
            }
        }
        for erased in erasure.parts() {
            if let Err(gap) = self.snapshots.replace(Part::Erased(erased)) {
                tracing::warn!(%gap, "an erased segment is shown as unreadable until the next start");
            }
        }
    }

    /// Destroys the keys and says so in the catalog. That a set is out of the keyring already says that a crash came after it: the root key is
    /// replaced all the same, since the old one may still lie on the disk.
    fn destroy(&self, handle: &Handle, mut erasures: Vec<Erasure>) -> Result<Vec<Erasure>, ShredError> {
        let sets: Vec<u64> = erasures.iter().map(|erasure| erasure.key_set).collect();
        self.keys.drop_sets(&sets, &self.root)?;
        let mut change = Change::default();
        for erasure in &mut erasures {
            erasure.done = true;
            change.rows.push(erasure.row().map_err(|error| CommitError::Failed(error.to_string()))?);
        }
        handle.change(Step::CatalogWrite, change)?;
        erasures.iter().cloned().for_each(|erasure| self.erasures.put(erasure));
        Ok(erasures)
    }

    /// Completes erasures that a crash interrupted. One that can't be completed stays as it is, and what it erased stays unreadable: its keys
    /// are out of memory, and the trail works on.
    pub(super) fn finish_erasures(&self, handle: &Handle) {
        let undone = self.unfinished_erasures();
        if undone.is_empty() {
            return;
        }
        match self.destroy(handle, undone) {
            Ok(_) => {}
            Err(ShredError::Key(error)) => {
                tracing::error!(%error, "an erasure is recorded, but its key could not be destroyed; see `recall doctor`")
            }
            Err(error) => tracing::warn!(%error, "an erasure is done, but not yet recorded as done"),
        }
    }

    /// Erasures that are recorded, and whose key is not known to be destroyed.
    pub fn unfinished_erasures(&self) -> Vec<Erasure> {
        self.erasures.all().into_iter().filter(|erasure| !erasure.done).collect()
    }
}

fn doomed(handle: &Handle, sets: Vec<SetInfo>) -> Result<Doomed, CommitError> {
    let of = sets.clone();
    let (erasures, _) = handle.call(move |worker| removal(worker, of, 0))?;
    let mut ranges: Vec<(u64, u32)> = erasures.into_iter().flat_map(|erasure| erasure.ranges).collect();
    ranges.sort_unstable();
    Ok(Doomed { sets, ranges })
}

/// What erasing `sets` removes from the catalog: all that its rows say of them, readable or not. In the committer's thread.
fn removal(worker: &Worker, sets: Vec<SetInfo>, by: u64) -> Result<(Vec<Erasure>, Change), CommitError> {
    let failed = |error: &dyn ToString| CommitError::Failed(error.to_string());
    let rows = worker.catalog.rows();
    let segments = rows.all(Kind::Segment).into_iter().map(|(_, value)| SegmentRow::decode(&value));
    let segments: Vec<SegmentRow> = segments.collect::<Result<_, _>>().map_err(|error| failed(&error))?;
    let mut change = Change::default();
    let mut erasures = Vec::with_capacity(sets.len());
    for info in sets {
        let fresh = |part: &Part| matches!(part, Part::Fresh(fresh) if fresh.key_set() == info.id);
        if worker.snapshots.load().parts().iter().any(fresh) {
            return Err(failed(&"events of the set are not in a segment yet; try again"));
        }
        if rows.get(Kind::Erasure, &Erasure::name(info.id)).is_some() {
            return Err(failed(&"the set is recorded as erased already"));
        }
        let mut ranges = Vec::new();
        for segment in segments.iter().filter(|segment| segment.key_set == info.id) {
            ranges.push((segment.first_index, segment.count));
            change.rows.push(RowChange::remove(Kind::Segment, SegmentRow::name(segment.id)));
        }
        // Every batch that could be read is in a segment; those that stayed are damaged.
        for (first_index, count) in worker.catalog.batches_of(info.id).map_err(|error| failed(&error))? {
            ranges.push((first_index, count));
            change.remove_batches.push(first_index..first_index.saturating_add(u64::from(count)));
        }
        ranges.sort_unstable();
        let erasure = Erasure { key_set: info.id, epoch: info.epoch, class: info.class, by, ranges, done: false };
        change.rows.push(erasure.row().map_err(|error| failed(&error))?);
        erasures.push(erasure);
    }
    Ok((erasures, change))
}
