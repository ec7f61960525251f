//! `recall restore`: a backup and its keyring become a trail, once they are verified.

use recall_store::backup;
use serde_json::json;

use crate::cli::Restore;
use crate::commands::verify::{Check, check_folder};
use crate::failure::Failure;
use crate::folder::{Place, read_small};
use crate::output;

/// Copies, verifies, and only then gives the folder its name.
pub fn run(options: &Restore, as_json: bool) -> Result<(), Failure> {
    let place = Place::of(&options.folder)?;
    let keyring = read_small(&options.keyring)?;
    let bar = output::progress(None, false, "files");
    let staged = backup::stage_restore(&options.from, &place.data, keyring.as_bytes(), &mut |copied| bar.set_position(copied.files))
        .map_err(|error| Failure::wrong(error.to_string()))?;
    bar.finish_and_clear();
    let staged_place = Place { data: staged.folder().to_owned(), root: place.root.clone(), anchor: place.anchor.clone() };
    let check = check_folder(&staged_place, None, Check::Restored)?;
    if !check.findings.is_empty() {
        check.print(as_json)?;
        return Err(Failure::check("the backup is damaged, so nothing was restored"));
    }
    staged.finish().map_err(|error| Failure::unreachable(error.to_string()))?;
    let data = place.data.display().to_string();
    if as_json {
        return output::json(&json!({"data": data, "size": check.size, "findings": []}));
    }
    output::line(&format!("{data} is restored and verified: {} events", check.size))?;
    if place.anchor.exists() {
        output::note("if events were added after the backup was made, the trail opens read-only: go on with recall recover --data DIR");
    }
    Ok(())
}
