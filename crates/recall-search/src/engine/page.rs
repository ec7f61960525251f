//! The query bar's answers: pages of events, newest first, with a count.
//!
//! No planner runs here: a question is made and read directly, which keeps a search at the cost of its reads.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, LargeBinaryArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::common::DFSchema;
use datafusion::execution::TaskContext;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;
use recall_log::entry;
use recall_log::merkle::leaf_hash;
use recall_log::time::Timestamp;
use recall_store::snapshot::Part;

use super::{Engine, WorkError};
use crate::columns::{self, PHI, PUBLIC, SALT_PHI, SALT_PUBLIC};
use crate::compile::{NotAllowed, compile};
use crate::cursor::Cursor;
use crate::derive::event_text;
use crate::exec::EventsExec;
use crate::query::{self, Filter, QueryError, Span};
use crate::question::Question;
use crate::reading::{Order, lost};
use crate::turns::Turn;
use crate::view::{Damaged, View};

/// The most events of a page.
pub const MAX_PAGE: usize = 1_000;

/// What is searched.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// The query bar's text; empty for every event.
    pub query: String,
    /// Only events of this time or later, as a query writes times.
    pub from: Option<String>,
    /// Only events before this time, likewise.
    pub to: Option<String>,
    /// Events wanted, 1 to [`MAX_PAGE`].
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// What relative times count from; on later pages it is what the first counted from.
    pub now: Timestamp,
    /// The log's origin, which events name.
    pub log: String,
}

/// A page of results.
#[derive(Clone, PartialEq, Eq)]
pub struct SearchPage {
    /// The events, newest first: as many as were asked for, unless they are large.
    pub events: Vec<FoundEvent>,
    /// Where to go on; `None` where nothing is left.
    pub next_cursor: Option<String>,
    /// How many events the query finds, all pages together.
    pub count: u64,
    /// Whether there are, or may be, more than `count`.
    pub count_capped: bool,
    /// Events that could not be read on the way, and may be missing.
    pub damaged: Vec<Damaged>,
}

/// An event as its reader may see it.
#[derive(Clone, PartialEq, Eq)]
pub struct FoundEvent {
    /// Its place in the log.
    pub index: u64,
    /// Its JSON, with `integrity`.
    pub json: String,
}

