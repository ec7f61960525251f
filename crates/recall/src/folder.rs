//! A trail's folder from the command line: which one, which root key, and small files read and written with care.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use recall_store::keys::RootSource;
use recall_store::trail::{OpenOptions, beside, settled};

use crate::cli::Folder;
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
        let data = settled(data);
        if data.file_name().is_none() {
            return Err(Failure::wrong(format!("{} cannot hold a trail: name a folder below it", data.display())));
        }
        let root = match (&folder.root_key_file, &folder.root_key_command) {
            (Some(file), _) => RootSource::File(file.clone()),
            (None, Some(command)) => RootSource::Command(command.clone()),
            (None, None) => RootSource::File(beside(&data, "key")),
        };
        let anchor = folder.anchor_file.clone().unwrap_or_else(|| beside(&data, "anchor"));
        Ok(Self { data, root, anchor })
    }

    /// How the trail is opened.
    pub fn options(&self) -> OpenOptions {
        OpenOptions { anchor: Some(self.anchor.clone()), ..OpenOptions::new(&self.data, self.root.clone()) }
    }
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
