//! A folder, verified offline: the public log without any key; catalog, content and searched columns where the root key is at hand and
//! no server holds the folder.

use std::thread;

use indicatif::ProgressBar;
use recall_log::checkpoint::Checkpoint;
use recall_log::note::Verifier;
use recall_log::tile::{SourceError, TileSource};
use recall_log::verify::{verify_consistency, verify_partials};
use recall_store::keys::{KeyringError, RootKeyError};
use recall_store::verify::{self, Erasing, VerifyError};

use super::{Report, check_tree, checkpoint_of};
use crate::failure::Failure;
use crate::folder::{self, Place};
use crate::output;
use crate::tile_source::FolderLog;

/// Why a folder is verified.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// It stands where it works.
    InPlace,
    /// It is a backup on its way back; the anchor may be ahead of it.
    Restored,
}

/// Verifies the folder. `log`: the public key that the caller trusts; without it, the keyring's own word is taken and that is said.
pub fn check_folder(place: &Place, log: Option<Verifier>, check: Check) -> Result<Report, Failure> {
    if !place.data.join("keyring").is_file() {
        return Err(Failure::wrong(format!("{} holds no trail: name the folder that recall init made", place.data.display())));
    }
    let mut report = Report::default();
    let log = match log {
        Some(log) => log,
        None => {
            report.not_made.push(
                "that the signing key is the right one: it is taken from the folder itself; name the one you trust with --public-key VKEY"
                    .into(),
            );
            let vkey = folder::vkey(&place.data)?;
            Verifier::parse(&vkey).map_err(|error| Failure::unreachable(format!("the folder's keyring: {error}")))?
        }
    };
    let source = FolderLog(place.data.join("log"));
    let note = source.read("checkpoint");
    let size = note.as_ref().ok().and_then(Option::as_deref).and_then(checkpoint_of).map(|checkpoint| checkpoint.size);
    // Tree and content are read by different threads: the tree alone keeps one processor busy for a third of the time.
    let bar = output::progress(size, false, "events");
    let content = thread::scope(|scope| {
        let content = scope.spawn(|| check_content(place, &bar));
        check_log(place, &source, note, &log, check, &mut report);
        content.join()
    });
    bar.finish_and_clear();
    let mut content = content.map_err(|_| Failure::unreachable("verifying the content failed; this is a fault of recall".to_owned()))?;
    report.made.append(&mut content.made);
    report.not_made.append(&mut content.not_made);
    report.findings.append(&mut content.findings);
    Ok(report)
}

fn check_log(
    place: &Place,
    source: &FolderLog,
    note: Result<Option<Vec<u8>>, SourceError>,
    log: &Verifier,
    check: Check,
    report: &mut Report,
) {
    match note {
        Ok(Some(note)) => {
            if let Some(head) = check_tree(source, &note, Some(log.clone()), &ProgressBar::hidden(), report) {
                report.findings.extend(verify_partials(source, head.size, source.partials()).iter().map(ToString::to_string));
                if check == Check::InPlace {
                    check_anchor(place, source, &head, log, report);
                }
            }
        }
        Ok(None) if check == Check::InPlace && place.anchor.exists() => {
            report.findings.push("checkpoint: missing, though one was published".into())
        }
        Ok(None) => report.made.push("tree: nothing is published yet".into()),
        Err(error) => report.findings.push(error.to_string()),
    }
}

/// The second copy of the checkpoint must not be ahead of the first, nor of another history.
fn check_anchor(place: &Place, source: &FolderLog, head: &Checkpoint, log: &Verifier, report: &mut Report) {
    let Ok(note) = std::fs::read(&place.anchor) else {
        if !place.data.join("restored").exists() {
            report
                .findings
                .push(format!("anchor: missing at {}, so that a folder put back to an older state is not told", place.anchor.display()));
        }
        return report.not_made.push(format!("rollback: there is no second copy of the checkpoint at {}", place.anchor.display()));
    };
    match Checkpoint::open(&note, log, &[]) {
        Err(error) => report.findings.push(format!("anchor: {error}")),
        Ok((anchor, _)) => {
            let findings = verify_consistency(source, &anchor, head);
            if findings.is_empty() {
                report.made.push(format!("rollback: the log continues the second copy of the checkpoint at {} events", anchor.size));
            }
            report.findings.extend(findings.iter().map(ToString::to_string));
        }
    }
}

fn check_content(place: &Place, bar: &ProgressBar) -> Report {
    let mut report = Report::default();
    let verified = verify::folder_in(place.options(), &mut |done| {
        bar.set_position(done);
        true
    });
    match verified {
        Ok(content) => {
            report.made.push(format!("content: {} events against their entries, and searched columns against the events", content.events));
            let erased = |erasing: &Erasing| format!("erased: {} events, as event {} records", erasing.events, erasing.by);
            report.made.extend(content.erased.iter().map(erased));
            report.findings.extend(content.findings.iter().map(ToString::to_string));
        }
        // A key that is not there is the caller's choice; one that does not fit means that key or keyring was changed.
        Err(VerifyError::Root(error)) if !is_absent(&error) => report.findings.push(format!("keyring: {error}")),
        Err(error) => report.not_made.push(format!("content of events: {error}")),
    }
    report
}

fn is_absent(error: &KeyringError) -> bool {
    matches!(error, KeyringError::NoRoot { cause: RootKeyError::Absent(_), .. } | KeyringError::Root(RootKeyError::Absent(_)))
}
