//! C2SP tlog-checkpoint: the signed head of a tree, and how far its signatures reach.

use crate::merkle::{Hash, empty_root};
use crate::note::{self, KeyKind, NoteError, SignError, Signer, Verifier};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// The head of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log.
    pub origin: String,
    /// Entries in the tree.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// How far the signatures under a checkpoint reach. Without witnesses a log is tamper-evident only against those who lack its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Witnesses that have signed.
    pub witnessed: usize,
    /// Witnesses that were asked for.
    pub of: usize,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("signed")?;
        if self.of > 0 { write!(f, ", witnessed {} of {}", self.witnessed, self.of) } else { Ok(()) }
    }
}

/// A checkpoint can't be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The text has another form.
    #[error("not a checkpoint: {0}; fetch it again")]
    Malformed(&'static str),
    /// The note around it is no good.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// It is signed, but not by the log.
    #[error("not signed by the log {0}; check the public key")]
    Unsigned(String),
    /// Another log's.
    #[error("a checkpoint of {found}, not of {wanted}; check the public key")]
    Origin {
        /// The log whose key was given.
        wanted: String,
        /// The log that it names.
        found: String,
    },
}

impl Checkpoint {
    /// The three lines that are signed.
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// Parses the three lines, strictly; extension lines are refused.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let malformed = CheckpointError::Malformed;
        let lines: Vec<&str> = text.strip_suffix('\n').ok_or(malformed("no newline at its end"))?.split('\n').collect();
        let [origin, size, root] = lines[..] else {
            return Err(malformed("it has not three lines"));
        };
        if origin.is_empty() || origin.contains(char::is_control) {
            return Err(malformed("the origin is empty or has a control character"));
        }
        let size = decimal(size).ok_or(malformed("the size is no plain number"))?;
        let root =
            STANDARD.decode(root).ok().and_then(|root| Hash::try_from(root).ok()).ok_or(malformed("the root is no hash in base64"))?;
        if size == 0 && root != empty_root() {
            return Err(malformed("an empty tree has another root"));
        }
        Ok(Self { origin: origin.to_owned(), size, root })
    }

    /// The signed note.
    pub fn sign(&self, signer: &Signer) -> Result<String, SignError> {
        signer.sign(&self.to_text())
    }

    /// Opens a signed note: checks the log's signature, that the log is the origin, and counts the witnesses that have signed.
    pub fn open(note: &[u8], log: &Verifier, witnesses: &[Verifier]) -> Result<(Self, Tier), CheckpointError> {
        let known: Vec<Verifier> = std::iter::once(log).chain(witnesses).cloned().collect();
        let opened = note::open(note, &known)?;
        if !opened.signers.contains(&0) || log.kind() != KeyKind::Ed25519 {
            return Err(CheckpointError::Unsigned(log.name().to_owned()));
        }
        let checkpoint = Self::parse(opened.text)?;
        if checkpoint.origin != log.name() {
            return Err(CheckpointError::Origin { wanted: log.name().to_owned(), found: checkpoint.origin });
        }
        Ok((checkpoint, Tier { witnessed: opened.signers.len() - 1, of: witnesses.len() }))
    }
}

/// A number in decimal, without sign and leading zeros.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests;
