#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::Int64Type;
use proptest::prelude::*;

use super::*;
use crate::columns::Column;
use crate::snapshot::{Part, Predicate, Rows};
use crate::testing::{Bench, actor, oracle, patient, plain, read};
use crate::token::TokenKind;

fn segment(bench: &Bench, id: u64, tier: u32, parts: &[Part]) -> Segment {
    let plan = Plan { id, tier, key_set: 1, parts, zstd_level: 1, stop: &AtomicBool::new(false) };
    let row = write(bench.path(), &plan, &bench.keys, &bench.phi).unwrap();
    assert_eq!(SegmentRow::decode(&row.encode()).unwrap(), row);
    Segment::open(bench.path(), row, &bench.keys).unwrap()
}

fn files(bench: &Bench) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(bench.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "keyring");
    names.sort();
    names
}

#[test]
fn a_segment_reads_like_its_batches() {
    let bench = Bench::new();
    let parts = bench.parts(0..700, 90);
    let expected = oracle(&parts, &bench.phi);
    let whole = Part::Segment(Arc::new(segment(&bench, 1, 0, &parts)));
    assert_eq!((whole.first_index(), whole.count()), (0, 700));
    for batch_rows in [64, 1000] {
        let found = read(&whole, &Column::ALL, Rows::All, None, &bench.phi, batch_rows);
        assert_eq!(found.schema(), expected.schema());
        assert_eq!(plain(&found), plain(&expected));
    }
}

#[test]
fn merging_changes_nothing() {
    let bench = Bench::new();
    let parts = bench.parts(0..400, 50);
    let small: Vec<Part> = parts.chunks(3).zip(1..).map(|(parts, id)| Part::Segment(Arc::new(segment(&bench, id, 0, parts)))).collect();
    let merged = Part::Segment(Arc::new(segment(&bench, 9, 1, &small)));
    let found = read(&merged, &Column::ALL, Rows::All, None, &bench.phi, 128);
    assert_eq!(plain(&found), plain(&oracle(&parts, &bench.phi)));
    let times = parts.iter().filter_map(Part::time_range);
    assert_eq!(merged.time_range(), times.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))));
    for number in 0..40 {
        let token = bench.encoder.tokens().token(TokenKind::Actor, &actor(number));
        let each = parts.iter().flat_map(|part| part.rows_of(token).unwrap().into_iter().map(|row| row + part.first_index() as u32));
        assert_eq!(merged.rows_of(token).unwrap(), each.collect::<Vec<_>>());
    }
}

#[test]
fn the_size_of_content_is_known_before_it_is_read() {
    let bench = Bench::new();
    let parts = bench.parts(0..2_000, 200);
    let segment = Part::Segment(Arc::new(segment(&bench, 1, 0, &parts)));
    let all = read(&segment, &Column::ALL, Rows::All, None, &bench.phi, 5_000);
    let size = |row: usize, column: Column| all.column(column as usize).as_binary::<i64>().value(row).len() as u64;
    for (phi, columns) in [(Some(&bench.phi), vec![Column::Public, Column::Phi]), (None, vec![Column::Public])] {
        let bytes =
            |rows: std::ops::Range<usize>| rows.map(|row| columns.iter().map(|column| size(row, *column)).sum::<u64>()).sum::<u64>();
        // A page, of 32 kB and a few rows more, is as fine as it gets.
        let page = 2 * (48 << 10);
        for budget in [0, 1, 100_000, 300_000, 600_000] {
            let first = segment.fitting(0..2_000, budget, phi);
            assert!(bytes(0..first) <= budget + page && (first == 2_000 || bytes(0..first + 1) + page >= budget), "{first} of {budget}");
            let last = segment.fitting((0..2_000).rev(), budget, phi);
            assert!(bytes(2_000 - last..2_000) <= budget + page && bytes(1_999 - last..2_000) + page >= budget, "{last} of {budget}");
        }
        assert_eq!(segment.fitting(0..2_000, 0, phi), 1);
        assert_eq!(segment.fitting(0..2_000, u64::MAX, phi), 2_000);
    }
}

