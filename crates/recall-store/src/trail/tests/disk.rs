//! A full disk, a full queue, a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use super::support::{Stage, When, batch, ingest, store, until};
use super::{Class, CommitError, Kind, RowChange, Submission, SubmitError};
use crate::committer::QUEUE_BYTES;
use crate::seams::{Faults, Step};
use crate::trail::{OpenOptions, Trail};

fn duty(trail: &Trail, number: u64) -> Submission {
    Submission::events(vec![batch(trail, number..number + 1)], Class::Duty)
}

#[test]
fn a_full_disk_takes_duties_from_the_reserve_and_recovers() {
    let stage = Stage::new();
    let trail = stage.open();
    let reserve = stage.folder().join("reserve");
    assert_eq!(std::fs::metadata(&reserve).unwrap().len(), 1 << 16);

    stage.faults.fail_as(Step::CatalogWrite, When::Before, 0, 1, ErrorKind::StorageFull);
    trail.submit_and_wait(duty(&trail, 0)).unwrap().unwrap();
    assert!(!reserve.exists());
    assert_eq!(store(&trail, 1..2), Err(CommitError::DiskFull));
    let gateway = Submission::events(vec![batch(&trail, 1..2)], Class::Gateway);
    assert_eq!(trail.submit_and_wait(gateway).unwrap(), Err(CommitError::DiskFull));
    trail.submit_and_wait(duty(&trail, 2)).unwrap().unwrap();
    assert_eq!(trail.not_ready().as_deref(), Some("the disk is full"));

    stage.clock.advance(2);
    store(&trail, 1..2).unwrap();
    assert!(reserve.exists());
    assert_eq!((trail.size(), trail.not_ready()), (3, None));
}

#[test]
fn when_the_reserve_is_used_up_duties_fail_too_and_nothing_is_half_stored() {
    let stage = Stage::new();
    let trail = stage.open();
    stage.faults.fail_as(Step::CatalogWrite, When::Before, 0, u32::MAX, ErrorKind::StorageFull);
    for number in 0..3 {
        assert_eq!(trail.submit_and_wait(duty(&trail, number)).unwrap(), Err(CommitError::DiskFull));
    }
    stage.faults.heal();
    stage.clock.advance(2);
    assert_eq!(trail.submit_and_wait(duty(&trail, 9)).unwrap().unwrap()[0].index, 0);
    assert_eq!(trail.size(), 1);
}

#[test]
fn a_commit_too_large_for_the_reserve_leaves_it_to_others() {
    let stage = Stage::new();
    let trail = stage.open();
    stage.faults.fail_as(Step::CatalogWrite, When::Before, 0, 1, ErrorKind::StorageFull);
    assert_eq!(store(&trail, 0..300), Err(CommitError::DiskFull));
    assert!(stage.folder().join("reserve").exists());
    trail.submit_and_wait(duty(&trail, 300)).unwrap().unwrap();
}

#[test]
fn a_full_queue_is_busy_for_ingest_before_it_is_for_duties() {
    let stage = Stage::new();
    let trail = stage.open();
    let (started, wait_started) = sync_channel(1);
    let (go, wait_go) = sync_channel::<()>(1);
    let handle = trail.handle().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            handle.call(move |_| {
                started.send(()).unwrap();
                let _ = wait_go.recv();
                Ok(())
            })
        });
        wait_started.recv().unwrap();
        let row = |bytes: usize, class| {
            let rows = vec![RowChange::put(Kind::Setting, "x", vec![0; bytes - 1])];
            trail.submit(Submission { batches: vec![], rows, expect: vec![], class }, Box::new(|_| {}))
        };
        let half = QUEUE_BYTES / 2;
        assert_eq!(row(half, Class::Ingest), Ok(()));
        assert_eq!(row(half, Class::Ingest), Ok(()));
        assert_eq!(row(1, Class::Ingest), Err(SubmitError::Busy));
        assert_eq!(row(1, Class::Duty), Ok(()));
        assert_eq!(row(half, Class::Duty), Err(SubmitError::Busy));
        go.send(()).unwrap();
    });
    store(&trail, 0..1).unwrap();
}

#[test]
fn a_panic_in_the_committer_closes_and_does_not_hang() {
    let stage = Stage::new();
    let trail = stage.open();
    trail.submit(ingest(&trail, 0..1), Box::new(|_| panic!("on purpose"))).unwrap();
    let later = trail.submit_and_wait(ingest(&trail, 1..2));
    assert!(matches!(later, Err(SubmitError::Closed) | Ok(Err(CommitError::Closed))), "{later:?}");
    // One that was in the same commit is answered while the thread is still ending.
    until(|| trail.not_ready().is_some());
    drop(trail);
    // The second may have been in the same commit.
    let trail = stage.open();
    assert!(matches!(trail.size(), 1 | 2));
}

