//! Turning events into a batch, outside the committer and in parallel (`docs/format.md` sections 1, 4, 5 and 8, step 1).
//!
//! All that is dear happens here: canonical bytes, salts, commitments, tokens, columns, compression. What is left for the committer is to
//! give indexes and to seal. It must not know indexes, repeats or the disk.

mod builders;
mod merge;
mod section;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use arrow::error::ArrowError;
use recall_log::entry::{Admission, Entry, Facets, Parts, Salt, commit};
use recall_log::event::{Event, EventError};
use recall_log::merkle::{Hash, leaf_hash};
use recall_log::time::Timestamp;
use thiserror::Error;

pub(crate) use builders::{BATCH_COLUMNS, Builders};
pub(crate) use merge::{Packer, merge};
pub use section::SectionError;
pub(crate) use section::{Packed, Place, Section, Side, decompressor, open};

use crate::columns::Column;
use crate::keys::{Keys, PhiAccess, PhiKey, PublicKey, SetGone, TrailKey};
use crate::postings::Posting;
use crate::seal::{Checksum, Mac, derive};
use crate::seams::Random;
use crate::token::{Token, TokenCache, TokenKind, Tokens};

/// Why a batch could not be made or sealed.
#[derive(Debug, Error)]
pub enum BatchError {
    /// The event's canonical bytes break a limit.
    #[error(transparent)]
    Event(#[from] EventError),
    /// A section could not be made.
    #[error(transparent)]
    Section(#[from] SectionError),
    /// Columns too large for one batch.
    #[error("the columns of the batch could not be made: {0}; send fewer events at once")]
    Columns(#[from] ArrowError),
    /// The key set was dropped meanwhile.
    #[error(transparent)]
    SetGone(#[from] SetGone),
}

/// What tells a repeat from a new event, and equal content from other (`docs/format.md` section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Stands for source and id.
    pub key: u128,
    /// Stands for all that the sender said.
    pub tag: u64,
}

/// What the register of sources learns from one event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Note<'a> {
    /// The source.
    pub source: &'a str,
    /// The sender's count.
    pub seq: Option<u64>,
    /// When it happened.
    pub time: Timestamp,
    /// When the server took it.
    pub received_at: Timestamp,
}

/// Makes batches. Cloning it is cheap; each thread may use its own.
#[derive(Clone)]
pub struct Encoder(Arc<Shared>);

struct Shared {
    tokens: Tokens,
    identity: Mac,
    content: Checksum,
    random: Arc<dyn Random>,
    spare: Mutex<Vec<Scratch>>,
}

/// What one thread uses again for the next batch.
struct Scratch {
    tokens: TokenCache,
    zstd: zstd::bulk::Compressor<'static>,
    salts: Vec<u8>,
    parts: Parts,
    public: Section,
    phi: Section,
}

/// A batch of at most so many events and bytes is small: the committer stores it together with its neighbours.
const LOOSE_EVENTS: usize = 256;
const LOOSE_BYTES: usize = 64 << 10;
/// So many tokens are faster compared with each other than sorted.
const FEW_PATIENTS: usize = 8;
/// Scratches kept for later; more threads than this at once make their own.
const MAX_SPARE: usize = 16;
/// Parts of an event that was larger than this leave no memory behind.
const MAX_KEPT_BYTES: usize = 64 << 10;
/// Random bytes are drawn for this many events at once.
const SALTS_AT_ONCE: usize = 64;

impl Encoder {
    /// Takes the trail's token and dedupe keys.
    pub fn new(keys: &Keys, random: Arc<dyn Random>) -> Self {
        let dedupe = keys.trail(TrailKey::Dedupe);
        Self(Arc::new(Shared {
            tokens: Tokens::new(keys),
            identity: Mac::new(&dedupe),
            content: Checksum::new(&derive(&dedupe, "content", &[])),
            random,
            spare: Mutex::new(Vec::new()),
        }))
    }

    /// The maker of this trail's tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.0.tokens
    }

    /// Starts a batch.
    pub fn batch(&self) -> Result<BatchBuilder, BatchError> {
        let spare = self.0.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let scratch = match spare {
            Some(scratch) => scratch,
            None => Scratch {
                tokens: TokenCache::default(),
                zstd: section::compressor()?,
                salts: Vec::new(),
                parts: Parts::default(),
                public: Section::default(),
                phi: Section::default(),
            },
        };
        Ok(BatchBuilder { encoder: self.clone(), scratch, builders: Builders::new(), facts: Facts::default() })
    }

    /// The identity of an event from its source, id and stored parts. `received_at` is the span of that member in `public`.
    pub(crate) fn identity(&self, source: &str, id: &str, public: &[u8], received_at: std::ops::Range<usize>, phi: &[u8]) -> Identity {
        let key = self.0.identity.sign(&[&[1], source.as_bytes(), &[0], id.as_bytes()]);
        let before = public.get(..received_at.start).unwrap_or(public);
        let after = public.get(received_at.end..).unwrap_or_default();
        let name = key.first_chunk().copied().unwrap_or_default();
        let tag = self.0.content.of(name, &[before, after, &[0], phi].concat());
        Identity { key: key.first_chunk().copied().map_or(0, u128::from_be_bytes), tag }
    }

    fn keep(&self, mut scratch: Scratch) {
        scratch.public.clear();
        scratch.phi.clear();
        if scratch.parts.public.capacity() + scratch.parts.phi.capacity() > MAX_KEPT_BYTES {
            scratch.parts = Parts::default();
        }
        let mut spare = self.0.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MAX_SPARE {
            spare.push(scratch);
        }
    }
}

/// What is known of each event of a batch, beside its columns and content.
#[derive(Default)]
pub(crate) struct Facts {
    pub entries: Vec<Entry>,
    pub leaves: Vec<Hash>,
    pub identities: Vec<Identity>,
    pub seqs: Vec<Option<u64>>,
    /// In the order of rows while the batch grows, sorted afterwards.
    pub postings: Vec<Posting>,
}

impl Facts {
    /// Adds the distinct tokens of one event: two identifiers may share one, and a posting is a member of a set.
    pub(crate) fn push_postings(&mut self, row: u32, facets: &Facets<'_>, mut token: impl FnMut(TokenKind, &str) -> Token) {
        let (actor, session) =
            if facets.actor_hidden { (TokenKind::HiddenActor, TokenKind::HiddenSession) } else { (TokenKind::Actor, TokenKind::Session) };
        if facets.patients.len() <= FEW_PATIENTS {
            let from = self.postings.len();
            let patients = facets.patients.iter().map(|patient| (TokenKind::Patient, patient));
            let actor = facets.actor_token.iter().map(|value| (actor, value));
            let session = facets.session.iter().map(|value| (session, value));
            for (kind, value) in patients.chain(actor).chain(session) {
                let posting = (token(kind, value).sorted(), row);
                if !self.postings.get(from..).is_some_and(|added| added.contains(&posting)) {
                    self.postings.push(posting);
                }
            }
            return;
        }
        let mut tokens: Vec<i64> = facets.patients.iter().map(|patient| token(TokenKind::Patient, patient).sorted()).collect();
        tokens.extend(facets.actor_token.iter().map(|value| token(actor, value).sorted()));
        tokens.extend(facets.session.iter().map(|value| token(session, value).sorted()));
        tokens.sort_unstable();
        tokens.dedup();
        self.postings.extend(tokens.into_iter().map(|token| (token, row)));
    }
}

/// A batch while it grows.
pub struct BatchBuilder {
    encoder: Encoder,
    scratch: Scratch,
    builders: Builders,
    facts: Facts,
}

impl BatchBuilder {
    /// Adds an event, or refuses it and stays as it was.
    pub fn push(&mut self, event: &Event<'_>, admission: &Admission<'_>) -> Result<(), BatchError> {
        self.scratch.parts.rewrite(event, admission)?;
        let facets = Facets::of(event, admission);
        let row = u32::try_from(self.len()).unwrap_or(u32::MAX);
        let (salt_public, salt_phi) = self.salts();
        let Scratch { parts, public, phi, tokens: cache, .. } = &mut self.scratch;
        let entry = commit(&parts.public, &parts.phi, &salt_public, &salt_phi);
        self.facts.entries.push(entry);
        self.facts.leaves.push(leaf_hash(&entry));
        let received_at = parts.received_at_span.clone();
        self.facts.identities.push(self.encoder.identity(admission.source, admission.id, &parts.public, received_at, &parts.phi));
        self.facts.seqs.push(facets.seq);
        let tokens = &self.encoder.0.tokens;
        self.facts.push_postings(row, &facets, |kind, value| cache.token(tokens, kind, value));
        self.builders.push(&facets);
        public.push(&salt_public, &parts.public);
        phi.push(&salt_phi, &parts.phi);
        Ok(())
    }

