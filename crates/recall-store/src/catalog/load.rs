//! Reading the catalog whole and saying what in it is not as it was written.
//!
//! What is whole is handed on; what is not is named as `Damage`, and the caller decides how far it can go without it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::row::{Head, Kind, RowKey};
use super::{Cache, CachedRow, Catalog, CatalogError, Rewrite, STATE, State};
use crate::batch::Sealed;
use crate::fresh::StoredBatch;

/// Something in the catalog that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.place, self.what)
    }
}

/// What loading found, beside the rows.
pub struct Loaded {
    /// How far the trail has come; none where the state row is lost or was changed.
    pub state: Option<State>,
    /// What is wrong.
    pub damage: Vec<Damage>,
    /// The first of it that stands under something else, so that nothing may be built on what is left.
    pub fatal: Option<Damage>,
}

/// What is wrong, while it is gathered.
#[derive(Default)]
struct Findings {
    damage: Vec<Damage>,
    fatal: Option<Damage>,
    /// Kinds whose rows are written anew, without those that are damaged.
    rewrite: BTreeSet<Kind>,
    /// Rows and heads of no kind that there is.
    strays: bool,
}

impl Findings {
    fn fatal(&mut self, place: impl Into<String>, what: impl Into<String>) {
        let damage = Damage { place: place.into(), what: what.into() };
        self.fatal.get_or_insert_with(|| damage.clone());
        self.damage.push(damage);
    }

    fn of_kind(&mut self, kind: Kind, place: &str, what: &str) {
        let place = format!("catalog, {place} of kind {}", kind.name());
        if kind.is_built_on() {
            return self.fatal(place, what);
        }
        self.rewrite.insert(kind);
        self.damage.push(Damage { place, what: format!("{what}; what is whole is kept, and nothing is built on the rest") });
    }

    fn stray(&mut self, table: &str, what: &str) {
        self.strays = true;
        self.damage.push(Damage { place: format!("catalog, table {table}"), what: what.to_owned() });
    }
}

impl Catalog {
    fn sqlite(&self, cause: rusqlite::Error) -> CatalogError {
        CatalogError::Sqlite { path: self.path.clone(), cause }
    }

    fn connection(&self) -> Result<&Connection, CatalogError> {
        self.conn.as_ref().ok_or_else(|| self.sqlite(rusqlite::Error::InvalidQuery))
    }

    /// Reads all rows into memory and checks them against their heads. Rows of tokens, users and idempotency keys are used only where their
    /// head agrees: nobody is let in on the word of a row that may have been brought back. Damage to a kind that nothing is built on is
    /// named, and repaired by the next transaction: the rows that are whole are written under a new head.
    pub fn load(&mut self) -> Result<Loaded, CatalogError> {
        let mut findings = Findings::default();
        let mut cache = self.read_rows(&mut findings)?;
        let heads = self.read_heads(&mut findings)?;
        let state = cache.rows(Kind::State).and_then(|rows| rows.get(STATE)).and_then(|row| State::decode(&row.value));
        for (position, (kind, head)) in Kind::ALL.into_iter().zip(heads).enumerate() {
            let expected = match (&state, kind) {
                (Some(state), kind) if kind != Kind::State => state.versions.get(position).copied(),
                _ => head.map(|head| head.version),
            };
            let (expected, mut head) = (expected.unwrap_or(0), head.unwrap_or_default());
            if self.sum(&cache, kind) != (Head { version: 0, ..head }) || expected != head.version {
                findings.of_kind(kind, "rows", "a row is missing, was changed, or is an older one");
                if let (Kind::Token | Kind::User | Kind::Idempotency, Some(rows)) = (kind, cache.rows.get_mut(position)) {
                    rows.clear();
                }
            }
            if findings.rewrite.contains(&kind) {
                let latest = cache.rows(kind).into_iter().flat_map(BTreeMap::values).map(|row| row.version).max().unwrap_or(0);
                head = Head { version: expected.max(head.version).max(latest).saturating_add(1), ..self.sum(&cache, kind) };
            }
            if let Some(slot) = cache.heads.get_mut(position) {
                *slot = head;
            }
        }
        *self.rows.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = cache;
        self.rewrite = Rewrite { kinds: findings.rewrite, strays: findings.strays };
        Ok(Loaded { state, damage: findings.damage, fatal: findings.fatal })
    }

    /// What the rows of a kind add up to, with no version.
    fn sum(&self, cache: &Cache, kind: Kind) -> Head {
        let mut sum = Head::default();
        for row in cache.rows(kind).into_iter().flat_map(|rows| rows.values()) {
            self.sealer.toggle(&mut sum, kind, &row.key, row.version);
            sum.count = sum.count.saturating_add(1);
        }
        sum
    }

