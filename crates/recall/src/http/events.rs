//! `/v1/events`: ingest, search, and one event.

use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use recall_search::engine::{FoundEvent, SearchPage, SearchRequest};
use recall_search::view::{Damaged, View};
use recall_store::catalog::{Kind, RowChange};
use recall_store::trail::{Class, Submission};
use serde::Deserialize;
use serde_json::Value;

use crate::app::{App, Shared};
use crate::http::format::{Params, Segment, json_bytes};
use crate::http::problem::Problem;
use crate::http::sources;
use crate::idempotency::{self, Kept, Known};
use crate::identity::Identity;
use crate::ingest::answer::{self, Outcomes};
use crate::ingest::decode::Coding;
use crate::ingest::encode::{Ids, Terms};
use crate::ingest::receive::{Form, Received, receive};
use crate::record::Record;

/// Events of a page where no limit is given, and the most that a page holds.
const PAGE: u64 = 100;
const PAGE_LIMIT: u64 = 1_000;
/// Ranges of unreadable events that an export's header names.
const DAMAGED_NAMED: usize = 100;

/// `POST /v1/events`
pub async fn ingest(State(app): State<Shared>, sender: Identity, request: Request<Body>) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let coding = coding(&parts.headers)?;
    let lines = announces_lines(&parts.headers)?;
    let key = idempotency_key(&parts.headers)?;
    let form = Form { coding, lines, hashed: key.is_some() };
    let name = key.as_deref().map(|key| idempotency::row_name(&sender.token_id, key));
    let _claim = match &name {
        None => None,
        Some(name) => Some(app.under_way.claim(name).ok_or_else(|| {
            Problem::new(
                StatusCode::CONFLICT,
                "Idempotency-Key: a request under this key is under way; send again after Retry-After seconds",
            )
            .retry_after(1)
        })?),
    };
    let ids = key.as_deref().map_or(Ids::New, |key| Ids::derived(&sender.token_id, key));
    let terms = Arc::new(Terms { encoder: app.encoder.clone(), identity: sender, ids });
    let received = receive(&app, terms, form, body).await?;
    submit(&app, received, name).await
}

async fn submit(app: &App, received: Received, name: Option<String>) -> Result<Response, Problem> {
    let now = app.clock.now();
    let size = app.trail.size();
    let mut rows = Vec::new();
    let mut replay = None;
    if let Some(name) = name {
        let hash = received.hash.ok_or_else(|| Problem::internal("the body was not hashed: nothing was stored"))?;
        let kept = app.trail.row(Kind::Idempotency, &name).as_deref().and_then(Kept::read);
        match idempotency::known(kept.as_ref(), &hash, now) {
            Known::Other => {
                return Err(Problem::unprocessable("Idempotency-Key: another body was sent under it within 24 hours; use a new key"));
            }
            Known::Replay { size } => replay = Some(size),
            Known::New => rows.push(RowChange::put(Kind::Idempotency, name, Kept { body: hash, at: now.micros(), size }.write())),
        }
    }
    let _held = received.held;
    let mut slices = received.encoded;
    let batches: Vec<_> = slices.iter_mut().filter_map(|slice| slice.batch.take()).collect();
    let outcomes = if batches.is_empty() && rows.is_empty() {
        Vec::new()
    } else {
        app.commit(Submission { batches, rows, expect: Vec::new(), class: Class::Ingest }).await?
    };
    let mut seen = HashSet::new();
    let mode = match replay {
        Some(from) => Outcomes::Replay { from, seen: &mut seen },
        None => Outcomes::First,
    };
    let (bytes, counts) = answer::write(&slices, &outcomes, received.unit, mode);
    for (status, count) in [("stored", counts.stored), ("duplicate", counts.duplicate), ("rejected", counts.rejected)] {
        metrics::counter!("recall_events_total", "status" => status).increment(count);
    }
    let mut response = json_bytes(bytes);
    if replay.is_some() {
        response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn coding(headers: &HeaderMap) -> Result<Coding, Problem> {
    match headers.get(header::CONTENT_ENCODING) {
        None => Ok(Coding::Identity),
        Some(value) => value.to_str().ok().and_then(Coding::parse).ok_or_else(Problem::content_encoding),
    }
}

/// Whether the sender says that it is NDJSON; otherwise the body's first bytes decide.
fn announces_lines(headers: &HeaderMap) -> Result<bool, Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(false) };
    let value = value.to_str().unwrap_or("?");
    match value.split(';').next().unwrap_or("").trim().to_ascii_lowercase().as_str() {
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => Ok(true),
        // What curl says of any body, and what says nothing.
        "" | "application/json" | "application/x-www-form-urlencoded" | "application/octet-stream" | "text/plain" => Ok(false),
        _ => Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type: send application/json or application/x-ndjson")),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().unwrap_or("").trim();
    if key.is_empty() || key.len() > idempotency::KEY_BYTES {
        return Err(Problem::bad_request(format!("Idempotency-Key: send 1 to {} visible ASCII characters", idempotency::KEY_BYTES)));
    }
    Ok(Some(key.to_owned()))
}

/// The query string of a search.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Question {
    q: String,
    from: Option<String>,
    to: Option<String>,
    limit: Option<u64>,
    cursor: Option<String>,
    format: Format,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Ndjson,
    Csv,
}

