//! The little of Parquet's own structures that reading a single page takes: Thrift's compact protocol, the header of a data page, and
//! lengths packed as deltas.
//!
//! It reads bytes that were authenticated, and still trusts no length in them. It must not know files or keys.

/// Bytes that make no sense as what they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

type Result<T> = std::result::Result<T, Malformed>;

/// Structures within one another that are followed; Parquet's are three deep.
const MAX_DEPTH: usize = 8;
/// Miniblocks of a block; Parquet's writers use 4.
const MAX_MINIBLOCKS: usize = 64;

/// Reads on through bytes.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

/// A field of a Thrift structure: its id and its type.
#[derive(Clone, Copy)]
struct Field {
    id: i16,
    kind: u8,
}

const STOP: u8 = 0;
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const INTEGERS: [u8; 3] = [4, 5, 6];
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LISTS: [u8; 2] = [9, 10];
const STRUCT: u8 = 12;

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.rest.split_first().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*first)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn size(&mut self) -> Result<usize> {
        usize::try_from(self.varint()?).map_err(|_| Malformed)
    }

    fn zigzag(&mut self) -> Result<i64> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// Calls `visit` with each field of a structure. A field that it does not read, it says so, and it is skipped.
    fn structure(&mut self, depth: usize, mut visit: impl FnMut(&mut Self, Field) -> Result<bool>) -> Result<()> {
        let depth = depth.checked_sub(1).ok_or(Malformed)?;
        let mut id = 0_i16;
        loop {
            let head = self.byte()?;
            let kind = head & 0x0f;
            if kind == STOP {
                return Ok(());
            }
            id = match i16::from(head >> 4) {
                0 => i16::try_from(self.zigzag()?).map_err(|_| Malformed)?,
                step => id.checked_add(step).ok_or(Malformed)?,
            };
            if !visit(self, Field { id, kind })? {
                self.skip(kind, depth)?;
            }
        }
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Result<()> {
        match kind {
            TRUE | FALSE => {}
            BYTE => drop(self.byte()?),
            DOUBLE => drop(self.take(8)?),
            BINARY => {
                let length = self.size()?;
                self.take(length)?;
            }
            STRUCT => self.structure(depth, |_, _| Ok(false))?,
            kind if INTEGERS.contains(&kind) => drop(self.varint()?),
            kind if LISTS.contains(&kind) => {
                let depth = depth.checked_sub(1).ok_or(Malformed)?;
                let head = self.byte()?;
                let length = if head >> 4 == 15 { self.size()? } else { usize::from(head >> 4) };
                for _ in 0..length {
                    match head & 0x0f {
                        // Booleans in a list are bytes.
                        TRUE | FALSE => drop(self.byte()?),
                        kind => self.skip(kind, depth)?,
                    }
                }
            }
            _ => return Err(Malformed),
        }
        Ok(())
    }
}

/// The random part of a file's identity, from the structure in front of its encrypted footer; pages are sealed with it.
pub(super) fn file_unique(crypto_metadata: &[u8]) -> Result<Vec<u8>> {
    let mut unique = None;
    Cursor::new(crypto_metadata).structure(MAX_DEPTH, |cursor, field| {
        // encryption_algorithm: a union, of which AES_GCM_V1 is the first.
        if (field.id, field.kind) != (1, STRUCT) {
            return Ok(false);
        }
        cursor.structure(MAX_DEPTH, |cursor, field| {
            if (field.id, field.kind) != (1, STRUCT) {
                return Ok(false);
            }
            cursor.structure(MAX_DEPTH, |cursor, field| {
                if (field.id, field.kind) != (2, BINARY) {
                    return Ok(false);
                }
                let length = cursor.size()?;
                unique = Some(cursor.take(length)?.to_vec());
                Ok(true)
            })?;
            Ok(true)
        })?;
        Ok(true)
    })?;
    unique.ok_or(Malformed)
}

/// The header of a data page of version 2, of a column that is never null and in no list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageHeader {
    pub(super) uncompressed_bytes: usize,
    pub(super) values: usize,
    pub(super) encoding: u64,
    pub(super) compressed: bool,
}

/// Parquet's numbers of encodings.
pub(super) const PLAIN: u64 = 0;
pub(super) const DELTA_LENGTH_BYTE_ARRAY: u64 = 6;

const DATA_PAGE_V2: i64 = 3;

