//! The index of events seen before, for ever (`docs/format.md` section 6).
//!
//! Fresh keys are in memory; older ones in runs, sorted and encrypted, each with a filter in memory while the byte budget lasts. The
//! committer asks and adds; the compactor puts runs in place of fresh keys. It must not know what keys and tags are made of.

mod run;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::batch::Identity;
use crate::durable;
use crate::encrypted::{FileFacts, WriteError, decode_row, encode_row, file_path};
use crate::keys::{Keys, TrailKey};
use crate::secret::Key32;
use crate::snapshot::ReadError;
pub(crate) use run::{Record, Run};

pub(crate) const RUN: &str = "run";

/// Where an identity was first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The index of the first event with this source and id.
    pub index: u64,
    /// Its tag: equal tags, equal content.
    pub tag: u64,
}

/// What the catalog keeps of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRow {
    /// Its id.
    pub id: u64,
    /// The index of the first event in it.
    pub first_index: u64,
    /// How many events; contiguous.
    pub count: u64,
    /// 0 for one made of batches; one more with each merge.
    pub tier: u32,
    /// Its file.
    pub file: FileFacts,
}

impl RunRow {
    /// The row's value in the catalog: JSON.
    pub fn encode(&self) -> Vec<u8> {
        encode_row(self)
    }

    /// Reads what `encode` made.
    pub fn decode(value: &[u8]) -> Result<Self, ReadError> {
        decode_row(value, "the row of a run of seen ids in the catalog")
    }

    /// The row's name in the catalog.
    pub fn name(id: u64) -> String {
        format!("{id:016x}")
    }

    /// The indexes whose identities it holds.
    pub fn range(&self) -> Range<u64> {
        self.first_index..self.first_index.saturating_add(self.count)
    }
}

/// Keys are MACs: some of their bits spread as well as any hash of them.
#[derive(Default)]
pub(crate) struct KeyBits(u64);

impl Hasher for KeyBits {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = u64::try_from(key & u128::from(u64::MAX)).unwrap_or_default();
    }
}

/// A map by key.
pub(crate) type ByKey<T> = HashMap<u128, T, BuildHasherDefault<KeyBits>>;

/// A map that grows stops whoever adds to it while all of it moves; in shards, it is a part of it at a time.
const SHARDS: usize = 64;

/// The keys that no run holds yet.
struct Fresh([ByKey<Seen>; SHARDS]);

impl Default for Fresh {
    fn default() -> Self {
        Self(std::array::from_fn(|_| HashMap::default()))
    }
}

impl Fresh {
    /// By bits that `KeyBits` does not use.
    fn shard(key: u128) -> usize {
        usize::try_from((key >> 64) % (SHARDS as u128)).unwrap_or(0)
    }

    fn get(&self, key: u128) -> Option<Seen> {
        self.0.get(Self::shard(key))?.get(&key).copied()
    }

    fn insert(&mut self, key: u128, seen: Seen) {
        if let Some(shard) = self.0.get_mut(Self::shard(key)) {
            shard.insert(key, seen);
        }
    }

    fn remove(&mut self, key: u128) {
        if let Some(shard) = self.0.get_mut(Self::shard(key)) {
            shard.remove(&key);
        }
    }

    /// Gives back the memory of a shard that most keys have left.
    fn shrink(&mut self, shard: usize) {
        if let Some(shard) = self.0.get_mut(shard).filter(|shard| shard.len() * 4 < shard.capacity()) {
            shard.shrink_to_fit();
        }
    }
}

/// The index of repeats.
pub struct Dedupe {
    folder: PathBuf,
    key: Key32,
    filter_budget_bytes: usize,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    fresh: Fresh,
    /// Oldest first. Between them are events whose identities are lost.
    runs: Vec<Arc<Run>>,
    lost: Vec<Lost>,
}

/// Events whose identities nothing here knows: whether another event repeats one of them can't be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Their indexes.
    pub range: Range<u64>,
    /// What is wrong, and where.
    pub what: String,
    /// Their content is lost too, so that only a backup has them.
    pub for_good: bool,
}

impl fmt::Display for Lost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.range.start, self.range.end.saturating_sub(1));
        let remedy = if self.for_good { "restore it from a backup" } else { "it is being made again" };
        write!(out, "whether an event repeats one of the events {first} to {last} can't be told: {}; {remedy}", self.what)
    }
}

