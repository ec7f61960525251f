//! The committer's thread: takes a group, commits it, answers.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::AsArray;
use recall_log::entry::{Salt, commit};
use recall_log::merkle::{Hash, leaf_hash};
use recall_log::time::Timestamp;

use super::group::{Group, Known, Placed};
use super::queue::{Job, Queue, Submitted};
use super::{Class, CommitError, FRESH_BYTES, FRESH_LIMIT, GATEWAY_FRESH, GATEWAY_FRESH_BYTES, Outcome, Rest};
use crate::batch::Packer;
use crate::catalog::{ApplyError, Catalog, Change, Kind, RowChange, State};
use crate::columns::Column;
use crate::dedupe::Dedupe;
use crate::fresh::{Fresh, StoredBatch};
use crate::keys::{Keys, PhiAccess, SetInfo};
use crate::publisher::{Chunk, Leaves, Publication};
use crate::reserve::Reserve;
use crate::seams::{Clock, Faults, Random, Step};
use crate::snapshot::{Part, Rows, Scan, Snapshots};
use crate::source::Register;
use crate::trail::erasure::Erasures;

/// Ids are reserved in the state row this many at a time, so that most are given without a commit of their own.
const IDS_AT_ONCE: u64 = 64;
/// A full disk is looked at again after this long, microseconds.
const LOOK_AGAIN_MICROS: i64 = 1_000_000;

/// What the committer works with.
pub(crate) struct Parts {
    pub catalog: Catalog,
    pub state: State,
    pub keys: Arc<Keys>,
    pub snapshots: Arc<Snapshots>,
    pub dedupe: Arc<Dedupe>,
    pub register: Arc<Mutex<Register>>,
    pub erasures: Arc<Erasures>,
    pub publication: Arc<Publication>,
    pub reserve: Reserve,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub faults: Arc<dyn Faults>,
    /// Events in memory that no segment holds.
    pub backlog: u64,
}

/// The committer's own state: touched by its thread alone.
pub(crate) struct Worker {
    parts: Parts,
    phi: PhiAccess,
    packer: Packer,
    /// The next id to give; those below `state.next_id` are taken on disk already.
    next_id: u64,
    full_since: Option<Timestamp>,
}

impl std::ops::Deref for Worker {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// A submission that is part of the commit in hand.
struct Member {
    submitted: Submitted,
    outcomes: Vec<Outcome>,
}

/// A group with its members, decided and sealed but not yet durable.
struct Draft {
    members: Vec<Member>,
    placed: Vec<Placed>,
    state: State,
    change: Change,
}

/// Runs until the queue is closed and empty. However it ends, whoever waits is answered.
pub(super) fn run(mut worker: Worker, queue: &Queue) {
    struct Abandon<'a>(&'a Queue);
    impl Drop for Abandon<'_> {
        fn drop(&mut self) {
            self.0.abandon();
        }
    }
    let _abandon = Abandon(queue);
    let mut jobs = Vec::new();
    while queue.take(&mut jobs) {
        let mut group = Vec::with_capacity(jobs.len());
        for job in jobs.drain(..) {
            match job {
                Job::Submit(submitted) => group.push(*submitted),
                Job::Call(call) => {
                    worker.commit(std::mem::take(&mut group), queue);
                    call(&mut worker);
                }
            }
        }
        worker.commit(group, queue);
        worker.parts.catalog.keep_log_short();
    }
    if let Err(error) = worker.parts.catalog.tidy() {
        tracing::warn!(%error, "the catalog's log was not merged at the end; the next start does it");
    }
}

impl Worker {
    pub(crate) fn new(mut parts: Parts) -> Self {
        let reserve = parts.reserve.clone();
        parts.catalog.set_last_room(Box::new(move || match reserve.give_up() {
            Ok(_) => tracing::error!("the disk is full; the reserve is given up to open the catalog"),
            Err(error) => tracing::error!(%error, "the disk is full, and the reserve can't be given up"),
        }));
        Self { phi: parts.keys.phi_access(), packer: Packer::default(), next_id: parts.state.next_id, parts, full_since: None }
    }

