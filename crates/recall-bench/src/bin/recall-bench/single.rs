//! Requests of one event each from many clients at once, beside what one sync of the disk takes.

use clap::Args;
use recall_bench::hospital::{Hospital, Pool, Size};
use recall_bench::process::Recall;
use recall_bench::stopwatch::{Readable, grouped};
use recall_bench::stuck::Stuck;

use crate::load::{self, Served};
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
    /// Runs
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: u64,
    #[command(flatten)]
    place: Place,
}

pub fn run(options: &Options, report: &mut Report) -> Result<(), Stuck> {
    let recall = Recall::find(options.place.recall.clone())?;
    let folder = options.place.folder()?;
    let served = Served::new(&recall, folder.path())?;
    let pool = Pool::render(&Hospital::new(Size::bench(10_000_000)), 100_000, 1);
    let mut rows = Vec::new();
    for run in 0..options.runs {
        let before = machine::sync_time(folder.path(), 200)?;
        let sent = load::send(&served, &pool, options.requests * run, options.requests * (run + 1), options.clients)?;
        let after = machine::sync_time(folder.path(), 200)?;
        let syncs = |time: std::time::Duration| time.as_secs_f64() / ((before.p50 + after.p50) / 2).as_secs_f64();
        let [p50, p99, worst] = sent.acknowledged.cells();
        let row = [
            format!("run {}", run + 1),
            grouped(sent.rate() as u64),
            p50,
            p99,
            worst,
            Readable(before.p50).to_string(),
            Readable(after.p50).to_string(),
        ];
        rows.push(
            [row.as_slice(), &[format!("{:.1}", syncs(sent.acknowledged.p50)), format!("{:.1}", syncs(sent.acknowledged.p99))]].concat(),
        );
    }
    let title = format!("One event a request, {} clients, {} requests a run", options.clients, grouped(options.requests));
    report.table(&title, &["", "requests/s", "p50", "p99", "worst", "fdatasync before", "after", "p50 in syncs", "p99 in syncs"], &rows);
    served.server.stop()
}
