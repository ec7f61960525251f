#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::entry::{ENTRY_SIZE, Entry};
use crate::merkle::{Frontier, Hash, HashReader, inclusion_proof, leaf_hash, node_hash, verify_inclusion};
use crate::mutation::{fixed, lines, mutated};
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;

const BAD_PATHS: &str = include_str!("../../vectors/tile-paths-bad.txt");

/// A log in memory.
#[derive(Default)]
pub(crate) struct Files(pub(crate) RefCell<BTreeMap<String, Vec<u8>>>);

impl TileSource for Files {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        Ok(self.0.borrow().get(path).cloned())
    }
}

impl Files {
    pub(crate) fn sink(&self) -> impl FnMut(TilePath, &[u8]) -> Result<(), Infallible> + '_ {
        |path, bytes| {
            assert!(!bytes.is_empty(), "{path}");
            self.0.borrow_mut().insert(path.to_string(), bytes.to_vec());
            Ok(())
        }
    }
}

pub(crate) fn entry(index: u64) -> Entry {
    let mut entry = [1; ENTRY_SIZE];
    entry[1..].copy_from_slice(&leaf_hash(&index.to_be_bytes()));
    entry
}

/// Appends entries up to `size`, and the partial files of that size.
pub(crate) fn grow(writer: &mut TileWriter, files: &Files, size: u64) {
    for index in writer.size()..size {
        let entry = entry(index);
        let Ok(()) = writer.push(&entry, &leaf_hash(&entry), &mut files.sink());
    }
    let Ok(()) = writer.flush(&mut files.sink());
}

pub(crate) fn frontier(size: u64) -> Frontier {
    let mut frontier = Frontier::new();
    (0..size).for_each(|index| frontier.push(leaf_hash(&entry(index))));
    frontier
}

#[test]
fn paths_are_written_and_read_as_specified() {
    let level = |level, index, width| TilePath { kind: TileKind::Level(level), index, width };
    let bundle = |index, width| TilePath { kind: TileKind::Entries, index, width };
    for (path, text) in [
        (level(0, 0, 256), "tile/0/000"),
        (level(0, 999, 256), "tile/0/999"),
        (level(0, 1_000, 256), "tile/0/x001/000"),
        (level(1, 1_234_067, 256), "tile/1/x001/x234/067"),
        (level(15, 123_456_789, 41), "tile/15/x123/x456/789.p/41"),
        (level(63, 5, 255), "tile/63/005.p/255"),
        (level(0, u64::MAX, 1), "tile/0/x018/x446/x744/x073/x709/x551/615.p/1"),
        (bundle(67, 256), "tile/entries/067"),
        (bundle(1_000_000, 10), "tile/entries/x001/x000/000.p/10"),
    ] {
        assert_eq!(path.to_string(), text);
        assert_eq!(TilePath::parse(text), Ok(path));
    }
}

#[test]
fn everything_else_is_no_path() {
    for path in BAD_PATHS.lines() {
        assert_eq!(TilePath::parse(path), Err(TilePathError), "{path}");
    }
}

