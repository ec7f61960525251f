#![allow(clippy::single_range_in_vec_init, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::process::Command;

use proptest::prelude::*;
use rusqlite::Connection;

use super::*;
use crate::batch::Sealed;
use crate::fresh::StoredBatch;
use crate::testing::Seeded;
use crate::trail::tests::support::{Failing, When};

struct Shelf {
    place: tempfile::TempDir,
    faults: Arc<Failing>,
}

impl Shelf {
    fn new() -> Self {
        let place = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        Self { place, faults: Arc::default() }
    }

    fn path(&self) -> PathBuf {
        self.place.path().join("catalog.sqlite")
    }

    fn key() -> Key32 {
        Key32::from_bytes([7; 32])
    }

    fn create(&self) -> Catalog {
        Catalog::create(&self.path(), Self::key(), Arc::new(Seeded::new(1)), self.faults.clone()).unwrap()
    }

    fn open(&self) -> (Catalog, Loaded) {
        let mut catalog = Catalog::open(&self.path(), Self::key(), Arc::new(Seeded::new(2)), self.faults.clone()).unwrap();
        let loaded = catalog.load().unwrap();
        (catalog, loaded)
    }

    fn sql(&self, sql: &str) {
        assert!(Connection::open(self.path()).unwrap().execute(sql, []).unwrap() > 0, "{sql}");
    }
}

fn put(name: &str, value: &str) -> RowChange {
    RowChange::put(Kind::Token, name, value)
}

fn rows(rows: Vec<RowChange>) -> Change {
    Change { rows, ..Change::default() }
}

fn state(size: u64) -> State {
    let mut state = State::default();
    (0..size).for_each(|at| state.frontier.push([u8::try_from(at % 251).unwrap(); 32]));
    state
}

fn stored(first_index: u64, count: u32) -> StoredBatch {
    StoredBatch { first_index, count, key_set: 3, sealed: Sealed { public: vec![1; 9].into(), phi: vec![2; 5].into() } }
}

#[test]
fn rows_batches_and_state_are_there_after_reopening() {
    let shelf = Shelf::new();
    let mut catalog = shelf.create();
    let change =
        Change { batches: vec![stored(0, 5), stored(5, 1)], rows: vec![put("a", "1"), put("b", "2"), put("a", "3")], ..Change::default() };
    let mut now = State { next_id: 9, epoch: "2026-11".to_owned(), ..state(6) };
    catalog.apply(Step::CatalogWrite, &change, &mut now).unwrap();
    catalog
        .apply(
            Step::CatalogWrite,
            &Change { remove_batches: vec![0..5], rows: vec![RowChange::remove(Kind::Token, "b")], ..Change::default() },
            &mut now,
        )
        .unwrap();
    drop(catalog);

    let (catalog, loaded) = shelf.open();
    assert_eq!((loaded.damage, loaded.state), (vec![], Some(now)));
    assert_eq!(catalog.rows().all(Kind::Token), [("a".to_owned(), Arc::from(b"3".as_slice()))]);
    let mut found = Vec::new();
    let mut damage = Vec::new();
    catalog.batches(&mut damage, |batch| found.push((batch.first_index, batch.count, batch.key_set, batch.sealed.phi.to_vec()))).unwrap();
    assert_eq!((found, damage), (vec![(5, 1, 3, vec![2; 5])], vec![]));
    assert_eq!(catalog.integrity().unwrap(), []);
}

#[test]
fn a_clean_stop_gives_back_the_pages_of_what_became_segments() {
    let shelf = Shelf::new();
    let mut catalog = shelf.create();
    let large = StoredBatch { sealed: Sealed { public: vec![1; 1 << 20].into(), phi: vec![2; 1 << 20].into() }, ..stored(0, 5) };
    catalog.apply(Step::CatalogWrite, &Change { batches: vec![large], ..Change::default() }, &mut state(5)).unwrap();
    catalog.apply(Step::SegmentSwap, &Change { remove_batches: vec![0..5], ..Change::default() }, &mut state(5)).unwrap();
    catalog.tidy().unwrap();
    drop(catalog);
    let size_bytes = std::fs::metadata(shelf.path()).unwrap().len();
    assert!(size_bytes < 1 << 17, "{size_bytes} bytes are left");
}