/// Why it can't be told whether an event was seen before.
#[derive(Debug, Error)]
pub enum CheckError {
    /// A run could not be read.
    #[error("whether an event was seen before can't be told: {0}")]
    Read(#[from] ReadError),
    /// A part of the index is lost.
    #[error("{0}")]
    Lost(String),
}

/// A run that is written and opened, and counts once the catalog names it.
pub(crate) struct Prepared(Arc<Run>);

impl Prepared {
    /// What the catalog keeps of it.
    pub(crate) fn row(&self) -> &RunRow {
        &self.0.row
    }
}

/// A stretch of the index that has to be made again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The events that it covers.
    pub range: Range<u64>,
    /// The run that covered them and can't be read.
    pub run: Option<u64>,
}

impl Dedupe {
    /// Opens the runs of `folder` (`DIR/dedupe`), without filters yet. `filter_budget_bytes` bounds the memory of filters.
    pub fn open(folder: &Path, rows: Vec<RunRow>, keys: &Keys, filter_budget_bytes: usize) -> Result<Self, ReadError> {
        let (dedupe, mut unreadable) = Self::open_readable(folder, rows, keys, filter_budget_bytes);
        unreadable.pop().map_or(Ok(dedupe), |(_, error)| Err(error))
    }

    /// As `open`, and hands back the runs that can't be read or are not those that the catalog names.
    pub(crate) fn open_readable(
        folder: &Path,
        mut rows: Vec<RunRow>,
        keys: &Keys,
        filter_budget_bytes: usize,
    ) -> (Self, Vec<(RunRow, ReadError)>) {
        let key = keys.trail(TrailKey::Runs);
        rows.sort_by_key(|row| row.first_index);
        let mut runs = Vec::with_capacity(rows.len());
        let mut unreadable = Vec::new();
        for row in rows {
            match Run::open(folder, row.clone(), &key) {
                Ok(run) => runs.push(Arc::new(run)),
                Err(error) => unreadable.push((row, error)),
            }
        }
        let state = RwLock::new(State { runs, ..State::default() });
        (Self { folder: folder.to_owned(), key, filter_budget_bytes, state }, unreadable)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// For each identity, where its key was seen before; `None` where it is new. Repeats within `identities` are not looked for.
    pub fn check(&self, identities: &[Identity]) -> Result<Vec<Option<Seen>>, CheckError> {
        let found = self.find(identities)?;
        match self.read().lost.first().filter(|_| found.iter().any(Option::is_none)) {
            Some(lost) => Err(CheckError::Lost(lost.to_string())),
            None => Ok(found),
        }
    }

    /// As `check`, but what is lost counts as not seen: for looking up, never for storing.
    pub fn find(&self, identities: &[Identity]) -> Result<Vec<Option<Seen>>, ReadError> {
        let (mut found, runs) = {
            let state = self.read();
            let found: Vec<Option<Seen>> = identities.iter().map(|identity| state.fresh.get(identity.key)).collect();
            (found, state.runs.clone())
        };
        for run in runs.iter().rev() {
            let open = identities.iter().zip(&mut found).filter(|(_, found)| found.is_none());
            run.find(open.map(|(identity, found)| (identity.key, found)).collect()).inspect_err(|_| run.mark_damaged())?;
        }
        Ok(found)
    }

    /// Notes that the identities of some events are known to nothing here.
    pub(crate) fn lose(&self, lost: Lost) {
        self.write().lost.push(lost);
    }

    /// What is lost.
    pub(crate) fn lost(&self) -> Vec<Lost> {
        self.read().lost.clone()
    }

    /// A stretch of the index that has to be made again, if there is one that can be.
    pub(crate) fn broken(&self) -> Option<Broken> {
        let state = self.read();
        let lost = state.lost.iter().find(|lost| !lost.for_good).map(|lost| Broken { range: lost.range.clone(), run: None });
        let damaged = || state.runs.iter().find(|run| run.is_damaged()).map(|run| Broken { range: run.row.range(), run: Some(run.row.id) });
        lost.or_else(damaged)
    }

    /// A broken stretch can't be made again: its events can't be read either.
    pub(crate) fn give_up(&self, broken: &Broken, why: &str) {
        let mut state = self.write();
        state.runs.iter().filter(|run| Some(run.row.id) == broken.run).for_each(|run| run.mark_beyond_repair());
        for lost in state.lost.iter_mut().filter(|lost| lost.range == broken.range) {
            lost.for_good = true;
            lost.what = why.to_owned();
        }
    }

    /// Remembers events that were committed from `first_index` on.
    pub fn insert(&self, first_index: u64, identities: &[Identity]) {
        let mut state = self.write();
        for (identity, index) in identities.iter().zip(first_index..) {
            state.fresh.insert(identity.key, Seen { index, tag: identity.tag });
        }
    }

    /// What the catalog keeps of all runs, oldest first.
    pub fn rows(&self) -> Vec<RunRow> {
        self.runs().iter().map(|run| run.row.clone()).collect()
    }

    /// The runs, oldest first.
    pub(crate) fn runs(&self) -> Vec<Arc<Run>> {
        self.read().runs.clone()
    }

    /// Builds the filters that are missing, newest runs first, until the budget is used up. Reads whole runs; not for the committer. A run
    /// that can't be read is asked directly, and is to be made again.
    pub(crate) fn build_filters(&self) -> Result<(), ReadError> {
        let mut left = self.filter_budget_bytes;
        let mut result = Ok(());
        for run in self.runs().iter().rev() {
            let needed = run.filter_bytes();
            if needed > left {
                run.drop_filter();
                continue;
            }
            left -= needed;
            if let Err(error) = run.build_filter() {
                run.mark_damaged();
                result = Err(error);
            }
        }
        result
    }

    /// Writes a run of the events from `first_index` on. It counts only once `adopt` is called.
    pub(crate) fn write_run<'a>(
        &self,
        id: u64,
        first_index: u64,
        identities: impl IntoIterator<Item = &'a Identity>,
    ) -> Result<RunRow, WriteError> {
        let mut records: Vec<Record> =
            identities.into_iter().zip(first_index..).map(|(identity, index)| Record::new(*identity, index)).collect();
        records.sort_unstable();
        let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
        let file = run::write(&self.folder, id, &self.key, records.into_iter().map(Ok))?;
        Ok(RunRow { id, first_index, count, tier: 0, file })
    }

