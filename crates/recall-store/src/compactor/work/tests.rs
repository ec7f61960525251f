#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;

use arrow::array::ArrayRef;
use arrow::compute::concat_batches;

use super::*;
use crate::catalog::{Catalog, State};
use crate::columns::{Column, schema};
use crate::committer::{Class, Committer, Parts, Submission, Worker};
use crate::dedupe::Dedupe;
use crate::keys::TrailKey;
use crate::publisher::{LogFolder, Publication, Published};
use crate::reserve::Reserve;
use crate::seams::{Faults, SystemClock};
use crate::snapshot::{Rows, Snapshots};
use crate::source::Register;
use crate::testing::{Bench, actor, plain, read};
use crate::token::TokenKind;
use crate::trail::Erasures;

/// Fails one step once, before or after it is done; with a full disk, if told so.
#[derive(Default)]
struct Once(Mutex<Option<(Step, bool)>>, AtomicBool);

impl Once {
    fn ask(&self, step: Step, after: bool) -> io::Result<()> {
        let mut planned = self.0.lock().unwrap();
        if *planned == Some((step, after)) {
            *planned = None;
            let kind = if self.1.load(Ordering::Relaxed) { io::ErrorKind::StorageFull } else { io::ErrorKind::Other };
            return Err(io::Error::new(kind, "on purpose"));
        }
        Ok(())
    }
}

impl Faults for Once {
    fn before(&self, step: Step) -> io::Result<()> {
        self.ask(step, false)
    }

    fn after(&self, step: Step) -> io::Result<()> {
        self.ask(step, true)
    }
}

/// A committer and a compactor that steps when told.
struct Stage {
    bench: Bench,
    faults: Arc<Once>,
    publication: Arc<Publication>,
    committer: Committer,
    work: Work,
    stop: AtomicBool,
}

impl Stage {
    fn new() -> Self {
        let bench = Bench::new();
        for folder in [SEGMENTS, DEDUPE, "log"] {
            fs::create_dir(bench.path().join(folder)).unwrap();
        }
        let faults = Arc::new(Once::default());
        let publication = Arc::new(Publication::new(LogFolder(bench.path().join("log")), 0, Published { size: 0, note: String::new() }));
        let snapshots = Arc::new(Snapshots::default());
        let dedupe = Arc::new(Dedupe::open(&bench.path().join(DEDUPE), Vec::new(), &bench.keys, 1 << 20).unwrap());
        let catalog = Catalog::create(
            &bench.path().join("catalog.sqlite"),
            bench.keys.trail(TrailKey::Catalog),
            Arc::clone(&bench.random),
            faults.clone(),
        );
        let catalog = catalog.unwrap();
        let rows = catalog.rows();
        let worker = Worker::new(Parts {
            catalog,
            state: State::default(),
            keys: Arc::clone(&bench.keys),
            snapshots: Arc::clone(&snapshots),
            dedupe: Arc::clone(&dedupe),
            register: Arc::new(Mutex::new(Register::default())),
            erasures: Arc::new(Erasures::default()),
            publication: Arc::clone(&publication),
            // There is no reserve, and never room for one.
            reserve: Reserve::new(bench.path(), u64::MAX / 2),
            clock: Arc::new(SystemClock),
            random: Arc::clone(&bench.random),
            faults: faults.clone(),
            backlog: 0,
        });
        let committer = Committer::start(worker).unwrap();
        let wiring = Wiring {
            folder: bench.path().to_owned(),
            keys: Arc::clone(&bench.keys),
            encoder: bench.encoder.clone(),
            rows,
            snapshots,
            dedupe,
            publication: Arc::clone(&publication),
            handle: committer.handle(),
            faults: faults.clone(),
        };
        let options =
            Options { segment_events: 40, join_parts: 4, join_events: 20, merge_width: 3, merge_backlog: 6, ..Options::default() };
        Self { bench, faults, publication, committer, work: Work::new(wiring, options), stop: AtomicBool::new(false) }
    }

    fn store(&self, numbers: Range<u64>) {
        self.try_store(numbers).unwrap();
    }

