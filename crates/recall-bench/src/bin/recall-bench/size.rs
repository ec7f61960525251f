//! Bytes at rest for each event, by part, beside the least each part could be, and beside PostgreSQL's table with its indexes.
//!
//! The least: salts, tokens, keys and hashes are random and cannot be compressed; a set of n random values of b bits needs
//! n (b - log2 n + log2 e) bits, and the rows of a token among n rows need log2 of the ways to choose them. The payload is what zstd
//! leaves of the events' own bytes. Everything else has no floor: it could be left out.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use clap::Args;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::encryption::decrypt::FileDecryptionProperties;
use recall_bench::hospital::{Hospital, Pool, Size};
use recall_bench::stopwatch::grouped;
use recall_bench::stuck::Stuck;
use recall_store::catalog::Kind;
use recall_store::columns::Column;
use recall_store::keys::{PhiKey, PublicKey};
use recall_store::secret::Key32;
use recall_store::segment::SegmentRow;
use recall_store::snapshot::Part;
use recall_store::trail::Trail;

use crate::ingest::{BATCH, BODIES};
use crate::opponent::Opponent;
use crate::report::Report;
use crate::{Place, make, trail};

#[derive(Args)]
pub struct Options {
    /// Events; a multiple of 262,144 leaves none outside segments
    #[arg(long, value_name = "N", default_value_t = 2_097_152)]
    events: u64,
    /// Rows that PostgreSQL takes; 0 leaves it out
    #[arg(long, value_name = "N", default_value_t = 500_000)]
    opponent: u64,
    #[command(flatten)]
    place: Place,
}

