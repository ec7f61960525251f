//! The commands, one file each. Client commands ask over `client.rs`; those that work on a folder open it through `folder.rs`.

pub mod anchor;
pub mod backup;
pub mod config;
pub mod doctor;
pub mod ingest;
pub mod init;
pub mod keys;
pub mod receipt;
pub mod recover;
pub mod restore;
pub mod search;
pub mod serve;
pub mod show;
pub mod source;
pub mod sql;
pub mod token;
pub mod user;
pub mod verify;
