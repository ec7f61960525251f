//! Making a trail. The catalog gets its name last, so that a folder either holds a whole trail or none.

use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use super::{Folder, LockError};
use crate::catalog::{ApplyError, Catalog, CatalogError, Change, State};
use crate::durable;
use crate::keys::{KeyringError, Keys, RootKey, RootKeyError, RootSource, TrailKey};
use crate::seams::{NoFaults, Random, Step, SystemRandom};

/// What a new trail is made of.
pub struct InitOptions {
    /// Its folder; made if absent.
    pub folder: PathBuf,
    /// Its root key; made if it is a file that is absent.
    pub root: RootSource,
    /// Its name: a URL without scheme, such as `recall.example.org/trail`.
    pub origin: String,
    /// Where the second copy of its last checkpoint lies, if not at `DIR.anchor`.
    pub anchor: Option<PathBuf>,
    /// Where its keys come from.
    pub random: Arc<dyn Random>,
}

impl InitOptions {
    /// With the machine's randomness.
    pub fn new(folder: impl Into<PathBuf>, root: RootSource, origin: impl Into<String>) -> Self {
        Self { folder: folder.into(), root, origin: origin.into(), anchor: None, random: Arc::new(SystemRandom) }
    }
}

/// Why no trail was made.
#[derive(Debug, Error)]
pub enum InitError {
    /// There is one.
    #[error("{0} holds a trail already; name another folder")]
    Exists(PathBuf),
    /// There was one, or half of one.
    #[error(
        "{folder} holds no catalog, but {found} is there: if this was a trail, restore it from a backup; if making it was cut short and nothing is in it, move that away first",
        folder = folder.display(), found = found.display()
    )]
    Remains {
        /// The folder.
        folder: PathBuf,
        /// What was found.
        found: PathBuf,
    },
    /// Another process works there.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The root key.
    #[error(transparent)]
    Root(#[from] RootKeyError),
    /// The keyring.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Its first rows.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The operating system refused.
    #[error("the folder could not be made: {0}; see its place and permissions")]
    Io(#[from] std::io::Error),
}

pub(super) fn init(options: &InitOptions) -> Result<(), InitError> {
    let folder = Folder::new(&options.folder, options.anchor.as_deref());
    if folder.holds_trail() {
        return Err(InitError::Exists(options.folder.clone()));
    }
    if let Some(found) = folder.remains()? {
        return Err(InitError::Remains { folder: options.folder.clone(), found });
    }
    folder.make()?;
    let _lock = folder.lock()?;
    let root = root_key(options)?;
    let faults = Arc::new(NoFaults);
    let keys = Keys::create(&folder.keyring(), &root, &options.origin, Arc::clone(&options.random), faults.clone())?;
    let temporary = durable::temporary(&folder.catalog());
    for leftover in ["", "-wal", "-shm"] {
        let mut name = temporary.clone().into_os_string();
        name.push(leftover);
        durable::remove(&PathBuf::from(name))?;
    }
    let mut catalog = Catalog::create(&temporary, keys.trail(TrailKey::Catalog), Arc::clone(&options.random), faults)?;
    catalog.apply(Step::CatalogWrite, &Change::default(), &mut State::default())?;
    catalog.tidy()?;
    drop(catalog);
    durable::rename(&temporary, &folder.catalog())?;
    Ok(())
}

fn root_key(options: &InitOptions) -> Result<RootKey, RootKeyError> {
    match (&options.root, options.root.load()) {
        (RootSource::File(path), Err(RootKeyError::Absent(_))) => {
            let root = RootKey::generate(&*options.random);
            root.write_new(path)?;
            Ok(root)
        }
        (_, loaded) => loaded,
    }
}
