//! What was erased, and by which event (`docs/format.md` sections 3 and 4, rows of kind 8).

use std::sync::{PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::catalog::{Kind, RowChange, Rows};
use crate::snapshot::Erased;

/// The erasure of one key set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// The set.
    pub key_set: u64,
    /// Its month.
    pub epoch: String,
    /// Its retention class.
    pub class: String,
    /// The event that records it.
    pub by: u64,
    /// What it removed: first index and count of each run of events.
    pub ranges: Vec<(u64, u32)>,
    /// Is the key destroyed as well?
    pub done: bool,
}

impl Erasure {
    /// The name of the catalog row.
    pub(crate) fn name(key_set: u64) -> String {
        format!("{key_set:016x}")
    }

    /// The catalog row.
    pub(crate) fn row(&self) -> Result<RowChange, serde_json::Error> {
        Ok(RowChange::put(Kind::Erasure, Self::name(self.key_set), serde_json::to_vec(self)?))
    }

    /// What stands in the snapshot in place of its events.
    pub(super) fn parts(&self) -> impl Iterator<Item = Erased> {
        self.ranges.iter().map(|(first_index, count)| Erased {
            first_index: *first_index,
            count: *count,
            key_set: self.key_set,
            by: Some(self.by),
        })
    }

    fn holds(&self, index: u64) -> bool {
        self.ranges.iter().any(|(first, count)| (*first..first.saturating_add(u64::from(*count))).contains(&index))
    }
}

/// All erasures, for whoever answers a repeat.
#[derive(Default)]
pub struct Erasures(RwLock<Vec<Erasure>>);

impl Erasures {
    /// Reads them from the catalog. Rows that can't be read are named by their key set.
    pub(super) fn load(rows: &Rows) -> Result<Self, String> {
        let read = |(name, value): (String, std::sync::Arc<[u8]>)| serde_json::from_slice(&value).map_err(|_| name);
        Ok(Self(RwLock::new(rows.all(Kind::Erasure).into_iter().map(read).collect::<Result<_, _>>()?)))
    }

    /// The event that records the erasure of event `index`, if it is erased.
    pub fn by(&self, index: u64) -> Option<u64> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).iter().find(|erasure| erasure.holds(index)).map(|erasure| erasure.by)
    }

    /// All of them.
    pub fn all(&self) -> Vec<Erasure> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn put(&self, erasure: Erasure) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.key_set != erasure.key_set);
        all.push(erasure);
    }
}
