//! SQL's answers: rows as JSON values, with limits on time, rows and bytes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::DataFusionError;
use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;
use recall_log::time::Timestamp;
use serde_json::Value;

use super::{Engine, Limits, WorkError, sandbox};
use crate::compile::NotAllowed;
use crate::view::{Damaged, View};

/// An answer.
#[derive(Clone, PartialEq)]
pub struct SqlAnswer {
    /// The columns, in order.
    pub columns: Vec<SqlColumn>,
    /// The rows; each has a value per column.
    pub rows: Vec<Vec<Value>>,
    /// Whether rows were cut off, the first of them perhaps: none is shown in part.
    pub truncated: bool,
    /// Events that could not be read, and are missing from what the rows were made of.
    pub damaged: Vec<Damaged>,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlColumn {
    /// Its name.
    pub name: String,
    /// Its type: `text`, `integer`, `number`, `boolean`, `time`, `list` or `other`.
    pub kind: &'static str,
}

/// Why a statement was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    /// More than 64 KiB.
    #[error("the statement is too long; at most 65,536 bytes are read")]
    TooLong,
    /// Not SQL.
    #[error("the statement is not SQL that is understood{}; check quotation marks and keywords", place(.0))]
    Syntax(Option<(u64, u64)>),
    /// None or several.
    #[error("exactly one statement is expected")]
    NotOne,
    /// It would change or set something.
    #[error("only SELECT, WITH and EXPLAIN are answered")]
    NotSelect,
    /// It names another table, or a function as a table.
    #[error("the only table is `events`")]
    OnlyEvents,
    /// It joins texts.
    #[error("`||` is not available; select the texts as columns of their own")]
    Concat,
    /// More than four tables.
    #[error("at most 4 tables are read; `events` counts each time that it is named, also through WITH")]
    TooManyTables,
    /// It has a window.
    #[error("window functions (OVER, QUALIFY) are not available; group, or join with a grouped subquery")]
    Window,
    /// A pattern or format that is none, or too large.
    #[error("patterns and formats must be texts of at most 256 bytes in the statement, and small ones: use fewer and smaller {{}} repeats")]
    Pattern,
    /// Much text that could be repeated for each row.
    #[error("texts that become values may have 1,024 bytes together; those that are compared with columns are not counted")]
    LongTexts,
    /// Too many parts.
    #[error("the statement is too complex; use fewer subqueries, WITH clauses and operations")]
    TooComplex,
    /// It names no column of the table.
    #[error("there is no such column{}; the table has: {}", place(.0), column_names())]
    UnknownColumn(Option<(u64, u64)>),
    /// It fits no plan: a function that is not there, or types that don't go together.
    #[error("the statement can't be planned{}; check that functions exist and types agree", place(.0))]
    Plan(Option<(u64, u64)>),
    /// It asks for what the reader may not see.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The work failed.
    #[error(transparent)]
    Work(#[from] WorkError),
}

fn place(at: &Option<(u64, u64)>) -> String {
    at.map_or_else(String::new, |(line, column)| format!(" at line {line}, column {column}"))
}

fn column_names() -> String {
    let schema = crate::columns::schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    names.join(", ")
}

impl SqlError {
    /// The parser's own text may carry values; its position does not.
    pub(crate) fn syntax(error: &DataFusionError) -> Self {
        let text = error.to_string();
        let place = text.rsplit_once("at Line: ").and_then(|(_, rest)| {
            let (line, rest) = rest.split_once(", Column: ")?;
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            Some((line.parse().ok()?, digits.parse().ok()?))
        });
        Self::Syntax(place)
    }

