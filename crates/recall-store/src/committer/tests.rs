//! The queue and the group, without a disk. The whole committer is tested through `Trail`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::group::{Group, Known, Placed};
use super::queue::{GATEWAY_BYTES, Job, Queue};
use super::*;
use crate::catalog::Kind;
use crate::dedupe::{Dedupe, Lost};
use crate::testing::Bench;

fn weighing(bytes: usize, class: Class, closed: &Arc<AtomicU32>) -> Job {
    let rows = vec![RowChange::put(Kind::Setting, "", vec![0; bytes])];
    let closed = Arc::clone(closed);
    let done: Done = Box::new(move |result| {
        assert_eq!(result, Err(CommitError::Closed));
        closed.fetch_add(1, Ordering::SeqCst);
    });
    Job::submit(Submission { batches: vec![], rows, expect: vec![], class }, None, done)
}

#[test]
fn the_byte_budget_holds_at_its_edge_and_frees_what_is_taken() {
    let queue = Queue::default();
    let closed = Arc::default();
    queue.push(weighing(QUEUE_BYTES - 1, Class::Ingest, &closed)).unwrap();
    queue.push(weighing(1, Class::Ingest, &closed)).unwrap();
    assert_eq!(queue.push(weighing(1, Class::Ingest, &closed)), Err(SubmitError::Busy));
    let mut jobs = Vec::new();
    assert!(queue.take(&mut jobs));
    // The first alone is more than one commit takes.
    assert_eq!(jobs.len(), 1);
    queue.push(weighing(1, Class::Ingest, &closed)).unwrap();
    assert_eq!(closed.load(Ordering::SeqCst), 0);
}

#[test]
fn one_submission_larger_than_the_budget_fits_into_an_empty_queue() {
    let queue = Queue::default();
    queue.push(weighing(QUEUE_BYTES + 1, Class::Ingest, &Arc::default())).unwrap();
    assert!(queue.is_waiting());
}

#[test]
fn a_backlog_stops_ingest_at_its_limit_and_no_duty() {
    let queue = Queue::default();
    let closed = Arc::default();
    queue.report(FRESH_LIMIT - 1, false);
    queue.push(weighing(1, Class::Ingest, &closed)).unwrap();
    queue.report(FRESH_LIMIT, false);
    assert_eq!(queue.push(weighing(1, Class::Ingest, &closed)), Err(SubmitError::Busy));
    queue.push(weighing(1, Class::Duty, &closed)).unwrap();
}

#[test]
fn gateways_have_room_that_senders_cannot_take_and_no_more() {
    let queue = Queue::default();
    let closed = Arc::default();
    queue.push(weighing(QUEUE_BYTES, Class::Ingest, &closed)).unwrap();
    assert_eq!(queue.push(weighing(1, Class::Ingest, &closed)), Err(SubmitError::Busy));
    queue.push(weighing(GATEWAY_BYTES, Class::Gateway, &closed)).unwrap();
    assert_eq!(queue.push(weighing(1, Class::Gateway, &closed)), Err(SubmitError::Busy));
    queue.push(weighing(1, Class::Duty, &closed)).unwrap();
    let queue = Queue::default();
    queue.report(FRESH_LIMIT + GATEWAY_FRESH - 1, false);
    queue.push(weighing(1, Class::Gateway, &closed)).unwrap();
    queue.report(FRESH_LIMIT + GATEWAY_FRESH, false);
    assert_eq!(queue.push(weighing(1, Class::Gateway, &closed)), Err(SubmitError::Busy));
    queue.push(weighing(1, Class::Duty, &closed)).unwrap();
}

#[test]
fn each_job_is_answered_once_however_the_queue_ends() {
    let closed = Arc::default();
    let queue = Queue::default();
    queue.push(weighing(1, Class::Ingest, &closed)).unwrap();
    queue.push(weighing(1, Class::Duty, &closed)).unwrap();
    let mut jobs = Vec::new();
    assert!(queue.take(&mut jobs));
    queue.push(weighing(1, Class::Ingest, &closed)).unwrap();
    queue.abandon();
    assert_eq!(closed.load(Ordering::SeqCst), 1);
    drop(jobs);
    assert_eq!(closed.load(Ordering::SeqCst), 3);
    assert_eq!(queue.push(weighing(1, Class::Duty, &closed)), Err(SubmitError::Closed));
    assert!(!queue.take(&mut Vec::new()));
    // A refused job is not answered: its sender has the error.
    assert_eq!(closed.load(Ordering::SeqCst), 3);
}

