#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use super::*;
use crate::seams::Random;
use crate::testing::{Bench, Seeded};

fn identities(seed: u64, count: usize) -> Vec<Identity> {
    let random = Seeded::new(seed);
    let mut bytes = [0; 24];
    let mut next = || {
        random.fill(&mut bytes);
        Identity { key: u128::from_be_bytes(*bytes.first_chunk().unwrap()), tag: u64::from_be_bytes(*bytes.last_chunk().unwrap()) }
    };
    (0..count).map(|_| next()).collect()
}

fn expected(identities: &[Identity], first_index: u64) -> Vec<Option<Seen>> {
    identities.iter().zip(first_index..).map(|(identity, index)| Some(Seen { index, tag: identity.tag })).collect()
}

fn open(bench: &Bench, rows: Vec<RunRow>, budget: usize) -> Dedupe {
    Dedupe::open(bench.path(), rows, &bench.keys, budget).unwrap()
}

fn adopt(dedupe: &Dedupe, row: RunRow, identities: &[Identity]) {
    dedupe.adopt(dedupe.prepare(row).unwrap(), identities);
}

#[test]
fn a_key_is_known_from_its_insert_on() {
    let bench = Bench::new();
    let dedupe = open(&bench, vec![], 1 << 20);
    let all = identities(1, 100);
    assert_eq!(dedupe.check(&all).unwrap(), vec![None; 100]);
    dedupe.insert(50, &all);
    assert_eq!(dedupe.check(&all).unwrap(), expected(&all, 50));
    assert_eq!(dedupe.check(&identities(2, 100)).unwrap(), vec![None; 100]);
}

#[test]
fn runs_know_what_fresh_keys_knew() {
    let bench = Bench::new();
    // Without budget, runs are asked directly.
    for budget in [0, 1 << 30] {
        let dedupe = open(&bench, vec![], budget);
        let all = identities(1, 30_000);
        for (id, start) in [(1_u64, 0_usize), (2, 10_000), (3, 20_000)] {
            let own = &all[start..start + 10_000];
            dedupe.insert(start as u64, own);
            let row = dedupe.write_run(id, start as u64, own).unwrap();
            assert_eq!(RunRow::decode(&row.encode()).unwrap(), row);
            adopt(&dedupe, row, own);
            assert_eq!(dedupe.check(own).unwrap(), expected(own, start as u64));
        }
        assert!(dedupe.state.read().unwrap().fresh.0.iter().all(HashMap::is_empty));
        assert_eq!(dedupe.check(&all).unwrap(), expected(&all, 0));
        assert_eq!(dedupe.check(&identities(2, 5_000)).unwrap(), vec![None; 5_000]);
        let reopened = open(&bench, dedupe.rows(), budget);
        reopened.build_filters().unwrap();
        assert_eq!(reopened.check(&all).unwrap(), expected(&all, 0));
        for one in all.iter().step_by(4_001) {
            assert!(reopened.check(&[*one]).unwrap()[0].is_some());
        }
    }
}

#[test]
fn merged_runs_know_the_same_and_replace_their_files() {
    let bench = Bench::new();
    let dedupe = open(&bench, vec![], 1 << 30);
    let all = identities(3, 6_000);
    for id in 0..6_u64 {
        let start = id as usize * 1_000;
        adopt(&dedupe, dedupe.write_run(id + 1, start as u64, &all[start..start + 1_000]).unwrap(), &[]);
    }
    let merged = dedupe.merge_runs(10, &(1_000..5_000)).unwrap();
    assert_eq!((merged.range(), merged.tier), (1_000..5_000, 1));
    adopt(&dedupe, merged, &[]);
    assert_eq!(dedupe.rows().iter().map(RunRow::range).collect::<Vec<_>>(), [0..1_000, 1_000..5_000, 5_000..6_000]);
    assert_eq!(dedupe.check(&all).unwrap(), expected(&all, 0));
    let left =
        fs::read_dir(bench.path()).unwrap().filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|end| end == RUN)).count();
    assert_eq!(left, 3);
}

#[test]
fn keys_that_differ_in_one_half_only_are_told_apart() {
    let bench = Bench::new();
    let dedupe = open(&bench, vec![], 0);
    let key = |high: u64, low: u64| (u128::from(high) << 64) | u128::from(low);
    let edge = [0, 1, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX - 1, u64::MAX];
    let all: Vec<Identity> = edge.iter().flat_map(|high| edge.iter().map(|low| Identity { key: key(*high, *low), tag: 0 })).collect();
    adopt(&dedupe, dedupe.write_run(1, 0, &all).unwrap(), &[]);
    assert_eq!(dedupe.check(&all).unwrap(), expected(&all, 0));
    assert_eq!(dedupe.check(&[Identity { key: key(1, 2), tag: 0 }]).unwrap(), [None]);
    let filtered = open(&bench, dedupe.rows(), 1 << 20);
    filtered.build_filters().unwrap();
    assert_eq!(filtered.check(&all).unwrap(), expected(&all, 0));
}

