//! Publication through a trail: what lies in the folder, and what waits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use recall_log::merkle::Frontier;

use super::round::Signed;
use super::*;
use crate::seams::Step;
use crate::trail::OpenOptions;
use crate::trail::tests::support::{Stage, When, check_tree, store};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn partial_tiles_stay_until_the_full_tile_is_published() {
    let stage = Stage::new();
    let trail = stage.open();
    store(&trail, 0..100).unwrap();
    trail.wait_published(100, SOON).unwrap();
    let partial = trail.log_dir().join("tile/0/000.p/100");
    let bundle = trail.log_dir().join("tile/entries/000.p/100");
    store(&trail, 100..200).unwrap();
    trail.wait_published(200, SOON).unwrap();
    assert!(partial.exists() && bundle.exists());
    store(&trail, 200..300).unwrap();
    trail.wait_published(300, SOON).unwrap();
    // The round that published has yet to clean up; the next one begins after it.
    trail.publish_now().unwrap();
    assert!(!partial.exists() && !bundle.exists());
    assert!(trail.log_dir().join("tile/0/000").exists() && trail.log_dir().join("tile/1/000.p/1").exists());
}

#[test]
fn checkpoint_and_anchor_are_the_same_note() {
    let stage = Stage::new();
    let trail = stage.open();
    store(&trail, 0..2).unwrap();
    let published = trail.wait_published(2, SOON).unwrap();
    trail.publish_now().unwrap();
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap();
    assert_eq!(read(trail.log_dir().join("checkpoint")), published.note);
    assert_eq!(read(stage.place.path().join("trail.anchor")), published.note);
}

#[test]
fn an_interval_passes_between_publications_unless_one_is_asked_for() {
    let stage = Stage::new();
    let trail = crate::trail::Trail::open(OpenOptions { publish_interval: Duration::from_secs(3600), ..stage.options() }).unwrap();
    store(&trail, 0..1).unwrap();
    trail.wait_published(1, SOON).unwrap();
    store(&trail, 1..2).unwrap();
    assert!(matches!(trail.wait_published(2, Duration::from_millis(1)), Err(WaitError::Late(_))));
    assert_eq!(trail.publish_now().unwrap().size, 2);
    store(&trail, 2..3).unwrap();
    trail.close();
    assert_eq!(trail.published(), 3);
    assert_eq!(trail.wait_published(4, SOON).unwrap_err(), WaitError::Closed);
}

#[test]
fn an_anchor_that_went_ahead_meanwhile_stops_publication_and_not_ingest() {
    let stage = Stage::new();
    let trail = stage.open();
    store(&trail, 0..5).unwrap();
    trail.wait_published(5, SOON).unwrap();
    trail.publish_now().unwrap();
    let anchor = stage.place.path().join("trail.anchor");
    let ahead = std::fs::read_to_string(&anchor).unwrap().replace("\n5\n", "\n50\n");
    std::fs::write(&anchor, ahead).unwrap();
    store(&trail, 5..6).unwrap();
    let error = trail.publish_now().unwrap_err();
    assert!(error.contains("trail.anchor is ahead") && error.contains("50"), "{error}");
    store(&trail, 6..7).unwrap();
    assert_eq!((trail.size(), trail.published()), (7, 5));
    assert!(trail.publish_failure().is_some());
}

#[test]
fn leaves_are_told_before_and_after_they_are_in_tiles() {
    let stage = Stage::new();
    stage.faults.fail(Step::TileWrite, When::Before, 0, u32::MAX);
    let trail = stage.open();
    let outcomes = store(&trail, 0..10).unwrap();
    let repeats = |trail: &crate::trail::Trail| store(trail, 0..10).unwrap().iter().map(|outcome| outcome.leaf_hash).collect::<Vec<_>>();
    let leaves: Vec<_> = outcomes.iter().map(|outcome| outcome.leaf_hash).collect();
    assert_eq!(repeats(&trail), leaves);
    stage.faults.heal();
    trail.wait_published(10, SOON).unwrap();
    assert_eq!(repeats(&trail), leaves);
    check_tree(&trail, None, &outcomes);
}

#[test]
fn a_signed_tree_is_read_as_written_and_nothing_else_is() {
    let mut frontier = Frontier::new();
    (0..77_u8).for_each(|leaf| frontier.push([leaf; 32]));
    for frontier in [Frontier::new(), frontier] {
        let signed = Signed { frontier, note: "note\n".to_owned() };
        let bytes = signed.row().value.unwrap();
        assert_eq!(Signed::decode(&bytes), Some(signed));
        for length in 0..bytes.len() - 5 {
            assert_eq!(Signed::decode(&bytes[..length]), None);
        }
    }
}
