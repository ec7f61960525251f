//! Durable ingest over HTTP: N events in batches over some connections, beside PostgreSQL's COPY of the same events.

use clap::Args;
use recall_bench::hospital::{Hospital, Pool, Size};
use recall_bench::process::Recall;
use recall_bench::stopwatch::{Readable, grouped};
use recall_bench::stuck::Stuck;

use crate::load::{self, Served};
use crate::opponent::Opponent;
use crate::report::Report;
use crate::{Place, machine, spread};

/// Events in a batch, and rows in a commit of the opponent.
pub const BATCH: usize = 1_000;
/// Bodies rendered beforehand; used again as other events when they run out.
pub const BODIES: usize = 200;

#[derive(Args)]
pub struct Options {
    /// Events to send in all
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    events: u64,
    /// Connections
    #[arg(long, value_name = "C", default_value_t = 4)]
    connections: usize,
    /// Runs the events are cut into; the spread is over them
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: u64,
    /// Rows that PostgreSQL takes; 0 leaves it out
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    opponent: u64,
    #[command(flatten)]
    place: Place,
}

pub fn run(options: &Options, report: &mut Report) -> Result<(), Stuck> {
    let recall = Recall::find(options.place.recall.clone())?;
    let folder = options.place.folder()?;
    let pool = Pool::render(&Hospital::new(Size::bench(options.events)), BODIES, BATCH);
    let sync = machine::sync_time(folder.path(), 300)?;

    let served = Served::new(&recall, folder.path())?;
    let mut rows = Vec::new();
    let bodies = (options.events / BATCH as u64).max(options.runs);
    let mut rates = Vec::new();
    let mut whole = (0_u64, 0.0);
    for run in 0..options.runs {
        let (from, to) = (bodies * run / options.runs, bodies * (run + 1) / options.runs);
        let sent = load::send(&served, &pool, from, to, options.connections)?;
        report.say(&format!("run {} of {}: {} events/s", run + 1, options.runs, grouped(sent.rate() as u64)));
        rates.push(sent.rate());
        whole = (whole.0 + sent.events, whole.1 + sent.time.as_secs_f64());
        let [p50, p99, worst] = sent.acknowledged.cells();
        rows.push(vec![
            format!("Recall, run {}", run + 1),
            grouped(sent.events),
            grouped(sent.rate() as u64),
            p50,
            p99,
            worst,
            grouped(sent.held_back),
        ]);
    }
    let memory = served.server.peak_memory_bytes()?;
    served.server.stop()?;

    let mut ratio = None;
    if options.opponent > 0
        && let Some(mut postgres) = Opponent::start(folder.path())?
    {
        let loaded = postgres.load(&pool, options.opponent / BATCH as u64, options.connections)?;
        let [p50, p99, worst] = loaded.acknowledged.cells();
        ratio = Some(whole.0 as f64 / whole.1 / loaded.rate());
        rows.push(vec![postgres.version()?, grouped(loaded.events), grouped(loaded.rate() as u64), p50, p99, worst, "0".into()]);
    }
    let title = format!("Durable ingest, batches of {BATCH}, {} connections", options.connections);
    report.table(&title, &["", "events", "events/s", "acknowledged p50", "p99", "worst", "held back"], &rows);
    let [low, middle, high] = spread::runs(rates);
    report.note(&format!(
        "\nRecall over {} events: {} events/s sustained; runs {low} / {middle} / {high} (least, middle, greatest).",
        grouped(whole.0),
        grouped((whole.0 as f64 / whole.1) as u64)
    ));
    report.note(&format!(
        "One append of 4 KiB with fdatasync here: {} at p50, {} at p99. Server's peak memory: {} MiB.",
        Readable(sync.p50),
        Readable(sync.p99),
        memory >> 20
    ));
    match ratio {
        Some(ratio) => report.note(&format!(
            "PostgreSQL: same columns, jsonb, three b-tree indexes, COPY of {BATCH} rows a commit. Recall takes {ratio:.1} times as many."
        )),
        None => report.note("PostgreSQL was left out or is not installed."),
    }
    Ok(())
}
