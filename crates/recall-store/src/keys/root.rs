//! The root key: where it comes from, and what is refused.
//!
//! One line `recall-root-key-1 BASE64`. A file that anybody but its owner may touch is refused, because a root key that others
//! could read protects nothing.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::durable;
use crate::seal::Mac;
use crate::seams::Random;
use crate::secret::Key32;

const PREFIX: &str = "recall-root-key-1 ";
/// A root key line is 62 bytes; more than this is something else.
const MAX_BYTES: u64 = 4096;

/// Names a root key without telling it: the first 8 bytes of HMAC-SHA-256(root, "recall/root-key-id").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RootKeyId([u8; 8]);

impl fmt::Display for RootKeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl RootKeyId {
    /// Reads 16 lower-case hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        digits.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(|id| Self(id.to_be_bytes()))
    }
}

/// The key that wraps all others.
#[derive(Clone)]
pub struct RootKey(Key32);

/// Why a root key could not be had.
#[derive(Debug, Error)]
pub enum RootKeyError {
    /// There is no such file.
    #[error("the root key file {0} does not exist; name the right one with --root-key-file or RECALL_ROOT_KEY_FILE")]
    Absent(PathBuf),
    /// Somebody else may read or write it.
    #[error("the root key file {path} may be used by others (mode {mode:03o}); run `chmod 600 {path}`", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A folder, a device, a pipe.
    #[error("the root key {0} is not a regular file; name a file that holds one line `recall-root-key-1 ...`")]
    NotAFile(PathBuf),
    /// The content is no root key.
    #[error("{0} does not hold a root key; expected one line `recall-root-key-1 BASE64`")]
    Format(String),
    /// The command failed.
    #[error("the root key command ended with {0}; run it by hand to see why")]
    Command(String),
    /// A command's key, or a service manager's, can't be replaced from here.
    #[error(
        "the root key is handed in by a command or a service manager, so that it can't be replaced here; stop the server and give the key as a file (--data DIR --root-key-file FILE)"
    )]
    NotReplaceable,
    /// It lies where it can't be replaced.
    #[error(
        "the root key {path} can't be replaced where it lies ({cause}); where a service manager hands it in, stop the service and run this command on the folder, with --data and --root-key-file, as the user who may write the key",
        path = path.display()
    )]
    Fixed {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        cause: io::Error,
    },
    /// Somebody else writes the new root key's file.
    #[error("{0} was changed while the root key was being replaced, so the old root key was left as it is; see who writes there")]
    Meddled(PathBuf),
    /// The operating system refused.
    #[error("the root key file {path}: {cause}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        cause: io::Error,
    },
}

/// Where the root key comes from.
#[derive(Debug, Clone)]
pub enum RootSource {
    /// A file of mode 0600 (or a symbolic link to one).
    File(PathBuf),
    /// A file that the service manager made for this process: root's, read by the process alone, and not to be written.
    Credential(PathBuf),
    /// A command whose output is the line; run by `sh -c`.
    Command(String),
}

impl fmt::Display for RootSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) | Self::Credential(path) => write!(out, "the file {}", path.display()),
            // The command line itself may hold a credential.
            Self::Command(_) => out.write_str("the root key command"),
        }
    }
}

/// Whose a root key's file may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// Whoever may read it, alone.
    Anybody,
    /// As that, or root's with a list that lets one user read it, which shows in the mode as the right of a group to read.
    ServiceManager,
}

impl Owner {
    /// The permission bits that are refused.
    fn refused(self, uid: u32) -> u32 {
        match self {
            Self::ServiceManager if uid == 0 => 0o037,
            _ => 0o077,
        }
    }
}

impl RootSource {
    /// Fetches the key.
    pub fn load(&self) -> Result<RootKey, RootKeyError> {
        match self {
            Self::File(path) => RootKey::from_file(path),
            Self::Credential(path) => RootKey::read(path, Owner::ServiceManager),
            Self::Command(command) => RootKey::from_command(command),
        }
    }
}

impl RootKey {
    /// A new one.
    pub fn generate(random: &dyn Random) -> Self {
        Self(Key32::random(random))
    }

    /// Its name.
    pub fn id(&self) -> RootKeyId {
        let mac = Mac::new(&self.0).sign(&[b"recall/root-key-id"]);
        RootKeyId(mac.first_chunk().copied().unwrap_or_default())
    }

    pub(super) fn key(&self) -> &Key32 {
        &self.0
    }

    /// Reads the one line. `place` names its origin in the error.
    pub fn parse(text: &str, place: &str) -> Result<Self, RootKeyError> {
        let format = || RootKeyError::Format(place.to_owned());
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let encoded = line.strip_prefix(PREFIX).ok_or_else(format)?;
        let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| format())?);
        Key32::from_slice(&bytes).map(Self).ok_or_else(format)
    }

    /// The one line, with its line feed.
    pub fn to_line(&self) -> Zeroizing<String> {
        let encoded = Zeroizing::new(STANDARD.encode(self.0.as_bytes()));
        Zeroizing::new([PREFIX, &encoded, "\n"].concat())
    }

    /// Reads a file, refusing one that others may touch.
    pub fn from_file(path: &Path) -> Result<Self, RootKeyError> {
        Self::read(path, Owner::Anybody)
    }

    fn read(path: &Path, owner: Owner) -> Result<Self, RootKeyError> {
        let io = |cause: io::Error| RootKeyError::Io { path: path.to_owned(), cause };
        // Without `O_NONBLOCK`, opening a pipe would wait for ever.
        let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
        let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => RootKeyError::Absent(path.to_owned()),
            _ => io(cause),
        })?;
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(RootKeyError::NotAFile(path.to_owned()));
        }
        let mode = metadata.permissions().mode() & 0o777;
        if mode & owner.refused(metadata.uid()) != 0 {
            return Err(RootKeyError::Open { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(|cause| match cause.kind() {
            io::ErrorKind::InvalidData => RootKeyError::Format(path.display().to_string()),
            _ => io(cause),
        })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Runs a command and reads its output.
    pub fn from_command(command: &str) -> Result<Self, RootKeyError> {
        let failed = |what: io::Error| RootKeyError::Command(what.to_string());
        let mut child = Command::new("sh").arg("-c").arg(command).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let mut text = Zeroizing::new(String::new());
        let read = match child.stdout.take() {
            Some(output) => output.take(MAX_BYTES).read_to_string(&mut text),
            None => Ok(0),
        };
        let status = child.wait().map_err(failed)?;
        if !status.success() {
            return Err(RootKeyError::Command(status.to_string()));
        }
        read.map_err(|_| RootKeyError::Format("the output of the root key command".to_owned()))?;
        Self::parse(&text, "the output of the root key command")
    }

    /// Writes a new file of mode 0600, durably. An existing file is never overwritten.
    pub fn write_new(&self, path: &Path) -> Result<(), RootKeyError> {
        let io = |cause: io::Error| RootKeyError::Io { path: path.to_owned(), cause };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
        file.write_all(self.to_line().as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
        durable::sync_parent(path).map_err(io)
    }
}