impl Question {
    /// The question as it is recorded.
    fn statement(&self) -> String {
        let mut statement = self.q.clone();
        for (name, value) in [("from", &self.from), ("to", &self.to)] {
            if let Some(value) = value {
                statement.push_str(&format!(" [{name} {value}]"));
            }
        }
        statement
    }
}

/// `GET /v1/events`
pub async fn search(State(app): State<Shared>, reader: Identity, Params(question): Params<Question>) -> Result<Response, Problem> {
    let action = if question.format == Format::Json { "recall.search" } else { "recall.export" };
    let statement = question.statement();
    let view = app.view(&reader, action, &statement).await?;
    let page = match page(&app, &view, &question).await {
        Ok(page) => page,
        Err(problem) => return Err(app.not_done(Record::read(&reader, action, &statement, 0), problem).await),
    };
    app.record(Record::read(&reader, action, &statement, page.events.len() as u64), Vec::new()).await?;
    match question.format {
        Format::Json => Ok(json_bytes(page_json(&page, &with_damage(sources::coverage(&app)?, &page.damaged)))),
        Format::Ndjson => Ok(export(&page, "application/x-ndjson", lines(&page))),
        Format::Csv => Ok(export(&page, "text/csv; charset=utf-8", csv(&page)?)),
    }
}

/// Events that could not be read, as answers tell them.
pub fn damaged_json(damaged: &[Damaged]) -> Value {
    damaged.iter().map(|range| serde_json::json!({"first": range.first, "last": range.last, "what": range.what})).collect()
}

/// The coverage of an answer from which events are missing because they could not be read.
fn with_damage(mut coverage: Value, damaged: &[Damaged]) -> Value {
    let Some(members) = coverage.as_object_mut() else { return coverage };
    if !damaged.is_empty() {
        let count = damaged.iter().fold(0_u64, |sum, range| sum.saturating_add(range.last.saturating_sub(range.first).saturating_add(1)));
        let sentence = members.get("sentence").and_then(Value::as_str).unwrap_or_default();
        let sentence = format!("{sentence}. Events that could not be read, and may be missing from this answer: {count}");
        members.insert("sentence".into(), sentence.into());
        members.insert("complete".into(), false.into());
    }
    members.insert("damaged".into(), damaged_json(damaged));
    coverage
}

async fn page(app: &App, view: &View, question: &Question) -> Result<SearchPage, Problem> {
    let limit = question.limit.unwrap_or(PAGE);
    if !(1..=PAGE_LIMIT).contains(&limit) {
        return Err(Problem::bad_request(format!("limit: give 1 to {PAGE_LIMIT}, and follow next_cursor for more")));
    }
    let request = SearchRequest {
        query: question.q.clone(),
        from: question.from.clone(),
        to: question.to.clone(),
        limit: usize::try_from(limit).unwrap_or(1),
        cursor: question.cursor.clone(),
        now: app.clock.now(),
        log: app.trail.keys().origin(),
    };
    Ok(app.engine.search(view, &request).await?)
}

fn page_json(page: &SearchPage, coverage: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + page.events.iter().map(|event| event.json.len() + 1).sum::<usize>());
    out.extend_from_slice(b"{\"events\":[");
    for (place, event) in page.events.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        out.extend_from_slice(event.json.as_bytes());
    }
    let tail =
        serde_json::json!({"next_cursor": page.next_cursor, "count": page.count, "count_capped": page.count_capped, "coverage": coverage})
            .to_string();
    out.extend_from_slice(b"],");
    out.extend_from_slice(tail.get(1..).unwrap_or("}").as_bytes());
    out
}

