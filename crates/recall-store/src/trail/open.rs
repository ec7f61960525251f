//! Opening a trail: the normal path, which is also the way back from any crash.
//!
//! Catalog, heads, segments and batches are read and checked; entries above the last signed tree wait for the publisher again, which goes on
//! where it was stopped.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use recall_log::merkle::Frontier;
use recall_log::note::{SignError, Signer};
use recall_log::tile::TileWriter;
use thiserror::Error;

use super::erasure::Erasures;
use super::judge::{self, judge};
use super::{DAMAGE_FOUND, EXPECTATION, Folder, FolderLock, LockError, Running, SOURCES_AS_OF, Trail};
use crate::batch::Encoder;
use crate::catalog::{ApplyError, Catalog, CatalogError, Change, Damage, Kind, RowChange, Rows, State};
use crate::committer::{Committer, Worker};
use crate::compactor::{self, Compactor};
use crate::dedupe::{Dedupe, Lost, RunRow};
use crate::fresh::{self, Fresh, StoredBatch};
use crate::keys::{KeyringError, Keys, PhiAccess, RootSource, SetGone, TrailKey};
use crate::publisher::{Chunk, LogFolder, Publication, Publisher, PublisherThread, Signed};
use crate::reserve::{self, Reserve};
use crate::seams::{Clock, Faults, NoFaults, Random, Step, SystemClock, SystemRandom};
use crate::segment::{Segment, SegmentRow};
use crate::snapshot::{Erased, Part, ReadError, Snapshot, Snapshots};
use crate::source::Register;

/// Batches that one thread reads back before the others are waited for.
const BATCHES_AT_ONCE: usize = 16;

/// How a trail is opened.
#[derive(Clone)]
pub struct OpenOptions {
    /// Its folder.
    pub folder: PathBuf,
    /// Its root key.
    pub root: RootSource,
    /// Where the second copy of the last checkpoint lies, if not at `DIR.anchor`.
    pub anchor: Option<PathBuf>,
    /// Nothing is written, no thread started, no lock taken; for copies and for a second look.
    pub read_only: bool,
    /// The publisher publishes at most once in this time.
    pub publish_interval: Duration,
    /// Size of the reserve.
    pub reserve_bytes: u64,
    /// Memory for the filters of dedupe runs.
    pub filter_bytes: usize,
    /// When batches become segments, and segments larger ones.
    pub compaction: compactor::Options,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Failure, in tests.
    pub faults: Arc<dyn Faults>,
}

