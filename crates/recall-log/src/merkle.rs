//! The Merkle tree of RFC 6962: hashes, roots, and proofs of inclusion and consistency.
//!
//! Owns the arithmetic of the tree alone. Where hashes are kept is behind [`HashReader`]; what an entry means is no concern of it.

mod proof;

pub use proof::{ProofError, ProveError, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion};

use aws_lc_rs::digest;

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// A tree of 2^63 entries is the largest whose arithmetic fits; nobody will have one.
pub const SIZE_LIMIT: u64 = 1 << 63;

const LEAF: u8 = 0;
const NODE: u8 = 1;

/// SHA-256(0x00 || entry).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    // Entries are short, and a hash in one call costs half of one in steps.
    let mut message = [LEAF; 65];
    if let Some((message, _)) = message.split_at_mut_checked(1 + entry.len()) {
        message.iter_mut().skip(1).zip(entry).for_each(|(to, from)| *to = *from);
        return as_hash(&digest::digest(&digest::SHA256, message));
    }
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&[LEAF]);
    context.update(entry);
    as_hash(&context.finish())
}

/// SHA-256(0x01 || left || right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut message = [NODE; 65];
    let (_, children) = message.split_at_mut(1);
    children.iter_mut().zip(left.iter().chain(right)).for_each(|(to, from)| *to = *from);
    as_hash(&digest::digest(&digest::SHA256, &message))
}

/// The root of a tree without entries: SHA-256("").
pub fn empty_root() -> Hash {
    as_hash(&digest::digest(&digest::SHA256, &[]))
}

fn as_hash(digest: &digest::Digest) -> Hash {
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

/// The root over a row of hashes of perfect subtrees of one size.
pub(crate) fn row_root(row: &[Hash]) -> Hash {
    edge_root(std::iter::once(row))
}

/// The root over the rows of hashes at a tree's right edge, those of the smallest subtrees first.
pub(crate) fn edge_root<'a>(rows: impl IntoIterator<Item = &'a [Hash]>) -> Hash {
    let mut root = None;
    for row in rows {
        let mut frontier = Frontier::new();
        row.iter().for_each(|hash| frontier.push(*hash));
        root = frontier.hashes.iter().rev().fold(root, |right, left| Some(right.map_or(*left, |right| node_hash(left, &right))));
    }
    root.unwrap_or_else(empty_root)
}

/// The roots of a tree's perfect subtrees, largest first: all that is needed to append to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    hashes: Vec<Hash>,
}

/// A size and a number of hashes that don't go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tree of {size} entries has {expected} perfect subtrees, not {found}; the frontier is damaged")]
pub struct FrontierError {
    /// Entries in the tree.
    pub size: u64,
    /// Perfect subtrees it has.
    pub expected: u32,
    /// Hashes given.
    pub found: usize,
}

impl Frontier {
    /// The frontier of an empty tree.
    pub const fn new() -> Self {
        Self { size: 0, hashes: Vec::new() }
    }

    /// From what [`Frontier::size`] and [`Frontier::hashes`] gave.
    pub fn from_parts(size: u64, hashes: Vec<Hash>) -> Result<Self, FrontierError> {
        let expected = size.count_ones();
        if hashes.len() != expected as usize || size >= SIZE_LIMIT {
            return Err(FrontierError { size, expected, found: hashes.len() });
        }
        Ok(Self { size, hashes })
    }

    /// Appends a leaf hash: one node hash on average.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        let mut smallest_first = self.hashes.iter().rev().copied();
        match smallest_first.next() {
            Some(last) => smallest_first.fold(last, |right, left| node_hash(&left, &right)),
            None => empty_root(),
        }
    }

    /// Entries in the tree.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the perfect subtrees, largest first.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }
}

/// A hash could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ReadError {
    /// The file or table that should hold it.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
}

/// Roots of perfect subtrees, wherever they are kept.
pub trait HashReader {
    /// The root of the perfect subtree over the 2^level leaves from leaf `index` × 2^level on.
    fn hash(&self, level: u8, index: u64) -> Result<Hash, ReadError>;
}

#[cfg(test)]
mod tests;
