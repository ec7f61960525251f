//! The steps: files first, then one catalog transaction, then the swap in memory (`docs/format.md` section 8).

use std::collections::HashSet;
use std::iter::once;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::AsArray;
use arrow::error::ArrowError;
use recall_log::entry::{Facets, PartError, received_at_span};
use thiserror::Error;

use super::{DEDUPE, Options, SEGMENTS, Wiring, choice};
use crate::batch::{Encoder, Identity};
use crate::catalog::{Change, Kind, RowChange};
use crate::columns::Column;
use crate::committer::CommitError;
use crate::dedupe::{self, Broken, Prepared, RunRow};
use crate::encrypted::WriteError;
use crate::fresh::Fresh;
use crate::keys::Keys;
use crate::seams::{Step, guarded};
use crate::segment::{self, Plan, Segment, SegmentRow};
use crate::snapshot::{Gap, Part, ReadError, Rows, Scan};

/// Events in one run of those that are made again: bounds what is held of them.
const MEND_EVENTS: u64 = 1 << 20;
/// Events read at once for it; one may be 1 MiB long.
const MEND_ROWS: usize = 256;

/// Why a step failed. Nothing is lost by it: readers keep what they had.
#[derive(Debug, Error)]
pub(super) enum CompactError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("batches could not be joined: {0}")]
    Join(#[from] ArrowError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Gap(#[from] Gap),
    #[error("events of the key set are not in the signed tree yet")]
    Unsigned,
}

pub(super) struct Work {
    wiring: Wiring,
    options: Options,
    /// Segments that could not be read, and would only fail again.
    damaged: HashSet<u64>,
}

impl Work {
    pub(super) fn new(wiring: Wiring, options: Options) -> Self {
        Self { wiring, options, damaged: HashSet::new() }
    }

    pub(super) fn interval(&self) -> Duration {
        self.options.interval
    }

    /// What need not be done before the trail is open.
    pub(super) fn prepare(&self) -> Result<(), ReadError> {
        self.wiring.dedupe.build_filters()
    }

    /// Does the most urgent step; false when there is nothing to do.
    pub(super) fn step(&mut self, stop: &AtomicBool) -> Result<bool, CompactError> {
        let snapshot = self.wiring.snapshots.load();
        let parts = snapshot.parts();
        if let Some(run) = choice::join(parts, &self.options) {
            self.join(&run)?;
            return Ok(true);
        }
        if self.wiring.handle.is_full() {
            // The room that is left is for records of duty.
            return Ok(false);
        }
        if let Some(run) = choice::flush(parts, self.wiring.publication.signed(), &self.options) {
            self.make_segment(&run, stop)?;
            return Ok(true);
        }
        if let Some(broken) = self.wiring.dedupe.broken() {
            self.mend(&broken, stop).inspect_err(|error| self.give_up(&broken, error))?;
            return Ok(true);
        }
        let busy = self.wiring.handle.is_waiting();
        if let Some(range) = choice::merge_runs(&self.wiring.dedupe.rows(), &self.options).filter(|_| !busy) {
            self.merge_runs(&range)?;
            return Ok(true);
        }
        let damaged = |segment: &Segment| self.damaged.contains(&segment.row().id);
        if let Some(segments) = choice::merge(parts, busy, &self.options, damaged) {
            let merged = self.merge(&segments, stop);
            if let Err(CompactError::Write(WriteError::Read(_)) | CompactError::Read(_)) = &merged {
                self.damaged.extend(segments.iter().map(|segment| segment.row().id));
            }
            return merged.map(|()| true);
        }
        Ok(false)
    }

    /// Turns every batch of a key set into segments.
    pub(super) fn flush(&self, key_set: u64, stop: &AtomicBool) -> Result<(), CompactError> {
        loop {
            let snapshot = self.wiring.snapshots.load();
            let of_set = |run: &choice::Run<'_>| run.batches.first().is_some_and(|first| first.key_set() == key_set);
            let Some(run) = choice::runs(snapshot.parts()).into_iter().find(of_set).map(|run| run.to_vec()) else { return Ok(()) };
            if run.last().is_some_and(|last| last.end() > self.wiring.publication.signed()) {
                return Err(CompactError::Unsigned);
            }
            self.make_segment(&run, stop)?;
        }
    }

    fn join(&self, run: &[Arc<Fresh>]) -> Result<(), CompactError> {
        if let Some(joined) = Fresh::join(run)? {
            self.wiring.snapshots.replace(Part::Fresh(Arc::new(joined)))?;
        }
        Ok(())
    }

