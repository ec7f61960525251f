//! `GET /v1/events/{id}/proof`: a receipt, once the event is under a published checkpoint. Content goes into it only on request, and
//! that is a disclosure.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use recall_store::trail::{Disclosure, ReceiptError};
use serde::Deserialize;

use crate::app::Shared;
use crate::http::events::{By, find, which};
use crate::http::format::{Params, Segment};
use crate::http::problem::Problem;
use crate::identity::{Denied, Identity, Sight};
use crate::record::Record;

/// The query string.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Wanted {
    disclose: bool,
    by: By,
}

/// `GET /v1/events/{id}/proof`
pub async fn proof(
    State(app): State<Shared>,
    reader: Identity,
    Segment(name): Segment,
    Params(wanted): Params<Wanted>,
) -> Result<Response, Problem> {
    let view = app.view(&reader, "recall.proof", &name).await?;
    let action = if wanted.disclose { "recall.disclosure" } else { "recall.proof" };
    let record = Record::view(&reader, action, &name);
    if wanted.disclose && reader.role.sight() != Ok(Sight::Phi) {
        let denied = Denied(
            "disclose: a receipt with content needs a token of role privacy-officer or auditor; without it the receipt proves as much",
        );
        return Err(app.not_done(record, denied.into()).await);
    }
    let found = match find(&app, &view, &name, wanted.by).await {
        Ok(found) => found,
        Err(problem) => return Err(app.not_done(record, problem).await),
    };
    let record = record.with(which(&found));
    match make(&app, found.index, wanted.disclose).await {
        Ok(receipt) => {
            app.record(record, Vec::new()).await?;
            Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], receipt).into_response())
        }
        Err(problem) => Err(app.not_done(record, problem).await),
    }
}

async fn make(app: &Shared, index: u64, disclose: bool) -> Result<String, Problem> {
    let disclosure = if disclose { Disclosure::Both } else { Disclosure::None };
    let for_thread = std::sync::Arc::clone(app);
    let made = tokio::task::spawn_blocking(move || {
        for_thread
            .trail
            .wait_published(index.saturating_add(1), WAIT)
            .map_err(|error| Problem::unavailable(error.to_string()).retry_after(1))?;
        for_thread.trail.receipt(index, disclosure).map_err(|error| match error {
            ReceiptError::Erased(_) => Problem::new(StatusCode::GONE, error.to_string()),
            _ => Problem::internal(error.to_string()),
        })
    });
    made.await.map_err(|_| Problem::internal("the receipt could not be made: see recall verify"))?
}

/// How long publication is waited for; it follows a commit within about a second.
const WAIT: std::time::Duration = std::time::Duration::from_secs(15);