    /// Merges neighbouring runs into one of the next tier. It counts only once `adopt` is called.
    pub(crate) fn merge_runs(&self, id: u64, range: &Range<u64>) -> Result<RunRow, WriteError> {
        let runs: Vec<_> = self.runs().into_iter().filter(|run| range.contains(&run.row.first_index)).collect();
        let streams = runs.iter().map(|run| run.records()).collect::<Result<Vec<_>, _>>()?;
        let file = run::write(&self.folder, id, &self.key, crate::sorted::merge(streams))?;
        let tier = runs.iter().map(|run| run.row.tier).max().unwrap_or(0).saturating_add(1);
        Ok(RunRow { id, first_index: range.start, count: range.end.saturating_sub(range.start), tier, file })
    }

    /// Opens a run that was written, so that nothing is left that could fail once the catalog names it.
    pub(crate) fn prepare(&self, row: RunRow) -> Result<Prepared, ReadError> {
        let run = Run::open(&self.folder, row, &self.key)?;
        if run.filter_bytes() <= self.filter_budget_bytes {
            run.build_filter()?;
        }
        Ok(Prepared(Arc::new(run)))
    }

    /// Puts a run that the catalog names now in place of smaller runs, whose files go with their last reader, and of fresh keys: those of
    /// `identities`.
    pub(crate) fn adopt<'a>(&self, prepared: Prepared, identities: impl IntoIterator<Item = &'a Identity>) {
        let run = prepared.0;
        {
            let mut state = self.write();
            let range = run.row.range();
            state.runs.iter().filter(|old| range.contains(&old.row.first_index)).for_each(|old| old.mark_obsolete());
            state.runs.retain(|old| !range.contains(&old.row.first_index));
            let at = state.runs.partition_point(|old| old.row.first_index < range.start);
            state.runs.insert(at, run);
        }
        self.forget_fresh(identities.into_iter().map(|identity| identity.key));
        if let Err(error) = self.build_filters() {
            tracing::warn!(%error, "a filter of seen ids could not be built; its run is made again");
        }
    }

    /// Puts runs in place of a stretch that was broken.
    pub(crate) fn mend(&self, broken: &Broken, prepared: Vec<Prepared>) {
        {
            let mut state = self.write();
            state.lost.retain(|lost| lost.range != broken.range);
            state.runs.iter().filter(|run| Some(run.row.id) == broken.run).for_each(|old| old.mark_obsolete());
            state.runs.retain(|run| Some(run.row.id) != broken.run);
        }
        prepared.into_iter().for_each(|run| self.adopt(run, &[]));
    }

    /// Drops the fresh keys that a run holds now. A few at a time, so that the committer never waits long; meanwhile both know them.
    fn forget_fresh(&self, identities: impl Iterator<Item = u128>) {
        const AT_ONCE: usize = 256;
        let mut keys = identities.peekable();
        while keys.peek().is_some() {
            let mut state = self.write();
            for key in keys.by_ref().take(AT_ONCE) {
                state.fresh.remove(key);
            }
        }
        for shard in 0..SHARDS {
            self.write().fresh.shrink(shard);
        }
    }
}

/// Removes the file of a run that no catalog row names.
pub(crate) fn remove_file(folder: &Path, id: u64) -> std::io::Result<()> {
    durable::remove(&file_path(folder, id, RUN))
}
