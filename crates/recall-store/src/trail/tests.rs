#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod copies;
mod damage;
mod disk;
mod erasure;
mod faults;
pub(crate) mod support;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use recall_log::note::Verifier;
use recall_log::proof::Receipt;

use super::*;
use crate::columns::Column;
use crate::snapshot::{Part, Rows as Wanted, Scan};
use support::{Stage, batch, check_tree, ingest, store};

const SOON: Duration = Duration::from_secs(20);

fn indexes(outcomes: &[Outcome]) -> Vec<u64> {
    outcomes.iter().map(|outcome| outcome.index).collect()
}

fn all(outcomes: &[Outcome], status: Status) -> bool {
    outcomes.iter().all(|outcome| outcome.status == status)
}

/// The public bytes of every event, in order; none where it can't be read.
fn contents(trail: &Trail) -> Vec<Option<Vec<u8>>> {
    use arrow::array::AsArray;
    let phi = trail.phi_access();
    let mut out = Vec::new();
    for part in trail.snapshot().parts() {
        if let Part::Erased(erased) = part {
            out.extend((0..erased.count).map(|_| None));
            continue;
        }
        let scan =
            Scan { columns: vec![Column::Public, Column::Phi], rows: Wanted::All, predicate: None, batch_rows: 1000, phi: Some(&phi) };
        for batch in part.scan(scan).unwrap() {
            let batch = batch.unwrap();
            let (public, phi) = (batch.column(0).as_binary::<i64>(), batch.column(1).as_binary::<i64>());
            out.extend(public.iter().zip(phi.iter()).map(|(public, phi)| Some([public.unwrap(), phi.unwrap()].concat())));
        }
    }
    out
}

#[test]
fn events_are_stored_published_and_there_after_a_restart() {
    let stage = Stage::new();
    let trail = stage.open();
    let first = store(&trail, 0..300).unwrap();
    assert_eq!(indexes(&first), (0..300).collect::<Vec<_>>());
    assert!(all(&first, Status::Stored));
    trail.wait_published(300, SOON).unwrap();
    let old = check_tree(&trail, None, &first);
    let before = contents(&trail);
    drop(trail);

    let trail = stage.open();
    assert_eq!(trail.damage(), []);
    assert_eq!(trail.not_ready(), None);
    assert_eq!((trail.size(), trail.published()), (300, 300));
    assert_eq!(contents(&trail), before);
    let second = store(&trail, 300..420).unwrap();
    trail.wait_published(420, SOON).unwrap();
    check_tree(&trail, Some(&old), &[first, second].concat());
}

#[test]
fn a_repeat_gets_the_first_index_and_other_content_is_refused() {
    let stage = Stage::new();
    let trail = stage.open();
    let first = store(&trail, 0..10).unwrap();
    let again = store(&trail, 5..15).unwrap();
    assert_eq!(indexes(&again), (5..15).collect::<Vec<_>>());
    assert!(all(&again[..5], Status::Duplicate) && all(&again[5..], Status::Stored));
    assert_eq!(again[0].leaf_hash, first[5].leaf_hash);
    trail.wait_published(15, SOON).unwrap();
    drop(trail);

    let trail = stage.open();
    let later = store(&trail, 0..1).unwrap();
    assert_eq!(later, [Outcome { status: Status::Duplicate, ..first[0] }]);
    let json = crate::testing::clinic(77);
    let event = recall_log::event::Event::parse(json.as_bytes()).unwrap();
    let mut other = trail.encoder().batch().unwrap();
    other.push(&event, &crate::testing::admission(77, "event-3")).unwrap();
    let submission = Submission::events(vec![other.finish().unwrap()], Class::Ingest);
    let refused = trail.submit_and_wait(submission).unwrap().unwrap();
    assert_eq!(refused, [Outcome { status: Status::Conflict, ..first[3] }]);
    assert_eq!(trail.size(), 15);
}

#[test]
fn a_repeat_inside_one_submission_is_stored_once() {
    let stage = Stage::new();
    let trail = stage.open();
    let submission = Submission::events(vec![batch(&trail, [1, 2, 1]), batch(&trail, [2, 3])], Class::Ingest);
    let outcomes = trail.submit_and_wait(submission).unwrap().unwrap();
    assert_eq!(indexes(&outcomes), [0, 1, 0, 1, 2]);
    let stored: Vec<bool> = outcomes.iter().map(|outcome| outcome.status == Status::Stored).collect();
    assert_eq!(stored, [true, true, false, false, true]);
    assert_eq!(outcomes[0].leaf_hash, outcomes[2].leaf_hash);
    assert_eq!(contents(&trail).len(), 3);
}