    /// Commits a group. Those who queue hear how things stand before anybody is answered.
    fn commit(&mut self, mut group: Vec<Submitted>, queue: &Queue) {
        let full = self.full_since.is_some() && !self.has_room_again();
        queue.report(self.backlog(), full);
        if full {
            group = keep_duty(group);
        }
        let Some(Draft { members, placed, mut state, change }) = self.draft(group) else { return };
        let applied = self.apply(&change, &mut state);
        if applied.is_ok() {
            self.parts.state = state;
            self.publish(placed, change);
        }
        queue.report(self.backlog(), self.full_since.is_some());
        match applied {
            Ok(()) => {
                for Member { mut submitted, outcomes } in members {
                    for (source, every_s) in std::mem::take(&mut submitted.submission.expect) {
                        self.register().expect(&source, every_s);
                    }
                    submitted.reply.send(Ok(outcomes));
                }
            }
            Err(error) => {
                for Member { submitted, .. } in members {
                    submitted.reply.send(Err(error.clone()));
                }
            }
        }
    }

    /// Events that wait for a segment or for publication; at a limit where they take too much memory, however few they are.
    fn backlog(&self) -> u64 {
        let events = self.parts.backlog.max(self.publication.waiting());
        match self.snapshots.load().fresh_bytes() {
            bytes if bytes >= FRESH_BYTES + GATEWAY_FRESH_BYTES => events.max(FRESH_LIMIT + GATEWAY_FRESH),
            bytes if bytes >= FRESH_BYTES => events.max(FRESH_LIMIT),
            _ => events,
        }
    }

    /// Writes a commit, out of the reserve where the disk is full.
    fn apply(&mut self, change: &Change, state: &mut State) -> Result<(), CommitError> {
        let had_reserve = self.reserve.is_there();
        match self.parts.catalog.apply(Step::CatalogWrite, change, state) {
            Err(ApplyError::Full) => {}
            other => return Ok(other?),
        }
        self.full_since = Some(self.clock.now());
        let size_bytes: usize = change.batches.iter().map(|batch| batch.sealed.public.len() + batch.sealed.phi.len()).sum();
        if !self.reserve.is_worth(size_bytes) || !had_reserve || self.reserve.give_up().is_err() {
            return Err(CommitError::DiskFull);
        }
        tracing::error!("the disk is full; the reserve is given up for records of reads and administration, and events are refused");
        Ok(self.parts.catalog.apply(Step::CatalogWrite, change, state)?)
    }

    /// After a full disk: is there room for the reserve and more, so that events may be taken again?
    fn has_room_again(&mut self) -> bool {
        let now = self.clock.now();
        let Some(since) = self.full_since else { return true };
        let waited = now.micros().saturating_sub(since.micros());
        if (0..LOOK_AGAIN_MICROS).contains(&waited) {
            return false;
        }
        self.full_since = Some(now);
        if !self.reserve.has_room() || self.reserve.make(&*self.faults).is_err() {
            return false;
        }
        tracing::info!("there is room on the disk again; events are taken");
        self.full_since = None;
        true
    }

    /// Decides repeats, gives indexes, seals. What can't be committed is answered here; `None` if nothing is left.
    fn draft(&mut self, group: Vec<Submitted>) -> Option<Draft> {
        let mut change = Change::default();
        let mut commit = Group::new(self.state.frontier.size());
        let mut members = Vec::with_capacity(group.len());
        let publication = Arc::clone(&self.publication);
        let leaves = publication.leaves();
        for mut submitted in group {
            match self.add(&mut commit, &mut change, &mut submitted, &leaves) {
                Ok(outcomes) => members.push(Member { submitted, outcomes }),
                Err(error) => submitted.reply.send(Err(error)),
            }
        }
        // Repeats alone change nothing, so nothing needs to be synced.
        if commit.placed.is_empty() && change.rows.is_empty() && change.remove_batches.is_empty() {
            members.into_iter().for_each(|Member { submitted, outcomes }| submitted.reply.send(Ok(outcomes)));
            return None;
        }
        let merged = Group::merge(commit.placed, &mut self.packer);
        match merged.and_then(|placed| Ok((self.seal(&placed, &mut change)?, placed))) {
            Ok((state, placed)) => Some(Draft { members, placed, state, change }),
            Err(error) => {
                members.into_iter().for_each(|Member { submitted, .. }| submitted.reply.send(Err(error.clone())));
                None
            }
        }
    }

