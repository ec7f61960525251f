//! The walk over a tree: from the top tile down to each bundle, in the order of entries, and up again with what was recomputed.

use super::{Finding, Place, Seen};
use crate::checkpoint::Checkpoint;
use crate::merkle::{Hash, edge_root, leaf_hash, row_root};
use crate::tile::{LEVELS, TILE_WIDTH, TileKind, TilePath, TileSource, entries, hashes_at, read_file, read_row, tile_of};
use std::ops::RangeInclusive;

/// After so many findings the walk ends: a checkpoint may claim more tiles than could ever be looked for.
pub(super) const FINDINGS: usize = 10_000;

struct Walk<'w, 's> {
    source: &'w dyn TileSource,
    seen: &'w mut Seen<'s>,
    findings: Vec<Finding>,
}

pub(super) fn verify(source: &dyn TileSource, checkpoint: &Checkpoint, seen: &mut Seen<'_>) -> Vec<Finding> {
    let mut walk = Walk { source, seen, findings: Vec::new() };
    // The right edge as stored; where it leads to the signed root, it judges the rest.
    let mut edge: Vec<Vec<Hash>> = vec![Vec::new(); usize::from(LEVELS)];
    let last = |level| tile_of(level, hashes_at(level, checkpoint.size) / u64::from(TILE_WIDTH), checkpoint.size);
    for (level, row) in (0..LEVELS).zip(&mut edge) {
        *row = if last(level).width > 0 { read_row(source, last(level)).unwrap_or_default() } else { Vec::new() };
    }
    for level in (0..LEVELS).rev() {
        let path = last(level);
        if path.width == 0 {
            continue;
        }
        let leads_to_root = |row: &[Hash]| {
            let rows = (0..LEVELS).zip(&edge).map(|(other, stored)| if other == level { row } else { stored });
            edge_root(rows) == checkpoint.root
        };
        let row = walk.row(level, path, &leads_to_root).unwrap_or_default();
        if let Some(stored) = edge.get_mut(usize::from(level)) {
            *stored = row;
        }
    }
    if walk.findings.len() >= FINDINGS {
        walk.findings.push(Finding::checkpoint(format!("more than {FINDINGS} findings in its tree; the rest was not looked at")));
    } else if edge_root(edge.iter().map(Vec::as_slice)) != checkpoint.root {
        walk.findings.push(Finding::checkpoint("its root is not the root of the entries"));
    }
    walk.findings
}

impl Walk<'_, '_> {
    /// The hashes of a tile, as far as they can be had: what lies below and what is stored are compared, and `right` tells which of them
    /// leads to the signed root.
    fn row(&mut self, level: u8, path: TilePath, right: &dyn Fn(&[Hash]) -> bool) -> Option<Vec<Hash>> {
        if self.findings.len() >= FINDINGS {
            return None;
        }
        let stored = self.noting(read_row(self.source, path));
        let computed = if level == 0 { self.leaves(path) } else { Some(self.below(level - 1, path, stored.as_deref())) };
        let (stored, computed) = match (stored, computed) {
            (Some(stored), Some(computed)) if stored != computed => (stored, computed),
            (stored, computed) => return computed.or(stored),
        };
        if right(&stored) {
            self.blame_below(level, path, &stored, &computed);
            return Some(stored);
        }
        let what = if right(&computed) { "differs from what lies below it; it was changed" } else { "differs from what lies below it" };
        for indexes in runs(path.first(), &stored, &computed) {
            self.findings.push(Finding { place: Place::Indexes(path, indexes), what: what.to_owned() });
        }
        Some(computed)
    }

    /// The stored hashes are right, so that what lies below some of them is wrong.
    fn blame_below(&mut self, level: u8, path: TilePath, stored: &[Hash], computed: &[Hash]) {
        if level == 0 {
            let bundle = TilePath { kind: TileKind::Entries, ..path };
            for indexes in runs(path.first(), stored, computed) {
                let what = format!("not the entry that {path} has the hash of; it was changed");
                self.findings.push(Finding { place: Place::Indexes(bundle, indexes), what });
            }
            return;
        }
        for index in runs(path.first(), stored, computed).into_iter().flatten() {
            let child = TilePath { kind: TileKind::Level(level - 1), index, width: TILE_WIDTH };
            let what = format!("leads to another hash than {path} has; it was changed, and so was what lies below it");
            self.findings.push(Finding { place: Place::File(child.to_string()), what });
        }
    }

    /// The roots of the full tiles that a tile stands on. One that can't be recomputed at all counts as what is stored of it.
    fn below(&mut self, level: u8, path: TilePath, stored: Option<&[Hash]>) -> Vec<Hash> {
        let mut roots = Vec::with_capacity(usize::from(path.width));
        for place in 0..path.width {
            let wanted = stored.and_then(|row| row.get(usize::from(place))).copied();
            let child = TilePath { kind: TileKind::Level(level), index: path.first() + u64::from(place), width: TILE_WIDTH };
            let row = self.row(level, child, &|row| wanted == Some(row_root(row)));
            roots.push(row.map(|row| row_root(&row)).or(wanted).unwrap_or_default());
        }
        roots
    }

    /// The leaf hashes of a bundle's entries.
    fn leaves(&mut self, tile: TilePath) -> Option<Vec<Hash>> {
        let path = TilePath { kind: TileKind::Entries, ..tile };
        let (found, bytes) = self.noting(read_file(self.source, path))?;
        match entries(&bytes, path.width, found == path) {
            Ok(entries) => {
                (self.seen)(path.first(), &entries);
                Some(entries.into_iter().map(leaf_hash).collect())
            }
            Err(error) => {
                self.findings.push(Finding { place: Place::File(found.to_string()), what: format!("{error}; it was changed") });
                None
            }
        }
    }

    fn noting<T>(&mut self, read: Result<T, crate::merkle::ReadError>) -> Option<T> {
        read.map_err(|error| self.findings.push(error.into())).ok()
    }
}

/// The runs of indexes, counted from `first`, at which two rows differ.
fn runs(first: u64, left: &[Hash], right: &[Hash]) -> Vec<RangeInclusive<u64>> {
    let mut runs: Vec<RangeInclusive<u64>> = Vec::new();
    for (index, _) in (first..).zip(left.iter().zip(right)).filter(|(_, (left, right))| left != right) {
        match runs.last_mut() {
            Some(run) if *run.end() + 1 == index => *run = *run.start()..=index,
            _ => runs.push(index..=index),
        }
    }
    runs
}
