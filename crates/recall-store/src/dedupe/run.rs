//! One run: records sorted by key in an encrypted file, and the filter that spares most lookups.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::file::reader::Length as _;
use xorf::{BinaryFuse16, Filter as _};

use super::{RUN, RunRow, Seen, remove_file};
use crate::batch::Identity;
use crate::encrypted::{FileFacts, SharedFile, WriteError, file_path};
use crate::secret::Key32;
use crate::snapshot::ReadError;
use crate::sorted::{SortedFile, SortedPlace, SortedWriter, Stream, int64s};

/// Records gathered before they are written.
const WRITE_ROWS: usize = 1 << 14;
/// Keys in one filter of a run. Building a filter takes many times its size for a moment, so large runs have several.
const FILTER_KEYS: usize = 1 << 20;
/// What a filter takes: 16 bits an entry and an eighth to spare.
const FILTER_BITS_PER_KEY: usize = 19;

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let column = |name: &str| Field::new(name, DataType::Int64, false);
    Arc::new(Schema::new(vec![column("key_high"), column("key_low"), column("index"), column("tag")]))
});

/// One event's identity and index, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Record {
    key_high: i64,
    key_low: i64,
    index: i64,
    tag: i64,
}

impl Record {
    pub(crate) fn new(identity: Identity, index: u64) -> Self {
        let (key_high, key_low) = halves(identity.key);
        Self { key_high, key_low, index: index.cast_signed(), tag: identity.tag.cast_signed() }
    }

    pub(crate) fn key(&self) -> u128 {
        (u128::from(self.key_high.cast_unsigned()) << 64) | u128::from(self.key_low.cast_unsigned())
    }

    /// All that it says.
    pub(crate) fn fields(&self) -> [i64; 4] {
        [self.key_high, self.key_low, self.index, self.tag]
    }

    pub(crate) fn seen(&self) -> Seen {
        Seen { index: self.index.cast_unsigned(), tag: self.tag.cast_unsigned() }
    }
}

fn halves(key: u128) -> (i64, i64) {
    let [high, low] = [key >> 64, key].map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or(0).cast_signed());
    (high, low)
}

fn place<'a>(folder: &Path, id: u64, key: &'a Key32) -> SortedPlace<'a> {
    SortedPlace { path: file_path(folder, id, RUN), key, aad: id, schema: Arc::clone(&SCHEMA) }
}

/// Writes records, which come in order.
pub(super) fn write(
    folder: &Path,
    id: u64,
    key: &Key32,
    records: impl Iterator<Item = Result<Record, ReadError>>,
) -> Result<FileFacts, WriteError> {
    let mut file = SortedWriter::create(&place(folder, id, key))?;
    let mut records = records.peekable();
    while records.peek().is_some() {
        let some: Vec<Record> = records.by_ref().take(WRITE_ROWS).collect::<Result<_, _>>()?;
        let column = |field: fn(&Record) -> i64| -> ArrayRef { Arc::new(some.iter().map(field).collect::<Int64Array>()) };
        let columns = vec![column(|one| one.key_high), column(|one| one.key_low), column(|one| one.index), column(|one| one.tag)];
        file.write(&RecordBatch::try_new(Arc::clone(&SCHEMA), columns).map_err(ReadError::from)?)?;
    }
    file.finish()
}

fn decode(rows: &RecordBatch) -> Result<Vec<Record>, ReadError> {
    let (high, low, index, tag) = (int64s(rows, 0)?, int64s(rows, 1)?, int64s(rows, 2)?, int64s(rows, 3)?);
    let keys = high.iter().zip(low).zip(index).zip(tag);
    Ok(keys.map(|(((high, low), index), tag)| Record { key_high: *high, key_low: *low, index: *index, tag: *tag }).collect())
}

/// An open run.
pub(crate) struct Run {
    pub(crate) row: RunRow,
    folder: std::path::PathBuf,
    file: SortedFile,
    filter: RwLock<Option<Arc<Filter>>>,
    obsolete: AtomicBool,
    /// A lookup met bytes that it could not read.
    damaged: AtomicBool,
    /// It can't be made again.
    beyond_repair: AtomicBool,
}

