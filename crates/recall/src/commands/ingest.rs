//! `recall ingest`: sends a file of events in requests of some size, says how far it is, and goes on where a broken import stopped.
//!
//! Each request has an idempotency key made of the import's own id and the offset, which are kept beside the file until it is done,
//! together with how long the request was and what it began and ended with: one whose answer was lost is sent again byte by byte, and
//! stores nothing twice, also where events bring no ids and the file has grown since. A file that was changed since is not gone on with.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest;
use axum::http::{Method, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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
/// Bytes of the file by which it is known again.
const BLOCK_BYTES: u64 = 4 << 10;
/// How often a busy server is asked again.
const TRIES: u32 = 120;
/// Rejected lines that are shown one by one.
const SHOWN: usize = 20;

/// Where an import stands.
#[derive(Serialize, Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Progress {
    /// The import's own id.
    import: String,
    /// Events a request.
    batch: u32,
    /// The first bytes that are done.
    head: Block,
    /// The bytes before the offset.
    before: Block,
    /// Bytes that are done.
    offset: u64,
    /// Lines that are done.
    lines: u64,
    /// The request from the offset on whose answer is waited for.
    sending: Option<Block>,
    stored: u64,
    duplicate: u64,
    rejected: u64,
}

/// Bytes of the file, by their number and SHA-256.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq)]
struct Block {
    bytes: u64,
    sha256: String,
}

impl Block {
    fn of(bytes: &[u8]) -> Self {
        let hash = digest::digest(&digest::SHA256, bytes);
        Self { bytes: bytes.len() as u64, sha256: URL_SAFE_NO_PAD.encode(hash) }
    }

    /// Whether the file holds this block at `from`.
    fn lies_at(&self, file: &mut File, from: u64) -> io::Result<bool> {
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(self.bytes).read_to_end(&mut bytes)?;
        Ok(*self == Self::of(&bytes))
    }
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
        let bar = output::progress(None, false, "events");
        let mut import = Import { client, state: None, bar, progress: new_progress(options.batch), head: Vec::new(), shown: 0 };
        import.send_all(&mut io::stdin().lock())?;
        return Ok(import.progress);
    }
    let state = options.state.clone().unwrap_or_else(|| beside(&options.file));
    let unreadable = |error: io::Error| Failure::wrong(format!("{} cannot be read: {error}", options.file.display()));
    let mut file = File::open(&options.file).map_err(unreadable)?;
    let total = file.metadata().map_err(unreadable)?.len();
    let progress = match resume(&state)? {
        Some(progress) => {
            if !progress.fits(&mut file).map_err(unreadable)? {
                return Err(Failure::wrong(format!(
                    "{} is not the file whose import stopped, or what was sent of it was changed: put the file back as it was, or remove {} to start anew (events with ids are not stored twice)",
                    options.file.display(),
                    state.display()
                )));
            }
            progress
        }
        None => new_progress(options.batch),
    };
    let mut head = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    Read::by_ref(&mut file).take(progress.head.bytes).read_to_end(&mut head).map_err(unreadable)?;
    file.seek(SeekFrom::Start(progress.offset)).map_err(unreadable)?;
    let bar = output::progress(Some(total), true, "sent");
    let mut import = Import { client, state: Some(state.clone()), bar, progress, head, shown: 0 };
    import.send_all(&mut BufReader::with_capacity(1 << 20, file)).map_err(|failure| {
        failure.and(&format!("sent again, the import goes on where {} says; remove that file to start anew", state.display()))
    })?;
    std::fs::remove_file(&state)
        .map_err(|error| Failure::unreachable(format!("all is sent, but {} cannot be removed: {error}", state.display())))?;
    Ok(import.progress)
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".recall-import");
    name.into()
}

fn new_progress(batch: u32) -> Progress {
    Progress {
        import: new_id(SystemClock.now(), &SystemRandom),
        batch,
        head: Block::of(&[]),
        before: Block::of(&[]),
        offset: 0,
        lines: 0,
        sending: None,
        stored: 0,
        duplicate: 0,
        rejected: 0,
    }
}

