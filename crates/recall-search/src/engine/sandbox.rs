//! What an SQL statement may be: one SELECT over `events`, of bounded size, calling functions that are on a list.
//!
//! No file, no network, no catalog, no setting can be named. Sorting and joining have a memory limit and no disk to spill to, since a
//! spill file would hold events in the clear.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider, SchemaProvider,
};
use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, TableReference};
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{Expr as SqlExpr, Query, Statement as SqlStatement, TableFactor, Visit, Visitor};

use super::Limits;
use super::cost::Costs;
use super::sql::SqlError;
use crate::columns::PATIENTS;
use crate::compile::NotAllowed;
use crate::counting::CountByKey;
use crate::functions::{EVENT_VALUE, HAS_PATIENT, MENTIONS};
use crate::table::EventsTable;
use crate::turns::Turn;
use crate::view::View;

/// Bytes of a statement.
pub const MAX_STATEMENT_BYTES: usize = 64 << 10;
/// Expressions within one another.
const MAX_DEPTH: usize = 50;
/// SELECTs of a statement, those of WITH included. A WITH that is used twice doubles what it stands for, and so this is small.
const MAX_SELECTS: usize = 16;
/// Tables of a statement; `events` counts each time. Each is read by as many threads as a statement has partitions, all at once.
pub const MAX_TABLES: usize = 4;
/// Nodes of the plan before it is optimised.
const MAX_PLAN_NODES: usize = 256;
/// Function calls and arithmetic of a statement, counted where they would stand after every WITH is put in its place.
const MAX_OPERATIONS: u64 = 2_000;

/// Functions that neither grow a text nor reach outside. They take as long as their input is long; patterns and formats, which could take
/// longer or grow, have limits of their own in [`super::cost`].
const FUNCTIONS: &[&str] = &[
    "arrow_typeof",
    "ascii",
    "bit_length",
    "btrim",
    "character_length",
    "coalesce",
    "contains",
    "current_date",
    "current_time",
    "date_bin",
    "date_part",
    "date_trunc",
    "ends_with",
    "find_in_set",
    "from_unixtime",
    "greatest",
    "initcap",
    "least",
    "left",
    "lower",
    "ltrim",
    "make_date",
    "now",
    "nullif",
    "nvl",
    "nvl2",
    "octet_length",
    "regexp_count",
    "regexp_instr",
    "regexp_like",
    "reverse",
    "right",
    "rtrim",
    "split_part",
    "starts_with",
    "strpos",
    "substr",
    "substr_index",
    "to_char",
    "to_date",
    "to_local_time",
    "to_timestamp",
    "to_timestamp_micros",
    "to_timestamp_millis",
    "to_timestamp_seconds",
    "to_unixtime",
    "translate",
    "upper",
];

/// Plans statements.
pub struct Sandbox {
    config: SessionConfig,
    memory_bytes: usize,
    template: SessionState,
}

impl Sandbox {
    /// A sandbox whose statements have a memory limit each: what one is told of memory depends on no other.
    pub fn new(limits: &Limits) -> Result<Self> {
        let mut config = SessionConfig::new()
            .with_target_partitions(limits.sql_partitions.max(1))
            .with_batch_size(1_024)
            .with_information_schema(false)
            .with_create_default_catalog_and_schema(false)
            .with_default_catalog_and_schema("recall", "public");
        let options = config.options_mut();
        options.execution.enable_recursive_ctes = false;
        options.sql_parser.collect_spans = true;
        options.sql_parser.recursion_limit = ConfigNonZeroUsize::try_new(MAX_DEPTH)?;
        let memory_bytes = limits.sql_memory_bytes;
        let mut scalar = SessionStateDefaults::default_scalar_functions();
        scalar.retain(|function| FUNCTIONS.contains(&function.name()));
        scalar.extend([Arc::clone(&HAS_PATIENT), Arc::clone(&MENTIONS), Arc::clone(&EVENT_VALUE)]);
        let template = SessionStateBuilder::new()
            .with_config(config.clone())
            .with_runtime_env(runtime(memory_bytes)?)
            .with_expr_planners(SessionStateDefaults::default_expr_planners())
            .with_scalar_functions(scalar)
            .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
            .with_window_functions(SessionStateDefaults::default_window_functions())
            .with_physical_optimizer_rule(Arc::new(CountByKey))
            .build();
        Ok(Self { config, memory_bytes, template })
    }

    /// A state in which `events` is the one table, over `view`, read within `turn`.
    pub fn state(&self, view: &View, turn: Turn) -> Result<SessionState> {
        let schema = Arc::new(MemorySchemaProvider::new());
        schema.register_table("events".to_owned(), Arc::new(EventsTable::new(view.clone(), turn)))?;
        let catalog = Arc::new(MemoryCatalogProvider::new());
        catalog.register_schema("public", schema)?;
        let catalogs = Arc::new(MemoryCatalogProviderList::new());
        catalogs.register_catalog("recall".to_owned(), catalog);
        let state = SessionStateBuilder::new_from_existing(self.template.clone());
        Ok(state.with_config(self.config.clone()).with_runtime_env(runtime(self.memory_bytes)?).with_catalog_list(catalogs).build())
    }
}

/// Memory up to a limit, and no disk.
fn runtime(memory_bytes: usize) -> Result<Arc<RuntimeEnv>> {
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory_bytes)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()
}

