//! What to do next: pure choices over the parts of a snapshot and the runs of seen ids.

use std::ops::Range;
use std::sync::Arc;

use super::Options;
use crate::dedupe::RunRow;
use crate::fresh::Fresh;
use crate::segment::Segment;
use crate::snapshot::Part;

/// Neighbouring batches of one key set.
pub(super) struct Run<'a> {
    pub(super) batches: Vec<&'a Arc<Fresh>>,
    /// Something follows it: its key set has ended.
    ended: bool,
}

impl Run<'_> {
    fn is_enough(&self, options: &Options) -> bool {
        let sum = |of: fn(&Fresh) -> u64| self.batches.iter().fold(0_u64, |sum, fresh| sum.saturating_add(of(fresh)));
        sum(|fresh| fresh.count().into()) >= options.segment_events || sum(Fresh::size_bytes) >= options.segment_bytes
    }

    pub(super) fn to_vec(&self) -> Vec<Arc<Fresh>> {
        self.batches.iter().map(|fresh| Arc::clone(fresh)).collect()
    }
}

/// The runs of fresh batches, oldest first.
pub(super) fn runs(parts: &[Part]) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    let mut open = false;
    for part in parts {
        let Part::Fresh(fresh) = part else {
            open = false;
            if let Some(run) = runs.last_mut() {
                run.ended = true;
            }
            continue;
        };
        match runs.last_mut() {
            Some(run) if open && run.batches.last().is_some_and(|last| last.key_set() == fresh.key_set()) => run.batches.push(fresh),
            last => {
                if let Some(last) = last {
                    last.ended = true;
                }
                runs.push(Run { batches: vec![fresh], ended: false });
            }
        }
        open = true;
    }
    runs
}

/// The batches that become a segment next, if any: enough of them, or the rest of a key set that has ended. All lie below `signed`.
pub(super) fn flush(parts: &[Part], signed: u64, options: &Options) -> Option<Vec<Arc<Fresh>>> {
    for run in runs(parts) {
        let enough = run.is_enough(options);
        if !enough && !run.ended {
            continue;
        }
        let (mut events, mut size_bytes) = (0_u64, 0_u64);
        let fits = |fresh: &&&Arc<Fresh>| {
            let is_first = events == 0;
            events = events.saturating_add(fresh.count().into());
            size_bytes = size_bytes.saturating_add(fresh.size_bytes());
            fresh.end() <= signed && (is_first || (events <= options.segment_events && size_bytes <= options.segment_bytes))
        };
        let chosen: Vec<_> = run.batches.iter().take_while(fits).map(|fresh| Arc::clone(fresh)).collect();
        let whole = chosen.len() == run.batches.len();
        if !chosen.is_empty() && (enough || whole) {
            return Some(chosen);
        }
    }
    None
}

/// Batches to be joined in memory: so many neighbours of about one size, small ones first. What is joined is at least twice as long as the
/// longest of them, so that no event is copied more often than a batch can double.
pub(super) fn join(parts: &[Part], options: &Options) -> Option<Vec<Arc<Fresh>>> {
    let width = options.join_parts.max(2);
    let growth = u32::try_from(width).unwrap_or(u32::MAX);
    let largest = options.join_events / 2;
    for run in runs(parts) {
        let mut limit = growth;
        loop {
            let below = |fresh: &Arc<Fresh>| fresh.count() < limit.min(largest);
            for stretch in run.batches.chunk_by(|a, b| below(a) && below(b)).filter(|stretch| stretch.len() >= width) {
                let chosen = start_of(stretch, options.join_events);
                let (events, longest) = (chosen.iter().map(|fresh| fresh.count()), chosen.iter().map(|fresh| fresh.count()).max());
                if chosen.len() > 1 && events.fold(0, u32::saturating_add) >= longest.unwrap_or(0).saturating_mul(2) {
                    return Some(chosen);
                }
            }
            if limit >= largest {
                break;
            }
            limit = limit.saturating_mul(growth);
        }
    }
    None
}

/// The first batches, as many as hold at most so many events.
fn start_of(stretch: &[&Arc<Fresh>], most_events: u32) -> Vec<Arc<Fresh>> {
    let mut events = 0_u32;
    let fits = |fresh: &&&Arc<Fresh>| {
        events = events.saturating_add(fresh.count());
        events <= most_events
    };
    stretch.iter().take_while(fits).map(|fresh| Arc::clone(fresh)).collect()
}

/// Segments that merge next, if any, oldest first. `busy` says that somebody waits to commit; then only a backlog is worked off.
pub(super) fn merge(parts: &[Part], busy: bool, options: &Options, skip: impl Fn(&Segment) -> bool) -> Option<Vec<Arc<Segment>>> {
    let mut ready: Vec<Vec<Arc<Segment>>> = Vec::new();
    for part in parts {
        match (part, ready.last_mut()) {
            (Part::Segment(segment), Some(group)) if group.last().is_some_and(|last| alike(last, segment)) => {
                group.push(Arc::clone(segment))
            }
            (Part::Segment(segment), _) => ready.push(vec![Arc::clone(segment)]),
            _ => ready.push(Vec::new()),
        }
    }
    let whole = |group: &Vec<Arc<Segment>>| group.chunks_exact(options.merge_width.max(2)).map(<[_]>::to_vec).collect::<Vec<_>>();
    let windows: Vec<_> = ready.iter().flat_map(whole).filter(|window| !window.iter().any(|segment| skip(segment))).collect();
    if busy && windows.len() * options.merge_width <= options.merge_backlog {
        return None;
    }
    // Small ones first: they come back as neighbours of the larger.
    windows.into_iter().min_by_key(|window| window.first().map(|segment| segment.row().tier))
}

fn alike(a: &Segment, b: &Segment) -> bool {
    a.row().tier == b.row().tier && a.key_set() == b.key_set()
}

/// The indexes covered by runs of seen ids that merge next, if any. Runs with a gap between them stay apart: one run covers all that lies
/// between its ends.
pub(super) fn merge_runs(rows: &[RunRow], options: &Options) -> Option<Range<u64>> {
    let neighbours = rows.chunk_by(|a, b| a.tier == b.tier && a.range().end == b.first_index);
    let windows = neighbours.flat_map(|group| group.chunks_exact(options.merge_width.max(2)));
    let window = windows.min_by_key(|window| window.first().map(|row| row.tier))?;
    Some(window.first()?.first_index..window.last()?.range().end)
}
