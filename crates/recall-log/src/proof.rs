//! C2SP tlog-proof: receipts that stand alone.
//!
//! Owns the text of a `.tlog-proof`, and the JSON in its `extra` line: what of an event is disclosed, or what stands in its place.
//! Whoever has a receipt and the log's public key needs nothing else (`docs/format.md` section 1).

mod disclosure;

pub use disclosure::{Disclosure, Shown};

use crate::checkpoint::{Checkpoint, CheckpointError, Tier, decimal};
use crate::entry::Entry;
use crate::merkle::{Hash, ProofError, leaf_hash, verify_inclusion};
use crate::note::Verifier;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A longer receipt is refused: base64 twice over the largest event, and room for proof and checkpoint.
pub const RECEIPT_BYTES: usize = 4 << 20;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The longest path in a tree of less than 2^63 entries.
const PATH_LIMIT: usize = 63;

/// A proof that one entry is in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Not authenticated by itself; of Recall's receipts, [`Disclosure::to_json`].
    pub extra: Option<Vec<u8>>,
    /// Where the entry stands.
    pub index: u64,
    /// The siblings from the leaf up.
    pub path: Vec<Hash>,
    /// The signed checkpoint, as published.
    pub checkpoint: String,
}

/// A receipt proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// It has another form.
    #[error("not a receipt: {0}; ask for it again")]
    Malformed(&'static str),
    /// It does not say what it is a receipt of.
    #[error("the receipt's extra line is missing or damaged: {0}; ask for it again")]
    Extra(&'static str),
    /// The checkpoint in it is no good.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// What it shows is not in the tree.
    #[error("what the receipt shows is not entry {index} of the log; the receipt was changed or belongs to another log")]
    NotIncluded {
        /// The index it claims.
        index: u64,
    },
}

/// What a receipt proves: that the log whose key signed the checkpoint holds this entry.
#[derive(Clone, PartialEq, Eq)]
pub struct Proven {
    /// The tree it is in.
    pub checkpoint: Checkpoint,
    /// How far the signatures reach.
    pub tier: Tier,
    /// Where it stands.
    pub index: u64,
    /// The entry.
    pub entry: Entry,
    /// Its leaf hash.
    pub leaf: Hash,
    /// What it discloses.
    pub disclosure: Disclosure,
}

impl Receipt {
    /// The text of a `.tlog-proof` file.
    pub fn to_text(&self) -> String {
        let mut lines = vec![HEADER.to_owned()];
        lines.extend(self.extra.as_ref().map(|extra| format!("extra {}", STANDARD.encode(extra))));
        lines.push(format!("index {}", self.index));
        lines.extend(self.path.iter().map(|hash| STANDARD.encode(hash)));
        format!("{}\n\n{}", lines.join("\n"), self.checkpoint)
    }

    /// Parses a `.tlog-proof` file, strictly. Does not look into `extra` and checkpoint.
    pub fn parse(receipt: &[u8]) -> Result<Self, ReceiptError> {
        let malformed = ReceiptError::Malformed;
        if receipt.len() > RECEIPT_BYTES {
            return Err(malformed("longer than 4 MiB"));
        }
        let text = std::str::from_utf8(receipt).map_err(|_| malformed("not UTF-8"))?;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(malformed("no checkpoint behind an empty line"))?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(malformed("the first line is not c2sp.org/tlog-proof@v1"));
        }
        let mut line = lines.next();
        let extra = match line.and_then(|line| line.strip_prefix("extra ")) {
            Some(extra) => {
                line = lines.next();
                Some(STANDARD.decode(extra).map_err(|_| malformed("the extra line is not base64"))?)
            }
            None => None,
        };
        let index = line.and_then(|line| line.strip_prefix("index ")).and_then(decimal).ok_or(malformed("no index line"))?;
        let path = lines.map(hash).collect::<Option<Vec<_>>>().ok_or(malformed("a line of the path is no hash in base64"))?;
        if path.len() > PATH_LIMIT {
            return Err(malformed("the path has more than 63 hashes"));
        }
        Ok(Self { extra, index, path, checkpoint: checkpoint.to_owned() })
    }

    /// Checks that the log's signed tree holds `leaf` at the receipt's index: all that a tlog-proof of any log says.
    pub fn verify_leaf(&self, leaf: &Hash, log: &Verifier, witnesses: &[Verifier]) -> Result<(Checkpoint, Tier), ReceiptError> {
        let (checkpoint, tier) = Checkpoint::open(self.checkpoint.as_bytes(), log, witnesses)?;
        verify_inclusion(leaf, self.index, checkpoint.size, &self.path, &checkpoint.root)
            .map_err(|ProofError| ReceiptError::NotIncluded { index: self.index })?;
        Ok((checkpoint, tier))
    }

    /// Checks all of a Recall receipt: what it shows makes the entry, the entry is in the tree, the tree is the log's.
    pub fn verify(&self, log: &Verifier, witnesses: &[Verifier]) -> Result<Proven, ReceiptError> {
        let disclosure = Disclosure::parse(self.extra.as_deref().ok_or(ReceiptError::Extra("missing"))?)?;
        let entry = disclosure.entry();
        let leaf = leaf_hash(&entry);
        let (checkpoint, tier) = self.verify_leaf(&leaf, log, witnesses)?;
        Ok(Proven { checkpoint, tier, index: self.index, entry, leaf, disclosure })
    }
}

fn hash(line: &str) -> Option<Hash> {
    STANDARD.decode(line).ok().and_then(|hash| hash.try_into().ok())
}

#[cfg(test)]
mod tests;
