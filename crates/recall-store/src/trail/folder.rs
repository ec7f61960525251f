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

/// The name of the file that says that a folder was restored.
pub(crate) const RESTORED: &str = "restored";

/// Held while the folder is open. The operating system lets go of it when the process ends, however it ends.
pub(crate) struct FolderLock {
    _file: File,
}

/// A trail's folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    anchor: PathBuf,
}

/// The one name of a folder: absolute, without links, dots and trailing slashes, so that what lies beside it is found by whichever name it is
/// called.
pub fn settled(path: &Path) -> PathBuf {
    let by_parent = || -> io::Result<PathBuf> {
        let absolute = std::path::absolute(path)?;
        match (absolute.parent(), absolute.file_name()) {
            (Some(parent), Some(name)) => Ok(fs::canonicalize(parent)?.join(name)),
            _ => Ok(absolute),
        }
    };
    fs::canonicalize(path).or_else(|_| by_parent()).unwrap_or_else(|_| path.components().collect())
}

/// `DIR.extension`, beside a folder whose name is settled.
pub fn beside(folder: &Path, extension: &str) -> PathBuf {
    let mut name = OsString::from(folder);
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

impl Folder {
    /// The anchor lies beside the folder unless another place is named.
    pub(crate) fn new(path: &Path, anchor: Option<&Path>) -> Self {
        let path = settled(path);
        let anchor = anchor.map_or_else(|| beside(&path, "anchor"), Path::to_owned);
        Self { path, anchor }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn catalog(&self) -> PathBuf {
        self.path.join("catalog.sqlite")
    }

    pub(crate) fn keyring(&self) -> PathBuf {
        self.path.join("keyring")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.path.join("log/checkpoint")
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.path.join("segments")
    }

    pub(crate) fn dedupe(&self) -> PathBuf {
        self.path.join("dedupe")
    }

    /// The second copy of the last checkpoint.
    pub(crate) fn anchor(&self) -> PathBuf {
        self.anchor.clone()
    }

    /// Says that the folder came out of a backup, and that nobody has shown yet that it is not behind.
    pub(crate) fn restored(&self) -> PathBuf {
        self.path.join(RESTORED)
    }

    /// Makes the folder and those in it, for the owner alone.
    pub(crate) fn make(&self) -> io::Result<()> {
        for path in [self.path.clone(), self.log(), self.segments(), self.dedupe()] {
            if !path.is_dir() {
                DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
            }
        }
        crate::durable::sync_folder(&self.path)?;
        crate::durable::sync_parent(&self.path)
    }

    /// Takes the lock, or says who is in the way.
    pub(crate) fn lock(&self) -> Result<FolderLock, LockError> {
        let path = self.path.join("lock");
        let io = |cause| LockError::Io { path: path.clone(), cause };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(FolderLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held(self.path.clone())),
            Err(TryLockError::Error(cause)) => Err(io(cause)),
        }
    }

    /// What lies in or beside it though there is no catalog, if anything: keys and content that a new trail would destroy.
    pub(crate) fn remains(&self) -> io::Result<Option<PathBuf>> {
        let files = [self.keyring(), self.checkpoint(), self.anchor()];
        if let Some(file) = files.into_iter().find(|file| fs::symlink_metadata(file).is_ok()) {
            return Ok(Some(file));
        }
        match fs::read_dir(self.segments()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            entries => entries?.next().map(|entry| entry.map(|entry| entry.path())).transpose(),
        }
    }

    /// Is there a trail in it?
    pub(crate) fn holds_trail(&self) -> bool {
        fs::symlink_metadata(self.catalog()).is_ok()
    }
}
