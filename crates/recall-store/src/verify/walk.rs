//! The walk over all parts of a snapshot: what is to be done, cut into jobs for all processors, and what their results say together.

use std::num::NonZero;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use super::entries::Entries;
use super::exact::Exact;
use super::findings::{Findings, event_name, range_name};
use super::fingerprint::{Fingerprint, Secrets};
use super::pool::in_order;
use super::reader::Reader;
use super::rows::Checker;
use super::sides::{Sides, Stretch};
use super::{Content, Erasing, Finding};
use crate::catalog::Kind;
use crate::compactor::{DEDUPE, SEGMENTS};
use crate::dedupe::{Dedupe, RUN, Record, Run, RunRow};
use crate::encrypted::{FileFacts, file_path};
use crate::postings::{self, Posting};
use crate::publisher::LogFolder;
use crate::segment::{EVENTS, POSTINGS, Segment, compare_file};
use crate::snapshot::{Erased, Part, ReadError, Snapshot};
use crate::trail::Trail;

/// Events of one job. What can't be read is named up to the end of its job.
const SLICE_ROWS: u32 = 1 << 15;

pub(super) fn verify(trail: &Trail, progress: &mut dyn FnMut(u64) -> bool) -> Content {
    let log = LogFolder(trail.log_dir());
    // Before the runs: those that come later cover it as well.
    let snapshot = trail.snapshot();
    let dedupe = match index_of_repeats(trail) {
        Ok(dedupe) => dedupe,
        Err(error) => return Content { findings: vec![Finding::new(DEDUPE, error)], ..Content::default() },
    };
    let runs = dedupe.runs();
    let plan = Plan { segments: trail.folder().join(SEGMENTS), runs: trail.folder().join(DEDUPE), snapshot: &snapshot, index: &runs };
    let jobs = plan.jobs();
    let secrets = Secrets::draw(&**trail.random());
    let reader =
        || Reader { phi: trail.phi_access(), entries: Entries::new(&log, trail.published()), checker: Checker::new(trail.encoder()) };
    let work = Work { secrets: &secrets, gone: plan.gone(), index: &runs };
    let mut walk = Walk {
        plan: &plan,
        unread: work.gone.clone(),
        reader: reader(),
        postings: Sides::default(),
        records: runs.iter().map(|_| Sides::default()).collect(),
        content: Content::default(),
        findings: Findings::default(),
        progress,
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    in_order(&jobs, threads, reader, |reader, job| work.done(reader, job), |job, outcome| walk.take(job, outcome));
    Content { findings: walk.findings.into_list(), ..walk.content }
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

/// What is verified.
struct Plan<'a> {
    segments: PathBuf,
    runs: PathBuf,
    snapshot: &'a Snapshot,
    index: &'a [Arc<Run>],
}

/// One piece of work, or a point at which results are looked at together.
enum Job<'a> {
    Erased(&'a Erased),
    /// Compare a file with the digest in the catalog. The place is named with what is found.
    File {
        place: String,
        path: PathBuf,
        facts: &'a FileFacts,
    },
    /// Read and check events; `run` is the run of the index of repeats that must know them.
    Rows {
        part: &'a Part,
        rows: Range<u32>,
        run: Option<usize>,
    },
    /// Read a row group of a posting file.
    Postings {
        segment: &'a Arc<Segment>,
        group: usize,
    },
    /// All of a segment has been read.
    Segment {
        part: &'a Part,
        segment: &'a Arc<Segment>,
    },
    /// Read a row group of a run.
    Records {
        run: usize,
        group: usize,
    },
    /// All of a run, and all events, have been read.
    Run {
        run: usize,
    },
}

/// What a job found.
enum Outcome {
    File(Result<(), ReadError>),
    Rows(Checked),
    Postings(Result<Stretch<Posting>, ReadError>),
    Records(Result<Stretch<Record>, ReadError>),
    /// There is nothing to do but to look.
    Look,
}

/// What a stretch of events says.
#[derive(Default)]
struct Checked {
    findings: Findings,
    /// The first row that was not reached.
    next: u32,
    postings: Fingerprint,
    records: Fingerprint,
}

impl<'a> Plan<'a> {
    fn jobs(&self) -> Vec<Job<'a>> {
        let mut jobs = Vec::new();
        for part in self.snapshot.parts() {
            match part {
                Part::Erased(erased) => jobs.push(Job::Erased(erased)),
                Part::Fresh(_) => {
                    let cut = |start: u32| (start, start.saturating_add(SLICE_ROWS).min(part.count()));
                    let starts = (0..part.count()).step_by(usize::try_from(SLICE_ROWS).unwrap_or(usize::MAX));
                    jobs.extend(starts.map(cut).map(|(start, end)| Job::Rows { part, rows: start..end, run: None }));
                }
                Part::Segment(segment) => self.segment(part, segment, &mut jobs),
            }
        }
        for (run, opened) in self.index.iter().enumerate() {
            let path = file_path(&self.runs, opened.row.id, RUN);
            jobs.push(Job::File { place: DEDUPE.to_owned(), path, facts: &opened.row.file });
            jobs.extend((0..opened.groups()).map(|group| Job::Records { run, group }));
            jobs.push(Job::Run { run });
        }
        jobs
    }

    fn segment(&self, part: &'a Part, segment: &'a Arc<Segment>, jobs: &mut Vec<Job<'a>>) {
        let row = segment.row();
        for (extension, facts) in [(EVENTS, &row.events), (POSTINGS, &row.postings)] {
            let place = range_name(row.first_index, row.count);
            jobs.push(Job::File { place, path: file_path(&self.segments, row.id, extension), facts });
        }
        let mut start = 0;
        while start < row.count {
            let (run, border) = self.run_of(row.first_index.saturating_add(start.into()));
            let border = u32::try_from(border.saturating_sub(row.first_index)).unwrap_or(u32::MAX);
            let end = start.saturating_add(SLICE_ROWS).min(row.count).min(border).max(start.saturating_add(1));
            jobs.push(Job::Rows { part, rows: start..end, run });
            start = end;
        }
        jobs.extend((0..segment.posting_groups()).map(|group| Job::Postings { segment, group }));
        jobs.push(Job::Segment { part, segment });
    }

    /// The run that holds event `index`, and the first event that is in another or none.
    fn run_of(&self, index: u64) -> (Option<usize>, u64) {
        let next = self.index.partition_point(|run| run.row.first_index <= index);
        let own = next.checked_sub(1).and_then(|own| Some((own, self.index.get(own)?.row.range())));
        match own.filter(|(_, range)| range.contains(&index)) {
            Some((own, range)) => (Some(own), range.end),
            None => (None, self.index.get(next).map_or(u64::MAX, |run| run.row.first_index)),
        }
    }

    /// Events without content, ascending: the index of repeats knows them for ever.
    fn gone(&self) -> Vec<Range<u64>> {
        self.snapshot.parts().iter().filter(|part| matches!(part, Part::Erased(_))).map(|part| part.first_index()..part.end()).collect()
    }
}

