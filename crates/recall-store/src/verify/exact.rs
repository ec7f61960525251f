//! The exact comparison of one posting file or one run with the events, once fingerprints say that they differ: it names each difference.
//! Events are read once more for it, so many at once as memory allows.

use std::ops::Range;
use std::path::Path;

use super::compare::{Difference, differences};
use super::findings::{Findings, event_name, range_name};
use super::reader::Reader;
use super::walk::within;
use crate::dedupe::{RUN, Record, Run};
use crate::encrypted::file_path;
use crate::postings::Posting;
use crate::segment::{POSTINGS, Segment};
use crate::snapshot::{Part, ReadError};

/// Events whose postings and keys are held for comparison.
const CHUNK_EVENTS: u32 = 1 << 21;

pub(super) struct Exact<'w, 'a> {
    pub(super) segments: &'w Path,
    pub(super) runs: &'w Path,
    pub(super) parts: &'w [Part],
    /// Events that could not be read, ascending.
    pub(super) unread: &'w [Range<u64>],
    pub(super) reader: &'w mut Reader<'a>,
    pub(super) findings: &'w mut Findings,
}

impl Exact<'_, '_> {
    /// Compares the posting file of a segment.
    pub(super) fn postings(&mut self, part: &Part, segment: &Segment) {
        let place = file_path(self.segments, segment.row().id, POSTINGS);
        let index = |row: u32| segment.first_index().saturating_add(row.into());
        let mut start = 0;
        while start < segment.count() {
            let end = start.saturating_add(CHUNK_EVENTS).min(segment.count());
            let mut expected = Vec::new();
            for rows in self.readable(part, start..end) {
                self.reader.read(part, rows, &mut Findings::default(), |event| expected.extend_from_slice(event.postings));
            }
            expected.sort_unstable();
            // What the last events do not explain is nobody's.
            let window = start..if end == segment.count() { u32::MAX } else { end };
            let unread = self.unread;
            let own = |posting: &Posting| window.contains(&posting.1) && !within(unread, index(posting.1));
            let mut differing = Vec::new();
            let compared = segment.postings(0).and_then(|stored| differences(&expected, kept(stored, own), |one| differing.push(one)));
            for difference in differing {
                let (row, what) = match difference {
                    Difference::Missing((_, row)) => (row, "lacks a posting, so that it is not found"),
                    Difference::Extra((_, row)) => (row, "has a posting that the event knows nothing of"),
                };
                self.findings.push(event_name(index(row)), format!("{what} ({})", place.display()));
            }
            if let Err(error) = compared {
                return self.findings.push(range_name(segment.first_index(), segment.count()), error);
            }
            start = end;
        }
    }

    /// Compares a run of the index of repeats.
    pub(super) fn records(&mut self, run: &Run) {
        let range = run.row.range();
        let mut start = range.start;
        while start < range.end {
            let end = start.saturating_add(CHUNK_EVENTS.into()).min(range.end);
            let expected = self.expected(start..end);
            // What no event of the run explains is looked at once, with the last of them.
            let window = if start == range.start { 0 } else { start }..if end == range.end { u64::MAX } else { end };
            let unread = self.unread;
            let own = |record: &Record| window.contains(&record.seen().index) && !within(unread, record.seen().index);
            let place = file_path(self.runs, run.row.id, RUN);
            let mut differing = Vec::new();
            let compared = run.records().and_then(|stored| differences(&expected, kept(stored, own), |one| differing.push(one)));
            for difference in differing {
                let (record, what) = match difference {
                    Difference::Missing(record) => (record, "is not known to the index of repeats"),
                    Difference::Extra(record) => (record, "is known by another key to the index of repeats"),
                };
                self.findings.push(event_name(record.seen().index), format!("{what} ({})", place.display()));
            }
            if let Err(error) = compared {
                return self.findings.push(place.display(), error);
            }
            start = end;
        }
    }

    /// The records of the events of segments in a range, in order.
    fn expected(&mut self, range: Range<u64>) -> Vec<Record> {
        let mut records = Vec::new();
        for part in self.parts.iter().filter(|part| matches!(part, Part::Segment(_))) {
            let row = |index: u64| u32::try_from(index.saturating_sub(part.first_index())).unwrap_or(u32::MAX).min(part.count());
            let rows = row(range.start)..row(range.end);
            for rows in self.readable(part, rows) {
                self.reader.read(part, rows, &mut Findings::default(), |event| records.push(event.record));
            }
        }
        records.sort_unstable();
        records
    }

    /// Rows of a part without those that could not be read, which would take others with them.
    fn readable(&self, part: &Part, rows: Range<u32>) -> Vec<Range<u32>> {
        let row = |index: u64| u32::try_from(index.saturating_sub(part.first_index())).unwrap_or(u32::MAX);
        let mut readable = Vec::new();
        let mut start = rows.start;
        for unread in self.unread.iter().map(|unread| row(unread.start)..row(unread.end)) {
            if start < unread.start.min(rows.end) {
                readable.push(start..unread.start.min(rows.end));
            }
            start = start.max(unread.end);
        }
        if start < rows.end {
            readable.push(start..rows.end);
        }
        readable
    }
}

/// What is to be compared of what is stored; errors pass.
fn kept<T>(stored: impl Iterator<Item = Result<T, ReadError>>, own: impl Fn(&T) -> bool) -> impl Iterator<Item = Result<T, ReadError>> {
    stored.filter(move |record| record.as_ref().map_or(true, &own))
}
