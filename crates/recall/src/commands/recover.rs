//! `recall recover`: a restored copy goes on under a new origin and signing key.

use recall_store::recover;
use serde_json::json;

use crate::cli::Folder;
use crate::failure::Failure;
use crate::folder::Place;
use crate::output;

/// Recovers, and says under which key the log goes on.
pub fn run(folder: &Folder, as_json: bool) -> Result<(), Failure> {
    let place = Place::of(folder)?;
    let recovered = recover::recover(&place.data, &place.root, &place.anchor).map_err(|error| Failure::wrong(error.to_string()))?;
    if as_json {
        return output::json(&json!({"vkey": recovered.vkey, "origin": recovered.origin, "first_index": recovered.first_index}));
    }
    output::line(&format!(
        "the trail goes on as {}, with event {} naming the checkpoint that the copy is behind\npublic key {}",
        recovered.origin, recovered.first_index, recovered.vkey
    ))?;
    output::note("tell everybody who verifies this log its new public key, and keep the old key and checkpoints: they prove what the copy lacks")
}
