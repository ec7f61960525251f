#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::merkle::leaf_hash;
use crate::note::Signer;
use crate::tile::TileWriter;
use crate::tile::tests::{Files, entry, frontier, grow};

fn signer() -> Signer {
    Signer::new("example.com/log", &[7; 32]).unwrap()
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint { origin: "example.com/log".to_owned(), size, root: frontier(size).root() }
}

/// A log that was published at each of the sizes.
fn published(sizes: &[u64]) -> Files {
    let (files, mut writer) = (Files::default(), TileWriter::new());
    for size in sizes {
        grow(&mut writer, &files, *size);
        files.0.borrow_mut().insert("checkpoint".to_owned(), checkpoint(*size).sign(&signer()).unwrap().into_bytes());
    }
    files
}

fn findings(files: &Files) -> Vec<String> {
    let verdict = verify_log(files, signer().verifier(), &[], &mut |_, _| {});
    verdict.findings.iter().map(Finding::to_string).collect()
}

fn change(files: &Files, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
    change(files.0.borrow_mut().get_mut(path).unwrap());
}

#[test]
fn whole_logs_of_every_shape_pass_and_show_every_entry() {
    for size in [0, 1, 2, 255, 256, 257, 512, 700, 65_535, 65_536, 65_537, 66_100] {
        let files = published(&[size]);
        let mut next = 0;
        let verdict = verify_log(&files, signer().verifier(), &[], &mut |first, entries| {
            assert_eq!(first, next);
            for found in entries {
                assert_eq!(*found, entry(next));
                next += 1;
            }
        });
        assert_eq!(verdict.findings, [], "size {size}");
        assert_eq!(next, size);
        let (head, tier) = verdict.head.unwrap();
        assert_eq!((head.size, tier.to_string().as_str()), (size, "signed"));
    }
}

#[test]
fn every_bit_of_every_file_is_watched() {
    let files = published(&[515]);
    let paths: Vec<(String, usize)> = files.0.borrow().iter().map(|(path, bytes)| (path.clone(), bytes.len())).collect();
    for (path, length) in paths {
        // Every byte of small files; of large ones a sample that meets every offset of an entry and of a hash.
        for place in (0..length).step_by(if length > 2_000 { 37 } else { 1 }) {
            change(&files, &path, |bytes| bytes[place] ^= 1 << (place % 8));
            let found = findings(&files);
            assert_eq!(found.len(), 1, "{path} byte {place}: {found:?}");
            assert!(found[0].starts_with(&path), "{path} byte {place}: {found:?}");
            change(&files, &path, |bytes| bytes[place] ^= 1 << (place % 8));
        }
    }
    assert_eq!(findings(&files), [""; 0]);
}

#[test]
fn files_that_are_missing_or_cut_are_named() {
    let files = published(&[515]);
    let paths: Vec<String> = files.0.borrow().keys().cloned().collect();
    for path in paths {
        let whole = files.0.borrow_mut().remove(&path).unwrap();
        let found = findings(&files);
        assert!(found.len() == 1 && found[0].starts_with(&format!("{path}: missing")), "{path}: {found:?}");
        for damaged in [whole[1..].to_vec(), whole[..whole.len() - 1].to_vec(), [&whole[..], b"\n"].concat(), Vec::new()] {
            files.0.borrow_mut().insert(path.clone(), damaged);
            let found = findings(&files);
            assert!(found.len() == 1 && found[0].starts_with(&path), "{path}: {found:?}");
        }
        files.0.borrow_mut().insert(path, whole);
    }
}

#[test]
fn an_entry_changed_together_with_its_hashes_is_still_found() {
    let files = published(&[66_000]);
    let other = [9; 33];
    change(&files, "tile/entries/001", |bytes| bytes[2..35].copy_from_slice(&other));
    assert_eq!(findings(&files), ["tile/entries/001, index 256: not the entry that tile/0/001 has the hash of; it was changed"]);
    change(&files, "tile/0/001", |bytes| bytes[..32].copy_from_slice(&leaf_hash(&other)));
    assert_eq!(findings(&files), ["tile/0/001: leads to another hash than tile/1/000 has; it was changed, and so was what lies below it"]);
    let row = files.read("tile/0/001").unwrap().unwrap();
    let root = crate::merkle::row_root(row.as_chunks().0);
    change(&files, "tile/1/000", |bytes| bytes[32..64].copy_from_slice(&root));
    assert_eq!(
        findings(&files),
        ["tile/1/000: leads to another hash than tile/2/000.p/1 has; it was changed, and so was what lies below it"]
    );
    let row = files.read("tile/1/000").unwrap().unwrap();
    let root = crate::merkle::row_root(row.as_chunks().0);
    change(&files, "tile/2/000.p/1", |bytes| bytes.copy_from_slice(&root));
    assert_eq!(findings(&files), ["checkpoint: its root is not the root of the entries"]);
}

#[test]
fn two_files_damaged_are_two_findings() {
    let files = published(&[66_000]);
    change(&files, "tile/entries/007", |bytes| bytes[40] ^= 1);
    change(&files, "tile/0/100", |bytes| bytes[64..128].fill(0));
    files.0.borrow_mut().remove("tile/0/200");
    assert_eq!(
        findings(&files),
        [
            "tile/entries/007, index 1793: not the entry that tile/0/007 has the hash of; it was changed",
            "tile/0/100, hash 25602 to 25603: differs from what lies below it; it was changed",
            "tile/0/200: missing; restore it from a copy, or make it again from the entries",
        ]
    );
}

