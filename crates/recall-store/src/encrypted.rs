//! One encrypted Parquet file: how it is written whole, opened and read at positions (`docs/format.md` sections 2 and 5).
//!
//! Files are read with `pread`, so that any number of readers share one handle. A digest over the bytes goes into the catalog, so that
//! verification notices damage where Parquet's own seals would not look. It must not know what the columns mean.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use aws_lc_rs::digest;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::encryption::encrypt::FileEncryptionProperties;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::file::reader::{ChunkReader, Length};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::durable;
use crate::secret::Key32;
use crate::snapshot::ReadError;

#[cfg(test)]
mod tests;

/// The size and SHA-256 of a file, as the catalog keeps them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileFacts {
    /// Bytes.
    pub size_bytes: u64,
    /// SHA-256 in hex.
    pub sha256: String,
}

/// Why a file could not be written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The operating system could not write: most often a full disk.
    #[error("{} could not be written: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The rows to write could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The work was given up because the trail is closing.
    #[error("{} was not finished: the trail is closing", .0.display())]
    Stopped(PathBuf),
    /// A step was made to fail.
    #[error("the step failed: {0}")]
    Step(#[from] io::Error),
    /// Rows could not be encoded.
    #[error("{} could not be encoded: {source}", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// Parquet's reason.
        source: ParquetError,
    },
}

impl WriteError {
    pub(crate) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path: path.clone(), source }
    }

    /// Parquet wraps the errors of the file beneath it; a full disk must stay recognisable as one.
    fn encode(path: &Path) -> impl Fn(ParquetError) -> Self {
        let path = path.to_owned();
        move |error| match error {
            ParquetError::External(inner) => match inner.downcast::<io::Error>() {
                Ok(source) => Self::Io { path: path.clone(), source: *source },
                Err(inner) => Self::Encode { path: path.clone(), source: ParquetError::External(inner) },
            },
            source => Self::Encode { path: path.clone(), source },
        }
    }
}

/// Settings that every file of ours shares.
pub(crate) fn properties(encryption: Arc<FileEncryptionProperties>) -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_created_by("recall".to_owned())
        .set_bloom_filter_enabled(false)
        .with_file_encryption_properties(encryption)
}

/// The writer of one file. It appears under its name, synced, only when `finish` has returned.
pub(crate) struct FileWriter {
    path: PathBuf,
    writer: ArrowWriter<Digesting>,
    _unfinished: Unfinished,
}

/// The temporary name of a file under work: nothing stays there when the work is given up.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After the rename there is nothing; what can't be removed is a leftover that the next start removes.
        let _ = durable::remove(&self.0);
    }
}

impl FileWriter {
    /// Starts the file that will lie at `path`.
    pub(crate) fn create(path: &Path, schema: SchemaRef, properties: WriterProperties) -> Result<Self, WriteError> {
        let temporary = durable::temporary(path);
        durable::remove(&temporary).map_err(WriteError::io(path))?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map_err(WriteError::io(path))?;
        let unfinished = Unfinished(temporary);
        let sink =
            Digesting { file: BufWriter::with_capacity(1 << 18, file), digest: digest::Context::new(&digest::SHA256), size_bytes: 0 };
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(sink, schema, options).map_err(WriteError::encode(path))?;
        Ok(Self { path: path.to_owned(), writer, _unfinished: unfinished })
    }

    /// Adds rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), WriteError> {
        self.writer.write(batch).map_err(WriteError::encode(&self.path))
    }

    /// Ends the row group.
    pub(crate) fn flush(&mut self) -> Result<(), WriteError> {
        self.writer.flush().map_err(WriteError::encode(&self.path))
    }

    /// Ends the file and makes it durable under its name.
    pub(crate) fn finish(self) -> Result<FileFacts, WriteError> {
        let sink = self.writer.into_inner().map_err(WriteError::encode(&self.path))?;
        let io = WriteError::io(&self.path);
        let file = sink.file.into_inner().map_err(|error| io(error.into_error()))?;
        file.sync_all().map_err(&io)?;
        durable::rename(&durable::temporary(&self.path), &self.path).map_err(&io)?;
        Ok(FileFacts { size_bytes: sink.size_bytes, sha256: hex(sink.digest.finish().as_ref()) })
    }
}

struct Digesting {
    file: BufWriter<File>,
    digest: digest::Context,
    size_bytes: u64,
}

impl Write for Digesting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.update(bytes.get(..written).unwrap_or_default());
        self.size_bytes = self.size_bytes.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the catalog keeps of a file is JSON.
pub(crate) fn encode_row(row: &impl Serialize) -> Vec<u8> {
    // Numbers and strings under fixed names can't fail to be written.
    serde_json::to_vec(row).unwrap_or_default()
}

/// Reads what `encode_row` made.
pub(crate) fn decode_row<T: DeserializeOwned>(value: &[u8], place: &str) -> Result<T, ReadError> {
    serde_json::from_slice(value).map_err(|_| ReadError::damaged(place, "it has the wrong shape"))
}

