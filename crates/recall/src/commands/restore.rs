//! `recall restore`: a backup and its keyring become a trail, once they are verified. It is read-only until `recall recover`, unless the last
//! checkpoint that is known shows that it is not behind.

use recall_store::trail::{OpenOptions, Trail, beside};
use recall_store::{backup, recover};
use serde_json::json;

use crate::cli::Restore;
use crate::commands::verify::{Check, check_folder};
use crate::failure::Failure;
use crate::folder::{self, Place, read_small};
use crate::output;

/// Copies, verifies, and only then gives the folder its name.
pub fn run(options: &Restore, as_json: bool) -> Result<(), Failure> {
    let place = Place::of(&options.folder)?;
    let keyring = read_small(&options.keyring)?;
    let checkpoint = options.checkpoint.as_deref().map(read_small).transpose()?;
    let bar = output::progress(None, false, "files");
    let staged = backup::stage_restore(&options.from, &place.data, keyring.as_bytes(), &mut |copied| bar.set_position(copied.files))
        .map_err(|error| Failure::wrong(error.to_string()))?;
    bar.finish_and_clear();
    let vkey = folder::vkey(staged.folder())?;
    let staged_place = Place { data: staged.folder().to_owned(), root: place.root.clone(), anchor: beside(staged.folder(), "anchor") };
    let check = check_folder(&staged_place, None, Check::Restored)?;
    if !check.findings.is_empty() {
        check.print(as_json)?;
        return Err(Failure::check("the backup is damaged, or the keyring is not the one that belongs to it, so nothing was restored"));
    }
    if let Some(note) = &checkpoint {
        recover::prove_restored(staged.folder(), &place.anchor, note, &vkey)
            .map_err(|error| Failure::wrong(format!("--checkpoint: {error}")))?;
    }
    staged.finish().map_err(|error| Failure::unreachable(error.to_string()))?;
    let read_only = standing(&place);
    let data = place.data.display().to_string();
    if as_json {
        return output::json(&json!({"data": data, "size": check.size, "findings": [], "read_only": read_only}));
    }
    output::line(&format!("{data} is restored and verified: {} events", check.size))?;
    if let Some(reason) = read_only {
        output::note(&format!("it opens read-only: {reason}"));
    }
    Ok(())
}

/// Why the restored folder takes nothing yet, if so. Without the root key that is not known.
fn standing(place: &Place) -> Option<String> {
    let trail = Trail::open(OpenOptions { read_only: true, ..place.options() }).ok()?;
    trail.read_only().filter(|_| trail.is_copy()).map(str::to_owned)
}
