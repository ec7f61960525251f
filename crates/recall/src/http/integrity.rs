//! `GET /v1/integrity`: what the last verification found, what is covered, and how far the signatures reach.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use crate::app::Shared;
use crate::http::format::json as answer;
use crate::http::problem::Problem;
use crate::http::sources;
use crate::identity::{Identity, Permission};

/// The report.
pub async fn report(State(app): State<Shared>, reader: Identity) -> Result<Response, Problem> {
    reader.role.may(Permission::Operate)?;
    Ok(answer(&json!({
        "last_check": app.integrity.last(),
        "running": app.integrity.running(),
        "size": app.trail.size(),
        "published": app.trail.published(),
        "read_only": app.trail.not_ready(),
        "degraded": app.trail.degraded(),
        "month_ahead_of_clock": app.trail.month_ahead(),
        "tier": {
            "name": "signed",
            "sentence": "checkpoints are signed by this log's own key; no witness cosigns them, so keep receipts and checkpoints outside",
        },
        "vkey": app.trail.keys().vkey(),
        "coverage": sources::coverage(&app)?,
    })))
}
