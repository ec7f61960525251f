//! The register of sources: who sends, when each was last heard, how its clock stands, and which of its numbers never came.
//!
//! Owns what is remembered of a source and how it changes with each event. Knows neither the catalog that keeps the rows (kind 6, `docs/format.md` section 4) nor a
//! clock: all times come with the events or from the caller. No Merkle proof shows an event that was never sent; gaps in `seq` and silence do.

use std::collections::{BTreeMap, BTreeSet};

use recall_log::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::batch::Note;

/// Sources the register holds; events of further ones are stored all the same, and counted.
pub const SOURCES_MAX: usize = 10_000;
/// Gaps kept of one source; further ones are counted.
pub const GAPS_MAX: usize = 256;
/// A source whose clock is this far ahead of ours is flagged, milliseconds.
pub const SKEW_FLAGGED_MS: i64 = 5_000;

/// Numbers that a source gave to events which never came, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first number missing.
    pub first: u64,
    /// The last number missing.
    pub last: u64,
}

/// What is known of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Events stored of it.
    pub events: u64,
    /// When its last event was received, µs since 1970; none before the first.
    pub last_heard: Option<i64>,
    /// The largest time that an event of its claims, µs since 1970.
    pub last_time: Option<i64>,
    /// Receipt minus claimed time of the last event, ms. Negative: its clock is ahead of ours.
    pub delay_last_ms: i64,
    /// The smallest such delay ever seen, ms.
    pub delay_least_ms: i64,
    /// The largest `seq` seen.
    pub seq_last: Option<u64>,
    /// Numbers below `seq_last` that never came, in order.
    pub gaps: Vec<Gap>,
    /// Gaps that were found when `gaps` was full.
    pub gaps_uncounted: u64,
    /// How often it is expected to be heard, seconds; set by an administrator.
    pub expected_every_s: Option<u64>,
}

impl Source {
    /// Takes note of one stored event.
    fn heard(&mut self, note: &Note<'_>) {
        let received = note.received_at.micros();
        let claimed = note.time.micros();
        let delay_ms = received.saturating_sub(claimed) / 1_000;
        self.delay_least_ms = if self.events == 0 { delay_ms } else { self.delay_least_ms.min(delay_ms) };
        self.delay_last_ms = delay_ms;
        self.events = self.events.saturating_add(1);
        self.last_heard = Some(self.last_heard.map_or(received, |last| last.max(received)));
        self.last_time = Some(self.last_time.map_or(claimed, |last| last.max(claimed)));
        if let Some(seq) = note.seq {
            self.numbered(seq);
        }
    }

    fn numbered(&mut self, seq: u64) {
        let Some(last) = self.seq_last else {
            self.seq_last = Some(seq);
            return;
        };
        if seq <= last {
            self.fill(seq);
            return;
        }
        self.seq_last = Some(seq);
        if seq - last > 1 {
            let gap = Gap { first: last + 1, last: seq - 1 };
            if self.gaps.len() < GAPS_MAX {
                self.gaps.push(gap);
            } else {
                self.gaps_uncounted = self.gaps_uncounted.saturating_add(1);
            }
        }
    }

    /// A number that came late closes its gap, or splits it.
    fn fill(&mut self, seq: u64) {
        let Some(at) = self.gaps.iter().position(|gap| gap.first <= seq && seq <= gap.last) else { return };
        let gap = self.gaps.remove(at);
        let after = (seq < gap.last).then(|| Gap { first: seq + 1, last: gap.last });
        let before = (gap.first < seq).then(|| Gap { first: gap.first, last: seq - 1 });
        for rest in [after, before].into_iter().flatten() {
            if self.gaps.len() < GAPS_MAX {
                self.gaps.insert(at, rest);
            } else {
                self.gaps_uncounted = self.gaps_uncounted.saturating_add(1);
            }
        }
    }

    /// How many numbers are missing in the gaps that are kept.
    pub fn missing(&self) -> u64 {
        self.gaps.iter().fold(0, |sum, gap| sum.saturating_add((gap.last - gap.first).saturating_add(1)))
    }

    /// How far its clock has been ahead of ours, ms, where that is past what is worth a flag.
    pub fn ahead_ms(&self) -> Option<i64> {
        let ahead = self.delay_least_ms.saturating_neg();
        (ahead >= SKEW_FLAGGED_MS).then_some(ahead)
    }

    /// Whether it is expected and has been silent for longer than that.
    pub fn silent(&self, now: Timestamp) -> bool {
        let Some(expected_s) = self.expected_every_s else { return false };
        let allowed = i64::try_from(expected_s).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        self.last_heard.is_none_or(|last| now.micros().saturating_sub(last) > allowed)
    }
}

/// All sources, by name.
#[derive(Debug, Clone, Default)]
pub struct Register {
    sources: BTreeMap<String, Source>,
    changed: BTreeSet<String>,
    events_unregistered: u64,
}

impl Register {
    /// A register as it was kept.
    pub fn load(sources: impl IntoIterator<Item = (String, Source)>) -> Self {
        Self { sources: sources.into_iter().collect(), ..Self::default() }
    }

    /// Takes note of one stored event.
    pub fn heard(&mut self, note: &Note<'_>) {
        if let Some(source) = self.sources.get_mut(note.source) {
            source.heard(note);
            if !self.changed.contains(note.source) {
                self.changed.insert(note.source.to_owned());
            }
        } else if !self.is_full() {
            self.sources.entry(note.source.to_owned()).or_default().heard(note);
            self.changed.insert(note.source.to_owned());
        } else {
            self.events_unregistered = self.events_unregistered.saturating_add(1);
        }
    }

    /// Says how often a source is expected, seconds; `None` expects nothing any more. False if the register is full.
    pub fn expect(&mut self, name: &str, every_s: Option<u64>) -> bool {
        if !self.sources.contains_key(name) && self.is_full() {
            return false;
        }
        self.sources.entry(name.to_owned()).or_default().expected_every_s = every_s;
        self.changed.insert(name.to_owned());
        true
    }

    /// One source.
    pub fn get(&self, name: &str) -> Option<&Source> {
        self.sources.get(name)
    }

    /// All sources, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.sources.iter().map(|(name, source)| (name.as_str(), source))
    }

    /// Whether it takes no further source, so that events may have one that it does not know.
    pub fn is_full(&self) -> bool {
        self.sources.len() >= SOURCES_MAX
    }

    /// Events whose source did not fit into the register any more, since the start.
    pub fn events_unregistered(&self) -> u64 {
        self.events_unregistered
    }

    /// What has changed since the last call and is to be kept; the caller gives it back with `unkept` if that failed.
    pub fn take_changed(&mut self) -> Vec<(String, Source)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().filter_map(|name| self.sources.get(&name).cloned().map(|source| (name, source))).collect()
    }

    /// Marks sources as still to be kept.
    pub fn unkept(&mut self, names: impl IntoIterator<Item = String>) {
        self.changed.extend(names);
    }
}

#[cfg(test)]
mod tests;
