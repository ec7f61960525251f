//! Shredding: recorded first, gone for ever, told from what is missing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::support::{Stage, When, batch, check_tree, store};
use super::{Class, SOON, ShredError, Status, Submission, Trail, all, contents};
use crate::keys::{KeyringError, Keys, RootKey};
use crate::seams::Step;
use crate::snapshot::Part;

fn record(trail: &Trail, number: u64) -> Submission {
    Submission::events(vec![batch(trail, number..number + 1)], Class::Duty)
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
    let done = trail.shred(set, record(&trail, 100)).unwrap();
    assert_eq!((done.erasure.by, done.erasure.done), (30, true));
    assert_eq!(trail.erasures(), [done.erasure]);
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
    let set = trail.keys().set_for("2026-11", "standard").unwrap();
    trail.shred(set, record(&trail, 100)).unwrap();
    store(&trail, 20..25).unwrap();
    drop(trail);
    let trail = stage.open();
    let contents = contents(&trail);
    assert_eq!(contents.iter().filter(|content| content.is_none()).count(), 20);
    assert_eq!(contents.len(), 26);
}

#[test]
fn an_erasure_cut_short_is_completed_by_the_next_start() {
    for (step, when) in [
        (Step::KeyringWrite, When::Before),
        (Step::KeyringWrite, When::After),
        (Step::RootKeyWrite, When::Before),
        (Step::RootKeyWrite, When::After),
    ] {
        let stage = Stage::new();
        let (trail, set) = two_months(&stage);
        stage.faults.fail(step, when, 0, 1);
        assert!(matches!(trail.shred(set, record(&trail, 100)), Err(ShredError::Key(_))), "{step:?} {when:?}");
        assert!(!trail.erasures()[0].done);
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
    assert!(matches!(trail.shred(99, record(&trail, 100)), Err(ShredError::Unknown(99))));
    let none = Submission { batches: vec![], ..record(&trail, 100) };
    assert!(matches!(trail.shred(set, none), Err(ShredError::Record)));
    // An event that is stored already records nothing new.
    assert!(matches!(trail.shred(set, record(&trail, 0)), Err(ShredError::Commit(_))));
    assert!(contents(&trail).iter().all(Option::is_some));
}
