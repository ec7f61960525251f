//! Rows and heads: small sealed sets in which a change, a loss, an addition or an older self shows (`docs/format.md` section 4).
//!
//! It must not know SQL, nor what the rows say.

use crate::seal::{self, Mac, SealError};
use crate::seams::Random;
use crate::secret::Key32;

/// How many kinds there are.
pub(super) const KINDS: usize = 10;

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Size, frontier, epoch, next id.
    State = 1,
    /// The last signed checkpoint.
    Checkpoint = 2,
    /// A segment.
    Segment = 3,
    /// A dedupe run.
    Run = 4,
    /// Somebody's token.
    Token = 5,
    /// What is known of a source.
    Source = 6,
    /// An idempotency key and its answer.
    Idempotency = 7,
    /// An erasure.
    Erasure = 8,
    /// A setting.
    Setting = 9,
    /// Somebody who may sign in at a gateway.
    User = 10,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; KINDS] = [
        Self::State,
        Self::Checkpoint,
        Self::Segment,
        Self::Run,
        Self::Token,
        Self::Source,
        Self::Idempotency,
        Self::Erasure,
        Self::Setting,
        Self::User,
    ];

    /// Does something else stand on its rows, so that without one of them the trail can't go on? The runs of seen ids are made again out
    /// of the events; of the other kinds a row can be lost and all else stays true.
    pub(super) fn is_built_on(self) -> bool {
        matches!(self, Self::State | Self::Checkpoint | Self::Segment | Self::Erasure)
    }

    /// Its word in findings.
    pub fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Checkpoint => "checkpoint",
            Self::Segment => "segment",
            Self::Run => "dedupe run",
            Self::Token => "token",
            Self::Source => "source",
            Self::Idempotency => "idempotency key",
            Self::Erasure => "erasure",
            Self::Setting => "setting",
            Self::User => "user",
        }
    }

    pub(super) fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| i64::from(kind.number()) == number)
    }

    pub(super) fn number(self) -> u8 {
        self as u8
    }

    pub(super) fn position(self) -> usize {
        usize::from(self.number()) - 1
    }
}

/// A row put or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChange {
    /// Which set.
    pub kind: Kind,
    /// Which member of it; at most 512 bytes.
    pub name: String,
    /// What it says from now on; `None` removes it.
    pub value: Option<Vec<u8>>,
}

impl RowChange {
    /// Puts a row, replacing the one of that name.
    pub fn put(kind: Kind, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self { kind, name: name.into(), value: Some(value.into()) }
    }

    /// Removes a row; that there is none is no error.
    pub fn remove(kind: Kind, name: impl Into<String>) -> Self {
        Self { kind, name: name.into(), value: None }
    }
}

/// The hidden name of a row.
pub(super) type RowKey = [u8; 16];

/// What a kind's rows add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub count: u64,
    /// Grows with each change of a row.
    pub version: u64,
    pub xor: [u8; 32],
}

/// A row opened.
pub(super) struct Opened {
    pub version: u64,
    pub name: String,
    pub value: Vec<u8>,
}

/// Seals and opens rows and heads under the trail's catalog key.
pub(super) struct Sealer {
    key: Key32,
    mac: Mac,
}

impl Sealer {
    pub(super) fn new(key: Key32) -> Self {
        Self { mac: Mac::new(&key), key }
    }

    pub(super) fn row_key(&self, kind: Kind, name: &str) -> RowKey {
        self.mac.sign(&[&[kind.number()], name.as_bytes()]).first_chunk().copied().unwrap_or_default()
    }

    fn row_aad(kind: Kind, key: &RowKey) -> Vec<u8> {
        [b"recall/row/v1".as_slice(), &[kind.number()], key].concat()
    }

    fn head_aad(kind: Kind) -> Vec<u8> {
        [b"recall/head/v1".as_slice(), &[kind.number()]].concat()
    }

    pub(super) fn seal_row(
        &self,
        random: &dyn Random,
        kind: Kind,
        key: &RowKey,
        version: u64,
        name: &str,
        value: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let length = u16::try_from(name.len()).map_err(|_| SealError::Long)?;
        let plain = [version.to_be_bytes().as_slice(), &length.to_be_bytes(), name.as_bytes(), value].concat();
        seal::seal_often(&self.key, random, &Self::row_aad(kind, key), &plain)
    }

    pub(super) fn open_row(&self, kind: Kind, key: &RowKey, sealed: &[u8]) -> Option<Opened> {
        let plain = seal::open_often(&self.key, &Self::row_aad(kind, key), sealed).ok()?;
        let (version, rest) = plain.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (name, value) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let name = std::str::from_utf8(name).ok()?.to_owned();
        Some(Opened { version: u64::from_be_bytes(*version), name, value: value.to_vec() })
    }

    pub(super) fn seal_head(&self, random: &dyn Random, kind: Kind, head: &Head) -> Result<Vec<u8>, SealError> {
        let plain = [head.count.to_be_bytes().as_slice(), &head.version.to_be_bytes(), &head.xor].concat();
        seal::seal_often(&self.key, random, &Self::head_aad(kind), &plain)
    }

    pub(super) fn open_head(&self, kind: Kind, sealed: &[u8]) -> Option<Head> {
        let plain = seal::open_often(&self.key, &Self::head_aad(kind), sealed).ok()?;
        let (count, rest) = plain.split_first_chunk()?;
        let (version, xor) = rest.split_first_chunk()?;
        Some(Head { count: u64::from_be_bytes(*count), version: u64::from_be_bytes(*version), xor: xor.try_into().ok()? })
    }

    /// Adds a row to the sum of a head, or takes it out again: the same act.
    pub(super) fn toggle(&self, head: &mut Head, kind: Kind, key: &RowKey, version: u64) {
        let mac = self.mac.sign(&[&[kind.number()], key, &version.to_be_bytes()]);
        for (sum, byte) in head.xor.iter_mut().zip(mac) {
            *sum ^= byte;
        }
    }
}