/// Reads a whole file and computes its facts, for comparison with those in the catalog.
pub(crate) fn facts_of(path: &Path) -> io::Result<FileFacts> {
    let mut file = File::open(path)?;
    let mut digest = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 1 << 18];
    let mut size_bytes = 0_u64;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(FileFacts { size_bytes, sha256: hex(digest.finish().as_ref()) });
        }
        digest.update(buffer.get(..read).unwrap_or_default());
        size_bytes = size_bytes.saturating_add(read as u64);
    }
}

/// An open file that any number of readers share.
#[derive(Clone)]
pub(crate) struct SharedFile {
    file: Arc<File>,
    length: u64,
}

impl SharedFile {
    pub(crate) fn open(path: &Path) -> Result<Self, ReadError> {
        let open = || {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Ok(Self { file: Arc::new(file), length })
        };
        open().map_err(|source| ReadError::Io { place: path.display().to_string(), source })
    }
}

impl Length for SharedFile {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for SharedFile {
    type T = At;

    fn get_read(&self, start: u64) -> ParquetResult<At> {
        Ok(At { file: Arc::clone(&self.file), position: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.length);
        if end.is_none() {
            return Err(ParquetError::EOF("a page lies beyond the end of the file".to_owned()));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// Reads on from a position.
pub(crate) struct At {
    file: Arc<File>,
    position: u64,
}

impl Read for At {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.position)?;
        self.position = self.position.saturating_add(read as u64);
        Ok(read)
    }
}

/// The keys that a reader has: the footer's, and those of the leaves named.
pub(crate) fn decryption<'a>(
    footer: &Key32,
    leaves: impl Iterator<Item = (&'a str, &'a Key32)>,
    aad: u64,
) -> ParquetResult<Arc<FileDecryptionProperties>> {
    let builder = FileDecryptionProperties::builder(footer.as_bytes().to_vec()).with_aad_prefix(aad.to_be_bytes().to_vec());
    leaves.fold(builder, |builder, (leaf, key)| builder.with_column_key(leaf, key.as_bytes().to_vec())).build()
}

/// The keys under which a file is written.
pub(crate) fn encryption<'a>(
    footer: &Key32,
    leaves: impl Iterator<Item = (&'a str, &'a Key32)>,
    aad: u64,
) -> ParquetResult<Arc<FileEncryptionProperties>> {
    let builder = FileEncryptionProperties::builder(footer.as_bytes().to_vec()).with_aad_prefix(aad.to_be_bytes().to_vec());
    leaves.fold(builder, |builder, (leaf, key)| builder.with_column_key(leaf, key.as_bytes().to_vec())).build()
}

/// The rows of each row group.
pub(crate) fn row_groups(metadata: &ParquetMetaData) -> Vec<Range<usize>> {
    let mut end = 0;
    let mut group = |rows: i64| {
        let start = end;
        end += usize::try_from(rows).unwrap_or(0);
        start..end
    };
    metadata.row_groups().iter().map(|rows| group(rows.num_rows())).collect()
}

/// Cuts ascending ranges of a file's rows at the borders of its row groups: the groups concerned, and the ranges within each.
pub(crate) fn split_by_group(groups: &[Range<usize>], ranges: impl IntoIterator<Item = Range<usize>>) -> Vec<(usize, Vec<Range<usize>>)> {
    let mut split: Vec<(usize, Vec<Range<usize>>)> = Vec::new();
    for range in ranges {
        let first = groups.partition_point(|group| group.end <= range.start);
        for (at, group) in groups.iter().enumerate().skip(first).take_while(|(_, group)| group.start < range.end) {
            let own = range.start.max(group.start) - group.start..range.end.min(group.end) - group.start;
            match split.last_mut() {
                Some((last, ranges)) if *last == at => ranges.push(own),
                _ => split.push((at, vec![own])),
            }
        }
    }
    split
}

/// The path of file `id` in a folder.
pub(crate) fn file_path(folder: &Path, id: u64, extension: &str) -> PathBuf {
    folder.join(format!("{id:016x}.{extension}"))
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Does this thread read bytes of which a panic says only that they are damaged? Then the error tells it, and nothing else needs to.
pub fn reads_guarded() -> bool {
    GUARDED.get()
}

/// Does `read`, which works on bytes from disk. Parquet's reader checks most lengths but not all before it has checked the seal, and
/// panics on some that were changed; here that is what it means: a damaged file.
pub(crate) fn guarded<T>(place: &str, read: impl FnOnce() -> ParquetResult<T>) -> Result<T, ReadError> {
    let before = GUARDED.replace(true);
    let caught = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(before);
    match caught {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(ParquetError::External(inner))) => match inner.downcast::<io::Error>() {
            Ok(source) if source.kind() != io::ErrorKind::UnexpectedEof => Err(ReadError::Io { place: place.to_owned(), source: *source }),
            Ok(source) => Err(ReadError::damaged(place, source)),
            Err(inner) => Err(ReadError::damaged(place, inner)),
        },
        Ok(Err(error)) => Err(ReadError::damaged(place, error)),
        Err(_) => Err(ReadError::damaged(place, "its structure makes no sense")),
    }
}
