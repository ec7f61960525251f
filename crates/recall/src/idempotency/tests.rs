#![allow(clippy::unwrap_used)]
use recall_log::time::Timestamp;

use super::{KEPT_MICROS, Kept, Known, UnderWay, known};

#[test]
fn a_key_counts_for_a_day_and_for_one_body() {
    let kept = Kept { body: [1; 32], at: 1_000, size: 7 };
    let at = |micros| Timestamp::from_micros(micros);
    assert_eq!(known(None, &[1; 32], at(0)), Known::New);
    assert_eq!(known(Some(&kept), &[1; 32], at(1_000)), Known::Replay { size: 7 });
    assert_eq!(known(Some(&kept), &[2; 32], at(1_000)), Known::Other);
    assert_eq!(known(Some(&kept), &[2; 32], at(1_000 + KEPT_MICROS - 1)), Known::Other);
    assert_eq!(known(Some(&kept), &[2; 32], at(1_000 + KEPT_MICROS)), Known::New);
    assert_eq!(Kept::read(&kept.write()).unwrap(), kept);
}

#[test]
fn a_key_is_held_by_one_request_at_a_time() {
    let under_way = UnderWay::default();
    let claim = under_way.claim("a").unwrap();
    assert!(under_way.claim("a").is_none());
    assert!(under_way.claim("b").is_some());
    drop(claim);
    assert!(under_way.claim("a").is_some());
}
