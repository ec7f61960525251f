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
    /// Is that because it is behind or beside a checkpoint, and not only because nobody can tell?
    pub behind: bool,
}

/// The anchor and `log/checkpoint`, as they were before the catalog was read: a server that works beside is never behind them.
pub(super) struct Notes {
    anchor: Option<Vec<u8>>,
    checkpoint: Option<Vec<u8>>,
}

/// Reads them.
pub(super) fn notes(folder: &Folder) -> io::Result<Notes> {
    Ok(Notes { anchor: read(&folder.anchor())?, checkpoint: read(&folder.checkpoint())? })
}

/// Compares the catalog's tree with them. `signed` events are in tiles.
pub(super) fn judge(folder: &Folder, notes: Notes, log: &Verifier, committed: &Frontier, signed: &Frontier) -> io::Result<Judgement> {
    let mut judgement = Judgement { published: Published { size: 0, note: String::new() }, reason: None, behind: false };
    let Notes { anchor, checkpoint } = notes;
    let unproven = unproven(folder, anchor.is_some(), checkpoint.is_some());
    for (path, bytes, is_log) in [(folder.anchor(), anchor, false), (folder.checkpoint(), checkpoint, true)] {
        let Some(bytes) = bytes else { continue };
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
    judgement.behind = judgement.reason.is_some();
    judgement.reason = judgement.reason.or(unproven);
    Ok(judgement)
}

/// Why nobody can tell whether the folder is behind, if so.
fn unproven(folder: &Folder, anchored: bool, published: bool) -> Option<String> {
    if folder.restored().exists() {
        return Some(
            "it was restored from a backup, and nothing shows that the original did not go on after it; run `recall recover` to go on with it under a new origin and key, or restore it with --checkpoint and the last checkpoint that is known"
                .to_owned(),
        );
    }
    (published && !anchored).then(|| {
        format!(
            "{} is missing, the second copy of the last checkpoint, so that nobody can tell whether this folder was put back to an older state; put it back, or name its place with --anchor-file; if you know that nothing is missing, run `recall anchor` to place it anew",
            folder.anchor().display()
        )
    })
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