#[test]
fn postings_find_every_event_of_a_patient_and_none_else() {
    let bench = Bench::new();
    let whole = segment(&bench, 1, 0, &bench.parts(0..300, 100));
    for number in 0..23 {
        let rows = whole.rows_of(bench.encoder.tokens().token(TokenKind::Patient, &patient(number))).unwrap();
        let mine = |event: &u64| patient(*event) == patient(number) || (event.is_multiple_of(5) && patient(event + 1) == patient(number));
        assert_eq!(rows, (0..300).filter(mine).map(|event| event as u32).collect::<Vec<_>>());
    }
    assert!(whole.rows_of(bench.encoder.tokens().token(TokenKind::Patient, "nobody")).unwrap().is_empty());
}

#[test]
fn a_predicate_and_rows_choose_together() {
    let bench = Bench::new();
    let whole = Part::Segment(Arc::new(segment(&bench, 1, 0, &bench.parts(0..200, 200))));
    let third = || Predicate {
        columns: vec![Column::Phi, Column::Index],
        test: Box::new(|batch| {
            Ok(batch.column(1).as_primitive::<Int64Type>().iter().map(|index| index.map(|index| index % 3 == 0)).collect::<BooleanArray>())
        }),
    };
    let found = read(&whole, &[Column::Public, Column::Index], Rows::Range(50..101), Some(third()), &bench.phi, 16);
    assert_eq!(found.column(1).as_primitive::<Int64Type>().values().to_vec(), (50..101).filter(|index| index % 3 == 0).collect::<Vec<_>>());
    let found = read(&whole, &[], Rows::List(vec![0, 1, 3, 199]), Some(third()), &bench.phi, 16);
    assert_eq!(found.num_rows(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn any_rows_and_columns_are_read_as_the_whole_reads(
        picks in prop::collection::btree_set(0_u32..500, 0..40),
        columns in prop::collection::vec(0_usize..18, 0..6),
        batch_rows in 1_usize..60,
    ) {
        thread_local!(static BENCH: (Bench, Part, arrow::array::RecordBatch) = {
            let bench = Bench::new();
            let part = Part::Segment(Arc::new(segment(&bench, 1, 0, &bench.parts(0..500, 60))));
            let whole = read(&part, &Column::ALL, Rows::All, None, &bench.phi, 500);
            (bench, part, whole)
        });
        let columns: std::collections::BTreeSet<usize> = columns.into_iter().collect();
        let columns: Vec<Column> = columns.into_iter().rev().map(|at| Column::ALL[at]).collect();
        let picks: Vec<u32> = picks.into_iter().collect();
        BENCH.with(|(bench, part, whole)| {
            let found = read(part, &columns, Rows::List(picks.clone()), None, &bench.phi, batch_rows);
            assert_eq!(found.num_rows(), picks.len());
            for (at, column) in columns.iter().enumerate() {
                let expected = arrow::compute::take(whole.column(*column as usize), &arrow::array::UInt32Array::from(picks.clone()), None).unwrap();
                let plainly = |array: &arrow::array::ArrayRef| match column.is_dictionary() {
                    true => arrow::compute::cast(array, &arrow::datatypes::DataType::Utf8).unwrap(),
                    false => Arc::clone(array),
                };
                assert_eq!(&plainly(found.column(at)), &plainly(&expected));
            }
        });
    }
}

#[test]
fn public_columns_need_no_phi_key_and_phi_columns_do() {
    let bench = Bench::new();
    let whole = Arc::new(segment(&bench, 1, 0, &bench.parts(0..50, 50)));
    let ask = |columns: &[Column], phi| {
        whole.scan(Scan { columns: columns.to_vec(), rows: Rows::List(vec![7, 30]), predicate: None, batch_rows: 8, phi })
    };
    let public: Vec<Column> = Column::ALL.into_iter().filter(|column| !column.is_phi()).collect();
    let rows: usize = ask(&public, None).unwrap().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, 2);
    assert!(whole.events_opened_with_phi().is_none());
    assert!(matches!(ask(&Column::ALL, None), Err(ReadError::Denied(_))));
    assert_eq!(ask(&Column::ALL, Some(&bench.phi)).unwrap().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 2);
    assert!(whole.events_opened_with_phi().is_some());
}

#[test]
fn nothing_is_in_the_clear() {
    let bench = Bench::new();
    drop(segment(&bench, 1, 0, &bench.parts(0..200, 50)));
    let secrets = [
        "Wvutsrq",
        "MRN0000",
        "Qwertzuiop",
        "nurse-",
        "urn:ehr",
        "chart.",
        "recall.event",
        "TREAT",
        "success",
        "charts",
        "patient_id",
        "salt_public",
        "element",
    ];
    for name in files(&bench) {
        let bytes = fs::read(bench.path().join(&name)).unwrap();
        for secret in secrets {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} in {name}");
        }
        let token = bench.encoder.tokens().token(TokenKind::Patient, &patient(1)).sorted().to_le_bytes();
        assert!(!bytes.windows(8).any(|window| window == token), "a token in {name}");
    }
}

