#![allow(clippy::unwrap_used)]
use recall_log::time::Timestamp;
use recall_store::seams::SystemRandom;

use super::Ids;

#[test]
fn a_repeat_under_an_idempotency_key_makes_the_same_ids_and_another_body_others() {
    let make = |key: &str, ordinal, bytes: &[u8]| Ids::derived("token", key).make(ordinal, bytes, Timestamp::from_micros(0), &SystemRandom);
    let first = make("k", 0, b"{}");
    assert_eq!(make("k", 0, b"{}"), first);
    for other in [make("k", 0, b"{ }"), make("k", 1, b"{}"), make("l", 0, b"{}")] {
        assert_ne!(other, first);
    }
}
