//! Inline gateways: they stand between people and the systems that hold health information, and let nothing through without its record.
//!
//! Owns wire protocols, what a statement touches, and the evidence of what came back. It must not know how records are kept nor how they
//! are asked for: there is one [`record::Recorder`] to write to.

pub mod postgres;
pub mod record;
pub mod seams;