fn lines(page: &SearchPage) -> Vec<u8> {
    page.events.iter().flat_map(|event| event.json.bytes().chain([b'\n'])).collect()
}

const CSV_COLUMNS: [(&str, &str); 14] = [
    ("index", "/integrity/index"),
    ("time", "/time"),
    ("received_at", "/received_at"),
    ("source", "/source"),
    ("id", "/id"),
    ("action", "/action"),
    ("op", "/op"),
    ("outcome", "/outcome/status"),
    ("actor_type", "/actor/type"),
    ("actor", "/actor/id"),
    ("purpose", "/purpose"),
    ("break_glass", "/break_glass"),
    ("targets", "/targets"),
    ("description", "/description"),
];

fn csv(page: &SearchPage) -> Result<Vec<u8>, Problem> {
    let failed = |_| Problem::internal("the answer could not be written as CSV: ask for ndjson");
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(CSV_COLUMNS.map(|(name, _)| name)).map_err(|error| failed(error.to_string()))?;
    for event in &page.events {
        let value: Value = serde_json::from_str(&event.json).map_err(|error| failed(error.to_string()))?;
        let cells = CSV_COLUMNS.map(|(_, pointer)| value.pointer(pointer).map(cell).unwrap_or_default());
        writer.write_record(&cells).map_err(|error| failed(error.to_string()))?;
    }
    writer.into_inner().map_err(|error| failed(error.to_string()))
}

/// A cell that no spreadsheet takes for a formula.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

fn export(page: &SearchPage, content_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store")], body).into_response();
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("recall-events"), HeaderValue::from(page.events.len()));
    if !page.damaged.is_empty() {
        let ranges: Vec<String> = page.damaged.iter().map(|range| format!("{}-{}", range.first, range.last)).collect();
        let named = ranges.iter().take(DAMAGED_NAMED).map(String::as_str).collect::<Vec<_>>().join(",");
        let more = if ranges.len() > DAMAGED_NAMED { ",..." } else { "" };
        if let Ok(value) = HeaderValue::from_str(&format!("{named}{more}")) {
            headers.insert(HeaderName::from_static("recall-damaged"), value);
        }
    }
    if let Some(Ok(cursor)) = page.next_cursor.as_deref().map(HeaderValue::from_str) {
        headers.insert(HeaderName::from_static("recall-next-cursor"), cursor);
    }
    response
}

/// What the one segment of the path names.
#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// An id; where no event has it, an index.
    #[default]
    Any,
    /// An id.
    Id,
    /// An index.
    Index,
}

/// The query string of one event.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Naming {
    by: By,
}

/// `GET /v1/events/{id}`: by id, or by index.
pub async fn show(
    State(app): State<Shared>,
    reader: Identity,
    Segment(name): Segment,
    Params(Naming { by }): Params<Naming>,
) -> Result<Response, Problem> {
    let view = app.view(&reader, "recall.view", &name).await?;
    let record = Record::view(&reader, "recall.view", &name);
    let found = match find(&app, &view, &name, by).await {
        Ok(found) => found,
        Err(problem) => return Err(app.not_done(record, problem).await),
    };
    app.record(record.with(which(&found)), Vec::new()).await?;
    Ok(json_bytes(found.json.into_bytes()))
}

/// The event that is called `name`. An id comes before an index: a sender may have called its events by digits. Where several sources
/// used the id, the newest.
pub async fn find(app: &App, view: &View, name: &str, by: By) -> Result<FoundEvent, Problem> {
    let log = app.trail.keys().origin();
    let mut found = None;
    if by != By::Index {
        found = app.engine.events_by_id(view, name, &log).await?.into_iter().next();
    }
    if let (None, Ok(index), By::Any | By::Index) = (&found, name.parse::<u64>(), by) {
        found = app.engine.event_at(view, index, &log).await?;
    }
    found.ok_or_else(|| Problem::not_found("there is no such event, or its content is erased"))
}

/// Which event was seen, for the record: an id alone may stand for several.
pub fn which(found: &FoundEvent) -> Value {
    let event: Value = serde_json::from_str(&found.json).unwrap_or_default();
    let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
    serde_json::json!({"index": found.index.to_string(), "event_id": text("id"), "event_source": text("source")})
}