/// Bytes and the least they could be, by part.
#[derive(Default)]
struct Parts(BTreeMap<&'static str, (u64, Option<f64>)>);

impl Parts {
    fn add(&mut self, part: &'static str, bytes: u64, floor: Option<f64>) {
        let entry = self.0.entry(part).or_insert((0, floor.map(|_| 0.0)));
        entry.0 += bytes;
        entry.1 = entry.1.zip(floor).map(|(sum, floor)| sum + floor);
    }

    fn total(&self) -> u64 {
        self.0.values().map(|(bytes, _)| bytes).sum()
    }

    fn floor(&self) -> f64 {
        self.0.values().filter_map(|(_, floor)| *floor).sum()
    }
}

pub fn run(options: &Options, report: &mut Report) -> Result<(), Stuck> {
    let folder = options.place.folder()?;
    let data = folder.path().join("trail");
    let hospital = Hospital::new(Size::bench(options.events));
    make::fill(&data, &hospital, 2, |_| ())?;
    let trail = trail::open(&data)?;
    let outside = settle(&trail)?;
    let mut parts = Parts::default();
    let mut in_segments = 0;
    for row in segment_rows(&trail)? {
        in_segments += u64::from(row.count);
        segment(&trail, &data, &row, &mut parts)?;
    }
    let events = in_segments as f64;
    dedupe(&data, events, &mut parts)?;
    let share = events / (events + outside as f64);
    parts.add("tree: entries and hashes", (folder_bytes(&data.join("log"))? as f64 * share) as u64, Some(67.0 * events));
    trail.close();
    // What is left in it after a clean stop: rows, the batches outside segments, and pages that are free.
    let catalog = fs::metadata(data.join("catalog.sqlite")).map_err(|e| Stuck::io("the catalog", &e))?;
    parts.add("catalog, free pages and all", catalog.len(), None);
    show(options, report, &parts, in_segments, outside);
    opponent(options, report, folder.path(), &hospital, parts.total() as f64 / events)
}

/// Waits until all whole segments are made; gives the events that remain outside.
fn settle(trail: &Trail) -> Result<u64, Stuck> {
    let mut last = (0, 0);
    for _ in 0..600 {
        let snapshot = trail.snapshot();
        let fresh: u64 = snapshot.parts().iter().filter(|part| matches!(part, Part::Fresh(_))).map(|part| u64::from(part.count())).sum();
        let now = (snapshot.parts().len(), fresh);
        if fresh < 262_144 && now == last {
            return Ok(fresh);
        }
        last = now;
        thread::sleep(Duration::from_secs(1));
    }
    Err(Stuck("segments were not made within ten minutes".into()))
}

fn segment_rows(trail: &Trail) -> Result<Vec<SegmentRow>, Stuck> {
    trail.rows(Kind::Segment).iter().map(|(_, value)| SegmentRow::decode(value).map_err(Stuck::at("a segment's row"))).collect()
}

/// One segment: columns from the decrypted footer, postings from the posting file.
fn segment(trail: &Trail, data: &Path, row: &SegmentRow, parts: &mut Parts) -> Result<(), Stuck> {
    let gone = Stuck::at("a segment's keys");
    let public = trail.keys().public(row.key_set, PublicKey::Segment(row.id)).map_err(&gone)?;
    let phi = trail.phi_access().key(row.key_set, PhiKey::Segment(row.id)).map_err(&gone)?;
    let leaves = Column::ALL.iter().map(|column| (leaf(*column), if column.is_phi() { &phi } else { &public }));
    let path = data.join("segments").join(format!("{:016x}.events", row.id));
    let events = open(&path, &public, leaves, row.id)?;
    let mut columns = 0;
    for group in events.metadata().row_groups() {
        for (column, chunk) in Column::ALL.iter().zip(group.columns()) {
            let bytes = chunk.compressed_size().unsigned_abs();
            columns += bytes;
            match column {
                Column::Public | Column::Phi => parts.add("payload (zstd, two parts)", bytes, None),
                Column::SaltPublic | Column::SaltPhi => parts.add("salts", bytes, Some(16.0 * group.num_rows() as f64)),
                _ => parts.add("columns to search and sort by", bytes, None),
            }
        }
    }
    parts.add("footers, page indexes", row.events.size_bytes.saturating_sub(columns), None);

    let key = trail.keys().public(row.key_set, PublicKey::Postings(row.id)).map_err(&gone)?;
    let path = data.join("segments").join(format!("{:016x}.postings", row.id));
    let leaves = ["token", "row"].map(|leaf| (leaf, &key));
    let postings = open(&path, &key, leaves.into_iter(), row.id)?;
    parts.add("tokens and postings", row.postings.size_bytes, Some(posting_floor(postings, f64::from(row.count))?));
    Ok(())
}

/// The column's path in the file.
fn leaf(column: Column) -> &'static str {
    match column {
        Column::Patients => "patients.list.element",
        other => other.name(),
    }
}

fn open<'a>(
    path: &Path,
    footer: &Key32,
    leaves: impl Iterator<Item = (&'a str, &'a Key32)>,
    aad: u64,
) -> Result<ParquetRecordBatchReaderBuilder<File>, Stuck> {
    let keys = FileDecryptionProperties::builder(footer.as_bytes().to_vec()).with_aad_prefix(aad.to_be_bytes().to_vec());
    let keys = leaves.fold(keys, |keys, (leaf, key)| keys.with_column_key(leaf, key.as_bytes().to_vec())).build();
    let options = ArrowReaderOptions::new().with_file_decryption_properties(keys.map_err(Stuck::at("keys"))?);
    let file = File::open(path).map_err(|e| Stuck::io("a segment's file", &e))?;
    ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).map_err(Stuck::at("a segment's file"))
}

