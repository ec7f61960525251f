//! The benchmarks: what Recall costs on this machine, in tables, beside PostgreSQL where it is installed.
//!
//! Run with `cargo build --release -p recall -p recall-bench`, then `target/release/recall-bench COMMAND`. Nothing here is a test: a slow
//! machine makes no failure. Figures and how they came about are kept in `docs/benchmarks.md`.

mod encode;
mod ingest;
mod load;
mod machine;
mod make;
mod memory;
mod opponent;
mod query;
mod report;
mod single;
mod size;
mod spread;
mod trail;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use recall_bench::stuck::Stuck;

use crate::report::Report;

/// Measures Recall, and PostgreSQL beside it.
#[derive(Parser)]
#[command(name = "recall-bench")]
struct Options {
    /// One JSON document instead of tables
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Durable ingest over HTTP in batches, and PostgreSQL's COPY of the same events
    Ingest(ingest::Options),
    /// Requests of one event each from many clients, beside the disk's fdatasync
    Single(single::Options),
    /// Bytes at rest for each event, by part, beside the least they could be, and PostgreSQL's
    Size(size::Options),
    /// Questions in the engine and over HTTP
    Query(query::Options),
    /// Verification of the tree, and of every event's content
    Verify(verify::Options),
    /// The server's peak memory while it ingests and searches
    Memory(memory::Options),
    /// Processor time of turning a sender's bytes into a batch, by stage
    Encode(encode::Options),
    /// Makes a large trail through the store's own encoder, for the other commands
    Make(make::Options),
}

/// Where the measured trail lies and which binary serves it.
#[derive(Args, Clone)]
pub struct Place {
    /// Folder to measure in, on the disk to be measured; as root, one that the account postgres can reach [default: here]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// The binary to measure [default: recall, beside this one]
    #[arg(long, value_name = "FILE")]
    recall: Option<PathBuf>,
}

impl Place {
    /// A folder that goes away with the returned value.
    pub fn folder(&self) -> Result<tempfile::TempDir, Stuck> {
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("recall-bench-");
        let made = match &self.scratch {
            Some(folder) => builder.tempdir_in(folder),
            None => builder.tempdir_in("."),
        };
        made.map_err(|e| Stuck::io("a folder to measure in", &e))
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut report = Report::new(options.json);
    let run = match &options.command {
        Command::Ingest(options) => ingest::run(options, &mut report),
        Command::Single(options) => single::run(options, &mut report),
        Command::Size(options) => size::run(options, &mut report),
        Command::Query(options) => query::run(options, &mut report),
        Command::Verify(options) => verify::run(options, &mut report),
        Command::Memory(options) => memory::run(options, &mut report),
        Command::Encode(options) => encode::run(options, &mut report),
        Command::Make(options) => make::run(options, &mut report),
    };
    match run {
        Ok(()) => {
            report.finish();
            ExitCode::SUCCESS
        }
        Err(stuck) => {
            report.say(&format!("recall-bench: {stuck}"));
            ExitCode::FAILURE
        }
    }
}