    fn read_rows(&self, findings: &mut Findings) -> Result<Cache, CatalogError> {
        let mut cache = Cache::default();
        let mut statement = self.connection()?.prepare("SELECT kind, key, value FROM row").map_err(|cause| self.sqlite(cause))?;
        let mut rows = statement.query([]).map_err(|cause| self.sqlite(cause))?;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => {
                    findings.fatal("catalog, table row", error.to_string());
                    break;
                }
            };
            let number = row.get_ref(0).ok().and_then(|value| value.as_i64().ok());
            let Some(kind) = number.and_then(Kind::from_number) else {
                findings.stray("row", "a row of an unknown kind");
                continue;
            };
            let opened = blob(row.get_ref(1)).and_then(|key| RowKey::try_from(key).ok()).and_then(|key| {
                let opened = self.sealer.open_row(kind, &key, blob(row.get_ref(2))?)?;
                Some((key, opened))
            });
            match (opened, cache.rows.get_mut(kind.position())) {
                (Some((key, opened)), Some(rows)) => {
                    rows.insert(opened.name, CachedRow { key, version: opened.version, value: opened.value.into() });
                }
                _ => findings.of_kind(kind, "a row", "its seal does not hold"),
            }
        }
        Ok(cache)
    }

    fn read_heads(&self, findings: &mut Findings) -> Result<Vec<Option<Head>>, CatalogError> {
        let mut heads = vec![None; Kind::ALL.len()];
        let mut statement = self.connection()?.prepare("SELECT kind, value FROM head").map_err(|cause| self.sqlite(cause))?;
        let mut rows = statement.query([]).map_err(|cause| self.sqlite(cause))?;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => {
                    findings.fatal("catalog, table head", error.to_string());
                    break;
                }
            };
            let kind = row.get_ref(0).ok().and_then(|value| value.as_i64().ok()).and_then(Kind::from_number);
            let Some((kind, slot)) = kind.and_then(|kind| Some((kind, heads.get_mut(kind.position())?))) else {
                findings.stray("head", "a head of an unknown kind");
                continue;
            };
            *slot = blob(row.get_ref(1)).and_then(|sealed| self.sealer.open_head(kind, sealed));
            if slot.is_none() {
                findings.of_kind(kind, "the head", "its seal does not hold");
            }
        }
        Ok(heads)
    }

    /// Hands every batch to `each`, in index order.
    pub fn batches(&self, damage: &mut Vec<Damage>, mut each: impl FnMut(StoredBatch)) -> Result<(), CatalogError> {
        let sql = "SELECT first_index, count, key_set, public, phi FROM batch ORDER BY first_index";
        let mut statement = self.connection()?.prepare(sql).map_err(|cause| self.sqlite(cause))?;
        let mut rows = statement.query([]).map_err(|cause| self.sqlite(cause))?;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(()),
                Err(error) => {
                    damage.push(Damage { place: "catalog, table batch".to_owned(), what: error.to_string() });
                    return Ok(());
                }
            };
            match stored_batch(row) {
                Some(batch) => each(batch),
                None => damage.push(Damage { place: "catalog, table batch".to_owned(), what: "a row has the wrong shape".to_owned() }),
            }
        }
    }

    /// First index and count of each batch of a key set.
    pub fn batches_of(&self, key_set: u64) -> Result<Vec<(u64, u32)>, CatalogError> {
        let sqlite = |cause| self.sqlite(cause);
        let key_set = i64::try_from(key_set).unwrap_or(-1);
        let sql = "SELECT first_index, count FROM batch WHERE key_set = ? ORDER BY first_index";
        let mut statement = self.connection()?.prepare(sql).map_err(sqlite)?;
        let rows = statement.query_map([key_set], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?))).map_err(sqlite)?;
        let rows: Vec<(i64, u32)> = rows.collect::<Result<_, _>>().map_err(sqlite)?;
        Ok(rows.into_iter().map(|(first_index, count)| (first_index.cast_unsigned(), count)).collect())
    }

    /// SQLite's own check of its pages; at most a hundred findings.
    pub fn integrity(&self) -> Result<Vec<Damage>, CatalogError> {
        let mut statement = self.connection()?.prepare("PRAGMA integrity_check(100)").map_err(|cause| self.sqlite(cause))?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0)).map_err(|cause| self.sqlite(cause))?;
        let findings = lines.map(|line| line.unwrap_or_else(|error| error.to_string())).filter(|line| line != "ok");
        Ok(findings.map(|what| Damage { place: "catalog.sqlite".to_owned(), what }).collect())
    }
}

fn blob(value: rusqlite::Result<ValueRef<'_>>) -> Option<&[u8]> {
    value.ok()?.as_blob().ok()
}

fn stored_batch(row: &rusqlite::Row<'_>) -> Option<StoredBatch> {
    let number = |column| row.get_ref(column).ok()?.as_i64().ok();
    Some(StoredBatch {
        first_index: u64::try_from(number(0)?).ok()?,
        count: u32::try_from(number(1)?).ok()?,
        key_set: u64::try_from(number(2)?).ok()?,
        sealed: Sealed { public: blob(row.get_ref(3))?.into(), phi: blob(row.get_ref(4))?.into() },
    })
}
