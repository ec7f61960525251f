//! What operators and tools ask: liveness, readiness, metrics, version, description, schema, and a page for whoever looks by chance.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use recall_log::event::SCHEMA;
use serde_json::json;

use crate::app::Shared;
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

/// `GET /readyz`: it can do its work, or why not.
pub async fn readyz(State(app): State<Shared>) -> Result<Response, Problem> {
    match app.trail.not_ready() {
        None if app.trail.degraded().is_empty() => Ok(text("ok\n".into())),
        None => Ok(text("degraded: a part of what is stored cannot be read or told from repeats; see /v1/integrity\n".into())),
        Some(reason) => Err(Problem::unavailable(reason)),
    }
}

/// `GET /metrics`: no label holds an identifier.
pub async fn metrics(State(app): State<Shared>) -> Response {
    metrics::gauge!("recall_trail_events").set(app.trail.size() as f64);
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
