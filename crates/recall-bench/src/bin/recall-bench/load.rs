//! Sending events over HTTP from several connections, and taking the time of each acknowledgement.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use recall_bench::hospital::Pool;
use recall_bench::process::{Recall, Server};
use recall_bench::stopwatch::Stopwatch;
use recall_bench::stuck::Stuck;

use crate::spread::Percentiles;

/// A server over a new trail, with a token to write and one to read.
pub struct Served {
    pub server: Server,
    pub ingest: String,
    pub auditor: String,
}

impl Served {
    /// Makes a trail in `folder` and serves it.
    pub fn new(recall: &Recall, folder: &Path) -> Result<Self, Stuck> {
        let data = folder.join("trail");
        recall.init(&data)?;
        Self::over(recall, &data, folder)
    }

    /// Serves the trail in `data`; its tokens are made first, as whoever holds the folder may. The log goes to `scratch`.
    pub fn over(recall: &Recall, data: &Path, scratch: &Path) -> Result<Self, Stuck> {
        let data_text = data.to_string_lossy();
        let token = |role| recall.token(&["--data", &data_text, "--role", role, "--expires", "24h"]);
        let (ingest, auditor) = (token("ingest")?, token("auditor")?);
        Ok(Self { server: Server::start(recall, data, &scratch.join("server.log"), None)?, ingest, auditor })
    }
}

/// What sending came to.
pub struct Sent {
    pub events: u64,
    pub bytes: u64,
    pub time: Duration,
    pub acknowledged: Percentiles,
    /// Requests that were told to wait.
    pub held_back: u64,
}

impl Sent {
    /// Events a second.
    pub fn rate(&self) -> f64 {
        self.events as f64 / self.time.as_secs_f64()
    }
}

/// Sends the bodies numbered `from..to` of a pool over so many connections. Every event has to be stored.
pub fn send(served: &Served, pool: &Pool, from: u64, to: u64, connections: usize) -> Result<Sent, Stuck> {
    let next = AtomicU64::new(from);
    let started = Stopwatch::start();
    let parts = thread::scope(|scope| {
        let senders: Vec<_> = (0..connections).map(|_| scope.spawn(|| connection(served, pool, &next, to))).collect();
        senders
            .into_iter()
            .map(|sender| sender.join().unwrap_or_else(|_| Err(Stuck("a sender stopped".into()))))
            .collect::<Result<Vec<_>, _>>()
    })?;
    let time = started.elapsed();
    let mut sent = Sent { events: 0, bytes: 0, time, acknowledged: Percentiles::default(), held_back: 0 };
    let mut times = Vec::new();
    for part in parts {
        sent.events += part.events;
        sent.bytes += part.bytes;
        sent.held_back += part.held_back;
        times.extend(part.times);
    }
    sent.acknowledged = Percentiles::of(times);
    Ok(sent)
}

#[derive(Default)]
struct Part {
    events: u64,
    bytes: u64,
    held_back: u64,
    times: Vec<Duration>,
}

fn connection(served: &Served, pool: &Pool, next: &AtomicU64, to: u64) -> Result<Part, Stuck> {
    let agent = agent();
    let url = format!("{}/v1/events", served.server.url());
    let authorization = format!("Bearer {}", served.ingest);
    let mut part = Part::default();
    let mut body = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= to {
            return Ok(part);
        }
        pool.body(number, &mut body);
        let started = Stopwatch::start();
        let stored = loop {
            let request = agent.post(&url).header("authorization", &authorization).header("content-type", "application/x-ndjson");
            let mut answer = request.send(&body[..]).map_err(Stuck::at("sending events"))?;
            let status = answer.status().as_u16();
            let text = answer.body_mut().with_config().limit(1 << 30).read_to_vec().map_err(Stuck::at("reading results"))?;
            match status {
                200 => break stored(&text)?,
                429 => {
                    part.held_back += 1;
                    thread::sleep(Duration::from_millis(20));
                }
                other => return Err(Stuck(format!("events were answered {other}: {}", String::from_utf8_lossy(&text)))),
            }
        };
        part.times.push(started.elapsed());
        part.events += stored;
        part.bytes += body.len() as u64;
    }
}

/// The count that ends the answer; all have to be stored.
fn stored(answer: &[u8]) -> Result<u64, Stuck> {
    let tail = String::from_utf8_lossy(answer.get(answer.len().saturating_sub(96)..).unwrap_or_default()).into_owned();
    let counts = tail.rsplit_once("],").map_or(String::new(), |(_, counts)| format!("{{{counts}"));
    let counts: serde_json::Value = serde_json::from_str(&counts).map_err(Stuck::at("the counts of the results"))?;
    let count = |name: &str| counts.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
    if count("duplicate") + count("rejected") > 0 {
        return Err(Stuck(format!("events were not stored: {counts}")));
    }
    Ok(count("stored"))
}

/// A client that keeps its connection and takes every status as an answer.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(120))).build().into()
}
