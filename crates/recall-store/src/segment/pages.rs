//! Single pages of the columns of content: found in the page index, read, opened and unpacked without Parquet's reader.
//!
//! Parquet's reader is made for scans: to give a hundred rows that lie apart it opens readers for whole row groups and decodes pages of
//! every column. Here a row costs one page. Only the columns of content are read so: they are never null, and have one encoding each.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryBuilder, LargeBinaryBuilder};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bytes::Bytes;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{ChunkReader, Length};

use super::compact::{Cursor, DELTA_LENGTH_BYTE_ARRAY, Malformed, PLAIN, PageHeader, file_unique, offsets};
use crate::columns::{Column, SALT_BYTES};
use crate::encrypted::SharedFile;
use crate::secret::Key32;
use crate::snapshot::ReadError;

/// Parquet's numbers of module types.
const DATA_PAGE: u8 = 2;
const DATA_PAGE_HEADER: u8 = 4;
/// A module's length in front of its nonce.
const LENGTH_BYTES: usize = 4;
const TAG_BYTES: usize = 16;
/// The largest page that is believed: limits are looked at after every few rows, and an event may be 1 MiB long.
const MAX_PAGE_BYTES: usize = 64 << 20;
/// The file's last bytes: the length of what lies before them, and a magic number.
const TAIL_BYTES: usize = 8;
/// Of what lies before the tail, the part that can hold the structure in front of the footer.
const CRYPTO_METADATA_BYTES: usize = 1 << 10;

/// What every page of a file is sealed with besides its place: the segment's id, and the random part of the file's identity.
#[derive(Clone)]
pub(super) struct FileAad(Vec<u8>);

impl FileAad {
    pub(super) fn read(file: &SharedFile, place: &str, segment: u64) -> Result<Self, ReadError> {
        let damaged = || ReadError::damaged(place, "its footer makes no sense");
        let read = |start: u64, length: usize| file.get_bytes(start, length).map_err(|_| damaged());
        let tail_start = file.len().checked_sub(TAIL_BYTES as u64).ok_or_else(damaged)?;
        let tail = read(tail_start, TAIL_BYTES)?;
        let length = tail.first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length));
        let start = tail_start.checked_sub(length.into()).ok_or_else(damaged)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(CRYPTO_METADATA_BYTES);
        let unique = file_unique(&read(start, length)?).map_err(|Malformed| damaged())?;
        Ok(Self([segment.to_be_bytes().as_slice(), &unique].concat()))
    }

    fn of_page(&self, module: u8, group: usize, column: Column, page: usize) -> Result<Vec<u8>, Malformed> {
        let short = |number: usize| i16::try_from(number).map(i16::to_le_bytes).map_err(|_| Malformed);
        Ok([self.0.as_slice(), &[module], &short(group)?, &short(column as usize)?, &short(page)?].concat())
    }
}

/// Reads rows of one column of content, keeping the page that was opened last.
pub(super) struct PageReader<'a> {
    pub(super) place: &'a str,
    pub(super) file: &'a SharedFile,
    pub(super) metadata: &'a ParquetMetaData,
    pub(super) groups: &'a [Range<usize>],
    pub(super) aad: &'a FileAad,
    column: Column,
    key: LessSafeKey,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    open: Option<OpenPage>,
}

/// A page's rows, unpacked.
struct OpenPage {
    /// Rows of the file.
    rows: Range<usize>,
    bytes: Bytes,
    /// Where texts begin and end; none where all are as long as a salt.
    offsets: Option<Vec<usize>>,
}

/// What all columns of one read share.
pub(super) struct Source<'a> {
    pub(super) place: &'a str,
    pub(super) file: &'a SharedFile,
    pub(super) metadata: &'a ParquetMetaData,
    pub(super) groups: &'a [Range<usize>],
    pub(super) aad: &'a FileAad,
}

impl<'a> PageReader<'a> {
    pub(super) fn new(source: &Source<'a>, column: Column, key: &Key32) -> Result<Self, ReadError> {
        let Source { place, file, metadata, groups, aad } = *source;
        let key = UnboundKey::new(&AES_256_GCM, key.as_bytes()).map(LessSafeKey::new);
        let key = key.map_err(|_| ReadError::damaged(place, "its key is none"))?;
        Ok(Self { place, file, metadata, groups, aad, column, key, zstd: None, open: None })
    }

    /// The column's values in these rows, ascending.
    pub(super) fn read(&mut self, rows: &[u32]) -> Result<ArrayRef, ReadError> {
        if matches!(self.column, Column::SaltPublic | Column::SaltPhi) {
            let mut salts = FixedSizeBinaryBuilder::with_capacity(rows.len(), SALT_BYTES);
            for row in rows {
                salts.append_value(self.value(*row)?)?;
            }
            return Ok(Arc::new(salts.finish()));
        }
        let mut parts = LargeBinaryBuilder::with_capacity(rows.len(), rows.len() * 512);
        for row in rows {
            parts.append_value(self.value(*row)?);
        }
        Ok(Arc::new(parts.finish()))
    }

    fn value(&mut self, row: u32) -> Result<&[u8], ReadError> {
        let row = usize::try_from(row).unwrap_or(usize::MAX);
        if !self.open.as_ref().is_some_and(|page| page.rows.contains(&row)) {
            self.open = None;
            let (place, column) = (self.place, self.column);
            let opened = self.open_page(row).map_err(|error| match error {
                Failed::Io(source) => ReadError::Io { place: place.to_owned(), source },
                Failed::Malformed => ReadError::damaged(place, format!("a page of its column {} was changed", column.name())),
            })?;
            self.open = Some(opened);
        }
        let value = self.open.as_ref().and_then(|page| page.value(row));
        value.ok_or_else(|| ReadError::damaged(self.place, format!("a page of its column {} makes no sense", self.column.name())))
    }

