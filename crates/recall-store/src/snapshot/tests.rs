#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::testing::Bench;

fn erased(first_index: u64, count: u32) -> Part {
    Part::Erased(Erased { first_index, count, key_set: 1, by: Some(9) })
}

fn ranges(snapshot: &Snapshot) -> Vec<(u64, u64)> {
    snapshot.parts().iter().map(|part| (part.first_index(), part.end())).collect()
}

#[test]
fn parts_follow_one_another_from_zero() {
    assert!(Snapshot::new(vec![erased(0, 4), erased(4, 1)]).is_ok());
    assert_eq!(Snapshot::new(vec![erased(0, 4), erased(5, 1)]).err(), Some(Gap(4)));
    assert_eq!(Snapshot::new(vec![erased(0, 4), erased(3, 1)]).err(), Some(Gap(4)));
    assert_eq!(Snapshot::new(vec![erased(1, 4)]).err(), Some(Gap(0)));
}

#[test]
fn locate_finds_part_and_row() {
    let snapshot = Snapshot::new(vec![erased(0, 4), erased(4, 1), erased(5, 10)]).unwrap();
    let found = |index| snapshot.locate(index).map(|(part, row)| (part.first_index(), row));
    assert_eq!(found(0), Some((0, 0)));
    assert_eq!(found(3), Some((0, 3)));
    assert_eq!(found(4), Some((4, 0)));
    assert_eq!(found(14), Some((5, 9)));
    assert_eq!(found(15), None);
    assert!(Snapshot::default().locate(0).is_none());
}

#[test]
fn append_and_replace_keep_what_readers_hold() {
    let snapshots = Snapshots::default();
    snapshots.append(&[erased(0, 2), erased(2, 2)]).unwrap();
    let held = snapshots.load();
    snapshots.append(&[erased(4, 2)]).unwrap();
    assert_eq!(snapshots.append(&[erased(7, 1)]), Err(Gap(6)));
    assert_eq!(snapshots.append(&[erased(6, 1), erased(8, 1)]), Err(Gap(7)));
    assert_eq!(snapshots.load().size(), 6);
    snapshots.replace(erased(2, 4)).unwrap();
    assert_eq!(ranges(&snapshots.load()), [(0, 2), (2, 6)]);
    assert_eq!(ranges(&held), [(0, 2), (2, 4)]);
}

#[test]
fn replace_refuses_what_covers_other_events() {
    let snapshots = Snapshots::default();
    snapshots.append(&[erased(0, 2), erased(2, 2), erased(4, 2)]).unwrap();
    for (first, count) in [(1, 1), (0, 3), (2, 5), (6, 1), (1, 3), (3, 3)] {
        assert!(snapshots.replace(erased(first, count)).is_err(), "{first} {count}");
    }
    assert_eq!(ranges(&snapshots.load()), [(0, 2), (2, 4), (4, 6)]);
}

#[test]
fn erased_parts_hold_nothing() {
    let part = erased(3, 5);
    let scan = Scan { columns: vec![Column::Index], rows: Rows::All, predicate: None, batch_rows: 10, phi: None };
    assert_eq!(part.scan(scan).unwrap().count(), 0);
    assert!(part.rows_of(Token(1)).unwrap().is_empty());
    assert!(part.time_range().is_none());
}

#[test]
fn scans_are_checked() {
    let bench = Bench::new();
    let part = bench.parts(0..10, 10).remove(0);
    let ask = |columns: Vec<Column>, rows, batch_rows, phi| part.scan(Scan { columns, rows, predicate: None, batch_rows, phi }).err();
    let index = || vec![Column::Index];
    assert!(ask(index(), Rows::List(vec![0, 9]), 1, None).is_none());
    for rows in [Rows::Range(0..11), Rows::List(vec![10]), Rows::List(vec![3, 3]), Rows::List(vec![4, 3])] {
        assert!(matches!(ask(index(), rows, 1, None), Some(ReadError::Rows)));
    }
    assert!(matches!(ask(index(), Rows::All, 0, None), Some(ReadError::Rows)));
    for column in Column::ALL.into_iter().filter(|column| column.is_phi()) {
        assert!(matches!(ask(vec![column], Rows::All, 1, None), Some(ReadError::Denied(denied)) if denied == column));
        assert!(ask(vec![column], Rows::All, 1, Some(&bench.phi)).is_none());
        let test: Test = Box::new(|batch| Ok(vec![true; batch.num_rows()].into()));
        let predicate = Some(Predicate { columns: vec![column], test });
        let scan = Scan { columns: index(), rows: Rows::All, predicate, batch_rows: 5, phi: None };
        assert!(matches!(part.scan(scan), Err(ReadError::Denied(_))));
    }
}
