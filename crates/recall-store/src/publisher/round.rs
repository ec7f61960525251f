//! One round of publication, top to bottom, and the folder that it writes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use recall_log::checkpoint::Checkpoint;
use recall_log::merkle::Frontier;
use recall_log::note::Signer;
use recall_log::tile::{SourceError, TileKind, TilePath, TileSource, TileWriter};

use super::{Publication, PublishError, Published};
use crate::catalog::{Change, Kind, RowChange};
use crate::committer::Handle;
use crate::durable;
use crate::seams::{Faults, Step, guarded};

/// The name of the one row of kind `Checkpoint`.
const LAST: &str = "last";
/// Anybody may read the public log.
pub(crate) const PUBLIC_MODE: u32 = 0o644;

/// `DIR/log`.
#[derive(Debug, Clone)]
pub(crate) struct LogFolder(pub PathBuf);

impl TileSource for LogFolder {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        match fs::read(self.0.join(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SourceError(error.to_string())),
        }
    }
}

impl LogFolder {
    /// Writes a tile in place: until a checkpoint covers it nobody relies on it, and then it is synced.
    fn write(&self, path: TilePath, bytes: &[u8]) -> io::Result<()> {
        let path = self.0.join(path.to_string());
        match fs::write(&path, bytes) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(path.parent().unwrap_or(&self.0))?;
                fs::write(&path, bytes)
            }
            other => other,
        }
    }

    /// To be opened before what it is to sync is written: a descriptor reports only failures that came after it was opened.
    fn syncer(&self) -> io::Result<File> {
        File::open(&self.0)
    }

    /// Removes the partial files of trees of more than `size` events: whoever goes on from `size` under another key comes to others.
    pub(crate) fn remove_partials_beyond(&self, size: u64) {
        let kinds = [(TileKind::Entries, 0)].into_iter().chain((0..8).map(|level| (TileKind::Level(level), level)));
        for (kind, level) in kinds {
            let hashes = size >> (8 * u32::from(level));
            let mut index = hashes / 256;
            loop {
                let full = TilePath { kind, index, width: 256 };
                let partials = self.0.join(format!("{full}.p"));
                let kept = if index == hashes / 256 { hashes % 256 } else { 0 };
                let beyond =
                    |name: &std::ffi::OsStr| name.to_str().and_then(|name| name.parse::<u64>().ok()).is_none_or(|width| width > kept);
                for entry in fs::read_dir(&partials).into_iter().flatten().flatten().filter(|entry| beyond(&entry.file_name())) {
                    // What stays is told by verification.
                    let _ = fs::remove_file(entry.path());
                }
                if !partials.is_dir() && !self.0.join(full.to_string()).is_file() {
                    break;
                }
                index = index.saturating_add(1);
            }
        }
    }

    /// Removes the partial files of the tree of `old` events that are full in the tree of `new`.
    fn remove_partials(&self, old: u64, new: u64) {
        let kinds = [(TileKind::Entries, 0)].into_iter().chain((0..8).map(|level| (TileKind::Level(level), level)));
        for (kind, level) in kinds {
            let (before, after) = (old >> (8 * u32::from(level)), new >> (8 * u32::from(level)));
            if before % 256 == 0 || before / 256 == after / 256 {
                continue;
            }
            let full = TilePath { kind, index: before / 256, width: 256 };
            // What stays is a leftover that does no harm.
            let _ = fs::remove_dir_all(self.0.join(format!("{full}.p")));
        }
    }
}

/// The tree as it was signed last: what the catalog keeps of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    pub frontier: Frontier,
    /// The signed note.
    pub note: String,
}

impl Signed {
    /// Size (8) || number of hashes (1) || hashes || note.
    fn encode(&self) -> Vec<u8> {
        let mut out = self.frontier.size().to_be_bytes().to_vec();
        out.push(u8::try_from(self.frontier.hashes().len()).unwrap_or(u8::MAX));
        self.frontier.hashes().iter().for_each(|hash| out.extend_from_slice(hash));
        out.extend_from_slice(self.note.as_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.split_first_chunk()?;
        let (count, mut rest) = rest.split_first()?;
        let mut hashes = Vec::new();
        for _ in 0..*count {
            let (hash, after) = rest.split_first_chunk()?;
            hashes.push(*hash);
            rest = after;
        }
        let frontier = Frontier::from_parts(u64::from_be_bytes(*size), hashes).ok()?;
        Some(Self { frontier, note: std::str::from_utf8(rest).ok()?.to_owned() })
    }

    pub(crate) fn row(&self) -> RowChange {
        RowChange::put(Kind::Checkpoint, LAST, self.encode())
    }

    pub(crate) fn load(rows: &crate::catalog::Rows) -> Result<Option<Self>, &'static str> {
        match rows.get(Kind::Checkpoint, LAST) {
            None => Ok(None),
            Some(value) => Self::decode(&value).map(Some).ok_or("the last checkpoint can't be read"),
        }
    }
}

