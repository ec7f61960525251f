//! Copies: behind, beside, recovered; backups and their way back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::process::Command;

use super::support::{Stage, When, check_tree, ingest, store};
use super::{SOON, Submission, SubmitError, Trail, contents};
use crate::backup::{BackupError, Copied, backup, stage_restore};
use crate::catalog::{Kind, RowChange};
use crate::keys::STANDARD_CLASS;
use crate::recover::{RecoverError, place_anchor, prove_restored, recover};
use crate::seams::Step;
use crate::trail::{Class, OpenOptions};

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
    std::fs::copy(stage.folder().join("log/checkpoint"), &anchor).unwrap();
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

#[test]
fn a_folder_whose_anchor_is_gone_is_read_only_until_it_is_placed_anew() {
    let stage = behind(0);
    let anchor = stage.place.path().join("trail.anchor");
    std::fs::remove_file(&anchor).unwrap();
    let trail = stage.open();
    assert!(trail.read_only().unwrap().contains("recall anchor") && trail.is_copy() && !trail.is_behind());
    drop(trail);
    assert_eq!(place_anchor(&stage.options()).unwrap(), 10);
    assert!(matches!(place_anchor(&stage.options()), Err(RecoverError::Anchored(_))));
    let trail = stage.open();
    assert_eq!(trail.not_ready(), None);
    store(&trail, 20..21).unwrap();
}

#[test]
fn an_anchor_on_another_disk_is_the_one_that_counts() {
    let stage = Stage::new();
    let elsewhere = stage.place.path().join("disk/anchor");
    std::fs::create_dir(elsewhere.parent().unwrap()).unwrap();
    let options = OpenOptions { anchor: Some(elsewhere.clone()), ..stage.options() };
    let trail = Trail::open(options.clone()).unwrap();
    store(&trail, 0..5).unwrap();
    trail.wait_published(5, SOON).unwrap();
    drop(trail);
    let saved = stage.place.path().join("saved");
    copy(&stage.folder(), &saved);
    let trail = Trail::open(options.clone()).unwrap();
    store(&trail, 5..9).unwrap();
    drop(trail);
    assert!(elsewhere.exists() && !stage.place.path().join("trail.anchor").exists());
    std::fs::remove_dir_all(stage.folder()).unwrap();
    std::fs::rename(saved, stage.folder()).unwrap();
    assert!(Trail::open(options).unwrap().is_behind());
}

#[test]
fn recovery_carries_on_nothing_but_what_this_log_signed() {
    for (junk, named) in [(vec![0xff; 40], "log.example/trail\n10\n"), (vec![b'x'; 1 << 20], "log.example/trail\n10\n")] {
        let stage = behind(5);
        std::fs::write(stage.place.path().join("trail.anchor"), junk).unwrap();
        let trail = recover(stage.options(), "log.example/trail/2").unwrap();
        assert!(trail.recovered_from().unwrap().starts_with(named));
    }
    let stage = behind(5);
    let anchor = stage.place.path().join("trail.anchor");
    let mut note = std::fs::read_to_string(&anchor).unwrap();
    let own = note.clone();
    (0..2000).for_each(|number| note.push_str(&format!("\u{2014} other{number} AAAAAAAAAAAA\n")));
    std::fs::write(&anchor, note).unwrap();
    assert_eq!(recover(stage.options(), "log.example/trail/2").unwrap().recovered_from(), Some(own));
}

/// A backup, and the keyring and root key as they are now.
fn backed_up(stage: &Stage, name: &str) -> std::path::PathBuf {
    let target = stage.place.path().join(name);
    backup(&stage.folder(), &target, &mut |_| {}).unwrap();
    target
}

fn restore(stage: &Stage, from: &Path, note: Option<&str>) -> OpenOptions {
    let keyring = std::fs::read(stage.folder().join("keyring")).unwrap();
    let target = std::fs::canonicalize(stage.place.path()).unwrap().join("back");
    let staged = stage_restore(from, &target, &keyring, &mut |_| {}).unwrap();
    if let Some(note) = note {
        let vkey = Trail::open(OpenOptions { read_only: true, ..stage.options() }).unwrap().keys().vkey();
        prove_restored(staged.folder(), &target.with_extension("anchor"), note, &vkey).unwrap();
    }
    staged.finish().unwrap();
    OpenOptions { folder: target, ..stage.options() }
}

