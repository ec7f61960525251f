//! The HTTP interface: one file per family of endpoints. Which path leads where is in `router.rs` alone.

pub mod admit;
pub mod authenticate;
pub mod backup;
pub mod events;
pub mod format;
pub mod integrity;
pub mod keys;
pub mod operations;
pub mod permit;
pub mod problem;
pub mod receipts;
pub mod server;
pub mod sources;
pub mod sql;
pub mod tokens;
pub mod tree;
pub mod users;
