//! Proofs of inclusion and consistency: made as RFC 6962 section 2.1 defines them, verified as RFC 9162 sections 2.1.3.2 and 2.1.4.2 say.

use super::{Hash, HashReader, ReadError, SIZE_LIMIT, empty_root, node_hash};

/// Why no proof could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProveError {
    /// There is no such entry.
    #[error("index {index} is outside a tree of {size} entries; ask for a smaller one")]
    Index {
        /// The index asked for.
        index: u64,
        /// Entries in the tree.
        size: u64,
    },
    /// The sizes are in the wrong order.
    #[error("no tree of {old} entries grows into one of {new}; ask for a smaller old size")]
    Sizes {
        /// Entries before.
        old: u64,
        /// Entries after.
        new: u64,
    },
    /// A hash could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A proof does not hold: it belongs to something else, or it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proof does not lead to the root")]
pub struct ProofError;

/// The siblings on the way from leaf `index` up to the root of the tree of `size` entries.
pub fn inclusion_proof<R: HashReader + ?Sized>(reader: &R, index: u64, size: u64) -> Result<Vec<Hash>, ProveError> {
    if index >= size || size >= SIZE_LIMIT {
        return Err(ProveError::Index { index, size });
    }
    let mut path = Vec::new();
    let (mut from, mut to) = (0, size);
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            path.push(range_root(reader, middle, to)?);
            to = middle;
        } else {
            path.push(range_root(reader, from, middle)?);
            from = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The hashes that show that the tree of `new` entries begins with the tree of `old` entries. Empty if `old` is 0 or `new`.
pub fn consistency_proof<R: HashReader + ?Sized>(reader: &R, old: u64, new: u64) -> Result<Vec<Hash>, ProveError> {
    if old > new || new >= SIZE_LIMIT {
        return Err(ProveError::Sizes { old, new });
    }
    let mut path = Vec::new();
    if old == 0 || old == new {
        return Ok(path);
    }
    let (mut from, mut to) = (0, new);
    while to != old {
        let middle = from + split(to - from);
        if old <= middle {
            path.push(range_root(reader, middle, to)?);
            to = middle;
        } else {
            path.push(range_root(reader, from, middle)?);
            from = middle;
        }
    }
    if from != 0 {
        path.push(range_root(reader, from, to)?);
    }
    path.reverse();
    Ok(path)
}

/// The largest power of two below `size`, which is 2 or more.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The root over leaves `from..to`, where `from` is a multiple of the largest perfect subtree that fits.
fn range_root<R: HashReader + ?Sized>(reader: &R, from: u64, to: u64) -> Result<Hash, ReadError> {
    let mut subtrees = Vec::new();
    let mut at = from;
    while at < to {
        let level = (to - at).ilog2();
        subtrees.push(reader.hash(u8::try_from(level).unwrap_or(u8::MAX), at >> level)?);
        at += 1 << level;
    }
    Ok(subtrees.into_iter().rev().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root))
}

/// Checks that the leaf hash stands at `index` in the tree of `size` entries with this root.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError);
    }
    let (mut place, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError);
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(sibling, &hash);
            // A node at the right edge without a sibling is carried up unchanged. `place` is odd, or equal to `last`, so never 0 here.
            let lone = place.trailing_zeros();
            place >>= lone;
            last >>= lone;
        } else {
            hash = node_hash(&hash, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    if last == 0 && hash == *root { Ok(()) } else { Err(ProofError) }
}

/// Checks that the tree of `new` entries begins with the tree of `old` entries.
pub fn verify_consistency(old: u64, old_root: &Hash, new: u64, new_root: &Hash, proof: &[Hash]) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError);
    }
    if old == 0 || old == new {
        let same = old == new && old_root == new_root;
        let from_nothing = old == 0 && *old_root == empty_root() && (new > 0 || same);
        return if proof.is_empty() && (same || from_nothing) { Ok(()) } else { Err(ProofError) };
    }
    let shift = old.trailing_zeros();
    let (mut place, mut last) = ((old - 1) >> shift, (new - 1) >> shift);
    let (mut seed, mut rest) = (old_root, proof);
    if !old.is_power_of_two() {
        (seed, rest) = proof.split_first().ok_or(ProofError)?;
    }
    let (mut old_hash, mut new_hash) = (*seed, *seed);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError);
        }
        if place & 1 == 1 || place == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            let lone = place.trailing_zeros();
            place >>= lone;
            last >>= lone;
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    if last == 0 && old_hash == *old_root && new_hash == *new_root { Ok(()) } else { Err(ProofError) }
}