/// What all threads share.
struct Work<'a> {
    secrets: &'a Secrets,
    gone: Vec<Range<u64>>,
    index: &'a [Arc<Run>],
}

impl Work<'_> {
    fn done(&self, reader: &mut Reader<'_>, job: &Job<'_>) -> Outcome {
        match job {
            Job::File { path, facts, .. } => Outcome::File(compare_file(path, facts)),
            Job::Rows { part, rows, run } => Outcome::Rows(self.rows(reader, part, rows.clone(), *run)),
            Job::Postings { segment, group } => Outcome::Postings(self.postings(segment, *group)),
            Job::Records { run, group } => Outcome::Records(self.records(*run, *group)),
            Job::Erased(_) | Job::Segment { .. } | Job::Run { .. } => Outcome::Look,
        }
    }

    fn rows(&self, reader: &mut Reader<'_>, part: &Part, rows: Range<u32>, run: Option<usize>) -> Checked {
        let mut checked = Checked::default();
        let (mut findings, start) = (Findings::default(), rows.start);
        let fingerprints = matches!(part, Part::Segment(_));
        checked.next = reader.read(part, rows, &mut findings, |event| {
            if fingerprints {
                event.postings.iter().for_each(|posting| checked.postings.add(self.secrets, posting));
                checked.records.add(self.secrets, &event.record);
            }
        });
        if fingerprints && run.is_none() {
            let first = part.first_index().saturating_add(start.into());
            for index in first..part.first_index().saturating_add(checked.next.into()) {
                findings.push(event_name(index), "no run of the index of repeats covers it");
            }
        }
        Checked { findings, ..checked }
    }

    fn postings(&self, segment: &Segment, group: usize) -> Result<Stretch<Posting>, ReadError> {
        let mut stretch = Stretch::default();
        for rows in segment.posting_group(group)? {
            let rows = rows?;
            let (tokens, rows) = postings::columns(&rows)?;
            tokens.iter().zip(rows).for_each(|(token, row)| stretch.add(self.secrets, (*token, row.cast_unsigned()), false));
        }
        Ok(stretch)
    }

    fn records(&self, run: usize, group: usize) -> Result<Stretch<Record>, ReadError> {
        let mut stretch = Stretch::default();
        let Some(run) = self.index.get(run) else { return Ok(stretch) };
        for record in run.group(group)? {
            let record = record?;
            stretch.add(self.secrets, record, within(&self.gone, record.seen().index));
        }
        Ok(stretch)
    }
}

