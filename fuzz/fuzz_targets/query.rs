#![no_main]
//! The query language: any text ends in a filter or an error whose message does not repeat it.

use libfuzzer_sys::fuzz_target;
use recall_log::time::Timestamp;

fuzz_target!(|text: &str| {
    if let Err(error) = recall_search::query::parse(text, Timestamp::from_micros(1_790_812_800_000_000)) {
        assert!(error.at <= text.chars().count() + 1);
    }
});
