#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::dedupe::RunRow;
use crate::encrypted::FileFacts;
use crate::segment::{Plan, Segment, write};
use crate::snapshot::{Erased, Part};
use crate::testing::Bench;

fn options() -> Options {
    Options { segment_events: 100, join_parts: 4, join_events: 30, merge_width: 3, merge_backlog: 3, ..Options::default() }
}

/// Batches of the sizes given, from `first` on.
fn fresh(bench: &Bench, mut first: u64, key_set: u64, sizes: &[u64]) -> Vec<Part> {
    let mut part = |size: &u64| {
        let start = first;
        first += size;
        Part::Fresh(bench.fresh(bench.batch(start..first), start, key_set))
    };
    sizes.iter().map(&mut part).collect()
}

fn segment(bench: &Bench, id: u64, first: u64, tier: u32, key_set: u64) -> Part {
    let parts = fresh(bench, first, key_set, &[5]);
    let plan = Plan { id, tier, key_set, parts: &parts, zstd_level: 1, stop: &AtomicBool::new(false) };
    let row = write(bench.path(), &plan, &bench.keys, &bench.phi).unwrap();
    Part::Segment(Arc::new(Segment::open(bench.path(), row, &bench.keys).unwrap()))
}

/// Segments of five events each: their tiers, and key sets.
fn segments(bench: &Bench, tiers: &[(u32, u64)]) -> Vec<Part> {
    (10..).zip(tiers).map(|(id, (tier, key_set))| segment(bench, id, (id - 10) * 5, *tier, *key_set)).collect()
}

fn range<T>(run: Option<Vec<Arc<T>>>, first: fn(&T) -> u64, end: fn(&T) -> u64) -> Option<(u64, u64)> {
    run.map(|run| (first(&run[0]), end(run.last().unwrap())))
}

fn flushed(parts: &[Part], signed: u64) -> Option<(u64, u64)> {
    range(choice::flush(parts, signed, &options()), |fresh| fresh.first_index(), |fresh| fresh.end())
}

fn joined(parts: &[Part]) -> Option<(u64, u64)> {
    range(choice::join(parts, &options()), |fresh| fresh.first_index(), |fresh| fresh.end())
}

fn merged(parts: &[Part], busy: bool) -> Option<(u64, u64)> {
    range(choice::merge(parts, busy, &options(), |_| false), |segment| segment.first_index(), |segment| segment.row().end())
}

#[test]
fn enough_signed_batches_become_a_segment() {
    let bench = Bench::new();
    let parts = fresh(&bench, 0, 1, &[40, 40, 19]);
    assert_eq!(flushed(&parts, 99), None);
    let parts = fresh(&bench, 0, 1, &[40, 40, 19, 1, 7]);
    assert_eq!(flushed(&parts, 107), Some((0, 100)));
    assert_eq!(flushed(&parts, 99), Some((0, 99)));
    assert_eq!(flushed(&parts, 79), Some((0, 40)));
    assert_eq!(flushed(&parts, 39), None);
    assert_eq!(flushed(&fresh(&bench, 0, 1, &[120, 5]), 125), Some((0, 120)));
}

#[test]
fn few_large_batches_become_a_segment_by_their_bytes() {
    let bench = Bench::new();
    let parts = fresh(&bench, 0, 1, &[10, 10, 10, 10]);
    let size_bytes: Vec<u64> = parts.iter().map(|part| if let Part::Fresh(fresh) = part { fresh.size_bytes() } else { 0 }).collect();
    assert!(size_bytes.iter().all(|size| *size > 1_000));
    let flushed = |segment_bytes: u64| {
        let options = Options { segment_bytes, ..options() };
        range(choice::flush(&parts, 40, &options), |fresh| fresh.first_index(), |fresh| fresh.end())
    };
    let all: u64 = size_bytes.iter().sum();
    assert_eq!(flushed(all + 1), None);
    assert_eq!(flushed(all), Some((0, 40)));
    assert_eq!(flushed(size_bytes[0] + size_bytes[1]), Some((0, 20)));
    assert_eq!(flushed(1), Some((0, 10)));
}

#[test]
fn the_rest_of_a_key_set_becomes_a_segment_when_it_is_signed_whole() {
    let bench = Bench::new();
    let mut parts = fresh(&bench, 0, 1, &[10, 10]);
    parts.extend(fresh(&bench, 20, 2, &[10]));
    assert_eq!(flushed(&parts, 30), Some((0, 20)));
    assert_eq!(flushed(&parts, 19), None);
    parts.remove(0);
    parts.insert(0, segment(&bench, 9, 0, 0, 1));
    assert_eq!(flushed(&parts[..2], 30), None);
}

