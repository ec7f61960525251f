//! The register against a set of numbers, and its limits at, below and above.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn note(seq: Option<u64>) -> Note<'static> {
    Note { source: "urn:ehr:main", seq, time: at(100), received_at: at(101) }
}

fn heard(numbers: &[u64]) -> Source {
    let mut register = Register::default();
    for &seq in numbers {
        register.heard(&note(Some(seq)));
    }
    register.get("urn:ehr:main").unwrap().clone()
}

#[test]
fn a_gap_shows_and_closes_when_its_numbers_come_late() {
    assert_eq!(heard(&[1, 2, 6]).gaps, [Gap { first: 3, last: 5 }]);
    assert_eq!(heard(&[1, 2, 6, 4]).gaps, [Gap { first: 3, last: 3 }, Gap { first: 5, last: 5 }]);
    assert_eq!(heard(&[1, 2, 6, 4, 3, 5]).gaps, []);
    assert_eq!(heard(&[1, 2, 6]).missing(), 3);
}

proptest! {
    #[test]
    fn gaps_are_what_a_set_says_is_missing(numbers in proptest::collection::vec(0_u64..200, 1..60)) {
        let first = numbers[0];
        let seen: BTreeSet<u64> = numbers.iter().copied().collect();
        let last = *seen.iter().next_back().unwrap();
        let missing: Vec<u64> = (first..=last).filter(|n| !seen.contains(n)).collect();
        let found: Vec<u64> = heard(&numbers).gaps.iter().flat_map(|gap| gap.first..=gap.last).collect();
        prop_assert_eq!(found, missing);
    }
}

#[test]
fn gaps_are_bounded_and_the_rest_is_counted() {
    let numbers = |gaps: u64| (0..=gaps).map(|n| n * 2).collect::<Vec<_>>();
    let limit = u64::try_from(GAPS_MAX).unwrap();
    for (gaps, kept, counted) in [(limit - 1, GAPS_MAX - 1, 0), (limit, GAPS_MAX, 0), (limit + 1, GAPS_MAX, 1)] {
        let source = heard(&numbers(gaps));
        assert_eq!((source.gaps.len(), source.gaps_uncounted), (kept, counted));
    }
}

#[test]
fn the_largest_number_is_no_overflow() {
    assert_eq!(heard(&[u64::MAX - 1, u64::MAX, 0]).gaps, []);
}

#[test]
fn sources_are_bounded_and_the_rest_is_counted() {
    let mut register = Register::load((0..SOURCES_MAX - 1).map(|n| (format!("urn:{n}"), Source::default())));
    register.heard(&note(None));
    assert_eq!((register.iter().count(), register.events_unregistered()), (SOURCES_MAX, 0));
    register.heard(&Note { source: "urn:one-too-many", ..note(None) });
    assert_eq!((register.iter().count(), register.events_unregistered()), (SOURCES_MAX, 1));
    assert!(!register.expect("urn:another", Some(60)));
    assert!(register.expect("urn:0", Some(60)));
}

#[test]
fn a_clock_ahead_is_flagged_and_a_late_event_is_not() {
    let mut register = Register::default();
    for (name, time) in [("late", 0), ("slightly", 1_004), ("ahead", 1_005)] {
        register.heard(&Note { source: name, seq: None, time: at(time), received_at: at(1_000) });
    }
    let ahead = |name| register.get(name).unwrap().ahead_ms();
    assert_eq!((ahead("late"), ahead("slightly"), ahead("ahead")), (None, None, Some(5_000)));
}

#[test]
fn silence_counts_from_the_last_event_and_only_where_expected() {
    let mut register = Register::default();
    register.heard(&note(None));
    assert!(!register.get("urn:ehr:main").unwrap().silent(at(1_000_000)));
    register.expect("urn:ehr:main", Some(60));
    let silent = |now| register.get("urn:ehr:main").unwrap().silent(at(now));
    assert_eq!((silent(160), silent(161), silent(162)), (false, false, true));
    register.expect("urn:never", Some(60));
    assert!(register.get("urn:never").unwrap().silent(at(0)));
}

#[test]
fn what_changed_is_given_out_once_and_again_if_it_could_not_be_kept() {
    let mut register = Register::default();
    register.heard(&note(Some(1)));
    let changed = register.take_changed();
    assert_eq!(changed.len(), 1);
    assert!(register.take_changed().is_empty());
    register.unkept(changed.into_iter().map(|(name, _)| name));
    assert_eq!(register.take_changed().len(), 1);
}

#[test]
fn a_source_survives_its_row() {
    let source = heard(&[1, 5, 9]);
    let row = serde_json::to_vec(&source).unwrap();
    assert_eq!(serde_json::from_slice::<Source>(&row).unwrap(), source);
}
