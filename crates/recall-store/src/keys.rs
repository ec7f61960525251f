//! Every key of a trail, and who may have which (`docs/format.md` section 3).
//!
//! `Keys` is shared by all threads. Callers name a key by what it is for and never see a set key or a trail key itself. Keys of PHI
//! columns and sections come through `PhiAccess` alone; code that was given none can't derive them.

mod ring;
mod root;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use thiserror::Error;

pub use ring::{KeyringError, root_id_wanted};
pub use root::{RootKey, RootKeyError, RootKeyId, RootSource};

use crate::seal::derive;
use crate::seams::{Faults, Random};
use crate::secret::Key32;
use ring::Keyring;

/// The retention class of every event but the records of erasures.
pub const STANDARD_CLASS: &str = "standard";
/// The retention class of the records of erasures, which is never shredded.
pub const ERASURE_CLASS: &str = "erasure";

/// What a trail's own key is turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrailKey {
    /// Posting tokens.
    Token,
    /// Keys and tags of events that were seen.
    Dedupe,
    /// Rows and heads of the catalog.
    Catalog,
    /// The Parquet key of dedupe runs.
    Runs,
    /// The MAC of search cursors.
    Cursor,
    /// Salts of names that no user has.
    Nobody,
}

impl TrailKey {
    fn purpose(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Dedupe => "dedupe",
            Self::Catalog => "catalog",
            Self::Runs => "runs",
            Self::Cursor => "cursor",
            Self::Nobody => "nobody",
        }
    }
}

/// A key of a set that any authorised reader may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicKey {
    /// The public section of the batch that starts at this index.
    Batch(u64),
    /// The public columns (and the footer) of this segment.
    Segment(u64),
    /// The posting file of this segment.
    Postings(u64),
}

/// A key of a set that opens PHI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhiKey {
    /// The PHI section of the batch that starts at this index.
    Batch(u64),
    /// The PHI columns of this segment.
    Segment(u64),
}

/// The key set that was asked for is in the keyring no more: what it sealed is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("key set {0} is gone: what it sealed was erased")]
pub struct SetGone(pub u64);

/// One key set, without its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetInfo {
    /// Its id, never used again.
    pub id: u64,
    /// The month it belongs to, `2026-11`.
    pub epoch: String,
    /// The retention class.
    pub class: String,
}

/// The keyring in memory.
pub struct Keys {
    ring: RwLock<Keyring>,
    path: PathBuf,
    random: Arc<dyn Random>,
    faults: Arc<dyn Faults>,
}

impl Keys {
    /// Makes the keyring of a new trail at `path`: a trail key and a signing key, no set yet.
    pub fn create(
        path: &Path,
        root: &RootKey,
        origin: &str,
        random: Arc<dyn Random>,
        faults: Arc<dyn Faults>,
    ) -> Result<Self, KeyringError> {
        let ring = Keyring::new(root.clone(), origin, &*random)?;
        ring.save(path, &*random, &*faults)?;
        Ok(Self { ring: RwLock::new(ring), path: path.to_owned(), random, faults })
    }

    /// Reads the keyring at `path` and unwraps it.
    pub fn load(path: &Path, root: &RootKey, random: Arc<dyn Random>, faults: Arc<dyn Faults>) -> Result<Self, KeyringError> {
        let ring = Keyring::load(path, root.clone())?;
        Ok(Self { ring: RwLock::new(ring), path: path.to_owned(), random, faults })
    }

    /// The root key that the source gives, provided the keyring at `path` is wrapped under it; while it is being replaced, the one in
    /// `FILE.new`. Nothing is written. Errors name the key id that is wanted and the one that was given.
    pub fn find_root(path: &Path, source: &RootSource) -> Result<RootKey, KeyringError> {
        ring::find_root(path, source)
    }

    /// As `find_root`, and finishes a replacement that a crash cut short. The caller holds the folder's lock.
    pub(crate) fn settle_root(path: &Path, source: &RootSource) -> Result<RootKey, KeyringError> {
        ring::settle_root(path, source)
    }

    fn read(&self) -> RwLockReadGuard<'_, Keyring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Keyring> {
        self.ring.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of the root key that wraps the keyring.
    pub fn root_id(&self) -> RootKeyId {
        self.read().root.id()
    }

    /// The log's origin, a URL without scheme.
    pub fn origin(&self) -> String {
        self.read().origin.clone()
    }

    /// The log's public key as a signed-note verifier key.
    pub fn vkey(&self) -> String {
        self.read().vkey.clone()
    }

    /// The Ed25519 seed that signs checkpoints.
    pub(crate) fn signing_seed(&self) -> Key32 {
        self.read().signing.key.clone()
    }

