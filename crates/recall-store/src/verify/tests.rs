#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod altered;
mod erasing;

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use std::{fs, thread};

use arrow::array::AsArray;
use recall_log::event::Event;
use recall_log::note::Verifier;
use recall_log::time::Timestamp;
use recall_log::verify::{verify_log, verify_partials};

use super::compare::{Difference, differences};
use super::*;
use crate::batch::{Batch, Encoder};
use crate::columns::Column;
use crate::publisher::LogFolder;
use crate::seams::Clock;
use crate::snapshot::{Part, ReadError, Rows, Scan};
use crate::testing::{admission, clinic};
use crate::trail::{Class, InitOptions, Submission};

struct Month(AtomicI64);

impl Clock for Month {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

const NOVEMBER: i64 = 1_794_000_000_000_000;
const DAY: i64 = 86_400_000_000;

/// A trail that was stopped cleanly: November's events in a segment, December's in batches.
struct Stopped {
    place: tempfile::TempDir,
}

impl Stopped {
    fn new(november: u64, december: u64) -> Self {
        Self::altered(november, december, |batch| batch)
    }

    /// With a batch of November's that was altered before it was stored.
    fn altered(november: u64, december: u64, alter: impl FnOnce(Batch) -> Batch) -> Self {
        let stopped = Self { place: tempfile::tempdir().unwrap() };
        Trail::init(&InitOptions::new(stopped.folder(), stopped.root(), "log.example/trail")).unwrap();
        let clock = Arc::new(Month(AtomicI64::new(NOVEMBER)));
        let trail = stopped.opened(&clock);
        submit(&trail, alter(batch(&trail, 0..november)));
        clock.0.fetch_add(31 * DAY, Ordering::SeqCst);
        store(&trail, november..november + december);
        trail.publish_now().unwrap();
        while !matches!(trail.snapshot().parts()[0], Part::Segment(_)) {
            thread::yield_now();
        }
        trail.close();
        stopped
    }

    fn opened(&self, clock: &Arc<Month>) -> Trail {
        let options = OpenOptions {
            clock: clock.clone(),
            publish_interval: Duration::ZERO,
            reserve_bytes: 4_096,
            ..OpenOptions::new(self.folder(), self.root())
        };
        Trail::open(options).unwrap()
    }

    fn folder(&self) -> PathBuf {
        self.place.path().join("trail")
    }

    fn content(&self) -> Content {
        folder(&self.folder(), &self.root(), &mut |_| true).unwrap()
    }

    fn root(&self) -> RootSource {
        RootSource::File(self.place.path().join("trail.key"))
    }

    fn findings(&self) -> Vec<Finding> {
        self.content().findings
    }

    /// What `recall verify` on a folder looks at, as one answer: is anything wrong?
    fn reported(&self, log: &Verifier) -> bool {
        let content = folder(&self.folder(), &self.root(), &mut |_| true);
        let source = LogFolder(self.folder().join("log"));
        let verdict = verify_log(&source, log, &[], &mut |_, _| ());
        let size = verdict.head.as_ref().map_or(0, |(checkpoint, _)| checkpoint.size);
        let anchor = fs::read(self.place.path().join("trail.anchor"))
            .is_ok_and(|note| recall_log::checkpoint::Checkpoint::open(&note, log, &[]).is_err());
        let partials = verify_partials(&source, size, Vec::new());
        content.is_err() || !content.unwrap().findings.is_empty() || !verdict.findings.is_empty() || anchor || !partials.is_empty()
    }

    /// All events as readers get them.
    fn export(&self) -> Option<Vec<Vec<u8>>> {
        let options = OpenOptions { read_only: true, ..OpenOptions::new(self.folder(), self.root()) };
        let trail = Trail::open(options).ok()?;
        let phi = trail.phi_access();
        let mut events = Vec::new();
        for part in trail.snapshot().parts() {
            let scan =
                Scan { columns: vec![Column::Public, Column::Phi], rows: Rows::All, predicate: None, batch_rows: 64, phi: Some(&phi) };
            for batch in part.scan(scan).ok()? {
                let batch = batch.ok()?;
                let (public, phi) = (batch.column(0).as_binary::<i64>(), batch.column(1).as_binary::<i64>());
                events.extend(public.iter().zip(phi.iter()).map(|(public, phi)| recall_log::entry::merge(public.unwrap(), phi).unwrap()));
            }
        }
        Some(events)
    }

