#![allow(clippy::unwrap_used)]

use super::*;
use crate::seams::NoFaults;
use crate::trail::tests::support::{Failing, When};

#[test]
fn it_is_made_whole_given_up_once_and_made_again() {
    let place = tempfile::tempdir().unwrap();
    let reserve = Reserve::new(place.path(), 1 << 16);
    assert!(!reserve.is_there() && !reserve.give_up().unwrap());
    reserve.make(&NoFaults).unwrap();
    let bytes = std::fs::read(place.path().join("reserve")).unwrap();
    assert_eq!((bytes.len(), bytes.iter().any(|byte| *byte != 0)), (1 << 16, false));
    assert!(reserve.give_up().unwrap());
    assert!(!reserve.is_there() && !reserve.give_up().unwrap());
    reserve.make(&NoFaults).unwrap();
    assert!(reserve.is_there());
}

#[test]
fn one_of_another_size_is_replaced() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("reserve"), b"short").unwrap();
    let reserve = Reserve::new(place.path(), 4096);
    assert!(!reserve.is_there());
    reserve.make(&NoFaults).unwrap();
    assert!(reserve.is_there());
}

#[test]
fn a_failure_to_make_it_leaves_none_or_a_whole_one() {
    for when in [When::Before, When::After] {
        let place = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(place.path(), 4096);
        let faults = Failing::default();
        faults.fail(Step::ReserveWrite, when, 0, 1);
        reserve.make(&faults).unwrap_err();
        assert_eq!(reserve.is_there(), when == When::After);
        reserve.make(&faults).unwrap();
    }
}

#[test]
fn an_eighth_of_it_is_worth_a_commit_and_no_more() {
    let reserve = Reserve::new(Path::new("."), 8000);
    assert!(reserve.is_worth(0) && reserve.is_worth(1000) && !reserve.is_worth(1001));
}

#[test]
fn room_is_the_reserve_and_the_margin() {
    let place = tempfile::tempdir().unwrap();
    assert!(Reserve::new(place.path(), 4096).has_room());
    assert!(!Reserve::new(place.path(), u64::MAX / 2).has_room());
}
