//! The server's peak memory while it ingests, and then while it searches.

use clap::Args;
use recall_bench::hospital::{Hospital, Pool, Size};
use recall_bench::process::Recall;
use recall_bench::stopwatch::grouped;
use recall_bench::stuck::Stuck;

use crate::Place;
use crate::ingest::{BATCH, BODIES};
use crate::load::{self, Served};
use crate::query::{Questions, http};
use crate::report::Report;

#[derive(Args)]
pub struct Options {
    /// Events to send
    #[arg(long, value_name = "N", default_value_t = 5_000_000)]
    events: u64,
    /// Connections
    #[arg(long, value_name = "C", default_value_t = 4)]
    connections: usize,
    /// Rounds of every question
    #[arg(long, value_name = "N", default_value_t = 50)]
    rounds: usize,
    #[command(flatten)]
    place: Place,
}

pub fn run(options: &Options, report: &mut Report) -> Result<(), Stuck> {
    let recall = Recall::find(options.place.recall.clone())?;
    let folder = options.place.folder()?;
    let hospital = Hospital::new(Size::bench(options.events));
    let pool = Pool::render(&hospital, BODIES, BATCH);
    let served = Served::new(&recall, folder.path())?;
    let idle = served.server.peak_memory_bytes()?;
    load::send(&served, &pool, 0, options.events / BATCH as u64, options.connections)?;
    let ingested = served.server.peak_memory_bytes()?;
    for question in Questions::of(&hospital).all() {
        http(&served, &question, options.rounds)?;
    }
    let searched = served.server.peak_memory_bytes()?;
    let row = |what: &str, bytes: u64| vec![what.to_owned(), grouped(bytes >> 20)];
    let rows = [
        row("started", idle),
        row(&format!("after {} events", grouped(options.events)), ingested),
        row("after searches and SQL", searched),
    ];
    report.table("The server's peak resident memory so far", &["", "MiB"], &rows);
    served.server.stop()
}
