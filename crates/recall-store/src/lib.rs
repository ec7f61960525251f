//! What Recall keeps, and how: the catalog, keys, the committer, tiles, segments and the index of what was seen before.
//!
//! This crate owns every byte on disk (`docs/format.md`). It must never see HTTP, a query engine, or who is asking.

pub mod backup;
pub mod batch;
pub mod catalog;
pub mod columns;
pub mod committer;
pub mod compactor;
pub mod dedupe;
pub mod durable;
mod encrypted;
pub mod fresh;
pub mod keys;
pub mod postings;
pub mod publisher;
pub mod recover;
pub mod reserve;
pub mod seal;
pub mod seams;
pub mod secret;
pub mod segment;
pub mod snapshot;
mod sorted;
pub mod source;
pub mod token;
pub mod trail;
pub mod verify;

pub use encrypted::reads_guarded;

#[cfg(test)]
mod testing;
