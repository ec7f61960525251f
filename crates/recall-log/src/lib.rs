//! The event, its canonical bytes, and the tree that proves them.
//!
//! An auditor reads this crate alone. It must never see a runtime, a network, a disk, a clock or a source of randomness: bytes come
//! in, bytes and verdicts go out. Formats: `docs/format.md` sections 1, 7 and 11, RFC 8785, RFC 6962, C2SP tlog-tiles, signed-note,
//! tlog-checkpoint, tlog-cosignature and tlog-proof.

pub mod canonical;
pub mod checkpoint;
pub mod entry;
pub mod event;
pub mod json;
pub mod merkle;
#[cfg(test)]
mod mutation;
pub mod note;
pub mod proof;
pub mod tile;
pub mod time;
pub mod verify;