#[test]
fn an_unclear_outcome_is_cleared_by_the_state_row() {
    let shelf = Shelf::new();
    let mut catalog = shelf.create();
    catalog.apply(Step::CatalogWrite, &rows(vec![put("a", "1")]), &mut state(1)).unwrap();
    shelf.faults.fail(Step::CatalogWrite, When::Before, 0, 1);
    assert!(matches!(catalog.apply(Step::CatalogWrite, &rows(vec![put("b", "1")]), &mut state(2)), Err(ApplyError::Failed(_))));
    assert_eq!(catalog.rows().get(Kind::Token, "b"), None);
    shelf.faults.fail(Step::CatalogWrite, When::After, 0, 1);
    catalog.apply(Step::CatalogWrite, &rows(vec![put("c", "1")]), &mut state(3)).unwrap();
    assert!(catalog.rows().get(Kind::Token, "c").is_some());
    let (_, loaded) = shelf.open();
    assert_eq!((loaded.damage, loaded.state.unwrap().frontier.size()), (vec![], 3));
}

#[test]
fn a_change_whose_sync_failed_is_kept_only_once_it_is_written_a_second_time() {
    let shelf = Shelf::new();
    let mut catalog = shelf.create();
    let log = log_of(&shelf.path());
    let alone = shelf.place.path().join("alone.sqlite");
    shelf.faults.fail(Step::CatalogWrite, When::After, 0, 1);
    catalog.apply(Step::CatalogWrite, &rows(vec![put("a", "1")]), &mut state(1)).unwrap();
    // What was acknowledged does not need the log, whose sync failed.
    assert_eq!(std::fs::metadata(&log).unwrap().len(), 0);
    std::fs::copy(shelf.path(), &alone).unwrap();
    let mut found = Catalog::open(&alone, Shelf::key(), Arc::new(Seeded::new(2)), shelf.faults.clone()).unwrap();
    assert_eq!(found.load().unwrap().state.unwrap().frontier.size(), 1);

    for when in [When::Before, When::After] {
        shelf.faults.fail(Step::CatalogWrite, When::After, 0, 1);
        shelf.faults.fail(Step::CatalogSettle, when, 0, 1);
        let unknown = catalog.apply(Step::CatalogWrite, &rows(vec![put("b", "1")]), &mut state(2));
        assert!(matches!(unknown, Err(ApplyError::Unknown(_))), "{unknown:?}");
        let later = catalog.apply(Step::CatalogWrite, &rows(vec![put("c", "1")]), &mut state(2));
        assert!(matches!(later, Err(ApplyError::Unknown(_))), "{later:?}");
        catalog = shelf.open().0;
        assert!(catalog.rows().get(Kind::Token, "b").is_some());
    }
}

#[test]
fn the_connection_that_writes_syncs_every_commit() {
    let shelf = Shelf::new();
    let pragma = |catalog: &Catalog, name: &str| {
        let conn = catalog.conn.as_ref().unwrap();
        conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, rusqlite::types::Value>(0)).unwrap()
    };
    let check = |catalog: &Catalog| {
        assert_eq!(pragma(catalog, "journal_mode"), "wal".to_owned().into());
        // 2 is FULL.
        assert_eq!(pragma(catalog, "synchronous"), 2_i64.into());
    };
    let mut catalog = shelf.create();
    check(&catalog);
    // After a failure the connection is another one.
    shelf.faults.fail(Step::CatalogWrite, When::After, 0, 1);
    catalog.apply(Step::CatalogWrite, &rows(vec![put("a", "1")]), &mut state(1)).unwrap();
    check(&catalog);
    drop(catalog);
    check(&shelf.open().0);
}

const COMMITS: usize = 30;

#[test]
#[ignore = "run by the next test, under strace"]
fn commits() {
    let shelf = Shelf::new();
    let mut catalog = shelf.create();
    (0..COMMITS as u64).for_each(|size| catalog.apply(Step::CatalogWrite, &Change::default(), &mut state(size)).unwrap());
}

#[test]
fn every_commit_syncs_the_log() {
    // Killing a process leaves what the system holds in memory, so only the system calls tell; where they can't be seen, nothing is told.
    let traced = Command::new("strace")
        .args(["-f", "-y", "-e", "trace=fsync,fdatasync"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "catalog::tests::commits", "--ignored"])
        .output();
    let Ok(traced) = traced else { return };
    let calls = String::from_utf8(traced.stderr).unwrap();
    if !calls.contains("catalog.sqlite") {
        return;
    }
    assert!(traced.status.success(), "{calls}");
    let synced = calls.lines().filter(|line| line.contains("catalog.sqlite-wal") && line.ends_with("= 0")).count();
    assert!(synced >= COMMITS, "{synced} syncs of the log in {COMMITS} commits");
}

