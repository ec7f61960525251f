//! `recall recover`: going on with a restored or forked copy, under a new origin and signing key (`docs/format.md` section 8).
//!
//! The tree stays as it is; who signs it changes. What the copy is behind of, or beside, is kept in the catalog until an event names it, so
//! that a crash on the way loses nothing: recovery is run again, or the next start goes on.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use recall_log::checkpoint::Checkpoint;
use recall_log::note::Verifier;
use thiserror::Error;

use crate::catalog::{ApplyError, Catalog, CatalogError, Change, Kind, RowChange};
use crate::durable;
use crate::keys::{KeyringError, Keys, TrailKey};
use crate::publisher::{LogFolder, PUBLIC_MODE, Signed};
use crate::seams::Step;
use crate::segment::SegmentRow;
use crate::snapshot::Erased;
use crate::trail::{Erasure, Folder, LockError, OpenError, OpenOptions, RECOVERED_FROM, RESTORED, Trail};

/// Why a trail was not recovered.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// It can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It takes events as it is.
    #[error("the trail is neither behind nor beside what was published from it; there is nothing to recover")]
    Whole,
    /// Nothing may be built on it.
    #[error("the trail is damaged ({0}); restore it from a backup first")]
    Damaged(String),
    /// The anchor is there.
    #[error("{0} is there already; if it belongs to another trail, name another place with --anchor-file")]
    Anchored(PathBuf),
    /// Something shows that events are missing, or may be.
    #[error("the anchor can't be placed: {0}")]
    Behind(String),
    /// A file that is no checkpoint.
    #[error("that is no checkpoint signed by this log; name the file that holds the last one that is known")]
    Note,
    /// Another process works there.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The keyring.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A row.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The operating system refused.
    #[error("the trail could not be recovered: {0}")]
    Io(#[from] io::Error),
}

/// The longest note that is kept, bytes.
const NOTE_BYTES: usize = 4_096;

/// Gives the trail a new origin and signing key and opens it. The caller stores an event that names `Trail::recovered_from`, together with
/// `Trail::recovery_named`, before any other: what was erased elsewhere is recorded as erased by that event.
pub fn recover(options: OpenOptions, origin: &str) -> Result<Trail, RecoverError> {
    let gone = refuse_whole(&options)?;
    let folder = Folder::new(&options.folder, options.anchor.as_deref());
    let lock = folder.lock()?;
    let root = Keys::settle_root(&folder.keyring(), &options.root)?;
    let keys = Keys::load(&folder.keyring(), &root, options.random.clone(), options.faults.clone())?;
    drop(root);
    let mut catalog = Catalog::open(&folder.catalog(), keys.trail(TrailKey::Catalog), options.random.clone(), options.faults.clone())?;
    let loaded = catalog.load()?;
    let mut state = loaded.state.ok_or_else(|| RecoverError::Damaged("the state row is missing".to_owned()))?;
    let rows = catalog.rows();
    let signed = Signed::load(&rows).map_err(|what| RecoverError::Damaged(what.to_owned()))?;
    let mut change = erased_elsewhere(&catalog, gone, state.frontier.size())?;
    // A recovery that was cut short has kept it already, and the files may be gone.
    if rows.get(Kind::Setting, RECOVERED_FROM).is_none() {
        let notes = [read(&folder.anchor())?, read(&folder.checkpoint())?, signed.as_ref().map(|signed| signed.note.clone().into_bytes())];
        change.rows.push(RowChange::put(Kind::Setting, RECOVERED_FROM, left_behind(notes, &keys.vkey()).unwrap_or_default()));
    }
    if let Some(signed) = signed {
        LogFolder(folder.log()).remove_partials_beyond(signed.frontier.size());
        change.rows.push(Signed { note: String::new(), ..signed }.row());
    }
    catalog.apply(Step::CatalogWrite, &change, &mut state)?;
    drop(catalog);
    keys.new_identity(origin)?;
    // The marker goes last: while it is there, recovery can be run again.
    for path in [folder.anchor(), folder.checkpoint(), folder.restored()] {
        durable::remove(&path)?;
        durable::sync_parent(&path)?;
    }
    drop(lock);
    Ok(Trail::open(options)?)
}

