#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[test]
fn results_come_in_the_order_of_the_jobs_whoever_is_first() {
    for threads in [1, 2, 7] {
        let jobs: Vec<u64> = (0..3 * AHEAD as u64).collect();
        let mut results = Vec::new();
        let work = |tools: &mut u64, job: &u64| {
            *tools += 1;
            // Every seventh job takes longer than the others.
            let steps = if job.is_multiple_of(7) { 20_000 } else { 10 };
            std::hint::black_box((0..steps).fold(*job, |sum, step| std::hint::black_box(sum ^ step)));
            job * 2
        };
        in_order(
            &jobs,
            threads,
            || 0,
            work,
            |job, result| {
                results.push((*job, result.unwrap()));
                true
            },
        );
        assert_eq!(results, jobs.iter().map(|job| (*job, job * 2)).collect::<Vec<_>>());
    }
}

#[test]
fn a_job_that_panics_takes_no_other_with_it() {
    let jobs: Vec<u64> = (0..50).collect();
    let mut results = Vec::new();
    let tools = AtomicUsize::new(0);
    let make = || tools.fetch_add(1, Ordering::Relaxed);
    in_order(
        &jobs,
        2,
        make,
        |_, job| {
            assert!(job % 10 != 3);
            *job
        },
        |_, result| {
            results.push(result);
            true
        },
    );
    assert_eq!(results, jobs.iter().map(|job| (job % 10 != 3).then_some(*job)).collect::<Vec<_>>());
    assert!(tools.load(Ordering::Relaxed) >= 5, "tools that a panic may have broken are not used again");
}

#[test]
fn no_job_is_begun_far_ahead_of_what_is_taken_nor_after_the_end() {
    let jobs: Vec<usize> = (0..5 * AHEAD).collect();
    let begun = AtomicUsize::new(0);
    let mut taken = 0;
    in_order(
        &jobs,
        2,
        || (),
        |(), _| begun.fetch_add(1, Ordering::SeqCst),
        |_, _| {
            taken += 1;
            assert!(begun.load(Ordering::SeqCst) <= taken + AHEAD);
            taken < AHEAD
        },
    );
    assert_eq!(taken, AHEAD);
    assert!(begun.load(Ordering::SeqCst) <= 2 * AHEAD);
    in_order(&Vec::<usize>::new(), 2, || (), |(), _| (), |_, _| true);
}