#[test]
fn a_bundle_and_its_tile_gone_together_are_two_findings() {
    let files = published(&[66_000]);
    files.0.borrow_mut().retain(|path, _| !path.ends_with("/003"));
    let found = findings(&files);
    assert!(
        found.len() == 2 && found[0].starts_with("tile/0/003: missing") && found[1].starts_with("tile/entries/003: missing"),
        "{found:?}"
    );
}

#[test]
fn checkpoints_that_can_not_be_trusted_end_the_matter() {
    let files = published(&[300]);
    let other = Signer::new("example.com/log", &[8; 32]).unwrap();
    assert!(verify_log(&files, other.verifier(), &[], &mut |_, _| {}).head.is_none());
    files.0.borrow_mut().insert("checkpoint".to_owned(), checkpoint(301).sign(&other).unwrap().into_bytes());
    assert_eq!(findings(&files), ["checkpoint: signed by no known key; check the public key"]);
    files.0.borrow_mut().insert("checkpoint".to_owned(), checkpoint(301).sign(&signer()).unwrap().into_bytes());
    assert!(findings(&files).iter().any(|finding| finding.starts_with("tile/0/001.p/45: missing")));
}

#[test]
fn a_checkpoint_that_claims_too_much_does_not_keep_the_verifier_for_ever() {
    let claimed = Checkpoint { size: (1 << 62) + 5, ..checkpoint(300) };
    let found = verify_tree(&published(&[300]), &claimed, &mut |_, _| {});
    assert!(found.len() <= walk::FINDINGS + 10, "{}", found.len());
    assert!(found.last().unwrap().what.contains("the rest was not looked at"));
}

#[test]
fn an_older_checkpoint_verifies_in_a_grown_log() {
    let files = published(&[300, 700, 1_000]);
    let older = |size| verify_tree(&files, &checkpoint(size), &mut |_, _| {});
    assert_eq!(older(300), []);
    files.0.borrow_mut().retain(|path, _| !path.ends_with(".p/44"));
    assert_eq!(older(300), [], "the full files stand in for partial ones");
    assert_eq!(older(700), []);
}

#[test]
fn consistency_is_proven_through_tiles() {
    let files = published(&[300, 66_000]);
    for size in [0, 1, 299, 300, 256, 65_536, 66_000] {
        assert_eq!(verify_consistency(&files, &checkpoint(size), &checkpoint(66_000)), [], "{size}");
    }
    let says = |old: Checkpoint, new: Checkpoint, what: &str| {
        let found = verify_consistency(&files, &old, &new);
        assert!(found.len() == 1 && found[0].what.contains(what), "{found:?}");
    };
    says(checkpoint(301), checkpoint(300), "rolled back");
    says(Checkpoint { root: [0; 32], ..checkpoint(300) }, checkpoint(66_000), "history was rewritten");
    says(Checkpoint { root: [0; 32], ..checkpoint(66_000) }, checkpoint(66_000), "history was rewritten");
    says(Checkpoint { origin: "other".to_owned(), ..checkpoint(300) }, checkpoint(66_000), "another log");
    says(checkpoint(66_000), checkpoint(66_100), "no proof");
}

#[test]
fn partial_files_of_earlier_sizes_are_watched() {
    let files = published(&[3, 44, 300, 400]);
    let paths = || files.0.borrow().keys().filter_map(|path| TilePath::parse(path).ok()).collect::<Vec<_>>();
    let partials = || verify_partials(&files, 400, paths()).iter().map(Finding::to_string).collect::<Vec<_>>();
    assert_eq!(partials(), [""; 0]);
    for path in paths().into_iter().filter(|path| !path.is_full() && path.width != 144 && path.kind != TileKind::Level(1)) {
        let path = path.to_string();
        let whole = files.0.borrow()[&path].clone();
        for place in 0..whole.len() {
            change(&files, &path, |bytes| bytes[place] ^= 1);
            let found = partials();
            assert!(found.len() == 1 && found[0].starts_with(&path), "{path} byte {place}: {found:?}");
            change(&files, &path, |bytes| bytes[place] ^= 1);
        }
        change(&files, &path, |bytes| bytes.truncate(bytes.len() - 1));
        assert_eq!(partials().len(), 1);
        change(&files, &path, |bytes| *bytes = whole);
    }
    // Beyond the checkpoint nothing is promised.
    change(&files, "tile/entries/001.p/144", |bytes| bytes.clear());
    assert_eq!(verify_partials(&files, 300, paths()).len(), 0);
}

#[test]
fn a_source_that_fails_is_a_finding_and_no_panic() {
    struct Broken;
    impl TileSource for Broken {
        fn read(&self, _: &str) -> Result<Option<Vec<u8>>, crate::tile::SourceError> {
            Err(crate::tile::SourceError("the disk does not answer; check it".to_owned()))
        }
    }
    assert!(verify_log(&Broken, signer().verifier(), &[], &mut |_, _| {}).findings[0].what.contains("does not answer"));
    assert!(!verify_tree(&Broken, &checkpoint(300), &mut |_, _| {}).is_empty());
}