    /// A key of the trail itself.
    pub fn trail(&self, key: TrailKey) -> Key32 {
        derive(&self.read().trail.key, key.purpose(), &[])
    }

    /// A key of set `set` that any authorised reader may use.
    pub fn public(&self, set: u64, key: PublicKey) -> Result<Key32, SetGone> {
        let (purpose, subject) = match key {
            PublicKey::Batch(first_index) => ("batch-public", first_index),
            PublicKey::Segment(id) => ("segment-public", id),
            PublicKey::Postings(id) => ("segment-postings", id),
        };
        self.of_set(set, purpose, subject)
    }

    fn of_set(&self, set: u64, purpose: &str, subject: u64) -> Result<Key32, SetGone> {
        let ring = self.read();
        let found = ring.sets.iter().rev().find(|entry| entry.info.id == set).ok_or(SetGone(set))?;
        Ok(derive(&found.key, purpose, &subject.to_be_bytes()))
    }

    /// The capability to open PHI. Only the store's own work (sealing, compaction, verification) and `Trail::phi_access` hand it out.
    pub(crate) fn phi_access(self: &Arc<Self>) -> PhiAccess {
        PhiAccess(Arc::clone(self))
    }

    /// Every set, oldest first.
    pub fn sets(&self) -> Vec<SetInfo> {
        self.read().sets.iter().map(|set| set.info.clone()).collect()
    }

    /// The set of an epoch and class, if there is one.
    pub fn set_for(&self, epoch: &str, class: &str) -> Option<u64> {
        self.read().sets.iter().rev().find(|set| set.info.epoch == epoch && set.info.class == class).map(|set| set.info.id)
    }

    /// Makes a new set. It is durable before this returns, so that nothing is ever sealed under a key that a crash could lose.
    pub(crate) fn add_set(&self, info: SetInfo) -> Result<(), KeyringError> {
        let mut ring = self.write();
        let mut next = ring.clone();
        next.add_set(info, &*self.random);
        next.save(&self.path, &*self.random, &*self.faults)?;
        *ring = next;
        Ok(())
    }

    /// Wraps everything under a new root key and destroys the old one. Returns the new root key's id. The caller holds the folder's lock.
    pub(crate) fn rotate_root(&self, source: &RootSource) -> Result<RootKeyId, KeyringError> {
        let mut ring = self.write();
        let mut next = ring.clone();
        let replaced = ring::replace_root(&mut next, &self.path, source, &*self.random, &*self.faults);
        let id = next.root.id();
        // After an error the file says which root key counts; without an answer nothing more may be written, or it could be wrapped
        // under a key that is destroyed.
        match (&replaced, root_id_wanted(&self.path)) {
            (Ok(()), _) => *ring = next,
            (Err(_), Ok(wanted)) if wanted == id => *ring = next,
            (Err(_), Ok(_)) => {}
            (Err(_), Err(_)) => ring.doubtful = true,
        }
        replaced.map(|()| id)
    }

    /// Drops sets, wraps the survivors under a new root key and destroys the old one. The sets are unusable from the moment of the call, even
    /// where an error is returned; the caller repeats the call until it succeeds, and reports the erasure done only then.
    pub(crate) fn drop_sets(&self, ids: &[u64], source: &RootSource) -> Result<RootKeyId, KeyringError> {
        ids.iter().for_each(|id| self.forget(*id));
        self.rotate_root(source)
    }

    /// Drops a set from memory, and from the file when that is written next.
    pub(crate) fn forget(&self, id: u64) {
        self.write().drop_set(id);
    }

    /// Could the root key be replaced? It is tried, and nothing is left of the trial.
    pub(crate) fn check_replaceable(&self, source: &RootSource) -> Result<(), KeyringError> {
        ring::check_replaceable(source)
    }

    /// Gives the log a new origin and signing key: what `recall recover` does with a restored copy.
    pub(crate) fn new_identity(&self, origin: &str) -> Result<(), KeyringError> {
        let mut ring = self.write();
        let mut next = ring.clone();
        next.new_identity(origin, &*self.random)?;
        next.save(&self.path, &*self.random, &*self.faults)?;
        *ring = next;
        Ok(())
    }
}

/// The capability to open PHI sections and columns.
#[derive(Clone)]
pub struct PhiAccess(Arc<Keys>);

impl PhiAccess {
    /// A key of set `set` that opens PHI.
    pub fn key(&self, set: u64, key: PhiKey) -> Result<Key32, SetGone> {
        let (purpose, subject) = match key {
            PhiKey::Batch(first_index) => ("batch-phi", first_index),
            PhiKey::Segment(id) => ("segment-phi", id),
        };
        self.0.of_set(set, purpose, subject)
    }
}
