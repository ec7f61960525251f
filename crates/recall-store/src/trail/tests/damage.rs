//! Damage: what is whole is served, what is not is named, and what can be made again is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::PathBuf;

use rusqlite::Connection;

use super::support::{Stage, batch, ingest, store, until};
use super::{Class, CommitError, SOON, Status, Submission, Trail, all, contents};
use crate::trail::OpenOptions;

fn duty(trail: &Trail, number: u64) -> Submission {
    Submission::events(vec![batch(trail, number..number + 1)], Class::Duty)
}

fn sql(stage: &Stage, sql: &str) {
    assert!(Connection::open(stage.folder().join("catalog.sqlite")).unwrap().execute(sql, []).unwrap() > 0, "{sql}");
}

fn files(stage: &Stage, folder: &str, extension: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(stage.folder().join(folder)).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == extension)).collect();
    files.sort();
    files
}

/// A stage with twenty events in a segment and ten in batches.
fn with_segment() -> Stage {
    let stage = Stage::new();
    let trail = stage.open();
    store(&trail, 0..20).unwrap();
    trail.publish_now().unwrap();
    let set = trail.keys().set_for("2026-11", "standard").unwrap();
    trail.running.as_ref().unwrap().compactor.flush(vec![set]).unwrap();
    store(&trail, 20..30).unwrap();
    trail.publish_now().unwrap();
    drop(trail);
    stage
}

/// Waits until nothing is being made again.
fn mended(trail: &Trail) {
    until(|| trail.dedupe.broken().is_none());
}

fn check_whole(stage: &Stage, trail: &Trail, size: u64) {
    let repeats = store(trail, 0..30).unwrap();
    assert!(all(&repeats, Status::Duplicate));
    assert_eq!(trail.size(), size);
    assert_eq!((trail.degraded(), trail.read_only()), (vec![], None));
    let again = Trail::open(OpenOptions { read_only: true, ..stage.options() }).unwrap();
    assert_eq!(again.damage(), []);
}

#[test]
fn a_run_that_is_missing_or_cut_or_rotten_is_made_again() {
    for damage in ["missing", "cut", "rotten"] {
        let stage = with_segment();
        let run = files(&stage, "dedupe", "run").remove(0);
        let mut bytes = std::fs::read(&run).unwrap();
        match damage {
            "missing" => std::fs::remove_file(&run).unwrap(),
            "cut" => std::fs::write(&run, &bytes[..bytes.len() / 2]).unwrap(),
            _ => {
                (4..400).for_each(|at| bytes[at] ^= 1);
                std::fs::write(&run, bytes).unwrap();
            }
        }
        let looked = Trail::open(OpenOptions { read_only: true, ..stage.options() }).unwrap();
        assert_eq!(looked.damage().is_empty(), damage == "rotten", "{damage}");
        drop(looked);
        let trail = stage.open();
        // Whatever can't be told is refused, not stored twice.
        match store(&trail, 0..30) {
            Err(error) => assert!(matches!(error, CommitError::Repeats(_)), "{damage}: {error}"),
            Ok(repeats) => assert!(all(&repeats, Status::Duplicate), "{damage}"),
        }
        trail.submit_and_wait(duty(&trail, 40)).unwrap().unwrap();
        mended(&trail);
        check_whole(&stage, &trail, 31);
        drop(trail);
        check_whole(&stage, &stage.open(), 31);
    }
}

#[test]
fn a_run_whose_events_are_lost_too_stops_events_and_nothing_else() {
    let stage = with_segment();
    let (run, segment) = (files(&stage, "dedupe", "run").remove(0), files(&stage, "segments", "events").remove(0));
    let saved = [&run, &segment].map(|path| std::fs::read(path).unwrap());
    std::fs::remove_file(&run).unwrap();
    std::fs::remove_file(&segment).unwrap();
    let trail = stage.open();
    mended(&trail);
    assert!(matches!(store(&trail, 50..51), Err(CommitError::Repeats(_))));
    assert!(all(&store(&trail, 20..30).unwrap(), Status::Duplicate));
    assert_eq!(trail.submit_and_wait(duty(&trail, 40)).unwrap().unwrap()[0].index, 30);
    assert!(trail.degraded().iter().any(|line| line.contains("events 0 to 19") && line.contains("backup")), "{:?}", trail.degraded());
    assert_eq!(trail.not_ready(), None);
    drop(trail);
    std::fs::write(&run, &saved[0]).unwrap();
    std::fs::write(&segment, &saved[1]).unwrap();
    check_whole(&stage, &stage.open(), 31);
}