    fn salts(&mut self) -> (Salt, Salt) {
        const BOTH: usize = 32;
        if self.scratch.salts.len() < BOTH {
            self.scratch.salts.resize(SALTS_AT_ONCE * BOTH, 0);
            self.encoder.0.random.fill(&mut self.scratch.salts);
        }
        let at = self.scratch.salts.len().saturating_sub(BOTH);
        let mut salts = ([0; 16], [0; 16]);
        if let Some((public, phi)) = self.scratch.salts.get(at..).and_then(|both| both.split_at_checked(16)) {
            salts.0.copy_from_slice(public);
            salts.1.copy_from_slice(phi);
        }
        self.scratch.salts.truncate(at);
        salts
    }

    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.scratch.public.len()
    }

    /// Does it hold none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of content it holds, uncompressed.
    pub fn size_bytes(&self) -> usize {
        self.scratch.public.parts_bytes() + self.scratch.phi.parts_bytes()
    }

    /// The batch, ready to be committed: compressed, unless it is small.
    pub fn finish(mut self) -> Result<Batch, BatchError> {
        let size_bytes = self.size_bytes();
        let small = self.facts.entries.len() <= LOOSE_EVENTS && size_bytes <= LOOSE_BYTES;
        let Scratch { public, phi, zstd, .. } = &mut self.scratch;
        let content = if small {
            Content::Loose { public: std::mem::take(public), phi: std::mem::take(phi) }
        } else {
            Content::Packed { public: public.pack(zstd)?, phi: phi.pack(zstd)? }
        };
        let columns = self.builders.finish()?;
        self.facts.postings.sort_unstable();
        self.encoder.keep(self.scratch);
        Ok(Batch { facts: self.facts, columns, content, size_bytes })
    }
}