impl Run {
    pub(super) fn open(folder: &Path, row: RunRow, key: &Key32) -> Result<Self, ReadError> {
        let place = place(folder, row.id, key);
        let file = SortedFile::open(&place)?;
        if SharedFile::open(&place.path)?.len() != row.file.size_bytes {
            return Err(ReadError::damaged(file.place(), "it does not have the size that the catalog says"));
        }
        if file.len() as u64 != row.count {
            return Err(ReadError::damaged(file.place(), "it does not hold the number of events that the catalog says"));
        }
        Ok(Self {
            row,
            folder: folder.to_owned(),
            file,
            filter: RwLock::new(None),
            obsolete: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
            beyond_repair: AtomicBool::new(false),
        })
    }

    /// All records, in order.
    pub(crate) fn records(&self) -> Result<Stream<'static, Record>, ReadError> {
        self.file.records(decode)
    }

    /// Row groups of the file.
    pub(crate) fn groups(&self) -> usize {
        self.file.groups()
    }

    /// The records of one row group, in order.
    pub(crate) fn group(&self, group: usize) -> Result<Stream<'static, Record>, ReadError> {
        self.file.group_records(group, decode)
    }

    /// Fills in those of the keys that this run holds.
    pub(super) fn find(&self, mut wanted: Vec<(u128, &mut Option<Seen>)>) -> Result<(), ReadError> {
        let filter = self.filter.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(filter) = filter {
            wanted.retain(|(key, _)| filter.may_hold(*key));
        }
        if wanted.is_empty() {
            return Ok(());
        }
        wanted.sort_unstable_by_key(|(key, _)| halves(*key));
        let mut keys: Vec<i64> = wanted.iter().map(|(key, _)| halves(*key).0).collect();
        keys.dedup();
        let mut wanted = wanted.into_iter().peekable();
        for rows in self.file.candidates(&keys)? {
            for record in decode(&rows?)? {
                let own = (record.key_high, record.key_low);
                while wanted.next_if(|(key, _)| halves(*key) < own).is_some() {}
                while let Some((_, found)) = wanted.next_if(|(key, _)| halves(*key) == own) {
                    *found = Some(record.seen());
                }
            }
        }
        Ok(())
    }

    /// What its filter takes in memory.
    pub(super) fn filter_bytes(&self) -> usize {
        self.file.len() * FILTER_BITS_PER_KEY / 8
    }

    /// Builds the filter, if there is none.
    pub(super) fn build_filter(&self) -> Result<(), ReadError> {
        if self.filter.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let filter = Filter::build(self.records()?)?;
        *self.filter.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(filter));
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn has_filter(&self) -> bool {
        self.filter.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(super) fn drop_filter(&self) {
        *self.filter.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn mark_damaged(&self) {
        self.damaged.store(true, Ordering::Release);
    }

    pub(super) fn mark_beyond_repair(&self) {
        self.beyond_repair.store(true, Ordering::Release);
    }

    /// Is it to be made again?
    pub(super) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Acquire) && !self.beyond_repair.load(Ordering::Acquire)
    }

    pub(super) fn mark_obsolete(&self) {
        self.obsolete.store(true, Ordering::Release);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire) {
            // What can't be removed now is a leftover that the next start removes.
            let _ = remove_file(&self.folder, self.row.id);
        }
    }
}

/// Filters over stretches of a run's keys, ascending.
struct Filter {
    stretches: Vec<Stretch>,
}

struct Stretch {
    greatest: u128,
    /// None where the keys defeated the construction: then every key may be here.
    keys: Option<BinaryFuse16>,
}

/// Keys in the order of files, which compare the upper half as signed.
fn ordered(key: u128) -> u128 {
    key ^ (1 << 127) ^ (1 << 63)
}

fn hashed(key: u128) -> u64 {
    halves(key).1.cast_unsigned()
}

impl Filter {
    fn build(records: Stream<'_, Record>) -> Result<Self, ReadError> {
        let mut records = records.peekable();
        let mut stretches = Vec::new();
        while records.peek().is_some() {
            let keys: Vec<u128> =
                records.by_ref().take(FILTER_KEYS).map(|record| record.map(|record| record.key())).collect::<Result<_, _>>()?;
            let greatest = keys.last().copied().map_or(0, ordered);
            let hashes: Vec<u64> = keys.into_iter().map(hashed).collect();
            stretches.push(Stretch { greatest, keys: BinaryFuse16::try_from(&hashes).ok() });
        }
        Ok(Self { stretches })
    }

    /// False only if the run does not hold the key.
    fn may_hold(&self, key: u128) -> bool {
        let at = self.stretches.partition_point(|stretch| stretch.greatest < ordered(key));
        self.stretches.get(at).is_some_and(|stretch| stretch.keys.as_ref().is_none_or(|keys| keys.contains(&hashed(key))))
    }
}
