//! The one table, `events`, over a pinned view: what the engine plans against.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;

use crate::columns;
use crate::exec::EventsExec;
use crate::question::Question;
use crate::reading::lost;
use crate::turns::Turn;
use crate::view::View;

/// The table over one view.
#[derive(Debug)]
pub struct EventsTable {
    view: View,
    turn: Turn,
}

impl EventsTable {
    /// The table over `view`, read within `turn`.
    #[must_use]
    pub fn new(view: View, turn: Turn) -> Self {
        Self { view, turn }
    }
}

#[async_trait]
impl TableProvider for EventsTable {
    fn schema(&self) -> SchemaRef {
        columns::schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(wanted) => Arc::new(columns::schema().project(wanted)?),
            None => columns::schema(),
        };
        let question = Question::new(schema, filters, self.view.phi.is_some(), state.execution_props())?;
        // A count may be known without a scan; what was lost is not in it.
        let lost = self.view.snapshot.parts().iter().filter_map(|part| lost(part, question.access.index));
        lost.for_each(|lost| self.view.meter.damage(lost));
        // A lookup is done once, not once for each share.
        let partitions = if question.access.lookup.is_some() { 1 } else { state.config().target_partitions() };
        Ok(Arc::new(EventsExec::new(self.view.clone(), Arc::new(question), limit, partitions, Arc::clone(&self.turn))))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        filters
            .iter()
            .map(|filter| {
                let nested = filter.exists(|node| {
                    Ok(matches!(
                        node,
                        Expr::ScalarSubquery(_)
                            | Expr::Exists(_)
                            | Expr::InSubquery(_)
                            | Expr::SetComparison(_)
                            | Expr::OuterReferenceColumn(..)
                    ))
                })?;
                Ok(if nested { TableProviderFilterPushDown::Unsupported } else { TableProviderFilterPushDown::Exact })
            })
            .collect()
    }
}
