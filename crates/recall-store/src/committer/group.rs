//! What one commit holds: which events are new, which repeat others, and the index of each (`docs/format.md` section 8, steps 2 and 3).

use recall_log::merkle::Hash;

use super::{Class, CommitError, Outcome, Status};
use crate::batch::{self, Batch, Identity, Packer};
use crate::dedupe::{ByKey, Dedupe, Seen};
use crate::keys::STANDARD_CLASS;

/// What repeats are compared with, beside the events of the same commit.
pub(super) struct Known<'a> {
    pub dedupe: &'a Dedupe,
    pub class: Class,
    /// The leaf hash at an index.
    pub leaf: &'a dyn Fn(u64) -> Result<Hash, CommitError>,
    /// Is the event at this index erased?
    pub erased: &'a dyn Fn(u64) -> bool,
}

/// A batch of new events alone, and the index of the first.
pub(super) struct Placed {
    pub first_index: u64,
    /// The retention class whose key set seals it.
    pub class: &'static str,
    pub batch: Batch,
}

/// A commit while it is put together.
pub(super) struct Group {
    pub placed: Vec<Placed>,
    next: u64,
    own: ByKey<Own>,
}

/// A state of a group.
pub(super) struct Mark {
    next: u64,
    placed: usize,
}

struct Own {
    index: u64,
    tag: u64,
    leaf: Hash,
}

impl Group {
    /// A commit that starts at index `next`.
    pub(super) fn new(next: u64) -> Self {
        Self { placed: Vec::new(), next, own: ByKey::default() }
    }

    /// Where the group stands, to go back to.
    pub(super) fn mark(&self) -> Mark {
        Mark { next: self.next, placed: self.placed.len() }
    }

    /// Puts all that was added since `mark` into another retention class.
    pub(super) fn retain_as(&mut self, mark: &Mark, class: &'static str) {
        self.placed.iter_mut().skip(mark.placed).for_each(|placed| placed.class = class);
    }

    /// Takes out all that was added since `mark`.
    pub(super) fn undo(&mut self, mark: &Mark) {
        self.next = mark.next;
        self.placed.truncate(mark.placed);
        self.own.retain(|_, own| own.index < mark.next);
    }

    /// Adds the batches of one submission. After an error the group is as it was.
    pub(super) fn add(&mut self, batches: Vec<Batch>, known: &Known<'_>) -> Result<Vec<Outcome>, CommitError> {
        let mark = self.mark();
        let mut outcomes = Vec::with_capacity(batches.iter().map(Batch::len).sum());
        for batch in batches {
            self.add_batch(batch, known, &mut outcomes).inspect_err(|_| self.undo(&mark))?;
        }
        Ok(outcomes)
    }

    /// What was placed, small neighbours of one retention class as one batch.
    pub(super) fn merge(placed: Vec<Placed>, packer: &mut Packer) -> Result<Vec<Placed>, CommitError> {
        let mut next = placed.first().map_or(0, |first| first.first_index);
        let mut merged = Vec::with_capacity(placed.len());
        let mut placed = placed.into_iter().peekable();
        while let Some(class) = placed.peek().map(|first| first.class) {
            let of_class = std::iter::from_fn(|| placed.next_if(|placed| placed.class == class)).map(|placed| placed.batch);
            for batch in batch::merge(of_class, packer).map_err(|error| CommitError::Failed(error.to_string()))? {
                let first_index = next;
                next = next.saturating_add(u64::try_from(batch.len()).unwrap_or(u64::MAX));
                merged.push(Placed { first_index, class, batch });
            }
        }
        Ok(merged)
    }

    fn add_batch(&mut self, batch: Batch, known: &Known<'_>, outcomes: &mut Vec<Outcome>) -> Result<(), CommitError> {
        let failed = |what: &dyn ToString| CommitError::Failed(what.to_string());
        let seen = match known.dedupe.check(batch.identities()) {
            // The ids of these records are made here, at random: what can't be looked up is new, and no damage stops them.
            Err(_) if known.class != Class::Ingest => vec![None; batch.len()],
            other => other.map_err(|error| CommitError::Repeats(error.to_string()))?,
        };
        let first_index = self.next;
        let mut keep = Vec::with_capacity(batch.len());
        self.own.reserve(batch.len());
        for ((identity, leaf), seen) in batch.identities().iter().zip(batch.leaf_hashes()).zip(seen) {
            let repeat = self.repeat(identity, seen, known)?;
            keep.push(repeat.is_none());
            outcomes.push(match repeat {
                Some(outcome) => outcome,
                None => self.place(identity, leaf),
            });
        }
        let batch = match keep.iter().all(|keep| *keep) {
            true => batch,
            false => batch.retain(&keep).map_err(|error| failed(&error))?,
        };
        if !batch.is_empty() {
            self.placed.push(Placed { first_index, class: STANDARD_CLASS, batch });
        }
        Ok(())
    }

    fn place(&mut self, identity: &Identity, leaf: &Hash) -> Outcome {
        let index = self.next;
        self.next = index.saturating_add(1);
        self.own.insert(identity.key, Own { index, tag: identity.tag, leaf: *leaf });
        Outcome { index, leaf_hash: *leaf, status: Status::Stored }
    }

    fn repeat(&self, identity: &Identity, seen: Option<Seen>, known: &Known<'_>) -> Result<Option<Outcome>, CommitError> {
        let same = |tag: u64| if tag == identity.tag { Status::Duplicate } else { Status::Conflict };
        if let Some(own) = self.own.get(&identity.key) {
            return Ok(Some(Outcome { index: own.index, leaf_hash: own.leaf, status: same(own.tag) }));
        }
        let Some(seen) = seen else { return Ok(None) };
        // Whatever it says: an answer that told equal content from other would confirm guesses of what was erased.
        let status = if (known.erased)(seen.index) { Status::Erased } else { same(seen.tag) };
        Ok(Some(Outcome { index: seen.index, leaf_hash: (known.leaf)(seen.index)?, status }))
    }
}
