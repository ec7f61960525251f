//! A trail: one folder, opened. The way in for events, and the way to what is stored.
//!
//! Owns the order in which the parts start and stop. It must not know HTTP, queries, or who is asking; whoever asks for PHI has been
//! authorised before.

pub(crate) mod erasure;
mod folder;
mod init;
mod judge;
mod open;
mod receipt;
mod shred;
#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use erasure::{Erasure, Erasures};
pub(crate) use folder::{Folder, FolderLock, RESTORED};
pub use folder::{LockError, beside, settled};
pub use init::{InitError, InitOptions};
pub use open::{OpenError, OpenOptions};
pub use receipt::{Disclosure, ReceiptError};
pub use shred::{Doomed, ShredError, Shredding};

pub use crate::committer::{Class, CommitError, Done, Outcome, Status, Submission, SubmitError};
pub use crate::publisher::{Published, WaitError};

use crate::batch::{Encoder, Identity};
use crate::catalog::{Damage, Kind, RowChange, Rows};
use crate::committer::{Committer, Handle, month};
use crate::compactor::Compactor;
use crate::dedupe::Dedupe;
use crate::keys::{KeyringError, Keys, PhiAccess, RootKeyId, RootSource};
use crate::publisher::{Publication, PublisherThread};
use crate::seams::{Clock, Random};
use crate::snapshot::{Erased, ReadError, Snapshot, Snapshots};
use crate::source::{Register, Source};

/// The row of kind `Source` that says up to which index the others count. No source has an empty name.
pub(crate) const SOURCES_AS_OF: &str = "";
/// Rows of kind `Setting` whose name starts so hold how often a source is expected, in seconds.
const EXPECTATION: &str = "source.expected_every_s/";
/// The row of kind `Setting` that holds the checkpoint that a recovery left behind, until an event names it.
pub(crate) const RECOVERED_FROM: &str = "recovered_from";

/// The row of kind `Setting` that holds what was found damaged in the catalog and repaired, until an event says so.
pub(crate) const DAMAGE_FOUND: &str = "damage_found";

/// The row that keeps the expected interval of a source.
pub(crate) fn expectation_row(source: &str, every_s: Option<u64>) -> RowChange {
    let name = format!("{EXPECTATION}{source}");
    match every_s {
        Some(every_s) => RowChange::put(Kind::Setting, name, every_s.to_be_bytes()),
        None => RowChange::remove(Kind::Setting, name),
    }
}

/// The threads of a trail that takes events.
struct Running {
    committer: Committer,
    publisher: PublisherThread,
    compactor: Compactor,
}

/// An open trail.
pub struct Trail {
    folder: Folder,
    root: RootSource,
    keys: Arc<Keys>,
    encoder: Encoder,
    snapshots: Arc<Snapshots>,
    dedupe: Arc<Dedupe>,
    rows: Rows,
    register: Arc<Mutex<Register>>,
    erasures: Arc<Erasures>,
    publication: Arc<Publication>,
    damage: Vec<Damage>,
    /// Without threads the trail is read-only, for this reason.
    running: Result<Running, String>,
    /// Is it, or may it be, behind or beside what was published from it?
    copy: bool,
    /// Is it so for certain?
    behind: bool,
    /// Events whose keys are destroyed, without a record of it here.
    gone: Vec<Erased>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Keys are shredded and rotated one at a time.
    key_work: Mutex<()>,
    /// Held until all else is closed.
    lock: Option<FolderLock>,
}

impl Trail {
    /// Makes a new trail in a folder.
    pub fn init(options: &InitOptions) -> Result<(), InitError> {
        init::init(options)
    }

    /// Opens a trail. One that is damaged in its catalog, or that is a copy behind or beside what was published, opens read-only.
    pub fn open(options: OpenOptions) -> Result<Self, OpenError> {
        open::open(options)
    }

    fn handle(&self) -> Result<Handle, SubmitError> {
        match &self.running {
            Ok(running) => Ok(running.committer.handle()),
            Err(reason) => Err(SubmitError::ReadOnly(reason.clone())),
        }
    }

    /// Queues events and rows; `done` is called, in the committer's thread, when they are durable or failed. Where an error is returned,
    /// `done` is not called.
    pub fn submit(&self, submission: Submission, done: Done) -> Result<(), SubmitError> {
        self.handle()?.submit(submission, done)
    }