#[test]
fn each_way_to_tamper_with_rows_shows() {
    let tamper = [
        "DELETE FROM row WHERE kind = 5 AND key = (SELECT min(key) FROM row WHERE kind = 5)",
        "UPDATE row SET value = (SELECT value FROM row WHERE kind = 9) WHERE kind = 5",
        "UPDATE row SET kind = 9 WHERE kind = 5 AND key = (SELECT min(key) FROM row WHERE kind = 5)",
        "UPDATE row SET key = randomblob(16) WHERE kind = 5 AND key = (SELECT min(key) FROM row WHERE kind = 5)",
        "UPDATE row SET value = zeroblob(80) WHERE kind = 1",
        "DELETE FROM row WHERE kind = 1",
        "DELETE FROM head WHERE kind = 5",
        "DELETE FROM head",
        "UPDATE head SET value = (SELECT value FROM head WHERE kind = 9) WHERE kind = 5",
        "INSERT INTO row SELECT 77, key, value FROM row WHERE kind = 9",
        "UPDATE row SET value = 5 WHERE kind = 9",
    ];
    for sql in tamper {
        let shelf = Shelf::new();
        let mut catalog = shelf.create();
        let change = rows(vec![put("a", "1"), put("b", "2"), RowChange::put(Kind::Setting, "s", *b"3")]);
        catalog.apply(Step::CatalogWrite, &change, &mut state(1)).unwrap();
        drop(catalog);
        assert_eq!(shelf.open().1.damage, []);
        shelf.sql(sql);
        assert_ne!(shelf.open().1.damage, [], "{sql}");
    }
}

#[test]
fn damage_that_nothing_is_built_on_is_named_dropped_and_repaired() {
    let tamper = [
        ("UPDATE row SET value = zeroblob(80) WHERE kind = 6 AND key = (SELECT min(key) FROM row WHERE kind = 6)", Kind::Source, 1),
        ("DELETE FROM row WHERE kind = 9", Kind::Setting, 0),
        ("DELETE FROM head WHERE kind = 6", Kind::Source, 2),
        ("UPDATE head SET value = zeroblob(80) WHERE kind = 6", Kind::Source, 2),
        ("UPDATE row SET value = zeroblob(80) WHERE kind = 5", Kind::Token, 0),
        ("UPDATE row SET value = zeroblob(80) WHERE kind = 7", Kind::Idempotency, 0),
        ("UPDATE row SET value = zeroblob(80) WHERE kind = 10", Kind::User, 0),
        ("UPDATE head SET value = zeroblob(80) WHERE kind = 10", Kind::User, 0),
        ("UPDATE row SET value = zeroblob(80) WHERE kind = 4", Kind::Run, 0),
        ("INSERT INTO row SELECT 77, key, value FROM row WHERE kind = 9", Kind::Setting, 1),
        ("INSERT INTO head SELECT 77, value FROM head WHERE kind = 9", Kind::Setting, 1),
        ("INSERT INTO row SELECT 6, randomblob(16), value FROM row WHERE kind = 9", Kind::Source, 2),
    ];
    for (sql, kind, left) in tamper {
        let shelf = Shelf::new();
        let mut catalog = shelf.create();
        let all = [Kind::Run, Kind::Token, Kind::Source, Kind::Idempotency, Kind::Setting, Kind::User, Kind::Segment];
        let mut change = rows(all.iter().map(|kind| RowChange::put(*kind, "a", *b"1")).collect());
        change.rows.push(RowChange::put(Kind::Source, "b", *b"2"));
        catalog.apply(Step::CatalogWrite, &change, &mut state(1)).unwrap();
        drop(catalog);
        shelf.sql(sql);
        let (mut catalog, loaded) = shelf.open();
        assert!(!loaded.damage.is_empty() && loaded.fatal.is_none(), "{sql}: {:?}", loaded.damage);
        assert!(catalog.needs_repair());
        assert_eq!(catalog.rows().all(kind).len(), left, "{sql}");
        catalog.apply(Step::CatalogWrite, &rows(vec![RowChange::put(kind, "c", *b"3")]), &mut loaded.state.unwrap()).unwrap();
        assert!(!catalog.needs_repair());
        drop(catalog);
        let (catalog, loaded) = shelf.open();
        assert_eq!((loaded.damage, catalog.rows().all(kind).len()), (vec![], left + 1), "{sql}");
    }
    for sql in ["DELETE FROM row WHERE kind = 3", "DELETE FROM head WHERE kind = 8", "UPDATE row SET value = zeroblob(9) WHERE kind = 1"] {
        let shelf = Shelf::new();
        let mut catalog = shelf.create();
        let change = rows(vec![RowChange::put(Kind::Segment, "a", *b"1"), RowChange::put(Kind::Erasure, "a", *b"1")]);
        catalog.apply(Step::CatalogWrite, &change, &mut state(1)).unwrap();
        drop(catalog);
        shelf.sql(sql);
        assert!(shelf.open().1.fatal.is_some(), "{sql}");
    }
}

