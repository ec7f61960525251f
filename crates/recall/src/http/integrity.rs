//! `GET /v1/integrity`: what the last verification found, what is covered, and how far the signatures reach.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use crate::app::Shared;
use crate::http::format::json as answer;
use crate::http::problem::Problem;
use crate::http::sources;
use crate::identity::Identity;

/// Damaged parts that are listed.
const LISTED: usize = 100;

/// The report.
pub async fn report(State(app): State<Shared>, reader: Identity) -> Result<Response, Problem> {
    app.looked(&reader, "recall.integrity.read", "recall:trail", 1).await?;
    let degraded = app.trail.degraded();
    Ok(answer(&json!({
        "last_check": app.integrity.last(),
        "running": app.integrity.running(),
        "size": app.trail.size(),
        "published": app.trail.published(),
        "publication_failure": app.trail.publish_failure(),
        "degraded": degraded.iter().take(LISTED).collect::<Vec<_>>(),
        "degraded_not_listed": degraded.len().saturating_sub(LISTED),
        "read_only": app.trail.not_ready(),
        "unfinished_erasures": app.trail.unfinished_erasures().iter().map(|erasure| erasure.by).collect::<Vec<_>>(),
        "month_ahead_of_clock": app.trail.month_ahead(),
        "tier": {
            "name": "signed",
            "sentence": "checkpoints are signed by this log's own key; no witness cosigns them, so keep receipts and checkpoints outside",
        },
        "vkey": app.trail.keys().vkey(),
        "coverage": sources::coverage(&app)?,
    })))
}