    /// Adds one submission to the commit, whole or not at all.
    fn add(
        &mut self,
        commit: &mut Group,
        change: &mut Change,
        submitted: &mut Submitted,
        leaves: &Leaves<'_>,
    ) -> Result<Vec<Outcome>, CommitError> {
        let submission = &mut submitted.submission;
        let known = Known {
            dedupe: &self.parts.dedupe,
            class: submission.class,
            leaf: &|index| {
                let read = leaves.hash(index);
                // One tile that can't be read does not stop a submission, as long as the event is there.
                read.or_else(|error| self.stored_leaf(index).ok_or_else(|| CommitError::Failed(error.to_string())))
            },
            erased: &|index| self.parts.erasures.by(index).is_some(),
        };
        let mark = commit.mark();
        let outcomes = commit.add(std::mem::take(&mut submission.batches), &known)?;
        let rest = match submitted.rest.take() {
            None => Change::default(),
            Some(Rest { class, make }) => {
                commit.retain_as(&mark, class);
                make(self, &outcomes).inspect_err(|_| commit.undo(&mark))?
            }
        };
        change.rows.append(&mut submission.rows);
        change.rows.extend(submission.expect.iter().map(|(source, every_s)| crate::trail::expectation_row(source, *every_s)));
        change.rows.extend(rest.rows);
        change.remove_batches.extend(rest.remove_batches);
        Ok(outcomes)
    }

    /// The leaf hash of an event, from its stored bytes.
    fn stored_leaf(&self, index: u64) -> Option<Hash> {
        let snapshot = self.snapshots.load();
        let (part, row) = snapshot.locate(index)?;
        let columns = vec![Column::SaltPublic, Column::Public, Column::SaltPhi, Column::Phi];
        let rows = Rows::List(vec![row]);
        let read = part.scan(Scan { columns, rows, predicate: None, batch_rows: 1, phi: Some(&self.phi) }).ok()?.next()?.ok()?;
        let bytes = |at: usize| Some(read.columns().get(at)?.as_binary_opt::<i64>()?.iter().next()??.to_vec());
        let salt = |at: usize| Salt::try_from(read.columns().get(at)?.as_fixed_size_binary_opt()?.iter().next()??).ok();
        Some(leaf_hash(&commit(&bytes(1)?, &bytes(3)?, &salt(0)?, &salt(2)?)))
    }

    /// Extends the frontier and seals what was placed. Gives the state after it.
    fn seal(&mut self, placed: &[Placed], change: &mut Change) -> Result<State, CommitError> {
        let mut state = self.state.clone();
        let mut of_class: Option<(&str, u64)> = None;
        for Placed { first_index, class, batch } in placed {
            let key_set = match of_class {
                Some((same, set)) if same == *class => set,
                _ => self.key_set(&mut state, class)?,
            };
            of_class = Some((class, key_set));
            let sealed = batch.seal(*first_index, key_set, &self.keys, &self.phi, &*self.random);
            let sealed = sealed.map_err(|error| CommitError::Failed(error.to_string()))?;
            let count = u32::try_from(batch.len()).unwrap_or(u32::MAX);
            change.batches.push(StoredBatch { first_index: *first_index, count, key_set, sealed });
            batch.leaf_hashes().iter().for_each(|leaf| state.frontier.push(*leaf));
        }
        state.next_id = state.next_id.max(self.next_id);
        Ok(state)
    }

    /// The key set of today and a class. A new one is durable before it is used.
    fn key_set(&mut self, state: &mut State, class: &str) -> Result<u64, CommitError> {
        let month = month(self.clock.now());
        if month > state.epoch {
            if !state.epoch.is_empty() && months(&month).saturating_sub(months(&state.epoch)) > 1 {
                tracing::warn!(
                    from = state.epoch,
                    to = month,
                    "the clock has jumped by months; events are kept under the new month from now on, for it never goes back"
                );
            }
            state.epoch = month;
        }
        match self.keys.set_for(&state.epoch, class) {
            Some(set) => Ok(set),
            None => self.new_key_set(&state.epoch.clone(), class),
        }
    }

    fn new_key_set(&mut self, epoch: &str, class: &str) -> Result<u64, CommitError> {
        let id = self.next_id.max(self.keys.sets().last().map_or(0, |set| set.id.saturating_add(1)));
        // Counted even where saving fails: it may have been saved all the same.
        self.next_id = id.saturating_add(1);
        let info = SetInfo { id, epoch: epoch.to_owned(), class: class.to_owned() };
        self.keys.add_set(info).map_err(|error| CommitError::Failed(error.to_string()))?;
        Ok(id)
    }

    /// Nothing is sealed under `set` from now on: if it may be today's, another takes its place.
    pub(crate) fn retire(&mut self, set: &SetInfo) -> Result<(), CommitError> {
        if set.epoch >= self.state.epoch && self.keys.set_for(&set.epoch, &set.class) == Some(set.id) {
            self.new_key_set(&set.epoch, &set.class)?;
        }
        Ok(())
    }