#[test]
fn the_budget_favours_new_runs() {
    let bench = Bench::new();
    let dedupe = open(&bench, vec![], 1_000 * 19 / 8 * 2 + 10);
    let all = identities(4, 3_000);
    for id in 0..3_u64 {
        let start = id as usize * 1_000;
        adopt(&dedupe, dedupe.write_run(id + 1, start as u64, &all[start..start + 1_000]).unwrap(), &[]);
    }
    let filtered: Vec<bool> = dedupe.runs().iter().map(|run| run.has_filter()).collect();
    assert_eq!(filtered, [false, true, true]);
    assert_eq!(dedupe.check(&all).unwrap(), expected(&all, 0));
}

#[test]
fn a_run_that_is_not_the_catalogs_does_not_open() {
    let bench = Bench::new();
    let dedupe = open(&bench, vec![], 0);
    let row = dedupe.write_run(1, 0, &identities(5, 100)).unwrap();
    let other = dedupe.write_run(2, 0, &identities(6, 100)).unwrap();
    let reopened = |row: RunRow| Dedupe::open(bench.path(), vec![row], &bench.keys, 0);
    assert!(reopened(row.clone()).is_ok());
    assert!(reopened(RunRow { count: 99, ..row.clone() }).is_err());
    assert!(reopened(RunRow { id: 3, ..row.clone() }).is_err());
    fs::copy(file_path(bench.path(), 2, RUN), file_path(bench.path(), 1, RUN)).unwrap();
    assert!(reopened(row).is_err());
    assert!(reopened(other).is_ok());
}

#[test]
fn a_merge_across_a_gap_is_refused_before_anybody_relies_on_it() {
    let bench = Bench::new();
    let dedupe = open(&bench, vec![], 1 << 20);
    let all = identities(7, 3_000);
    for start in [0_usize, 2_000] {
        adopt(&dedupe, dedupe.write_run(1 + start as u64, start as u64, &all[start..start + 1_000]).unwrap(), &[]);
    }
    let merged = dedupe.merge_runs(10, &(0..3_000)).unwrap();
    assert!(dedupe.prepare(merged).is_err());
    assert_eq!(dedupe.check(&all[..1_000]).unwrap(), expected(&all[..1_000], 0));
}

#[test]
fn while_a_part_is_lost_nothing_passes_for_new() {
    let bench = Bench::new();
    let all = identities(8, 200);
    let rows = {
        let dedupe = open(&bench, vec![], 0);
        adopt(&dedupe, dedupe.write_run(1, 0, &all[..100]).unwrap(), &[]);
        adopt(&dedupe, dedupe.write_run(2, 100, &all[100..]).unwrap(), &[]);
        dedupe.rows()
    };
    fs::remove_file(file_path(bench.path(), 1, RUN)).unwrap();
    let (dedupe, unreadable) = Dedupe::open_readable(bench.path(), rows.clone(), &bench.keys, 0);
    assert_eq!(unreadable.iter().map(|(row, _)| row.clone()).collect::<Vec<_>>(), rows[..1]);
    dedupe.lose(Lost { range: 0..100, what: "its run is missing".to_owned(), for_good: false });
    assert_eq!(dedupe.check(&all[100..]).unwrap(), expected(&all[100..], 100));
    assert!(matches!(dedupe.check(&all[99..]), Err(CheckError::Lost(_))));
    assert_eq!(dedupe.find(&all[99..101]).unwrap(), [None, expected(&all[100..101], 100)[0]]);
    let broken = dedupe.broken().unwrap();
    assert_eq!(broken, Broken { range: 0..100, run: None });
    dedupe.mend(&broken, vec![dedupe.prepare(dedupe.write_run(3, 0, &all[..100]).unwrap()).unwrap()]);
    assert_eq!(dedupe.check(&all).unwrap(), expected(&all, 0));
    assert_eq!(dedupe.broken(), None);
}

#[test]
fn a_rotten_page_marks_its_run() {
    let bench = Bench::new();
    let all = identities(9, 5_000);
    let rows = {
        let dedupe = open(&bench, vec![], 0);
        adopt(&dedupe, dedupe.write_run(1, 0, &all).unwrap(), &[]);
        dedupe.rows()
    };
    let path = file_path(bench.path(), 1, RUN);
    let mut bytes = fs::read(&path).unwrap();
    (100..2_000).for_each(|at| bytes[at] ^= 1);
    fs::write(&path, bytes).unwrap();
    let dedupe = open(&bench, rows, 0);
    assert_eq!(dedupe.broken(), None);
    assert!(dedupe.check(&all).is_err());
    let broken = dedupe.broken().unwrap();
    assert_eq!(broken, Broken { range: 0..5_000, run: Some(1) });
    dedupe.give_up(&broken, "its events are lost");
    assert_eq!(dedupe.broken(), None);
    assert!(dedupe.check(&all).is_err());
}
