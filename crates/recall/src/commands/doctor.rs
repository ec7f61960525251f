//! `recall doctor`: what around a trail is wrong or risky, in plain sentences with the remedy. Changes nothing.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use recall_log::checkpoint::Checkpoint;
use recall_log::note::Verifier;
use recall_log::time::Timestamp;
use recall_store::keys::{Keys, RootSource};
use recall_store::seams::{Clock, SystemClock};
use recall_store::trail::{OpenOptions, Trail};
use serde_json::json;

use crate::cli::Folder;
use crate::failure::Failure;
use crate::folder::{self, Place};
use crate::http::keys::stale_export;
use crate::output;

/// Less free room than this is wrong, bytes.
const ROOM_WRONG: u64 = 64 << 20;
/// Less than this is risky, bytes.
const ROOM_RISKY: u64 = 2 << 30;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Good,
    Risky,
    Wrong,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Risky => "risky",
            Self::Wrong => "wrong",
        }
    }
}

struct Look {
    what: &'static str,
    level: Level,
    sentence: String,
}

fn look(what: &'static str, level: Level, sentence: impl Into<String>) -> Look {
    Look { what, level, sentence: sentence.into() }
}

/// Looks at everything; exit code 1 if something is wrong.
pub fn run(folder: &Folder, as_json: bool) -> Result<(), Failure> {
    let place = Place::of(folder)?;
    if !place.data.join("keyring").is_file() {
        return Err(Failure::wrong(format!("{} holds no trail: make one with recall init --data DIR", place.data.display())));
    }
    let mut looks = vec![
        permissions(&place.data),
        root_key(&place),
        root_key_place(&place),
        room(&place.data),
        clock(&place),
        anchor(&place),
        anchor_place(&place),
    ];
    looks.extend(catalog(&place));
    if as_json {
        let looks: Vec<_> =
            looks.iter().map(|look| json!({"what": look.what, "level": look.level.name(), "sentence": look.sentence})).collect();
        output::json(&json!({"looks": looks}))?;
    } else {
        for look in &looks {
            output::line(&format!("{:5}  {}: {}", look.level.name(), look.what, look.sentence))?;
        }
    }
    match looks.iter().filter(|look| look.level == Level::Wrong).count() {
        0 => Ok(()),
        count => Err(Failure::check(format!("{count} of {} looks found something wrong", looks.len()))),
    }
}

fn permissions(data: &Path) -> Look {
    const WHAT: &str = "permissions";
    match std::fs::metadata(data) {
        Err(error) => look(WHAT, Level::Wrong, format!("the folder cannot be looked at ({error}): see that this user may")),
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => look(
            WHAT,
            Level::Risky,
            format!("others may look into the folder; what lies there is encrypted, but run chmod 700 {}", data.display()),
        ),
        Ok(_) => look(WHAT, Level::Good, "the folder is its owner's alone"),
    }
}

fn root_key(place: &Place) -> Look {
    const WHAT: &str = "root key";
    match Keys::find_root(&place.data.join("keyring"), &place.root) {
        Ok(key) => look(WHAT, Level::Good, format!("root key {} opens the keyring", key.id())),
        Err(error) => look(WHAT, Level::Wrong, error.to_string()),
    }
}

fn root_key_place(place: &Place) -> Look {
    const WHAT: &str = "root key's place";
    let file = match &place.root {
        RootSource::File(file) => file,
        RootSource::Credential(_) => return look(WHAT, Level::Good, "the root key is handed in by the service manager"),
        RootSource::Command(_) => return look(WHAT, Level::Good, "the root key comes from a command"),
    };
    match (std::fs::metadata(file), std::fs::metadata(&place.data)) {
        (Ok(key), Ok(data)) if key.dev() == data.dev() => look(
            WHAT,
            Level::Risky,
            "the root key lies on the disk of the data: whoever takes the disk reads everything; move it to another disk or a key service and name it with --root-key-file or --root-key-command",
        ),
        (Ok(_), Ok(_)) => look(WHAT, Level::Good, "the root key lies on another disk than the data"),
        _ => look(WHAT, Level::Wrong, "the root key's file cannot be looked at: name the right one with --root-key-file"),
    }
}

fn room(data: &Path) -> Look {
    const WHAT: &str = "room";
    match rustix::fs::statvfs(data) {
        Err(error) => look(WHAT, Level::Wrong, format!("the free room cannot be told ({error})")),
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let sentence = format!("{} MiB are free", free >> 20);
            match free {
                0..ROOM_WRONG => look(WHAT, Level::Wrong, format!("{sentence}: make room now, or events are refused soon")),
                ROOM_WRONG..ROOM_RISKY => look(WHAT, Level::Risky, format!("{sentence}: make room before events are refused")),
                _ => look(WHAT, Level::Good, sentence),
            }
        }
    }
}

