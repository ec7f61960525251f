//! Requests of one event each from many clients at once, beside what one sync of the disk takes. Two loads: clients that send as soon as they are
//! answered, which measures what the machine carries; and the same clients at a pace fixed beforehand, which measures what one of them waits.

use std::time::Duration;

use clap::Args;
use recall_bench::hospital::{Hospital, Pool, Size};
use recall_bench::process::Recall;
use recall_bench::stopwatch::{Readable, grouped};
use recall_bench::stuck::Stuck;

use crate::load::{self, Sent, Served};
use crate::report::Report;
use crate::{Place, machine};

#[derive(Args)]
pub struct Options {
    /// Requests in each run
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    requests: u64,
    /// Clients
    #[arg(long, value_name = "C", default_value_t = 64)]
    clients: usize,
    /// Requests a second of the paced load, over all clients
    #[arg(long, value_name = "R", default_value_t = 1_000.0)]
    rate: f64,
    /// Runs of each load
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: u64,
    #[command(flatten)]
    place: Place,
}

pub fn run(options: &Options, report: &mut Report) -> Result<(), Stuck> {
    if !(options.rate.is_finite() && options.rate > 0.0) {
        return Err(Stuck("--rate: give more than 0 requests a second".into()));
    }
    let recall = Recall::find(options.place.recall.clone())?;
    let folder = options.place.folder()?;
    let served = Served::new(&recall, folder.path())?;
    let pool = Pool::render(&Hospital::new(Size::bench(10_000_000)), 100_000, 1);
    let mut rows = Vec::new();
    for run in 0..options.runs * 2 {
        let bodies = options.requests * run..options.requests * (run + 1);
        let before = machine::sync_time(folder.path(), 200)?.p50;
        let (load, sent) = match run % 2 {
            0 => ("as fast as answered", load::send(&served, &pool, bodies.start, bodies.end, options.clients)?),
            _ => ("paced", load::send_paced(&served, &pool, bodies, options.clients, options.rate)?),
        };
        let after = machine::sync_time(folder.path(), 200)?.p50;
        rows.push(row(&format!("{load}, run {}", run / 2 + 1), &sent, before, after));
    }
    let title = format!("One event a request, {} clients, {} requests a run", options.clients, grouped(options.requests));
    report.table(&title, &["", "requests/s", "p50", "p99", "worst", "fdatasync before", "after", "p50 in syncs", "p99 in syncs"], &rows);
    report.note("Paced: from the moment at which a request was to be sent, whenever its client came to send it.");
    served.server.stop()
}

fn row(load: &str, sent: &Sent, before: Duration, after: Duration) -> Vec<String> {
    let sync = ((before + after) / 2).as_secs_f64();
    let syncs = |time: Duration| format!("{:.1}", time.as_secs_f64() / sync);
    let [p50, p99, worst] = sent.acknowledged.cells();
    let figures = [grouped(sent.rate() as u64), p50, p99, worst, Readable(before).to_string(), Readable(after).to_string()];
    let syncs = [syncs(sent.acknowledged.p50), syncs(sent.acknowledged.p99)];
    [load.to_owned()].into_iter().chain(figures).chain(syncs).collect()
}