#[test]
fn a_damaged_segment_is_named_and_all_else_goes_on() {
    let stage = with_segment();
    std::fs::remove_file(files(&stage, "segments", "events").remove(0)).unwrap();
    let trail = stage.open();
    assert!(trail.damage()[0].to_string().starts_with("events 0 to 19:"), "{:?}", trail.damage());
    assert_eq!(trail.not_ready(), None);
    let contents = contents(&trail);
    assert!(contents[..20].iter().all(Option::is_none) && contents[20..].iter().all(Option::is_some));
    let outcomes = store(&trail, 0..40).unwrap();
    assert!(all(&outcomes[..30], Status::Duplicate) && all(&outcomes[30..], Status::Stored));
}

#[test]
fn a_damaged_batch_below_the_signed_tree_is_named_and_its_events_are_not_stored_twice() {
    let stage = with_segment();
    sql(&stage, "UPDATE batch SET phi = zeroblob(length(phi))");
    let trail = stage.open();
    assert!(trail.damage()[0].to_string().starts_with("events 20 to 29:"), "{:?}", trail.damage());
    assert!(matches!(store(&trail, 20..30), Err(CommitError::Repeats(_))));
    assert!(all(&store(&trail, 0..20).unwrap(), Status::Duplicate));
    assert_eq!(trail.submit_and_wait(duty(&trail, 40)).unwrap().unwrap()[0].index, 30);
    trail.wait_published(31, SOON).unwrap();
    assert_eq!(contents(&trail).iter().flatten().count(), 21);
}

#[test]
fn a_row_that_nothing_is_built_on_is_dropped_and_the_trail_goes_on() {
    for kind in [5, 6, 7, 9, 10] {
        let stage = Stage::new();
        let trail = stage.open();
        let kinds = [super::Kind::Token, super::Kind::Idempotency, super::Kind::Setting, super::Kind::User];
        let rows = kinds.map(|kind| super::RowChange::put(kind, "x", *b"1")).to_vec();
        trail.submit_and_wait(Submission { rows, ..ingest(&trail, 0..3) }).unwrap().unwrap();
        trail.publish_now().unwrap();
        drop(trail);
        sql(&stage, &format!("UPDATE row SET value = zeroblob(90) WHERE kind = {kind}"));
        let trail = stage.open();
        assert!(!trail.damage().is_empty() && trail.read_only().is_none(), "kind {kind}: {:?}", trail.read_only());
        let found = trail.damage_found().unwrap();
        assert!(found.contains(&trail.damage()[0].to_string()), "{found}");
        store(&trail, 3..6).unwrap();
        trail.publish_now().unwrap();
        drop(trail);
        let trail = stage.open();
        assert_eq!((trail.damage(), trail.not_ready(), trail.size()), (&[][..], None, 6), "kind {kind}");
        // Until an event says so.
        assert_eq!(trail.damage_found().as_ref(), Some(&found));
        trail.submit_and_wait(Submission { rows: vec![Trail::damage_named()], ..duty(&trail, 9) }).unwrap().unwrap();
        assert_eq!(trail.damage_found(), None);
    }
}

#[test]
fn a_run_that_the_catalog_forgot_is_made_again() {
    let stage = with_segment();
    sql(&stage, "DELETE FROM row WHERE kind = 4");
    let trail = stage.open();
    assert_eq!(trail.read_only(), None);
    mended(&trail);
    assert!(all(&store(&trail, 0..30).unwrap(), Status::Duplicate));
    drop(trail);
    check_whole(&stage, &stage.open(), 30);
}

#[test]
fn a_batch_at_an_index_that_nobody_vouches_for_is_named_and_costs_nothing() {
    for state in [true, false] {
        let stage = with_segment();
        sql(&stage, "UPDATE batch SET first_index = 9000000000000000000");
        if !state {
            sql(&stage, "DELETE FROM row WHERE kind = 1");
        }
        let trail = stage.open();
        assert!(trail.read_only().is_some());
        assert!(trail.damage().iter().any(|damage| damage.place.contains("9000000000000000000")), "{:?}", trail.damage());
        assert_eq!(trail.size(), if state { 30 } else { 20 });
        assert_eq!(contents(&trail).iter().flatten().count(), 20);
    }
}

#[test]
fn a_tile_that_cannot_be_read_stops_no_repeat() {
    let stage = Stage::new();
    let trail = stage.open();
    let first = store(&trail, 0..300).unwrap();
    trail.publish_now().unwrap();
    let log = trail.log_dir();
    drop(trail);
    std::fs::write(log.join("tile/0/000"), b"rotten").unwrap();
    let trail = stage.open();
    let again = store(&trail, 0..3).unwrap();
    assert!(all(&again, Status::Duplicate));
    assert!(again.iter().zip(&first).all(|(again, first)| again.leaf_hash == first.leaf_hash));
}
