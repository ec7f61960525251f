//! The state row: what every commit writes (`docs/format.md` section 4).
//!
//! Size (8) || next id (8) || epoch length (1) || epoch || number of hashes (1) || hashes (32 each) || the version of each kind's head
//! (8 each). With the versions in it, one kind's rows and head can't be set back to an older day while the tree stays where it is. A row that
//! was written before a kind came into being ends before its version, which is 0 then: it has no rows.

use recall_log::merkle::{Frontier, Hash};

use super::row::KINDS;

/// The kinds that every trail has had from its beginning; those after them came later.
const FIRST_KINDS: usize = 9;

/// How far the trail has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The tree: its size and the roots of its perfect subtrees.
    pub frontier: Frontier,
    /// The next id of a segment, a run or a key set.
    pub next_id: u64,
    /// The epoch of the last commit, `2026-11`; empty before the first.
    pub epoch: String,
    /// The version of each kind's head, in the order of `Kind::ALL`, the state's own left out as 0.
    pub(super) versions: [u64; KINDS],
}

impl Default for State {
    fn default() -> Self {
        Self { frontier: Frontier::new(), next_id: 3, epoch: String::new(), versions: [0; KINDS] }
    }
}

impl State {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 + 32 * self.frontier.hashes().len());
        out.extend_from_slice(&self.frontier.size().to_be_bytes());
        out.extend_from_slice(&self.next_id.to_be_bytes());
        out.push(u8::try_from(self.epoch.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(self.epoch.as_bytes());
        out.push(u8::try_from(self.frontier.hashes().len()).unwrap_or(u8::MAX));
        for hash in self.frontier.hashes() {
            out.extend_from_slice(hash);
        }
        for version in self.versions {
            out.extend_from_slice(&version.to_be_bytes());
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = take_u64(bytes)?;
        let (next_id, rest) = take_u64(rest)?;
        let (length, rest) = rest.split_first()?;
        let (epoch, rest) = rest.split_at_checked(usize::from(*length))?;
        let (count, mut rest) = rest.split_first()?;
        let mut hashes: Vec<Hash> = Vec::with_capacity(usize::from(*count));
        for _ in 0..*count {
            let (hash, after) = rest.split_first_chunk()?;
            hashes.push(*hash);
            rest = after;
        }
        let mut versions = [0; KINDS];
        for (position, version) in versions.iter_mut().enumerate() {
            if position >= FIRST_KINDS && rest.is_empty() {
                break;
            }
            (*version, rest) = take_u64(rest)?;
        }
        let frontier = Frontier::from_parts(size, hashes).ok()?;
        let epoch = std::str::from_utf8(epoch).ok()?.to_owned();
        rest.is_empty().then_some(Self { frontier, next_id, epoch, versions })
    }
}

fn take_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (head, rest) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*head), rest))
}
