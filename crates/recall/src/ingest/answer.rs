//! The answer to an ingest request, in the order of its items. Written by hand, because it is as long as the request.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use recall_log::canonical;
use recall_store::trail::{Outcome, Status};

use super::encode::{Encoded, Verdict};
use super::split::Unit;

/// How many items met which end.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// New in the trail.
    pub stored: u64,
    /// In it before.
    pub duplicate: u64,
    /// Not in it.
    pub rejected: u64,
}

/// A leaf hash in base64.
const HASH_BASE64: usize = 44;

/// One result of a request.
pub enum Outcomes<'a> {
    /// As the trail gave it.
    First,
    /// A request that was done before is answered as it was then: what it stored then counts as stored. `from` is the size of the tree
    /// before, `seen` the indexes answered so far.
    Replay { from: u64, seen: &'a mut std::collections::HashSet<u64> },
}

/// Writes `{"results":[…],"stored":N,"duplicate":N,"rejected":N}`. `slices` and `outcomes` are in the order of the body; there is an
/// outcome for each event that was taken.
pub fn write(slices: &[Encoded], outcomes: &[Outcome], unit: Unit, mut mode: Outcomes<'_>) -> (Vec<u8>, Counts) {
    let verdicts = slices.iter().flat_map(|slice| slice.verdicts.iter().map(move |(number, verdict)| (slice, *number, verdict)));
    let mut out = Vec::with_capacity(64 + slices.iter().map(|slice| slice.verdicts.len() * 176).sum::<usize>());
    let mut counts = Counts::default();
    let mut outcomes = outcomes.iter();
    out.extend_from_slice(b"{\"results\":[");
    for (place, (slice, number, verdict)) in verdicts.enumerate() {
        if place > 0 {
            out.push(b',');
        }
        match verdict {
            Verdict::Refused { id, error } => {
                counts.rejected += 1;
                rejected(&mut out, id.as_deref(), number, unit, error);
            }
            Verdict::Taken { id } => {
                let id = slice.ids.get(id.clone()).unwrap_or_default();
                match outcomes.next() {
                    Some(outcome) => taken(&mut out, &mut counts, id, number, unit, outcome, &mut mode),
                    None => {
                        counts.rejected += 1;
                        rejected(&mut out, Some(id), number, unit, "the trail gave no answer for it; send it again");
                    }
                }
            }
        }
    }
    out.extend_from_slice(
        format!("],\"stored\":{},\"duplicate\":{},\"rejected\":{}}}", counts.stored, counts.duplicate, counts.rejected).as_bytes(),
    );
    (out, counts)
}

fn taken(out: &mut Vec<u8>, counts: &mut Counts, id: &str, number: usize, unit: Unit, outcome: &Outcome, mode: &mut Outcomes<'_>) {
    let status = match (outcome.status, mode) {
        (Status::Conflict, _) => {
            counts.rejected += 1;
            let error = "id: this source has used it for other content; send the event under a new id";
            return rejected(out, Some(id), number, unit, error);
        }
        (Status::Stored, _) => "stored",
        (Status::Duplicate, Outcomes::Replay { from, seen }) => {
            if outcome.index >= *from && seen.insert(outcome.index) {
                "stored"
            } else {
                "duplicate"
            }
        }
        (Status::Duplicate | Status::Erased, _) => "duplicate",
    };
    if status == "stored" {
        counts.stored += 1;
    } else {
        counts.duplicate += 1;
    }
    out.extend_from_slice(b"{\"id\":");
    canonical::string(out, id);
    out.extend_from_slice(b",\"index\":");
    canonical::integer(out, outcome.index);
    out.extend_from_slice(b",\"leaf_hash\":\"");
    let mut hash = [0; HASH_BASE64];
    let length = STANDARD.encode_slice(outcome.leaf_hash, &mut hash).unwrap_or(0);
    out.extend_from_slice(hash.get(..length).unwrap_or_default());
    out.extend_from_slice(b"\",\"status\":\"");
    out.extend_from_slice(status.as_bytes());
    out.push(b'"');
    if outcome.status == Status::Erased {
        out.extend_from_slice(b",\"erased\":true");
    }
    out.push(b'}');
}

fn rejected(out: &mut Vec<u8>, id: Option<&str>, number: usize, unit: Unit, error: &str) {
    out.extend_from_slice(b"{\"id\":");
    match id {
        Some(id) => canonical::string(out, id),
        None => out.extend_from_slice(b"null"),
    }
    let place = match unit {
        Unit::Line => "line",
        Unit::Item => "item",
    };
    out.extend_from_slice(b",\"status\":\"rejected\",\"error\":");
    canonical::string(out, &format!("{place} {number}: {error}"));
    out.push(b'}');
}
