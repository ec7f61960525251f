//! `/v1/sources`: the register of sources, and the coverage that every answer states: what was heard says what its silence means.

use axum::extract::State;
use axum::response::Response;
use recall_log::time::Timestamp;
use recall_store::source::Source;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::{App, Shared};
use crate::http::format::{JsonBody, json as answer};
use crate::http::problem::Problem;
use crate::identity::Identity;
use crate::record::{OWN_SOURCE, RESERVED_SOURCES, Record};

/// Sources that an answer's coverage names one by one.
const NAMED: usize = 50;
/// Gaps of a source that are listed.
const GAPS: usize = 20;
/// Longest source, in bytes.
const SOURCE_BYTES: usize = 512;
/// Longest expectation, seconds: a year.
const EXPECTED_S: u64 = 366 * 86_400;

/// `GET /v1/sources`
pub async fn list(State(app): State<Shared>, reader: Identity) -> Result<Response, Problem> {
    let now = app.clock.now();
    let sources: Vec<Value> =
        app.trail.sources().iter().filter(|(name, _)| name != OWN_SOURCE).map(|(name, source)| describe(name, source, now)).collect();
    app.looked(&reader, "recall.source.list", "recall:sources", sources.len()).await?;
    Ok(answer(&json!({"sources": sources})))
}

fn describe(name: &str, source: &Source, now: Timestamp) -> Value {
    let gaps: Vec<Value> = source.gaps.iter().take(GAPS).map(|gap| json!([gap.first, gap.last])).collect();
    json!({
        "source": name,
        "events": source.events,
        "last_heard": source.last_heard.map(|micros| Timestamp::from_micros(micros).to_string()),
        "expected_every_s": source.expected_every_s,
        "silent": source.silent(now),
        "missing": source.missing(),
        "gaps": gaps,
        "gaps_not_listed": source.gaps.len().saturating_sub(GAPS) as u64 + source.gaps_uncounted,
        "skew_ms": source.ahead_ms(),
    })
}

/// What was listened to: each source, and one sentence for eyes.
pub fn coverage(app: &App) -> Result<Value, Problem> {
    let now = app.clock.now();
    let all = app.trail.sources();
    let others: Vec<&(String, Source)> = all.iter().filter(|(name, _)| name != OWN_SOURCE).collect();
    let silent = others.iter().filter(|(_, source)| source.silent(now)).count();
    let missing = others.iter().fold(0_u64, |sum, (_, source)| sum.saturating_add(source.missing()));
    let ahead = others.iter().filter(|(_, source)| source.ahead_ms().is_some()).count();
    let damaged = !app.trail.damage().is_empty();
    let sentence = format!(
        "sources heard: {}; silent against expectation: {silent}; events missing by their numbers: {missing}; clocks ahead: {ahead}{}{}",
        others.iter().filter(|(_, source)| source.events > 0).count(),
        if silent > 0 || missing > 0 { ". What was not sent is not in this answer" } else { "" },
        if damaged { ". The trail is damaged: what is lost is not in this answer" } else { "" },
    );
    let named: Vec<Value> = others.iter().take(NAMED).map(|(name, source)| describe(name, source, now)).collect();
    Ok(
        json!({"sentence": sentence, "complete": silent == 0 && missing == 0 && !damaged, "sources": named, "sources_not_listed": others.len().saturating_sub(NAMED)}),
    )
}

/// The body of an expectation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    source: String,
    expected_every_s: Option<u64>,
}

/// `POST /v1/sources`
pub async fn expect(
    State(app): State<Shared>,
    administrator: Identity,
    JsonBody(expected): JsonBody<Expected>,
) -> Result<Response, Problem> {
    let name = expected.source;
    if name.is_empty() || name.len() > SOURCE_BYTES || name.starts_with(RESERVED_SOURCES) {
        return Err(Problem::unprocessable(format!("source: give 1 to {SOURCE_BYTES} bytes, not beginning with {RESERVED_SOURCES}")));
    }
    if expected.expected_every_s.is_some_and(|seconds| seconds == 0 || seconds > EXPECTED_S) {
        return Err(Problem::unprocessable("expected_every_s: give 1 second to a year, or null to expect nothing"));
    }
    let _one_at_a_time = app.administration.lock().await;
    let every = expected.expected_every_s.map_or_else(|| "never".to_owned(), |seconds| seconds.to_string());
    let record = Record::new(administrator.actor(), "recall.source.expect", "U", json!({"type": "recall:source", "id": name}))
        .with(json!({"expected_source": name, "expected_every_s": every}))
        .expecting(&name, expected.expected_every_s);
    app.record(record, Vec::new()).await?;
    Ok(answer(&json!({"source": name, "expected_every_s": expected.expected_every_s})))
}
