//! Reading the catalog whole and saying what in it is not as it was written.
//!
//! What is whole is handed on; what is not is named as `Damage`, and the caller decides how far it can go without it.

use std::fmt;

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::row::{Head, Kind, RowKey};
use super::{Cache, CachedRow, Catalog, CatalogError, STATE, State};
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
}

impl Catalog {
    fn sqlite(&self, cause: rusqlite::Error) -> CatalogError {
        CatalogError::Sqlite { path: self.path.clone(), cause }
    }

    fn connection(&self) -> Result<&Connection, CatalogError> {
        self.conn.as_ref().ok_or_else(|| self.sqlite(rusqlite::Error::InvalidQuery))
    }

    /// Reads all rows into memory and checks them against their heads. Rows of tokens and idempotency keys are used only where their
    /// head agrees: nobody is let in on the word of a row that may have been brought back.
    pub fn load(&mut self) -> Result<Loaded, CatalogError> {
        let mut damage = Vec::new();
        let mut cache = self.read_rows(&mut damage)?;
        let mut heads = self.read_heads(&mut damage)?;
        let state = cache.rows(Kind::State).and_then(|rows| rows.get(STATE)).and_then(|row| State::decode(&row.value));
        for (position, kind) in Kind::ALL.into_iter().enumerate() {
            let sum = self.sum(&cache, kind);
            let head = heads.get(position).copied().flatten();
            let expected = match (&state, kind) {
                (_, Kind::State) => head.map(|head| head.version),
                (Some(state), _) => state.versions.get(position).copied(),
                (None, _) => head.map(|head| head.version),
            };
            let head = head.unwrap_or_default();
            let agrees = sum == (Head { version: 0, ..head }) && expected.unwrap_or(0) == head.version;
            if !agrees {
                damage.push(Damage {
                    place: format!("catalog, rows of kind {}", kind.name()),
                    what: "a row is missing, was changed, or is an older one".to_owned(),
                });
                if let (Kind::Token | Kind::Idempotency, Some(rows)) = (kind, cache.rows.get_mut(position)) {
                    rows.clear();
                }
            }
            if let Some(slot) = cache.heads.get_mut(position) {
                *slot = head;
            }
        }
        heads.clear();
        *self.rows.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = cache;
        Ok(Loaded { state, damage })
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

    fn read_rows(&self, damage: &mut Vec<Damage>) -> Result<Cache, CatalogError> {
        let mut cache = Cache::default();
        let mut statement = self.connection()?.prepare("SELECT kind, key, value FROM row").map_err(|cause| self.sqlite(cause))?;
        let mut rows = statement.query([]).map_err(|cause| self.sqlite(cause))?;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => {
                    damage.push(Damage { place: "catalog, table row".to_owned(), what: error.to_string() });
                    break;
                }
            };
            let number = row.get_ref(0).ok().and_then(|value| value.as_i64().ok());
            let Some(kind) = number.and_then(Kind::from_number) else {
                damage.push(Damage { place: "catalog, table row".to_owned(), what: "a row of an unknown kind".to_owned() });
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
                _ => damage
                    .push(Damage { place: format!("catalog, a row of kind {}", kind.name()), what: "its seal does not hold".to_owned() }),
            }
        }
        Ok(cache)
    }

    fn read_heads(&self, damage: &mut Vec<Damage>) -> Result<Vec<Option<Head>>, CatalogError> {
        let mut heads = vec![None; Kind::ALL.len()];
        let mut statement = self.connection()?.prepare("SELECT kind, value FROM head").map_err(|cause| self.sqlite(cause))?;
        let mut rows = statement.query([]).map_err(|cause| self.sqlite(cause))?;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => {
                    damage.push(Damage { place: "catalog, table head".to_owned(), what: error.to_string() });
                    break;
                }
            };
            let kind = row.get_ref(0).ok().and_then(|value| value.as_i64().ok()).and_then(Kind::from_number);
            let head = kind.and_then(|kind| Some((kind, self.sealer.open_head(kind, blob(row.get_ref(1))?)?)));
            match head.and_then(|(kind, head)| Some((heads.get_mut(kind.position())?, head))) {
                Some((slot, head)) => *slot = Some(head),
                None => damage.push(Damage { place: "catalog, table head".to_owned(), what: "a head's seal does not hold".to_owned() }),
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
