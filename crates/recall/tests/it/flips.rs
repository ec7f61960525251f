//! Each byte of a small, cleanly stopped trail is flipped in turn: verification reports it, or a full export is the same byte for byte.
//!
//! Works in this process, on the calls that `recall verify` makes, because a process for each byte would take hours. The suite flips a sample;
//! `scripts/flip.sh` flips each byte.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use recall_log::note::Verifier;
use recall_log::tile::{SourceError, TilePath, TileSource};
use recall_log::verify::{verify_log, verify_partials};
use recall_store::columns::Column;
use recall_store::keys::RootSource;
use recall_store::snapshot::{Rows, Scan};
use recall_store::trail::{OpenOptions as TrailOptions, Trail as OpenTrail};
use recall_store::verify;

use super::harness::{Trail, copy, files};

/// Every how many bytes, unless RECALL_FLIP_STRIDE says otherwise. A prime, so that no period in a file is met in step.
const STRIDE: usize = 211;
const WORKERS: usize = 2;

struct Log(PathBuf);

impl TileSource for Log {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        Ok(std::fs::read(self.0.join(path)).ok())
    }
}

/// A copy of a trail, and what verifies it.
struct Copy {
    data: PathBuf,
    root: RootSource,
    vkey: Verifier,
    partials: Vec<TilePath>,
}

impl Copy {
    fn of(trail: &Trail, name: &str) -> Self {
        let data = trail.beside(name);
        copy(&trail.path(), &data);
        std::fs::copy(trail.beside("trail.anchor"), trail.beside(&format!("{name}.anchor"))).unwrap();
        let partials = files(&data.join("log"))
            .iter()
            .filter_map(|file| TilePath::parse(file.strip_prefix(data.join("log")).unwrap().to_str().unwrap()).ok())
            .filter(|path| !path.is_full())
            .collect();
        let root = RootSource::File(trail.beside("trail.key"));
        Self { data, root, vkey: Verifier::parse(&trail.vkey).unwrap(), partials }
    }

    /// What `recall verify --data` would report.
    fn findings(&self) -> Vec<String> {
        let log = Log(self.data.join("log"));
        let verdict = verify_log(&log, &self.vkey, &[], &mut |_, _| {});
        let mut found: Vec<String> = verdict.findings.iter().map(ToString::to_string).collect();
        if let Some((head, _)) = verdict.head {
            found.extend(verify_partials(&log, head.size, self.partials.iter().copied()).iter().map(ToString::to_string));
        }
        match verify::folder(&self.data, &self.root, &mut |_| true) {
            Ok(content) => found.extend(content.findings.iter().map(ToString::to_string)),
            Err(error) => found.push(error.to_string()),
        }
        found
    }

    /// The stored bytes of every event.
    fn export(&self) -> Vec<String> {
        let mut options = TrailOptions::new(&self.data, self.root.clone());
        options.read_only = true;
        let trail = OpenTrail::open(options).unwrap();
        let phi = trail.phi_access();
        let mut out = Vec::new();
        for part in trail.snapshot().parts() {
            let scan = Scan { columns: Column::ALL.to_vec(), rows: Rows::All, predicate: None, batch_rows: usize::MAX, phi: Some(&phi) };
            for batch in part.scan(scan).unwrap() {
                let batch = batch.unwrap();
                out.extend((0..batch.num_rows()).map(|row| format!("{:?}", batch.slice(row, 1))));
            }
        }
        out
    }

    /// Flips a byte, asks, and flips it back.
    fn with_flipped<T>(&self, file: &Path, place: usize, ask: impl FnOnce(&Self) -> T) -> T {
        let flip = || {
            let file = OpenOptions::new().read(true).write(true).open(file).unwrap();
            let mut byte = [0];
            file.read_exact_at(&mut byte, place as u64).unwrap();
            file.write_all_at(&[byte[0] ^ 0x20], place as u64).unwrap();
        };
        flip();
        let answer = ask(self);
        flip();
        answer
    }
}

/// A stopped trail with a merged segment, single ones, runs, and batches that are in none.
fn settled() -> Trail {
    let trail = Trail::new();
    let token = trail.token("ingest");
    let server = trail.serve();
    trail.fill_until_merged(&server, &token, "a");
    assert_eq!(server.stop(), Some(0));
    for extension in ["events", "postings", "run"] {
        assert!(!trail.files_of(extension).is_empty(), "no {extension} to be changed");
    }
    trail
}

/// Every byte that is flipped: file and place.
fn places(data: &Path, stride: usize) -> Vec<(PathBuf, usize)> {
    let mut all = Vec::new();
    for file in files(data) {
        let name = file.strip_prefix(data).unwrap().to_owned();
        let length = usize::try_from(std::fs::metadata(&file).unwrap().len()).unwrap();
        // The reserve holds nothing; SQLite's shared-memory index is made anew.
        if name == Path::new("reserve") || name.to_str().unwrap().ends_with("-shm") {
            continue;
        }
        all.extend((0..length).step_by(stride).map(|place| (name.clone(), place)));
    }
    all
}

#[test]
fn each_byte_that_is_flipped_is_reported_or_changes_nothing() {
    let stride = std::env::var("RECALL_FLIP_STRIDE").ok().and_then(|stride| stride.parse().ok()).unwrap_or(STRIDE);
    let trail = settled();
    let copies: Vec<Copy> = (0..WORKERS).map(|worker| Copy::of(&trail, &format!("copy-{worker}"))).collect();
    assert_eq!(copies[0].findings(), Vec::<String>::new());
    let whole = copies[0].export();
    let places = places(&trail.path(), stride);
    let (next, harmless) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for copy in &copies {
            scope.spawn(|| {
                while let Some((name, place)) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let reported = |copy: &Copy| !copy.findings().is_empty();
                    let same = |copy: &Copy| reported(copy) || copy.export() == whole;
                    let file = copy.data.join(name);
                    if !copy.with_flipped(&file, *place, reported) {
                        harmless.fetch_add(1, Ordering::Relaxed);
                        assert!(copy.with_flipped(&file, *place, same), "byte {place} of {} was changed, unnoticed", name.display());
                    }
                }
            });
        }
    });
    let harmless = harmless.into_inner();
    eprintln!("{} bytes flipped, {} reported, {harmless} without effect on any event", places.len(), places.len() - harmless);
    assert!(harmless < places.len() / 2, "most flips have to be noticed");
}
