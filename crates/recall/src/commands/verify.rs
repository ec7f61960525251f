//! `recall verify`: a folder, a served log, or a receipt. Says what was checked, what could not be, and where something does not fit.

mod folder_check;

use indicatif::ProgressBar;
use recall_log::checkpoint::Checkpoint;
use recall_log::note::Verifier;
use recall_log::proof::{Disclosure, Receipt};
use recall_log::tile::TileSource;
use recall_log::verify::{verify_log, verify_tree};
use serde_json::json;

pub use folder_check::{Check, check_folder};

use crate::cli::Verify;
use crate::failure::Failure;
use crate::folder::Place;
use crate::output;
use crate::tile_source::ServedLog;

/// What was checked and found.
#[derive(Default)]
pub struct Report {
    /// Events under the checkpoint that was verified.
    pub size: u64,
    /// Checks that were made.
    pub made: Vec<String>,
    /// Checks that could not be made, and why.
    pub not_made: Vec<String>,
    /// What does not fit, each with its place.
    pub findings: Vec<String>,
}

impl Report {
    /// Writes the report: one line for each check and finding.
    pub fn print(&self, as_json: bool) -> Result<(), Failure> {
        if as_json {
            return output::json(&json!({
                "good": self.findings.is_empty(), "size": self.size, "checked": self.made, "not_checked": self.not_made, "findings": self.findings,
            }));
        }
        for made in &self.made {
            output::line(&format!("checked      {made}"))?;
        }
        for not_made in &self.not_made {
            output::line(&format!("not checked  {not_made}"))?;
        }
        for finding in &self.findings {
            output::line(&format!("FOUND        {}", output::printable(finding)))?;
        }
        Ok(())
    }
}

/// Verifies; exit code 1 if something does not fit.
pub fn run(options: &Verify, as_json: bool) -> Result<(), Failure> {
    let log = options.public_key.as_deref().map(parse_key).transpose()?;
    let report = match (&options.receipt, &options.url) {
        (Some(file), _) => check_receipt(
            &std::fs::read(file).map_err(|error| Failure::wrong(format!("{} cannot be read: {error}", file.display())))?,
            log,
        )?,
        (None, Some(url)) => check_url(url, log)?,
        (None, None) if options.folder.data.is_some() => check_folder(&Place::of(&options.folder)?, log, Check::InPlace)?,
        (None, None) => return Err(Failure::wrong("verify what? name --data DIR, --url URL or --receipt FILE")),
    };
    report.print(as_json)?;
    match report.findings.len() {
        0 => Ok(()),
        count => Err(Failure::check(format!("verification failed: {count} findings"))),
    }
}

fn parse_key(vkey: &str) -> Result<Verifier, Failure> {
    Verifier::parse(vkey.trim()).map_err(|error| Failure::wrong(format!("--public-key: {error}")))
}

/// A receipt alone proves nothing without a key that came another way.
fn check_receipt(bytes: &[u8], log: Option<Verifier>) -> Result<Report, Failure> {
    let log = log.ok_or_else(|| Failure::wrong("a receipt is verified against the log's public key: name it with --public-key VKEY"))?;
    let mut report = Report::default();
    match Receipt::parse(bytes).and_then(|receipt| receipt.verify(&log, &[])) {
        Err(error) => report.findings.push(format!("receipt: {error}")),
        Ok(proven) => {
            report.size = proven.checkpoint.size;
            report.made.push(format!(
                "event {} is in the log {} of {} events, signed by its key",
                proven.index, proven.checkpoint.origin, proven.checkpoint.size
            ));
            match &proven.disclosure {
                Disclosure::Entry(_) => report.not_made.push("content: it is not in the receipt, which proves the entry alone".into()),
                Disclosure::Parts { public, phi } => {
                    for (part, shown) in [("public part", public), ("PHI part", phi)] {
                        match shown.bytes() {
                            Some(_) => report.made.push(format!("the {part} in the receipt is the one that was logged")),
                            None => {
                                report.not_made.push(format!("the {part}: it is not in the receipt, which proves its commitment alone"))
                            }
                        }
                    }
                }
            }
        }
    }
    Ok(report)
}

fn check_url(url: &str, log: Option<Verifier>) -> Result<Report, Failure> {
    let source = ServedLog::new(url)?;
    let note = source.read("checkpoint").map_err(|error| Failure::unreachable(error.to_string()))?;
    let note =
        note.ok_or_else(|| Failure::unreachable(format!("{url} serves no checkpoint: nothing is published yet, or this is no log")))?;
    let mut report = Report::default();
    let bar = output::progress(checkpoint_of(&note).map(|checkpoint| checkpoint.size), false, "entries");
    check_tree(&source, &note, log, &bar, &mut report);
    bar.finish_and_clear();
    report.not_made.push("content of events: it is not served; verify the folder with its root key".into());
    Ok(report)
}

/// Verifies checkpoint, bundles and tiles of a log.
pub fn check_tree(
    source: &dyn TileSource,
    note: &[u8],
    log: Option<Verifier>,
    bar: &ProgressBar,
    report: &mut Report,
) -> Option<Checkpoint> {
    let mut seen = |first: u64, entries: &[&[u8]]| bar.set_position(first + entries.len() as u64);
    let head = match log {
        Some(log) => {
            let verdict = verify_log(source, &log, &[], &mut seen);
            report.findings.extend(verdict.findings.iter().map(ToString::to_string));
            let head = verdict.head.map(|(checkpoint, _)| checkpoint);
            if head.is_some() {
                report.made.push(format!("checkpoint: signed by {}; no witness cosigns it, so keep copies of it outside", log.name()));
            }
            head
        }
        None => {
            report.not_made.push("signature of the checkpoint: name the log's public key with --public-key VKEY".into());
            let head = checkpoint_of(note);
            match &head {
                Some(checkpoint) => report.findings.extend(verify_tree(source, checkpoint, &mut seen).iter().map(ToString::to_string)),
                None => report.findings.push("checkpoint: it cannot be read".into()),
            }
            head
        }
    };
    if let Some(checkpoint) = &head {
        report.size = checkpoint.size;
        report.made.push(format!("tree: every entry, hash and the root of {} events", checkpoint.size));
    }
    head
}

/// What the note says, whoever signed it.
fn checkpoint_of(note: &[u8]) -> Option<Checkpoint> {
    let (text, _) = std::str::from_utf8(note).ok()?.split_once("\n\n")?;
    Checkpoint::parse(&format!("{text}\n")).ok()
}
