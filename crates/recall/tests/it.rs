//! The real binary on temporary folders. One test binary, so that it is linked once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod it {
    pub mod cluster;
    pub mod harness;

    mod administration;
    mod at_rest;
    mod bad_input;
    mod basics;
    mod cancel;
    mod command_line;
    mod crash;
    mod damage;
    mod drivers;
    mod flips;
    mod full_disk;
    mod gateway;
    mod idempotency;
    mod lifecycle;
    mod outside;
    mod reading;
    mod tamper;
    mod users;
}
