//! `Idempotency-Key`: a request that is repeated within 24 hours is answered as it was the first time; another body under the key is
//! refused. The row is committed together with the events, so that one is never there without the other.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use recall_log::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How long a key is kept, µs.
pub const KEPT_MICROS: i64 = 24 * 3_600 * 1_000_000;
/// Longest key, in bytes.
pub const KEY_BYTES: usize = 255;

/// What is kept of a request.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// SHA-256 of its body.
    pub body: [u8; 32],
    /// When it came, µs since 1970.
    pub at: i64,
    /// The size of the tree before it.
    pub size: u64,
}

/// What a key says about a request.
#[derive(PartialEq, Eq, Debug)]
pub enum Known {
    /// Never seen, or long ago.
    New,
    /// The same request, done when the tree had this size.
    Replay { size: u64 },
    /// Another body.
    Other,
}

impl Kept {
    /// From the catalog's bytes.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// For the catalog.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether the key still counts.
    pub fn counts(&self, now: Timestamp) -> bool {
        now.micros().saturating_sub(self.at) < KEPT_MICROS
    }
}

/// What `kept` says about a request with this body.
pub fn known(kept: Option<&Kept>, body: &[u8; 32], now: Timestamp) -> Known {
    match kept.filter(|kept| kept.counts(now)) {
        None => Known::New,
        Some(kept) if kept.body == *body => Known::Replay { size: kept.size },
        Some(_) => Known::Other,
    }
}

/// The name of the row: a key belongs to its token.
pub fn row_name(token_id: &str, key: &str) -> String {
    format!("{token_id} {key}")
}

/// The keys whose requests are under way.
#[derive(Default)]
pub struct UnderWay(Mutex<HashSet<String>>);

/// Holds a key until its request is answered.
pub struct Claim<'a> {
    under_way: &'a UnderWay,
    name: String,
}

impl UnderWay {
    /// Takes the key, unless a request that holds it is under way.
    pub fn claim(&self, name: &str) -> Option<Claim<'_>> {
        let new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        new.then(|| Claim { under_way: self, name: name.to_owned() })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.under_way.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

#[cfg(test)]
mod tests;