    fn open_page(&mut self, row: usize) -> Result<OpenPage, Failed> {
        let group = self.groups.partition_point(|group| group.end <= row);
        let rows = self.groups.get(group).ok_or(Malformed)?;
        let pages = self.metadata.offset_index().and_then(|index| index.get(group)?.get(self.column as usize));
        let pages = pages.ok_or(Malformed)?.page_locations();
        let within = i64::try_from(row - rows.start).map_err(|_| Malformed)?;
        let page = pages.partition_point(|page| page.first_row_index <= within).checked_sub(1).ok_or(Malformed)?;
        let location = pages.get(page).ok_or(Malformed)?;
        let start = usize::try_from(location.first_row_index).map_err(|_| Malformed)?;
        let end = match pages.get(page + 1) {
            Some(next) => usize::try_from(next.first_row_index).map_err(|_| Malformed)?,
            None => rows.len(),
        };
        let (offset, length) = (u64::try_from(location.offset), usize::try_from(location.compressed_page_size));
        let (Ok(offset), Ok(length)) = (offset, length) else { return Err(Failed::Malformed) };
        let sealed = self.file.get_bytes(offset, length.min(MAX_PAGE_BYTES)).map_err(Failed::of)?;
        let (header, rest) = self.unseal(&sealed, self.aad.of_page(DATA_PAGE_HEADER, group, self.column, page)?)?;
        let header = PageHeader::read(&header)?;
        let (body, rest) = self.unseal(rest, self.aad.of_page(DATA_PAGE, group, self.column, page)?)?;
        if !rest.is_empty() || header.values != end.checked_sub(start).ok_or(Malformed)? {
            return Err(Failed::Malformed);
        }
        let bytes = self.unpack(body, &header)?;
        self.page(rows.start + start..rows.start + end, bytes, &header)
    }

    fn page(&self, rows: Range<usize>, bytes: Vec<u8>, header: &PageHeader) -> Result<OpenPage, Failed> {
        let salts = matches!(self.column, Column::SaltPublic | Column::SaltPhi);
        match header.encoding {
            PLAIN if salts => Ok(OpenPage { rows, bytes: bytes.into(), offsets: None }),
            DELTA_LENGTH_BYTE_ARRAY if !salts => {
                let bytes = Bytes::from(bytes);
                let mut cursor = Cursor::new(&bytes);
                let offsets = offsets(&mut cursor, header.values)?;
                let texts = bytes.slice_ref(cursor.rest());
                Ok(OpenPage { rows, bytes: texts, offsets: Some(offsets) })
            }
            _ => Err(Failed::Malformed),
        }
    }

    /// Opens the module that `sealed` begins with: length, nonce, ciphertext and tag. What follows it comes along.
    fn unseal<'s>(&self, sealed: &'s [u8], aad: Vec<u8>) -> Result<(Vec<u8>, &'s [u8]), Malformed> {
        let (length, rest) = sealed.split_first_chunk::<LENGTH_BYTES>().ok_or(Malformed)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| Malformed)?;
        let (module, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
        let (nonce, sealed) = module.split_first_chunk::<NONCE_LEN>().ok_or(Malformed)?;
        let mut plain = sealed.to_vec();
        let opened = self.key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), &mut plain).map_err(|_| Malformed)?;
        debug_assert_eq!(opened.len() + TAG_BYTES, sealed.len());
        let length = opened.len();
        plain.truncate(length);
        Ok((plain, rest))
    }

    fn unpack(&mut self, body: Vec<u8>, header: &PageHeader) -> Result<Vec<u8>, Failed> {
        let salts = matches!(self.column, Column::SaltPublic | Column::SaltPhi);
        if salts || !header.compressed {
            return Ok(body);
        }
        if header.uncompressed_bytes > MAX_PAGE_BYTES {
            return Err(Failed::Malformed);
        }
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(zstd::bulk::Decompressor::new().map_err(Failed::Io)?),
        };
        let unpacked = zstd.decompress(&body, header.uncompressed_bytes).map_err(|_| Malformed)?;
        if unpacked.len() == header.uncompressed_bytes { Ok(unpacked) } else { Err(Failed::Malformed) }
    }
}

impl OpenPage {
    fn value(&self, row: usize) -> Option<&[u8]> {
        let at = row.checked_sub(self.rows.start)?;
        let range = match &self.offsets {
            Some(offsets) => *offsets.get(at)?..*offsets.get(at + 1)?,
            None => {
                let start = at.checked_mul(usize::try_from(SALT_BYTES).ok()?)?;
                start..start.checked_add(usize::try_from(SALT_BYTES).ok()?)?
            }
        };
        self.bytes.get(range)
    }
}

/// Why a page could not be opened.
enum Failed {
    Io(std::io::Error),
    Malformed,
}

impl From<Malformed> for Failed {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Failed {
    fn of(error: parquet::errors::ParquetError) -> Self {
        match error {
            parquet::errors::ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
                Ok(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => Self::Io(*source),
                _ => Self::Malformed,
            },
            _ => Self::Malformed,
        }
    }
}