/// Takes the results in order.
struct Walk<'a> {
    plan: &'a Plan<'a>,
    /// Events that could not be read, erased ones among them.
    unread: Vec<Range<u64>>,
    reader: Reader<'a>,
    /// Of the segment that is read now.
    postings: Sides<Posting>,
    /// Of each run.
    records: Vec<Sides<Record>>,
    content: Content,
    findings: Findings,
    progress: &'a mut dyn FnMut(u64) -> bool,
}

impl<'a> Walk<'a> {
    /// Takes the result of a job; false ends the work.
    fn take(&mut self, job: &Job<'_>, outcome: Option<Outcome>) -> bool {
        match (job, outcome) {
            (Job::Erased(erased), _) => return self.erased(erased),
            (Job::Rows { part, rows, run }, Some(Outcome::Rows(checked))) => return self.rows(part, rows, *run, checked),
            (Job::Rows { part, rows, run }, _) => {
                let mut checked = Checked { next: rows.start, ..Checked::default() };
                let first = part.first_index().saturating_add(rows.start.into());
                checked.findings.push(range_name(first, rows.end.saturating_sub(rows.start)), "reading it failed");
                return self.rows(part, rows, *run, checked);
            }
            (Job::File { .. }, Some(Outcome::File(Ok(())))) => {}
            (Job::File { place, .. }, Some(Outcome::File(Err(error)))) => self.findings.push(place, error),
            (Job::File { place, .. }, _) => self.findings.push(place, "reading a file of it failed"),
            (Job::Postings { .. }, Some(Outcome::Postings(stretch))) => self.postings.found(stretch),
            (Job::Postings { .. }, _) => self.postings.doubt(),
            (Job::Segment { part, segment }, _) => {
                let sides = std::mem::take(&mut self.postings);
                if !sides.agree() {
                    self.exact().postings(part, segment);
                }
            }
            (Job::Records { run, .. }, Some(Outcome::Records(stretch))) => self.of_run(*run, |sides| sides.found(stretch)),
            (Job::Records { run, .. }, _) => self.of_run(*run, Sides::doubt),
            (Job::Run { run }, _) => {
                if let (Some(sides), Some(opened)) = (self.records.get(*run), self.plan.index.get(*run))
                    && !sides.agree()
                {
                    self.exact().records(opened);
                }
            }
        }
        true
    }

    fn exact(&mut self) -> Exact<'_, 'a> {
        Exact {
            segments: &self.plan.segments,
            runs: &self.plan.runs,
            parts: self.plan.snapshot.parts(),
            unread: &self.unread,
            reader: &mut self.reader,
            findings: &mut self.findings,
        }
    }

    fn of_run(&mut self, run: usize, change: impl FnOnce(&mut Sides<Record>)) {
        if let Some(sides) = self.records.get_mut(run) {
            change(sides);
        }
    }

    fn erased(&mut self, erased: &Erased) -> bool {
        let end = erased.first_index.saturating_add(erased.count.into());
        if let Some(by) = erased.by {
            match self.not_recorded(by, end) {
                None => self.content.add_erased(Erasing { by, events: erased.count.into() }),
                Some(problem) => {
                    self.findings.push(range_name(erased.first_index, erased.count), format!("erased by event {by}, {problem}"))
                }
            }
        }
        // Those without a record are lost, and were named as such when the trail was opened.
        (self.progress)(end)
    }

    /// Why event `by` can't be the one that records an erasure of events before `end`.
    fn not_recorded(&self, by: u64, end: u64) -> Option<&'static str> {
        match self.plan.snapshot.locate(by) {
            None => Some("which is not there"),
            Some((Part::Erased(Erased { by: None, .. }), _)) => Some("which is lost"),
            Some(_) if by < end => Some("which came before it"),
            Some(_) => None,
        }
    }

    fn rows(&mut self, part: &Part, rows: &Range<u32>, run: Option<usize>, checked: Checked) -> bool {
        let index = |row: u32| part.first_index().saturating_add(row.into());
        self.content.events = self.content.events.saturating_add(checked.next.saturating_sub(rows.start).into());
        self.findings.append(checked.findings);
        if matches!(part, Part::Segment(_)) {
            self.postings.expect(&checked.postings);
            run.iter().for_each(|run| self.of_run(*run, |sides| sides.expect(&checked.records)));
            if checked.next < rows.end {
                self.postings.doubt();
                run.iter().for_each(|run| self.of_run(*run, Sides::doubt));
                let unread = index(checked.next)..index(rows.end);
                let at = self.unread.partition_point(|other| other.start < unread.start);
                self.unread.insert(at, unread);
            }
        }
        (self.progress)(index(rows.end))
    }
}

/// Does one of the ranges, which are ascending, hold it?
pub(super) fn within<T: PartialOrd>(ranges: &[Range<T>], value: T) -> bool {
    let after = ranges.partition_point(|range| range.start <= value);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|range| range.contains(&value))
}