    /// As `submit`, and waits.
    pub fn submit_and_wait(&self, submission: Submission) -> Result<Result<Vec<Outcome>, CommitError>, SubmitError> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.submit(
            submission,
            Box::new(move |result| {
                let _ = sender.send(result);
            }),
        )?;
        Ok(receiver.recv().unwrap_or(Err(CommitError::Closed)))
    }

    /// Makes batches of events for this trail.
    pub fn encoder(&self) -> Encoder {
        self.encoder.clone()
    }

    /// The right to open PHI. Whoever calls this has authorised the reader.
    pub fn phi_access(&self) -> PhiAccess {
        self.keys.phi_access()
    }

    /// The keyring.
    pub fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Makes a new root key, wraps all keys under it and destroys the old one. Returns the new one's id.
    pub fn rotate_root(&self) -> Result<RootKeyId, KeyringError> {
        let _one_at_a_time = self.key_work.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lock.is_none() {
            return Err(KeyringError::ReadOnly);
        }
        self.keys.rotate_root(&self.root)
    }

    /// The trail as of now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.load()
    }

    /// Events that are committed.
    pub fn size(&self) -> u64 {
        self.snapshots.load().size()
    }

    /// A row, from memory.
    pub fn row(&self, kind: Kind, name: &str) -> Option<Arc<[u8]>> {
        self.rows.get(kind, name)
    }

    /// All rows of a kind, by name, from memory.
    pub fn rows(&self, kind: Kind) -> Vec<(String, Arc<[u8]>)> {
        self.rows.all(kind)
    }

    fn register(&self) -> MutexGuard<'_, Register> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The register of sources, as of now.
    pub fn sources(&self) -> Vec<(String, Source)> {
        self.register().iter().map(|(name, source)| (name.to_owned(), source.clone())).collect()
    }

    /// What was erased.
    pub fn erasures(&self) -> Vec<Erasure> {
        self.erasures.all()
    }

    /// Indexes of events with this id, over all sources. `None` where there may be sources that the register did not take any more: only
    /// the events themselves can tell then.
    pub fn find_id(&self, id: &str) -> Result<Option<Vec<u64>>, ReadError> {
        let identities: Vec<Identity> = {
            let register = self.register();
            if register.is_full() {
                return Ok(None);
            }
            register.iter().map(|(source, _)| self.encoder.identity(source, id, &[], 0..0, &[])).collect()
        };
        Ok(Some(self.dedupe.find(&identities)?.into_iter().flatten().map(|seen| seen.index).collect()))
    }

    /// The last published checkpoint, a signed note; empty before the first.
    pub fn checkpoint(&self) -> Arc<Published> {
        self.publication.published()
    }

    /// The size of the last published tree.
    pub fn published(&self) -> u64 {
        self.publication.published().size
    }

    /// Waits until the tree of `size` events is published.
    pub fn wait_published(&self, size: u64, timeout: Duration) -> Result<Arc<Published>, WaitError> {
        self.publication.wait_published(size, timeout)
    }

    /// Publishes now, without waiting for the interval. The error says what failed; it is tried again by itself.
    pub fn publish_now(&self) -> Result<Arc<Published>, String> {
        match &self.running {
            Ok(_) => self.publication.publish_now(),
            Err(reason) => Err(reason.clone()),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The public log: checkpoint, tiles and bundles as C2SP tlog-tiles names them.
    pub fn log_dir(&self) -> PathBuf {
        self.folder.log()
    }

    /// What was found to be damaged when the trail was opened; what is whole is served.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// What does not stop the trail but keeps a part of it from being served, or from being told: damage that was found at the start, and
    /// where repeats can't be told now. Empty where all is well.
    pub fn degraded(&self) -> Vec<String> {
        let lost = self.dedupe.lost();
        self.damage.iter().map(ToString::to_string).chain(lost.iter().map(ToString::to_string)).collect()
    }

    /// The month under which new events are kept, where the clock has not reached it: an earlier reading was ahead, or this one is behind. It
    /// never goes back, so until the clock gets there the events of all months are kept, and erased, under this one.
    pub fn month_ahead(&self) -> Option<String> {
        let latest = self.keys.sets().into_iter().map(|set| set.epoch).max()?;
        (latest > month(self.clock.now())).then_some(latest)
    }

    /// Why it takes no events at all, if so.
    pub fn read_only(&self) -> Option<&str> {
        self.running.as_ref().err().map(String::as_str)
    }

    /// Is it a restored or forked copy, or can nobody tell that it is none? Then `recover` goes on with it.
    pub fn is_copy(&self) -> bool {
        self.copy
    }

    /// Is it behind or beside what was published from it, as a checkpoint shows?
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// Events that were erased after this copy was made: their keys are destroyed, and the record of it is not here.
    pub fn gone(&self) -> &[Erased] {
        &self.gone
    }

    /// Why it can't take events now; none when it can.
    pub fn not_ready(&self) -> Option<String> {
        match &self.running {
            Err(reason) => Some(reason.clone()),
            Ok(running) if running.committer.handle().is_closed() => Some("the trail is closed".to_owned()),
            Ok(_) if self.publication.has_ended() => Some("the publisher has ended by a mistake; see the log, and start again".to_owned()),
            Ok(running) if running.compactor.has_ended() => {
                Some("the compactor has ended by a mistake; see the log, and start again".to_owned())
            }
            Ok(running) if running.committer.handle().is_full() => Some("the disk is full".to_owned()),
            Ok(_) => None,
        }
    }

    /// Why the last attempt to publish failed, if it did.
    pub fn publish_failure(&self) -> Option<String> {
        self.publication.failure()
    }

    /// The signed checkpoint of the tree that a recovery left behind, until an event that names it is stored together with
    /// `Trail::recovery_named`.
    pub fn recovered_from(&self) -> Option<String> {
        self.row(Kind::Setting, RECOVERED_FROM).and_then(|note| String::from_utf8(note.to_vec()).ok())
    }

    /// The row change that goes with the event which names `recovered_from`.
    pub fn recovery_named() -> RowChange {
        RowChange::remove(Kind::Setting, RECOVERED_FROM)
    }

    /// What was found damaged in the catalog, dropped and repaired, until an event that says so is stored together with
    /// `Trail::damage_named`.
    pub fn damage_found(&self) -> Option<String> {
        self.row(Kind::Setting, DAMAGE_FOUND).and_then(|found| String::from_utf8(found.to_vec()).ok())
    }

    /// The row change that goes with the event which tells of `damage_found`.
    pub fn damage_named() -> RowChange {
        RowChange::remove(Kind::Setting, DAMAGE_FOUND)
    }

    /// The clock it was opened with.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The randomness it was opened with.
    pub fn random(&self) -> &Arc<dyn Random> {
        &self.random
    }

    /// Stops: takes no more, merges no more, publishes the last checkpoint, merges the catalog's log. Again is no error.
    pub fn close(&self) {
        if let Ok(running) = &self.running {
            running.committer.drain();
            running.compactor.stop();
            running.publisher.stop();
            running.committer.stop();
        }
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        self.close();
    }
}
