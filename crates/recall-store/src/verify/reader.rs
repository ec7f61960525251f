//! Reading a stretch of events and checking each: the commitment first, then everything that is derived from it.

use std::ops::{Range, RangeInclusive};

use super::entries::Entries;
use super::findings::{Findings, event_name, range_name};
use super::rows::{Checked, Checker, Columns, WANTED};
use crate::keys::PhiAccess;
use crate::snapshot::{Part, ReadError, Rows, Scan};

/// Events in a batch, at most and at least: one may be 1 MiB long.
const BATCH_ROWS: RangeInclusive<u64> = 64..=2_048;
/// Stored bytes that a batch should not exceed. Their content is some three times as long.
const BATCH_BYTES: u64 = 4 << 20;

fn batch_rows(part: &Part) -> usize {
    let rows = match part {
        Part::Segment(segment) => BATCH_BYTES / (segment.row().events.size_bytes / u64::from(segment.count()).max(1)).max(1),
        _ => BATCH_BYTES >> 14,
    };
    usize::try_from(rows.clamp(*BATCH_ROWS.start(), *BATCH_ROWS.end())).unwrap_or(1)
}

/// What one thread reads with.
pub(super) struct Reader<'a> {
    pub(super) phi: PhiAccess,
    pub(super) entries: Entries<'a>,
    pub(super) checker: Checker,
}

impl Reader<'_> {
    /// Reads and checks `rows` of a part, and shows each event that can be read; returns the first row that was not reached.
    pub(super) fn read(&mut self, part: &Part, rows: Range<u32>, findings: &mut Findings, mut each: impl FnMut(&Checked<'_>)) -> u32 {
        let (mut next, end) = (rows.start, rows.end);
        if let Err(error) = self.batches(part, rows, &mut next, findings, &mut each) {
            findings.push(range_name(part.first_index().saturating_add(next.into()), end.saturating_sub(next)), error);
        }
        next
    }

    fn batches(
        &mut self,
        part: &Part,
        rows: Range<u32>,
        next: &mut u32,
        findings: &mut Findings,
        each: &mut impl FnMut(&Checked<'_>),
    ) -> Result<(), ReadError> {
        let phi = self.phi.clone();
        let end = rows.end;
        let damaged = |what| ReadError::damaged(range_name(part.first_index(), part.count()), what);
        let scan =
            Scan { columns: WANTED.to_vec(), rows: Rows::Range(rows), predicate: None, batch_rows: batch_rows(part), phi: Some(&phi) };
        for batch in part.scan(scan)? {
            let batch = batch?;
            let columns = Columns::of(&batch).ok_or_else(|| damaged("a column has the wrong type"))?;
            for at in 0..columns.len() {
                self.event(&columns, at, part.first_index().saturating_add(u64::from(*next)), *next, findings, each);
                *next = next.saturating_add(1);
            }
        }
        if *next == end { Ok(()) } else { Err(damaged("it holds fewer events than it should")) }
    }

    fn event(
        &mut self,
        columns: &Columns<'_>,
        at: usize,
        index: u64,
        row: u32,
        findings: &mut Findings,
        each: &mut impl FnMut(&Checked<'_>),
    ) {
        if self.entries.covers(index) {
            match self.entries.holds(index, &columns.entry(at)) {
                Ok(true) => {}
                Ok(false) => findings.push(event_name(index), "its content is not what its entry in the log commits to"),
                Err(error) => findings.push(event_name(index), error),
            }
        }
        match self.checker.check(columns, at, index, row) {
            Err(error) => findings.push(event_name(index), error),
            Ok(checked) => {
                if let Some(column) = checked.differs {
                    findings.push(event_name(index), format!("column `{}` does not say what the event says", column.name()));
                }
                each(&checked);
            }
        }
    }
}
