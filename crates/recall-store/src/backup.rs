//! Copies of a trail: a backup taken while a server works, and its way back into a folder.
//!
//! Owns which files are copied in which order, so that the copy is one state of the trail (`docs/format.md` sections 2 and 8). Needs no key and opens no sealed value: what it copies is
//! ciphertext and the public log. The keyring is never copied, so that a backup does not undo a shredding.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use recall_log::checkpoint::Checkpoint;
use recall_log::tile::{TilePath, tiles_for};
use rusqlite::{Connection, OpenFlags, backup};

use crate::durable;
use crate::trail::RESTORED;

/// Tries before a folder that changes all the time is given up.
const TRIES: u32 = 20;
/// All pages at once: between two steps another connection's write would start the copy over. Writers go on beside it, in the journal.
const PAGES_A_STEP: i32 = i32::MAX;
/// How long a locked catalog is left alone.
const LOCKED_PAUSE: Duration = Duration::from_millis(10);
/// The file by which a folder is known to be a copy in the making.
const STAGING: &str = ".recall-copy";

/// Why a copy was not made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The source is no trail.
    #[error("{0} holds no trail; name a folder made by `recall init`, or a backup of one")]
    NoTrail(PathBuf),
    /// The target is there already.
    #[error("{0} exists already; name a folder that does not")]
    Exists(PathBuf),
    /// A segment came or went during each try.
    #[error("the trail's segments changed during each of {TRIES} tries; try again when less is being merged")]
    Busy,
    /// The published checkpoint is damaged.
    #[error("the published checkpoint cannot be read; run `recall verify` on the trail")]
    Checkpoint,
    /// The catalog could not be copied.
    #[error("the catalog could not be copied ({0}); run `recall doctor` on the trail")]
    Catalog(#[from] rusqlite::Error),
    /// A file could not be copied.
    #[error("a file could not be copied ({0}); see that it can be read and that the target has room")]
    Io(#[from] io::Error),
}

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copied {
    /// Files, the catalog included.
    pub files: u64,
    /// Their size.
    pub size_bytes: u64,
    /// Size of the tree under the checkpoint that was copied, events.
    pub published: u64,
}

/// Copies the trail at `from` to the new folder `to`, while another process may write to it. `progress` gets what is copied so far.
///
/// The checkpoint is copied before the catalog, so that the copy's catalog is never behind it; the tiles that the catalog's own signed tree needs
/// beyond it, after.
pub fn backup(from: &Path, to: &Path, progress: &mut dyn FnMut(Copied)) -> Result<Copied, BackupError> {
    let (staged, copied) = stage(from, to, progress)?;
    staged.finish()?;
    Ok(copied)
}

/// Lays a backup and a keyring into a folder beside `to`, with the word that it was restored. The caller verifies [`Staged::folder`], and then calls [`Staged::finish`].
pub fn stage_restore(from: &Path, to: &Path, keyring: &[u8], progress: &mut dyn FnMut(Copied)) -> Result<Staged, BackupError> {
    let (staged, _) = stage(from, to, progress)?;
    durable::replace(&staged.folder.join("keyring"), keyring)?;
    durable::replace(&staged.folder.join(RESTORED), b"restored from a backup; see docs/operations.md\n")?;
    Ok(staged)
}

fn stage(from: &Path, to: &Path, progress: &mut dyn FnMut(Copied)) -> Result<(Staged, Copied), BackupError> {
    if !from.join("catalog.sqlite").is_file() {
        return Err(BackupError::NoTrail(from.to_owned()));
    }
    let staged = Staged::new(to)?;
    let mut copy = Copy { from, to: &staged.folder, copied: Copied::default(), progress };
    let checkpoint = copy.public_log()?;
    copy.catalog_and_segments()?;
    copy.rest_of_log()?;
    copy.put("log/checkpoint", &checkpoint)?;
    let copied = copy.copied;
    Ok((staged, copied))
}

/// A folder that becomes the target only when it is whole; dropped before, it goes away.
#[derive(Debug)]
pub struct Staged {
    folder: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl Staged {
    fn new(target: &Path) -> Result<Self, BackupError> {
        if target.exists() {
            return Err(BackupError::Exists(target.to_owned()));
        }
        let folder = durable::temporary(target);
        if folder.join(STAGING).is_file() {
            fs::remove_dir_all(&folder)?;
        } else if fs::symlink_metadata(&folder).is_ok() {
            return Err(BackupError::Exists(folder));
        }
        DirBuilder::new().mode(0o700).create(&folder)?;
        fs::write(folder.join(STAGING), "")?;
        let staged = Self { folder, target: target.to_owned(), finished: false };
        for part in ["segments", "dedupe", "log"] {
            fs::create_dir(staged.folder.join(part))?;
        }
        Ok(staged)
    }

    /// Where the copy lies until it is finished.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Gives the copy its name.
    pub fn finish(mut self) -> Result<(), BackupError> {
        rustix::fs::syncfs(File::open(&self.folder)?).map_err(io::Error::from)?;
        durable::rename(&self.folder, &self.target)?;
        self.finished = true;
        // A word too many in a folder that is whole does no harm.
        let _ = fs::remove_file(self.target.join(STAGING));
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.finished {
            // Nothing is lost if this fails: the next try clears the same name.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

struct Copy<'a> {
    from: &'a Path,
    to: &'a Path,
    copied: Copied,
    progress: &'a mut dyn FnMut(Copied),
}

impl Copy<'_> {
    /// Copies the tiles of the published checkpoint, partial ones first since a full tile may soon replace them. Gives the checkpoint's bytes.
    fn public_log(&mut self) -> Result<Vec<u8>, BackupError> {
        for _ in 0..TRIES {
            let bytes = match fs::read(self.from.join("log/checkpoint")) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                other => other?,
            };
            let note = std::str::from_utf8(&bytes).map_err(|_| BackupError::Checkpoint)?;
            let (text, _) = note.split_once("\n\n").ok_or(BackupError::Checkpoint)?;
            let size = Checkpoint::parse(&format!("{text}\n")).map_err(|_| BackupError::Checkpoint)?.size;
            match self.tiles(size) {
                Err(BackupError::Io(error)) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            }
            self.copied.published = size;
            return Ok(bytes);
        }
        Err(BackupError::Busy)
    }

    fn tiles(&mut self, size: u64) -> Result<(), BackupError> {
        let (full, partial): (Vec<TilePath>, Vec<TilePath>) = tiles_for(0, size).partition(TilePath::is_full);
        for path in partial.into_iter().chain(full) {
            self.file(&format!("log/{path}"))?;
        }
        Ok(())
    }

    /// Copies what lies in the log and was not copied yet: the tiles of a tree that was signed after the checkpoint was copied, and that the catalog
    /// names. A partial tile may go while its full one comes, so that a look at all of it is repeated until nothing went.
    fn rest_of_log(&mut self) -> Result<(), BackupError> {
        'tries: for _ in 0..TRIES {
            let mut folders = vec!["log/tile".to_owned()];
            while let Some(folder) = folders.pop() {
                let entries = match fs::read_dir(self.from.join(&folder)) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    other => other?,
                };
                for entry in entries {
                    let entry = entry?;
                    let Some(name) = entry.file_name().to_str().map(|name| format!("{folder}/{name}")) else { continue };
                    if entry.file_type()?.is_dir() {
                        folders.push(name);
                    } else if !self.to.join(&name).exists() {
                        match self.file(&name) {
                            Err(BackupError::Io(error)) if error.kind() == io::ErrorKind::NotFound => continue 'tries,
                            other => other?,
                        }
                    }
                }
            }
            return Ok(());
        }
        Err(BackupError::Busy)
    }

    /// Copies the catalog between two looks at the folders of segments: names are never used twice, so equal looks mean that nothing came or went.
    fn catalog_and_segments(&mut self) -> Result<(), BackupError> {
        for _ in 0..TRIES {
            let before = self.open_segments()?;
            self.catalog()?;
            if self.open_segments()?.keys().ne(before.keys()) {
                continue;
            }
            for (name, mut file) in before {
                let size_bytes = io::copy(&mut file, &mut File::create(self.to.join(&name))?)?;
                self.count(size_bytes);
            }
            return Ok(());
        }
        Err(BackupError::Busy)
    }

    /// All files of segments and runs, opened, so that they can be read even when a merge removes them.
    fn open_segments(&self) -> Result<BTreeMap<String, File>, BackupError> {
        let mut files = BTreeMap::new();
        for folder in ["segments", "dedupe"] {
            for entry in fs::read_dir(self.from.join(folder))? {
                let path = entry?.path();
                let name = path.file_name().and_then(|name| name.to_str()).filter(|name| !name.ends_with(".tmp"));
                let Some(name) = name else { continue };
                match File::open(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    other => drop(files.insert(format!("{folder}/{name}"), other?)),
                }
            }
        }
        Ok(files)
    }

    fn catalog(&mut self) -> Result<(), BackupError> {
        let target = self.to.join("catalog.sqlite");
        durable::remove(&target)?;
        let source = Connection::open_with_flags(self.from.join("catalog.sqlite"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut copy = Connection::open(&target)?;
        {
            let copying = backup::Backup::new(&source, &mut copy)?;
            loop {
                match copying.step(PAGES_A_STEP)? {
                    backup::StepResult::Done => break,
                    backup::StepResult::More => (self.progress)(self.copied),
                    _ => std::thread::sleep(LOCKED_PAUSE),
                }
            }
        }
        copy.close().map_err(|(_, error)| error)?;
        self.count(fs::metadata(&target)?.len());
        Ok(())
    }

    fn file(&mut self, name: &str) -> Result<(), BackupError> {
        let target = self.to.join(name);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let size_bytes = fs::copy(self.from.join(name), target)?;
        self.count(size_bytes);
        Ok(())
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), BackupError> {
        if !bytes.is_empty() {
            fs::write(self.to.join(name), bytes)?;
            self.count(bytes.len() as u64);
        }
        Ok(())
    }

    fn count(&mut self, size_bytes: u64) {
        self.copied.files += 1;
        self.copied.size_bytes = self.copied.size_bytes.saturating_add(size_bytes);
        (self.progress)(self.copied);
    }
}
