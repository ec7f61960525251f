//! The offline verifier: recomputes a log from its entries up to its signed checkpoint, and names what does not fit.
//!
//! Owns the walk over tiles and bundles, and the judgement which of two files that disagree is the damaged one: the one that does not
//! lead to the signed root. Reads through [`TileSource`] alone, streams bundle by bundle, and trusts nothing but the checkpoint.

mod walk;

use crate::checkpoint::{Checkpoint, Tier};
use crate::merkle::{ReadError, consistency_proof, verify_consistency as proof_holds};
use crate::note::Verifier;
use crate::tile::{TileHashReader, TileKind, TilePath, TileSource, read_file};
use std::fmt;
use std::ops::RangeInclusive;

/// Something that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What is wrong there.
    pub what: String,
}

/// Where something does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The checkpoint.
    Checkpoint,
    /// A whole file, by its path.
    File(String),
    /// Entries in a bundle, or hashes in a tile, by their index in the log or at the tile's level.
    Indexes(TilePath, RangeInclusive<u64>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::File(path) => f.write_str(path),
            Self::Indexes(path, indexes) => {
                let what = if path.kind == TileKind::Entries { "index" } else { "hash" };
                write!(f, "{path}, {what} {}", indexes.start())?;
                if indexes.start() == indexes.end() { Ok(()) } else { write!(f, " to {}", indexes.end()) }
            }
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

impl Finding {
    fn checkpoint(what: impl Into<String>) -> Self {
        Self { place: Place::Checkpoint, what: what.into() }
    }
}

impl From<ReadError> for Finding {
    fn from(error: ReadError) -> Self {
        Self { place: Place::File(error.place), what: error.problem }
    }
}

/// What the verification of a log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The checkpoint and how far its signatures reach, if it can be trusted.
    pub head: Option<(Checkpoint, Tier)>,
    /// What does not fit; empty if all is whole.
    pub findings: Vec<Finding>,
}

/// What a walk shows of each bundle as it passes: the index of the first entry, and the entries as stored, which a finding may yet contest.
pub type Seen<'s> = dyn FnMut(u64, &[&[u8]]) + 's;

/// Verifies a whole log: the signatures of its published checkpoint, then every bundle and tile.
pub fn verify_log(source: &dyn TileSource, log: &Verifier, witnesses: &[Verifier], seen: &mut Seen<'_>) -> Verdict {
    let note = match source.read("checkpoint") {
        Ok(Some(note)) => note,
        Ok(None) => return refused(Finding::checkpoint("missing; restore it from a copy")),
        Err(error) => return refused(Finding::checkpoint(error.to_string())),
    };
    match Checkpoint::open(&note, log, witnesses) {
        Ok((checkpoint, tier)) => {
            let findings = verify_tree(source, &checkpoint, seen);
            Verdict { head: Some((checkpoint, tier)), findings }
        }
        Err(error) => refused(Finding::checkpoint(error.to_string())),
    }
}

fn refused(finding: Finding) -> Verdict {
    Verdict { head: None, findings: vec![finding] }
}

/// Verifies that bundles and tiles are those of a checkpoint that is trusted: recomputes every leaf, every level and the root.
/// Shows each whole bundle to `seen`, in order. Needs memory for one tile of each level.
pub fn verify_tree(source: &dyn TileSource, checkpoint: &Checkpoint, seen: &mut Seen<'_>) -> Vec<Finding> {
    walk::verify(source, checkpoint, seen)
}

/// Verifies that the tree of `new` begins with the tree of an `old` checkpoint, by a proof made from the tiles.
pub fn verify_consistency(source: &dyn TileSource, old: &Checkpoint, new: &Checkpoint) -> Vec<Finding> {
    if old.origin != new.origin {
        return vec![Finding::checkpoint(format!("the older one is of another log, {}", old.origin))];
    }
    if old.size > new.size {
        let what = format!("{} entries, fewer than the {} of the older one: the log was rolled back", new.size, old.size);
        return vec![Finding::checkpoint(what)];
    }
    let proof = match consistency_proof(&TileHashReader::new(source, new.size), old.size, new.size) {
        Ok(proof) => proof,
        Err(error) => return vec![Finding::checkpoint(format!("no proof that it continues the older one: {error}"))],
    };
    match proof_holds(old.size, &old.root, new.size, &new.root, &proof) {
        Ok(()) => Vec::new(),
        Err(_) => vec![Finding::checkpoint(format!("does not continue the older one of {} entries: history was rewritten", old.size))],
    }
}

/// Verifies partial files of earlier sizes, which may still lie beside the ones that `size` needs: each must be the beginning of its
/// successor. Files beyond `size` belong to no checkpoint and are passed over.
pub fn verify_partials(source: &dyn TileSource, size: u64, paths: impl IntoIterator<Item = TilePath>) -> Vec<Finding> {
    paths.into_iter().filter_map(|path| verify_partial(source, size, path).err()).collect()
}

fn verify_partial(source: &dyn TileSource, size: u64, path: TilePath) -> Result<(), Finding> {
    let level = if let TileKind::Level(level) = path.kind { level } else { 0 };
    let current = TilePath { kind: path.kind, ..crate::tile::tile_of(level, path.index, size) };
    if path.width >= current.width {
        return Ok(());
    }
    let (_, successor) = read_file(source, current)?;
    let (found, partial) = read_file(source, path)?;
    let whole = match path.kind {
        TileKind::Level(_) => partial.len() == usize::from(path.width) * 32,
        TileKind::Entries => crate::tile::entries(&partial, path.width, true).is_ok(),
    };
    if found != path || (whole && successor.starts_with(&partial)) {
        return Ok(());
    }
    Err(Finding { place: Place::File(path.to_string()), what: format!("not the beginning of {current}; it was changed") })
}

#[cfg(test)]
mod tests;
