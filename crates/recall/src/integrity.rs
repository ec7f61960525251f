//! Scheduled verification: a thread of low priority that recomputes tree and content, keeps what it found and records each run.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use recall_log::note::Verifier;
use recall_log::tile::{SourceError, TileSource};
use recall_log::verify::verify_log;
use recall_store::catalog::{Kind, RowChange};
use recall_store::trail::Trail;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::app::Shared;
use crate::record::Record;
use crate::tile_source::FolderLog;

/// How long after the start the first run begins.
const FIRST_AFTER: Duration = Duration::from_secs(20);
/// The row that keeps the last result.
const ROW: &str = "last-verification";
/// Findings that are kept of a run.
const FINDINGS: usize = 100;
/// How much later than others the thread is served, 0 to 19.
const NICENESS: i32 = 15;

/// What verification found.
pub struct Integrity {
    last: Mutex<Option<Value>>,
    running: AtomicBool,
}

impl Integrity {
    /// Reads the last result from the catalog.
    pub fn load(trail: &Trail) -> Self {
        let last = trail.row(Kind::Setting, ROW).and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { last: Mutex::new(last), running: AtomicBool::new(false) }
    }

    /// The last result, if there was a run.
    pub fn last(&self) -> Option<Value> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the last run found something.
    pub fn found_damage(&self) -> bool {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().and_then(|last| last.get("good")?.as_bool()) == Some(false)
    }

    /// Whether a run is under way.
    pub fn running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }
}

/// The thread.
pub struct Schedule {
    stop: Sender<()>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Schedule {
    /// Starts it: one run soon, then one each `every`.
    pub fn start(app: Shared, every: Duration, runtime: Handle) -> Self {
        let (stop, stopped) = mpsc::channel();
        let stopping = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stopping);
        let thread = std::thread::Builder::new().name("verify".into()).spawn(move || {
            // On Linux this concerns the calling thread alone; a refusal makes the work no less right.
            let _ = rustix::process::nice(NICENESS);
            let mut wait = FIRST_AFTER;
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(wait) {
                run(&app, &runtime, &seen);
                wait = every;
            }
        });
        if let Err(error) = &thread {
            tracing::error!(%error, "scheduled verification could not be started");
        }
        Self { stop, stopping, thread: thread.ok() }
    }

    /// Ends it, in the middle of a run if need be.
    pub fn stop(self) {
        self.stopping.store(true, Ordering::Relaxed);
        drop(self.stop);
        if let Some(thread) = self.thread {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn run(app: &Shared, runtime: &Handle, stopping: &AtomicBool) {
    app.integrity.running.store(true, Ordering::Relaxed);
    let started = app.clock.now();
    let (size, findings) = verify(app, stopping);
    if !stopping.load(Ordering::Relaxed) {
        let result = json!({
            "started_at": started.to_string(),
            "ended_at": app.clock.now().to_string(),
            "size": size,
            "good": findings.is_empty(),
            "findings": findings.iter().take(FINDINGS).collect::<Vec<_>>(),
            "findings_not_listed": findings.len().saturating_sub(FINDINGS),
        });
        keep(app, runtime, size, &findings, result);
    }
    app.integrity.running.store(false, Ordering::Relaxed);
}

fn verify(app: &Shared, stopping: &AtomicBool) -> (u64, Vec<String>) {
    let log: PathBuf = app.trail.log_dir().to_owned();
    let mut findings = Vec::new();
    let mut size = 0;
    match Verifier::parse(&app.trail.keys().vkey()) {
        Ok(verifier) if app.trail.published() > 0 => {
            let verdict = verify_log(&Stoppable { log: FolderLog(log), stopping }, &verifier, &[], &mut |_, _| ());
            size = verdict.head.as_ref().map_or(0, |(checkpoint, _)| checkpoint.size);
            findings.extend(verdict.findings.iter().map(ToString::to_string));
        }
        Ok(_) => {}
        Err(error) => findings.push(error.to_string()),
    }
    findings.extend(app.trail.verify_content(&mut |_| !stopping.load(Ordering::Relaxed)).iter().map(ToString::to_string));
    (size, findings)
}

/// The log, until the server stops: then no file of it can be read any more, so that the walk over the tree ends soon.
struct Stoppable<'a> {
    log: FolderLog,
    stopping: &'a AtomicBool,
}

impl TileSource for Stoppable<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(SourceError("the server stops".into()));
        }
        self.log.read(path)
    }
}

/// Records the run, and keeps its result in the same transaction.
fn keep(app: &Shared, runtime: &Handle, size: u64, findings: &[String], result: Value) {
    let actor = json!({"type": "service", "id": "recall:verification"});
    let mut record = Record::new(actor, "recall.verify", "E", json!({"type": "recall:trail", "count": size}));
    match findings.first() {
        None => tracing::info!(size, "verification found all whole"),
        Some(first) => {
            tracing::error!(size, findings = findings.len(), %first, "verification found damage");
            record = record.ended("failure", first);
        }
    }
    metrics::gauge!("recall_verification_findings").set(findings.len() as f64);
    let row = RowChange::put(Kind::Setting, ROW, result.to_string());
    if let Err(problem) = runtime.block_on(app.record(record, vec![row])) {
        tracing::warn!(reason = problem.detail(), "a verification could not be recorded");
    }
    *app.integrity.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
}

#[cfg(test)]
mod tests;