    fn try_store(&self, numbers: Range<u64>) -> Result<(), CommitError> {
        let (sender, receiver) = sync_channel(1);
        let submission = Submission::events(vec![self.bench.batch(numbers)], Class::Ingest);
        self.committer.handle().submit(submission, Box::new(move |result| sender.send(result).unwrap())).unwrap();
        receiver.recv().unwrap().map(drop)
    }

    /// Stores events in batches of `each`, and signs them.
    fn fill(&self, numbers: Range<u64>, each: u64) {
        for start in numbers.clone().step_by(usize::try_from(each).unwrap()) {
            self.store(start..numbers.end.min(start + each));
        }
        self.sign();
    }

    fn sign(&self) {
        self.publication.set_signed(self.work.wiring.snapshots.load().size());
    }

    fn run(&mut self) {
        while self.work.step(&self.stop).unwrap() {}
    }

    fn parts(&self) -> Vec<Part> {
        self.work.wiring.snapshots.load().parts().to_vec()
    }

    fn everything(&self) -> Vec<ArrayRef> {
        let parts: Vec<_> = self.parts().iter().map(|part| read(part, &Column::ALL, Rows::All, None, &self.bench.phi, 64)).collect();
        plain(&concat_batches(&schema(), &parts).unwrap())
    }

    fn rows_of_actor(&self, number: u64) -> Vec<u64> {
        let token = self.bench.encoder.tokens().token(TokenKind::Actor, &actor(number));
        let of = |part: &Part| part.rows_of(token).unwrap().into_iter().map(|row| part.first_index() + u64::from(row)).collect::<Vec<_>>();
        self.parts().iter().flat_map(of).collect()
    }

    /// Are all these events known as repeats, each under its own index?
    fn knows(&self, numbers: Range<u64>) -> bool {
        let batch = self.bench.batch(numbers.clone());
        let seen = self.work.wiring.dedupe.check(batch.identities()).unwrap();
        seen.iter()
            .zip(batch.identities())
            .zip(numbers)
            .all(|((seen, identity), index)| seen.is_some_and(|seen| seen.index == index && seen.tag == identity.tag))
    }

    fn files(&self) -> BTreeSet<String> {
        let names = |folder: &str| {
            fs::read_dir(self.bench.path().join(folder))
                .unwrap()
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect::<Vec<_>>()
        };
        [names(SEGMENTS), names(DEDUPE)].concat().into_iter().collect()
    }

    /// Stops, and reads the catalog as the next start does: the files it names, the ranges of segments, and the number of batches.
    fn reopened(self) -> (BTreeSet<String>, Vec<Range<u64>>, usize) {
        self.committer.stop();
        let key = self.bench.keys.trail(TrailKey::Catalog);
        let path: PathBuf = self.bench.path().join("catalog.sqlite");
        let mut catalog = Catalog::open(&path, key, Arc::clone(&self.bench.random), self.faults.clone()).unwrap();
        assert_eq!(catalog.load().unwrap().damage, []);
        let mut segments: Vec<_> = catalog.rows().all(Kind::Segment).iter().map(|(_, value)| SegmentRow::decode(value).unwrap()).collect();
        segments.sort_by_key(|row| row.first_index);
        let runs: Vec<_> = catalog.rows().all(Kind::Run).iter().map(|(_, value)| RunRow::decode(value).unwrap()).collect();
        let mut names: BTreeSet<String> = runs.iter().map(|row| format!("{:016x}.run", row.id)).collect();
        names.extend(segments.iter().flat_map(|row| [format!("{:016x}.events", row.id), format!("{:016x}.postings", row.id)]));
        for row in &segments {
            assert!(segment::compare_files(&self.bench.path().join(SEGMENTS), row).is_empty());
        }
        let mut batches = 0;
        catalog.batches(&mut Vec::new(), |_| batches += 1).unwrap();
        (names, segments.iter().map(|row| row.first_index..row.end()).collect(), batches)
    }
}

