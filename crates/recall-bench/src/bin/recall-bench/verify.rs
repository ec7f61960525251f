//! Verification: the tree from its bundles, and every event's content from its stored bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use clap::Args;
use recall_bench::process::Recall;
use recall_bench::stopwatch::{Stopwatch, grouped};
use recall_bench::stuck::Stuck;
use recall_log::note::Verifier;
use recall_log::tile::{SourceError, TileSource};
use recall_log::verify::verify_log;

use crate::report::Report;
use crate::{Place, spread, trail};

#[derive(Args)]
pub struct Options {
    /// A trail that `make` made
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// Runs
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,
    #[command(flatten)]
    place: Place,
}

pub fn run(options: &Options, report: &mut Report) -> Result<(), Stuck> {
    let recall = Recall::find(options.place.recall.clone())?;
    let (vkey, size) = {
        let trail = trail::open(&options.data)?;
        let answer = (trail.keys().vkey(), trail.size());
        trail.close();
        answer
    };
    let (mut tree, mut content) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        tree.push(size as f64 / tree_seconds(&options.data, &vkey)?);
        content.push(size as f64 / content_seconds(&recall, &options.data, &vkey)?);
    }
    let row = |what: &str, figures: Vec<f64>| [vec![what.to_owned()], spread::runs(figures).to_vec()].concat();
    let cores = thread::available_parallelism().map_or(1, usize::from) as f64;
    let per_core = content.iter().map(|rate| rate / cores).collect();
    let rows = [
        row("tree and bundles, one core", tree),
        row("everything, content included (recall verify --data)", content),
        row("the same, for each core of the machine", per_core),
    ];
    report.table(&format!("Verification of {} events, events/s", grouped(size)), &["", "least", "middle", "greatest"], &rows);
    Ok(())
}

fn tree_seconds(data: &Path, vkey: &str) -> Result<f64, Stuck> {
    let verifier = Verifier::parse(vkey).map_err(Stuck::at("the log's key"))?;
    let started = Stopwatch::start();
    let verdict = verify_log(&Folder(data.join("log")), &verifier, &[], &mut |_, _| ());
    if verdict.head.is_none() || !verdict.findings.is_empty() {
        return Err(Stuck("the tree does not verify".into()));
    }
    Ok(started.elapsed().as_secs_f64())
}

fn content_seconds(recall: &Recall, data: &Path, vkey: &str) -> Result<f64, Stuck> {
    let started = Stopwatch::start();
    let output = recall.run(&["verify", "--data", &data.to_string_lossy(), "--public-key", vkey])?;
    if !output.status.success() {
        return Err(Stuck(format!("recall verify: {}", String::from_utf8_lossy(&output.stdout))));
    }
    Ok(started.elapsed().as_secs_f64())
}

/// The log's folder as a verifier reads it.
struct Folder(PathBuf);

impl TileSource for Folder {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        match fs::read(self.0.join(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SourceError(error.to_string())),
        }
    }
}
