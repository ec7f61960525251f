//! Evidence of a result: whose data are in the rows. Subjects are taken from the columns that upstream itself says come from a configured
//! one (RowDescription), in whatever format they are sent.
//!
//! It must not know records nor the order of messages.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::catalog::{Catalog, Mark};
use super::events::{PAGE_SUBJECTS, SUBJECT_BYTES, SUBJECTS_BYTES};
use super::values::{Format, as_identifier};
use super::wire::{Fields, WireError};

/// The columns of a result that name subjects.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// Position, type and format of each.
    subjects: Vec<(usize, u32, Format)>,
    /// Categories of health information in it.
    pub categories: BTreeSet<Arc<str>>,
    /// A column is no column of a relation, but computed.
    pub computed: bool,
    /// The relations that subjects are named by.
    named_by: BTreeSet<u32>,
    /// A column comes from a relation that the catalog does not know.
    pub strange: bool,
}

impl Columns {
    /// Reads RowDescription.
    pub fn described(body: &[u8], catalog: &Catalog) -> Result<Self, WireError> {
        let mut fields = Fields(body);
        let mut columns = Self::default();
        for at in 0..fields.count()? {
            fields.text()?;
            let (relation, attribute, type_oid) = (fields.oid()?, fields.short()?, fields.oid()?);
            fields.bytes(6)?;
            let format = Format::from_code(fields.short()?).ok_or(WireError::Fields)?;
            if relation != 0 && !catalog.knows(relation) {
                columns.strange = true;
            }
            columns.computed |= relation == 0;
            for mark in catalog.marks(relation, attribute) {
                match mark {
                    Mark::Subject => {
                        columns.named_by.insert(relation);
                        columns.subjects.push((at, type_oid, format));
                    }
                    Mark::Category(category) => drop(columns.categories.insert(Arc::clone(category))),
                }
            }
        }
        fields.end()?;
        Ok(columns)
    }

    /// How many relations name subjects in it.
    pub fn relations(&self) -> usize {
        self.named_by.len()
    }

    /// Does no column name a subject?
    pub fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }
}

/// Subjects of rows that have not left.
#[derive(Default)]
pub struct Page {
    seen: HashSet<Arc<str>>,
    subjects: Vec<Arc<str>>,
    size_bytes: usize,
}

impl Page {
    /// Adds the subjects of a row (DataRow). False where one of them can't be read.
    pub fn add(&mut self, columns: &Columns, body: &[u8]) -> Result<bool, WireError> {
        let mut fields = Fields(body);
        let count = fields.count()?;
        let mut wanted = columns.subjects.iter();
        let Some(mut next) = wanted.next() else { return Ok(true) };
        let mut readable = true;
        for at in 0..count {
            let value = fields.value()?;
            if at != next.0 {
                continue;
            }
            match value.map(|value| as_identifier(next.1, next.2, value)) {
                Some(Some(subject)) if subject.len() <= SUBJECT_BYTES => self.insert(subject),
                // A row whose subject is NULL, as an outer join makes it, may still be somebody's.
                _ => readable = false,
            }
            match wanted.next() {
                Some(column) => next = column,
                None => return Ok(readable),
            }
        }
        // Fewer columns than were described.
        Err(WireError::Fields)
    }

    fn insert(&mut self, subject: String) {
        if !subject.is_empty() && !self.seen.contains(subject.as_str()) {
            let subject: Arc<str> = subject.into();
            self.size_bytes = self.size_bytes.saturating_add(subject.len());
            self.seen.insert(Arc::clone(&subject));
            self.subjects.push(subject);
        }
    }

    /// Takes no more: a row adds at most as many as it has columns, so that a page is closed before it could overflow.
    pub fn is_full(&self, columns: &Columns) -> bool {
        let more = columns.subjects.len();
        self.subjects.len().saturating_add(more) > PAGE_SUBJECTS
            || self.size_bytes.saturating_add(more.saturating_mul(SUBJECT_BYTES)) > SUBJECTS_BYTES
    }

    /// Those it holds, at most 4,096 at a time.
    pub fn take(&mut self) -> Vec<Arc<str>> {
        self.seen.clear();
        self.size_bytes = 0;
        std::mem::take(&mut self.subjects)
    }
}

#[cfg(test)]
mod tests;