/// Places the anchor anew, from the checkpoint in the log, where the operator says that nothing is missing. Gives its size.
pub fn place_anchor(options: &OpenOptions) -> Result<u64, RecoverError> {
    let folder = Folder::new(&options.folder, options.anchor.as_deref());
    let _lock = folder.lock()?;
    let trail = Trail::open(OpenOptions { read_only: true, ..options.clone() })?;
    if read(&folder.anchor())?.is_some() {
        return Err(RecoverError::Anchored(folder.anchor()));
    }
    if trail.is_behind() || folder.restored().exists() {
        return Err(RecoverError::Behind(trail.read_only().unwrap_or_default().to_owned()));
    }
    let published = trail.checkpoint();
    if published.note.is_empty() {
        return Err(RecoverError::Whole);
    }
    durable::replace_with_mode(&folder.anchor(), published.note.as_bytes(), PUBLIC_MODE)?;
    Ok(published.size)
}

/// Lays the last checkpoint that is known beside a restored folder, so that opening compares the two, in place of the word that it may be
/// behind. A later one that lies there already stays.
pub fn prove_restored(staged: &Path, anchor: &Path, note: &str, vkey: &str) -> Result<(), RecoverError> {
    let size_of = |note: &[u8]| left_behind([Some(note.to_vec())], vkey).and_then(|note| size(&note));
    let given = size_of(note.as_bytes()).ok_or(RecoverError::Note)?;
    let there = read(anchor)?.and_then(|note| size_of(&note));
    if there.is_none_or(|there| there < given) {
        durable::replace_with_mode(anchor, note.as_bytes(), PUBLIC_MODE)?;
    }
    Ok(durable::remove(&staged.join(RESTORED))?)
}

/// The rows that record what was erased after this copy was made, as erased by event `by`, in place of what it holds of it.
fn erased_elsewhere(catalog: &Catalog, gone: Vec<Erased>, by: u64) -> Result<Change, RecoverError> {
    let mut sets: BTreeMap<u64, Vec<(u64, u32)>> = BTreeMap::new();
    for erased in gone {
        sets.entry(erased.key_set).or_default().push((erased.first_index, erased.count));
    }
    let mut change = Change::default();
    for (_, value) in catalog.rows().all(Kind::Segment) {
        let segment = SegmentRow::decode(&value).map_err(|error| RecoverError::Damaged(error.to_string()))?;
        if sets.contains_key(&segment.key_set) {
            change.rows.push(RowChange::remove(Kind::Segment, SegmentRow::name(segment.id)));
        }
    }
    for (key_set, ranges) in sets {
        for (first, count) in catalog.batches_of(key_set)? {
            change.remove_batches.push(first..first.saturating_add(u64::from(count)));
        }
        let erasure = Erasure { key_set, epoch: String::new(), class: String::new(), by, ranges, done: true };
        change.rows.push(erasure.row().map_err(io::Error::from)?);
    }
    Ok(change)
}

/// The latest of the notes that this log signed, with its own signatures alone. Whatever else lies in those files is not carried on.
fn left_behind<const N: usize>(notes: [Option<Vec<u8>>; N], vkey: &str) -> Option<String> {
    let log = Verifier::parse(vkey).ok()?;
    let own = |note: Vec<u8>| -> Option<String> {
        let note = String::from_utf8(note).ok()?;
        let (text, signatures) = note.split_once("\n\n")?;
        let ours = format!("\u{2014} {} ", log.name());
        let signatures: String =
            signatures.lines().filter(|line| line.starts_with(&ours)).take(1).map(|line| format!("{line}\n")).collect();
        let note = format!("{text}\n\n{signatures}");
        (note.len() <= NOTE_BYTES && Checkpoint::open(note.as_bytes(), &log, &[]).is_ok()).then_some(note)
    };
    notes.into_iter().flatten().filter_map(own).max_by_key(|note| size(note))
}

fn size(note: &str) -> Option<u64> {
    let (text, _) = note.split_once("\n\n")?;
    Checkpoint::parse(&format!("{text}\n")).ok().map(|checkpoint| checkpoint.size)
}

fn refuse_whole(options: &OpenOptions) -> Result<Vec<Erased>, RecoverError> {
    let trail = Trail::open(OpenOptions { read_only: true, ..options.clone() })?;
    if let Some(damage) = trail.damage().first() {
        return Err(RecoverError::Damaged(damage.to_string()));
    }
    if trail.is_copy() || trail.recovered_from().is_some() { Ok(trail.gone().to_vec()) } else { Err(RecoverError::Whole) }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
