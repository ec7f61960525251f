//! Reading a batch back from the catalog: everything beside its content is derived again, the commitments too.

use std::sync::Arc;

use recall_log::entry::{Entry, Facets, PartError, commit, received_at_span};
use recall_log::merkle::{Hash, leaf_hash};

use super::{Fresh, Position};
use crate::batch::{Builders, Encoder, Facts, Place, Sealed, Section, SectionError, Side, decompressor, open};
use crate::keys::{Keys, PhiAccess, PhiKey, PublicKey};
use crate::snapshot::ReadError;

/// A batch as the catalog keeps it.
#[derive(Clone)]
pub struct StoredBatch {
    /// The index of its first event.
    pub first_index: u64,
    /// How many events.
    pub count: u32,
    /// The key set that it is sealed under.
    pub key_set: u64,
    /// Its sealed sections.
    pub sealed: Sealed,
}

/// A batch that was read back.
pub struct Loaded {
    /// The batch in memory.
    pub fresh: Fresh,
    /// Its entries, computed from the stored bytes and salts.
    pub entries: Vec<Entry>,
    /// Their leaf hashes.
    pub leaf_hashes: Vec<Hash>,
    /// The senders' counts, for the register of sources.
    pub seqs: Vec<Option<u64>>,
}

impl StoredBatch {
    fn name(&self) -> String {
        format!("the batch at index {} in the catalog", self.first_index)
    }

    /// Opens both sections.
    pub(crate) fn open(&self, keys: &Keys, phi: &PhiAccess) -> Result<(Section, Section), ReadError> {
        let place = Place { first_index: self.first_index, count: self.count, key_set: self.key_set };
        let public = keys.public(self.key_set, PublicKey::Batch(self.first_index))?;
        let phi = phi.key(self.key_set, PhiKey::Batch(self.first_index))?;
        let read = |key, side, sealed| -> Result<Section, SectionError> {
            Section::unpack(place.count, open(key, place, side, sealed)?, &mut decompressor()?)
        };
        let damaged = |error: SectionError| ReadError::damaged(self.name(), error);
        Ok((read(&public, Side::Public, &self.sealed.public).map_err(damaged)?, read(&phi, Side::Phi, &self.sealed.phi).map_err(damaged)?))
    }
}

impl Fresh {
    /// Reads a batch back, deriving columns, postings, identities and entries from its content.
    pub fn load(stored: StoredBatch, encoder: &Encoder, keys: &Arc<Keys>, phi: &PhiAccess) -> Result<Loaded, ReadError> {
        let (public, content) = stored.open(keys, phi)?;
        let damaged = |row: u32, what: &dyn ToString| {
            ReadError::damaged(format!("event {}", stored.first_index.saturating_add(row.into())), what.to_string())
        };
        let mut builders = Builders::new();
        let mut facts = Facts::default();
        for row in 0..stored.count {
            let at = usize::try_from(row).unwrap_or(usize::MAX);
            let shape = || damaged(row, &SectionError::Shape);
            let (bytes, phi_bytes) = (public.part(at).ok_or_else(shape)?, content.part(at).ok_or_else(shape)?);
            let (salt, phi_salt) = (public.salt(at).ok_or_else(shape)?, content.salt(at).ok_or_else(shape)?);
            let part = |error: PartError| damaged(row, &error);
            let facets = Facets::read(bytes, Some(phi_bytes)).map_err(part)?;
            let span = received_at_span(bytes).map_err(part)?;
            let entry = commit(bytes, phi_bytes, &salt, &phi_salt);
            facts.entries.push(entry);
            facts.leaves.push(leaf_hash(&entry));
            facts.identities.push(encoder.identity(&facets.source, &facets.id, bytes, span, phi_bytes));
            facts.seqs.push(facets.seq);
            facts.push_postings(row, &facets, |kind, value| encoder.tokens().token(kind, value));
            builders.push(&facets);
        }
        facts.postings.sort_unstable();
        let columns = builders.finish()?;
        let content_bytes = public.parts_bytes().saturating_add(content.parts_bytes());
        let at = Position { first_index: stored.first_index, key_set: stored.key_set, keys: Arc::clone(keys), content_bytes };
        Ok(Loaded {
            fresh: Self::from_columns(columns, facts.postings, facts.identities, stored.sealed, at),
            entries: facts.entries,
            leaf_hashes: facts.leaves,
            seqs: facts.seqs,
        })
    }
}
