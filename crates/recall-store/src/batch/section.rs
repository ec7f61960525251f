//! A section of a batch: the salts and bytes of one part of each of its events (`docs/format.md` section 4).
//!
//! `count × salt || zstd(count × (length || part))`, sealed under a key and associated data that name the batch. It must not know what a
//! part says.

use recall_log::entry::Salt;
use thiserror::Error;

use crate::columns::SALT_BYTES;
use crate::seal::{self, SealError};
use crate::seams::Random;
use crate::secret::Key32;

/// Level 1: batches live minutes, segments compress again. Higher levels cost more than they save here.
const ZSTD_LEVEL: i32 = 1;
/// No batch is larger than a request body may be, and parts are about as long as what was sent; the rest is margin. Sealed bytes are
/// ours, so this bound only keeps a mistake from taking all memory.
const MAX_PARTS_BYTES: usize = 1 << 30;
/// Sections that grew larger than this leave no memory behind.
const MAX_KEPT_BYTES: usize = 2 << 20;
const SALT: usize = SALT_BYTES as usize;

/// Which of the two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Public,
    Phi,
}

/// The place of a section: which batch, under which key set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub first_index: u64,
    pub count: u32,
    pub key_set: u64,
}

impl Place {
    fn aad(self, side: Side) -> Vec<u8> {
        let mut aad = b"recall/batch/v1".to_vec();
        aad.push(if side == Side::Public { b'p' } else { b'h' });
        aad.extend_from_slice(&self.first_index.to_be_bytes());
        aad.extend_from_slice(&u64::from(self.count).to_be_bytes());
        aad.extend_from_slice(&self.key_set.to_be_bytes());
        aad
    }
}

/// Why a section could not be made or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SectionError {
    /// The seal does not hold.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Compression failed.
    #[error("a part of the batch could not be compressed")]
    Compress,
    /// The seal holds but what it holds is no section.
    #[error("the section's content has the wrong shape")]
    Shape,
}

/// Seals a packed section.
pub(crate) fn seal(key: &Key32, random: &dyn Random, place: Place, side: Side, packed: &[u8]) -> Result<Vec<u8>, SectionError> {
    Ok(seal::seal(key, random, &place.aad(side), packed)?)
}

/// Opens what `seal` made at the same place.
pub(crate) fn open(key: &Key32, place: Place, side: Side, sealed: &[u8]) -> Result<Vec<u8>, SectionError> {
    Ok(seal::open(key, &place.aad(side), sealed)?)
}

/// Salts and parts in the clear.
#[derive(Default)]
pub(crate) struct Section {
    salts: Vec<u8>,
    parts: Vec<u8>,
    /// Where each part ends in `parts`; its length stands in the four bytes before it.
    ends: Vec<usize>,
}

impl Section {
    /// Adds an event's part. `part` is at most 1 MiB, so that its length fits.
    pub(crate) fn push(&mut self, salt: &Salt, part: &[u8]) {
        self.salts.extend_from_slice(salt);
        self.parts.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.parts.extend_from_slice(part);
        self.ends.push(self.parts.len());
    }

    /// Empties it for the next batch. Memory is kept, as far as a usual batch needs it.
    pub(crate) fn clear(&mut self) {
        if self.parts.capacity() > MAX_KEPT_BYTES {
            *self = Self::default();
        }
        self.salts.clear();
        self.parts.clear();
        self.ends.clear();
    }

    /// How many parts.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of all parts.
    pub(crate) fn parts_bytes(&self) -> usize {
        self.parts.len()
    }

    /// The part of one event.
    pub(crate) fn part(&self, row: usize) -> Option<&[u8]> {
        let start = match row.checked_sub(1) {
            None => 0,
            Some(before) => *self.ends.get(before)?,
        };
        self.parts.get(start.checked_add(4)?..*self.ends.get(row)?)
    }

    /// The salt of one event.
    pub(crate) fn salt(&self, row: usize) -> Option<Salt> {
        self.salts.get(row.checked_mul(SALT)?..)?.first_chunk().copied()
    }

    /// Adds all parts of another section.
    pub(crate) fn append(&mut self, other: &Self) {
        let offset = self.parts.len();
        self.salts.extend_from_slice(&other.salts);
        self.parts.extend_from_slice(&other.parts);
        self.ends.extend(other.ends.iter().map(|end| end.saturating_add(offset)));
    }

    /// The section without the parts for which `keep` is false.
    pub(crate) fn retain(&self, keep: &[bool]) -> Self {
        let mut kept = Self::default();
        for (row, _) in keep.iter().enumerate().filter(|(_, keep)| **keep) {
            if let (Some(salt), Some(part)) = (self.salt(row), self.part(row)) {
                kept.push(&salt, part);
            }
        }
        kept
    }

    /// The section as it is sealed.
    pub(crate) fn pack(&self, zstd: &mut zstd::bulk::Compressor<'static>) -> Result<Vec<u8>, SectionError> {
        let mut packed = Vec::with_capacity(self.salts.len() + zstd::zstd_safe::compress_bound(self.parts.len()));
        packed.extend_from_slice(&self.salts);
        // The compressor writes behind the salts, which saves a copy.
        let mut tail = std::io::Cursor::new(packed);
        tail.set_position(self.salts.len() as u64);
        zstd.compress_to_buffer(&self.parts, &mut tail).map_err(|_| SectionError::Compress)?;
        let mut packed = tail.into_inner();
        packed.shrink_to_fit();
        Ok(packed)
    }

    /// Reads a section of `count` events back.
    pub(crate) fn unpack(count: u32, packed: &[u8], zstd: &mut zstd::bulk::Decompressor<'static>) -> Result<Self, SectionError> {
        let count = usize::try_from(count).map_err(|_| SectionError::Shape)?;
        let (salts, frame) = packed.split_at_checked(count.checked_mul(SALT).ok_or(SectionError::Shape)?).ok_or(SectionError::Shape)?;
        // A batch is compressed in one call, which writes the size of its content into the frame.
        let size = zstd::zstd_safe::get_frame_content_size(frame).ok().flatten().and_then(|size| usize::try_from(size).ok());
        let size = size.filter(|size| *size <= MAX_PARTS_BYTES).ok_or(SectionError::Shape)?;
        let parts = zstd.decompress(frame, size).map_err(|_| SectionError::Shape)?;
        let ends = part_ends(&parts, count).ok_or(SectionError::Shape)?;
        Ok(Self { salts: salts.to_vec(), parts, ends })
    }
}

/// Where each of `count` parts ends.
fn part_ends(parts: &[u8], count: usize) -> Option<Vec<usize>> {
    let mut ends = Vec::new();
    let mut end = 0_usize;
    // Empty parts take four bytes and their ends eight, so that the count is what bounds memory.
    while end < parts.len() && ends.len() < count {
        let length = u32::from_be_bytes(*parts.get(end..)?.first_chunk()?);
        end = end.checked_add(4)?.checked_add(usize::try_from(length).ok()?)?;
        ends.push(end);
    }
    (end == parts.len() && ends.len() == count).then_some(ends)
}

/// A compressor for sections. Making one costs more than compressing a small batch, so it is kept.
pub(crate) fn compressor() -> Result<zstd::bulk::Compressor<'static>, SectionError> {
    zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(|_| SectionError::Compress)
}

/// A decompressor for sections.
pub(crate) fn decompressor() -> Result<zstd::bulk::Decompressor<'static>, SectionError> {
    zstd::bulk::Decompressor::new().map_err(|_| SectionError::Shape)
}
