//! Copies: behind, beside, recovered; backups and their way back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::process::Command;

use super::support::{Stage, When, check_tree, ingest, store};
use super::{SOON, Submission, SubmitError, Trail, contents};
use crate::backup::{backup, stage_restore};
use crate::recover::{RecoverError, recover};
use crate::seams::Step;
use crate::trail::OpenOptions;

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// A stage whose folder is a copy made before `more` events were published.
fn behind(more: u64) -> Stage {
    let stage = Stage::new();
    let trail = stage.open();
    store(&trail, 0..10).unwrap();
    drop(trail);
    let saved = stage.place.path().join("saved");
    copy(&stage.folder(), &saved);
    let trail = stage.open();
    store(&trail, 10..10 + more).unwrap();
    drop(trail);
    std::fs::remove_dir_all(stage.folder()).unwrap();
    std::fs::rename(saved, stage.folder()).unwrap();
    stage
}

#[test]
fn a_copy_behind_its_anchor_opens_read_only_and_says_how_to_go_on() {
    let stage = behind(5);
    let trail = stage.open();
    let reason = trail.read_only().unwrap();
    assert!(reason.contains("recall recover") && reason.contains("15 events") && reason.contains("holds 10"), "{reason}");
    assert!(matches!(trail.submit_and_wait(ingest(&trail, 20..21)), Err(SubmitError::ReadOnly(_))));
    assert_eq!(contents(&trail).len(), 10);
}

#[test]
fn a_fork_of_equal_size_is_told_by_its_root() {
    let stage = behind(5);
    let anchor = stage.place.path().join("trail.anchor");
    let saved = std::fs::read(&anchor).unwrap();
    std::fs::remove_file(&anchor).unwrap();
    let trail = stage.open();
    assert_eq!(trail.not_ready(), None);
    store(&trail, 30..35).unwrap();
    drop(trail);
    std::fs::write(&anchor, saved).unwrap();
    let trail = stage.open();
    assert!(trail.read_only().unwrap().contains("another root at 15 events"));
}

#[test]
fn a_damaged_or_foreign_anchor_is_not_passed_over() {
    let stage = behind(0);
    let anchor = stage.place.path().join("trail.anchor");
    let mut note = std::fs::read(&anchor).unwrap();
    let last = note.len() - 5;
    note[last] ^= 1;
    std::fs::write(&anchor, note).unwrap();
    assert!(stage.open().read_only().unwrap().contains("trail.anchor is damaged or another log's"));
}

#[test]
fn recovery_goes_on_with_the_tree_under_a_new_name_and_key() {
    let stage = behind(5);
    let old_key = Trail::open(OpenOptions { read_only: true, ..stage.options() }).unwrap().keys().vkey();
    let trail = recover(stage.options(), "log.example/trail/2").unwrap();
    let left = trail.recovered_from().unwrap();
    assert!(left.starts_with("log.example/trail\n15\n"), "{left}");
    let first = Submission { rows: vec![Trail::recovery_named()], ..ingest(&trail, 50..51) };
    let outcomes = trail.submit_and_wait(first).unwrap().unwrap();
    assert_eq!(outcomes[0].index, 10);
    trail.wait_published(11, SOON).unwrap();
    let checkpoint = check_tree(&trail, None, &outcomes);
    assert_eq!((checkpoint.origin.as_str(), checkpoint.size), ("log.example/trail/2", 11));
    assert_ne!(trail.keys().vkey(), old_key);
    drop(trail);
    let trail = stage.open();
    assert_eq!((trail.not_ready(), trail.recovered_from()), (None, None));
    assert!(matches!(recover(stage.options(), "x.example/y"), Err(RecoverError::Whole)));
}

#[test]
fn a_backup_taken_while_events_come_is_one_state_and_comes_back() {
    let stage = Stage::new();
    let trail = stage.open();
    store(&trail, 0..300).unwrap();
    trail.publish_now().unwrap();
    let target = stage.place.path().join("backup");
    let copied = std::thread::scope(|scope| {
        let writer = scope.spawn(|| (300..330).for_each(|number| drop(store(&trail, number..number + 1).unwrap())));
        let copied = backup(&stage.folder(), &target, &mut |_| {}).unwrap();
        writer.join().unwrap();
        copied
    });
    assert!(copied.published >= 300);
    assert!(!target.join("keyring").exists());
    let whole = contents(&trail);
    let keyring = std::fs::read(stage.folder().join("keyring")).unwrap();
    drop(trail);

    let back = stage.place.path().join("back");
    let staged = stage_restore(&target, &back, &keyring, &mut |_| {}).unwrap();
    let opened = Trail::open(OpenOptions { read_only: true, folder: staged.folder().to_owned(), ..stage.options() }).unwrap();
    assert_eq!(opened.damage(), []);
    let restored = contents(&opened);
    assert_eq!(restored[..], whole[..restored.len()]);
    assert!(restored.len() as u64 >= copied.published);
    check_tree(&opened, None, &[]);
    drop(opened);
    staged.finish().unwrap();
    assert!(back.join("catalog.sqlite").exists());
}

#[test]
fn a_recovery_cut_short_is_run_again_and_forgets_nothing() {
    for when in [When::Before, When::After] {
        let stage = behind(5);
        stage.faults.fail(Step::KeyringWrite, when, 0, 1);
        assert!(recover(stage.options(), "log.example/trail/2").is_err());
        assert!(stage.open().read_only().unwrap().contains("recall recover"));
        let trail = recover(stage.options(), "log.example/trail/2").unwrap();
        assert!(trail.recovered_from().unwrap().starts_with("log.example/trail\n15\n"));
        store(&trail, 50..51).unwrap();
        trail.wait_published(11, SOON).unwrap();
        check_tree(&trail, None, &[]);
    }
}
