//! The plan node that reads events: the seam between the engine and [`crate::reading`].
//!
//! It takes a sort by index and a limit upon itself, so that the engine neither sorts nor reads on. Reading blocks, and so it runs on
//! the runtime's threads for blocking work; when the stream is dropped, the next batch finds nobody and reading ends.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::SortOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SortOrderPushdownResult};
use recall_store::snapshot::Part;
use tokio::sync::mpsc::Sender;

use crate::question::{Closed, Question};
use crate::reading::{Order, Reading, Sink};
use crate::turns::Turn;
use crate::view::View;

/// Batches that wait between reader and engine, per partition.
const WAITING_BATCHES: usize = 1;

/// Reads events for one question.
#[derive(Clone, Debug)]
pub struct EventsExec {
    view: View,
    question: Arc<Question>,
    order: Order,
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
    turn: Turn,
}

impl EventsExec {
    /// A node without order that reads in `partitions` at once. Its readers keep the turn.
    #[must_use]
    pub fn new(view: View, question: Arc<Question>, fetch: Option<usize>, partitions: usize, turn: Turn) -> Self {
        let properties = Arc::new(properties(&question, None, partitions));
        Self { view, question, order: Order::Any, fetch, properties, turn }
    }

    /// The same rows by index, in one partition.
    #[must_use]
    pub fn ordered(&self, order: Order) -> Self {
        let descending = match order {
            Order::Any => None,
            Order::OldestFirst => Some(false),
            Order::NewestFirst => Some(true),
        };
        let properties = Arc::new(properties(&self.question, descending, 1));
        Self { order, properties, ..self.clone() }
    }
}

fn properties(question: &Question, descending: Option<bool>, partitions: usize) -> PlanProperties {
    let schema = Arc::clone(&question.schema);
    let index = descending.zip(schema.index_of("index").ok()).map(|(descending, at)| {
        let options = SortOptions { descending, nulls_first: descending };
        vec![PhysicalSortExpr::new(Arc::new(Column::new("index", at)), options)]
    });
    let equivalence = EquivalenceProperties::new_with_orderings(schema, index);
    PlanProperties::new(equivalence, Partitioning::UnknownPartitioning(partitions), EmissionType::Incremental, Boundedness::Bounded)
}

impl DisplayAs for EventsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventsExec: order={:?}", self.order)?;
        if let Some(fetch) = self.fetch {
            write!(f, ", fetch={fetch}")?;
        }
        if let Some(lookup) = &self.question.access.lookup {
            write!(f, ", postings={lookup:?}")?;
        }
        Ok(())
    }
}

impl ExecutionPlan for EventsExec {
    fn name(&self) -> &'static str {
        "EventsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>, _: ReplaceChildrenOptions) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let partitions = self.properties.output_partitioning().partition_count();
        let reading = Reading {
            view: self.view.clone(),
            question: Arc::clone(&self.question),
            order: self.order,
            share: (partition, partitions),
            fetch: self.fetch,
        };
        let mut stream = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.question.schema), WAITING_BATCHES);
        let mut sink = Channel(stream.tx());
        let turn = Arc::clone(&self.turn);
        stream.spawn_blocking(move || {
            let _turn = turn;
            reading.run(&mut sink)
        });
        Ok(stream.build())
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], args: &datafusion::physical_plan::StatisticsArgs) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.question.schema);
        if self.question.unfiltered && self.fetch.is_none() && args.partition().is_none() {
            let whole = self.view.snapshot.parts().iter().filter(|part| !matches!(part, Part::Erased(_)));
            let count: u64 = whole.map(|part| u64::from(part.count())).sum();
            statistics = statistics.with_num_rows(usize::try_from(count).map_or(Precision::Absent, Precision::Exact));
        }
        Ok(Arc::new(statistics))
    }

    fn supports_limit_pushdown(&self) -> bool {
        false
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    fn with_fetch(&self, fetch: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self { fetch, ..self.clone() }))
    }

    fn try_pushdown_sort(&self, order: &[PhysicalSortExpr]) -> Result<SortOrderPushdownResult<Arc<dyn ExecutionPlan>>> {
        let first = order.first().and_then(|sort| sort.expr.downcast_ref::<Column>().map(|column| (column.name(), sort.options)));
        // Indexes are distinct and never null: what follows the index in a sort decides nothing.
        let Some(("index", options)) = first else {
            return Ok(SortOrderPushdownResult::Unsupported);
        };
        let order = if options.descending { Order::NewestFirst } else { Order::OldestFirst };
        Ok(SortOrderPushdownResult::Exact { inner: Arc::new(self.ordered(order)) })
    }
}

/// The sending end of the stream.
struct Channel(Sender<Result<RecordBatch, DataFusionError>>);

impl Sink for Channel {
    fn take(&mut self, batch: RecordBatch) -> bool {
        self.0.blocking_send(Ok(batch)).is_ok()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn closed(&self) -> Closed {
        let sender = self.0.clone();
        Arc::new(move || sender.is_closed())
    }
}