#[test]
fn files_of_another_segment_do_not_open() {
    let bench = Bench::new();
    let one = segment(&bench, 1, 0, &bench.parts(0..20, 20)).row().clone();
    let two = segment(&bench, 2, 0, &bench.parts(0..20, 20)).row().clone();
    for extension in [EVENTS, POSTINGS] {
        let (a, b) = (file_path(bench.path(), 1, extension), file_path(bench.path(), 2, extension));
        let kept = fs::read(&a).unwrap();
        fs::copy(&b, &a).unwrap();
        assert!(matches!(Segment::open(bench.path(), one.clone(), &bench.keys), Err(ReadError::Damaged { .. })));
        assert_eq!(compare_files(bench.path(), &one).len(), 1);
        fs::write(&a, kept).unwrap();
    }
    assert!(compare_files(bench.path(), &one).is_empty());
    assert!(Segment::open(bench.path(), SegmentRow { key_set: 2, ..two.clone() }, &bench.keys).is_err());
    assert!(matches!(Segment::open(bench.path(), SegmentRow { key_set: 3, ..two.clone() }, &bench.keys), Err(ReadError::Erased(_))));
    assert!(Segment::open(bench.path(), SegmentRow { count: 21, ..two }, &bench.keys).is_err());
}

#[test]
fn a_flipped_byte_is_reported_or_changes_nothing() {
    let bench = Bench::new();
    let parts = bench.parts(0..30, 30);
    let row = segment(&bench, 1, 0, &parts).row().clone();
    let expected = plain(&oracle(&parts, &bench.phi));
    let path = file_path(bench.path(), 1, EVENTS);
    let kept = fs::read(&path).unwrap();
    let everything = || -> Result<Vec<arrow::array::ArrayRef>, ReadError> {
        let whole = Arc::new(Segment::open(bench.path(), row.clone(), &bench.keys)?);
        let scan = Scan { columns: Column::ALL.to_vec(), rows: Rows::All, predicate: None, batch_rows: 64, phi: Some(&bench.phi) };
        let batches = whole.scan(scan)?.collect::<Result<Vec<_>, _>>()?;
        Ok(plain(&arrow::compute::concat_batches(&crate::columns::schema(), &batches)?))
    };
    for at in (0..kept.len()).step_by(7) {
        let mut changed = kept.clone();
        changed[at] ^= 0x10;
        fs::write(&path, changed).unwrap();
        assert_eq!(compare_files(bench.path(), &row).len(), 1);
        if let Ok(found) = everything() {
            assert_eq!(found, expected, "byte {at} of {}", kept.len());
        }
    }
    for length in [0, 3, 11, kept.len() / 2, kept.len() - 1] {
        fs::write(&path, &kept[..length]).unwrap();
        assert!(everything().is_err());
    }
}

#[test]
fn obsolete_files_go_with_the_last_reader() {
    let bench = Bench::new();
    let whole = Arc::new(segment(&bench, 1, 0, &bench.parts(0..20, 20)));
    let scan = Scan { columns: Column::ALL.to_vec(), rows: Rows::All, predicate: None, batch_rows: 8, phi: Some(&bench.phi) };
    let batches = whole.scan(scan).unwrap();
    whole.mark_obsolete();
    drop(whole);
    assert_eq!(files(&bench).len(), 2);
    assert_eq!(batches.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 20);
    assert!(files(&bench).is_empty());
}

#[test]
fn segments_that_are_not_obsolete_stay() {
    let bench = Bench::new();
    drop(segment(&bench, 1, 0, &bench.parts(0..20, 20)));
    assert_eq!(files(&bench), ["0000000000000001.events", "0000000000000001.postings"]);
}
