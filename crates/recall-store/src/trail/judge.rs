//! Is this folder behind, or beside, what was published from it? Then it is a restored or forked copy (`docs/format.md` section 8).

use std::fs;
use std::io;
use std::path::Path;

use recall_log::checkpoint::Checkpoint;
use recall_log::merkle::{Frontier, HashReader as _, ReadError};
use recall_log::note::Verifier;
use recall_log::tile::TileHashReader;

use super::Folder;
use crate::publisher::{LogFolder, Published};

const REMEDY: &str =
    "it is a restored or forked copy, and is opened read-only; run `recall recover` to go on with it under a new origin and key";

/// What the two checkpoint files say of the folder.
pub(super) struct Judgement {
    /// The checkpoint in the log, if it is this log's.
    pub published: Published,
    /// Why the folder must not be written, if so.
    pub reason: Option<String>,
}

/// `DIR.anchor` and `log/checkpoint`, as they were before the catalog was read: a server that works beside is never behind them.
pub(super) struct Notes([Option<Vec<u8>>; 2]);

/// Reads them.
pub(super) fn notes(folder: &Folder) -> io::Result<Notes> {
    Ok(Notes([read(&folder.anchor())?, read(&folder.checkpoint())?]))
}

/// Compares the catalog's tree with them. `signed` events are in tiles.
pub(super) fn judge(folder: &Folder, notes: Notes, log: &Verifier, committed: &Frontier, signed: &Frontier) -> io::Result<Judgement> {
    let mut judgement = Judgement { published: Published { size: 0, note: String::new() }, reason: None };
    for ((path, is_log), note) in [(folder.anchor(), false), (folder.checkpoint(), true)].into_iter().zip(notes.0) {
        let Some(bytes) = note else { continue };
        let place = path.display();
        match Checkpoint::open(&bytes, log, &[]) {
            Err(error) => {
                judgement.reason.get_or_insert(format!("{place} is damaged or another log's ({error}); {REMEDY}"));
            }
            Ok((checkpoint, _)) => {
                if let Some(problem) = compare(folder, &checkpoint, committed, signed) {
                    judgement.reason.get_or_insert(format!("{place} {problem}; {REMEDY}"));
                }
                if is_log {
                    judgement.published = Published { size: checkpoint.size, note: String::from_utf8_lossy(&bytes).into_owned() };
                }
            }
        }
    }
    Ok(judgement)
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn compare(folder: &Folder, found: &Checkpoint, committed: &Frontier, signed: &Frontier) -> Option<String> {
    if found.size > committed.size() {
        return Some(format!("says {} events, and this folder holds {}", found.size, committed.size()));
    }
    let root = match found.size {
        size if size == committed.size() => Ok(committed.root()),
        size if size == signed.size() => Ok(signed.root()),
        size => root_at(folder, size),
    };
    match root {
        Ok(root) if root == found.root => None,
        Ok(_) => Some(format!("has another root at {} events than this folder", found.size)),
        Err(error) => Some(format!("can't be compared with the tree ({error})")),
    }
}

/// The root of the first `size` entries, from tiles.
fn root_at(folder: &Folder, size: u64) -> Result<[u8; 32], ReadError> {
    let log = LogFolder(folder.log());
    let reader = TileHashReader::new(&log, size);
    let mut hashes = Vec::new();
    let mut start = 0_u64;
    for level in (0..=63_u8).rev().filter(|level| size >> level & 1 == 1) {
        hashes.push(reader.hash(level, start >> level)?);
        start |= 1 << level;
    }
    let frontier = Frontier::from_parts(size, hashes);
    frontier.map(|frontier| frontier.root()).map_err(|error| ReadError { place: "log".to_owned(), problem: error.to_string() })
}
