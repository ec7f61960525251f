#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::postings::Posting;
use crate::testing::Seeded;

fn stretch(secrets: &Secrets, records: &[i64], gone: &[i64]) -> Stretch<Posting> {
    let mut stretch = Stretch::default();
    records.iter().for_each(|record| stretch.add(secrets, (*record, 0), gone.contains(record)));
    stretch
}

fn agree(expected: &[i64], stretches: &[&[i64]], gone: &[i64]) -> bool {
    let secrets = Secrets::draw(&Seeded::new(1));
    let mut sides = Sides::default();
    let mut fingerprint = Fingerprint::default();
    expected.iter().for_each(|record| fingerprint.add(&secrets, &(*record, 0)));
    sides.expect(&fingerprint);
    stretches.iter().for_each(|records| sides.found(Ok(stretch(&secrets, records, gone))));
    sides.agree()
}

#[test]
fn equal_sides_agree_if_the_file_is_in_order() {
    assert!(agree(&[], &[], &[]) && agree(&[], &[&[]], &[]));
    assert!(agree(&[3, 1, 2], &[&[1, 2], &[], &[3]], &[]));
    assert!(agree(&[3, 1], &[&[1, 2, 3]], &[2]));
    assert!(!agree(&[3, 1, 2], &[&[1, 3]], &[]));
    assert!(!agree(&[3, 1], &[&[1, 2, 3]], &[]));
    assert!(!agree(&[3, 1, 2], &[&[1, 3, 2]], &[]), "out of order within");
    assert!(!agree(&[3, 1, 2], &[&[3], &[1, 2]], &[]), "out of order between");
    assert!(!agree(&[3, 1, 2], &[&[3], &[], &[1, 2]], &[]));
    assert!(!agree(&[1, 3], &[&[1, 4, 3]], &[4]), "one without an event keeps its place");
}

#[test]
fn what_could_not_be_read_agrees_with_nothing() {
    let mut sides = Sides::<Posting>::default();
    assert!(sides.agree());
    sides.found(Err(ReadError::Rows));
    assert!(!sides.agree());
    let mut sides = Sides::<Posting>::default();
    sides.doubt();
    assert!(!sides.agree());
}
