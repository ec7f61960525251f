//! The walk over all parts of a snapshot.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::compare::{Difference, differences};
use super::entries::Entries;
use super::rows::{Checker, Columns, WANTED};
use super::{Content, Finding};
use crate::catalog::Kind;
use crate::compactor::{DEDUPE, SEGMENTS};
use crate::dedupe::{Dedupe, RUN, Record, RunRow};
use crate::encrypted::file_path;
use crate::keys::PhiAccess;
use crate::postings::Posting;
use crate::publisher::LogFolder;
use crate::segment::{POSTINGS, Segment, compare_file, compare_files};
use crate::snapshot::{Erased, Part, ReadError, Rows, Scan};
use crate::trail::Trail;

/// Findings kept; beyond, they are only counted.
const MAX_FINDINGS: usize = 1_000;
/// Events read at once. What can't be read is named in steps of this size.
const SLICE_ROWS: u32 = 1 << 15;
/// Events in a batch: bounds memory, since one may be 1 MiB long.
const BATCH_ROWS: usize = 256;
/// Events whose postings and keys are held for comparison.
const CHUNK_EVENTS: usize = 1 << 21;

pub(super) fn verify(trail: &Trail, progress: &mut dyn FnMut(u64) -> bool) -> Content {
    let log = LogFolder(trail.log_dir());
    // Before the runs: those that come later cover it as well.
    let snapshot = trail.snapshot();
    let dedupe = match index_of_repeats(trail) {
        Ok(dedupe) => dedupe,
        Err(error) => return Content { findings: vec![Finding::new(DEDUPE, error)], ..Content::default() },
    };
    let mut walk = Walk {
        segments: trail.folder().join(SEGMENTS),
        runs: trail.folder().join(DEDUPE),
        phi: trail.phi_access(),
        dedupe,
        entries: Entries::new(&log, trail.published()),
        checker: Checker::new(trail.encoder()),
        content: Content::default(),
        beyond: 0,
        seen: Seen::default(),
        size: snapshot.size(),
        progress,
    };
    for part in snapshot.parts() {
        if !walk.part(part) {
            break;
        }
    }
    walk.finish()
}

/// Opens the runs that the catalog names. A merge may take one away between the two; then the catalog names another.
fn index_of_repeats(trail: &Trail) -> Result<Dedupe, ReadError> {
    const TRIES: usize = 5;
    let open = || {
        let rows = trail.rows(Kind::Run).iter().map(|(_, value)| RunRow::decode(value)).collect::<Result<_, _>>()?;
        Dedupe::open(&trail.folder().join(DEDUPE), rows, trail.keys(), 0)
    };
    let mut opened = open();
    for _ in 1..TRIES {
        if !matches!(opened, Err(ReadError::Io { .. })) {
            break;
        }
        opened = open();
    }
    opened
}

struct Walk<'a> {
    segments: PathBuf,
    runs: PathBuf,
    phi: PhiAccess,
    dedupe: Dedupe,
    entries: Entries<'a>,
    checker: Checker,
    content: Content,
    beyond: usize,
    seen: Seen,
    size: u64,
    progress: &'a mut dyn FnMut(u64) -> bool,
}

/// What the index of repeats must hold of the events read since it was compared last.
#[derive(Default)]
struct Seen {
    records: Vec<Record>,
    /// Indexes, ascending.
    readable: Vec<Range<u64>>,
}

/// What the posting file of a segment must hold of some of its rows.
#[derive(Default)]
struct Posted {
    postings: Vec<Posting>,
    /// Rows, ascending.
    readable: Vec<Range<u32>>,
}