#[test]
fn a_kind_that_is_set_back_with_its_head_shows_and_lets_nobody_in() {
    for kind in [Kind::Token, Kind::User] {
        let shelf = Shelf::new();
        let mut catalog = shelf.create();
        let revoked = rows(vec![RowChange::put(kind, "revoked", *b"1")]);
        catalog.apply(Step::CatalogWrite, &revoked, &mut state(1)).unwrap();
        drop(catalog);
        let old = shelf.place.path().join("old.sqlite");
        std::fs::copy(shelf.path(), &old).unwrap();
        let (mut catalog, loaded) = shelf.open();
        catalog.apply(Step::CatalogWrite, &rows(vec![RowChange::remove(kind, "revoked")]), &mut loaded.state.unwrap()).unwrap();
        drop(catalog);
        let conn = Connection::open(shelf.path()).unwrap();
        conn.execute("ATTACH ? AS old", [old.to_str().unwrap()]).unwrap();
        conn.execute("INSERT OR REPLACE INTO row SELECT * FROM old.row WHERE kind = ?", [kind.number()]).unwrap();
        conn.execute("INSERT OR REPLACE INTO head SELECT * FROM old.head WHERE kind = ?", [kind.number()]).unwrap();
        drop(conn);
        let (catalog, loaded) = shelf.open();
        assert_ne!(loaded.damage, []);
        assert_eq!(catalog.rows().get(kind, "revoked"), None);
    }
}

#[test]
fn what_is_read_beside_a_writer_is_of_one_moment() {
    let shelf = Shelf::new();
    let mut catalog = shelf.create();
    let change = Change { batches: vec![stored(0, 5)], ..rows(vec![put("a", "1")]) };
    catalog.apply(Step::CatalogWrite, &change, &mut state(5)).unwrap();
    let mut beside = Catalog::open_read_only(&shelf.path(), Shelf::key(), Arc::new(Seeded::new(2)), shelf.faults.clone()).unwrap();
    let loaded = beside.load().unwrap();
    let change = Change { batches: vec![stored(5, 5)], remove_batches: vec![0..5], ..rows(vec![put("b", "1")]) };
    catalog.apply(Step::CatalogWrite, &change, &mut state(10)).unwrap();
    let mut found = Vec::new();
    beside.batches(&mut Vec::new(), |batch| found.push(batch.first_index)).unwrap();
    assert_eq!((loaded.damage, loaded.state.unwrap().frontier.size(), found), (vec![], 5, vec![0]));
}

#[test]
fn a_log_that_cannot_be_read_is_not_passed_over() {
    let shelf = Shelf::new();
    let mut catalog = shelf.create();
    assert!(immutable_uri(&shelf.path()).is_ok_and(|uri| uri.ends_with("immutable=1")) || log_of(&shelf.path()).exists());
    catalog.apply(Step::CatalogWrite, &rows(vec![put("a", "1")]), &mut state(1)).unwrap();
    assert!(matches!(immutable_uri(&shelf.path()), Err(CatalogError::Unmerged { .. })));
    catalog.settle().unwrap();
    assert!(immutable_uri(&shelf.path()).is_ok());
}