#[test]
fn compaction_changes_nothing_that_readers_see() {
    let mut stage = Stage::new();
    stage.fill(0..500, 3);
    let before = stage.everything();
    let actors: Vec<_> = (0..12).map(|number| stage.rows_of_actor(number)).collect();
    let held = stage.parts();
    while stage.work.step(&stage.stop).unwrap() {
        assert_eq!(stage.everything(), before);
        assert_eq!((0..12).map(|number| stage.rows_of_actor(number)).collect::<Vec<_>>(), actors);
    }
    let segments = stage.parts().iter().filter(|part| matches!(part, Part::Segment(_))).count();
    assert!((2..=6).contains(&segments), "{segments} segments");
    assert!(stage.parts().len() < 20);
    assert!(stage.knows(0..500));
    drop(held);
    let on_disk = stage.files();
    let (named, ranges, batches) = stage.reopened();
    assert_eq!(named, on_disk);
    assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
    assert_eq!((ranges[0].start, batches < 20), (0, true));
}

#[test]
fn unsigned_events_stay_where_they_are() {
    let mut stage = Stage::new();
    for start in (0..80).step_by(10) {
        stage.store(start..start + 10);
    }
    stage.run();
    assert!(stage.parts().iter().all(|part| matches!(part, Part::Fresh(_))));
    assert!(matches!(stage.work.flush(stage.key_set(), &stage.stop), Err(CompactError::Unsigned)));
    stage.sign();
    stage.run();
    assert!(matches!(stage.parts()[0], Part::Segment(_)));
}

#[test]
fn a_key_set_is_flushed_whole_on_demand() {
    let stage = Stage::new();
    stage.fill(0..25, 4);
    let before = stage.everything();
    stage.work.flush(stage.key_set(), &stage.stop).unwrap();
    assert!(matches!(&stage.parts()[..], [Part::Segment(segment)] if segment.count() == 25));
    assert_eq!(stage.everything(), before);
    stage.work.flush(99, &stage.stop).unwrap();
    assert_eq!(stage.reopened().2, 0);
}

impl Stage {
    fn key_set(&self) -> u64 {
        match &self.parts()[0] {
            Part::Fresh(fresh) => fresh.key_set(),
            _ => panic!("nothing is fresh"),
        }
    }
}

#[test]
fn a_failed_step_leaves_everything_as_it_was() {
    for step in [Step::SegmentWrite, Step::DedupeWrite, Step::SegmentSwap] {
        for after in [false, true] {
            // The first failure meets a flush, the second a merge.
            for events in [90_u64, 130] {
                let mut stage = Stage::new();
                stage.fill(0..events, 10);
                if events > 100 {
                    while stage.parts().iter().filter(|part| matches!(part, Part::Segment(_))).count() < 3 {
                        stage.work.step(&stage.stop).unwrap();
                    }
                }
                let before = stage.everything();
                *stage.faults.0.lock().unwrap() = Some((step, after));
                while let Ok(true) = stage.work.step(&stage.stop) {}
                assert_eq!(*stage.faults.0.lock().unwrap(), None, "{step:?} was never reached");
                assert_eq!(stage.everything(), before, "{step:?} {after}");
                stage.run();
                assert_eq!(stage.everything(), before, "{step:?} {after}");
                assert!(stage.knows(0..events));
                let on_disk = stage.files();
                let (named, ..) = stage.reopened();
                assert_eq!(named, on_disk, "{step:?} {after}");
            }
        }
    }
}

#[test]
fn work_is_given_up_when_the_trail_closes() {
    let mut stage = Stage::new();
    stage.fill(0..60, 20);
    stage.stop.store(true, Ordering::Relaxed);
    assert!(matches!(stage.work.step(&stage.stop), Err(CompactError::Write(WriteError::Stopped(_)))));
    assert!(stage.files().is_empty());
    stage.stop.store(false, Ordering::Relaxed);
    stage.run();
    assert_eq!(stage.files().len(), 3);
}

#[test]
fn a_full_disk_is_left_to_records_of_duty() {
    let mut stage = Stage::new();
    stage.fill(0..60, 20);
    stage.faults.1.store(true, Ordering::Relaxed);
    *stage.faults.0.lock().unwrap() = Some((Step::CatalogWrite, false));
    assert_eq!(stage.try_store(60..61), Err(CommitError::DiskFull));
    assert!(!stage.work.step(&stage.stop).unwrap());
    assert!(stage.files().is_empty());
}