fn clock(place: &Place) -> Look {
    const WHAT: &str = "clock";
    let written = std::fs::metadata(&place.anchor).and_then(|metadata| metadata.modified()).ok();
    let written = written.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let written = written.map(|since| Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)));
    let now = SystemClock.now();
    match written {
        Some(written) if written > now => look(
            WHAT,
            Level::Wrong,
            format!("the clock says {now}, before the last checkpoint was written: set it, and keep it set with NTP"),
        ),
        _ if now < Timestamp::from_micros(1_704_067_200_000_000) => {
            look(WHAT, Level::Wrong, format!("the clock says {now}, long ago: set it, and keep it set with NTP"))
        }
        _ => look(WHAT, Level::Good, format!("the clock says {now}")),
    }
}

/// What the anchor is worth: whoever can write both it and the folder can put both back.
fn anchor_place(place: &Place) -> Look {
    const WHAT: &str = "anchor's place";
    match (std::fs::metadata(&place.anchor), std::fs::metadata(&place.data)) {
        (Ok(anchor), Ok(data)) if anchor.dev() == data.dev() => look(
            WHAT,
            Level::Risky,
            "the second copy of the checkpoint lies on the disk of the data: whoever puts back the disk puts back both, unnoticed; name a place on another disk with --anchor-file",
        ),
        (Ok(_), Ok(_)) => look(WHAT, Level::Good, "the second copy of the checkpoint lies on another disk than the data"),
        _ => look(WHAT, Level::Good, "there is no second copy of the checkpoint yet"),
    }
}

fn anchor(place: &Place) -> Look {
    const WHAT: &str = "anchor";
    let published = place.data.join("log/checkpoint");
    if !published.exists() && !place.anchor.exists() {
        return look(WHAT, Level::Good, "nothing is published yet");
    }
    let Ok(note) = std::fs::read(&place.anchor) else {
        return look(
            WHAT,
            Level::Wrong,
            format!(
                "there is no second copy of the last checkpoint at {}: whether the folder was put back to an older state can't be told; put it back, or name its place with --anchor-file, or run recall anchor if you know that nothing is missing",
                place.anchor.display()
            ),
        );
    };
    let opened =
        folder::vkey(&place.data).ok().and_then(|vkey| Verifier::parse(&vkey).ok()).and_then(|log| Checkpoint::open(&note, &log, &[]).ok());
    match opened {
        Some((checkpoint, _)) => look(WHAT, Level::Good, format!("the second copy of the checkpoint stands at {} events", checkpoint.size)),
        None => look(
            WHAT,
            Level::Wrong,
            format!("{} is no checkpoint of this log: see whether it was changed, and compare recall verify", place.anchor.display()),
        ),
    }
}

fn catalog(place: &Place) -> Vec<Look> {
    const WHAT: &str = "catalog";
    // Read-only: looking takes no lock and changes nothing, so that a server may be at work.
    let trail = match Trail::open(OpenOptions { read_only: true, ..place.options() }) {
        Err(error) => return vec![look(WHAT, Level::Wrong, error.to_string())],
        Ok(trail) => trail,
    };
    let damage: Vec<String> = trail.damage().iter().map(ToString::to_string).collect();
    let mut looks = vec![match (trail.read_only().filter(|_| trail.is_copy()), damage.is_empty()) {
        (_, false) => look(WHAT, Level::Wrong, damage.join("; ")),
        (Some(reason), true) => look(WHAT, Level::Wrong, reason),
        (None, true) => look(WHAT, Level::Good, format!("it opens, its heads agree, and it holds {} events", trail.size())),
    }];
    if !trail.unfinished_erasures().is_empty() {
        looks.push(look(
            "erasures",
            Level::Wrong,
            "an erasure is recorded, but the key of what it erased is not destroyed: see that the root key's file can be replaced, then start the trail again",
        ));
    }
    if let Some(month) = trail.month_ahead() {
        looks.push(look(
            "epoch",
            Level::Risky,
            format!(
                "new events are kept under {month}, which the clock has not reached: a clock was wrong, and what is kept by the month is kept under that one"
            ),
        ));
    }
    looks.push(match stale_export(&trail) {
        Some(stale) => look("exported keyring", Level::Risky, stale),
        None => look("exported keyring", Level::Good, "the keyring that was exported last holds every key"),
    });
    looks
}