    fn make_segment(&self, run: &[Arc<Fresh>], stop: &AtomicBool) -> Result<(), CompactError> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
        let events = first.first_index()..last.end();
        let parts: Vec<Part> = run.iter().map(|fresh| Part::Fresh(Arc::clone(fresh))).collect();
        let segment = self.write_segment(&parts, 0, first.key_set(), self.options.zstd_levels.0, stop)?;
        let id = self.wiring.handle.next_id().inspect_err(|_| segment.mark_obsolete())?;
        let forget = || {
            segment.mark_obsolete();
            self.drop_run(id);
        };
        let identities = || run.iter().flat_map(|fresh| fresh.identities());
        let prepared = guarded(&*self.wiring.faults, Step::DedupeWrite, || self.wiring.dedupe.write_run(id, events.start, identities()));
        let prepared =
            prepared.map_err(CompactError::from).and_then(|row| Ok(self.wiring.dedupe.prepare(row)?)).inspect_err(|_| forget())?;
        let rows = vec![put_segment(segment.row()), put_run(prepared.row())];
        let change = Change { remove_batches: once(events).collect(), rows, ..Change::default() };
        self.commit(change, forget)?;
        self.wiring.dedupe.adopt(prepared, identities());
        self.wiring.snapshots.replace(Part::Segment(segment))?;
        Ok(())
    }

    fn merge(&self, segments: &[Arc<Segment>], stop: &AtomicBool) -> Result<(), CompactError> {
        let Some(first) = segments.first() else { return Ok(()) };
        let parts: Vec<Part> = segments.iter().map(|segment| Part::Segment(Arc::clone(segment))).collect();
        let tier = first.row().tier.saturating_add(1);
        let merged = self.write_segment(&parts, tier, first.key_set(), self.options.zstd_levels.1, stop)?;
        let mut rows: Vec<RowChange> =
            segments.iter().map(|old| RowChange::remove(Kind::Segment, SegmentRow::name(old.row().id))).collect();
        rows.push(put_segment(merged.row()));
        self.commit(Change { rows, ..Change::default() }, || merged.mark_obsolete())?;
        self.wiring.snapshots.replace(Part::Segment(merged))?;
        segments.iter().for_each(|old| old.mark_obsolete());
        Ok(())
    }

    fn write_segment(
        &self,
        parts: &[Part],
        tier: u32,
        key_set: u64,
        zstd_level: i32,
        stop: &AtomicBool,
    ) -> Result<Arc<Segment>, CompactError> {
        let id = self.wiring.handle.next_id()?;
        let folder = self.wiring.folder.join(SEGMENTS);
        let plan = Plan { id, tier, key_set, parts, zstd_level, stop };
        let written = guarded(&*self.wiring.faults, Step::SegmentWrite, || {
            segment::write(&folder, &plan, &self.wiring.keys, &self.wiring.keys.phi_access())
        });
        let opened = written.map_err(CompactError::from).and_then(|row| Ok(Segment::open(&folder, row, &self.wiring.keys)?));
        let segment = opened.inspect_err(|_| {
            // What can't be removed now is a leftover that the next start removes.
            let _ = segment::remove_files(&folder, id);
        })?;
        Ok(Arc::new(segment))
    }

    fn merge_runs(&self, range: &Range<u64>) -> Result<(), CompactError> {
        let id = self.wiring.handle.next_id()?;
        let old: Vec<RunRow> = self.wiring.dedupe.rows().into_iter().filter(|row| range.contains(&row.first_index)).collect();
        let run = guarded(&*self.wiring.faults, Step::DedupeWrite, || self.wiring.dedupe.merge_runs(id, range));
        let run = run.map_err(CompactError::from).and_then(|row| Ok(self.wiring.dedupe.prepare(row)?));
        let run = run.inspect_err(|_| self.drop_run(id))?;
        let mut rows: Vec<RowChange> = old.iter().map(|row| RowChange::remove(Kind::Run, RunRow::name(row.id))).collect();
        rows.push(put_run(run.row()));
        self.commit(Change { rows, ..Change::default() }, || self.drop_run(id))?;
        self.wiring.dedupe.adopt(run, &[]);
        Ok(())
    }

    /// Makes a stretch of the index of repeats again, out of the events that it is about.
    fn mend(&self, broken: &Broken, stop: &AtomicBool) -> Result<(), CompactError> {
        let (first, last) = (broken.range.start, broken.range.end.saturating_sub(1));
        tracing::warn!(first, last, "the index of repeats is damaged; it is made again from the events");
        let mut runs = Vec::new();
        let made = self.runs_of(&broken.range, &mut runs, stop);
        let forget = || runs.iter().for_each(|run: &Prepared| self.drop_run(run.row().id));
        made.inspect_err(|_| forget())?;
        let known = self.wiring.rows.all(Kind::Run);
        let within = |row: &RunRow| broken.range.start <= row.first_index && row.range().end <= broken.range.end;
        let gone = known.iter().filter_map(|(_, value)| RunRow::decode(value).ok()).filter(within);
        let mut rows: Vec<RowChange> = gone.map(|row| RowChange::remove(Kind::Run, RunRow::name(row.id))).collect();
        rows.extend(runs.iter().map(|run| put_run(run.row())));
        self.commit(Change { rows, ..Change::default() }, forget)?;
        self.wiring.dedupe.mend(broken, runs);
        tracing::info!(first, last, "the index of repeats is whole again");
        Ok(())
    }

    fn runs_of(&self, range: &Range<u64>, runs: &mut Vec<Prepared>, stop: &AtomicBool) -> Result<(), CompactError> {
        let snapshot = self.wiring.snapshots.load();
        let mut next = range.start;
        while next < range.end {
            if stop.load(Ordering::Relaxed) {
                return Err(WriteError::Stopped(self.wiring.folder.join(DEDUPE)).into());
            }
            let (part, row) = snapshot.locate(next).ok_or(Gap(next))?;
            let count = part.end().min(range.end).saturating_sub(next).min(MEND_EVENTS);
            let identities = identities_of(part, row, u32::try_from(count).unwrap_or(0), &self.wiring.encoder, &self.wiring.keys)?;
            let id = self.wiring.handle.next_id()?;
            let row = guarded(&*self.wiring.faults, Step::DedupeWrite, || self.wiring.dedupe.write_run(id, next, &identities));
            let run = row.map_err(CompactError::from).and_then(|row| Ok(self.wiring.dedupe.prepare(row)?));
            runs.push(run.inspect_err(|_| self.drop_run(id))?);
            next = next.saturating_add(count);
        }
        Ok(())
    }

    /// Where the events can't be read either, trying again is of no use.
    fn give_up(&self, broken: &Broken, error: &CompactError) {
        if matches!(error, CompactError::Read(ReadError::Damaged { .. } | ReadError::Erased(_)) | CompactError::Gap(_)) {
            tracing::error!(%error, "the index of repeats can't be made again; events are refused until the files are restored");
            self.wiring.dedupe.give_up(broken, &error.to_string());
        }
    }

    /// Puts new files into the catalog, or forgets them. Files that the catalog may name after all must stay.
    fn commit(&self, change: Change, forget: impl FnOnce()) -> Result<(), CommitError> {
        let changed = self.wiring.handle.change(Step::SegmentSwap, change);
        if !matches!(changed, Ok(()) | Err(CommitError::Unknown(_) | CommitError::Closed)) {
            forget();
        }
        changed
    }

    fn drop_run(&self, id: u64) {
        // What can't be removed now is a leftover that the next start removes.
        let _ = dedupe::remove_file(&self.wiring.folder.join(DEDUPE), id);
    }
}

