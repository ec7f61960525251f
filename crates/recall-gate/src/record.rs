//! What a gateway writes to: records that are durable before what they record has any effect outside.
//!
//! It must not know where records are kept. Source of the rule: no audit, no data, no change (`ARCHITECTURE.md`).

use recall_log::event::Event;
use thiserror::Error;

/// Why records could not be written. Nothing that depends on them may happen.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordError {
    /// Too much waits to be written; the same may work in a moment.
    #[error("too many records wait to be written: try again in a moment")]
    Busy,
    /// The disk of the trail is full.
    #[error("the disk of the audit trail is full: make room")]
    DiskFull,
    /// The trail takes no records.
    #[error("the audit trail takes no records: {0}")]
    Unavailable(String),
}

/// Told once, from any thread, when the records are durable or when they can't be.
pub type Done = Box<dyn FnOnce(Result<(), RecordError>) + Send>;

/// Where records go.
pub trait Recorder: Send + Sync {
    /// Takes records of one gateway session that belong together, in their order; records of earlier calls become durable before or with
    /// them. An error says that none of these was taken, and `done` is not called then.
    fn record(&self, events: &[Event<'_>], done: Done) -> Result<(), RecordError>;
}