#[test]
fn a_restored_copy_is_read_only_until_recovered_or_shown_to_be_the_latest() {
    let stage = Stage::new();
    let trail = stage.open();
    store(&trail, 0..10).unwrap();
    trail.wait_published(10, SOON).unwrap();
    let first = trail.checkpoint().note.clone();
    let from = backed_up(&stage, "backup");
    store(&trail, 10..15).unwrap();
    trail.wait_published(15, SOON).unwrap();
    let last = trail.checkpoint().note.clone();
    drop(trail);

    let options = restore(&stage, &from, None);
    let trail = Trail::open(options.clone()).unwrap();
    assert!(trail.read_only().unwrap().contains("restored") && !trail.is_behind());
    drop(trail);
    assert!(matches!(place_anchor(&options), Err(RecoverError::Behind(_))));
    let trail = recover(options.clone(), "log.example/trail/2").unwrap();
    assert_eq!((trail.not_ready(), trail.recovered_from()), (None, Some(first.clone())));
    store(&trail, 50..51).unwrap();
    drop(trail);
    std::fs::remove_dir_all(&options.folder).unwrap();
    std::fs::remove_file(options.folder.with_extension("anchor")).unwrap();

    let options = restore(&stage, &from, Some(&last));
    assert!(Trail::open(options.clone()).unwrap().is_behind());
    std::fs::remove_dir_all(&options.folder).unwrap();
    std::fs::remove_file(options.folder.with_extension("anchor")).unwrap();

    let options = restore(&stage, &from, Some(&first));
    assert_eq!(Trail::open(options.clone()).unwrap().not_ready(), None);
    let anchor = options.folder.with_extension("anchor");
    let vkey = Trail::open(options).unwrap().keys().vkey();
    assert!(matches!(prove_restored(Path::new("/nonexistent"), &anchor, "no note", &vkey), Err(RecoverError::Note)));
}

#[test]
fn a_backup_older_than_a_shredding_comes_back_without_what_was_shredded() {
    let stage = Stage::new();
    let trail = stage.open();
    store(&trail, 0..20).unwrap();
    trail.publish_now().unwrap();
    stage.clock.set("2026-12-02T00:00:00Z");
    store(&trail, 20..30).unwrap();
    trail.wait_published(30, SOON).unwrap();
    let set = trail.keys().set_for("2026-11", STANDARD_CLASS).unwrap();
    drop(trail.running.as_ref().unwrap().compactor.flush(vec![set]).unwrap());
    let from = backed_up(&stage, "backup");
    let record = || Ok(Submission::events(vec![super::support::batch(&trail, 100..101)], Class::Duty));
    trail.shred("2026-11", STANDARD_CLASS, |_| record()).unwrap();
    drop(trail);

    let options = restore(&stage, &from, None);
    let trail = Trail::open(options.clone()).unwrap();
    assert_eq!(trail.damage(), []);
    assert_eq!(trail.gone().iter().map(|gone| (gone.first_index, gone.count)).collect::<Vec<_>>(), [(0, 20)]);
    assert!(contents(&trail)[..20].iter().all(Option::is_none) && contents(&trail)[20..].iter().all(Option::is_some));
    drop(trail);
    let trail = recover(options.clone(), "log.example/trail/2").unwrap();
    let first = Submission { rows: vec![Trail::recovery_named()], ..ingest(&trail, 50..51) };
    assert_eq!(trail.submit_and_wait(first).unwrap().unwrap()[0].index, 30);
    assert_eq!((trail.erasures()[0].by, trail.erasures()[0].done), (30, true));
    drop(trail);
    let trail = Trail::open(options).unwrap();
    assert_eq!((trail.damage(), trail.not_ready(), trail.gone()), (&[][..], None, &[][..]));
    assert_eq!(contents(&trail).iter().filter(|content| content.is_none()).count(), 20);
}