/// The least bytes for a segment's postings: distinct random tokens, and for each the choice of its rows.
fn posting_floor(file: ParquetRecordBatchReaderBuilder<File>, rows: f64) -> Result<f64, Stuck> {
    let (mut distinct, mut choices) = (0.0, 0.0);
    let mut run: Option<(i64, f64)> = None;
    let choose = |k: f64| k * ((rows / k).log2() + std::f64::consts::LOG2_E) - 0.5 * (std::f64::consts::TAU * k).log2();
    for batch in file.build().map_err(Stuck::at("a posting file"))? {
        let batch = batch.map_err(Stuck::at("a posting file"))?;
        for &token in batch.column(0).as_primitive::<Int64Type>().values() {
            match &mut run {
                Some((current, count)) if *current == token => *count += 1.0,
                _ => {
                    choices += run.map_or(0.0, |(_, count)| choose(count).max(0.0));
                    distinct += 1.0;
                    run = Some((token, 1.0));
                }
            }
        }
    }
    choices += run.map_or(0.0, |(_, count)| choose(count).max(0.0));
    Ok((set_bits(distinct, 64.0) + choices) / 8.0)
}

/// Bits of a set of `n` random values of `bits` bits each.
fn set_bits(n: f64, bits: f64) -> f64 {
    if n > 0.0 { n * (bits - n.log2() + std::f64::consts::LOG2_E) } else { 0.0 }
}

/// The runs: for each event a key of 128 random bits, a tag of 64, and its index.
fn dedupe(data: &Path, events: f64, parts: &mut Parts) -> Result<(), Stuck> {
    let floor = (set_bits(events, 128.0) + events * (64.0 + events.max(1.0).log2())) / 8.0;
    parts.add("index of repeats", folder_bytes(&data.join("dedupe"))?, Some(floor));
    Ok(())
}

fn folder_bytes(folder: &Path) -> Result<u64, Stuck> {
    let failed = |e: std::io::Error| Stuck::io("the size of a folder", &e);
    let mut sum = 0;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        sum += if entry.file_type().map_err(failed)?.is_dir() {
            folder_bytes(&entry.path())?
        } else {
            entry.metadata().map_err(failed)?.len()
        };
    }
    Ok(sum)
}

fn show(options: &Options, report: &mut Report, parts: &Parts, events: u64, outside: u64) {
    let each = |bytes: f64| format!("{:.1}", bytes / events as f64);
    let mut rows: Vec<Vec<String>> = parts
        .0
        .iter()
        .map(|(part, (bytes, floor))| vec![(*part).to_owned(), each(*bytes as f64), floor.map_or_else(|| "-".to_owned(), each)])
        .collect();
    rows.push(vec!["sum".into(), each(parts.total() as f64), each(parts.floor())]);
    report.table(&format!("Bytes at rest for each of {} events", grouped(events)), &["part", "bytes", "least"], &rows);
    let payload = parts.0.get("payload (zstd, two parts)").map_or(0, |(bytes, _)| *bytes) as f64;
    let ratio = parts.total() as f64 / (parts.floor() + payload);
    report.note(&format!(
        "\nThe sum is {ratio:.2} times the floor plus the payload. {} of {} events were not in segments yet.",
        grouped(outside),
        grouped(options.events)
    ));
}

fn opponent(options: &Options, report: &mut Report, folder: &Path, hospital: &Hospital, ours: f64) -> Result<(), Stuck> {
    if options.opponent == 0 {
        return Ok(());
    }
    let Some(mut postgres) = Opponent::start(folder)? else {
        report.note("PostgreSQL is not installed.");
        return Ok(());
    };
    let pool = Pool::render(hospital, BODIES, BATCH);
    let loaded = postgres.load(&pool, options.opponent / BATCH as u64, 2)?;
    let (table, indexes) = postgres.bytes()?;
    let each = |bytes: u64| format!("{:.1}", bytes as f64 / loaded.events as f64);
    let rows = [
        vec!["table".to_owned(), each(table)],
        vec!["three indexes".to_owned(), each(indexes)],
        vec!["sum".to_owned(), each(table + indexes)],
    ];
    report.table(&format!("{}, {} rows", postgres.version()?, grouped(loaded.events)), &["", "bytes"], &rows);
    report.note(&format!("\nRecall needs {:.2} of PostgreSQL's bytes.", ours * loaded.events as f64 / (table + indexes) as f64));
    Ok(())
}
