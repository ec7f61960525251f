//! `recall recover`: a restored copy goes on under a new origin and signing key.

use recall_store::recover;
use serde_json::json;

use crate::cli::Recover;
use crate::commands::init::new_origin;
use crate::commands::serve::Running;
use crate::failure::Failure;
use crate::folder::{Place, require_own};
use crate::output;
use crate::router::Door;

/// Recovers, names the checkpoint that the copy is behind in an event, and says under which key the log goes on.
pub fn run(options: &Recover, as_json: bool) -> Result<(), Failure> {
    let place = Place::of(&options.folder)?;
    require_own(&place.data)?;
    let origin = options.origin.clone().unwrap_or_else(new_origin);
    let trail = recover::recover(place.options(), &origin).map_err(|error| Failure::wrong(error.to_string()))?;
    let size = trail.size();
    let running = Running::around(trail, Door::Machine)?;
    let vkey = running.app().trail.keys().vkey();
    running.close()?;
    if as_json {
        return output::json(&json!({"vkey": vkey, "origin": origin, "first_index": size}));
    }
    output::line(&format!("the trail goes on as {origin}; event {size} names the checkpoint that was left behind\npublic key  {vkey}"))?;
    output::note(
        "tell everybody who verifies this log its new public key, and keep the old key and checkpoints: they prove what the copy lacks",
    );
    Ok(())
}