impl OpenOptions {
    /// As a server opens it.
    pub fn new(folder: impl Into<PathBuf>, root: RootSource) -> Self {
        Self {
            folder: folder.into(),
            root,
            anchor: None,
            read_only: false,
            publish_interval: Duration::from_secs(1),
            reserve_bytes: reserve::DEFAULT_BYTES,
            filter_bytes: 256 << 20,
            compaction: compactor::Options::default(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            faults: Arc::new(NoFaults),
        }
    }
}

/// Why a trail could not be opened at all.
#[derive(Debug, Error)]
pub enum OpenError {
    /// There is none.
    #[error("{0} holds no trail; make one with `recall init`")]
    Absent(PathBuf),
    /// Another process works there.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Root key or keyring.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Parts that do not follow one another, after gaps were filled: a mistake in here.
    #[error(transparent)]
    Gap(#[from] crate::snapshot::Gap),
    /// The signing key.
    #[error("the signing key can't be used: {0}")]
    Sign(#[from] SignError),
    /// The public key.
    #[error("the public key can't be used: {0}")]
    Verifier(#[from] recall_log::note::VerifierError),
    /// The operating system refused.
    #[error("the trail could not be opened: {0}")]
    Io(#[from] std::io::Error),
}

/// What was read of the folder.
struct Loaded {
    rows: Rows,
    state: Option<State>,
    signed: Option<Signed>,
    parts: Vec<Part>,
    /// Entries above the signed tree, and the tree that they lead to.
    pending: Chunk,
    register: Register,
    damage: Vec<Damage>,
    gone: Vec<Erased>,
    /// Why it must not be written, if so.
    reason: Option<String>,
    backlog: u64,
}

/// What loading needs.
struct Loader<'a> {
    folder: &'a Folder,
    keys: &'a Arc<Keys>,
    phi: PhiAccess,
    encoder: &'a Encoder,
    rows: Rows,
    dedupe: &'a Dedupe,
    /// Runs that could not be opened.
    unreadable: Vec<(RunRow, ReadError)>,
    damage: Vec<Damage>,
    /// Events whose keys are destroyed, without a record of it here.
    gone: Vec<Erased>,
    reason: Option<String>,
}

pub(super) fn open(options: OpenOptions) -> Result<Trail, OpenError> {
    let folder = Folder::new(&options.folder, options.anchor.as_deref());
    if !folder.holds_trail() {
        return Err(OpenError::Absent(options.folder));
    }
    let lock = if options.read_only { None } else { Some(folder.lock()?) };
    let root = match &lock {
        Some(_) => Keys::settle_root(&folder.keyring(), &options.root)?,
        None => Keys::find_root(&folder.keyring(), &options.root)?,
    };
    let keys = Arc::new(Keys::load(&folder.keyring(), &root, Arc::clone(&options.random), Arc::clone(&options.faults))?);
    drop(root);
    if options.read_only {
        return look(options, &folder, &keys);
    }
    open_with(options, folder, lock, keys)
}

/// Opens for reading, perhaps beside a server that puts new files in place of old ones between one look and the next: what is found twice
/// in the same way is so.
fn look(options: OpenOptions, folder: &Folder, keys: &Arc<Keys>) -> Result<Trail, OpenError> {
    const TRIES: usize = 5;
    let look = || open_with(options.clone(), folder.clone(), None, Arc::clone(keys));
    let mut trail = look()?;
    for _ in 1..TRIES {
        if trail.damage.is_empty() && !trail.copy {
            break;
        }
        let again = look()?;
        let same = (&again.damage, &again.running.as_ref().err()) == (&trail.damage, &trail.running.as_ref().err());
        trail = again;
        if same {
            break;
        }
    }
    Ok(trail)
}

/// What opening found, before it is judged.
struct Found {
    notes: judge::Notes,
    catalog: Catalog,
    encoder: Encoder,
    dedupe: Arc<Dedupe>,
    erasures: Erasures,
    loaded: Loaded,
    run_ids: Vec<u64>,
    /// Why the catalog can't be relied upon to be on the disk, if so.
    unsettled: Option<String>,
}

/// Reads and checks everything that the folder holds.
fn find(options: &OpenOptions, folder: &Folder, keys: &Arc<Keys>) -> Result<Found, OpenError> {
    let notes = judge::notes(folder)?;
    let open = if options.read_only { Catalog::open_read_only } else { Catalog::open };
    let mut catalog = open(&folder.catalog(), keys.trail(TrailKey::Catalog), Arc::clone(&options.random), Arc::clone(&options.faults))?;
    let found = catalog.load()?;
    let unsettled = if options.read_only { None } else { settle(&mut catalog, &Reserve::new(folder.path(), options.reserve_bytes)).err() };
    let rows = catalog.rows();
    let encoder = Encoder::new(keys, Arc::clone(&options.random));
    let mut damage = found.damage;
    let runs = rows_of(&rows, Kind::Run, |value| RunRow::decode(value).ok(), &mut damage);
    let run_ids = runs.iter().map(|run| run.id).collect();
    let (dedupe, unreadable) = Dedupe::open_readable(&folder.dedupe(), runs, keys, options.filter_bytes);
    let dedupe = Arc::new(dedupe);
    let (erasures, reason) = match Erasures::load(&rows) {
        Ok(erasures) => (erasures, None),
        Err(name) => (Erasures::default(), Some(format!("the record of erasure {name} can't be read"))),
    };
    // What is recorded as erased is not read again, whether its key is destroyed yet or not.
    erasures.all().iter().for_each(|erasure| keys.forget(erasure.key_set));
    let reason = found.fatal.map(|damage| format!("the catalog is damaged: {damage}; restore it from a backup")).or(reason);
    let phi = keys.phi_access();
    let loader = Loader { folder, keys, phi, encoder: &encoder, rows, dedupe: &dedupe, unreadable, damage, gone: Vec::new(), reason };
    let loaded = loader.load(&catalog, found.state, &erasures)?;
    let unsettled = unsettled.map(|error| format!("its catalog can't be synced: {error}; see the disk, then start again"));
    Ok(Found { notes, catalog, encoder, dedupe, erasures, loaded, run_ids, unsettled })
}

fn open_with(options: OpenOptions, folder: Folder, lock: Option<FolderLock>, keys: Arc<Keys>) -> Result<Trail, OpenError> {
    let Found { notes, catalog, encoder, dedupe, erasures, mut loaded, run_ids, unsettled } = find(&options, &folder, &keys)?;
    let verifier = recall_log::note::Verifier::parse(&keys.vkey())?;
    let signed = loaded.signed.as_ref().map(|signed| signed.frontier.clone()).unwrap_or_default();
    let judgement = judge(&folder, notes, &verifier, &loaded.pending.frontier, &signed)?;
    let copy = judgement.reason.is_some() || !loaded.gone.is_empty();
    let uncontinued = TileWriter::resume(&LogFolder(folder.log()), &signed).err();
    let uncontinued = uncontinued.map(|error| format!("the log can't be continued ({error}); restore its tiles from a backup"));
    let reason = loaded.reason.take().or(judgement.reason).or_else(|| erased_elsewhere(&loaded.gone)).or(unsettled).or(uncontinued);
    let reason = reason.or_else(|| options.read_only.then(|| "it was opened for reading".to_owned()));
    if options.read_only {
        // Nobody makes it again here.
        let lost = dedupe.lost().into_iter();
        loaded.damage.extend(lost.map(|lost| Damage { place: "the index of repeats".to_owned(), what: lost.to_string() }));
    }
    let publication = Arc::new(Publication::new(LogFolder(folder.log()), signed.size(), judgement.published));
    publication.add(loaded.pending);
    let snapshots = Arc::new(Snapshots::new(Snapshot::new(loaded.parts)?));
    let mut trail = Trail {
        folder,
        root: options.root.clone(),
        keys,
        encoder,
        snapshots,
        dedupe,
        rows: loaded.rows,
        register: Arc::new(Mutex::new(loaded.register)),
        erasures: Arc::new(erasures),
        publication,
        damage: loaded.damage,
        running: Err(String::new()),
        copy,
        behind: judgement.behind,
        gone: loaded.gone,
        clock: Arc::clone(&options.clock),
        random: Arc::clone(&options.random),
        key_work: Mutex::default(),
        lock,
    };
    let state = match reason {
        Some(reason) => Err(reason),
        None => loaded.state.ok_or_else(|| "the state row is missing from the catalog; restore it from a backup".to_owned()),
    };
    trail.running = match state {
        Err(reason) => Err(reason),
        Ok(state) => {
            let start = Start { catalog, state, signed: loaded.signed, backlog: loaded.backlog, run_ids };
            Ok(start.threads(&trail, &options)?)
        }
    };
    warn(&trail);
    if let Ok(running) = &trail.running {
        trail.finish_erasures(&running.committer.handle());
    }
    Ok(trail)
}

/// Writes what is whole of the kinds that were damaged. What was found goes with it, since afterwards it is found no more.
fn repair(catalog: &mut Catalog, state: &mut State, damage: &[Damage]) {
    const FOUND_CHARS: usize = 4_000;
    if !catalog.needs_repair() {
        return;
    }
    let found = damage.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let found: String = found.chars().take(FOUND_CHARS).collect();
    let change = Change { rows: vec![RowChange::put(Kind::Setting, DAMAGE_FOUND, found)], ..Change::default() };
    if let Err(error) = catalog.apply(Step::CatalogWrite, &change, state) {
        tracing::warn!(%error, "the catalog could not be repaired; the next commit tries again");
    }
}

fn warn(trail: &Trail) {
    for damage in &trail.damage {
        tracing::error!(%damage, "the trail is damaged");
    }
    if let Some(month) = trail.month_ahead() {
        tracing::warn!(month, "new events are kept under a month that the clock has not reached; see that the clock is right");
    }
}

/// What an earlier process left in the catalog's log may be there in memory alone, if its sync failed: before anything is built on it,
/// it is written a second time. On a full disk that is worth the reserve.
fn settle(catalog: &mut Catalog, reserve: &Reserve) -> Result<(), ApplyError> {
    match catalog.settle() {
        Err(ApplyError::Full) if reserve.give_up()? => catalog.settle(),
        other => other,
    }
}

/// What the threads take over.
struct Start {
    catalog: Catalog,
    state: State,
    signed: Option<Signed>,
    backlog: u64,
    run_ids: Vec<u64>,
}

impl Start {
    fn threads(mut self, trail: &Trail, options: &OpenOptions) -> Result<Running, OpenError> {
        repair(&mut self.catalog, &mut self.state, &trail.damage);
        let segments = trail.rows.all(Kind::Segment);
        let segment_ids: Vec<u64> = segments.iter().filter_map(|(_, value)| SegmentRow::decode(value).ok()).map(|row| row.id).collect();
        compactor::remove_leftovers(trail.folder(), &segment_ids, &self.run_ids)?;
        let reserve = Reserve::new(trail.folder(), options.reserve_bytes);
        if let Err(error) = reserve.make(&*options.faults) {
            tracing::warn!(%error, "there is no reserve; when the disk is full, reads can't be recorded");
        }
        let worker = Worker::new(crate::committer::Parts {
            catalog: self.catalog,
            state: self.state,
            keys: Arc::clone(&trail.keys),
            snapshots: Arc::clone(&trail.snapshots),
            dedupe: Arc::clone(&trail.dedupe),
            register: Arc::clone(&trail.register),
            erasures: Arc::clone(&trail.erasures),
            publication: Arc::clone(&trail.publication),
            reserve,
            clock: Arc::clone(&options.clock),
            random: Arc::clone(&options.random),
            faults: Arc::clone(&options.faults),
            backlog: self.backlog,
        });
        let committer = Committer::start(worker)?;
        let publisher = Publisher {
            log: LogFolder(trail.log_dir()),
            anchor: trail.folder.anchor(),
            origin: trail.keys.origin(),
            signer: Signer::new(&trail.keys.origin(), trail.keys.signing_seed().as_bytes())?,
            signed: self.signed,
            publication: Arc::clone(&trail.publication),
            handle: committer.handle(),
            faults: Arc::clone(&options.faults),
            writer: None,
        };
        let publisher = PublisherThread::start(publisher, options.publish_interval)?;
        let wiring = compactor::Wiring {
            folder: trail.folder().to_owned(),
            keys: Arc::clone(&trail.keys),
            encoder: trail.encoder.clone(),
            rows: trail.rows.clone(),
            snapshots: Arc::clone(&trail.snapshots),
            dedupe: Arc::clone(&trail.dedupe),
            publication: Arc::clone(&trail.publication),
            handle: committer.handle(),
            faults: Arc::clone(&options.faults),
        };
        let compactor = Compactor::start(wiring, options.compaction.clone())?;
        Ok(Running { committer, publisher, compactor })
    }
}

fn rows_of<T>(rows: &Rows, kind: Kind, decode: impl Fn(&[u8]) -> Option<T>, damage: &mut Vec<Damage>) -> Vec<T> {
    let mut out = Vec::new();
    for (name, value) in rows.all(kind) {
        match decode(&value) {
            Some(row) => out.push(row),
            None => damage.push(Damage { place: format!("catalog, {} {name}", kind.name()), what: "its row can't be read".to_owned() }),
        }
    }
    out
}

impl Loader<'_> {
    fn load(mut self, catalog: &Catalog, state: Option<State>, erasures: &Erasures) -> Result<Loaded, OpenError> {
        let signed = Signed::load(&self.rows).unwrap_or_else(|problem| {
            self.fatal("catalog, checkpoint", problem);
            None
        });
        let mut pending = Chunk::new(&signed.as_ref().map_or_else(Frontier::new, |signed| signed.frontier.clone()));
        let mut parts = self.segments();
        parts.extend(erasures.all().iter().flat_map(|erasure| erasure.parts().collect::<Vec<_>>()).map(Part::Erased));
        let (mut register, as_of) = self.register();
        let mut stored = Vec::new();
        let mut unreadable = Vec::new();
        catalog.batches(&mut unreadable, |batch| stored.push(batch))?;
        for damage in unreadable {
            self.fatal(&damage.place, &damage.what);
        }
        self.batches(stored, |loader, lost, loaded| parts.push(loader.batch(lost, loaded, &mut pending, &mut register, as_of)));
        let size = state.as_ref().map_or_else(|| authentic_size(&parts), |state| state.frontier.size());
        let parts = self.in_order(parts, size);
        let backlog = parts.iter().filter(|part| matches!(part, Part::Fresh(_))).map(|part| u64::from(part.count())).sum();
        self.find_lost_identities(&parts);
        if state.as_ref().is_some_and(|state| state.frontier != pending.frontier) {
            self.fatal("catalog, batches", "they do not lead to the tree that the state row tells");
            pending = Chunk::new(&state.as_ref().map_or_else(Frontier::new, |state| state.frontier.clone()));
        }
        let Self { rows, damage, gone, reason, .. } = self;
        Ok(Loaded { rows, state, signed, parts, pending, register, damage, gone, reason, backlog })
    }

    /// Damage that nothing may be built on.
    fn fatal(&mut self, place: &str, what: &str) {
        let damage = Damage { place: place.to_owned(), what: what.to_owned() };
        self.reason.get_or_insert(format!("the trail is damaged: {damage}; restore it from a backup"));
        self.damage.push(damage);
    }

    fn segments(&mut self) -> Vec<Part> {
        let mut unreadable = Vec::new();
        let rows = rows_of(&self.rows, Kind::Segment, |value| SegmentRow::decode(value).ok(), &mut unreadable);
        for damage in unreadable {
            self.fatal(&damage.place, &damage.what);
        }
        let mut parts = Vec::with_capacity(rows.len());
        for row in rows {
            let lost = Erased { first_index: row.first_index, count: row.count, key_set: row.key_set, by: None };
            match Segment::open(&self.folder.segments(), row, self.keys) {
                Ok(segment) => parts.push(Part::Segment(Arc::new(segment))),
                Err(error) => {
                    self.lost(&lost, &error);
                    parts.push(Part::Erased(lost));
                }
            }
        }
        parts
    }

    /// Names what can't be read. A key that is gone from a keyring that knows later ones was destroyed: an erasure always leaves a later set. One that
    /// is later than all in the keyring was made after it was exported.
    fn lost(&mut self, lost: &Erased, error: &ReadError) {
        let place = format!("events {} to {}", lost.first_index, end(lost).saturating_sub(1));
        match error {
            ReadError::Erased(SetGone(set)) if self.keys.sets().last().is_some_and(|last| last.id > *set) => self.gone.push(lost.clone()),
            ReadError::Erased(SetGone(set)) => {
                let what =
                    format!("the keyring lacks key set {set}, which is later than all it holds; give a keyring that was exported after it");
                self.reason.get_or_insert(what.clone());
                self.damage.push(Damage { place, what });
            }
            _ => self.damage.push(Damage { place, what: error.to_string() }),
        }
    }

    /// The register as it was kept, and the index up to which it counts.
    fn register(&mut self) -> (Register, u64) {
        let mut as_of = 0;
        let mut sources = Vec::new();
        for (name, value) in self.rows.all(Kind::Source) {
            if name == SOURCES_AS_OF {
                as_of = value.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
            } else if let Ok(source) = serde_json::from_slice(&value) {
                sources.push((name, source));
            } else {
                self.damage.push(Damage { place: format!("catalog, source {name}"), what: "its row can't be read".to_owned() });
            }
        }
        let mut register = Register::load(sources);
        for (name, value) in self.rows.all(Kind::Setting) {
            if let Some(source) = name.strip_prefix(EXPECTATION) {
                register.expect(source, value.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)));
            }
        }
        (register, as_of)
    }

