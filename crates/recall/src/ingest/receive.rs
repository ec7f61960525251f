//! Reads a body as it arrives, within limits, and has its items encoded meanwhile. Submits nothing.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use futures::StreamExt;
use recall_store::batch::BatchError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

use super::decode::{Coding, DecodeError, Decoder};
use super::encode::{Encoded, Terms};
use super::limits;
use super::split::{Slice, SplitError, Splitter, Unit};
use crate::app::Shared;
use crate::http::problem::Problem;

/// How long the next piece of a body may take.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
/// Slices up to this size are encoded where they are; handing them over would take longer.
const INLINE_BYTES: usize = 16 << 10;
/// What one permit of the reading budget stands for.
const PERMIT_BYTES: usize = 1 << 10;

/// The bytes of bodies that may be in memory, as permits.
pub fn reading_budget() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(limits::READING_BYTES / PERMIT_BYTES))
}

/// The bytes that are in memory of a budget.
pub fn bytes_held(budget: &Semaphore) -> usize {
    limits::READING_BYTES.saturating_sub(budget.available_permits().saturating_mul(PERMIT_BYTES))
}

/// A body that was read to its end.
pub struct Received {
    /// Its slices in order.
    pub encoded: Vec<Encoded>,
    /// What its items are called.
    pub unit: Unit,
    /// SHA-256 of the decoded body, if it was asked for.
    pub hash: Option<[u8; 32]>,
    /// Keeps the bytes counted until the request is answered.
    pub held: Option<OwnedSemaphorePermit>,
}

impl From<DecodeError> for Problem {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
            DecodeError::Corrupt | DecodeError::Truncated => Self::bad_request(error.to_string()),
        }
    }
}

impl From<SplitError> for Problem {
    fn from(error: SplitError) -> Self {
        match error {
            SplitError::TooMany => Self::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
            _ => Self::bad_request(error.to_string()),
        }
    }
}

fn too_large_as_sent() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the body is larger than {} MiB: send it in several requests, or compressed", limits::SENT_BYTES >> 20),
    )
}

/// What the headers say of a body.
#[derive(Clone, Copy)]
pub struct Form {
    /// How it is coded.
    pub coding: Coding,
    /// The sender says that it is NDJSON.
    pub lines: bool,
    /// Its hash is needed, because it comes under an idempotency key.
    pub hashed: bool,
}

/// Reads and encodes `body`.
pub async fn receive(app: &Shared, terms: Arc<Terms>, form: Form, body: Body) -> Result<Received, Problem> {
    let mut reader = Reader::new(app, terms, form)?;
    let mut pieces = body.into_data_stream();
    let mut sent = 0_usize;
    while let Some(piece) = next(&mut pieces).await? {
        sent = sent.saturating_add(piece.len());
        if sent > limits::SENT_BYTES {
            return Err(too_large_as_sent());
        }
        reader.take(&piece)?;
    }
    reader.finish().await
}

async fn next(pieces: &mut axum::body::BodyDataStream) -> Result<Option<Bytes>, Problem> {
    match tokio::time::timeout(PIECE_TIMEOUT, pieces.next()).await {
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the body stopped arriving: nothing of it was stored; send it again")),
        Ok(None) => Ok(None),
        Ok(Some(Ok(piece))) => Ok(Some(piece)),
        Ok(Some(Err(error))) => {
            // The reason is the transport's, such as a connection that was closed; it holds nothing of the body.
            tracing::debug!(reason = ?error.source().map(ToString::to_string), "a body broke off");
            Err(Problem::bad_request("the body broke off before its end: nothing of it was stored; send it again"))
        }
    }
}

struct Reader<'a> {
    app: &'a Shared,
    terms: Arc<Terms>,
    decoder: Decoder,
    splitter: Splitter,
    hash: Option<digest::Context>,
    /// Where pieces of a coded body are decoded.
    room: Vec<u8>,
    slices: Vec<Slice>,
    tasks: Vec<Task>,
    held: Option<OwnedSemaphorePermit>,
}

enum Task {
    Done(Box<Result<Encoded, BatchError>>),
    Running(JoinHandle<Result<Encoded, BatchError>>),
}

impl<'a> Reader<'a> {
    fn new(app: &'a Shared, terms: Arc<Terms>, form: Form) -> Result<Self, Problem> {
        Ok(Self {
            app,
            terms,
            decoder: Decoder::new(form.coding, limits::DECODED_BYTES)?,
            splitter: Splitter::new(form.lines),
            hash: form.hashed.then(|| digest::Context::new(&digest::SHA256)),
            room: Vec::new(),
            slices: Vec::new(),
            tasks: Vec::new(),
            held: None,
        })
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), Problem> {
        let mut room = std::mem::take(&mut self.room);
        let decoded = self.decoder.decode(piece, &mut room)?;
        self.split(decoded)?;
        self.room = room;
        Ok(())
    }

    fn split(&mut self, decoded: &[u8]) -> Result<(), Problem> {
        self.hold(decoded.len())?;
        if let Some(hash) = &mut self.hash {
            hash.update(decoded);
        }
        self.splitter.feed(decoded, &mut self.slices)?;
        for slice in self.slices.drain(..) {
            self.tasks.push(start(self.app, &self.terms, slice));
        }
        Ok(())
    }

    /// Counts bytes against the budget of all requests; a full budget is told to the sender at once, so that nobody waits for anybody.
    fn hold(&mut self, bytes: usize) -> Result<(), Problem> {
        let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.app.reading).try_acquire_many_owned(permits).map_err(|_| Problem::busy())?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Received, Problem> {
        let mut last = Vec::new();
        let decoder = std::mem::replace(&mut self.decoder, Decoder::new(Coding::Identity, 0)?);
        decoder.finish(&mut last)?;
        self.split(&last)?;
        let unit = self.splitter.finish(&mut self.slices)?;
        for slice in self.slices.drain(..) {
            self.tasks.push(start(self.app, &self.terms, slice));
        }
        let mut encoded = Vec::with_capacity(self.tasks.len());
        for task in self.tasks {
            let done = match task {
                Task::Done(done) => *done,
                Task::Running(running) => {
                    running.await.map_err(|_| Problem::internal("events could not be encoded: nothing was stored"))?
                }
            };
            encoded.push(done.map_err(|error| Problem::internal(format!("nothing was stored: {error}")))?);
        }
        let hash = self.hash.map(|context| {
            let mut hash = [0; 32];
            hash.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
            hash
        });
        Ok(Received { encoded, unit, hash, held: self.held })
    }
}

fn start(app: &Shared, terms: &Arc<Terms>, slice: Slice) -> Task {
    let now = app.clock.now();
    if slice.bytes.len() <= INLINE_BYTES {
        return Task::Done(Box::new(terms.encode(&slice, now, &*app.random)));
    }
    let (app, terms) = (Arc::clone(app), Arc::clone(terms));
    Task::Running(tokio::task::spawn_blocking(move || terms.encode(&slice, now, &*app.random)))
}
