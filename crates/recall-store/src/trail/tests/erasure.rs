//! Shredding: recorded first, gone for ever, told from what is missing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::support::{Stage, When, batch, check_tree, store};
use super::{Class, SOON, ShredError, Shredding, Status, Submission, Trail, all, contents};
use crate::keys::{ERASURE_CLASS, KeyringError, Keys, RootKey, STANDARD_CLASS};
use crate::seams::Step;
use crate::snapshot::Part;

fn record(trail: &Trail, number: u64) -> Submission {
    Submission::events(vec![batch(trail, number..number + 1)], Class::Duty)
}

fn shred(trail: &Trail, epoch: &str, number: u64) -> Result<Shredding, ShredError> {
    trail.shred(epoch, STANDARD_CLASS, |_| Ok(record(trail, number)))
}

/// A trail with twenty events in November and ten in December; the id of November's set.
fn two_months(stage: &Stage) -> (Trail, u64) {
    let trail = stage.open();
    store(&trail, 0..20).unwrap();
    stage.clock.set("2026-12-02T00:00:00Z");
    store(&trail, 20..30).unwrap();
    let set = trail.keys().set_for("2026-11", "standard").unwrap();
    (trail, set)
}

fn check_erased(trail: &Trail) {
    let contents = contents(trail);
    assert!(contents[..20].iter().all(Option::is_none) && contents[20..].iter().all(Option::is_some));
    let repeats = store(trail, 0..20).unwrap();
    assert!(all(&repeats, Status::Erased));
    assert_eq!(repeats[3].index, 3);
    let Part::Erased(part) = trail.snapshot().locate(0).unwrap().0.clone() else { panic!("not erased") };
    assert_eq!(part.by, Some(30));
    trail.wait_published(trail.size(), SOON).unwrap();
    check_tree(trail, None, &repeats);
}

#[test]
fn a_shredded_set_is_gone_and_told_from_missing() {
    let stage = Stage::new();
    let (trail, set) = two_months(&stage);
    let old_root = std::fs::read_to_string(stage.place.path().join("trail.key")).unwrap();
    let told = std::cell::RefCell::new(Vec::new());
    let done = trail.shred("2026-11", STANDARD_CLASS, |doomed| {
        told.borrow_mut().extend(doomed.ranges.clone());
        Ok(record(&trail, 100))
    });
    let done = done.unwrap();
    assert_eq!((done.by, done.erasures[0].by, done.erasures[0].done), (30, 30, true));
    assert_eq!((trail.erasures(), told.into_inner()), (done.erasures.clone(), done.erasures[0].ranges.clone()));
    check_erased(&trail);
    drop(trail);

    let trail = stage.open();
    assert_eq!((trail.damage(), trail.not_ready()), (&[][..], None));
    check_erased(&trail);
    assert!(trail.keys().sets().iter().all(|info| info.id != set));
    drop(trail);
    // The root key that wrapped the set opens nothing any more.
    let old = RootKey::parse(&old_root, "the saved copy").unwrap();
    let keyring = stage.folder().join("keyring");
    let opened = Keys::load(&keyring, &old, stage.options().random, stage.options().faults);
    assert!(matches!(opened, Err(KeyringError::WrongRoot { .. })));
}

#[test]
fn the_set_of_today_can_be_shredded_while_its_month_goes_on() {
    let stage = Stage::new();
    let trail = stage.open();
    store(&trail, 0..20).unwrap();
    shred(&trail, "2026-11", 100).unwrap();
    store(&trail, 20..25).unwrap();
    drop(trail);
    let trail = stage.open();
    let contents = contents(&trail);
    assert_eq!(contents.iter().filter(|content| content.is_none()).count(), 20);
    assert_eq!(contents.len(), 26);
}

#[test]
fn an_erasure_cut_short_is_completed_by_the_next_start() {
    // The keyring is first written for the class of the record.
    for (step, when, after) in [
        (Step::KeyringWrite, When::Before, 1),
        (Step::KeyringWrite, When::After, 1),
        (Step::RootKeyWrite, When::Before, 0),
        (Step::RootKeyWrite, When::After, 0),
    ] {
        let stage = Stage::new();
        let (trail, set) = two_months(&stage);
        stage.faults.fail(step, when, after, 1);
        assert!(matches!(shred(&trail, "2026-11", 100), Err(ShredError::Key(_))), "{step:?} {when:?}");
        assert!(!trail.unfinished_erasures().is_empty());
        store(&trail, 30..31).unwrap();
        drop(trail);
        let trail = stage.open();
        assert!(trail.erasures()[0].done);
        assert!(trail.keys().sets().iter().all(|info| info.id != set));
        check_erased(&trail);
    }
}

#[test]
fn an_unknown_set_or_a_record_that_is_none_erases_nothing() {
    let stage = Stage::new();
    let (trail, set) = two_months(&stage);
    assert!(matches!(shred(&trail, "2020-01", 100), Err(ShredError::Unknown)));
    let none = || Submission { batches: vec![], ..record(&trail, 100) };
    assert!(matches!(trail.shred("2026-11", STANDARD_CLASS, |_| Ok(none())), Err(ShredError::Record)));
    let refused = trail.shred("2026-11", STANDARD_CLASS, |_| Err("no room".to_owned()));
    assert!(matches!(refused, Err(ShredError::Unrecordable(_))));
    // An event that is stored already records nothing new.
    assert!(matches!(shred(&trail, "2026-11", 0), Err(ShredError::Commit(_))));
    assert!(contents(&trail).iter().all(Option::is_some));
    assert!(trail.keys().sets().iter().any(|info| info.id == set));
}