/// Reads a section of `count` events as it lies beneath its seal, and says how long its parts are together. For the fuzzer.
#[doc(hidden)]
pub fn read_section(count: u32, packed: &[u8]) -> Result<usize, SectionError> {
    let section = Section::unpack(count, packed.to_vec(), &mut decompressor()?)?;
    let lengths = (0..section.len()).map(|row| section.salt(row).and(section.part(row)).map(<[u8]>::len));
    lengths.sum::<Option<usize>>().ok_or(SectionError::Shape)
}

/// Both sections of a batch.
enum Content {
    /// Of a small one: it is compressed with those that it is stored together with.
    Loose { public: Section, phi: Section },
    /// Compressed.
    Packed { public: Vec<u8>, phi: Vec<u8> },
}

impl Content {
    fn packed(self, zstd: &mut zstd::bulk::Compressor<'static>) -> Result<Self, SectionError> {
        Ok(match self {
            Self::Loose { public, phi } => Self::Packed { public: public.pack(zstd)?, phi: phi.pack(zstd)? },
            packed @ Self::Packed { .. } => packed,
        })
    }
}

/// Events ready to be committed: all is decided but their indexes.
pub struct Batch {
    facts: Facts,
    columns: RecordBatch,
    content: Content,
    size_bytes: usize,
}

/// The two sealed sections of a batch, as the catalog and memory keep them.
#[derive(Clone)]
pub struct Sealed {
    /// The public section.
    pub public: Arc<[u8]>,
    /// The PHI section.
    pub phi: Arc<[u8]>,
}