    fn planning(error: &DataFusionError) -> Self {
        let span = error.diagnostic().and_then(|diagnostic| diagnostic.span);
        let place = span.map(|span| (span.start.line, span.start.column));
        match error.find_root() {
            DataFusionError::SchemaError(inner, _) if matches!(inner.as_ref(), datafusion::common::SchemaError::FieldNotFound { .. }) => {
                Self::UnknownColumn(place)
            }
            DataFusionError::Plan(_) | DataFusionError::SchemaError(..) | DataFusionError::NotImplemented(_) => Self::Plan(place),
            _ => match WorkError::of(error) {
                WorkError::Other => Self::Plan(place),
                work => Self::Work(work),
            },
        }
    }
}

impl Engine {
    /// The answer to a read-only statement over the table `events`.
    ///
    /// The work is its own task, which ends when this future is dropped; a panic in it is an error here.
    ///
    /// # Errors
    /// Where the statement may not be asked or can't be answered within limits.
    pub async fn sql(&self, view: &View, sql: &str) -> Result<SqlAnswer, SqlError> {
        let statement = sandbox::read(sql)?;
        let turn = self.statements.next(self.limits.wait).await.ok_or(WorkError::Busy)?;
        let state = self.sandbox.state(view, turn).map_err(|error| SqlError::planning(&error))?;
        let references = state.resolve_table_references(&statement).map_err(|error| SqlError::planning(&error))?;
        sandbox::only_events(&references)?;
        let (limits, phi) = (self.limits.clone(), view.phi.is_some());
        let work = SpawnedTask::spawn(async move {
            let plan = state.statement_to_plan(statement).await.map_err(|error| SqlError::planning(&error))?;
            sandbox::check(&plan)?;
            if !phi {
                sandbox::no_phi(&plan)?;
            }
            let plan = state.create_physical_plan(&plan).await.map_err(|error| SqlError::planning(&error))?;
            answer(&state, plan, &limits).await
        });
        match tokio::time::timeout(self.limits.sql_time, work.join()).await {
            Ok(Ok(answer)) => answer.map(|answer| SqlAnswer { damaged: view.meter.damaged(), ..answer }),
            Ok(Err(_)) => Err(SqlError::Work(WorkError::Other)),
            Err(_) => Err(SqlError::Work(WorkError::Time)),
        }
    }
}

async fn answer(
    state: &SessionState,
    plan: Arc<dyn datafusion::physical_plan::ExecutionPlan>,
    limits: &Limits,
) -> Result<SqlAnswer, SqlError> {
    let failed = |error: DataFusionError| SqlError::Work(WorkError::of(&error));
    let schema = plan.schema();
    let columns = schema.fields().iter().map(|field| SqlColumn { name: field.name().clone(), kind: kind(field.data_type()) }).collect();
    let mut batches = execute_stream(plan, state.task_ctx()).map_err(failed)?;
    let mut answer = SqlAnswer { columns, rows: Vec::new(), truncated: false, damaged: Vec::new() };
    let mut bytes = 0;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(failed)?;
        for row in 0..batch.num_rows() {
            // Weighed before it is copied: one row may be larger than all that an answer may hold.
            bytes += batch.columns().iter().map(|column| size_bytes(&column.slice(row, 1))).sum::<usize>();
            if answer.rows.len() == limits.sql_rows || bytes > limits.sql_answer_bytes {
                answer.truncated = true;
                return Ok(answer);
            }
            answer.rows.push(values(&batch, row).map_err(|error| failed(error.into()))?);
        }
    }
    Ok(answer)
}

fn kind(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Dictionary(_, inner) => kind(inner),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
        DataType::Boolean => "boolean",
        DataType::Timestamp(..) => "time",
        DataType::List(_) => "list",
        other if other.is_integer() => "integer",
        other if other.is_floating() => "number",
        _ => "other",
    }
}

/// About how large the one value of an array gets as JSON.
fn size_bytes(one: &ArrayRef) -> usize {
    if one.is_null(0) {
        return 16;
    }
    16 + match one.data_type() {
        DataType::Utf8 => one.as_string::<i32>().value(0).len(),
        DataType::LargeUtf8 => one.as_string::<i64>().value(0).len(),
        DataType::Utf8View => one.as_string_view().value(0).len(),
        DataType::List(_) => {
            let items = one.as_list::<i32>().value(0);
            (0..items.len()).map(|at| size_bytes(&items.slice(at, 1))).sum()
        }
        other if other.is_nested() => one.to_data().get_slice_memory_size().unwrap_or(0),
        _ => 0,
    }
}

fn values(batch: &RecordBatch, row: usize) -> Result<Vec<Value>, arrow::error::ArrowError> {
    batch.columns().iter().map(|column| value(&column.slice(row, 1))).collect()
}

/// The one value of an array as JSON. What JSON has no form for becomes text.
fn value(one: &ArrayRef) -> Result<Value, arrow::error::ArrowError> {
    if one.is_null(0) {
        return Ok(Value::Null);
    }
    Ok(match one.data_type() {
        DataType::Null => Value::Null,
        DataType::Dictionary(_, inner) => value(&cast(one, inner)?)?,
        DataType::Utf8 => Value::from(one.as_string::<i32>().value(0)),
        DataType::LargeUtf8 => Value::from(one.as_string::<i64>().value(0)),
        DataType::Utf8View => Value::from(one.as_string_view().value(0)),
        DataType::Boolean => Value::from(one.as_boolean().value(0)),
        DataType::UInt64 => Value::from(one.as_primitive::<UInt64Type>().value(0)),
        other if other.is_integer() => Value::from(cast(one, &DataType::Int64)?.as_primitive::<Int64Type>().value(0)),
        DataType::Float32 => Value::from(one.as_primitive::<Float32Type>().value(0)),
        DataType::Float64 => Value::from(one.as_primitive::<Float64Type>().value(0)),
        DataType::Timestamp(..) => {
            let micros = cast(one, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
            Value::from(Timestamp::from_micros(micros.as_primitive::<TimestampMicrosecondType>().value(0)).to_string())
        }
        DataType::List(_) => {
            let items = one.as_list::<i32>().value(0);
            Value::Array((0..items.len()).map(|at| value(&items.slice(at, 1))).collect::<Result<_, _>>()?)
        }
        _ => Value::from(ArrayFormatter::try_new(one, &FormatOptions::default())?.value(0).to_string()),
    })
}

#[cfg(test)]
mod tests;