    /// Reads batches back on all processors, and hands them on in index order. Each comes with the part that stands for it if it is lost.
    fn batches(&mut self, stored: Vec<StoredBatch>, mut each: impl FnMut(&mut Self, Erased, Result<fresh::Loaded, ReadError>)) {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut stored = stored.into_iter().peekable();
        while stored.peek().is_some() {
            let window: Vec<StoredBatch> = stored.by_ref().take(threads.saturating_mul(BATCHES_AT_ONCE)).collect();
            let (encoder, keys, phi) = (self.encoder, self.keys, &self.phi);
            let read = |share: &[StoredBatch]| share.iter().map(|batch| Fresh::load(batch.clone(), encoder, keys, phi)).collect::<Vec<_>>();
            let loaded: Vec<_> = std::thread::scope(|scope| {
                let shares: Vec<_> = window.chunks(BATCHES_AT_ONCE).map(|share| scope.spawn(move || read(share))).collect();
                // A share whose thread panicked is lost as a whole, and named.
                shares
                    .into_iter()
                    .zip(window.chunks(BATCHES_AT_ONCE))
                    .flat_map(|(thread, share)| {
                        let panicked =
                            |_| share.iter().map(|_| Err(ReadError::damaged("a batch in the catalog", "reading it failed"))).collect();
                        thread.join().unwrap_or_else(panicked)
                    })
                    .collect()
            });
            for (batch, loaded) in window.iter().zip(loaded) {
                let lost = Erased { first_index: batch.first_index, count: batch.count, key_set: batch.key_set, by: None };
                each(self, lost, loaded);
            }
        }
    }

