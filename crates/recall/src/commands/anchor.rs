//! `recall anchor`: places the second copy of the last checkpoint where it is missing, on the operator's word that the trail is whole.

use std::sync::Arc;

use recall_store::recover;
use serde_json::json;

use crate::cli::Folder;
use crate::commands::serve::Running;
use crate::failure::Failure;
use crate::folder::Place;
use crate::identity::Identity;
use crate::output;
use crate::record::Record;

/// Places it, and records that somebody did.
pub fn run(folder: &Folder, as_json: bool) -> Result<(), Failure> {
    let place = Place::of(folder)?;
    let size = recover::place_anchor(&place.options()).map_err(|error| Failure::wrong(error.to_string()))?;
    let running = Running::local(folder)?;
    let app = Arc::clone(running.app());
    let record = Record::new(Identity::machine().actor(), "recall.anchor.place", "U", json!({"type": "recall:anchor", "count": size}));
    running.block_on(async move { app.record(record, Vec::new()).await }).map_err(|problem| Failure::unreachable(problem.detail()))?;
    running.close()?;
    let file = place.anchor.display().to_string();
    if as_json {
        return output::json(&json!({"anchor": file, "size": size}));
    }
    output::line(&format!("{file} holds the last checkpoint, of {size} events; from now on the trail is compared with it"))
}
