//! `GET /v1/events/{id}/proof`: a receipt, once the event is under a published checkpoint. Content goes into it only on request, and
//! that is a disclosure.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use recall_store::trail::{Disclosure, ReceiptError};
use serde::Deserialize;
use serde_json::json;

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
    let (index, seen) = match find(&app, &view, &name, wanted.by).await {
        Ok(found) => (found.index, which(&found)),
        // Its content may be gone, and its entry is not: the commitment is proven all the same.
        Err(problem) => match entry_of(&app, &name, wanted.by).await {
            Ok(Some(index)) => (index, json!({"index": index.to_string()})),
            Ok(None) => return Err(app.not_done(record, problem).await),
            Err(other) => return Err(app.not_done(record, other).await),
        },
    };
    let record = record.with(seen);
    match make(&app, index, wanted.disclose).await {
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

/// The index of an event of which nothing but its entry may be left: an index, or the newest of an id.
async fn entry_of(app: &Shared, name: &str, by: By) -> Result<Option<u64>, Problem> {
    let index = name.parse::<u64>().ok().filter(|index| by != By::Id && *index < app.trail.size());
    if by == By::Index {
        return Ok(index);
    }
    let (for_thread, id) = (std::sync::Arc::clone(app), name.to_owned());
    let found = tokio::task::spawn_blocking(move || for_thread.trail.find_id(&id)).await;
    let found = found.map_err(|_| Problem::internal("the event could not be looked up: see recall verify"))?;
    let found = found.map_err(|error| Problem::internal(error.to_string()))?;
    Ok(found.into_iter().flatten().max().or(index))
}

/// How long publication is waited for; it follows a commit within about a second.
const WAIT: std::time::Duration = std::time::Duration::from_secs(15);