    /// Takes in a batch that was read back. What could not be read is named and stands as lost.
    fn batch(
        &mut self,
        lost: Erased,
        loaded: Result<fresh::Loaded, ReadError>,
        pending: &mut Chunk,
        register: &mut Register,
        as_of: u64,
    ) -> Part {
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                self.lost(&lost, &error);
                return Part::Erased(lost);
            }
        };
        self.dedupe.insert(lost.first_index, loaded.fresh.identities());
        if lost.first_index == pending.frontier.size() {
            loaded.leaf_hashes.iter().for_each(|leaf| pending.frontier.push(*leaf));
            pending.push(&loaded.entries, &loaded.leaf_hashes);
        }
        if lost.first_index >= as_of {
            loaded.fresh.notes(&loaded.seqs).for_each(|note| register.heard(&note));
        }
        Part::Fresh(Arc::new(loaded.fresh))
    }

    /// Parts in index order; where some are missing, that is named and a placeholder stands for them. The trail holds `size` events: where
    /// a batch says that it lies beyond, that is a number that nobody vouches for.
    fn in_order(&mut self, mut parts: Vec<Part>, size: u64) -> Vec<Part> {
        parts.sort_by_key(Part::first_index);
        let mut whole: Vec<Part> = Vec::with_capacity(parts.len());
        let mut next = 0_u64;
        for part in parts {
            if part.first_index() < next {
                self.fatal(&format!("event {}", part.first_index()), "it is there twice");
                continue;
            }
            if part.end() > size {
                self.fatal(
                    &format!("events {} to {}", part.first_index(), part.end().saturating_sub(1)),
                    "the state row does not know them",
                );
                continue;
            }
            self.fill(&mut whole, next, part.first_index());
            next = part.end();
            whole.push(part);
        }
        self.fill(&mut whole, next, size);
        whole
    }

    /// Finds the events outside memory that no run of seen ids covers. Where they can be read, the compactor makes a run of them; until
    /// then, and for good where they can't, no event passes for new.
    fn find_lost_identities(&mut self, parts: &[Part]) {
        let runs = self.dedupe.rows();
        let mut lost: Vec<Lost> = Vec::new();
        for part in parts.iter().filter(|part| !matches!(part, Part::Fresh(_))) {
            let for_good = matches!(part, Part::Erased(_));
            let mut next = part.first_index();
            let after = runs.partition_point(|run| run.range().end <= next);
            let covered = runs.iter().skip(after).map(RunRow::range).take_while(|range| range.start < part.end());
            for range in covered.chain(std::iter::once(part.end()..part.end())) {
                if next < range.start {
                    match lost.last_mut() {
                        Some(last) if last.range.end == next && last.for_good == for_good => last.range.end = range.start,
                        _ => lost.push(Lost { range: next..range.start, what: String::new(), for_good }),
                    }
                }
                next = next.max(range.end);
            }
        }
        for mut lost in lost {
            let touches = |row: &RunRow| row.first_index < lost.range.end && lost.range.start < row.range().end;
            let known = self.unreadable.iter().find(|(row, _)| touches(row)).map(|(_, error)| error.to_string());
            lost.what = known.unwrap_or_else(|| "nothing that can be read covers them".to_owned());
            tracing::error!(%lost, "the index of repeats is damaged");
            self.dedupe.lose(lost);
        }
    }

    fn fill(&mut self, whole: &mut Vec<Part>, mut from: u64, to: u64) {
        if from < to {
            self.fatal(&format!("events {from} to {}", to - 1), "they are missing");
        }
        while from < to {
            let count = u32::try_from(to - from).unwrap_or(u32::MAX);
            whole.push(Part::Erased(Erased { first_index: from, count, key_set: 0, by: None }));
            from = from.saturating_add(u64::from(count));
        }
    }
}

fn erased_elsewhere(gone: &[Erased]) -> Option<String> {
    let events: u64 = gone.iter().map(|erased| u64::from(erased.count)).sum();
    (events > 0).then(|| {
        format!(
            "{events} events were erased after this copy was made, and the record of it is not in it; run `recall recover` to go on with it under a new origin and key"
        )
    })
}

/// How many events there are as far as sealed rows and sealed batches tell, where the state row does not.
fn authentic_size(parts: &[Part]) -> u64 {
    let authentic = |part: &&Part| !matches!(part, Part::Erased(Erased { by: None, .. }));
    parts.iter().filter(authentic).map(Part::end).max().unwrap_or(0)
}

fn end(part: &Erased) -> u64 {
    part.first_index.saturating_add(u64::from(part.count))
}
