//! A synthetic hospital, and what the demo and the benchmarks share.
//!
//! Nothing of Recall itself is here: the hospital makes events as a sender would, without knowing who keeps them, `process` starts
//! the binary as anybody would, and `cluster` a PostgreSQL server.

pub mod cluster;
pub mod hospital;
pub mod process;
pub mod stopwatch;
pub mod stuck;