impl Progress {
    /// Whether the file is the one that was sent so far; it may have grown.
    fn fits(&self, file: &mut File) -> io::Result<bool> {
        let Some(before) = self.offset.checked_sub(self.before.bytes) else { return Ok(false) };
        let sending = self.sending.as_ref().map_or(Ok(true), |sending| sending.lies_at(file, self.offset))?;
        Ok(sending && self.head.lies_at(file, 0)? && self.before.lies_at(file, before)?)
    }
}

fn resume(state: &Path) -> Result<Option<Progress>, Failure> {
    if !state.exists() {
        return Ok(None);
    }
    let progress: Progress = serde_json::from_str(&folder::read_small(state)?)
        .map_err(|_| Failure::wrong(format!("{} is no state of an import: remove it to start anew", state.display())))?;
    output::note(&format!("going on after line {}, where the import stopped; remove {} to start anew", progress.lines, state.display()));
    Ok(Some(progress))
}

struct Import<'a> {
    client: &'a Client,
    state: Option<PathBuf>,
    bar: ProgressBar,
    progress: Progress,
    /// The bytes of `progress.head`.
    head: Vec<u8>,
    shown: usize,
}

impl Import<'_> {
    fn send_all(&mut self, input: &mut dyn BufRead) -> Result<(), Failure> {
        loop {
            let (body, lines) = match self.progress.sending.take() {
                Some(sending) => same_request(input, sending.bytes)?,
                None => next_request(input, self.progress.batch)?,
            };
            if body.is_empty() {
                self.bar.finish_and_clear();
                return Ok(());
            }
            let (length, block) = (body.len() as u64, usize::try_from(BLOCK_BYTES).unwrap_or(0));
            let before = Block::of(body.get(body.len().saturating_sub(block)..).unwrap_or(&[]));
            let head: Vec<u8> = body.iter().take(block.saturating_sub(self.head.len())).copied().collect();
            self.send(body)?;
            self.head.extend(head);
            self.progress.head = Block::of(&self.head);
            self.progress.before = before;
            self.progress.offset += length;
            self.progress.lines += lines;
            self.bar.set_position(if self.state.is_some() { self.progress.offset } else { self.progress.lines });
        }
    }

    fn send(&mut self, body: Vec<u8>) -> Result<(), Failure> {
        self.progress.sending = Some(Block::of(&body));
        self.save()?;
        if !body.iter().all(u8::is_ascii_whitespace) {
            let key = format!("{}-{}", self.progress.import, self.progress.offset);
            let headers = [("content-type", "application/x-ndjson"), ("idempotency-key", key.as_str())];
            let mut tries = 0;
            let answer = loop {
                let answer = self.client.send(Method::POST, "/v1/events", &headers, body.clone())?;
                tries += 1;
                let again = answer.status != StatusCode::OK && answer.headers.contains_key(header::RETRY_AFTER);
                if !again || tries == TRIES {
                    break answer;
                }
                std::thread::sleep(wait(&answer));
            };
            if answer.status.is_client_error() && answer.status != StatusCode::CONFLICT {
                // Nothing of it is stored, so that it may be corrected before it is sent again.
                self.progress.sending = None;
                self.save()?;
            }
            self.count(&answer.success()?.json()?);
        }
        self.progress.sending = None;
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

/// The bytes of a request that was sent before, and how many lines they are.
fn same_request(input: &mut dyn BufRead, bytes: u64) -> Result<(Vec<u8>, u64), Failure> {
    let mut body = Vec::new();
    input.take(bytes).read_to_end(&mut body).map_err(|error| Failure::unreachable(format!("the events cannot be read: {error}")))?;
    let ends = body.iter().filter(|byte| **byte == b'\n').count() as u64;
    let lines = ends + u64::from(body.last().is_some_and(|byte| *byte != b'\n'));
    Ok((body, lines))
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
