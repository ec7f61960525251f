//! `/v1/keys`: list, public key, rotation of the root key, shredding, export of the wrapped keys.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use recall_store::catalog::{Kind, RowChange};
use recall_store::keys::Keys;
use recall_store::trail::{Doomed, ShredError, Trail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::Shared;
use crate::http::format::{JsonBody, json as answer, text};
use crate::http::problem::Problem;
use crate::identity::Identity;
use crate::record::Record;

/// Longest rule and approver, bytes.
const TEXT_BYTES: usize = 500;
/// Most approvers.
const APPROVERS: usize = 8;

/// `GET /v1/keys/public`: the vkey alone.
pub async fn public(State(app): State<Shared>) -> Response {
    text(format!("{}\n", app.trail.keys().vkey()))
}

/// `GET /v1/keys`
pub async fn list(State(app): State<Shared>, reader: Identity) -> Result<Response, Problem> {
    let keys = app.trail.keys();
    let sets: Vec<Value> = keys.sets().iter().map(|set| json!({"id": set.id, "epoch": set.epoch, "class": set.class})).collect();
    app.looked(&reader, "recall.key.list", "recall:keys", sets.len()).await?;
    Ok(answer(&json!({"root_key_id": keys.root_id().to_string(), "origin": keys.origin(), "vkey": keys.vkey(), "sets": sets})))
}

/// The empty body of a rotation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// `POST /v1/keys/rotate-root`
pub async fn rotate_root(
    State(app): State<Shared>,
    administrator: Identity,
    JsonBody(Nothing {}): JsonBody<Nothing>,
) -> Result<Response, Problem> {
    let for_record = Arc::clone(&app);
    let record = move || {
        let target = json!({"type": "recall:root-key", "id": for_record.trail.keys().root_id().to_string()});
        Record::new(administrator.actor(), "recall.key.rotate", "U", target)
    };
    let (for_work, first) = (Arc::clone(&app), record());
    let work = async move {
        for_work.record(first, Vec::new()).await?;
        let rotated = tokio::task::spawn_blocking(move || for_work.trail.rotate_root());
        let rotated = rotated.await.map_err(|_| Problem::internal("the rotation broke off: see recall doctor"))?;
        rotated.map_err(|error| Problem::unavailable(error.to_string()))
    };
    let id = app.long_work(record, work).await?;
    Ok(answer(&json!({"root_key_id": id.to_string()})))
}

/// The body of a shredding.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shredding {
    epoch: String,
    class: String,
    rule: String,
    approvers: Vec<String>,
}

/// `POST /v1/keys/shred`
pub async fn shred(
    State(app): State<Shared>,
    administrator: Identity,
    JsonBody(shredding): JsonBody<Shredding>,
) -> Result<Response, Problem> {
    let bad = |text: &String| text.is_empty() || text.len() > TEXT_BYTES || text.chars().any(char::is_control);
    if bad(&shredding.rule) {
        return Err(Problem::unprocessable(format!("rule: name the rule that asks for it, in at most {TEXT_BYTES} bytes")));
    }
    if shredding.approvers.is_empty() || shredding.approvers.len() > APPROVERS || shredding.approvers.iter().any(bad) {
        return Err(Problem::unprocessable(format!("approvers: name 1 to {APPROVERS}, each in at most {TEXT_BYTES} bytes")));
    }
    let (for_work, actor, epoch) = (Arc::clone(&app), administrator.actor(), shredding.epoch.clone());
    let failed = move || Record::new(actor.clone(), "recall.erasure", "D", json!({"type": "recall:epoch", "id": epoch}));
    let work = async move {
        let done = tokio::task::spawn_blocking(move || {
            let trail = &for_work.trail;
            let old_root = trail.keys().root_id();
            let record = |doomed: &Doomed| for_work.submission(record_of(&administrator, &shredding, doomed), Vec::new());
            let done =
                trail.shred(&shredding.epoch, &shredding.class, |doomed| record(doomed).map_err(|problem| problem.detail().to_owned()));
            done.map(|done| (done, old_root, shredding))
        });
        let done = done.await.map_err(|_| Problem::internal("the shredding broke off: start the server again to complete it"))?;
        let (done, old_root, shredding) = done.map_err(refusal)?;
        let sets: Vec<u64> = done.erasures.iter().map(|erasure| erasure.key_set).collect();
        Ok(json!({
            "epoch": shredding.epoch, "class": shredding.class, "recorded_as": done.by, "key_sets": sets,
            "destroy": format!(
                "what was shredded comes back out of a copy of root key {old_root} and a keyring exported before now: destroy every copy of the two, then export the keyring anew"
            ),
        }))
    };
    Ok(answer(&app.long_work(failed, work).await?))
}