/// The one statement of `sql`, if it is one that may be asked.
pub fn read(sql: &str) -> Result<Statement, SqlError> {
    if sql.len() > MAX_STATEMENT_BYTES {
        return Err(SqlError::TooLong);
    }
    let parsed = DFParserBuilder::new(sql).with_recursion_limit(MAX_DEPTH).build().and_then(|mut parser| parser.parse_statements());
    let mut statements = parsed.map_err(|error| SqlError::syntax(&error))?;
    let (Some(statement), true) = (statements.pop_front(), statements.is_empty()) else {
        return Err(SqlError::NotOne);
    };
    let inner = match &statement {
        Statement::Explain(explain) if explain.options.analyze => return Err(SqlError::NotSelect),
        Statement::Explain(explain) => explain.statement.as_ref(),
        other => other,
    };
    let Statement::Statement(select) = inner else {
        return Err(SqlError::NotSelect);
    };
    if !matches!(select.as_ref(), SqlStatement::Query(_)) {
        return Err(SqlError::NotSelect);
    }
    let mut shape = Shape { selects: 0 };
    match select.visit(&mut shape) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(statement),
    }
}

/// Looks at the shape of a statement.
struct Shape {
    selects: usize,
}

impl Visitor for Shape {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<SqlError> {
        self.selects += 1 + query.with.as_ref().map_or(0, |with| with.cte_tables.len());
        if self.selects > MAX_SELECTS { ControlFlow::Break(SqlError::TooComplex) } else { ControlFlow::Continue(()) }
    }

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<SqlError> {
        match table {
            TableFactor::Table { args: None, .. } | TableFactor::Derived { .. } | TableFactor::NestedJoin { .. } => {
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Break(SqlError::OnlyEvents),
        }
    }

    fn pre_visit_expr(&mut self, expr: &SqlExpr) -> ControlFlow<SqlError> {
        match expr {
            // Text that grows by being joined to itself has no bound that a memory limit would see.
            SqlExpr::BinaryOp { op: datafusion::sql::sqlparser::ast::BinaryOperator::StringConcat, .. } => {
                ControlFlow::Break(SqlError::Concat)
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Whether all tables that a statement names are `events`.
pub fn only_events(references: &[TableReference]) -> Result<(), SqlError> {
    let good = |table: &TableReference| matches!(table, TableReference::Bare { table } if table.as_ref() == "events");
    if references.iter().all(good) { Ok(()) } else { Err(SqlError::OnlyEvents) }
}

/// Whether a plan reads only, and is small enough to be optimised.
pub fn check(plan: &LogicalPlan) -> Result<(), SqlError> {
    let (mut nodes, mut tables) = (0, 0);
    let mut costs = Costs::default();
    let mut refused = None;
    let walked = plan.apply_with_subqueries(|node| {
        nodes += 1;
        tables += usize::from(matches!(node, LogicalPlan::TableScan(_)));
        refused = match (nodes > MAX_PLAN_NODES, tables > MAX_TABLES) {
            (true, _) => Some(SqlError::TooComplex),
            (_, true) => Some(SqlError::TooManyTables),
            _ => refusal(node).or_else(|| costs.add(node).err()),
        };
        Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    match refused {
        Some(error) => Err(error),
        None if walked.is_err() || operations(plan, MAX_PLAN_NODES) > MAX_OPERATIONS => Err(SqlError::TooComplex),
        None => Ok(()),
    }
}

/// Why a node of a plan is not run, if so.
fn refusal(node: &LogicalPlan) -> Option<SqlError> {
    match node {
        LogicalPlan::Ddl(_) | LogicalPlan::Dml(_) | LogicalPlan::Copy(_) | LogicalPlan::Statement(_) | LogicalPlan::Analyze(_) => {
            Some(SqlError::TooComplex)
        }
        // It holds all of its input at once, and no memory limit sees it.
        LogicalPlan::Window(_) => Some(SqlError::Window),
        _ => None,
    }
}

/// Whether a plan computes nothing with `patients`: to a reader without a right to PHI it is null, and a condition on it would only seem to
/// find nothing.
pub fn no_phi(plan: &LogicalPlan) -> Result<(), SqlError> {
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            let shown = matches!((node, expr), (LogicalPlan::Projection(_), Expr::Column(_)));
            let asked = expr.exists(|inner| {
                Ok(match inner {
                    Expr::Column(column) | Expr::OuterReferenceColumn(_, column) => !shown && column.name == PATIENTS,
                    Expr::ScalarFunction(call) => call.func.name() == HAS_PATIENT.name(),
                    _ => false,
                })
            })?;
            if asked { Err(DataFusionError::Internal(String::new())) } else { Ok(TreeNodeRecursion::Continue) }
        })
    });
    walked.map(drop).map_err(|_| SqlError::NotAllowed(NotAllowed { field: PATIENTS.to_owned() }))
}

/// How large a plan's largest expression gets when every column is replaced by the expression that makes it.
fn operations(plan: &LogicalPlan, depth: usize) -> u64 {
    let Some(depth) = depth.checked_sub(1) else {
        return u64::MAX;
    };
    let below = plan.inputs().into_iter().map(|input| operations(input, depth)).max().unwrap_or(1);
    let mut most: u64 = 0;
    let mut total: u64 = 0;
    // The closures never fail, and so neither do the walks.
    let _ = plan.apply_expressions(|expr| {
        let mut columns: u64 = 0;
        let mut others: u64 = 0;
        let _ = expr.apply(|node| {
            if matches!(node, Expr::Column(_)) {
                columns += 1
            } else {
                others += 1
            }
            Ok(TreeNodeRecursion::Continue)
        });
        total = total.saturating_add(others);
        most = most.max(columns.saturating_mul(below).saturating_add(others));
        Ok(TreeNodeRecursion::Continue)
    });
    most.max(below).max(total)
}