    /// Shows a commit to readers, and remembers it for repeats, sources and the tree.
    fn publish(&mut self, placed: Vec<Placed>, change: Change) {
        let Parts { dedupe, register, keys, publication, snapshots, state, backlog, .. } = &mut self.parts;
        let mut fresh = Vec::with_capacity(placed.len());
        let mut chunk = Chunk::new(&state.frontier);
        let mut register = register.lock().unwrap_or_else(PoisonError::into_inner);
        for (Placed { first_index, batch, .. }, stored) in placed.into_iter().zip(change.batches) {
            batch.notes().for_each(|note| register.heard(&note));
            dedupe.insert(first_index, batch.identities());
            chunk.push(batch.entries(), batch.leaf_hashes());
            *backlog = backlog.saturating_add(u64::from(stored.count));
            fresh.push(Part::Fresh(Arc::new(Fresh::new(batch, stored.sealed, first_index, stored.key_set, keys))));
        }
        drop(register);
        if let Err(gap) = snapshots.append(&fresh) {
            tracing::error!(%gap, "committed events can't be shown before the next start");
        }
        publication.add(chunk);
    }

    fn register(&self) -> std::sync::MutexGuard<'_, Register> {
        self.parts.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One transaction beside the commits: a checkpoint, a segment in place of batches. The register of sources goes with a checkpoint.
    pub(crate) fn change(&mut self, step: Step, mut change: Change) -> Result<(), CommitError> {
        self.refuse_stale(&change)?;
        let mut sources = Vec::new();
        if step == Step::CheckpointCatalog {
            let changed = self.register().take_changed();
            if !changed.is_empty() {
                change.rows.push(RowChange::put(Kind::Source, crate::trail::SOURCES_AS_OF, self.state.frontier.size().to_be_bytes()));
            }
            for (name, source) in changed {
                let value = serde_json::to_vec(&source).map_err(|error| CommitError::Failed(error.to_string()))?;
                change.rows.push(RowChange::put(Kind::Source, name.clone(), value));
                sources.push(name);
            }
        }
        let mut state = self.state.clone();
        state.next_id = state.next_id.max(self.next_id);
        if let Err(error) = self.parts.catalog.apply(step, &change, &mut state) {
            self.register().unkept(sources);
            return Err(error.into());
        }
        self.parts.state = state;
        let removed = change.remove_batches.iter().map(|range| range.end.saturating_sub(range.start));
        self.parts.backlog = self.backlog.saturating_sub(removed.sum());
        Ok(())
    }

    /// A merge that an erasure overtook must not bring back what was erased: rows it takes away have to be there still.
    fn refuse_stale(&self, change: &Change) -> Result<(), CommitError> {
        let rows = self.parts.catalog.rows();
        let swapped = |row: &&RowChange| matches!(row.kind, Kind::Segment | Kind::Run) && row.value.is_none();
        let stale = change.rows.iter().filter(swapped).any(|row| rows.get(row.kind, &row.name).is_none());
        let erased = change.remove_batches.iter().any(|range| self.erasures.by(range.start).is_some());
        if stale || erased { Err(CommitError::Failed("what was to be replaced is not there any more".to_owned())) } else { Ok(()) }
    }

    /// An id that was never given before and never will be again.
    pub(crate) fn take_id(&mut self) -> Result<u64, CommitError> {
        if self.next_id >= self.state.next_id {
            let mut state = self.state.clone();
            state.next_id = self.next_id.saturating_add(IDS_AT_ONCE);
            self.parts.catalog.apply(Step::CatalogWrite, &Change::default(), &mut state)?;
            self.parts.state = state;
        }
        let id = self.next_id;
        self.next_id = id.saturating_add(1);
        Ok(id)
    }
}

/// On a full disk only records of reads, of administration and of erasure go on.
fn keep_duty(group: Vec<Submitted>) -> Vec<Submitted> {
    let (duty, others): (Vec<_>, Vec<_>) = group.into_iter().partition(|submitted| submitted.submission.class == Class::Duty);
    others.into_iter().for_each(|submitted| submitted.reply.send(Err(CommitError::DiskFull)));
    duty
}

/// The number of the month in `2026-11`, since the year 0.
fn months(epoch: &str) -> u32 {
    let (year, month) = epoch.split_once('-').unwrap_or_default();
    year.parse::<u32>().unwrap_or(0).saturating_mul(12).saturating_add(month.parse().unwrap_or(0))
}

/// `2026-11` of a time.
pub(crate) fn month(time: Timestamp) -> String {
    time.to_string().chars().take(7).collect()
}