#[test]
fn nothing_is_recorded_where_the_root_key_cannot_be_replaced() {
    let stage = Stage::new();
    let (trail, _) = two_months(&stage);
    // Nobody may make the file that it would be replaced from.
    let new = stage.place.path().join("trail.key.new");
    std::fs::create_dir(&new).unwrap();
    assert!(matches!(shred(&trail, "2026-11", 100), Err(ShredError::Root(_))));
    assert_eq!((trail.size(), trail.erasures()), (30, vec![]));
    assert!(contents(&trail).iter().all(Option::is_some));
    std::fs::remove_dir(&new).unwrap();
    shred(&trail, "2026-11", 100).unwrap();
}

#[test]
fn an_erasure_that_cannot_be_completed_is_told_and_the_trail_serves() {
    let stage = Stage::new();
    let (trail, set) = two_months(&stage);
    stage.faults.fail(Step::KeyringWrite, When::Before, 1, 1);
    shred(&trail, "2026-11", 100).unwrap_err();
    drop(trail);
    let new = stage.place.path().join("trail.key.new");
    let _ = std::fs::remove_file(&new);
    std::fs::create_dir(&new).unwrap();
    let trail = stage.open();
    assert_eq!((trail.not_ready(), trail.unfinished_erasures().len()), (None, 1));
    assert!(trail.keys().sets().iter().all(|info| info.id != set), "the key is in memory");
    check_erased(&trail);
    // Asked for again, it is completed without another record.
    std::fs::remove_dir(&new).unwrap();
    let done = shred(&trail, "2026-11", 101).unwrap();
    assert_eq!((done.by, trail.unfinished_erasures()), (30, vec![]));
    drop(trail);
    check_erased(&stage.open());
}

#[test]
fn a_shredding_that_failed_after_the_set_was_replaced_erases_all_of_the_epoch_when_asked_again() {
    let stage = Stage::new();
    let trail = stage.open();
    store(&trail, 0..20).unwrap();
    trail.publish_now().unwrap();
    store(&trail, 20..21).unwrap();
    trail.wait_published(21, SOON).unwrap();
    stage.faults.fail(Step::SegmentWrite, When::Before, 0, 1);
    assert!(matches!(shred(&trail, "2026-11", 100), Err(ShredError::Unready(_))));
    store(&trail, 21..22).unwrap();
    let done = shred(&trail, "2026-11", 100).unwrap();
    assert_eq!(done.erasures.len(), 2);
    assert!(contents(&trail)[..22].iter().all(Option::is_none));
    drop(trail);
    let trail = stage.open();
    assert_eq!((trail.damage(), trail.not_ready()), (&[][..], None));
    assert!(contents(&trail)[..22].iter().all(Option::is_none));
}

#[test]
fn of_two_shreddings_at_once_the_second_finds_nothing_and_spoils_nothing() {
    let stage = Stage::new();
    let (trail, _) = two_months(&stage);
    let results: Vec<_> = std::thread::scope(|scope| {
        let (one, two) = (scope.spawn(|| shred(&trail, "2026-11", 100)), scope.spawn(|| shred(&trail, "2026-11", 101)));
        [one, two].map(|thread| thread.join().unwrap()).into_iter().collect()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results.iter().any(|result| matches!(result, Err(ShredError::Unknown))));
    drop(trail);
    let trail = stage.open();
    assert_eq!((trail.damage(), trail.not_ready()), (&[][..], None));
    check_erased(&trail);
}

#[test]
fn a_damaged_segment_of_the_set_is_erased_with_the_others() {
    let stage = Stage::new();
    let (trail, _) = two_months(&stage);
    stage.clock.set("2026-12-03T00:00:00Z");
    // November's events become a segment, as something follows them.
    let paused = trail.running.as_ref().unwrap().compactor.flush(vec![trail.keys().set_for("2026-11", STANDARD_CLASS).unwrap()]);
    drop(paused.unwrap());
    drop(trail);
    for file in std::fs::read_dir(stage.folder().join("segments")).unwrap() {
        std::fs::write(file.unwrap().path(), b"rotten").unwrap();
    }
    let trail = stage.open();
    assert_eq!((trail.damage().len(), trail.not_ready()), (1, None));
    let done = shred(&trail, "2026-11", 100).unwrap();
    assert_eq!(done.erasures[0].ranges, [(0, 20)]);
    check_erased(&trail);
    drop(trail);
    let trail = stage.open();
    assert_eq!(trail.damage(), []);
    check_erased(&trail);
}

#[test]
fn the_record_of_an_erasure_outlives_the_month_that_it_was_written_in() {
    let stage = Stage::new();
    let (trail, _) = two_months(&stage);
    shred(&trail, "2026-11", 100).unwrap();
    shred(&trail, "2026-12", 101).unwrap();
    assert!(matches!(trail.shred("2026-12", ERASURE_CLASS, |_| Ok(record(&trail, 102))), Err(ShredError::Kept)));
    drop(trail);
    let contents = contents(&stage.open());
    assert!(contents[..30].iter().all(Option::is_none), "not erased");
    assert!(contents[30..].iter().all(Option::is_some) && contents.len() == 32, "a record is gone");
}
