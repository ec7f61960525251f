//! The catalog: SQLite holding fresh batches and small sealed rows (`docs/format.md` section 4).
//!
//! One connection writes, in the committer's thread. All rows are in memory as well, behind `Rows`, so that readers never touch SQLite.
//! It must not know what rows and batches say; it answers for their being those that were written, all of them, at their latest.

mod load;
mod log;
mod row;
mod state;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use thiserror::Error;

pub use load::{Damage, Loaded};
pub use row::{Kind, RowChange};
pub use state::State;

use crate::fresh::StoredBatch;
use crate::reserve;
use crate::seal::SealError;
use crate::seams::{Faults, Random, Step, guarded};
use crate::secret::Key32;
use log::LogMerger;
use row::{Head, KINDS, RowKey, Sealer};

/// The name of the one row of kind `State`.
const STATE: &str = "state";
/// Marks the file as a catalog of this format (`PRAGMA application_id`, "Rcll").
const APPLICATION_ID: i32 = 0x5263_6c6c;
const FORMAT_VERSION: i32 = 1;
/// 4 KiB: a commit of one event touches some five pages, and each is written whole.
const PAGE_BYTES: u32 = 4096;
/// Pages in the log at which a commit merges them into the file, should `log` not have done it long before: 64 MiB.
const LOG_PAGES: u32 = 16_384;
/// The log's file is cut to this size when the log begins anew.
const LOG_KEPT_BYTES: u32 = 16 << 20;
/// Pages that a commit writes beside those of its batches' content.
const COMMIT_PAGES: usize = 6;

/// One transaction, beside the state that each one writes.
#[derive(Default)]
pub struct Change {
    /// Batches to add.
    pub batches: Vec<StoredBatch>,
    /// Batches to remove: those whose first index lies in one of the ranges.
    pub remove_batches: Vec<Range<u64>>,
    /// Rows to put or remove; of two of one name the later counts.
    pub rows: Vec<RowChange>,
}

/// Why the catalog could not be opened.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// SQLite refused.
    #[error("the catalog {path} could not be opened: {cause}; if it is damaged, restore it from a backup", path = path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What it said.
        cause: rusqlite::Error,
    },
    /// Changes in the log that a medium which can't be written can't show.
    #[error("{path} has changes in its log ({path}-wal) that can't be read on a medium that can't be written; copy the folder to one that can, and open it there", path = path.display())]
    Unmerged {
        /// The file.
        path: PathBuf,
    },
    /// Another program's file, or a later version's.
    #[error("{path} is not a catalog of this version ({what}); use the version of recall that made it", path = path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Which mark differs.
        what: String,
    },
}

/// Why a transaction did not happen.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// No room. Nothing was written.
    #[error("the disk is full")]
    Full,
    /// Nothing was written.
    #[error("the catalog could not be written: {0}")]
    Failed(String),
    /// Whether it was written could not be found out.
    #[error("the catalog can't be reached, and whether the last change was kept is unknown: {0}")]
    Unknown(String),
}

impl From<SealError> for ApplyError {
    fn from(error: SealError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<io::Error> for ApplyError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<rusqlite::Error> for ApplyError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            _ => Self::Failed(error.to_string()),
        }
    }
}

struct CachedRow {
    key: RowKey,
    version: u64,
    value: Arc<[u8]>,
}

#[derive(Default)]
struct Cache {
    rows: [BTreeMap<String, CachedRow>; KINDS],
    heads: [Head; KINDS],
}

impl Cache {
    fn rows(&self, kind: Kind) -> Option<&BTreeMap<String, CachedRow>> {
        self.rows.get(kind.position())
    }
}

/// The rows as of the last commit. Cloning it shares them.
#[derive(Clone, Default)]
pub struct Rows(Arc<RwLock<Cache>>);

impl Rows {
    /// The row of that name.
    pub fn get(&self, kind: Kind, name: &str) -> Option<Arc<[u8]>> {
        let cache = self.0.read().unwrap_or_else(PoisonError::into_inner);
        cache.rows(kind)?.get(name).map(|row| Arc::clone(&row.value))
    }

    /// All rows of a kind, by name.
    pub fn all(&self, kind: Kind) -> Vec<(String, Arc<[u8]>)> {
        let cache = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let rows = cache.rows(kind).into_iter().flatten();
        rows.map(|(name, row)| (name.clone(), Arc::clone(&row.value))).collect()
    }
}

