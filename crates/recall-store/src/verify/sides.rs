//! The two sides of a comparison: what the events say must be stored, and what lies on disk.

use super::fingerprint::{Fingerprint, Secrets, Words};
use crate::snapshot::ReadError;

/// A stretch of a sorted file.
pub(super) struct Stretch<T> {
    fingerprint: Fingerprint,
    ends: Option<(T, T)>,
    ascending: bool,
}

impl<T> Default for Stretch<T> {
    fn default() -> Self {
        Self { fingerprint: Fingerprint::default(), ends: None, ascending: true }
    }
}

impl<T: Words + Ord + Copy> Stretch<T> {
    /// Adds the next record. One that is `gone` has no event to be compared with, but keeps its place in the order.
    pub(super) fn add(&mut self, secrets: &Secrets, record: T, gone: bool) {
        match &mut self.ends {
            Some((_, last)) => {
                self.ascending &= *last <= record;
                *last = record;
            }
            none => *none = Some((record, record)),
        }
        if !gone {
            self.fingerprint.add(secrets, &record);
        }
    }
}

/// What the events say of one file, and what it holds.
pub(super) struct Sides<T> {
    expected: Fingerprint,
    stored: Stretch<T>,
    /// Something could not be read, so that the fingerprints say nothing.
    doubt: bool,
}

impl<T> Default for Sides<T> {
    fn default() -> Self {
        Self { expected: Fingerprint::default(), stored: Stretch::default(), doubt: false }
    }
}

impl<T: Words + Ord + Copy> Sides<T> {
    /// Some events say so.
    pub(super) fn expect(&mut self, more: &Fingerprint) {
        self.expected.join(more);
    }

    /// The next stretch of the file says so.
    pub(super) fn found(&mut self, stretch: Result<Stretch<T>, ReadError>) {
        let Ok(stretch) = stretch else { return self.doubt() };
        let whole = &mut self.stored;
        whole.ascending &= stretch.ascending;
        whole.fingerprint.join(&stretch.fingerprint);
        whole.ends = match (whole.ends, stretch.ends) {
            (Some((first, last)), Some((next, end))) => {
                whole.ascending &= last <= next;
                Some((first, end))
            }
            (before, after) => before.or(after),
        };
    }

    /// Some of either side could not be read.
    pub(super) fn doubt(&mut self) {
        self.doubt = true;
    }

    /// Do both say the same, and does the file keep its order, without which lookups fail?
    pub(super) fn agree(&self) -> bool {
        !self.doubt && self.stored.ascending && self.expected == self.stored.fingerprint
    }
}

#[cfg(test)]
mod tests;