impl Batch {
    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.facts.entries.len()
    }

    /// Does it hold none?
    pub fn is_empty(&self) -> bool {
        self.facts.entries.is_empty()
    }

    /// Bytes of content before compression: what the queue of the committer is bounded by.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// The entries of the tree, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.facts.entries
    }

    /// Their leaf hashes, in order.
    pub fn leaf_hashes(&self) -> &[Hash] {
        &self.facts.leaves
    }

    /// What tells repeats, in order.
    pub fn identities(&self) -> &[Identity] {
        &self.facts.identities
    }

    /// What the register of sources learns, in order.
    pub fn notes(&self) -> impl Iterator<Item = Note<'_>> {
        notes(self.columns.columns(), &self.facts.seqs)
    }

    /// The same batch without the events for which `keep` is false. Repeats leave this way; it costs a second compression where the batch
    /// is not small.
    pub fn retain(self, keep: &[bool]) -> Result<Self, BatchError> {
        let (content, size_bytes) = match self.content {
            Content::Loose { public, phi } => {
                let (public, phi) = (public.retain(keep), phi.retain(keep));
                let size_bytes = public.parts_bytes() + phi.parts_bytes();
                (Content::Loose { public, phi }, size_bytes)
            }
            Content::Packed { public, phi } => {
                let count = u32::try_from(keep.len()).map_err(|_| SectionError::Shape)?;
                let mut reader = decompressor()?;
                let mut unpack = |packed: Vec<u8>| Ok::<_, SectionError>(Section::unpack(count, packed, &mut reader)?.retain(keep));
                let (public, phi) = (unpack(public)?, unpack(phi)?);
                let size_bytes = public.parts_bytes() + phi.parts_bytes();
                (Content::Loose { public, phi }.packed(&mut section::compressor()?)?, size_bytes)
            }
        };
        let columns = filter_record_batch(&self.columns, &BooleanArray::from(keep.to_vec()))?;
        Ok(Self { facts: self.facts.retain(keep), columns, content, size_bytes })
    }

    /// Seals both sections for the place that the committer gives the batch.
    pub fn seal(&self, first_index: u64, key_set: u64, keys: &Keys, phi: &PhiAccess, random: &dyn Random) -> Result<Sealed, BatchError> {
        let place = Place { first_index, count: u32::try_from(self.len()).map_err(|_| SectionError::Shape)?, key_set };
        let public_key = keys.public(key_set, PublicKey::Batch(first_index))?;
        let phi_key = phi.key(key_set, PhiKey::Batch(first_index))?;
        let both = |public: &[u8], phi: &[u8]| {
            Ok(Sealed {
                public: section::seal(&public_key, random, place, Side::Public, public)?.into(),
                phi: section::seal(&phi_key, random, place, Side::Phi, phi)?.into(),
            })
        };
        match &self.content {
            Content::Packed { public, phi } => both(public, phi),
            // The committer packs before it seals.
            Content::Loose { public, phi } => {
                let mut zstd = section::compressor()?;
                both(&public.pack(&mut zstd)?, &phi.pack(&mut zstd)?)
            }
        }
    }

    /// What `Fresh` keeps of it.
    pub(crate) fn into_kept(self) -> (RecordBatch, Vec<Posting>, Vec<Identity>) {
        (self.columns, self.facts.postings, self.facts.identities)
    }
}

impl Facts {
    fn retain(self, keep: &[bool]) -> Self {
        fn pick<T>(all: Vec<T>, keep: &[bool]) -> Vec<T> {
            all.into_iter().zip(keep).filter(|(_, keep)| **keep).map(|(one, _)| one).collect()
        }
        let mut next = 0_u32;
        let new_rows: Vec<Option<u32>> = keep
            .iter()
            .map(|keep| {
                let row = next;
                next = next.saturating_add(u32::from(*keep));
                keep.then_some(row)
            })
            .collect();
        let moved = |(token, row): Posting| Some((token, (*new_rows.get(usize::try_from(row).ok()?)?)?));
        Self {
            postings: self.postings.into_iter().filter_map(moved).collect(),
            entries: pick(self.entries, keep),
            leaves: pick(self.leaves, keep),
            identities: pick(self.identities, keep),
            seqs: pick(self.seqs, keep),
        }
    }
}

/// Reads notes out of a batch's columns, whose text is still plain.
pub(crate) fn notes<'a>(columns: &'a [ArrayRef], seqs: &'a [Option<u64>]) -> impl Iterator<Item = Note<'a>> {
    let held = |wanted: Column| BATCH_COLUMNS.iter().position(|column| *column == wanted).and_then(|at| columns.get(at));
    let times = |wanted| held(wanted).and_then(|column| column.as_primitive_opt::<Int64Type>());
    let micros =
        |wanted| times(wanted).map(|column| column.values().as_ref()).unwrap_or_default().iter().map(|time| Timestamp::from_micros(*time));
    let sources = held(Column::Source).and_then(|column| column.as_string_opt::<i32>()).into_iter().flatten();
    let each = micros(Column::Time).zip(micros(Column::ReceivedAt)).zip(sources).zip(seqs);
    each.map(|(((time, received_at), source), seq)| Note { source: source.unwrap_or_default(), seq: *seq, time, received_at })
}
