//! Sending events over HTTP from several connections, and taking the time of each acknowledgement.

use std::ops::Range;
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
        Ok(Self { server: Server::start(recall, data, &scratch.join("server.log"), None, None)?, ingest, auditor })
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

/// Which bodies are sent, and when.
struct Plan {
    to: u64,
    next: AtomicU64,
    /// Requests a second over all connections, each connection at its own moments; none: as fast as they are answered.
    pace: Option<Pace>,
    started: Stopwatch,
}

struct Pace {
    from: u64,
    requests_per_s: f64,
    connections: u64,
}

impl Plan {
    /// The next body of a connection that has sent so many before, and for a paced one when it is due, counted from the start.
    fn next(&self, connection: u64, sent: u64) -> Option<(u64, Option<Duration>)> {
        let (number, due) = match &self.pace {
            None => (self.next.fetch_add(1, Ordering::Relaxed), None),
            Some(pace) => {
                let place = sent * pace.connections + connection;
                (pace.from + place, Some(Duration::from_secs_f64(place as f64 / pace.requests_per_s)))
            }
        };
        (number < self.to).then_some((number, due))
    }
}

/// Sends the bodies numbered `from..to` of a pool over so many connections, as fast as they are answered. Every event has to be stored.
pub fn send(served: &Served, pool: &Pool, from: u64, to: u64, connections: usize) -> Result<Sent, Stuck> {
    send_as(served, pool, connections, Plan { to, next: AtomicU64::new(from), pace: None, started: Stopwatch::start() })
}

/// Sends them at a pace that is fixed beforehand. What a request waits because the one before it is late counts as its own time.
pub fn send_paced(served: &Served, pool: &Pool, bodies: Range<u64>, connections: usize, requests_per_s: f64) -> Result<Sent, Stuck> {
    let pace = Pace { from: bodies.start, requests_per_s, connections: connections as u64 };
    send_as(served, pool, connections, Plan { to: bodies.end, next: AtomicU64::new(0), pace: Some(pace), started: Stopwatch::start() })
}

fn send_as(served: &Served, pool: &Pool, connections: usize, plan: Plan) -> Result<Sent, Stuck> {
    let started = plan.started;
    let plan = &plan;
    let parts = thread::scope(|scope| {
        let senders: Vec<_> = (0..connections as u64).map(|at| scope.spawn(move || connection(served, pool, plan, at))).collect();
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

fn connection(served: &Served, pool: &Pool, plan: &Plan, at: u64) -> Result<Part, Stuck> {
    let agent = agent();
    let url = format!("{}/v1/events", served.server.url());
    let authorization = format!("Bearer {}", served.ingest);
    let mut part = Part::default();
    let mut body = Vec::new();
    for sent in 0.. {
        let Some((number, due)) = plan.next(at, sent) else { break };
        pool.body(number, &mut body);
        if let Some(due) = due {
            thread::sleep(due.saturating_sub(plan.started.elapsed()));
        }
        let begun = due.unwrap_or_else(|| plan.started.elapsed());
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
        part.times.push(plan.started.elapsed().saturating_sub(begun));
        part.events += stored;
        part.bytes += body.len() as u64;
    }
    Ok(part)
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
