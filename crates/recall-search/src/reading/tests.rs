#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::{Expr, col, in_list, lit};
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;

use super::*;
use crate::columns;
use crate::exec::EventsExec;
use crate::testing::{CLINIC, Clinic, EVENTS, USERS, event};
use crate::turns::Turns;

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

    fn closed(&self) -> Closed {
        Arc::new(|| false)
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

/// Takes all, and weighs it.
#[derive(Default)]
struct Scales {
    rows: Vec<usize>,
    bytes: Vec<usize>,
}

impl Sink for Scales {
    fn take(&mut self, batch: RecordBatch) -> bool {
        self.rows.push(batch.num_rows());
        self.bytes.push(size_bytes(&batch));
        true
    }

    fn is_closed(&self) -> bool {
        false
    }

    fn closed(&self) -> Closed {
        Arc::new(|| false)
    }
}

/// Takes all, and is closed once it was asked so often.
#[derive(Clone)]
struct Patience {
    left: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
}

impl Patience {
    fn new(left: usize) -> Self {
        Self { left: Arc::new(AtomicUsize::new(left)), asked: Arc::default() }
    }

    fn spent(&self) -> bool {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err()
    }
}

impl Sink for Patience {
    fn take(&mut self, _: RecordBatch) -> bool {
        true
    }

    fn is_closed(&self) -> bool {
        self.spent()
    }

    fn closed(&self) -> Closed {
        let own = self.clone();
        Arc::new(move || own.spent())
    }
}

#[test]
fn filters_that_may_take_long_look_up_often() {
    let pattern = |column: &str| col(column).like(lit("%nothing%of%the%kind%"));
    for filter in [pattern("ip"), pattern("action")] {
        let run = |patience: &Patience| {
            let share = (0, 1);
            let reading =
                Reading { view: CLINIC.0.view(), question: question(std::slice::from_ref(&filter)), order: Order::Any, share, fetch: None };
            reading.run(&mut patience.clone())
        };
        let whole = Patience::new(usize::MAX);
        run(&whole).unwrap();
        let asked = whole.asked.load(Ordering::SeqCst);
        assert!(asked >= EVENTS as usize / 512, "{asked} times for {filter}");
        // Whoever asks next is told the same, and so nothing more than the step that was under way is done.
        let short = Patience::new(asked / 2);
        let _ = run(&short);
        let more = short.asked.load(Ordering::SeqCst) - asked / 2;
        assert!(more <= 2, "{more} steps for {filter}");
    }
}

#[test]
fn batches_are_bounded_by_bytes_where_events_are_large() {
    let clinic = Clinic::new();
    let large = |n: u64| {
        let mut event = event(n);
        event["changes"] = (0..1_000).map(|at| serde_json::json!({"path": format!("p{at}"), "before": "x".repeat(900)})).collect();
        event
    };
    for start in [0, 24] {
        clinic.store(&(start..start + 24).map(|n| large(2 * n)).collect::<Vec<_>>());
    }
    let schema = Arc::new(columns::schema().project(&[columns::schema().index_of("event").unwrap()]).unwrap());
    for order in [Order::Any, Order::OldestFirst, Order::NewestFirst] {
        for filters in [vec![], vec![in_list(col("actor_type"), vec![lit("user"), lit("service"), lit("patient")], false)]] {
            let question = Arc::new(Question::new(Arc::clone(&schema), &filters, true, &ExecutionProps::new()).unwrap());
            let mut scales = Scales::default();
            Reading { view: clinic.view(), question, order, share: (0, 1), fetch: None }.run(&mut scales).unwrap();
            assert_eq!(scales.rows.iter().sum::<usize>(), 48);
            assert!(scales.bytes.iter().sum::<usize>() > 40 << 20);
            assert!(scales.bytes.iter().all(|bytes| *bytes < WINDOW_BYTES + (2 << 20)), "{order:?}: {:?}", scales.bytes);
        }
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
    let turn = Turns::new(1).next(std::time::Duration::MAX).await.unwrap();
    let plan = EventsExec::new(view.clone(), Arc::clone(&question), None, 1, turn).ordered(Order::NewestFirst);
    let mut stream = plan.execute(0, Arc::default()).unwrap();
    assert!(stream.next().await.is_some());
    drop(stream);
    // The reader holds the question as the plan and this test do; it lets go when it ends.
    while Arc::strong_count(&question) > 2 {
        tokio::task::yield_now().await;
    }
    assert!(view.meter.rows() < all, "{} of {all} rows were read", view.meter.rows());
}
