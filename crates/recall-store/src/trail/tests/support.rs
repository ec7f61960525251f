//! A trail in a temporary folder, with a clock and faults that tests set.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use recall_log::checkpoint::Checkpoint;
use recall_log::event::Event;
use recall_log::merkle::{HashReader as _, verify_consistency};
use recall_log::note::Verifier;
use recall_log::tile::TileHashReader;
use recall_log::time::Timestamp;

use crate::batch::Batch;
use crate::keys::RootSource;
use crate::publisher::LogFolder;
use crate::seams::{Clock, Faults, Step};
use crate::testing::{Seeded, admission, clinic};
use crate::trail::{Class, CommitError, InitOptions, OpenError, OpenOptions, Outcome, Submission, Trail};

/// A clock that stands still until it is set.
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn at(text: &str) -> Self {
        Self(AtomicI64::new(Timestamp::parse(text).unwrap().micros()))
    }

    pub(crate) fn set(&self, text: &str) {
        self.0.store(Timestamp::parse(text).unwrap().micros(), Ordering::SeqCst);
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// When a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Nothing of it was done.
    Before,
    /// It was done, and reported as failed.
    After,
}

#[derive(Clone, Copy)]
struct Fault {
    step: Step,
    when: When,
    /// Steps of this kind that go well before.
    after: u32,
    /// How many fail then.
    times: u32,
    kind: io::ErrorKind,
}

/// Fails as told, and remembers which steps were done.
#[derive(Default)]
pub(crate) struct Failing {
    faults: Mutex<Vec<Fault>>,
    asked: Mutex<BTreeSet<Step>>,
}

impl Failing {
    pub(crate) fn fail(&self, step: Step, when: When, after: u32, times: u32) {
        self.fail_as(step, when, after, times, io::ErrorKind::Other);
    }

    pub(crate) fn fail_as(&self, step: Step, when: When, after: u32, times: u32, kind: io::ErrorKind) {
        self.faults.lock().unwrap().push(Fault { step, when, after, times, kind });
    }

    pub(crate) fn heal(&self) {
        self.faults.lock().unwrap().clear();
    }

    /// Was the step reached since the last call?
    pub(crate) fn was_reached(&self, step: Step) -> bool {
        std::mem::take(&mut *self.asked.lock().unwrap()).contains(&step)
    }

    fn ask(&self, step: Step, when: When) -> io::Result<()> {
        self.asked.lock().unwrap().insert(step);
        for fault in self.faults.lock().unwrap().iter_mut().filter(|fault| fault.step == step && fault.when == when) {
            if fault.after > 0 {
                fault.after -= 1;
            } else if fault.times > 0 {
                fault.times -= 1;
                return Err(io::Error::new(fault.kind, "on purpose"));
            }
        }
        Ok(())
    }
}

impl Faults for Failing {
    fn before(&self, step: Step) -> io::Result<()> {
        self.ask(step, When::Before)
    }

    fn after(&self, step: Step) -> io::Result<()> {
        self.ask(step, When::After)
    }
}

/// A trail's surroundings.
pub(crate) struct Stage {
    pub place: tempfile::TempDir,
    pub clock: Arc<TestClock>,
    pub faults: Arc<Failing>,
}

impl Stage {
    /// With a trail in it.
    pub(crate) fn new() -> Self {
        let stage = Self::empty();
        Trail::init(&stage.init_options()).unwrap();
        stage
    }

    pub(crate) fn empty() -> Self {
        Self { place: quick_folder(), clock: Arc::new(TestClock::at("2026-11-23T18:00:00Z")), faults: Arc::new(Failing::default()) }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.place.path().join("trail")
    }

    pub(crate) fn root(&self) -> RootSource {
        RootSource::File(self.place.path().join("trail.key"))
    }

    pub(crate) fn init_options(&self) -> InitOptions {
        InitOptions { random: Arc::new(Seeded::new(1)), ..InitOptions::new(self.folder(), self.root(), "log.example/trail") }
    }

    pub(crate) fn options(&self) -> OpenOptions {
        OpenOptions {
            publish_interval: Duration::ZERO,
            reserve_bytes: 1 << 16,
            filter_bytes: 1 << 20,
            clock: self.clock.clone(),
            faults: self.faults.clone(),
            ..OpenOptions::new(self.folder(), self.root())
        }
    }

    pub(crate) fn try_open(&self) -> Result<Trail, OpenError> {
        Trail::open(self.options())
    }

    pub(crate) fn open(&self) -> Trail {
        self.try_open().unwrap()
    }
}

/// In memory where the machine has such a place: these tests sync thousands of times, and none of them cuts the power.
fn quick_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A batch of the clinic's events.
pub(crate) fn batch(trail: &Trail, numbers: impl IntoIterator<Item = u64>) -> Batch {
    let mut batch = trail.encoder().batch().unwrap();
    for number in numbers {
        let json = clinic(number);
        let event = Event::parse(json.as_bytes()).unwrap();
        batch.push(&event, &admission(number, &format!("event-{number}"))).unwrap();
    }
    batch.finish().unwrap()
}

/// Events as senders bring them.
pub(crate) fn ingest(trail: &Trail, numbers: Range<u64>) -> Submission {
    Submission::events(vec![batch(trail, numbers)], Class::Ingest)
}

/// Waits for what another thread is about to do; twenty seconds at most.
pub(crate) fn until(done: impl Fn() -> bool) {
    let came = (0..20_000).any(|_| {
        std::thread::park_timeout(Duration::from_millis(1));
        done()
    });
    assert!(came, "what was waited for did not come");
}

/// Stores the clinic's events and waits.
pub(crate) fn store(trail: &Trail, numbers: Range<u64>) -> Result<Vec<Outcome>, CommitError> {
    trail.submit_and_wait(ingest(trail, numbers)).unwrap()
}

/// Checks that the published tree holds `leaves` and grew from `old`; gives its checkpoint.
pub(crate) fn check_tree(trail: &Trail, old: Option<&Checkpoint>, outcomes: &[Outcome]) -> Checkpoint {
    let note = trail.checkpoint();
    let log = Verifier::parse(&trail.keys().vkey()).unwrap();
    let (checkpoint, _) = Checkpoint::open(note.note.as_bytes(), &log, &[]).unwrap();
    let folder = LogFolder(trail.log_dir());
    assert_eq!(recall_log::verify::verify_tree(&folder, &checkpoint, &mut |_, _| {}), []);
    let reader = TileHashReader::new(&folder, checkpoint.size);
    for outcome in outcomes.iter().filter(|outcome| outcome.index < checkpoint.size) {
        assert_eq!(reader.hash(0, outcome.index).unwrap(), outcome.leaf_hash, "event {}", outcome.index);
    }
    if let Some(old) = old {
        let proof = recall_log::merkle::consistency_proof(&reader, old.size, checkpoint.size).unwrap();
        verify_consistency(old.size, &old.root, checkpoint.size, &checkpoint.root, &proof).unwrap();
    }
    checkpoint
}