impl PageHeader {
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let (mut kind, mut uncompressed, mut page) = (None, None, None);
        Cursor::new(bytes).structure(MAX_DEPTH, |cursor, field| {
            match (field.id, field.kind) {
                (1, 5) => kind = Some(cursor.zigzag()?),
                (2, 5) => uncompressed = Some(cursor.zigzag()?),
                (8, STRUCT) => page = Some(V2::read(cursor)?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let (Some(DATA_PAGE_V2), Some(uncompressed), Some(page)) = (kind, uncompressed, page) else { return Err(Malformed) };
        let whole = |value: i64| usize::try_from(value).map_err(|_| Malformed);
        if page.levels_bytes != 0 || page.nulls != 0 {
            return Err(Malformed);
        }
        Ok(Self {
            uncompressed_bytes: whole(uncompressed)?,
            values: whole(page.values)?,
            encoding: u64::try_from(page.encoding).map_err(|_| Malformed)?,
            compressed: page.compressed,
        })
    }
}

struct V2 {
    values: i64,
    nulls: i64,
    encoding: i64,
    levels_bytes: i64,
    compressed: bool,
}

impl V2 {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self> {
        let (mut values, mut encoding) = (None, None);
        let (mut nulls, mut levels_bytes, mut compressed) = (0, 0_i64, true);
        cursor.structure(MAX_DEPTH, |cursor, field| {
            match (field.id, field.kind) {
                (1, 5) => values = Some(cursor.zigzag()?),
                (2, 5) => nulls = cursor.zigzag()?,
                (4, 5) => encoding = Some(cursor.zigzag()?),
                (5 | 6, 5) => levels_bytes |= cursor.zigzag()?,
                (7, TRUE | FALSE) => compressed = field.kind == TRUE,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let (Some(values), Some(encoding)) = (values, encoding) else { return Err(Malformed) };
        Ok(Self { values, nulls, encoding, levels_bytes, compressed })
    }
}

/// Lengths packed as deltas, `count` of them: where each text begins, and where the last ends. What follows them stays in the cursor.
pub(super) fn offsets(cursor: &mut Cursor<'_>, count: usize) -> Result<Vec<usize>> {
    let block = cursor.size()?;
    let miniblocks = cursor.size()?;
    let total = cursor.size()?;
    let first = cursor.zigzag()?;
    let per_miniblock = block.checked_div(miniblocks).ok_or(Malformed)?;
    if total != count || miniblocks > MAX_MINIBLOCKS || per_miniblock == 0 || per_miniblock % 32 != 0 {
        return Err(Malformed);
    }
    let mut offsets = Vec::with_capacity(count.saturating_add(1).min(1 << 20));
    let (mut end, mut length) = (0_usize, first);
    offsets.push(0);
    let mut push = |length: i64| {
        end = usize::try_from(length).ok().and_then(|length| end.checked_add(length)).ok_or(Malformed)?;
        offsets.push(end);
        Ok(())
    };
    let mut left = count;
    if left > 0 {
        push(length)?;
        left -= 1;
    }
    while left > 0 {
        let least = cursor.zigzag()?;
        let widths = cursor.take(miniblocks)?;
        for width in widths {
            if left == 0 {
                break;
            }
            // 32-bit values: their differences wrap in 32 bits.
            if *width > 32 {
                return Err(Malformed);
            }
            let packed = cursor.take(per_miniblock / 8 * usize::from(*width))?;
            let mut bits = Bits { bytes: packed.iter(), held: 0, held_bits: 0 };
            for _ in 0..per_miniblock.min(left) {
                let delta = bits.next(u32::from(*width)).wrapping_add(least.cast_unsigned());
                length = i64::from((length.cast_unsigned().wrapping_add(delta) & 0xffff_ffff) as u32 as i32);
                push(length)?;
                left -= 1;
            }
        }
    }
    Ok(offsets)
}

/// Values packed bit by bit, the lowest first.
struct Bits<'a> {
    bytes: std::slice::Iter<'a, u8>,
    held: u64,
    held_bits: u32,
}

impl Bits<'_> {
    /// The next value of `width` bits, at most 32; zero beyond the end.
    fn next(&mut self, width: u32) -> u64 {
        while self.held_bits < width {
            self.held |= u64::from(self.bytes.next().copied().unwrap_or(0)) << self.held_bits;
            self.held_bits += 8;
        }
        let value = self.held & ((1_u64 << width) - 1);
        self.held >>= width;
        self.held_bits -= width;
        value
    }
}