#[test]
fn rows_go_with_events_and_survive() {
    let stage = Stage::new();
    let trail = stage.open();
    let rows = vec![RowChange::put(Kind::Token, "a", *b"1"), RowChange::put(Kind::Token, "b", *b"2")];
    let submission = Submission { rows, ..ingest(&trail, 0..1) };
    trail.submit_and_wait(submission).unwrap().unwrap();
    let alone = Submission {
        batches: vec![],
        rows: vec![RowChange::remove(Kind::Token, "a")],
        expect: vec![("urn:ehr:test".to_owned(), Some(60))],
        class: Class::Duty,
    };
    assert_eq!(trail.submit_and_wait(alone).unwrap().unwrap(), []);
    assert_eq!(trail.row(Kind::Token, "b").as_deref(), Some(b"2".as_slice()));
    assert_eq!(trail.sources()[0].1.expected_every_s, Some(60));
    drop(trail);
    let trail = stage.open();
    assert_eq!(trail.rows(Kind::Token).len(), 1);
    assert_eq!(trail.sources()[0].1.expected_every_s, Some(60));
    assert_eq!(trail.sources()[0].1.events, 1);
}

#[test]
fn the_register_of_sources_counts_each_event_once_over_restarts() {
    let stage = Stage::new();
    for round in 0..4 {
        let trail = stage.open();
        assert_eq!(trail.sources().first().map_or(0, |(_, source)| source.events), round * 20);
        store(&trail, round * 20..round * 20 + 10).unwrap();
        if round % 2 == 0 {
            trail.publish_now().unwrap();
        }
        store(&trail, round * 20 + 10..round * 20 + 20).unwrap();
    }
}

#[test]
fn a_second_process_is_refused_and_told_where() {
    let stage = Stage::new();
    let trail = stage.open();
    let Err(error) = stage.try_open() else { panic!("opened twice") };
    assert!(error.to_string().contains(&stage.folder().display().to_string()), "{error}");
    drop(trail);
    stage.open();
}

#[test]
fn wrong_missing_and_open_root_keys_are_refused_by_name() {
    let stage = Stage::new();
    let wanted = stage.open().keys().root_id().to_string();
    let path = stage.place.path().join("trail.key");
    let saved = std::fs::read(&path).unwrap();

    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = stage.try_open().err().unwrap().to_string();
    assert!(error.contains(&wanted) && error.contains("chmod"), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = stage.try_open().err().unwrap().to_string();
    assert!(error.contains(&wanted) && error.contains("does not exist"), "{error}");
    let other = crate::keys::RootKey::generate(&crate::seams::SystemRandom);
    other.write_new(&path).unwrap();
    let error = stage.try_open().err().unwrap().to_string();
    assert!(error.contains(&wanted) && error.contains(&other.id().to_string()), "{error}");
    std::fs::write(&path, saved).unwrap();
    stage.open();
}

#[test]
fn init_never_overwrites_a_trail() {
    let stage = Stage::new();
    assert!(matches!(Trail::init(&stage.init_options()), Err(InitError::Exists(_))));
    stage.open();
}

#[test]
fn init_refuses_a_folder_where_anything_of_a_trail_is_left_and_changes_nothing() {
    for left in ["trail/keyring", "trail/log/checkpoint", "trail/segments/x", "trail.anchor"] {
        let stage = Stage::empty();
        let file = stage.place.path().join(left);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "left").unwrap();
        let error = Trail::init(&stage.init_options()).unwrap_err();
        assert!(matches!(&error, InitError::Remains { .. }) && error.to_string().contains(left), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "left");
        assert!(!stage.place.path().join("trail.key").exists());
    }
}

#[test]
fn the_anchor_lies_beside_the_folder_by_whatever_name_it_is_called() {
    let place = tempfile::tempdir().unwrap();
    let real = std::fs::canonicalize(place.path()).unwrap().join("trail");
    let wanted = real.with_extension("anchor");
    assert_eq!(Folder::new(&place.path().join("trail/"), None).anchor(), wanted);
    std::fs::create_dir_all(real.join("log")).unwrap();
    std::os::unix::fs::symlink(&real, place.path().join("link")).unwrap();
    for name in ["trail", "trail/.", "trail/log/..", "link", "./trail//"] {
        assert_eq!(Folder::new(&place.path().join(name), None).anchor(), wanted, "{name}");
    }
    assert_eq!(Folder::new(&real, Some(Path::new("/elsewhere/a"))).anchor(), Path::new("/elsewhere/a"));
}