/// The open catalog.
pub struct Catalog {
    /// None while it can't be reached.
    conn: Option<Connection>,
    path: PathBuf,
    sealer: Sealer,
    random: Arc<dyn Random>,
    faults: Arc<dyn Faults>,
    rows: Rows,
    rewrite: Rewrite,
    /// Makes the last room there is on a full disk, if it was not made before.
    last_room: Option<LastRoom>,
    log: LogMerger,
}

type LastRoom = Box<dyn FnMut() + Send>;

/// What the next transaction writes anew, because a part of it was found damaged.
#[derive(Default, Clone)]
struct Rewrite {
    kinds: BTreeSet<Kind>,
    strays: bool,
}

/// What a transaction is going to write of one row.
struct PlannedRow {
    kind: Kind,
    key: RowKey,
    name: String,
    put: Option<(u64, Vec<u8>, Arc<[u8]>)>,
}

struct Plan {
    rewrite: Rewrite,
    rows: Vec<PlannedRow>,
    heads: Vec<(Kind, Head, Vec<u8>)>,
}

impl Catalog {
    /// Makes a new catalog at `path`, with nothing in it.
    pub fn create(path: &Path, key: Key32, random: Arc<dyn Random>, faults: Arc<dyn Faults>) -> Result<Self, CatalogError> {
        let sqlite = |cause| CatalogError::Sqlite { path: path.to_owned(), cause };
        let conn = Connection::open(path).map_err(sqlite)?;
        let setup = || -> rusqlite::Result<()> {
            conn.pragma_update(None, "page_size", PAGE_BYTES)?;
            conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
            conn.pragma_update(None, "application_id", APPLICATION_ID)?;
            conn.pragma_update(None, "user_version", FORMAT_VERSION)?;
            conn.execute_batch(
                "CREATE TABLE batch (first_index INTEGER PRIMARY KEY, count INTEGER, key_set INTEGER, public BLOB, phi BLOB);
                 CREATE TABLE row (kind INTEGER, key BLOB, value BLOB, PRIMARY KEY (kind, key)) WITHOUT ROWID;
                 CREATE TABLE head (kind INTEGER PRIMARY KEY, value BLOB);",
            )
        };
        setup().map_err(sqlite)?;
        prepare(&conn).map_err(sqlite)?;
        Ok(Self::assemble(path, conn, key, random, faults))
    }

    /// Opens the catalog at `path` for writing. Nothing is verified before `load`.
    pub fn open(path: &Path, key: Key32, random: Arc<dyn Random>, faults: Arc<dyn Faults>) -> Result<Self, CatalogError> {
        let conn = connect(path)?;
        Ok(Self::assemble(path, conn, key, random, faults))
    }

    /// Opens it for reading alone, as it is now: whatever is read of it is of one moment, also while another process writes. A copy on a medium that can't be written is read as it lies there.
    pub fn open_read_only(path: &Path, key: Key32, random: Arc<dyn Random>, faults: Arc<dyn Faults>) -> Result<Self, CatalogError> {
        let conn = connect_read_only(path)?;
        Ok(Self::assemble(path, conn, key, random, faults))
    }

    fn assemble(path: &Path, conn: Connection, key: Key32, random: Arc<dyn Random>, faults: Arc<dyn Faults>) -> Self {
        Self {
            conn: Some(conn),
            path: path.to_owned(),
            sealer: Sealer::new(key),
            random,
            faults,
            rows: Rows::default(),
            rewrite: Rewrite::default(),
            last_room: None,
            log: LogMerger::new(path),
        }
    }

    /// The rows, for readers.
    pub fn rows(&self) -> Rows {
        self.rows.clone()
    }

    /// Does `change` and writes `state`, in one transaction that is synced when this returns. `step` says which step of a commit it is.
    /// After an error that leaves the outcome open, the catalog is opened anew and the state row asked; so `Ok` means kept, `Full` and
    /// `Failed` mean not kept. A change that is there although its sync failed may be there in memory alone: it counts as kept only once
    /// it is settled.
    pub fn apply(&mut self, step: Step, change: &Change, state: &mut State) -> Result<(), ApplyError> {
        let before = self.state_version();
        if self.conn.is_none() {
            self.reconnect(before)?;
        }
        let plan = self.plan(change, state)?;
        let faults = Arc::clone(&self.faults);
        let written = guarded(&*faults, step, || self.write(change, &plan));
        match written {
            Ok(()) => {}
            Err(ApplyError::Full) if !self.is_kept_after_all(before)? => return Err(ApplyError::Full),
            Err(ApplyError::Failed(what)) if !self.is_kept_after_all(before)? => {
                return Err(if reserve::is_full(self.folder(), &*self.faults) { ApplyError::Full } else { ApplyError::Failed(what) });
            }
            Err(ApplyError::Unknown(what)) => return Err(ApplyError::Unknown(what)),
            Err(_) => self.settle().map_err(|error| {
                self.conn = None;
                ApplyError::Unknown(error.to_string())
            })?,
        }
        self.rewrite = Rewrite::default();
        self.remember(plan);
        let content: usize = change.batches.iter().map(|batch| batch.sealed.public.len() + batch.sealed.phi.len()).sum();
        self.log.wrote(content.saturating_add(COMMIT_PAGES * PAGE_BYTES as usize));
        Ok(())
    }

