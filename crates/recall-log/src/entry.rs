//! The entry: an event's two canonical parts, and what the tree commits to (`docs/format.md` section 1).
//!
//! Owns how an event is written, committed to, put together again and searched by. Stored bytes are read, never written anew. Knows
//! nothing of keys or of where the parts are kept. No type here has a `Debug` that would show content.

mod facets;
mod merge;
mod write;

pub use facets::Facets;
pub use merge::merge;

use crate::event::{Event, EventError, limits};
use crate::json::{JsonError, JsonErrorKind, Reader};
use crate::time::Timestamp;
use aws_lc_rs::digest;
use std::ops::Range;

/// Bytes of an entry.
pub const ENTRY_SIZE: usize = 33;

/// 0x01 || commitment: what a leaf of the tree hashes.
pub type Entry = [u8; ENTRY_SIZE];

/// 16 random bytes of one part of one event, kept beside that part alone.
pub type Salt = [u8; 16];

/// HMAC-SHA-256(salt, part): stands for a part that is not shown.
pub type PartMac = [u8; 32];

/// The first byte of every entry: the version of its make-up.
const ENTRY_VERSION: u8 = 1;

/// Tells this hash from every other.
const DOMAIN: &[u8] = b"recall/entry/v1";

/// What the server adds to an event. `source` and `id` are the sender's own where it gave them.
#[derive(Clone, Copy)]
pub struct Admission<'a> {
    /// The system that recorded the event.
    pub source: &'a str,
    /// Unique within `source`.
    pub id: &'a str,
    /// When the server received it, by the server's clock.
    pub received_at: Timestamp,
}

/// The canonical bytes of an event.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// What any authorised reader may see.
    pub public: Vec<u8>,
    /// What identifies or describes a patient.
    pub phi: Vec<u8>,
    /// Where `"received_at":"…",` stands in `public`, the comma behind it included. Without it a repeat is equal to the first.
    pub received_at_span: Range<usize>,
}

impl Parts {
    /// Writes a valid event. Refuses what only shows now: a time more than a year after receipt, more than 1 MiB in canonical form.
    pub fn write(event: &Event<'_>, admission: &Admission<'_>) -> Result<Self, EventError> {
        let mut parts = Self::default();
        parts.rewrite(event, admission)?;
        Ok(parts)
    }

    /// As [`Parts::write`], into the memory of parts that are no longer needed. After an error they hold nothing of use.
    pub fn rewrite(&mut self, event: &Event<'_>, admission: &Admission<'_>) -> Result<(), EventError> {
        if event.time.micros() > admission.received_at.micros().saturating_add(limits::FUTURE_MICROS) {
            return Err(EventError::at("time", "more than a year in the future", "set the sender's clock"));
        }
        write::parts(self, event, admission);
        if self.public.len() + self.phi.len() > limits::EVENT_BYTES && write::whole(event, admission).len() > limits::EVENT_BYTES {
            return Err(EventError::at("event", "longer than 1 MiB", "send less with it, or several events"));
        }
        Ok(())
    }
}

/// Stored bytes are not what this crate writes: they were damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {part} part is damaged: {problem}")]
pub struct PartError {
    /// `public` or `PHI`.
    pub part: &'static str,
    /// What is wrong.
    pub problem: JsonError,
}

/// A part's error out of a reader's.
const fn damaged(part: &'static str) -> impl Fn(JsonError) -> PartError {
    move |problem| PartError { part, problem }
}

const PUBLIC: &str = "public";
const PHI: &str = "PHI";

/// Where `"received_at":"…",` stands in a stored public part, the comma behind it included.
pub fn received_at_span(public: &[u8]) -> Result<Range<usize>, PartError> {
    let mut span = None;
    let mut from = 1;
    let mut read = || {
        let mut reader = Reader::new(public)?;
        reader.object(|reader, name| {
            reader.skip()?;
            let behind_comma = reader.at() + 1;
            if name == "received_at" {
                span = Some(from..behind_comma);
            }
            from = behind_comma;
            Ok::<_, JsonError>(())
        })?;
        reader.end()
    };
    read().map_err(damaged(PUBLIC))?;
    comma_behind(public, span)
}

/// The span of a member that is there and has another behind it.
fn comma_behind(public: &[u8], span: Option<Range<usize>>) -> Result<Range<usize>, PartError> {
    span.filter(|span| public.get(span.end - 1) == Some(&b','))
        .ok_or(PartError { part: PUBLIC, problem: JsonError { at: 0, kind: JsonErrorKind::Expected("received_at") } })
}

/// Bytes of a block of SHA-256, to which HMAC fills its key up.
const BLOCK: usize = 64;

/// The HMAC that binds a part to its salt.
///
/// Put together here (RFC 2104) out of two hashes in one call each: a key that is used once is dear to prepare otherwise.
pub fn part_mac(part: &[u8], salt: &Salt) -> PartMac {
    let mut inner = Vec::with_capacity(BLOCK + part.len());
    inner.extend_from_slice(&padded(salt, 0x36));
    inner.extend_from_slice(part);
    let mut outer = [0; BLOCK + 32];
    let (key, text) = outer.split_at_mut(BLOCK);
    key.copy_from_slice(&padded(salt, 0x5C));
    text.copy_from_slice(&sha256(&inner));
    sha256(&outer)
}

fn padded(salt: &Salt, with: u8) -> [u8; BLOCK] {
    let mut key = [with; BLOCK];
    key.iter_mut().zip(salt).for_each(|(to, from)| *to ^= from);
    key
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.iter_mut().zip(digest::digest(&digest::SHA256, bytes).as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

/// The entry out of both parts' HMACs.
pub fn commit_macs(public: &PartMac, phi: &PartMac) -> Entry {
    let mut committed = [0; DOMAIN.len() + 64];
    committed.iter_mut().zip(DOMAIN.iter().chain(public).chain(phi)).for_each(|(to, from)| *to = *from);
    let mut entry = [ENTRY_VERSION; ENTRY_SIZE];
    entry.iter_mut().skip(1).zip(sha256(&committed)).for_each(|(to, from)| *to = from);
    entry
}

/// The entry out of both parts and their salts.
pub fn commit(public: &[u8], phi: &[u8], salt_public: &Salt, salt_phi: &Salt) -> Entry {
    commit_macs(&part_mac(public, salt_public), &part_mac(phi, salt_phi))
}

#[cfg(test)]
mod tests;
