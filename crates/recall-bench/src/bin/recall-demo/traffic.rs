//! Sending the month, and keeping count of what was sent.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use recall_bench::hospital::{Facts, Hospital};
use recall_bench::stopwatch::{Readable, Stopwatch, grouped};
use recall_bench::stuck::Stuck;
use serde_json::Value;

use crate::Tokens;
use crate::api::{Api, expect};
use crate::tell::Tell;

/// Events in one request.
const BATCH: usize = 1_000;

/// What the hospital knows it sent: the truth that answers are held against.
pub struct Sent {
    pub facts: Vec<Facts>,
    /// Events by action.
    pub actions: BTreeMap<&'static str, u64>,
    /// Where the server put each event.
    pub indexes: Vec<u64>,
}

/// Sends all events in batches, then the first batch again.
pub fn send(api: &Api, tokens: &Tokens, hospital: &Hospital, tell: &mut Tell) -> Result<Sent, Stuck> {
    let mut sent = Sent { facts: Vec::new(), actions: BTreeMap::new(), indexes: Vec::new() };
    let mut stream = hospital.events();
    let (mut body, mut bytes, mut stored) = (Vec::new(), 0_u64, 0_u64);
    let mut first_body = Vec::new();
    let mut acknowledged = Vec::new();
    let started = Stopwatch::start();
    loop {
        body.clear();
        let before = sent.facts.len();
        while sent.facts.len() < before + BATCH
            && let Some(facts) = stream.next_into(&mut body)
        {
            body.push(b'\n');
            *sent.actions.entry(facts.action).or_default() += 1;
            sent.facts.push(facts);
        }
        if body.is_empty() {
            break;
        }
        if first_body.is_empty() {
            first_body.clone_from(&body);
        }
        bytes += body.len() as u64;
        let posted = Stopwatch::start();
        let answer = post(api, &body, &tokens.ingest)?;
        acknowledged.push(posted.elapsed());
        stored += results(&answer, "stored", &mut sent.indexes);
    }
    let seconds = started.elapsed().as_secs_f64();
    acknowledged.sort();
    let median = acknowledged.get(acknowledged.len() / 2).copied().unwrap_or_default();
    let total = sent.facts.len() as u64;
    tell.equal(stored, total, &format!("{} events ({} MB) stored durably in {}", grouped(total), bytes / 1_000_000, started));
    tell.line(&format!(
        "    {} events/s on one connection; a batch of {BATCH} acknowledged in {} at the median",
        grouped((total as f64 / seconds) as u64),
        Readable(median)
    ));
    repeat(api, tokens, &first_body, &sent, tell)?;
    Ok(sent)
}

/// The first batch once more: each event must be answered with its first index, and none stored.
fn repeat(api: &Api, tokens: &Tokens, body: &[u8], sent: &Sent, tell: &mut Tell) -> Result<(), Stuck> {
    let answer = post(api, body, &tokens.ingest)?;
    let mut again = Vec::new();
    let duplicates = results(&answer, "duplicate", &mut again);
    let same = sent.indexes.get(..BATCH) == Some(again.as_slice());
    tell.check(
        duplicates == BATCH as u64 && same,
        "the first batch sent again: 1,000 duplicates, each with its first index, none stored twice",
    );
    Ok(())
}

/// Sends one body; waits when the server asks for it.
fn post(api: &Api, body: &[u8], token: &str) -> Result<Value, Stuck> {
    loop {
        let answer = api.send(body, token)?;
        if answer.status != 429 {
            return expect(answer, "a batch of events");
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// Counts the results of a status, and collects all indexes.
fn results(answer: &Value, status: &str, indexes: &mut Vec<u64>) -> u64 {
    let mut count = 0;
    for result in answer.get("results").and_then(Value::as_array).into_iter().flatten() {
        count += u64::from(result.get("status").and_then(Value::as_str) == Some(status));
        indexes.extend(result.get("index").and_then(Value::as_u64));
    }
    count
}