    /// Says how room is made where the disk is too full even to open the catalog anew.
    pub(crate) fn set_last_room(&mut self, last_room: LastRoom) {
        self.last_room = Some(last_room);
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// As `is_kept`; on a disk that is too full for it, in the last room.
    fn is_kept_after_all(&mut self, before: u64) -> Result<bool, ApplyError> {
        let unknown = match self.is_kept(before) {
            Err(unknown) => unknown,
            known => return known,
        };
        if !reserve::is_full(self.folder(), &*self.faults) {
            return Err(unknown);
        }
        match &mut self.last_room {
            None => return Err(unknown),
            Some(make) => make(),
        }
        self.is_kept(before)
    }

    /// Merges the rest of the log, if most of it was merged beside the commits. To be called when nobody waits for an answer.
    pub fn keep_log_short(&mut self) {
        if self.log.take_done()
            && let Some(Err(error)) = self.conn.as_ref().map(log::merge)
        {
            tracing::warn!(%error, "the catalog's log was not merged into its file; it is tried again");
        }
    }

    fn plan(&self, change: &Change, state: &mut State) -> Result<Plan, ApplyError> {
        let cache = self.rows.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut heads = cache.heads;
        let latest: BTreeMap<(Kind, &str), Option<&[u8]>> =
            change.rows.iter().map(|row| ((row.kind, row.name.as_str()), row.value.as_deref())).collect();
        let mut rows = self.plan_rewrite(&cache)?;
        for ((kind, name), value) in latest {
            rows.extend(self.plan_row(&cache, &mut heads, kind, name, value)?);
        }
        for (version, head) in state.versions.iter_mut().zip(&heads).skip(1) {
            *version = head.version;
        }
        rows.extend(self.plan_row(&cache, &mut heads, Kind::State, STATE, Some(&state.encode()))?);
        let mut sealed = Vec::new();
        for ((kind, head), old) in Kind::ALL.into_iter().zip(&heads).zip(&cache.heads) {
            if head != old || self.rewrite.kinds.contains(&kind) {
                sealed.push((kind, *head, self.sealer.seal_head(&*self.random, kind, head)?));
            }
        }
        Ok(Plan { rewrite: self.rewrite.clone(), rows, heads: sealed })
    }

    /// The rows that are left of the kinds that were damaged, as they are.
    fn plan_rewrite(&self, cache: &Cache) -> Result<Vec<PlannedRow>, ApplyError> {
        let mut rows = Vec::new();
        for kind in &self.rewrite.kinds {
            for (name, row) in cache.rows(*kind).into_iter().flatten() {
                let sealed = self.sealer.seal_row(&*self.random, *kind, &row.key, row.version, name, &row.value)?;
                let put = Some((row.version, sealed, Arc::clone(&row.value)));
                rows.push(PlannedRow { kind: *kind, key: row.key, name: name.clone(), put });
            }
        }
        Ok(rows)
    }

    /// Was something found damaged that the next transaction repairs?
    pub fn needs_repair(&self) -> bool {
        self.rewrite.strays || !self.rewrite.kinds.is_empty()
    }

    fn plan_row(
        &self,
        cache: &Cache,
        heads: &mut [Head; KINDS],
        kind: Kind,
        name: &str,
        value: Option<&[u8]>,
    ) -> Result<Option<PlannedRow>, ApplyError> {
        let (Some(head), old) = (heads.get_mut(kind.position()), cache.rows(kind).and_then(|rows| rows.get(name))) else { return Ok(None) };
        if old.is_none() && value.is_none() {
            return Ok(None);
        }
        let key = old.map_or_else(|| self.sealer.row_key(kind, name), |old| old.key);
        if let Some(old) = old {
            self.sealer.toggle(head, kind, &key, old.version);
            head.count = head.count.saturating_sub(1);
        }
        head.version = head.version.saturating_add(1);
        let put = match value {
            None => None,
            Some(value) => {
                self.sealer.toggle(head, kind, &key, head.version);
                head.count = head.count.saturating_add(1);
                let sealed = self.sealer.seal_row(&*self.random, kind, &key, head.version, name, value)?;
                Some((head.version, sealed, Arc::from(value)))
            }
        };
        Ok(Some(PlannedRow { kind, key, name: name.to_owned(), put }))
    }

    fn write(&mut self, change: &Change, plan: &Plan) -> Result<(), ApplyError> {
        let conn = self.conn.as_mut().ok_or_else(|| ApplyError::Failed("no connection".to_owned()))?;
        let transaction = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            let mut insert =
                transaction.prepare_cached("INSERT INTO batch (first_index, count, key_set, public, phi) VALUES (?, ?, ?, ?, ?)")?;
            for batch in &change.batches {
                insert.execute(params![
                    sql(batch.first_index)?,
                    batch.count,
                    sql(batch.key_set)?,
                    &batch.sealed.public[..],
                    &batch.sealed.phi[..]
                ])?;
            }
            for range in &change.remove_batches {
                let mut delete = transaction.prepare_cached("DELETE FROM batch WHERE first_index >= ? AND first_index < ?")?;
                delete.execute([sql(range.start)?, sql(range.end)?])?;
            }
            for kind in &plan.rewrite.kinds {
                transaction.execute("DELETE FROM row WHERE kind = ?", [kind.number()])?;
            }
            if plan.rewrite.strays {
                let last = Kind::ALL.map(Kind::number).into_iter().max();
                transaction.execute("DELETE FROM row WHERE kind NOT BETWEEN 1 AND ?", [last])?;
                transaction.execute("DELETE FROM head WHERE kind NOT BETWEEN 1 AND ?", [last])?;
            }
            let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO row (kind, key, value) VALUES (?, ?, ?)")?;
            for row in &plan.rows {
                match &row.put {
                    Some((_, sealed, _)) => put.execute(params![row.kind.number(), row.key, sealed])?,
                    None => transaction
                        .prepare_cached("DELETE FROM row WHERE kind = ? AND key = ?")?
                        .execute(params![row.kind.number(), row.key])?,
                };
            }
            let mut head = transaction.prepare_cached("INSERT OR REPLACE INTO head (kind, value) VALUES (?, ?)")?;
            for (kind, _, sealed) in &plan.heads {
                head.execute(params![kind.number(), sealed])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn remember(&self, plan: Plan) {
        let mut cache = self.rows.0.write().unwrap_or_else(PoisonError::into_inner);
        for (kind, head, _) in plan.heads {
            if let Some(slot) = cache.heads.get_mut(kind.position()) {
                *slot = head;
            }
        }
        for row in plan.rows {
            let Some(rows) = cache.rows.get_mut(row.kind.position()) else { continue };
            match row.put {
                Some((version, _, value)) => rows.insert(row.name, CachedRow { key: row.key, version, value }),
                None => rows.remove(&row.name),
            };
        }
    }

    fn state_version(&self) -> u64 {
        let cache = self.rows.0.read().unwrap_or_else(PoisonError::into_inner);
        cache.rows(Kind::State).and_then(|rows| rows.get(STATE)).map_or(0, |row| row.version)
    }

    /// Opens the connection anew and asks whether the state row has moved on from version `before`.
    fn is_kept(&mut self, before: u64) -> Result<bool, ApplyError> {
        // Dropped without merging the log: on a full or failing disk that could only fail.
        if let Some(conn) = self.conn.take() {
            let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
        let unknown = |what: String| ApplyError::Unknown(what);
        let faults = Arc::clone(&self.faults);
        let reopen = || connect(&self.path).map_err(|error| unknown(error.to_string()));
        let conn = guarded(&*faults, Step::CatalogReopen, reopen).map_err(|error| unknown(error.to_string()))?;
        let key = self.sealer.row_key(Kind::State, STATE);
        let found = conn.query_row("SELECT value FROM row WHERE kind = ? AND key = ?", params![Kind::State.number(), key], |row| {
            row.get::<_, Vec<u8>>(0)
        });
        let version = match found {
            Ok(sealed) => {
                self.sealer.open_row(Kind::State, &key, &sealed).ok_or_else(|| unknown("the state row is damaged".to_owned()))?.version
            }
            Err(rusqlite::Error::QueryReturnedNoRows) => 0,
            Err(error) => return Err(unknown(error.to_string())),
        };
        self.conn = Some(conn);
        Ok(version != before)
    }

    /// After `Unknown`: is the state on disk the one in memory? If the lost change was kept after all, only a restart can load it.
    fn reconnect(&mut self, before: u64) -> Result<(), ApplyError> {
        match self.is_kept(before)? {
            false => Ok(()),
            true => {
                self.conn = None;
                Err(ApplyError::Unknown("a change was kept that was reported as failed; restart to go on".to_owned()))
            }
        }
    }

    /// Puts on the disk whatever this connection reads, by writing it a second time. After a failed sync the system may hold the log's
    /// pages in memory as if they were written, and a later sync of the same pages says that all is well; only bytes that are written
    /// anew are synced anew. So the log is merged into the file, which is synced, and emptied, and that is synced too, lest an older log
    /// comes back over the newer file.
    pub fn settle(&mut self) -> Result<(), ApplyError> {
        let faults = Arc::clone(&self.faults);
        guarded(&*faults, Step::CatalogSettle, || {
            let conn = self.conn.as_ref().ok_or_else(|| ApplyError::Failed("no connection".to_owned()))?;
            let busy = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))?;
            if busy != 0 {
                return Err(ApplyError::Failed("another process reads the catalog, so that its log can't be merged".to_owned()));
            }
            match File::open(log_of(&self.path)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                log => log?.sync_all()?,
            }
            Ok(())
        })
    }

    /// Merges the log into the file and gives freed pages back, for a clean stop.
    pub fn tidy(&mut self) -> Result<(), ApplyError> {
        self.log.stop();
        let Some(conn) = &self.conn else { return Ok(()) };
        // One step gives back one page.
        let mut vacuum = conn.prepare("PRAGMA incremental_vacuum")?;
        let mut pages = vacuum.query([])?;
        while pages.next()?.is_some() {}
        drop(pages);
        drop(vacuum);
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

/// SQLite's log beside the file.
fn log_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

fn sql(number: u64) -> Result<i64, ApplyError> {
    i64::try_from(number).map_err(|_| ApplyError::Failed("the trail is full: an index does not fit".to_owned()))
}

fn connect(path: &Path) -> Result<Connection, CatalogError> {
    let sqlite = |cause| CatalogError::Sqlite { path: path.to_owned(), cause };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    check_marks(path, &conn)?;
    prepare(&conn).map_err(sqlite)?;
    Ok(conn)
}

fn connect_read_only(path: &Path) -> Result<Connection, CatalogError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sqlite = |cause| CatalogError::Sqlite { path: path.to_owned(), cause };
    let usable = |conn: Connection| -> Result<Connection, CatalogError> {
        check_marks(path, &conn)?;
        conn.execute_batch("PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; BEGIN").map_err(sqlite)?;
        Ok(conn)
    };
    match Connection::open_with_flags(path, flags).map_err(sqlite).and_then(usable) {
        Err(CatalogError::Sqlite { cause, .. }) if is_unwritable(&cause) => {
            let uri = immutable_uri(path)?;
            Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI).map_err(sqlite).and_then(usable)
        }
        other => other,
    }
}

fn is_unwritable(cause: &rusqlite::Error) -> bool {
    matches!(cause.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied))
}

/// SQLite can't make its `-shm` file on a read-only medium; a file that nobody changes needs none.
fn immutable_uri(path: &Path) -> Result<String, CatalogError> {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt as _;
    // As it never looks at the log, it would show an older catalog.
    if std::fs::metadata(log_of(path)).is_ok_and(|log| log.len() > 0) {
        return Err(CatalogError::Unmerged { path: path.to_owned() });
    }
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            other => {
                let _ = write!(uri, "%{other:02x}");
            }
        }
    }
    uri.push_str("?immutable=1");
    Ok(uri)
}

fn check_marks(path: &Path, conn: &Connection) -> Result<(), CatalogError> {
    for (pragma, expected) in [("application_id", APPLICATION_ID), ("user_version", FORMAT_VERSION)] {
        let found = conn.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i32>(0));
        let found = found.map_err(|cause| CatalogError::Sqlite { path: path.to_owned(), cause })?;
        if found != expected {
            return Err(CatalogError::Foreign { path: path.to_owned(), what: format!("{pragma} {found}") });
        }
    }
    Ok(())
}

fn prepare(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_prepared_statement_cache_capacity(16);
    conn.query_row("PRAGMA journal_mode=WAL", [], |_| Ok(()))?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.query_row(&format!("PRAGMA wal_autocheckpoint={LOG_PAGES}"), [], |_| Ok(()))?;
    conn.query_row(&format!("PRAGMA journal_size_limit={LOG_KEPT_BYTES}"), [], |_| Ok(()))?;
    conn.busy_timeout(std::time::Duration::from_secs(30))?;
    conn.execute_batch("PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA cache_size=-16384;")
}
