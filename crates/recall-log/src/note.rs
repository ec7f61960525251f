//! C2SP signed-note and tlog-cosignature: texts signed with Ed25519, and the keys that sign and verify them.
//!
//! Owns the syntax of notes and keys, and the signatures. What a text means is `checkpoint`'s. Private keys come from outside, can't be
//! printed, and are wiped by the cryptographic library when dropped.

mod key;

pub use key::{KeyKind, SignError, Signer, Verifier, VerifierError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeSet;

/// A longer note is refused.
pub const NOTE_BYTES: usize = 1 << 20;

/// A note with more signatures is refused.
pub const SIGNATURES: usize = 100;

/// A note can't be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// It is no signed note.
    #[error("not a signed note: {0}; fetch it again")]
    Malformed(&'static str),
    /// A signature of a known key is wrong.
    #[error("the signature of {0} does not verify; the text or the signature was changed")]
    Forged(String),
    /// No known key has signed it.
    #[error("signed by no known key; check the public key")]
    Unsigned,
}

/// A note whose signatures by known keys all verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened<'n> {
    /// The signed text, its last newline included.
    pub text: &'n str,
    /// The places, among the verifiers given, of those that have signed.
    pub signers: BTreeSet<usize>,
}

/// Opens a note: verifies every signature by one of `verifiers`, of which there must be one; ignores other signatures.
pub fn open<'n>(note: &'n [u8], verifiers: &[Verifier]) -> Result<Opened<'n>, NoteError> {
    let (text, lines) = split(note)?;
    let mut signers = BTreeSet::new();
    for (count, line) in lines.split_terminator('\n').enumerate() {
        if count == SIGNATURES {
            return Err(NoteError::Malformed("more than 100 signatures"));
        }
        let (name, id, signature) = signature_line(line)?;
        if let Some((place, verifier)) = verifiers.iter().enumerate().find(|(_, known)| known.name() == name && known.id() == id) {
            verifier.verify(text, &signature).map_err(|_| NoteError::Forged(name.to_owned()))?;
            signers.insert(place);
        }
    }
    if signers.is_empty() { Err(NoteError::Unsigned) } else { Ok(Opened { text, signers }) }
}

/// The text, and the lines of signatures behind the last empty line.
fn split(note: &[u8]) -> Result<(&str, &str), NoteError> {
    if note.len() > NOTE_BYTES {
        return Err(NoteError::Malformed("longer than 1 MiB"));
    }
    let note = std::str::from_utf8(note).map_err(|_| NoteError::Malformed("not UTF-8"))?;
    if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(NoteError::Malformed("a control character"));
    }
    let text_end = note.rfind("\n\n").ok_or(NoteError::Malformed("no empty line before the signatures"))? + 1;
    let (text, rest) = note.split_at_checked(text_end).ok_or(NoteError::Malformed("no text"))?;
    let lines = rest.strip_prefix('\n').filter(|lines| lines.ends_with('\n')).ok_or(NoteError::Malformed("no signature line"))?;
    Ok((text, lines))
}

/// Name, key id and signature of the line `— name base64`.
fn signature_line(line: &str) -> Result<(&str, [u8; 4], Vec<u8>), NoteError> {
    let (name, encoded) =
        line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')).ok_or(NoteError::Malformed("a line that is no signature"))?;
    if !key::is_name(name) {
        return Err(NoteError::Malformed("a signature without a key name"));
    }
    let bytes = STANDARD.decode(encoded).map_err(|_| NoteError::Malformed("a signature that is not base64"))?;
    match bytes.split_first_chunk::<4>() {
        Some((id, signature)) if !signature.is_empty() => Ok((name, *id, signature.to_vec())),
        _ => Err(NoteError::Malformed("a signature that is too short")),
    }
}

#[cfg(test)]
pub(crate) mod tests;
