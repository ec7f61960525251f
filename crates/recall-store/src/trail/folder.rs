//! Names inside and beside the folder, and the lock that keeps a second process out (`docs/format.md` section 2).

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why the folder could not be locked.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("another process works on {0}; stop it, or talk to it by --url")]
    Held(PathBuf),
    /// The operating system refused.
    #[error("{path} could not be locked: {cause}", path = path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What it said.
        cause: io::Error,
    },
}

/// Held while the folder is open. The operating system lets go of it when the process ends, however it ends.
pub(crate) struct FolderLock {
    _file: File,
}

/// A trail's folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        // Without a trailing slash, so that `DIR.anchor` lies beside it.
        Self(path.components().collect())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn catalog(&self) -> PathBuf {
        self.0.join("catalog.sqlite")
    }

    pub(crate) fn keyring(&self) -> PathBuf {
        self.0.join("keyring")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.0.join("log/checkpoint")
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.0.join("segments")
    }

    pub(crate) fn dedupe(&self) -> PathBuf {
        self.0.join("dedupe")
    }

    /// `DIR.anchor`, beside the folder.
    pub(crate) fn anchor(&self) -> PathBuf {
        let mut name = OsString::from(&self.0);
        name.push(".anchor");
        PathBuf::from(name)
    }

    /// Makes the folder and those in it, for the owner alone.
    pub(crate) fn make(&self) -> io::Result<()> {
        for path in [self.0.clone(), self.log(), self.segments(), self.dedupe()] {
            if !path.is_dir() {
                DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
            }
        }
        crate::durable::sync_folder(&self.0)?;
        crate::durable::sync_parent(&self.0)
    }

    /// Takes the lock, or says who is in the way.
    pub(crate) fn lock(&self) -> Result<FolderLock, LockError> {
        let path = self.0.join("lock");
        let io = |cause| LockError::Io { path: path.clone(), cause };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(FolderLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held(self.0.clone())),
            Err(TryLockError::Error(cause)) => Err(io(cause)),
        }
    }

    /// Is there a trail in it?
    pub(crate) fn holds_trail(&self) -> bool {
        fs::symlink_metadata(self.catalog()).is_ok()
    }
}
