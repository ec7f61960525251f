//! `recall recover`: going on with a restored or forked copy, under a new origin and signing key (`docs/format.md` section 8).
//!
//! The tree stays as it is; who signs it changes. What the copy is behind of, or beside, is kept in the catalog until an event names it, so
//! that a crash on the way loses nothing: recovery is run again, or the next start goes on.

use std::fs;
use std::io;
use std::path::Path;

use thiserror::Error;

use crate::catalog::{ApplyError, Catalog, CatalogError, Change, Kind, RowChange};
use crate::durable;
use crate::keys::{KeyringError, Keys, TrailKey};
use crate::publisher::Signed;
use crate::seams::Step;
use crate::trail::{Folder, LockError, OpenError, OpenOptions, RECOVERED_FROM, Trail};

/// Why a trail was not recovered.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// It can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It takes events as it is.
    #[error("the trail is neither behind nor beside what was published from it; there is nothing to recover")]
    Whole,
    /// Nothing may be built on it.
    #[error("the trail is damaged ({0}); restore it from a backup first")]
    Damaged(String),
    /// Another process works there.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The keyring.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A row.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The operating system refused.
    #[error("the trail could not be recovered: {0}")]
    Io(#[from] io::Error),
}

/// Gives the trail a new origin and signing key and opens it. The caller stores an event that names `Trail::recovered_from`, together with
/// `Trail::recovery_named`, before any other.
pub fn recover(options: OpenOptions, origin: &str) -> Result<Trail, RecoverError> {
    refuse_whole(&options)?;
    let folder = Folder::new(&options.folder, options.anchor.as_deref());
    let lock = folder.lock()?;
    let root = Keys::settle_root(&folder.keyring(), &options.root)?;
    let keys = Keys::load(&folder.keyring(), &root, options.random.clone(), options.faults.clone())?;
    drop(root);
    let mut catalog = Catalog::open(&folder.catalog(), keys.trail(TrailKey::Catalog), options.random.clone(), options.faults.clone())?;
    let loaded = catalog.load()?;
    let mut state = loaded.state.ok_or_else(|| RecoverError::Damaged("the state row is missing".to_owned()))?;
    let rows = catalog.rows();
    let mut change = Change::default();
    // A recovery that was cut short has kept it already, and the files may be gone.
    if rows.get(Kind::Setting, RECOVERED_FROM).is_none() {
        let left_behind = [read(&folder.anchor())?, read(&folder.checkpoint())?].into_iter().flatten().next().unwrap_or_default();
        change.rows.push(RowChange::put(Kind::Setting, RECOVERED_FROM, left_behind));
    }
    if let Some(signed) = Signed::load(&rows).map_err(|what| RecoverError::Damaged(what.to_owned()))? {
        change.rows.push(Signed { note: String::new(), ..signed }.row());
    }
    catalog.apply(Step::CatalogWrite, &change, &mut state)?;
    drop(catalog);
    keys.new_identity(origin)?;
    for path in [folder.anchor(), folder.checkpoint()] {
        durable::remove(&path)?;
        durable::sync_parent(&path)?;
    }
    drop(lock);
    Ok(Trail::open(options)?)
}

fn refuse_whole(options: &OpenOptions) -> Result<(), RecoverError> {
    let trail = Trail::open(OpenOptions { read_only: true, ..options.clone() })?;
    if let Some(damage) = trail.damage().first() {
        return Err(RecoverError::Damaged(damage.to_string()));
    }
    if trail.is_copy() || trail.recovered_from().is_some() { Ok(()) } else { Err(RecoverError::Whole) }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