    fn files(&self) -> Vec<PathBuf> {
        fn walk(folder: PathBuf, files: &mut Vec<PathBuf>) {
            for file in fs::read_dir(folder).unwrap() {
                let path = file.unwrap().path();
                if path.is_dir() { walk(path, files) } else { files.push(path) }
            }
        }
        let mut files = Vec::new();
        walk(self.place.path().to_owned(), &mut files);
        files.sort();
        files
    }

    fn file(&self, folder: &str, extension: &str) -> PathBuf {
        let found = |path: &PathBuf| path.parent().unwrap().ends_with(folder) && path.extension().is_some_and(|own| own == extension);
        self.files().into_iter().find(found).unwrap()
    }
}

fn batch(trail: &Trail, numbers: std::ops::Range<u64>) -> Batch {
    let encoder: Encoder = trail.encoder();
    let mut batch = encoder.batch().unwrap();
    for number in numbers {
        let json = clinic(number);
        batch.push(&Event::parse(json.as_bytes()).unwrap(), &admission(number, &format!("event-{number}"))).unwrap();
    }
    batch.finish().unwrap()
}

fn submit(trail: &Trail, batch: Batch) {
    trail.submit_and_wait(Submission::events(vec![batch], Class::Ingest)).unwrap().unwrap();
}

fn store(trail: &Trail, numbers: std::ops::Range<u64>) {
    submit(trail, batch(trail, numbers));
}

#[test]
fn a_whole_trail_has_no_findings() {
    let stopped = Stopped::new(300, 40);
    let mut steps = Vec::new();
    let content = folder(&stopped.folder(), &stopped.root(), &mut |done| {
        steps.push(done);
        true
    });
    assert_eq!(content.unwrap(), Content { events: 340, erased: vec![], findings: vec![] });
    assert_eq!(steps, [300, 340]);
    let mut asked = 0;
    let ended = folder(&stopped.folder(), &stopped.root(), &mut |_| {
        asked += 1;
        false
    })
    .unwrap();
    assert_eq!((ended.events, asked), (300, 1));
}

#[test]
fn a_server_at_work_is_not_disturbed() {
    let stopped = Stopped::new(5, 5);
    let trail = Trail::open(OpenOptions::new(stopped.folder(), stopped.root())).unwrap();
    assert!(matches!(folder(&stopped.folder(), &stopped.root(), &mut |_| true), Err(VerifyError::Held(_))));
    assert_eq!(trail.verify_content(&mut |_| true), []);
    trail.close();
    drop(trail);
    assert_eq!(stopped.findings(), []);
    let absent = folder(&stopped.place.path().join("none"), &stopped.root(), &mut |_| true);
    assert!(matches!(absent, Err(VerifyError::Unreadable(_))));
    let wrong = RootSource::File(stopped.place.path().join("none.key"));
    assert!(matches!(folder(&stopped.folder(), &wrong, &mut |_| true), Err(VerifyError::Root(_))));
}

#[test]
fn a_server_at_work_hears_of_its_catalog_as_it_lies_on_the_disk_and_of_what_was_lost_at_the_start() {
    let stopped = Stopped::new(30, 5);
    let segment = stopped.file("segments", "events");
    fs::remove_file(&segment).unwrap();
    let trail = Trail::open(OpenOptions::new(stopped.folder(), stopped.root())).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    let told = |trail: &Trail, what: &str| {
        let findings = trail.verify_content(&mut |_| true);
        assert!(findings.iter().any(|finding| finding.to_string().contains(what)), "{what}: {findings:?}");
    };
    told(&trail, name);
    // December's batch is in memory, sealed and whole; what is damaged is its copy on the disk.
    let other = rusqlite::Connection::open(stopped.folder().join("catalog.sqlite")).unwrap();
    other.execute("UPDATE batch SET phi = zeroblob(length(phi)) WHERE first_index = 30", []).unwrap();
    drop(other);
    told(&trail, "the batch at index 30");
}

#[test]
fn damaged_and_missing_files_are_named() {
    for (parent, extension) in [("segments", "events"), ("segments", "postings"), ("dedupe", "run")] {
        for missing in [false, true] {
            let stopped = Stopped::new(30, 5);
            let path = stopped.file(parent, extension);
            if missing {
                fs::remove_file(&path).unwrap();
            } else {
                let mut bytes = fs::read(&path).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(&path, bytes).unwrap();
            }
            let name = path.file_name().unwrap().to_str().unwrap();
            let findings = stopped.findings();
            assert!(findings.iter().any(|finding| finding.to_string().contains(name)), "{name}: {findings:?}");
        }
    }
}

/// Parquet looks for its mark at the end of a file alone; the digest in the catalog covers what no reader looks at.
#[test]
fn a_byte_that_no_reader_looks_at_is_watched() {
    for (parent, extension) in [("segments", "events"), ("segments", "postings"), ("dedupe", "run")] {
        let stopped = Stopped::new(30, 5);
        let path = stopped.file(parent, extension);
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 1;
        fs::write(&path, bytes).unwrap();
        let found = stopped.findings();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(matches!(&found[..], [one] if one.what.contains(name) && one.what.contains("not those that were written")), "{found:?}");
    }
}

#[test]
fn an_entry_that_commits_to_other_content_is_named() {
    let stopped = Stopped::new(300, 5);
    let path = stopped.files().into_iter().find(|path| path.to_str().unwrap().contains("tile/entries/000")).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[35 * 17 + 9] ^= 1;
    fs::write(&path, bytes).unwrap();
    let findings = stopped.findings();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].place, "event 17");
}

