//! Deep verification: is what the trail keeps still what was committed?
//!
//! For every event that can be read, the commitment is computed again from stored bytes and salts and compared with its entry in the public
//! log; its searched columns, postings and keys of repeats are derived again and compared with those stored. Files are compared with the
//! digests in the catalog. All processors share the work, findings come in the order of the trail, and memory stays bounded however long
//! that is: postings and keys are compared by fingerprints, and one by one only where those differ. The tree itself is
//! `recall_log::verify`'s business.

mod compare;
mod entries;
mod exact;
mod findings;
mod fingerprint;
mod pool;
mod reader;
mod rows;
mod sides;
#[cfg(test)]
mod tests;
mod walk;

use std::fmt;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::catalog::{Catalog, CatalogError};
use crate::keys::{KeyringError, RootSource, TrailKey};
use crate::seams::{NoFaults, SystemRandom};
use crate::snapshot::ReadError;
use crate::trail::{OpenError, OpenOptions, Trail};

/// Something that is not as it was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which event, file or row.
    pub place: String,
    /// What is wrong there. Never content.
    pub what: String,
}

impl Finding {
    fn new(place: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { place: place.to_string(), what: what.to_string() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.place, self.what)
    }
}

/// What deep verification says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// Events whose content was compared.
    pub events: u64,
    /// Events that were erased, with a record that says so.
    pub erased: Vec<Erasing>,
    /// What does not fit.
    pub findings: Vec<Finding>,
}

/// What one event erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erasing {
    /// The event that records it.
    pub by: u64,
    /// How many events it erased.
    pub events: u64,
}

impl Content {
    fn add_erased(&mut self, erasing: Erasing) {
        match self.erased.iter_mut().find(|other| other.by == erasing.by) {
            Some(other) => other.events = other.events.saturating_add(erasing.events),
            None => self.erased.push(erasing),
        }
    }
}

/// Why a folder could not be verified at all. What is merely damaged is a finding.
#[derive(Debug, Error)]
pub enum VerifyError {
    /// There is nothing to read.
    #[error(transparent)]
    Unreadable(OpenError),
    /// A server works there.
    #[error("another process works on {0}; stop it, or verify the served log by --url")]
    Held(PathBuf),
    /// Without the right root key nothing can be opened.
    #[error(transparent)]
    Root(KeyringError),
}

/// Verifies a folder that no server holds: catalog, keys and content. Nothing is written. `progress` is told how many events are done, and
/// ends the work by returning false.
pub fn folder(path: &Path, root: &RootSource, progress: &mut dyn FnMut(u64) -> bool) -> Result<Content, VerifyError> {
    folder_in(OpenOptions::new(path, root.clone()), progress)
}

/// As `folder`, with a place of its own for the anchor.
pub fn folder_in(options: OpenOptions, progress: &mut dyn FnMut(u64) -> bool) -> Result<Content, VerifyError> {
    let _lock = hold(&options.folder)?;
    let trail = match Trail::open(OpenOptions { read_only: true, ..options }) {
        Ok(trail) => trail,
        Err(error) => return refused(error).map(|finding| Content { findings: vec![finding], ..Content::default() }),
    };
    let mut findings: Vec<Finding> = trail.damage().iter().map(|damage| Finding::new(&damage.place, &damage.what)).collect();
    if let Some(reason) = trail.read_only().filter(|_| trail.is_behind()) {
        findings.push(Finding::new("catalog", reason));
    }
    findings.extend(integrity(&trail));
    let content = walk::verify(&trail, progress);
    findings.extend(content.findings);
    Ok(Content { findings, ..content })
}

/// Keeps a server from starting meanwhile. A folder without a lock file, or one that can't be locked, is a copy at rest.
fn hold(path: &Path) -> Result<Option<File>, VerifyError> {
    let Ok(file) = File::open(path.join("lock")) else { return Ok(None) };
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Err(VerifyError::Held(path.to_owned())),
        _ => Ok(Some(file)),
    }
}

/// Tells damage, which is a finding, from what makes verification impossible.
fn refused(error: OpenError) -> Result<Finding, VerifyError> {
    let place = match error {
        OpenError::Keyring(error @ (KeyringError::WrongRoot { .. } | KeyringError::NoRoot { .. } | KeyringError::Root(_))) => {
            return Err(VerifyError::Root(error));
        }
        OpenError::Keyring(_) | OpenError::Sign(_) | OpenError::Verifier(_) => "keyring",
        OpenError::Catalog(_) | OpenError::Gap(_) => "catalog.sqlite",
        OpenError::Absent(_) | OpenError::Lock(_) | OpenError::Io(_) => return Err(VerifyError::Unreadable(error)),
    };
    Ok(Finding::new(place, error))
}

/// SQLite's own check of its file.
fn integrity(trail: &Trail) -> Vec<Finding> {
    on_disk(trail, |catalog| Ok(catalog.integrity()?.into_iter().map(|damage| Finding::new(damage.place, damage.what)).collect()))
}

/// The catalog as it lies on the disk, whatever memory holds of it: SQLite's check, rows against their heads, the seals of every batch.
fn reread(trail: &Trail) -> Vec<Finding> {
    on_disk(trail, |catalog| {
        let mut damage = catalog.integrity()?;
        damage.extend(catalog.load()?.damage);
        let mut findings = Vec::new();
        let phi = trail.phi_access();
        catalog.batches(&mut damage, |batch| match batch.open(trail.keys(), &phi) {
            Ok(_) | Err(ReadError::Erased(_)) => {}
            Err(error) => findings.push(Finding::new(format!("the batch at index {}", batch.first_index), error)),
        })?;
        findings.extend(damage.into_iter().map(|damage| Finding::new(damage.place, damage.what)));
        Ok(findings)
    })
}

fn on_disk(trail: &Trail, look: impl FnOnce(&mut Catalog) -> Result<Vec<Finding>, CatalogError>) -> Vec<Finding> {
    let path = trail.folder().join("catalog.sqlite");
    let key = trail.keys().trail(TrailKey::Catalog);
    let opened = Catalog::open_read_only(&path, key, Arc::new(SystemRandom), Arc::new(NoFaults));
    opened.and_then(|mut catalog| look(&mut catalog)).unwrap_or_else(|error| vec![Finding::new("catalog.sqlite", error)])
}

impl Trail {
    /// Verifies the content of a trail that is open, as of now, its catalog as it lies on the disk, and what was found at the start.
    /// `progress` as in `folder`.
    pub fn verify_content(&self, progress: &mut dyn FnMut(u64) -> bool) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self.damage().iter().map(|damage| Finding::new(&damage.place, &damage.what)).collect();
        findings.extend(reread(self));
        findings.extend(walk::verify(self, progress).findings);
        findings
    }
}