#[test]
fn a_draining_queue_takes_calls_and_no_submissions() {
    let queue = Queue::default();
    queue.drain();
    assert_eq!(queue.push(weighing(1, Class::Duty, &Arc::default())), Err(SubmitError::Closed));
    queue.push(Job::Call(Box::new(|_| {}))).unwrap();
    assert!(queue.is_closed());
}

fn known<'a>(dedupe: &'a Dedupe, leaf: &'a dyn Fn(u64) -> Result<Hash, CommitError>) -> Known<'a> {
    Known { dedupe, class: Class::Ingest, leaf, erased: &|index| index == 1 }
}

#[test]
fn a_group_gives_indexes_in_order_and_tells_all_kinds_of_repeats() {
    let bench = Bench::new();
    let dedupe = Dedupe::open(bench.path(), vec![], &bench.keys, 1 << 20).unwrap();
    dedupe.insert(0, bench.batch(0..3).identities());
    let leaf = |index: u64| Ok([u8::try_from(index).unwrap(); 32]);
    let mut group = Group::new(3);
    let first = group.add(vec![bench.batch([5, 0, 6, 1, 5])], &known(&dedupe, &leaf)).unwrap();
    let expected = [(3, Status::Stored), (0, Status::Duplicate), (4, Status::Stored), (1, Status::Erased), (3, Status::Duplicate)];
    assert_eq!(first.iter().map(|outcome| (outcome.index, outcome.status)).collect::<Vec<_>>(), expected);
    assert_eq!((first[1].leaf_hash, first[4].leaf_hash), ([0; 32], first[0].leaf_hash));
    let second = group.add(vec![bench.batch([6]), bench.batch([7])], &known(&dedupe, &leaf)).unwrap();
    assert_eq!(second.iter().map(|outcome| outcome.index).collect::<Vec<_>>(), [4, 5]);
    let placed: Vec<(u64, usize)> = group.placed.iter().map(|placed| (placed.first_index, placed.batch.len())).collect();
    assert_eq!(placed, [(3, 2), (5, 1)]);
}

#[test]
fn after_an_erasure_no_answer_tells_equal_content_from_other() {
    let bench = Bench::new();
    let dedupe = Dedupe::open(bench.path(), vec![], &bench.keys, 1 << 20).unwrap();
    dedupe.insert(0, bench.batch(0..3).identities());
    let leaf = |_: u64| Ok([0; 32]);
    let status = |number: u64, id: &str| {
        let json = crate::testing::clinic(number);
        let event = recall_log::event::Event::parse(json.as_bytes()).unwrap();
        let mut batch = bench.encoder.batch().unwrap();
        batch.push(&event, &crate::testing::admission(number, id)).unwrap();
        Group::new(3).add(vec![batch.finish().unwrap()], &known(&dedupe, &leaf)).unwrap()[0].status
    };
    assert_eq!((status(1, "event-1"), status(9, "event-1")), (Status::Erased, Status::Erased));
    assert_eq!((status(2, "event-2"), status(9, "event-2")), (Status::Duplicate, Status::Conflict));
}

#[test]
fn a_submission_that_fails_leaves_the_group_as_it_was() {
    let bench = Bench::new();
    let dedupe = Dedupe::open(bench.path(), vec![], &bench.keys, 1 << 20).unwrap();
    dedupe.insert(0, bench.batch(0..1).identities());
    let fails = |_| Err(CommitError::Failed("no tile".to_owned()));
    let mut group = Group::new(1);
    group.add(vec![bench.batch([1])], &known(&dedupe, &fails)).unwrap();
    group.add(vec![bench.batch([2, 3]), bench.batch([4, 0])], &known(&dedupe, &fails)).unwrap_err();
    assert_eq!(group.placed.len(), 1);
    let outcomes = group.add(vec![bench.batch([4, 3])], &known(&dedupe, &fails)).unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.status == Status::Stored));
    assert_eq!(outcomes[0].index, 2);
}

