//! A trail's folder from the command line: which one, which root key, and small files read and written with care.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use recall_store::keys::RootSource;
use recall_store::trail::{OpenOptions, beside, settled};

use crate::cli::{Beside, Folder, variable};
use crate::failure::Failure;

/// The largest file that is read as a small one.
const SMALL_BYTES: u64 = 1 << 20;

/// What `--data`, `--root-key-file` and their like come to.
pub struct Place {
    /// The folder.
    pub data: PathBuf,
    /// Where the root key comes from.
    pub root: RootSource,
    /// The second copy of the last checkpoint.
    pub anchor: PathBuf,
}

impl Place {
    /// Fills in defaults: `DIR.key` and `DIR.anchor` beside the folder, whose one name is found here.
    pub fn of(folder: &Folder) -> Result<Self, Failure> {
        let data = folder.data.as_deref().ok_or_else(|| Failure::wrong("which trail? name its folder with --data DIR"))?;
        Self::new(data, root_source(&folder.beside)?, folder.beside.anchor_file.clone())
    }

    /// The place of `data`, whose one name is found here, with root key and anchor where they are said to be or beside the folder.
    pub fn new(data: &Path, root: Option<RootSource>, anchor: Option<PathBuf>) -> Result<Self, Failure> {
        let data = settled(data);
        if data.file_name().is_none() {
            return Err(Failure::wrong(format!("{} cannot hold a trail: name a folder below it", data.display())));
        }
        let root = root.unwrap_or_else(|| RootSource::File(beside(&data, "key")));
        let anchor = anchor.unwrap_or_else(|| beside(&data, "anchor"));
        Ok(Self { data, root, anchor })
    }

    /// How the trail is opened.
    pub fn options(&self) -> OpenOptions {
        OpenOptions { anchor: Some(self.anchor.clone()), ..OpenOptions::new(&self.data, self.root.clone()) }
    }
}

/// Where the root key comes from, if flags or environment say so: the flag first, and two that stand beside each other exclude each other.
pub fn root_source(flags: &Beside) -> Result<Option<RootSource>, Failure> {
    let (file, command) = match (&flags.root_key_file, &flags.root_key_command) {
        (None, None) => {
            let command = variable("RECALL_ROOT_KEY_COMMAND")
                .map(|command| command.into_string().map_err(|_| Failure::wrong("RECALL_ROOT_KEY_COMMAND must be UTF-8")));
            (variable("RECALL_ROOT_KEY_FILE").map(PathBuf::from), command.transpose()?)
        }
        (file, command) => (file.clone(), command.clone()),
    };
    match (file, command) {
        (Some(_), Some(_)) => Err(Failure::wrong("RECALL_ROOT_KEY_FILE and RECALL_ROOT_KEY_COMMAND exclude each other: keep one")),
        (Some(file), None) => Ok(Some(root_file(file))),
        (None, Some(command)) => Ok(Some(RootSource::Command(command))),
        (None, None) => Ok(None),
    }
}

/// The root key in this file. What systemd hands to a service in its folder for credentials belongs to root, is read by the service alone
/// and is never written.
pub fn root_file(file: PathBuf) -> RootSource {
    match variable("CREDENTIALS_DIRECTORY") {
        Some(credentials) if file.parent() == Some(Path::new(&credentials)) => RootSource::Credential(file),
        _ => RootSource::File(file),
    }
}

/// Refuses to work as root on somebody else's folder: what root writes there, its owner could not read any more.
pub fn require_own(data: &Path) -> Result<(), Failure> {
    let Ok(metadata) = fs::metadata(data) else { return Ok(()) };
    let (owner, me) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if me != 0 || owner == me {
        return Ok(());
    }
    Err(Failure::wrong(format!(
        "{} belongs to user {owner}, who could not read what root writes there: run this as that user (sudo -u '#{owner}' recall …)",
        data.display()
    )))
}

/// The log's public key, as the folder's keyring tells it. It is not proven: whoever may write the folder may write this.
pub fn vkey(data: &Path) -> Result<String, Failure> {
    let keyring = data.join("keyring");
    let text = read_small(&keyring)?;
    let value: serde_json::Value = serde_json::from_str(&text)
        .map_err(|_| Failure::unreachable(format!("{} is damaged: restore it from an export", keyring.display())))?;
    let vkey = value.get("vkey").and_then(serde_json::Value::as_str);
    vkey.map(str::to_owned)
        .ok_or_else(|| Failure::unreachable(format!("{} names no public key: restore it from an export", keyring.display())))
}

/// A small file of text.
pub fn read_small(path: &Path) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::wrong(format!("{} cannot be read: {error}", path.display()));
    let mut text = String::new();
    fs::File::open(path).map_err(failed)?.take(SMALL_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > SMALL_BYTES {
        return Err(Failure::wrong(format!("{} is larger than 1 MiB: this is another file", path.display())));
    }
    Ok(text)
}

/// Writes a file that must not exist, for its owner's eyes.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed =
        |error: io::Error| Failure::wrong(format!("{} cannot be written: {error}; name a file that does not exist", path.display()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
}

/// Replaces a small file at once.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(temporary, path)
}