fn refusal(error: ShredError) -> Problem {
    match error {
        ShredError::Unknown => Problem::not_found(format!("epoch: {error}")),
        ShredError::Kept => Problem::unprocessable(format!("class: {error}")),
        _ => Problem::unavailable(error.to_string()),
    }
}

/// The event that says what was erased, by which rule, approved by whom.
fn record_of(administrator: &Identity, shredding: &Shredding, doomed: &Doomed) -> Record {
    let sets: Vec<String> = doomed.sets.iter().map(|set| set.id.to_string()).collect();
    let first = doomed.ranges.first().map_or(0, |(first, _)| *first);
    let end = doomed.ranges.last().map_or(0, |(first, count)| first.saturating_add(u64::from(*count)));
    let events: u64 = doomed.ranges.iter().map(|(_, count)| u64::from(*count)).sum();
    let mut metadata = json!({"epoch": shredding.epoch, "class": shredding.class, "key_set": sets.join(" "), "rule": shredding.rule,
        "first_index": first.to_string(), "end_index": end.to_string(), "events": events.to_string()});
    if let Some(members) = metadata.as_object_mut() {
        for (number, approver) in shredding.approvers.iter().enumerate() {
            members.insert(format!("approver_{}", number + 1), approver.clone().into());
        }
    }
    let target = json!({"type": "recall:epoch", "id": shredding.epoch});
    Record::new(administrator.actor(), "recall.erasure", "D", target).with(metadata)
}

/// The row of kind `Setting` that says which keyring was exported last.
const EXPORTED: &str = "keyring-exported";

/// What a keyring that is exported now holds: its root key and its latest set.
fn state_of(keys: &Keys) -> String {
    format!("{} {}", keys.root_id(), keys.sets().last().map_or(0, |set| set.id))
}

/// What to do about an exported keyring that lacks what the trail is sealed under by now, if so.
pub fn stale_export(trail: &Trail) -> Option<&'static str> {
    match trail.row(Kind::Setting, EXPORTED) {
        None => Some("the keyring was never exported, and no backup opens without it: recall keys export FILE"),
        Some(exported) if *exported != *state_of(trail.keys()).as_bytes() => Some(
            "since the keyring was last exported, keys were added or changed, so that a backup made from now on does not open with it: recall keys export FILE",
        ),
        Some(_) => None,
    }
}

/// `GET /v1/keys/export`: the keyring as it lies on disk; every key in it is wrapped under the root key.
pub async fn export(State(app): State<Shared>, administrator: Identity) -> Result<Response, Problem> {
    let path = app.trail.folder().join("keyring");
    // Before the file is read, so that it says too little rather than too much.
    let exported = state_of(app.trail.keys());
    let bytes = tokio::task::spawn_blocking(move || std::fs::read(path)).await;
    let Ok(Ok(bytes)) = bytes else { return Err(Problem::internal("the keyring cannot be read: see recall doctor")) };
    let row = RowChange::put(Kind::Setting, EXPORTED, exported.into_bytes());
    app.record(Record::new(administrator.actor(), "recall.key.export", "R", json!({"type": "recall:keyring"})), vec![row]).await?;
    Ok(([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], bytes).into_response())
}