#[test]
fn a_tree_of_70_000_entries_has_the_files_of_the_specification() {
    let paths: Vec<TilePath> = tiles_for(0, 70_000).collect();
    let count = |kind, full| paths.iter().filter(|path| path.kind == kind && path.is_full() == full).count();
    assert_eq!((count(TileKind::Entries, true), count(TileKind::Level(0), true), count(TileKind::Level(1), true)), (273, 273, 1));
    let partial: Vec<String> = paths.iter().filter(|path| !path.is_full()).map(TilePath::to_string).collect();
    assert_eq!(partial, ["tile/entries/273.p/112", "tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
    assert_eq!(paths.len(), 273 + 273 + 1 + 4);
    let paths: Vec<String> = tiles_for(0, 256).map(|path| path.to_string()).collect();
    assert_eq!(paths, ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
    assert_eq!(tiles_for(0, 0).count() + tiles_for(256, 256).count() + tiles_for(9, 9).count(), 0);
    let paths: Vec<String> = tiles_for(255, 257).map(|path| path.to_string()).collect();
    assert_eq!(paths, ["tile/entries/000", "tile/entries/001.p/1", "tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]);
}

#[test]
fn bundles_are_written_and_read_as_specified() {
    let mut bundle = Vec::new();
    push_entry(&mut bundle, b"one").unwrap();
    push_entry(&mut bundle, b"two").unwrap();
    assert_eq!(bundle, b"\x00\x03one\x00\x03two");
    assert_eq!(entries(&bundle, 2, true).unwrap(), [b"one", b"two"]);
    assert_eq!(entries(&bundle, 1, false).unwrap(), [b"one"]);
    assert_eq!(entries(&bundle, 1, true), Err(BundleError("has bytes behind its last entry")));
    assert!(entries(&bundle, 3, true).is_err());
    for end in 0..bundle.len() {
        assert!(entries(&bundle[..end], 2, true).is_err(), "cut at {end}");
    }
    assert!(push_entry(&mut bundle, &[0; 65_535]).is_ok());
    assert!(push_entry(&mut bundle, &[0; 65_536]).is_err());
    assert_eq!(entries(b"", 0, true).unwrap().len(), 0);
    assert_eq!(entries(b"\0\0", 1, true).unwrap(), [b""]);
}

#[test]
fn a_grown_log_has_exactly_its_files_and_its_root() {
    const SIZE: u64 = 66_000;
    let (files, mut writer) = (Files::default(), TileWriter::new());
    assert_eq!(writer.root(), Frontier::new().root());
    grow(&mut writer, &files, SIZE);
    assert_eq!(writer.root(), frontier(SIZE).root());
    let mut expected: Vec<String> = tiles_for(0, SIZE).map(|path| path.to_string()).collect();
    expected.sort();
    assert_eq!(files.0.borrow().keys().cloned().collect::<Vec<_>>(), expected);
    let first = files.read("tile/1/000").unwrap().unwrap();
    let (left, right) = (frontier_range(0, 256), frontier_range(256, 512));
    assert_eq!(first[..64], [left, right].concat());
    let reader = TileHashReader::new(&files, SIZE);
    assert_eq!(reader.hash(9, 0).unwrap(), node_hash(&left, &right));
    assert!(reader.hash(9, SIZE >> 9).is_err() && reader.hash(17, 0).is_err() && reader.hash(255, 1).is_err());
    for index in [0, 1, 255, 256, 65_535, 65_536, 65_791, 65_792, SIZE - 1] {
        let proof = inclusion_proof(&TileHashReader::new(&files, SIZE), index, SIZE).unwrap();
        assert_eq!(verify_inclusion(&leaf_hash(&entry(index)), index, SIZE, &proof, &writer.root()), Ok(()), "{index}");
    }
}

fn frontier_range(from: u64, to: u64) -> Hash {
    let mut frontier = Frontier::new();
    (from..to).for_each(|index| frontier.push(leaf_hash(&entry(index))));
    frontier.root()
}

#[test]
fn a_resumed_writer_goes_on_as_if_nothing_had_happened() {
    for stop in [0, 1, 255, 256, 257, 511, 512, 700, 65_535, 65_536, 65_537] {
        let (whole, mut writer) = (Files::default(), TileWriter::new());
        grow(&mut writer, &whole, stop);
        grow(&mut writer, &whole, stop + 300);
        let (files, mut writer) = (Files::default(), TileWriter::new());
        grow(&mut writer, &files, stop);
        let mut resumed = TileWriter::resume(&files, &frontier(stop)).unwrap();
        grow(&mut resumed, &files, stop + 300);
        assert!(*files.0.borrow() == *whole.0.borrow(), "stopped at {stop}");
        assert_eq!(resumed.root(), frontier(stop + 300).root());
    }
}

#[test]
fn a_partial_file_that_is_gone_is_read_from_the_full_one() {
    let (files, mut writer) = (Files::default(), TileWriter::new());
    grow(&mut writer, &files, 300);
    grow(&mut writer, &files, 600);
    files.0.borrow_mut().retain(|path, _| !path.ends_with(".p/44"));
    assert_eq!(TileWriter::resume(&files, &frontier(300)).unwrap().root(), frontier(300).root());
    assert!(inclusion_proof(&TileHashReader::new(&files, 300), 299, 300).is_ok());
}

#[test]
fn a_writer_does_not_resume_on_damaged_files() {
    let (files, mut writer) = (Files::default(), TileWriter::new());
    grow(&mut writer, &files, 300);
    for path in ["tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/001.p/44"] {
        let whole = files.0.borrow_mut().remove(path).unwrap();
        assert!(TileWriter::resume(&files, &frontier(300)).err().unwrap().place.contains(path), "{path} missing");
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for damaged in [flipped, whole[1..].to_vec(), Vec::new(), [&whole[..], &[0]].concat()] {
            files.0.borrow_mut().insert(path.to_owned(), damaged);
            assert!(TileWriter::resume(&files, &frontier(300)).is_err(), "{path} damaged");
        }
        files.0.borrow_mut().insert(path.to_owned(), whole);
    }
    assert!(TileWriter::resume(&files, &frontier(299)).is_err());
    assert!(TileWriter::resume(&files, &frontier(300)).is_ok());
}

proptest! {
    #[test]
    fn every_path_reads_back(index: u64, width in 1_u16..=256, level in 0_u8..=63, is_bundle: bool) {
        let kind = if is_bundle { TileKind::Entries } else { TileKind::Level(level) };
        let path = TilePath { kind, index, width };
        prop_assert_eq!(TilePath::parse(&path.to_string()), Ok(path));
    }

    #[test]
    fn what_parses_is_written_the_same(path in "tile/(entries|[0-9]{1,2})/(x[0-9]{3}/){0,3}[0-9]{3}(\\.p/[0-9]{1,3})?") {
        if let Ok(parsed) = TilePath::parse(&path) {
            prop_assert_eq!(parsed.to_string(), path);
        }
    }

    #[test]
    fn no_bytes_make_a_bundle_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), width in 0_u16..=256) {
        let _ = entries(&bytes, width, true);
    }
}

proptest! {
    #![proptest_config(fixed(2_000))]

    #[test]
    fn what_is_taken_is_written_back(path in mutated([lines(BAD_PATHS), vec![b"tile/entries/x001/234.p/7".to_vec()]].concat()), bundle in mutated(bundles())) {
        if let Some(Ok(parsed)) = std::str::from_utf8(&path).ok().map(TilePath::parse) {
            prop_assert_eq!(parsed.to_string().into_bytes(), path);
        }
        for width in 0..6 {
            if let Ok(found) = entries(&bundle, width, true) {
                let mut again = Vec::new();
                found.iter().for_each(|entry| push_entry(&mut again, entry).unwrap());
                prop_assert_eq!(&again, &bundle);
            }
        }
    }
}

fn bundles() -> Vec<Vec<u8>> {
    let bundle = |lengths: &[usize]| {
        let mut bundle = Vec::new();
        lengths.iter().for_each(|length| push_entry(&mut bundle, &vec![7; *length]).unwrap());
        bundle
    };
    vec![bundle(&[]), bundle(&[33]), bundle(&[33, 33, 33, 33]), bundle(&[0, 300, 1])]
}