/// Every byte of a small trail, in turn, would take minutes; a stride that is prime to all structure meets every kind of byte.
#[test]
fn a_flipped_byte_is_reported_or_the_export_is_unchanged() {
    let stopped = Stopped::new(20, 3);
    let whole = stopped.export().unwrap();
    assert_eq!(whole.len(), 23);
    let trail = Trail::open(OpenOptions { read_only: true, ..OpenOptions::new(stopped.folder(), stopped.root()) }).unwrap();
    let log = Verifier::parse(&trail.keys().vkey()).unwrap();
    drop(trail);
    assert!(!stopped.reported(&log));
    for path in stopped.files() {
        let kept = fs::read(&path).unwrap();
        for at in (0..kept.len()).step_by((kept.len() / 24).max(1)) {
            let mut changed = kept.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(&path, &changed).unwrap();
            assert!(stopped.reported(&log) || stopped.export().as_ref() == Some(&whole), "byte {at} of {}", path.display());
        }
        fs::write(&path, &kept).unwrap();
    }
    assert!(!stopped.reported(&log));
    assert_eq!(stopped.export(), Some(whole));
}

#[test]
fn comparing_finds_what_only_one_side_has() {
    let compare = |expected: &[u32], stored: &[u32]| {
        let mut found = Vec::new();
        differences(expected, stored.iter().map(|one| Ok(*one)), |difference| found.push(difference)).unwrap();
        found
    };
    use Difference::{Extra, Missing};
    assert_eq!(compare(&[1, 2, 3], &[1, 2, 3]), []);
    assert_eq!(compare(&[1, 2, 3], &[]), [Missing(1), Missing(2), Missing(3)]);
    assert_eq!(compare(&[], &[4]), [Extra(4)]);
    assert_eq!(compare(&[1, 3, 5], &[0, 1, 4, 5, 5]), [Extra(0), Missing(3), Extra(4), Extra(5)]);
    assert!(differences::<u32>(&[1], [Err(ReadError::Rows)].into_iter(), |_| ()).is_err());
}
