#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::{Expr, col, in_list, lit};
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;

use super::*;
use crate::columns;
use crate::exec::EventsExec;
use crate::testing::{CLINIC, EVENTS, USERS};

/// Takes so many batches.
struct Taker {
    left: usize,
    indexes: Vec<i64>,
}

impl Sink for Taker {
    fn take(&mut self, batch: RecordBatch) -> bool {
        self.indexes.extend(batch.column(0).as_primitive::<Int64Type>().values());
        self.left -= 1;
        self.left > 0
    }

    fn is_closed(&self) -> bool {
        self.left == 0
    }
}

fn question(filters: &[Expr]) -> Arc<Question> {
    let schema = Arc::new(columns::schema().project(&[0]).unwrap());
    Arc::new(Question::new(schema, filters, true, &ExecutionProps::new()).unwrap())
}

fn read(order: Order, share: (usize, usize), left: usize, filters: &[Expr]) -> (Vec<i64>, u64) {
    fetched(order, share, left, filters, None)
}

fn fetched(order: Order, share: (usize, usize), left: usize, filters: &[Expr], fetch: Option<usize>) -> (Vec<i64>, u64) {
    let view = CLINIC.0.view();
    let mut taker = Taker { left, indexes: Vec::new() };
    Reading { view: view.clone(), question: question(filters), order, share, fetch }.run(&mut taker).unwrap();
    (taker.indexes, view.meter.rows())
}

#[test]
fn every_order_gives_every_row_once() {
    let all: Vec<i64> = (0..EVENTS as i64).collect();
    assert_eq!(read(Order::OldestFirst, (0, 1), usize::MAX, &[]).0, all);
    assert_eq!(read(Order::NewestFirst, (0, 1), usize::MAX, &[]).0, all.iter().rev().copied().collect::<Vec<_>>());
    for fetch in [None, Some(usize::MAX)] {
        let mut shared: Vec<i64> = (0..3).flat_map(|share| fetched(Order::Any, (share, 3), usize::MAX, &[], fetch).0).collect();
        shared.sort_unstable();
        assert_eq!(shared, all);
    }
}

#[test]
fn spans_of_the_index_are_cut_out_before_reading() {
    let (found, read) = read(Order::NewestFirst, (0, 1), usize::MAX, &[col("index").between(lit(100_i64), lit(163_i64))]);
    assert_eq!(found, (100..164).rev().collect::<Vec<_>>());
    assert_eq!(read, 64);
}

#[test]
fn reading_ends_with_its_sink() {
    let (found, read) = read(Order::NewestFirst, (0, 1), 1, &[]);
    assert!(!found.is_empty() && read < EVENTS, "{read} rows were read");
}

#[tokio::test]
async fn dropping_the_stream_ends_the_reading() {
    let view = CLINIC.0.view();
    let users = in_list(col("actor"), USERS.iter().map(|user| lit(*user)).collect(), false);
    let all = read(Order::NewestFirst, (0, 1), usize::MAX, std::slice::from_ref(&users)).1;
    let question = question(&[users]);
    let plan = EventsExec::new(view.clone(), Arc::clone(&question), None, 1).ordered(Order::NewestFirst);
    let mut stream = plan.execute(0, Arc::default()).unwrap();
    assert!(stream.next().await.is_some());
    drop(stream);
    // The reader holds the question as the plan and this test do; it lets go when it ends.
    while Arc::strong_count(&question) > 2 {
        tokio::task::yield_now().await;
    }
    assert!(view.meter.rows() < all, "{} of {all} rows were read", view.meter.rows());
}