#[test]
fn a_keyring_exported_before_the_last_key_set_is_not_taken_for_an_erasure() {
    let stage = Stage::new();
    let trail = stage.open();
    store(&trail, 0..20).unwrap();
    trail.publish_now().unwrap();
    let old = std::fs::read(stage.folder().join("keyring")).unwrap();
    stage.clock.set("2026-12-02T00:00:00Z");
    store(&trail, 20..30).unwrap();
    trail.wait_published(30, SOON).unwrap();
    drop(trail);
    let keyring = stage.folder().join("keyring");
    let new = std::fs::read(&keyring).unwrap();
    std::fs::write(&keyring, old).unwrap();
    let trail = stage.open();
    assert!(trail.read_only().unwrap().contains("lacks key set") && trail.gone().is_empty());
    drop(trail);
    assert!(matches!(recover(stage.options(), "log.example/trail/2"), Err(RecoverError::Damaged(_))));
    std::fs::write(&keyring, new).unwrap();
    assert_eq!(stage.open().not_ready(), None);
}

#[test]
fn a_backup_whose_catalog_is_ahead_of_its_checkpoint_can_be_gone_on_with() {
    let stage = Stage::new();
    let trail = stage.open();
    store(&trail, 0..300).unwrap();
    trail.wait_published(300, SOON).unwrap();
    let target = stage.place.path().join("backup");
    let mut more = 300;
    let copied = backup(&stage.folder(), &target, &mut |copied: Copied| {
        // The tiles of the checkpoint are being copied: the trail goes on meanwhile.
        if copied.published == 0 && more < 900 {
            store(&trail, more..more + 100).unwrap();
            more += 100;
            trail.wait_published(more, SOON).unwrap();
        }
    });
    assert_eq!(copied.unwrap().published, 300);
    drop(trail);
    let options = restore(&stage, &target, None);
    let trail = recover(options.clone(), "log.example/trail/2").unwrap();
    assert!(trail.size() > 300);
    store(&trail, 2000..2100).unwrap();
    let size = trail.size();
    trail.wait_published(size, SOON).unwrap();
    check_tree(&trail, None, &[]);
    drop(trail);
    let content = crate::verify::folder(&options.folder, &options.root, &mut |_| true).unwrap();
    assert_eq!(content.findings, []);
}

#[test]
fn a_backup_ends_though_somebody_writes_whenever_they_can() {
    let stage = Stage::new();
    let trail = stage.open();
    // A catalog of several thousand pages.
    let rows = vec![RowChange::put(Kind::Setting, "ballast", vec![7; 12 << 20])];
    trail.submit_and_wait(Submission { rows, ..ingest(&trail, 0..1) }).unwrap().unwrap();
    let (mut number, mut before) = (1, Copied::default());
    let copied = backup(&stage.folder(), &stage.place.path().join("backup"), &mut |copied| {
        // No file more than before: between two steps of the catalog.
        if copied == before {
            store(&trail, number..number + 1).unwrap();
            number += 1;
            assert!(number < 200, "it does not end");
        }
        before = copied;
    });
    assert!(copied.unwrap().size_bytes > 12 << 20);
}

#[test]
fn a_folder_that_is_no_copy_in_the_making_is_never_removed() {
    let stage = Stage::new();
    stage.open();
    let (target, own) = (stage.place.path().join("backup"), stage.place.path().join("backup.tmp/own"));
    std::fs::create_dir(own.parent().unwrap()).unwrap();
    std::fs::write(&own, "own").unwrap();
    assert!(matches!(backup(&stage.folder(), &target, &mut |_| {}), Err(BackupError::Exists(_))));
    assert_eq!(std::fs::read_to_string(&own).unwrap(), "own");
    std::fs::rename(&own, own.with_file_name(".recall-copy")).unwrap();
    backup(&stage.folder(), &target, &mut |_| {}).unwrap();
    assert!(!target.join(".recall-copy").exists() && !own.exists());
}
