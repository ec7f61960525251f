//! Findings, of which a bounded number is kept.

use std::fmt;

use super::Finding;

/// Findings kept; beyond, they are only counted.
const MAX_FINDINGS: usize = 1_000;

/// Findings in the order in which they were made.
#[derive(Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    beyond: usize,
}

impl Findings {
    pub(super) fn push(&mut self, place: impl fmt::Display, what: impl fmt::Display) {
        if self.kept.len() < MAX_FINDINGS {
            self.kept.push(Finding::new(place, what));
        } else {
            self.beyond = self.beyond.saturating_add(1);
        }
    }

    /// Adds those that another made.
    pub(super) fn append(&mut self, other: Self) {
        let room = MAX_FINDINGS.saturating_sub(self.kept.len());
        self.beyond = self.beyond.saturating_add(other.beyond).saturating_add(other.kept.len().saturating_sub(room));
        self.kept.extend(other.kept.into_iter().take(room));
    }

    /// All that are kept; the last says how many are not.
    pub(super) fn into_list(mut self) -> Vec<Finding> {
        if self.beyond > 0 {
            self.kept.push(Finding::new("trail", format!("{} more findings are not listed", self.beyond)));
        }
        self.kept
    }
}

pub(super) fn event_name(index: u64) -> String {
    format!("event {index}")
}

pub(super) fn range_name(first_index: u64, count: u32) -> String {
    match count {
        0 | 1 => event_name(first_index),
        _ => format!("events {first_index} to {}", first_index.saturating_add(u64::from(count)).saturating_sub(1)),
    }
}
