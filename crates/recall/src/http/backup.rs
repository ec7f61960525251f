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
use crate::identity::Identity;
use crate::record::Record;

/// The body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    to: PathBuf,
}

/// `POST /v1/backups`
pub async fn create(State(app): State<Shared>, administrator: Identity, JsonBody(wanted): JsonBody<Wanted>) -> Result<Response, Problem> {
    let to = target(&wanted.to, app.trail.folder())?;
    let record = move || Record::new(administrator.actor(), "recall.backup", "R", json!({"type": "recall:trail"}));
    let (for_work, first) = (Arc::clone(&app), record());
    let work = async move {
        for_work.record(first, Vec::new()).await?;
        let target = to.clone();
        let sets: Vec<u64> = for_work.trail.keys().sets().iter().map(|set| set.id).collect();
        let keyring = stale_export(&for_work.trail);
        let copied = tokio::task::spawn_blocking(move || backup::backup(for_work.trail.folder(), &target, &mut |_| ()));
        let copied = copied.await.map_err(|_| Problem::internal("the backup broke off: ask for it again"))?;
        let copied = copied.map_err(|error| Problem::unprocessable(error.to_string()))?;
        Ok(
            json!({"to": to, "files": copied.files, "size_bytes": copied.size_bytes, "size": copied.published, "key_sets": sets, "keyring": keyring}),
        )
    };
    Ok(answer(&app.long_work(record, work).await?))
}

/// Where the copy goes: a new name in a folder that exists, outside the trail's by whatever way it is named.
fn target(to: &Path, trail: &Path) -> Result<PathBuf, Problem> {
    let place = || {
        let parent = to.is_absolute().then(|| to.parent()).flatten()?.canonicalize().ok()?;
        let target = parent.join(to.file_name()?);
        let inside = target.starts_with(trail.canonicalize().ok()?);
        (parent.is_dir() && !inside).then_some(target)
    };
    place().ok_or_else(|| {
        Problem::unprocessable("to: name a new folder by its absolute path, outside the trail's and in a folder that exists on the server")
    })
}

#[cfg(test)]
mod tests;
