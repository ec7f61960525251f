//! Shredding a key set (`docs/format.md` section 3): record, remove, destroy the key, and only then report it done.
//!
//! Order: nothing new is sealed under the set; all under it is in the tree and in segments, so that neither tree nor index of repeats needs
//! its content again; one transaction holds the event, the erasure and the removal of the segments; then the key goes. A crash after the
//! transaction leaves an erasure that is not done, which the next start completes.

use recall_log::merkle::Hash;
use thiserror::Error;

use super::erasure::Erasure;
use super::{CommitError, Outcome, Status, Submission, SubmitError, Trail};
use crate::catalog::{Change, Kind, RowChange};
use crate::committer::Handle;
use crate::keys::{KeyringError, Keys, RootKeyError, RootSource, SetInfo};
use crate::seams::Step;
use crate::snapshot::{Part, Snapshot};

/// What a shredding did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shredding {
    /// What was erased, and by which event.
    pub erasure: Erasure,
    /// The leaf hash of the event that records it.
    pub leaf_hash: Hash,
}

/// Why a set was not shredded.
#[derive(Debug, Error)]
pub enum ShredError {
    /// There is no such set.
    #[error("there is no key set {0}; see `recall keys`")]
    Unknown(u64),
    /// The record is no new event.
    #[error("the record of an erasure must be one new event")]
    Record,
    /// The trail takes nothing.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The record could not be stored, so nothing was erased.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// What is to be erased could not be put into the tree first.
    #[error("nothing was erased: {0}")]
    Unready(String),
    /// The events are gone and recorded as erased, but the key could not be destroyed yet.
    #[error("the erasure is recorded, but the key is not destroyed yet: {0}; start the trail again to complete it")]
    Key(#[from] KeyringError),
}

impl Trail {
    /// Erases all events of key set `set` by destroying its key. `record` holds the one event that says what, by which rule, approved by whom.
    /// When this returns `Ok`, no copy of the folder and no backup can be opened any more as far as this set goes.
    pub fn shred(&self, set: u64, record: Submission) -> Result<Shredding, ShredError> {
        let running = self.running.as_ref().map_err(|reason| SubmitError::ReadOnly(reason.clone()))?;
        let info = self.keys.sets().into_iter().find(|info| info.id == set).ok_or(ShredError::Unknown(set))?;
        if !matches!(self.root, RootSource::File(_)) {
            return Err(ShredError::Key(RootKeyError::NotReplaceable.into()));
        }
        let events: usize = record.batches.iter().map(crate::batch::Batch::len).sum();
        if events != 1 {
            return Err(ShredError::Record);
        }
        let handle = running.committer.handle();
        handle.call(move |worker| worker.retire(set))?;
        self.publish_now().map_err(ShredError::Unready)?;
        running.compactor.flush(set).map_err(ShredError::Unready)?;
        let (erasure, leaf_hash) = self.record(&handle, info, record)?;
        self.destroy(&handle, erasure.clone())?;
        Ok(Shredding { erasure: Erasure { done: true, ..erasure }, leaf_hash })
    }

    /// The transaction: event, erasure row, segment rows removed; then the same in memory.
    fn record(&self, handle: &Handle, info: SetInfo, record: Submission) -> Result<(Erasure, Hash), ShredError> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let snapshots = std::sync::Arc::clone(&self.snapshots);
        let erasures = std::sync::Arc::clone(&self.erasures);
        let planned = std::sync::Arc::new(std::sync::Mutex::new(None));
        let plan = std::sync::Arc::clone(&planned);
        let rest = Box::new(move |_: &mut crate::committer::Worker, outcomes: &[Outcome]| {
            let [Outcome { index, status: Status::Stored, .. }] = outcomes else {
                return Err(CommitError::Failed(ShredError::Record.to_string()));
            };
            let (erasure, change) = removal(&snapshots.load(), info, *index)?;
            *plan.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(erasure);
            Ok(change)
        });
        let done = Box::new(move |result: Result<Vec<Outcome>, CommitError>| {
            let _ = sender.send(result);
        });
        handle.submit_with(record, rest, done)?;
        let outcomes = receiver.recv().unwrap_or(Err(CommitError::Closed))?;
        let erasure = planned.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let (Some(erasure), Some(outcome)) = (erasure, outcomes.first()) else { return Err(ShredError::Record) };
        erasures.put(erasure.clone());
        self.swap(&erasure);
        Ok((erasure, outcome.leaf_hash))
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

    /// Destroys the key and says so in the catalog.
    fn destroy(&self, handle: &Handle, erasure: Erasure) -> Result<(), ShredError> {
        destroy(&self.keys, &self.root, erasure.key_set)?;
        let erasure = Erasure { done: true, ..erasure };
        let row = erasure.row().map_err(|error| CommitError::Failed(error.to_string()))?;
        handle.change(Step::CatalogWrite, Change { rows: vec![row], ..Change::default() })?;
        self.erasures.put(erasure);
        Ok(())
    }

    /// Completes erasures that a crash interrupted.
    pub(super) fn finish_erasures(&self, handle: &Handle) -> Result<(), KeyringError> {
        for erasure in self.erasures.all().into_iter().filter(|erasure| !erasure.done) {
            match self.destroy(handle, erasure) {
                Err(ShredError::Key(error)) => return Err(error),
                Err(error) => tracing::warn!(%error, "an erasure is done, but not yet recorded as done"),
                Ok(()) => {}
            }
        }
        Ok(())
    }
}

/// Drops the set from the keyring and destroys the root key that wrapped it. That it is dropped already says that a crash came after it: the
/// root key is replaced all the same, since the old one may still lie on the disk.
fn destroy(keys: &Keys, root: &RootSource, set: u64) -> Result<(), KeyringError> {
    keys.drop_set(set, root).map(|_| ())
}

/// What erasing `info` removes from the catalog.
fn removal(snapshot: &Snapshot, info: SetInfo, by: u64) -> Result<(Erasure, Change), CommitError> {
    let mut erasure = Erasure { key_set: info.id, epoch: info.epoch, class: info.class, by, ranges: Vec::new(), done: false };
    let mut change = Change::default();
    for part in snapshot.parts() {
        match part {
            Part::Segment(segment) if segment.key_set() == info.id => {
                erasure.ranges.push((segment.first_index(), segment.count()));
                change.rows.push(RowChange::remove(Kind::Segment, format!("{:016x}", segment.row().id)));
            }
            Part::Fresh(fresh) if fresh.key_set() == info.id => {
                return Err(CommitError::Failed("events of the set are not in a segment yet; try again".to_owned()));
            }
            _ => {}
        }
    }
    change.rows.push(erasure.row().map_err(|error| CommitError::Failed(error.to_string()))?);
    Ok((erasure, change))
}
