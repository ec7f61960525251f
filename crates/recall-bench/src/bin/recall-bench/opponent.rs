//! PostgreSQL, fairly: its own temporary cluster on the same disk, syncing as it does by default, and a table with the same columns.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use postgres::Client;
use recall_bench::cluster::Cluster;
use recall_bench::hospital::Pool;
use recall_bench::stopwatch::Stopwatch;
use recall_bench::stuck::Stuck;
use recall_log::entry::{Admission, Facets};
use recall_log::event::Event;
use recall_log::time::Timestamp;

use crate::ingest::BODIES;
use crate::load::Sent;
use crate::spread::Percentiles;

const TABLE: &str = "CREATE TABLE events (
    id text NOT NULL, time timestamptz NOT NULL, received_at timestamptz NOT NULL, source text NOT NULL, seq bigint, action text NOT NULL,
    op text, outcome text, actor_type text, actor text, purpose text, protocol text, app text, break_glass boolean, patient text,
    event jsonb NOT NULL)";
const INDEXES: [&str; 3] = [
    "CREATE INDEX events_time ON events (time)",
    "CREATE INDEX events_patient ON events (patient, time)",
    "CREATE INDEX events_actor ON events (actor, time)",
];
const COPY: &str = "COPY events FROM STDIN";

/// A running cluster with the table.
pub struct Opponent {
    cluster: Cluster,
}

impl Opponent {
    /// Makes and starts a cluster in `folder`; `None` where PostgreSQL is not installed.
    pub fn start(folder: &Path) -> Result<Option<Self>, Stuck> {
        let Some(cluster) = Cluster::start(folder, &["shared_buffers=1GB", "max_wal_size=4GB"])? else { return Ok(None) };
        let opponent = Self { cluster };
        let mut client = opponent.connect()?;
        for statement in [&[TABLE], INDEXES.as_slice()].concat() {
            client.batch_execute(statement).map_err(Stuck::at("the opponent's table"))?;
        }
        Ok(Some(opponent))
    }

    fn connect(&self) -> Result<Client, Stuck> {
        self.cluster.connect("postgres")
    }

    /// Name and version.
    pub fn version(&self) -> Result<String, Stuck> {
        self.cluster.version()
    }

    /// Copies the bodies of a pool, one commit each, over so many connections. Rows are made before the time is taken.
    pub fn load(&mut self, pool: &Pool, bodies: u64, connections: usize) -> Result<Sent, Stuck> {
        let rounds = bodies.div_ceil(BODIES as u64);
        let mut sent = Sent { events: 0, bytes: 0, time: std::time::Duration::ZERO, acknowledged: Percentiles::default(), held_back: 0 };
        let mut times = Vec::new();
        for round in 0..rounds {
            let numbers = round * BODIES as u64..bodies.min((round + 1) * BODIES as u64);
            let copies = numbers.map(|number| rows(pool, number)).collect::<Result<Vec<_>, _>>()?;
            let next = AtomicU64::new(0);
            let started = Stopwatch::start();
            let parts = thread::scope(|scope| {
                let senders: Vec<_> = (0..connections).map(|_| scope.spawn(|| self.connection(&copies, &next))).collect();
                senders
                    .into_iter()
                    .map(|sender| sender.join().unwrap_or_else(|_| Err(Stuck("a sender stopped".into()))))
                    .collect::<Result<Vec<_>, _>>()
            })?;
            sent.time += started.elapsed();
            for (events, part) in parts {
                sent.events += events;
                times.extend(part);
            }
        }
        sent.acknowledged = Percentiles::of(times);
        Ok(sent)
    }

    fn connection(&self, copies: &[String], next: &AtomicU64) -> Result<(u64, Vec<std::time::Duration>), Stuck> {
        let mut client = self.connect()?;
        let (mut events, mut times) = (0, Vec::new());
        while let Some(copy) = copies.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            let started = Stopwatch::start();
            let mut writer = client.copy_in(COPY).map_err(Stuck::at("COPY"))?;
            writer.write_all(copy.as_bytes()).map_err(|e| Stuck::io("COPY", &e))?;
            events += writer.finish().map_err(Stuck::at("COPY"))?;
            times.push(started.elapsed());
        }
        Ok((events, times))
    }

    /// Bytes of the table, its oversized values and its indexes, as they are after the load.
    pub fn bytes(&self) -> Result<(u64, u64), Stuck> {
        let row = self
            .connect()?
            .query_one("SELECT pg_table_size('events'), pg_indexes_size('events')", &[])
            .map_err(Stuck::at("PostgreSQL's sizes"))?;
        let (table, indexes): (i64, i64) = (row.get(0), row.get(1));
        Ok((table.unsigned_abs(), indexes.unsigned_abs()))
    }
}

/// The rows of one body in COPY's text format.
fn rows(pool: &Pool, number: u64) -> Result<String, Stuck> {
    let mut body = Vec::new();
    pool.body(number, &mut body);
    let mut out = String::with_capacity(body.len() * 3 / 2);
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        row(&mut out, line).map_err(Stuck::at("an event of the hospital"))?;
    }
    Ok(out)
}

fn row(out: &mut String, line: &[u8]) -> Result<(), recall_log::event::EventError> {
    let event = Event::parse(line)?;
    let (source, id) = (event.source.clone().unwrap_or_default(), event.id.clone().unwrap_or_default());
    let received_at = Timestamp::from_micros(1_795_000_000_000_000);
    let facets = Facets::of(&event, &Admission { source: &source, id: &id, received_at });
    let text = |value: Option<&str>| value.map_or_else(|| "\\N".to_owned(), escape);
    let cells = [
        escape(&id),
        facets.time.to_string(),
        received_at.to_string(),
        escape(&source),
        event.seq.map_or_else(|| "\\N".into(), |seq| seq.to_string()),
        escape(&event.action),
        text(event.op.map(|op| op.as_str())),
        text(event.outcome.status.map(|status| status.as_str())),
        escape(event.actor.kind.as_str()),
        text(event.actor.id.as_deref()),
        event.purpose.join(" "),
        text(event.request.protocol.as_deref()),
        text(event.context.app.as_deref()),
        event.break_glass.unwrap_or(false).to_string(),
        text(facets.patients.first().map(AsRef::as_ref)),
        escape(&String::from_utf8_lossy(line)),
    ];
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}", cells.join("\t"));
    Ok(())
}

/// COPY's escaping.
fn escape(text: &str) -> String {
    if !text.contains(['\\', '\t', '\n', '\r']) {
        return text.to_owned();
    }
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}
