//! Counting by one text column of few values: `SELECT action, count(*) … GROUP BY action` without hashing a text for each row.
//!
//! Rows come with keys into a dictionary; a counter for each key is raised, and counters of equal values are added up. The node stands in
//! place of the engine's partial aggregation and gives what that gives, so that whatever is above it stays as it is.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int32Type, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, TryStreamExt, stream};

use crate::exec::EventsExec;

/// Puts [`CountExec`] wherever it can stand.
#[derive(Debug)]
pub struct CountByKey;

impl PhysicalOptimizerRule for CountByKey {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            Ok(match CountExec::in_place_of(&node) {
                Some(count) => Transformed::yes(Arc::new(count) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "count_by_key"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Counts the rows of each value of one column, in each partition.
#[derive(Debug)]
struct CountExec {
    input: Arc<dyn ExecutionPlan>,
    /// Where the column stands in the input.
    column: usize,
    properties: Arc<PlanProperties>,
}

impl CountExec {
    fn in_place_of(node: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        let aggregate = node.downcast_ref::<AggregateExec>()?;
        let input = aggregate.input();
        let events = input.downcast_ref::<EventsExec>()?;
        let one = events.properties().output_partitioning().partition_count() == 1;
        let good = matches!(aggregate.mode(), AggregateMode::Partial) || (matches!(aggregate.mode(), AggregateMode::Single) && one);
        let [(group, _)] = aggregate.group_expr().expr() else { return None };
        let column = group.downcast_ref::<Column>()?.index();
        let ([count], [None]) = (aggregate.aggr_expr(), aggregate.filter_expr()) else { return None };
        let all_rows = match count.expressions().as_slice() {
            [only] => only.downcast_ref::<Literal>().is_some_and(|literal| !literal.value().is_null()),
            _ => false,
        };
        let plain = count.fun().name() == "count" && !count.is_distinct() && count.order_bys().is_empty() && all_rows;
        let limited = aggregate.limit_options().is_some() || !aggregate.dynamic_expressions_produced().is_empty();
        let grouping_sets = aggregate.group_expr().has_grouping_set();
        let schema = node.schema();
        let [key, number] = schema.fields().as_ref() else { return None };
        let typed = *key.data_type() == dictionary() && *number.data_type() == DataType::Int64;
        let wanted = good && plain && typed && !limited && !grouping_sets;
        wanted.then(|| Self { input: Arc::clone(input), column, properties: Arc::clone(node.properties()) })
    }
}

fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

impl DisplayAs for CountExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CountExec")
    }
}

impl ExecutionPlan for CountExec {
    fn name(&self) -> &'static str {
        "CountExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.over(children)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.over(children)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut counts = Counts::new(MemoryConsumer::new("CountExec").register(context.memory_pool()));
        let mut input = self.input.execute(partition, context)?;
        let (schema, column) = (self.schema(), self.column);
        let counted = async move {
            while let Some(batch) = input.next().await {
                counts.add(&batch?, column)?;
            }
            Ok::<_, DataFusionError>(stream::iter(counts.finish(&schema)?.map(Ok)))
        };
        let stream = stream::once(counted).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), stream)))
    }
}

impl CountExec {
    fn over(&self, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return Err(DataFusionError::Internal("a count has one input".to_owned()));
        };
        Ok(Arc::new(Self { input, column: self.column, properties: Arc::clone(&self.properties) }))
    }
}

/// Rows counted so far.
struct Counts {
    by_value: HashMap<Box<str>, i64>,
    nulls: i64,
    /// The dictionary of the last batches, and its counters: neighbours share one.
    open: Option<(StringArray, Vec<i64>)>,
    memory: MemoryReservation,
}

/// What the table spends on a value beside its text.
const ENTRY_BYTES: usize = 48;

impl Counts {
    fn new(memory: MemoryReservation) -> Self {
        Self { by_value: HashMap::new(), nulls: 0, open: None, memory }
    }

    fn add(&mut self, batch: &RecordBatch, column: usize) -> Result<()> {
        let keyed = batch.columns().get(column).and_then(|column| column.as_dictionary_opt::<Int32Type>());
        let keyed = keyed.ok_or_else(|| wrong("the column that is counted is no dictionary"))?;
        let values = keyed.values().as_string_opt::<i32>().ok_or_else(|| wrong("the dictionary that is counted holds no text"))?;
        if !self.open.as_ref().is_some_and(|(open, _)| same(open, values)) {
            self.close()?;
            self.open = Some((values.clone(), vec![0; values.len()]));
        }
        let Some((_, counters)) = &mut self.open else {
            return Ok(());
        };
        let keys = keyed.keys();
        let mut outside = 0;
        let mut raise = |key: i32| match usize::try_from(key).ok().and_then(|key| counters.get_mut(key)) {
            Some(counter) => *counter += 1,
            None => outside += 1,
        };
        if keys.null_count() == 0 {
            keys.values().iter().for_each(|key| raise(*key));
        } else {
            keys.iter().flatten().for_each(raise);
            self.nulls += i64::try_from(keys.null_count()).unwrap_or(i64::MAX);
        }
        if outside == 0 { Ok(()) } else { Err(wrong("a key lies outside its dictionary")) }
    }

    /// Adds up the counters of the open dictionary by their values.
    fn close(&mut self) -> Result<()> {
        let Some((values, counters)) = self.open.take() else {
            return Ok(());
        };
        for (value, count) in values.iter().zip(counters).filter(|(_, count)| *count > 0) {
            match value {
                None => self.nulls += count,
                Some(value) => match self.by_value.get_mut(value) {
                    Some(sum) => *sum += count,
                    None => {
                        self.memory.try_grow(value.len() + ENTRY_BYTES)?;
                        self.by_value.insert(value.into(), count);
                    }
                },
            }
        }
        Ok(())
    }

    /// A row for each value, and one for null if there is any; none where no row was counted.
    fn finish(mut self, schema: &SchemaRef) -> Result<Option<RecordBatch>> {
        self.close()?;
        let nulls = Some((None, self.nulls)).filter(|(_, count)| *count > 0);
        let values = self.by_value.iter().map(|(value, count)| (Some(&**value), *count));
        let (values, counts): (Vec<Option<&str>>, Vec<i64>) = values.chain(nulls).unzip();
        if values.is_empty() {
            return Ok(None);
        }
        let keys: DictionaryArray<Int32Type> = values.into_iter().collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(Int64Array::from(counts))];
        Ok(Some(RecordBatch::try_new(Arc::clone(schema), columns)?))
    }
}

/// Whether two dictionaries are one in memory.
fn same(a: &StringArray, b: &StringArray) -> bool {
    a.len() == b.len()
        && std::ptr::eq(a.value_data().as_ptr(), b.value_data().as_ptr())
        && std::ptr::eq(a.value_offsets().as_ptr(), b.value_offsets().as_ptr())
}

fn wrong(what: &str) -> DataFusionError {
    DataFusionError::Internal(what.to_owned())
}

#[cfg(test)]
mod tests;
