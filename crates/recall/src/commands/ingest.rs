//! `recall ingest`: sends a file of events in requests of some size, says how far it is, and goes on where a broken import stopped.
//!
//! Each request has an idempotency key made of the import's own id and the offset, which are kept beside the file until it is done:
//! a request whose answer was lost is sent again and stores nothing twice, also where events bring no ids.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::{Method, StatusCode, header};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cli::{Ingest, IngestFormat};
use crate::client::{Answer, Client};
use crate::failure::Failure;
use crate::ingest::encode::new_id;
use crate::ingest::limits;
use crate::{folder, output};
use recall_store::seams::{Clock, SystemClock, SystemRandom};

/// Bytes of a request, well below what the server takes.
const REQUEST_BYTES: usize = limits::SENT_BYTES / 2;
/// How often a busy server is asked again.
const TRIES: u32 = 120;
/// Rejected lines that are shown one by one.
const SHOWN: usize = 20;

/// Where an import stands.
#[derive(Serialize, Deserialize, Clone)]
struct Progress {
    /// The import's own id.
    import: String,
    /// Bytes that are done.
    offset: u64,
    /// Lines that are done.
    lines: u64,
    stored: u64,
    duplicate: u64,
    rejected: u64,
}

/// Sends the file.
pub fn run(options: &Ingest, as_json: bool) -> Result<(), Failure> {
    let IngestFormat::Ndjson = options.format;
    let client = Client::open(&options.target)?;
    let done = import(options, &client);
    client.close()?;
    let done = done?;
    if as_json {
        output::json(&json!({"stored": done.stored, "duplicate": done.duplicate, "rejected": done.rejected}))?;
    } else {
        output::line(&format!("{} stored, {} known before, {} rejected", done.stored, done.duplicate, done.rejected))?;
    }
    if done.rejected > 0 {
        return Err(Failure::check(format!("{} events were rejected: correct those lines and send them again", done.rejected)));
    }
    Ok(())
}

fn import(options: &Ingest, client: &Client) -> Result<Progress, Failure> {
    if options.file == Path::new("-") {
        let mut import = Import { client, state: None, bar: output::progress(None, false, "events"), progress: new_progress(), shown: 0 };
        import.send_all(&mut io::stdin().lock(), options.batch)?;
        return Ok(import.progress);
    }
    let state = options.state.clone().unwrap_or_else(|| beside(&options.file));
    let progress = resume(&state)?;
    let unreadable = |error: io::Error| Failure::wrong(format!("{} cannot be read: {error}", options.file.display()));
    let mut file = File::open(&options.file).map_err(unreadable)?;
    let total = file.metadata().map_err(unreadable)?.len();
    if progress.offset > total {
        return Err(Failure::wrong(format!(
            "{} is shorter than what was sent of it before: remove {} to start anew",
            options.file.display(),
            state.display()
        )));
    }
    file.seek(SeekFrom::Start(progress.offset)).map_err(unreadable)?;
    let mut import = Import { client, state: Some(state.clone()), bar: output::progress(Some(total), true, "sent"), progress, shown: 0 };
    import.save()?;
    import.send_all(&mut BufReader::with_capacity(1 << 20, file), options.batch)?;
    std::fs::remove_file(&state)
        .map_err(|error| Failure::unreachable(format!("all is sent, but {} cannot be removed: {error}", state.display())))?;
    Ok(import.progress)
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".recall-import");
    name.into()
}

fn new_progress() -> Progress {
    Progress { import: new_id(SystemClock.now(), &SystemRandom), offset: 0, lines: 0, stored: 0, duplicate: 0, rejected: 0 }
}

fn resume(state: &Path) -> Result<Progress, Failure> {
    if !state.exists() {
        return Ok(new_progress());
    }
    let progress: Progress = serde_json::from_str(&folder::read_small(state)?)
        .map_err(|_| Failure::wrong(format!("{} is no state of an import: remove it to start anew", state.display())))?;
    output::note(&format!("going on after line {}, where the import stopped; remove {} to start anew", progress.lines, state.display()));
    Ok(progress)
}

struct Import<'a> {
    client: &'a Client,
    state: Option<PathBuf>,
    bar: ProgressBar,
    progress: Progress,
    shown: usize,
}

impl Import<'_> {
    fn send_all(&mut self, input: &mut dyn BufRead, batch: u32) -> Result<(), Failure> {
        loop {
            let (body, lines) = next_request(input, batch)?;
            if body.is_empty() {
                self.bar.finish_and_clear();
                return Ok(());
            }
            let length = body.len() as u64;
            self.send(body)?;
            self.progress.offset += length;
            self.progress.lines += lines;
            self.save()?;
            self.bar.set_position(if self.state.is_some() { self.progress.offset } else { self.progress.lines });
        }
    }

    fn send(&mut self, body: Vec<u8>) -> Result<(), Failure> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let key = format!("{}-{}", self.progress.import, self.progress.offset);
        let headers = [("content-type", "application/x-ndjson"), ("idempotency-key", key.as_str())];
        let mut tries = 0;
        let answer = loop {
            let answer = self.client.send(Method::POST, "/v1/events", &headers, body.clone())?;
            tries += 1;
            let again = answer.status != StatusCode::OK && answer.headers.contains_key(header::RETRY_AFTER);
            if !again || tries == TRIES {
                break answer.success()?.json()?;
            }
            std::thread::sleep(wait(&answer));
        };
        self.count(&answer);
        Ok(())
    }

    fn count(&mut self, answer: &Value) {
        let count = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
        self.progress.stored += count("stored");
        self.progress.duplicate += count("duplicate");
        self.progress.rejected += count("rejected");
        if count("rejected") == 0 {
            return;
        }
        let results = answer.get("results").and_then(Value::as_array).into_iter().flatten();
        for error in results.filter_map(|result| result.get("error")?.as_str()) {
            if self.shown < SHOWN {
                self.bar.suspend(|| output::note(&format!("after line {}: {}", self.progress.lines, output::printable(error))));
            }
            self.shown += 1;
        }
    }

    fn save(&self) -> Result<(), Failure> {
        let Some(state) = &self.state else { return Ok(()) };
        let text = serde_json::to_string(&self.progress).unwrap_or_default();
        folder::replace(state, text.as_bytes()).map_err(|error| {
            Failure::wrong(format!("the import's state cannot be kept in {}: {error}; name another file with --state", state.display()))
        })
    }
}

/// The next lines, at most so many of them and so many bytes; empty at the end.
fn next_request(input: &mut dyn BufRead, batch: u32) -> Result<(Vec<u8>, u64), Failure> {
    let mut body = Vec::new();
    let mut lines = 0;
    while lines < u64::from(batch) && body.len() < REQUEST_BYTES {
        let read =
            input.read_until(b'\n', &mut body).map_err(|error| Failure::unreachable(format!("the events cannot be read: {error}")))?;
        if read == 0 {
            break;
        }
        lines += 1;
    }
    Ok((body, lines))
}

fn wait(answer: &Answer) -> Duration {
    let seconds = answer.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1_u64).min(60))
}