#[test]
fn files_of_others_and_later_versions_are_refused() {
    let shelf = Shelf::new();
    drop(shelf.create());
    for pragma in ["application_id = 5", "user_version = 2"] {
        let other = Shelf::new();
        std::fs::copy(shelf.path(), other.path()).unwrap();
        Connection::open(other.path()).unwrap().execute_batch(&format!("PRAGMA {pragma}")).unwrap();
        let opened = Catalog::open(&other.path(), Shelf::key(), Arc::new(Seeded::new(1)), other.faults.clone());
        assert!(matches!(opened, Err(CatalogError::Foreign { .. })), "{pragma}");
    }
    std::fs::write(shelf.path(), b"not a database, but long enough to look like one to somebody who is not careful enough").unwrap();
    assert!(Catalog::open(&shelf.path(), Shelf::key(), Arc::new(Seeded::new(1)), shelf.faults.clone()).is_err());
}

#[test]
fn state_is_read_as_written_and_nothing_else_is() {
    for size in [0, 1, 2, 255, 256, 1000] {
        let state = State { next_id: u64::MAX, epoch: "2026-11".to_owned(), ..state(size) };
        let bytes = state.encode();
        // Before there were users, the row ended before their version.
        let without_users = bytes.len() - 8;
        assert_eq!(State::decode(&bytes[..without_users]).as_ref(), Some(&state));
        assert_eq!(State::decode(&bytes), Some(state));
        for length in (0..bytes.len()).filter(|length| *length != without_users) {
            assert_eq!(State::decode(&bytes[..length]), None);
        }
        assert_eq!(State::decode(&[bytes.as_slice(), &[0]].concat()), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn rows_are_those_of_a_map(changes in proptest::collection::vec(proptest::collection::vec((0_u8..6, proptest::option::of(any::<u8>())), 0..5), 1..12)) {
        let shelf = Shelf::new();
        let mut catalog = shelf.create();
        let mut now = state(0);
        let mut oracle = BTreeMap::new();
        for change in changes {
            let change: Vec<RowChange> = change.into_iter().map(|(name, value)| {
                let name = format!("row-{name}");
                match value {
                    Some(value) => oracle.insert(name.clone(), vec![value]),
                    None => oracle.remove(&name),
                };
                RowChange { kind: Kind::Segment, value: oracle.get(&name).cloned(), name }
            }).collect();
            catalog.apply(Step::CatalogWrite, &rows(change), &mut now).unwrap();
        }
        drop(catalog);
        let (catalog, loaded) = shelf.open();
        prop_assert_eq!(loaded.damage, vec![]);
        let found: BTreeMap<String, Vec<u8>> = catalog.rows().all(Kind::Segment).into_iter().map(|(name, value)| (name, value.to_vec())).collect();
        prop_assert_eq!(found, oracle);
    }
}

#[test]
fn the_log_begins_anew_before_a_commit_has_to_merge_it() {
    let shelf = Shelf::new();
    let mut catalog = shelf.create();
    let log = shelf.place.path().join("catalog.sqlite-wal");
    // How often it began anew stands in its header; the limit at which a commit merges it would show in its size.
    let beginnings = || std::fs::read(&log).map_or(0, |bytes| u32::from_be_bytes(bytes[12..16].try_into().unwrap()));
    let content: Arc<[u8]> = vec![7; 64 << 10].into();
    let first = beginnings();
    let mut index = 0;
    let limit = u64::from(LOG_PAGES) * u64::from(PAGE_BYTES);
    while beginnings() == first {
        let sealed = Sealed { public: Arc::clone(&content), phi: Arc::clone(&content) };
        let batches = vec![StoredBatch { first_index: index, count: 1, key_set: 3, sealed }];
        index += 1;
        catalog.apply(Step::CatalogWrite, &Change { batches, ..Change::default() }, &mut state(index)).unwrap();
        catalog.keep_log_short();
        assert!(std::fs::metadata(&log).unwrap().len() < limit, "a commit had to merge the log");
        // As a disk would: otherwise commits in memory outrun any thread.
        std::thread::yield_now();
    }
    drop(catalog);
    let (catalog, loaded) = shelf.open();
    assert_eq!((loaded.state.map(|state| state.frontier.size()), loaded.damage), (Some(index), vec![]));
    let mut count = 0;
    catalog.batches(&mut Vec::new(), |_| count += 1).unwrap();
    assert_eq!(count, index);
}
