#![no_main]
//! The query language: any text ends in a filter or an error at a place within it.
//!
//! The language is included by its path: the crate that owns it links a query engine, which takes half an hour to build under a sanitizer.

use libfuzzer_sys::fuzz_target;
use recall_log::time::Timestamp;

#[path = "../../crates/recall-search/src"]
#[allow(dead_code)]
mod search {
    pub mod query;
}

fuzz_target!(|text: &str| {
    if let Err(error) = search::query::parse(text, Timestamp::from_micros(1_790_812_800_000_000)) {
        assert!(error.at >= 1 && error.at <= text.chars().count() + 1);
    }
});