/// Why a search was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The query can't be read.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The query asks for what the reader may not see.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// The limit is none.
    #[error("limit must lie between 1 and 1000")]
    Limit,
    /// `from` or `to` is no time.
    #[error("{0}: write a time as 2026-11-23T18:00:00Z, 2026-11-23 or -7d")]
    Time(&'static str),
    /// The cursor is not one of this question.
    #[error("the cursor does not belong to this question; start again without it")]
    Cursor,
    /// The work failed.
    #[error(transparent)]
    Work(#[from] WorkError),
}

impl Engine {
    /// One page of the events that a query finds, newest first.
    ///
    /// # Errors
    /// Where the request is wrong, or the work fails or takes too long.
    pub async fn search(&self, view: &View, request: &SearchRequest) -> Result<SearchPage, SearchError> {
        if !(1..=MAX_PAGE).contains(&request.limit) {
            return Err(SearchError::Limit);
        }
        let turn = self.searches.next(self.limits.wait).await.ok_or(WorkError::Busy)?;
        let work = self.page(view, request, &turn);
        tokio::time::timeout(self.limits.search_time, work).await.unwrap_or(Err(SearchError::Work(WorkError::Time)))
    }

    /// The event at `index`, if it is there.
    ///
    /// # Errors
    /// Where it can't be read.
    pub async fn event_at(&self, view: &View, index: u64, log: &str) -> Result<Option<FoundEvent>, WorkError> {
        let Ok(index) = i64::try_from(index) else {
            return Ok(None);
        };
        let found = self.timed(view, vec![col("index").eq(lit(index))], log).await?;
        found_or_damaged(view, found.into_iter().next())
    }

    /// The events with this id, newest first: one for each source that used it.
    ///
    /// # Errors
    /// Where they can't be read.
    pub async fn events_by_id(&self, view: &View, id: &str, log: &str) -> Result<Vec<FoundEvent>, WorkError> {
        let found = self.timed(view, vec![col("id").eq(lit(id))], log).await?;
        Ok(found_or_damaged(view, Some(found).filter(|found| !found.is_empty()))?.unwrap_or_default())
    }

    async fn timed(&self, view: &View, filters: Vec<Expr>, log: &str) -> Result<Vec<FoundEvent>, WorkError> {
        let turn = self.searches.next(self.limits.wait).await.ok_or(WorkError::Busy)?;
        let most = Most { events: MAX_PAGE, bytes: self.limits.page_bytes };
        let work = found(view, &filters, most, log, &turn);
        let (found, _) = tokio::time::timeout(self.limits.search_time, work).await.unwrap_or(Err(WorkError::Time))?;
        Ok(found)
    }

    async fn page(&self, view: &View, request: &SearchRequest, turn: &Turn) -> Result<SearchPage, SearchError> {
        let phi = view.phi.is_some();
        let [from, to] = [&request.from, &request.to].map(|time| time.as_deref().unwrap_or_default());
        let question = [request.query.as_bytes(), from.as_bytes(), to.as_bytes(), &[u8::from(phi)]];
        let before = match &request.cursor {
            Some(text) => Some(self.cursors.read(text, &question).ok_or(SearchError::Cursor)?),
            None => None,
        };
        // Times that were relative to each page's own moment would move from page to page.
        let now = before.map_or(request.now, |cursor| Timestamp::from_micros(cursor.now));
        let filters = filters(request, now, phi)?;
        let most = Most { events: request.limit + 1, bytes: self.limits.page_bytes };
        let (mut events, cut) = found(view, &older(&filters, before.map(|cursor| cursor.before)), most, &request.log, turn).await?;
        let more = cut || events.len() > request.limit;
        events.truncate(request.limit);
        let last = events.last().map(|event| event.index);
        let (count, count_capped) = match (before, last) {
            (Some(cursor), _) => (cursor.count, cursor.count_capped),
            (None, Some(last)) if more => self.count(view, &filters, events.len() as u64, last, turn).await?,
            (None, _) => (events.len() as u64, false),
        };
        let damaged = view.meter.damaged();
        let count_capped = count_capped || !damaged.is_empty();
        let next_cursor = last.filter(|_| more).map(|before| {
            let now = now.micros();
            self.cursors.write(Cursor { before, count, count_capped, now }, &question)
        });
        Ok(SearchPage { events, next_cursor, count, count_capped, damaged })
    }

    /// How many events there are: those `known`, and those older than `before`, as far as limits allow.
    async fn count(&self, view: &View, filters: &[Expr], known: u64, before: u64, turn: &Turn) -> Result<(u64, bool), WorkError> {
        if filters.is_empty() {
            let whole = view.snapshot.parts().iter().filter(|part| !matches!(part, Part::Erased(_)));
            let all = whole.map(|part| u64::from(part.count())).sum::<u64>();
            let lost = view.snapshot.parts().iter().any(|part| lost(part, Span::default()).is_some());
            return Ok((all.min(self.limits.count_cap), all > self.limits.count_cap || lost));
        }
        let question = question(view, columns_named(&["index"])?, &older(filters, Some(before)))?;
        let budget = if question.reads_content() { self.limits.count_content_rows } else { self.limits.count_rows };
        let plan = EventsExec::new(view.clone(), Arc::new(question), None, 1, Arc::clone(turn)).ordered(Order::NewestFirst);
        // Taken before the reading begins, which goes on beside this.
        let start = view.meter.rows();
        let mut batches = plan.execute(0, Arc::new(TaskContext::default())).map_err(|error| WorkError::of(&error))?;
        let mut count = known;
        while let Some(batch) = batches.next().await {
            count += batch.map_err(|error| WorkError::of(&error))?.num_rows() as u64;
            if count > self.limits.count_cap {
                return Ok((self.limits.count_cap, true));
            }
            if view.meter.rows().saturating_sub(start) > budget {
                return Ok((count, true));
            }
        }
        Ok((count, false))
    }
}

/// What was found, or why nothing was, where that is for damage.
fn found_or_damaged<T>(view: &View, found: Option<T>) -> Result<Option<T>, WorkError> {
    match (found, view.meter.damaged().as_slice()) {
        (None, [damaged, ..]) => Err(WorkError::Damaged { first: damaged.first, last: damaged.last, what: damaged.what.clone() }),
        (found, _) => Ok(found),
    }
}

/// The request's filters as expressions.
fn filters(request: &SearchRequest, now: Timestamp, phi: bool) -> Result<Vec<Expr>, SearchError> {
    let mut filters = Vec::new();
    match query::parse(&request.query, now)? {
        Filter::All(all) => {
            for filter in &all {
                filters.push(compile(filter, phi)?);
            }
        }
        other => filters.push(compile(&other, phi)?),
    }
    let time = |name: &'static str, text: &Option<String>| -> Result<Option<Expr>, SearchError> {
        let Some(text) = text else { return Ok(None) };
        let at = query::first_moment(text, now).ok_or(SearchError::Time(name))?;
        Ok(Some(lit(datafusion::scalar::ScalarValue::TimestampMicrosecond(Some(at.micros()), Some("UTC".into())))))
    };
    filters.extend(time("from", &request.from)?.map(|from| col("time").gt_eq(from)));
    filters.extend(time("to", &request.to)?.map(|to| col("time").lt(to)));
    Ok(filters)
}

