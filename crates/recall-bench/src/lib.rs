//! A synthetic hospital, and what the demo and the benchmarks share.
//!
//! Nothing of Recall itself is here: the hospital makes events as a sender would, without knowing who keeps them, and `process` starts
//! the binary as anybody would.

pub mod hospital;
pub mod process;
pub mod stopwatch;
pub mod stuck;