#[test]
fn receipts_stand_alone_and_show_what_is_asked() {
    let stage = Stage::new();
    let trail = stage.open();
    let outcomes = store(&trail, 0..270).unwrap();
    trail.wait_published(270, SOON).unwrap();
    let log = Verifier::parse(&trail.keys().vkey()).unwrap();
    for index in [0, 255, 256, 269] {
        for (disclosure, shows) in [(Disclosure::None, 0), (Disclosure::Public, 1), (Disclosure::Both, 2)] {
            let text = trail.receipt(index, disclosure).unwrap();
            let proven = Receipt::parse(text.as_bytes()).unwrap().verify(&log, &[]).unwrap();
            assert_eq!((proven.index, proven.leaf), (index, outcomes[index as usize].leaf_hash));
            let event = proven.disclosure.event().unwrap().map(|event| String::from_utf8(event).unwrap());
            let found = event.as_ref().map_or(0, |event| 1 + usize::from(event.contains("MRN")));
            assert_eq!(found, shows, "{event:?}");
        }
    }
    assert!(matches!(trail.receipt(270, Disclosure::None), Err(ReceiptError::NotPublished { published: 270, .. })));
}

#[test]
fn a_receipt_that_would_prove_nothing_is_not_handed_out() {
    let stage = Stage::new();
    let trail = stage.open();
    store(&trail, 0..20).unwrap();
    trail.wait_published(20, SOON).unwrap();
    let bundle = trail.log_dir().join("tile/entries/000.p/20");
    let mut bytes = std::fs::read(&bundle).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&bundle, bytes).unwrap();
    assert!(matches!(trail.receipt(1, Disclosure::None), Err(ReceiptError::Unproven { index: 1, .. })));
    trail.receipt(2, Disclosure::None).unwrap();
}

#[test]
fn ids_are_found_over_all_sources() {
    let stage = Stage::new();
    let trail = stage.open();
    store(&trail, 0..5).unwrap();
    assert_eq!(trail.find_id("event-3").unwrap(), Some(vec![3]));
    assert_eq!(trail.find_id("event-9").unwrap(), Some(vec![]));
}

#[test]
fn epochs_follow_the_month_and_never_go_back() {
    let stage = Stage::new();
    let trail = stage.open();
    let epochs = |trail: &Trail| trail.keys().sets().into_iter().map(|set| set.epoch).collect::<Vec<_>>();
    store(&trail, 0..1).unwrap();
    stage.clock.set("2026-12-01T00:00:00Z");
    store(&trail, 1..2).unwrap();
    stage.clock.set("2026-10-31T00:00:00Z");
    store(&trail, 2..3).unwrap();
    drop(trail);
    let trail = stage.open();
    store(&trail, 3..4).unwrap();
    assert_eq!(epochs(&trail), ["2026-11", "2026-12"]);
    assert_eq!(contents(&trail).len(), 4);
}

#[test]
fn a_month_ahead_of_the_clock_is_told() {
    let stage = Stage::new();
    let trail = stage.open();
    store(&trail, 0..1).unwrap();
    assert_eq!(trail.month_ahead(), None);
    stage.clock.set("2099-01-01T00:00:00Z");
    store(&trail, 1..2).unwrap();
    assert_eq!(trail.month_ahead(), None);
    stage.clock.set("2026-11-24T00:00:00Z");
    assert_eq!(trail.month_ahead().as_deref(), Some("2099-01"));
}

#[test]
fn a_closed_trail_answers_and_closing_again_is_no_error() {
    let stage = Stage::new();
    let trail = stage.open();
    store(&trail, 0..3).unwrap();
    trail.close();
    assert_eq!(trail.published(), 3);
    assert_eq!(trail.submit_and_wait(ingest(&trail, 3..4)), Err(SubmitError::Closed));
    assert!(trail.not_ready().is_some());
    trail.close();
}

#[test]
fn a_read_only_opening_serves_and_takes_nothing() {
    let stage = Stage::new();
    let trail = stage.open();
    store(&trail, 0..3).unwrap();
    trail.publish_now().unwrap();
    drop(trail);
    let trail = Trail::open(OpenOptions { read_only: true, ..stage.options() }).unwrap();
    assert_eq!(contents(&trail).len(), 3);
    assert!(matches!(trail.submit_and_wait(ingest(&trail, 3..4)), Err(SubmitError::ReadOnly(_))));
    assert!(trail.receipt(2, Disclosure::Both).is_ok());
}
