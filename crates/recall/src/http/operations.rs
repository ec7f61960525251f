//! What operators and tools ask: liveness, readiness, metrics, version, description, schema, and a page for whoever looks by chance.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use recall_log::event::SCHEMA;
use serde_json::json;

use crate::app::{App, Shared};
use crate::http::format::{json as answer, json_bytes, text};
use crate::http::problem::Problem;
use crate::ingest::receive::bytes_held;

const OPENAPI: &str = include_str!("../../assets/openapi.json");
const PAGE: &str = include_str!("../../assets/index.html");

/// `GET /`
pub async fn page() -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], PAGE).into_response()
}

/// `GET /livez`: the process answers.
pub async fn livez() -> Response {
    text("ok\n".into())
}

/// `GET /readyz`: it can do its work, or why not. What is wrong and stops no work is said, and it is ready all the same.
pub async fn readyz(State(app): State<Shared>) -> Result<Response, Problem> {
    if let Some(reason) = app.trail.not_ready() {
        return Err(Problem::unavailable(reason));
    }
    let degraded: String = degraded(&app).into_iter().map(|what| format!("degraded: {what}; see /v1/integrity\n")).collect();
    Ok(text(format!("ok\n{degraded}")))
}

/// What is wrong and stops no work. It is said to anybody, so that it names no place.
fn degraded(app: &App) -> Vec<String> {
    let mut degraded = Vec::new();
    if app.trail.publish_failure().is_some() {
        degraded.push("the last checkpoint could not be published, so that new receipts wait".into());
    }
    if !app.trail.degraded().is_empty() {
        degraded.push(format!("damaged parts of the trail: {}", app.trail.degraded().len()));
    }
    if app.integrity.found_damage() {
        degraded.push("the last verification found damage".into());
    }
    degraded
}

/// `GET /metrics`: no label holds an identifier.
pub async fn metrics(State(app): State<Shared>) -> Response {
    metrics::gauge!("recall_trail_events").set(app.trail.size() as f64);
    metrics::gauge!("recall_trail_published_events").set(app.trail.published() as f64);
    metrics::gauge!("recall_publication_failed").set(f64::from(u8::from(app.trail.publish_failure().is_some())));
    metrics::gauge!("recall_trail_damaged_parts").set(app.trail.damage().len() as f64);
    metrics::gauge!("recall_ingest_held_bytes").set(bytes_held(&app.reading) as f64);
    metrics::gauge!("recall_ready").set(f64::from(u8::from(app.trail.not_ready().is_none())));
    app.metrics.run_upkeep();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], app.metrics.render()).into_response()
}

/// `GET /version`
pub async fn version() -> Response {
    answer(&json!({"name": "recall", "version": env!("CARGO_PKG_VERSION"), "event_schema": recall_log::event::SCHEMA_NAME}))
}

/// `GET /openapi.json`
pub async fn openapi() -> Response {
    json_bytes(OPENAPI.into())
}

/// `GET /schema/recall.event.1.json`
pub async fn schema() -> Response {
    ([(header::CONTENT_TYPE, "application/schema+json")], SCHEMA).into_response()
}

#[cfg(test)]
mod tests;