#[test]
fn where_repeats_cannot_be_told_only_records_whose_ids_were_made_here_are_taken() {
    let bench = Bench::new();
    let dedupe = Dedupe::open(bench.path(), vec![], &bench.keys, 1 << 20).unwrap();
    dedupe.insert(0, bench.batch(0..1).identities());
    dedupe.lose(Lost { range: 0..1, what: "its run is missing".to_owned(), for_good: false });
    let leaf = |_| Ok([0; 32]);
    let mut group = Group::new(1);
    assert!(matches!(group.add(vec![bench.batch([1])], &known(&dedupe, &leaf)), Err(CommitError::Repeats(_))));
    assert_eq!(group.add(vec![bench.batch([0])], &known(&dedupe, &leaf)).unwrap()[0].status, Status::Duplicate);
    for (class, index) in [(Class::Duty, 1), (Class::Gateway, 2)] {
        let own = Known { class, ..known(&dedupe, &leaf) };
        assert_eq!(group.add(vec![bench.batch([index])], &own).unwrap()[0].index, index);
    }
}

#[test]
fn small_submissions_of_one_commit_become_one_batch_with_every_index_kept() {
    let bench = Bench::new();
    let dedupe = Dedupe::open(bench.path(), vec![], &bench.keys, 1 << 20).unwrap();
    dedupe.insert(0, bench.batch(0..3).identities());
    let leaf = |_| Ok([9; 32]);
    let fails = |_| Err(CommitError::Failed("no tile".to_owned()));
    let mut group = Group::new(3);
    let mut indexes = Vec::new();
    // A repeat of before, one of the same submission, one of another: none of them takes an index.
    for numbers in [vec![10], vec![11, 1, 12, 11], vec![12], vec![13, 10]] {
        let outcomes = group.add(vec![bench.batch(numbers)], &known(&dedupe, &leaf)).unwrap();
        indexes.push(outcomes.iter().map(|outcome| outcome.index).collect::<Vec<_>>());
    }
    // One that fails in the middle leaves nothing behind.
    group.add(vec![bench.batch([14]), bench.batch([15, 0])], &known(&dedupe, &fails)).unwrap_err();
    let mark = group.mark();
    group.add(vec![bench.batch([16])], &known(&dedupe, &leaf)).unwrap();
    group.undo(&mark);
    let last = group.add(vec![bench.batch([17, 14])], &known(&dedupe, &leaf)).unwrap();
    indexes.push(last.iter().map(|outcome| outcome.index).collect());
    assert_eq!(indexes, [vec![3], vec![4, 1, 5, 4], vec![5], vec![6, 3], vec![7, 8]]);

    let merged = Group::merge(group.placed, &mut crate::batch::Packer::default()).unwrap();
    let [Placed { first_index: 3, batch, .. }] = &merged[..] else { panic!("{} batches", merged.len()) };
    let whole = bench.batch([10, 11, 12, 13, 17, 14]);
    assert_eq!(batch.identities(), whole.identities());
}

#[test]
fn large_batches_between_small_ones_keep_their_indexes() {
    let bench = Bench::new();
    let dedupe = Dedupe::open(bench.path(), vec![], &bench.keys, 1 << 20).unwrap();
    let leaf = |_| Ok([9; 32]);
    let mut group = Group::new(7);
    for numbers in [0..1, 1..2, 2..302, 302..303, 303..305] {
        group.add(vec![bench.batch(numbers)], &known(&dedupe, &leaf)).unwrap();
    }
    let merged = Group::merge(group.placed, &mut crate::batch::Packer::default()).unwrap();
    let placed: Vec<(u64, usize)> = merged.iter().map(|placed| (placed.first_index, placed.batch.len())).collect();
    assert_eq!(placed, [(7, 2), (9, 300), (309, 3)]);
}
