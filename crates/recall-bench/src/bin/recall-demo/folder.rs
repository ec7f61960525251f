//! The trail's folder, the key beside it, and copies to tamper with.

use recall_bench::stuck::Stuck;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Where the trail lies. A temporary one goes away when it is dropped.
pub struct Folder {
    data: PathBuf,
    scratch: TempDir,
}

impl Folder {
    /// The given folder, which must not exist, or one in a temporary folder.
    pub fn new(data: Option<PathBuf>) -> Result<Self, Stuck> {
        let scratch = tempfile::Builder::new().prefix("recall-demo-").tempdir().map_err(|e| Stuck::io("a temporary folder", &e))?;
        let data = match data {
            Some(data) if data.exists() => {
                return Err(Stuck(format!("{} exists: name a new folder, or remove it", data.display())));
            }
            Some(data) => std::path::absolute(&data).map_err(|e| Stuck::io("the folder's name", &e))?,
            None => scratch.path().join("trail"),
        };
        Ok(Self { data, scratch })
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    pub fn root_key(&self) -> PathBuf {
        beside(&self.data, "key")
    }

    /// Where the server's log goes.
    pub fn log(&self) -> PathBuf {
        self.scratch("server.log")
    }

    /// A file that goes away with the demo.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// A new folder that goes away with the demo. Other accounts may pass through to it.
    pub fn new_scratch(&self, name: &str) -> Result<PathBuf, Stuck> {
        let failed = |e: std::io::Error| Stuck::io("a temporary folder", &e);
        let folder = self.scratch(name);
        fs::create_dir(&folder).map_err(failed)?;
        fs::set_permissions(self.scratch.path(), fs::Permissions::from_mode(0o711)).map_err(failed)?;
        Ok(folder)
    }

    /// A copy of the folder, with root key and anchor beside it.
    pub fn copy(&self, name: &str) -> Result<PathBuf, Stuck> {
        let to = self.scratch(name);
        let failed = |e: std::io::Error| Stuck::io("copying the trail's folder", &e);
        copy_tree(&self.data, &to).map_err(failed)?;
        for extension in ["key", "anchor"] {
            fs::copy(beside(&self.data, extension), beside(&to, extension)).map_err(failed)?;
        }
        Ok(to)
    }
}

/// `DIR.extension`.
fn beside(folder: &Path, extension: &str) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