/// What tells repeats of some events of a part, from their stored bytes.
fn identities_of(part: &Part, first: u32, count: u32, encoder: &Encoder, keys: &Arc<Keys>) -> Result<Vec<Identity>, ReadError> {
    if matches!(part, Part::Erased(_)) {
        return Err(ReadError::damaged(format!("events {} to {}", part.first_index(), part.end().saturating_sub(1)), "they are gone"));
    }
    let phi = keys.phi_access();
    let rows = Rows::Range(first..first.saturating_add(count));
    let scan = Scan { columns: vec![Column::Public, Column::Phi], rows, predicate: None, batch_rows: MEND_ROWS, phi: Some(&phi) };
    let mut identities = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    for batch in part.scan(scan)? {
        let batch = batch?;
        let column = |at: usize| batch.columns().get(at).and_then(|column| column.as_binary_opt::<i64>()).ok_or(ReadError::Rows);
        for (public, phi) in column(0)?.iter().zip(column(1)?) {
            let (public, phi) = (public.unwrap_or_default(), phi.unwrap_or_default());
            let damaged = |error: PartError| ReadError::damaged(format!("events from {} on", part.first_index()), error);
            let facets = Facets::read(public, Some(phi)).map_err(damaged)?;
            let span = received_at_span(public).map_err(damaged)?;
            identities.push(encoder.identity(&facets.source, &facets.id, public, span, phi));
        }
    }
    Ok(identities)
}

fn put_segment(row: &SegmentRow) -> RowChange {
    RowChange::put(Kind::Segment, SegmentRow::name(row.id), row.encode())
}

fn put_run(row: &RunRow) -> RowChange {
    RowChange::put(Kind::Run, RunRow::name(row.id), row.encode())
}

#[cfg(test)]
mod tests;
