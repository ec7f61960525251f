//! `POST /v1/backups`: a copy of the running trail into a new folder of this machine. It holds ciphertext and no keys.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use recall_store::backup;
use serde::Deserialize;
use serde_json::json;

use crate::app::Shared;
use crate::http::format::{JsonBody, json as answer};
use crate::http::keys::stale_export;
use crate::http::problem::Problem;
use crate::identity::{Identity, Permission};
use crate::record::Record;

/// The body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    to: PathBuf,
}

/// `POST /v1/backups`
pub async fn create(State(app): State<Shared>, administrator: Identity, JsonBody(wanted): JsonBody<Wanted>) -> Result<Response, Problem> {
    administrator.role.may(Permission::Administer)?;
    let to = wanted.to;
    let inside = to.starts_with(std::path::absolute(app.trail.folder()).unwrap_or_default());
    if !to.is_absolute() || inside || !to.parent().is_some_and(Path::is_dir) {
        return Err(Problem::unprocessable(
            "to: name a new folder by its absolute path, outside the trail's and in a folder that exists on the server",
        ));
    }
    let _one_at_a_time = app.administration.lock().await;
    app.record(Record::new(administrator.actor(), "recall.backup", "R", json!({"type": "recall:trail"})), Vec::new()).await?;
    let (for_thread, target) = (Arc::clone(&app), to.clone());
    let copied = tokio::task::spawn_blocking(move || backup::backup(for_thread.trail.folder(), &target, &mut |_| ()));
    let copied = copied.await.map_err(|_| Problem::internal("the backup broke off: ask for it again"))?;
    let copied = copied.map_err(|error| Problem::unprocessable(error.to_string()))?;
    Ok(answer(&json!({"to": to, "files": copied.files, "size_bytes": copied.size_bytes, "size": copied.published,
        "key_sets": app.trail.keys().sets().iter().map(|set| set.id).collect::<Vec<_>>(), "keyring": stale_export(&app.trail)})))
}