/// What the publisher's thread works with.
pub(crate) struct Publisher {
    pub log: LogFolder,
    /// `DIR.anchor`.
    pub anchor: PathBuf,
    pub origin: String,
    pub signer: Signer,
    pub signed: Option<Signed>,
    pub publication: Arc<Publication>,
    pub handle: Handle,
    pub faults: Arc<dyn Faults>,
    /// Where the tiles end; none after a failure, and before the first round.
    pub writer: Option<TileWriter>,
}

impl Publisher {
    pub(crate) fn publication(&self) -> &Arc<Publication> {
        &self.publication
    }

    /// Does steps 6 to 9 for all that is committed.
    ///
    /// A crash, or a failure, after each of them leaves:
    /// tiles without a checkpoint, which the next round writes again with equal bytes;
    /// a signed checkpoint that nobody saw, on which the tree grows;
    /// an anchor ahead of what is published, and never ahead of the catalog;
    /// all done.
    pub(super) fn publish(&mut self) -> Result<(), PublishError> {
        let frontier = self.publication.pending().last().map(|chunk| chunk.frontier.clone());
        match (frontier, &self.signed) {
            (Some(frontier), _) => {
                self.write_tiles(&frontier)?;
                self.sign(frontier)?;
            }
            (None, None) => self.sign(Frontier::new())?,
            // A recovered trail: the tree stays, under a new name and key.
            (None, Some(signed)) if signed.note.is_empty() => self.sign(signed.frontier.clone())?,
            (None, Some(_)) => {}
        }
        let Some(signed) = self.signed.clone() else { return Ok(()) };
        let before = self.publication.published();
        if before.note == signed.note {
            return Ok(());
        }
        replace_note(&self.anchor, &signed, &self.origin, Step::AnchorWrite, &*self.faults)?;
        replace_note(&self.log.0.join("checkpoint"), &signed, &self.origin, Step::CheckpointPublish, &*self.faults)?;
        let size = signed.frontier.size();
        self.publication.set_published(Published { size, note: signed.note });
        self.log.remove_partials(before.size, size);
        Ok(())
    }

    /// Step 6: tiles and bundles of all committed entries, synced as a group.
    fn write_tiles(&mut self, frontier: &Frontier) -> Result<(), PublishError> {
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.resume()?,
        };
        let faults = Arc::clone(&self.faults);
        let syncer = self.log.syncer()?;
        guarded(&*faults, Step::TileWrite, || -> Result<(), PublishError> {
            let log = &self.log;
            let mut sink = |path: TilePath, bytes: &[u8]| log.write(path, bytes);
            for chunk in self.publication.pending() {
                if chunk.frontier.size() > frontier.size() {
                    break;
                }
                for (entry, leaf) in chunk.entries.iter().zip(&chunk.leaves) {
                    writer.push(entry, leaf, &mut sink)?;
                }
            }
            Ok(writer.flush(&mut sink)?)
        })?;
        if writer.size() != frontier.size() || writer.root() != frontier.root() {
            return Err(PublishError::Root);
        }
        guarded(&*faults, Step::TileSync, || Ok::<_, io::Error>(rustix::fs::syncfs(&syncer)?))?;
        self.writer = Some(writer);
        Ok(())
    }

    fn resume(&self) -> Result<TileWriter, PublishError> {
        match &self.signed {
            Some(signed) => Ok(TileWriter::resume(&self.log, &signed.frontier)?),
            None => Ok(TileWriter::new()),
        }
    }

    /// Step 7: a signed checkpoint, durable in the catalog.
    fn sign(&mut self, frontier: Frontier) -> Result<(), PublishError> {
        let checkpoint = Checkpoint { origin: self.origin.clone(), size: frontier.size(), root: frontier.root() };
        let signed = Signed { note: checkpoint.sign(&self.signer)?, frontier };
        let change = Change { rows: vec![signed.row()], ..Change::default() };
        if let Err(error) = self.handle.change(Step::CheckpointCatalog, change) {
            // The tiles are written again, from where the catalog says that they end.
            self.writer = None;
            return Err(error.into());
        }
        self.publication.set_signed(signed.frontier.size());
        self.signed = Some(signed);
        Ok(())
    }
}

/// Steps 8 and 9: replaces a checkpoint file, having compared that it is not ahead.
fn replace_note(path: &Path, signed: &Signed, origin: &str, step: Step, faults: &dyn Faults) -> Result<(), PublishError> {
    let here = signed.frontier.size();
    if let Some(found) = checkpoint_of(path)?
        && found.origin == *origin
        && (found.size > here || (found.size == here && found.root != signed.frontier.root()))
    {
        return Err(PublishError::Ahead { place: path.display().to_string(), anchored: found.size, here });
    }
    guarded(faults, step, || durable::replace_with_mode(path, signed.note.as_bytes(), PUBLIC_MODE))?;
    Ok(())
}

/// What a checkpoint file says, its signature unchecked; none if there is no such file or it holds something else.
fn checkpoint_of(path: &Path) -> io::Result<Option<Checkpoint>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let text = String::from_utf8(bytes).unwrap_or_default();
    Ok(text.split_once("\n\n").and_then(|(head, _)| Checkpoint::parse(&format!("{head}\n")).ok()))
}