#[test]
fn a_start_builds_on_the_catalogs_log_only_once_it_is_written_a_second_time() {
    let stage = Stage::new();
    let trail = stage.open();
    store(&trail, 0..3).unwrap();
    // Its commit is read back, and its sync is not to be had.
    stage.faults.fail(Step::CatalogWrite, When::After, 0, 1);
    stage.faults.fail(Step::CatalogSettle, When::Before, 0, 2);
    assert!(matches!(store(&trail, 3..4), Err(CommitError::Unknown(_))));
    drop(trail);
    let trail = stage.open();
    assert!(trail.read_only().is_some_and(|reason| reason.contains("synced")), "{:?}", trail.read_only());
    assert_eq!(trail.damage(), []);
    drop(trail);
    let trail = stage.open();
    assert_eq!((trail.not_ready(), trail.size()), (None, 4));
    drop(trail);

    stage.faults.fail_as(Step::CatalogSettle, When::Before, 0, 1, ErrorKind::StorageFull);
    assert_eq!(stage.open().not_ready(), None);
}

#[test]
fn a_full_disk_is_looked_at_again_although_nobody_comes() {
    let stage = Stage::new();
    let trail = stage.open();
    stage.faults.fail_as(Step::CatalogWrite, When::Before, 0, 1, ErrorKind::StorageFull);
    trail.submit_and_wait(duty(&trail, 0)).unwrap().unwrap();
    // The publisher has nothing more to ask of the committer.
    trail.publish_now().unwrap();
    assert!(trail.not_ready().is_some());
    stage.clock.advance(2);
    until(|| trail.not_ready().is_none());
    store(&trail, 1..2).unwrap();
}

#[test]
fn a_disk_that_is_full_by_another_name_is_full() {
    let stage = Stage::new();
    let trail = stage.open();
    // So says SQLite where only the sync, or the quota, finds it.
    stage.faults.fail(Step::CatalogWrite, When::Before, 0, 1);
    stage.faults.fail_as(Step::RoomProbe, When::Before, 0, 1, ErrorKind::QuotaExceeded);
    trail.submit_and_wait(duty(&trail, 0)).unwrap().unwrap();
    assert!(!stage.folder().join("reserve").exists());
    assert_eq!(store(&trail, 1..2), Err(CommitError::DiskFull));
    drop(trail);

    let stage = Stage::new();
    let trail = stage.open();
    stage.faults.fail(Step::CatalogWrite, When::Before, 0, 1);
    assert!(matches!(store(&trail, 0..1), Err(CommitError::Failed(_))));
    assert!(stage.folder().join("reserve").exists());
}

#[test]
fn where_the_catalog_cannot_even_be_opened_the_reserve_is_given_up_for_it() {
    let stage = Stage::new();
    let trail = stage.open();
    for step in [Step::CatalogWrite, Step::CatalogReopen, Step::RoomProbe] {
        stage.faults.fail_as(step, When::Before, 0, 1, ErrorKind::StorageFull);
    }
    trail.submit_and_wait(duty(&trail, 0)).unwrap().unwrap();
    assert!(!stage.folder().join("reserve").exists());
    assert_eq!(trail.not_ready().as_deref(), Some("the disk is full"));
}

struct PanicAt(Step);

impl Faults for PanicAt {
    fn before(&self, step: Step) -> io::Result<()> {
        assert_ne!(step, self.0, "on purpose");
        Ok(())
    }

    fn after(&self, _: Step) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_in_compactor_or_publisher_is_answered_and_shows() {
    for step in [Step::SegmentWrite, Step::TileWrite] {
        let stage = Stage::new();
        let trail = Trail::open(OpenOptions { faults: Arc::new(PanicAt(step)), ..stage.options() }).unwrap();
        store(&trail, 0..3).unwrap();
        if step == Step::SegmentWrite {
            trail.publish_now().unwrap();
            let set = trail.keys().set_for("2026-11", "standard").unwrap();
            let compactor = &trail.running.as_ref().unwrap().compactor;
            assert!(compactor.flush(vec![set]).is_err() && compactor.flush(vec![set]).is_err());
        }
        until(|| trail.not_ready().is_some_and(|reason| reason.contains("mistake")));
    }
}