#[test]
fn many_small_batches_are_joined() {
    let bench = Bench::new();
    assert_eq!(joined(&fresh(&bench, 0, 1, &[1, 2, 1])), None);
    assert_eq!(joined(&fresh(&bench, 0, 1, &[1, 2, 1, 3])), Some((0, 7)));
    assert_eq!(joined(&fresh(&bench, 0, 1, &[15, 1, 2, 1, 3])), Some((15, 22)));
    assert_eq!(joined(&fresh(&bench, 0, 1, &[14, 14, 14, 14])), Some((0, 28)));
    let mut parts = fresh(&bench, 0, 1, &[1, 1]);
    parts.extend(fresh(&bench, 2, 2, &[1, 1]));
    assert_eq!(joined(&parts), None);
}

#[test]
fn neighbours_of_one_tier_and_key_set_merge() {
    let bench = Bench::new();
    assert_eq!(merged(&segments(&bench, &[(0, 1), (0, 1)]), false), None);
    assert_eq!(merged(&segments(&bench, &[(0, 1), (0, 1), (0, 1), (0, 1)]), false), Some((0, 15)));
    assert_eq!(merged(&segments(&bench, &[(1, 1), (0, 1), (0, 1), (0, 1)]), false), Some((5, 20)));
    assert_eq!(merged(&segments(&bench, &[(0, 1), (0, 1), (0, 2), (0, 2)]), false), None);
    assert_eq!(merged(&segments(&bench, &[(0, 1), (0, 1), (1, 1), (0, 1)]), false), None);
    let mut parts = segments(&bench, &[(0, 1), (0, 1), (0, 1), (0, 1)]);
    parts[1] = Part::Erased(Erased { first_index: 5, count: 5, key_set: 9, by: None });
    assert_eq!(merged(&parts, false), None);
}

#[test]
fn small_segments_merge_first_and_a_busy_trail_waits_for_a_backlog() {
    let bench = Bench::new();
    let parts = segments(&bench, &[(1, 1), (1, 1), (1, 1), (0, 1), (0, 1), (0, 1)]);
    assert_eq!(merged(&parts, false), Some((15, 30)));
    assert_eq!(merged(&parts, true), Some((15, 30)));
    assert_eq!(merged(&parts[..3], true), None);
    assert!(choice::merge(&parts[..3], false, &options(), |segment| segment.row().id == 11).is_none());
}

#[test]
fn runs_of_one_tier_merge() {
    let row = |first_index: u64, tier| RunRow {
        id: first_index,
        first_index,
        count: 10,
        tier,
        file: FileFacts { size_bytes: 0, sha256: String::new() },
    };
    let rows = |tiers: &[u32]| (0..).step_by(10).zip(tiers).map(|(first, tier)| row(first, *tier)).collect::<Vec<_>>();
    assert_eq!(choice::merge_runs(&rows(&[0, 0]), &options()), None);
    assert_eq!(choice::merge_runs(&rows(&[1, 0, 0, 0, 0]), &options()), Some(10..40));
    assert_eq!(choice::merge_runs(&rows(&[1, 1, 1, 0, 0]), &options()), Some(0..30));
    assert_eq!(choice::merge_runs(&[], &options()), None);
    // Nothing merges across a gap.
    let mut gap = rows(&[0, 0, 0, 0, 0]);
    gap.remove(1);
    assert_eq!(choice::merge_runs(&gap, &options()), Some(20..50));
    gap.remove(2);
    assert_eq!(choice::merge_runs(&gap, &options()), None);
}

#[test]
fn leftovers_go_and_the_rest_stays() {
    let place = tempfile::tempdir().unwrap();
    for (folder, names) in [
        (
            SEGMENTS,
            &[
                "0000000000000001.events",
                "0000000000000001.postings",
                "0000000000000002.events",
                "0000000000000003.events.tmp",
                "notes.txt",
                "0000000000000002.run",
            ][..],
        ),
        (DEDUPE, &["0000000000000001.run", "0000000000000004.run", "0000000000000004.run.tmp", "4.run"][..]),
    ] {
        fs::create_dir(place.path().join(folder)).unwrap();
        names.iter().for_each(|name| fs::write(place.path().join(folder).join(name), "x").unwrap());
    }
    remove_leftovers(place.path(), &[1], &[4]).unwrap();
    let left = |folder: &str| {
        let mut names: Vec<_> =
            fs::read_dir(place.path().join(folder)).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(left(SEGMENTS), ["0000000000000001.events", "0000000000000001.postings", "0000000000000002.run", "notes.txt"]);
    assert_eq!(left(DEDUPE), ["0000000000000004.run", "4.run"]);
}
