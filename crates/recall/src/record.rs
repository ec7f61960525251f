//! What Recall itself does is in the trail too: reads, administration, refused attempts, checks (invariant: reading is an event).
//!
//! A record is durable before what it records has any effect outside; a record that cannot be written stops what it was to record.

use recall_log::entry::Admission;
use recall_log::event::Event;
use recall_store::batch::BatchError;
use recall_store::catalog::RowChange;
use recall_store::trail::{Class, Submission};
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::http::problem::Problem;
use crate::identity::Identity;
use crate::ingest::encode::new_id;

/// The source of this server's own records.
pub const OWN_SOURCE: &str = "urn:recall:server";
/// How sources begin that nobody else may send for.
pub const RESERVED_SOURCES: &str = "urn:recall:";

/// Characters of a reason that are kept; an event takes 2,048 bytes.
const REASON_CHARS: usize = 500;

/// A record in the making.
pub struct Record {
    event: Map<String, Value>,
    /// It is of a reading, and of nothing that is done.
    reads: bool,
    expect: Vec<(String, Option<u64>)>,
}

impl Record {
    /// `actor` did `action`, with success unless said otherwise, to something of type `target`.
    pub fn new(actor: Value, action: &str, op: &str, target: Value) -> Self {
        let mut event = Map::new();
        event.insert("source".into(), OWN_SOURCE.into());
        event.insert("action".into(), action.into());
        event.insert("op".into(), op.into());
        event.insert("actor".into(), actor);
        event.insert("outcome".into(), json!({"status": "success"}));
        event.insert("context".into(), json!({"app": "recall"}));
        event.insert("targets".into(), json!([target]));
        Self { event, reads: false, expect: Vec::new() }
    }

    /// A reader's question and how many events the answer shows.
    pub fn read(reader: &Identity, action: &str, question: &str, rows: u64) -> Self {
        let mut record = Self::new(reader.actor(), action, "Q", json!({"type": "recall:events", "count": rows}));
        record.reads = true;
        record.event.insert("request".into(), json!({"protocol": "recall", "statement": question, "rows": rows}));
        record
    }

    /// One event that a reader looks at.
    pub fn view(reader: &Identity, action: &str, id: &str) -> Self {
        let mut record = Self::new(reader.actor(), action, "R", json!({"type": "recall:event", "id": id, "count": 1}));
        record.reads = true;
        record.event.insert("request".into(), json!({"protocol": "recall", "rows": 1}));
        record
    }

    /// A text that it is about, such as a checkpoint.
    pub fn stating(mut self, statement: &str) -> Self {
        self.event.insert("request".into(), json!({"protocol": "recall", "statement": statement}));
        self
    }

    /// It did not succeed: `failure` or `denied`, and why.
    pub fn ended(mut self, status: &str, reason: &str) -> Self {
        let reason: String = reason.chars().take(REASON_CHARS).collect();
        self.event.insert("outcome".into(), json!({"status": status, "reason": reason}));
        self
    }

    /// More about it; strings only.
    pub fn with(mut self, metadata: Value) -> Self {
        self.event.insert("metadata".into(), metadata);
        self
    }

    /// A source's expected interval (seconds) changes with it.
    pub fn expecting(mut self, source: &str, every_s: Option<u64>) -> Self {
        self.expect.push((source.to_owned(), every_s));
        self
    }

    /// The address it came from.
    pub fn at_address(mut self, address: Option<String>) -> Self {
        if let Some(address) = address {
            self.event.insert("context".into(), json!({"app": "recall", "ip": address}));
        }
        self
    }
}

impl App {
    /// Writes the record, and `rows` in the same transaction; durable when this returns. Where the machine's own administrator reads a
    /// trail that can't be written, there is no record, and he was told so.
    pub async fn record(&self, record: Record, rows: Vec<RowChange>) -> Result<(), Problem> {
        if self.unrecorded && record.reads && rows.is_empty() {
            return Ok(());
        }
        let outcomes = self.commit(self.submission(record, rows)?).await?;
        match outcomes.is_empty() {
            false => Ok(()),
            true => Err(Problem::internal("the trail gave no answer for a record, so nothing was done")),
        }
    }

    /// Records that something was refused or failed, and gives back why. Where that cannot be recorded, this is the reason.
    pub async fn not_done(&self, record: Record, problem: Problem) -> Problem {
        match self.record(record.ended(problem.outcome(), problem.detail()), Vec::new()).await {
            Ok(_) => problem.recorded(),
            Err(unwritten) => unwritten.recorded(),
        }
    }

    /// Records that somebody looked at what runs the trail: tokens, keys, sources, integrity. Where nothing can be written any more such
    /// a look is logged instead, as it is what an operator then needs; it shows no event.
    pub async fn looked(&self, reader: &Identity, action: &str, what: &str, count: usize) -> Result<(), Problem> {
        if self.trail.read_only().is_some() {
            tracing::info!(token = reader.token_id, action, "a look that a read-only trail cannot record");
            return Ok(());
        }
        self.record(Record::new(reader.actor(), action, "R", json!({"type": what, "count": count})), Vec::new()).await.map(drop)
    }

    /// The record, ready to be committed together with `rows`.
    pub fn submission(&self, record: Record, rows: Vec<RowChange>) -> Result<Submission, Problem> {
        let now = self.clock.now();
        let mut event = record.event;
        event.insert("time".into(), now.to_string().into());
        let bytes = Value::Object(event).to_string();
        let event = Event::parse(bytes.as_bytes()).map_err(|error| unwritable(&error.into()))?;
        let id = new_id(now, &*self.random);
        let encode = || {
            let mut builder = self.encoder.batch()?;
            builder.push(&event, &Admission { source: OWN_SOURCE, id: &id, received_at: now })?;
            builder.finish()
        };
        let batch = encode().map_err(|error| unwritable(&error))?;
        Ok(Submission { batches: vec![batch], rows, expect: record.expect, class: Class::Duty })
    }
}

fn unwritable(error: &BatchError) -> Problem {
    Problem::internal(format!("what was asked cannot be recorded ({error}), so it was not done"))
}