impl Walk<'_> {
    fn found(&mut self, place: impl std::fmt::Display, what: impl std::fmt::Display) {
        if self.content.findings.len() < MAX_FINDINGS {
            self.content.findings.push(Finding::new(place, what));
        } else {
            self.beyond = self.beyond.saturating_add(1);
        }
    }

    fn part(&mut self, part: &Part) -> bool {
        match part {
            Part::Erased(erased) => self.erased(erased),
            Part::Fresh(_) => self.rows(part, 0..part.count(), None).is_some(),
            Part::Segment(segment) => self.segment(part, segment),
        }
    }

    fn erased(&mut self, erased: &Erased) -> bool {
        match erased.by {
            Some(by) if by < self.size => self.content.erased = self.content.erased.saturating_add(erased.count.into()),
            Some(by) => self.found(range_name(erased.first_index, erased.count), format!("erased by event {by}, which is not there")),
            // Lost, and named as such when the trail was opened.
            None => {}
        }
        (self.progress)(erased.first_index.saturating_add(erased.count.into()))
    }

    fn segment(&mut self, part: &Part, segment: &Arc<Segment>) -> bool {
        for damage in compare_files(&self.segments, segment.row()) {
            self.found(range_name(segment.first_index(), segment.count()), damage);
        }
        let chunk = u32::try_from(CHUNK_EVENTS).unwrap_or(u32::MAX);
        let mut start = 0;
        while start < segment.count() {
            let end = start.saturating_add(chunk).min(segment.count());
            let mut posted = Posted::default();
            if self.rows(part, start..end, Some(&mut posted)).is_none() {
                return false;
            }
            self.postings(segment, posted);
            if self.seen.records.len() >= CHUNK_EVENTS {
                self.repeats();
            }
            start = end;
        }
        true
    }

    /// Reads rows slice by slice and checks each; `None` if the work was ended. `posted` gathers what a segment's other files must say.
    fn rows(&mut self, part: &Part, rows: Range<u32>, mut posted: Option<&mut Posted>) -> Option<()> {
        let mut start = rows.start;
        while start < rows.end {
            let end = start.saturating_add(SLICE_ROWS).min(rows.end);
            let mut next = start;
            if let Err(error) = self.slice(part, start..end, &mut next, posted.as_deref_mut()) {
                self.found(range_name(part.first_index().saturating_add(next.into()), end.saturating_sub(next)), error);
            }
            if let Some(posted) = posted.as_deref_mut().filter(|_| next > start) {
                let index = |row: u32| part.first_index().saturating_add(row.into());
                posted.readable.push(start..next);
                self.seen.readable.push(index(start)..index(next));
            }
            start = end;
            if !(self.progress)(part.first_index().saturating_add(end.into())) {
                return None;
            }
        }
        Some(())
    }

    /// Checks rows; `next` is the first that was not reached.
    fn slice(&mut self, part: &Part, rows: Range<u32>, next: &mut u32, mut posted: Option<&mut Posted>) -> Result<(), ReadError> {
        let phi = self.phi.clone();
        let end = rows.end;
        let scan = Scan { columns: WANTED.to_vec(), rows: Rows::Range(rows), predicate: None, batch_rows: BATCH_ROWS, phi: Some(&phi) };
        for batch in part.scan(scan)? {
            self.batch(&batch?, part, next, posted.as_deref_mut())?;
        }
        if *next == end { Ok(()) } else { Err(ReadError::damaged(part_name(part), "it holds fewer events than it should")) }
    }

    fn batch(&mut self, batch: &RecordBatch, part: &Part, next: &mut u32, mut posted: Option<&mut Posted>) -> Result<(), ReadError> {
        let columns = Columns::of(batch).ok_or_else(|| ReadError::damaged(part_name(part), "a column has the wrong type"))?;
        for at in 0..batch.num_rows() {
            let index = part.first_index().saturating_add(u64::from(*next));
            match self.checker.check(&columns, at, index, *next) {
                Err(error) => self.found(event_name(index), error),
                Ok(checked) => {
                    self.compare(index, &checked.entry, checked.differs);
                    if let Some(posted) = posted.as_deref_mut() {
                        posted.postings.extend(checked.postings);
                        self.seen.records.push(checked.record);
                    }
                }
            }
            *next = next.saturating_add(1);
            self.content.events = self.content.events.saturating_add(1);
        }
        Ok(())
    }

    fn compare(&mut self, index: u64, entry: &[u8], differs: Option<crate::columns::Column>) {
        if let Some(column) = differs {
            self.found(event_name(index), format!("column `{}` does not say what the event says", column.name()));
        }
        if self.entries.covers(index) {
            match self.entries.holds(index, entry) {
                Ok(true) => {}
                Ok(false) => self.found(event_name(index), "its content is not what its entry in the log commits to"),
                Err(error) => self.found(event_name(index), error),
            }
        }
    }

    fn postings(&mut self, segment: &Segment, mut posted: Posted) {
        posted.postings.sort_unstable();
        let place = file_path(&self.segments, segment.row().id, POSTINGS);
        let mut differing = Vec::new();
        let compared = segment.postings(0).and_then(|stored| {
            let stored = stored.filter(|posting| posting.as_ref().map_or(true, |posting| within(&posted.readable, posting.1)));
            differences(&posted.postings, stored, |difference| differing.push(difference))
        });
        for difference in differing {
            let (row, what) = match difference {
                Difference::Missing((_, row)) => (row, "lacks a posting, so that it is not found"),
                Difference::Extra((_, row)) => (row, "has a posting that the event knows nothing of"),
            };
            self.found(event_name(segment.first_index().saturating_add(row.into())), format!("{what} ({})", place.display()));
        }
        if let Err(error) = compared {
            self.found(range_name(segment.first_index(), segment.count()), error);
        }
    }

    /// Compares the index of repeats with the events read since the last time.
    fn repeats(&mut self) {
        let Seen { records, readable } = std::mem::take(&mut self.seen);
        let runs = match self.dedupe.records() {
            Ok(runs) => runs,
            Err(error) => return self.found(DEDUPE, error),
        };
        let mut known = Vec::new();
        for (row, stored) in runs {
            let range = row.range();
            let mut own: Vec<Record> = records.iter().filter(|record| range.contains(&record.seen().index)).copied().collect();
            known.push(range);
            own.sort_unstable();
            let place = file_path(&self.runs, row.id, RUN);
            let mut differing = Vec::new();
            let stored = stored.filter(|record| record.as_ref().map_or(true, |record| within(&readable, record.seen().index)));
            let compared = differences(&own, stored, |difference| differing.push(difference));
            for difference in differing {
                let (Difference::Missing(record) | Difference::Extra(record)) = difference;
                let what = if matches!(difference, Difference::Missing(_)) {
                    "is not known to the index of repeats"
                } else {
                    "is known by another key to the index of repeats"
                };
                self.found(event_name(record.seen().index), format!("{what} ({})", place.display()));
            }
            if let Err(error) = compared {
                self.found(place.display(), error);
            }
        }
        for record in records.iter().filter(|record| !known.iter().any(|range| range.contains(&record.seen().index))) {
            self.found(event_name(record.seen().index), "no run of the index of repeats covers it");
        }
    }

    fn finish(mut self) -> Content {
        self.repeats();
        for row in self.dedupe.rows() {
            if let Err(error) = compare_file(&file_path(&self.runs, row.id, RUN), &row.file) {
                self.found(DEDUPE, error);
            }
        }
        if self.beyond > 0 {
            self.content.findings.push(Finding::new("trail", format!("{} more findings are not listed", self.beyond)));
        }
        self.content
    }
}

/// Does one of the ranges, which are ascending, hold it?
fn within<T: PartialOrd>(ranges: &[Range<T>], value: T) -> bool {
    let after = ranges.partition_point(|range| range.start <= value);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|range| range.contains(&value))
}

fn event_name(index: u64) -> String {
    format!("event {index}")
}

fn range_name(first_index: u64, count: u32) -> String {
    match count {
        0 | 1 => event_name(first_index),
        _ => format!("events {first_index} to {}", first_index.saturating_add(u64::from(count)).saturating_sub(1)),
    }
}

fn part_name(part: &Part) -> String {
    range_name(part.first_index(), part.count())
}
