//! A section of a batch: the salts and bytes of one part of each of its events (`docs/format.md` section 4).
//!
//! `count × salt || frames × length || frames × zstd(events × (length || part))`, sealed under a key and associated data that name the
//! batch. A frame holds 32 events, the last one what is left, so that one event is read without decompressing the others. It must not know
//! what a part says.

use recall_log::entry::Salt;
use thiserror::Error;

use crate::columns::SALT_BYTES;
use crate::seal::{self, SealError};
use crate::seams::Random;
use crate::secret::Key32;

/// Level 1: batches live minutes, segments compress again. Higher levels cost more than they save here.
const ZSTD_LEVEL: i32 = 1;
/// Events of a frame: fewer compress worse, more make reading one of them dearer.
const FRAME_EVENTS: usize = 32;
/// A part is at most 1 MiB; the rest is margin. Sealed bytes are ours, so this bound only keeps a mistake from taking all memory.
const MAX_FRAME_BYTES: usize = 256 << 20;
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
        let frames = self.frames();
        let heads_bytes = self.salts.len() + frames.len() * 4;
        let bound = frames.iter().map(|frame| zstd::zstd_safe::compress_bound(frame.len())).sum::<usize>();
        let mut packed = Vec::with_capacity(heads_bytes + bound);
        packed.extend_from_slice(&self.salts);
        packed.resize(heads_bytes, 0);
        // The compressor writes behind what is there, which saves a copy.
        let mut out = std::io::Cursor::new(packed);
        let mut end = heads_bytes;
        for (at, frame) in frames.iter().enumerate() {
            out.set_position(end as u64);
            let length = zstd.compress_to_buffer(frame, &mut out).map_err(|_| SectionError::Compress)?;
            end += length;
            let head = self.salts.len() + at * 4;
            let length = u32::try_from(length).map_err(|_| SectionError::Compress)?;
            out.get_mut().get_mut(head..head + 4).ok_or(SectionError::Compress)?.copy_from_slice(&length.to_be_bytes());
        }
        let mut packed = out.into_inner();
        packed.shrink_to_fit();
        Ok(packed)
    }

    /// The parts, cut into frames.
    fn frames(&self) -> Vec<&[u8]> {
        let mut start = 0;
        let cut = self.ends.chunks(FRAME_EVENTS).filter_map(|ends| {
            let end = *ends.last()?;
            self.parts.get(std::mem::replace(&mut start, end)..end)
        });
        cut.collect()
    }

    /// Reads a whole section of `count` events back.
    pub(crate) fn unpack(count: u32, packed: Vec<u8>, zstd: &mut zstd::bulk::Decompressor<'static>) -> Result<Self, SectionError> {
        let packed = Packed::new(count, packed)?;
        let mut whole = Self::default();
        for frame in 0..packed.frames() {
            whole.append(&packed.frame(frame, zstd)?);
        }
        Ok(whole)
    }
}

/// A section as it lies beneath its seal, of which frames can be read.
pub(crate) struct Packed {
    count: usize,
    bytes: Vec<u8>,
    /// Where each frame ends in `bytes`.
    ends: Vec<usize>,
    /// Where the first one begins.
    start: usize,
}

impl Packed {
    /// Checks that salts and frames of `count` events are all that `bytes` holds.
    pub(crate) fn new(count: u32, bytes: Vec<u8>) -> Result<Self, SectionError> {
        let count = usize::try_from(count).map_err(|_| SectionError::Shape)?;
        let salts_bytes = count.checked_mul(SALT).ok_or(SectionError::Shape)?;
        let start = count.div_ceil(FRAME_EVENTS).checked_mul(4).and_then(|heads| heads.checked_add(salts_bytes));
        let start = start.ok_or(SectionError::Shape)?;
        let (heads, _) = bytes.get(salts_bytes..start).ok_or(SectionError::Shape)?.as_chunks::<4>();
        let mut end = start;
        let mut ends = Vec::with_capacity(heads.len());
        for head in heads {
            let length = usize::try_from(u32::from_be_bytes(*head)).map_err(|_| SectionError::Shape)?;
            end = end.checked_add(length).ok_or(SectionError::Shape)?;
            ends.push(end);
        }
        if end != bytes.len() {
            return Err(SectionError::Shape);
        }
        Ok(Self { count, bytes, ends, start })
    }

    /// How many frames.
    pub(crate) fn frames(&self) -> usize {
        self.ends.len()
    }

    /// The frame that holds an event, and the event's place in it.
    pub(crate) fn find(row: u32) -> (usize, usize) {
        let row = usize::try_from(row).unwrap_or(usize::MAX);
        (row / FRAME_EVENTS, row % FRAME_EVENTS)
    }

    /// Salts and parts of one frame.
    pub(crate) fn frame(&self, frame: usize, zstd: &mut zstd::bulk::Decompressor<'static>) -> Result<Section, SectionError> {
        self.read(frame, zstd).ok_or(SectionError::Shape)
    }

    fn read(&self, frame: usize, zstd: &mut zstd::bulk::Decompressor<'static>) -> Option<Section> {
        let start = match frame.checked_sub(1) {
            None => self.start,
            Some(before) => *self.ends.get(before)?,
        };
        let compressed = self.bytes.get(start..*self.ends.get(frame)?)?;
        let first_row = frame.checked_mul(FRAME_EVENTS)?;
        let count = self.count.checked_sub(first_row)?.min(FRAME_EVENTS);
        let salts = self.bytes.get(first_row.checked_mul(SALT)?..)?.get(..count.checked_mul(SALT)?)?;
        // A frame is compressed in one call, which writes the size of its content into it.
        let size = zstd::zstd_safe::get_frame_content_size(compressed).ok().flatten().and_then(|size| usize::try_from(size).ok());
        let parts = zstd.decompress(compressed, size.filter(|size| *size <= MAX_FRAME_BYTES)?).ok()?;
        let ends = part_ends(&parts, count)?;
        Some(Section { salts: salts.to_vec(), parts, ends })
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