fn older(filters: &[Expr], before: Option<u64>) -> Vec<Expr> {
    let limit = before.map(|before| col("index").lt(lit(i64::try_from(before).unwrap_or(i64::MAX))));
    filters.iter().cloned().chain(limit).collect()
}

fn columns_named(names: &[&str]) -> Result<SchemaRef, WorkError> {
    let all = columns::all();
    let wanted = names.iter().map(|name| all.index_of(name)).collect::<Result<Vec<_>, _>>();
    wanted.and_then(|wanted| all.project(&wanted)).map(Arc::new).map_err(|_| WorkError::Other)
}

fn question(view: &View, schema: SchemaRef, filters: &[Expr]) -> Result<Question, WorkError> {
    let make = || {
        let table = Arc::new(DFSchema::try_from(columns::all())?);
        let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::clone(&table)).build());
        let filters =
            filters.iter().map(|filter| simplifier.coerce(filter.clone(), &table)).collect::<datafusion::common::Result<Vec<_>>>()?;
        Question::new(schema, &filters, view.phi.is_some(), &ExecutionProps::new())
    };
    make().map_err(|error| WorkError::of(&error))
}

/// How much is found at most.
struct Most {
    events: usize,
    bytes: usize,
}

/// The newest events that pass `filters`, and whether there are more than were asked for in bytes. There is one, if there is any.
async fn found(view: &View, filters: &[Expr], most: Most, log: &str, turn: &Turn) -> Result<(Vec<FoundEvent>, bool), WorkError> {
    let schema = columns_named(&["index", PUBLIC, PHI, SALT_PUBLIC, SALT_PHI])?;
    let question = Arc::new(question(view, schema, filters)?);
    let plan = EventsExec::new(view.clone(), question, Some(most.events), 1, Arc::clone(turn)).ordered(Order::NewestFirst);
    let mut batches = plan.execute(0, Arc::new(TaskContext::default())).map_err(|error| WorkError::of(&error))?;
    let (mut events, mut left) = (Vec::new(), most.bytes);
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(|error| WorkError::of(&error))?;
        if !show(&batch, view.phi.is_some(), log, &mut left, &mut events)? {
            return Ok((events, true));
        }
    }
    Ok((events, false))
}

/// Writes the JSON of each row, as long as bytes are left. False: they are not, and there was a row more.
fn show(batch: &RecordBatch, phi: bool, log: &str, left: &mut usize, events: &mut Vec<FoundEvent>) -> Result<bool, WorkError> {
    let [index, public, hidden, salt_public, salt_phi] = batch.columns() else {
        return Err(WorkError::Other);
    };
    let (Some(index), Some(public), Some(hidden)) = (index.as_primitive_opt::<Int64Type>(), bytes(public), bytes(hidden)) else {
        return Err(WorkError::Other);
    };
    for row in 0..batch.num_rows() {
        let index = u64::try_from(index.value(row)).map_err(|_| WorkError::Other)?;
        let (public, hidden) = (public.value(row), phi.then(|| hidden.value(row)));
        let text = event_text(public, hidden).map_err(|error| WorkError::Read(error.to_string()))?;
        let leaf = match (hidden, salt(salt_public, row), salt(salt_phi, row)) {
            (Some(hidden), Some(salt_public), Some(salt_phi)) => Some(leaf_hash(&entry::commit(public, hidden, &salt_public, &salt_phi))),
            _ => None,
        };
        let json = with_integrity(&text, log, index, leaf.as_ref()).ok_or(WorkError::Other)?;
        if json.len() > *left && !events.is_empty() {
            return Ok(false);
        }
        *left = left.saturating_sub(json.len());
        events.push(FoundEvent { index, json });
    }
    Ok(true)
}

fn bytes(column: &ArrayRef) -> Option<&LargeBinaryArray> {
    column.as_binary_opt::<i64>()
}

fn salt(column: &ArrayRef, row: usize) -> Option<[u8; 16]> {
    let salts = match column.data_type() {
        DataType::FixedSizeBinary(16) => column.as_fixed_size_binary_opt()?,
        _ => return None,
    };
    (!salts.is_null(row)).then(|| salts.value(row).try_into().ok()).flatten()
}

/// The event's text with where it lies in which log, and the hash of its leaf where the reader's parts give it.
fn with_integrity(text: &str, log: &str, index: u64, leaf: Option<&[u8; 32]>) -> Option<String> {
    let open = text.strip_suffix('}')?;
    let log = serde_json::Value::from(log);
    let leaf = leaf.map_or_else(String::new, |leaf| format!(",\"leaf_hash\":\"{}\"", STANDARD.encode(leaf)));
    Some(format!("{open},\"integrity\":{{\"log\":{log},\"index\":{index}{leaf}}}}}"))
}

#[cfg(test)]
mod tests;
