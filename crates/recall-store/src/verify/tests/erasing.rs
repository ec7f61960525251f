//! What was erased with a record is told from what is missing.

use super::super::Erasing;
use super::*;
use crate::catalog::{Catalog, Change, Kind, RowChange};
use crate::seams::Step;
use crate::trail::Erasure;

/// November's events erased by event 45.
fn erased() -> Stopped {
    let stopped = Stopped::new(40, 5);
    let trail = stopped.opened(&Arc::new(Month(AtomicI64::new(NOVEMBER + 31 * DAY))));
    let record = || Submission::events(vec![batch(&trail, 45..46)], Class::Duty);
    trail.shred("2026-11", "standard", |_| Ok(record())).unwrap();
    store(&trail, 46..50);
    trail.publish_now().unwrap();
    trail.close();
    stopped
}

/// Changes the row of the erasure as whoever has all keys could.
fn change(stopped: &Stopped, row: impl FnOnce(Erasure) -> Option<Erasure>) {
    let trail = Trail::open(OpenOptions { read_only: true, ..OpenOptions::new(stopped.folder(), stopped.root()) }).unwrap();
    let [erasure] = <[Erasure; 1]>::try_from(trail.erasures()).unwrap();
    let key = trail.keys().trail(TrailKey::Catalog);
    let path = stopped.folder().join("catalog.sqlite");
    drop(trail);
    let name = format!("{:016x}", erasure.key_set);
    let row = match row(erasure) {
        Some(erasure) => RowChange::put(Kind::Erasure, name, serde_json::to_vec(&erasure).unwrap()),
        None => RowChange::remove(Kind::Erasure, name),
    };
    let mut catalog = Catalog::open(&path, key, Arc::new(SystemRandom), Arc::new(NoFaults)).unwrap();
    let mut state = catalog.load().unwrap().state.unwrap();
    catalog.apply(Step::CatalogWrite, &Change { rows: vec![row], ..Change::default() }, &mut state).unwrap();
    catalog.tidy().unwrap();
}

#[test]
fn what_was_erased_verifies_and_is_told_with_the_event_that_records_it() {
    let stopped = erased();
    assert_eq!(stopped.content(), Content { events: 10, erased: vec![Erasing { by: 45, events: 40 }], findings: vec![] });
}

#[test]
fn an_erasure_without_its_event_is_a_finding() {
    let cases: [(u64, &str); 3] = [
        (99, "events 0 to 39: erased by event 99, which is not there"),
        (50, "events 0 to 39: erased by event 50, which is not there"),
        (39, "events 0 to 39: erased by event 39, which came before it"),
    ];
    for (by, expected) in cases {
        let stopped = erased();
        change(&stopped, |erasure| Some(Erasure { by, ..erasure }));
        let content = stopped.content();
        assert_eq!(content.findings.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
        assert_eq!(content.erased, []);
    }
}

#[test]
fn what_is_missing_without_a_record_is_a_finding() {
    let stopped = erased();
    change(&stopped, |_| None);
    let content = stopped.content();
    assert!(content.findings.iter().any(|finding| finding.to_string() == "events 0 to 39: they are missing"), "{:?}", content.findings);
    assert_eq!(content.erased, []);

    let stopped = erased();
    change(&stopped, |erasure| Some(Erasure { ranges: vec![(0, 30)], ..erasure }));
    let content = stopped.content();
    assert!(content.findings.iter().any(|finding| finding.to_string() == "events 30 to 39: they are missing"), "{:?}", content.findings);
    assert_eq!(content.erased, [Erasing { by: 45, events: 30 }]);
}
