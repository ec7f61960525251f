#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::Int64Type;
use recall_log::entry::Facets;

use super::*;
use crate::columns::Column;
use crate::snapshot::{Part, Predicate, Rows};
use crate::testing::{Bench, actor, oracle, patient, plain, read};
use crate::token::TokenKind;

fn joined(parts: &[Part]) -> Part {
    let run: Vec<_> = parts.iter().map(|part| if let Part::Fresh(fresh) = part { Arc::clone(fresh) } else { panic!() }).collect();
    Part::Fresh(Arc::new(Fresh::join(&run).unwrap().unwrap()))
}

#[test]
fn searched_columns_say_what_the_content_says() {
    let bench = Bench::new();
    let all = read(&bench.parts(0..50, 50)[0], &Column::ALL, Rows::All, None, &bench.phi, 7);
    let text = |column: Column| plain(&all)[column as usize].clone();
    for row in 0..50 {
        let public = all.column(Column::Public as usize).as_binary::<i64>().value(row);
        let phi = all.column(Column::Phi as usize).as_binary::<i64>().value(row);
        let facets = Facets::read(public, Some(phi)).unwrap();
        let time = |column: Column| all.column(column as usize).as_primitive::<Int64Type>().value(row);
        assert_eq!(time(Column::Index), i64::try_from(row).unwrap());
        assert_eq!(time(Column::Time), facets.time.micros());
        assert_eq!(text(Column::Action).as_string::<i32>().value(row), facets.action);
        let stored_actor = text(Column::Actor);
        let stored_actor = stored_actor.as_string::<i32>();
        assert_eq!(stored_actor.is_valid(row).then(|| stored_actor.value(row)), facets.actor.as_deref());
        assert_eq!(row % 11 == 0, facets.actor.is_none());
        let patients = all.column(Column::Patients as usize).as_list::<i32>().value(row);
        let patients: Vec<_> = patients.as_string::<i32>().iter().flatten().map(str::to_owned).collect();
        assert_eq!(patients, facets.patients.iter().map(|one| one.to_string()).collect::<Vec<_>>());
    }
}

#[test]
fn the_size_of_content_is_about_known() {
    let bench = Bench::new();
    let whole = joined(&bench.parts(0..400, 50));
    let all = read(&whole, &Column::ALL, Rows::All, None, &bench.phi, 1_000);
    let bytes: usize =
        [Column::Public, Column::Phi].iter().map(|column| all.column(*column as usize).as_binary::<i64>().values().len()).sum();
    let half = whole.fitting(0..400, bytes as u64 / 2, Some(&bench.phi));
    assert!((190..=200).contains(&half), "{half}");
    assert_eq!(whole.fitting((0..400).rev(), u64::MAX, None), 400);
    assert_eq!(whole.fitting(0..400, 0, None), 1);
}

#[test]
fn a_joined_run_reads_like_its_batches() {
    let bench = Bench::new();
    let parts = bench.parts(0..40, 7);
    let whole = joined(&parts);
    let expected = oracle(&parts, &bench.phi);
    for batch_rows in [1, 6, 40] {
        let found = read(&whole, &Column::ALL, Rows::All, None, &bench.phi, batch_rows);
        assert_eq!(found.schema(), expected.schema());
        assert_eq!(plain(&found), plain(&expected));
    }
    for number in 0..40 {
        let token = bench.encoder.tokens().token(TokenKind::Actor, &actor(number));
        let mut rows = Vec::new();
        for part in &parts {
            rows.extend(part.rows_of(token).unwrap().into_iter().map(|row| row + u32::try_from(part.first_index()).unwrap()));
        }
        assert_eq!(whole.rows_of(token).unwrap(), rows);
    }
}

#[test]
fn joining_again_is_the_same() {
    let bench = Bench::new();
    let parts = bench.parts(0..30, 4);
    let twice = joined(&[joined(&parts[..3]), joined(&parts[3..])]);
    let found = read(&twice, &Column::ALL, Rows::All, None, &bench.phi, 30);
    assert_eq!(plain(&found), plain(&oracle(&parts, &bench.phi)));
}

#[test]
fn strangers_are_not_joined() {
    let bench = Bench::new();
    let (a, b, c) = (bench.fresh(bench.batch(0..3), 0, 1), bench.fresh(bench.batch(3..5), 3, 2), bench.fresh(bench.batch(3..5), 4, 1));
    assert!(Fresh::join(&[]).unwrap().is_none());
    assert!(Fresh::join(&[Arc::clone(&a), b]).unwrap().is_none());
    assert!(Fresh::join(&[a, c]).unwrap().is_none());
}

#[test]
fn rows_and_predicate_choose() {
    let bench = Bench::new();
    let part = joined(&bench.parts(0..60, 9));
    let columns = [Column::Phi, Column::Index, Column::Source];
    let expected = |keep: &dyn Fn(i64) -> bool, rows: Rows| {
        let odd = Predicate {
            columns: vec![Column::Time, Column::Index],
            test: Box::new(|batch| {
                Ok(batch
                    .column(1)
                    .as_primitive::<Int64Type>()
                    .iter()
                    .map(|index| index.map(|index| index % 2 == 1))
                    .collect::<BooleanArray>())
            }),
        };
        let found = read(&part, &columns, rows, Some(odd), &bench.phi, 8);
        let indexes: Vec<i64> = found.column(1).as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(indexes, (0..60).filter(|index| index % 2 == 1 && keep(*index)).collect::<Vec<_>>());
        for (row, index) in indexes.iter().enumerate() {
            let phi = String::from_utf8(found.column(0).as_binary::<i64>().value(row).to_vec()).unwrap();
            assert!(phi.contains(&format!("Patient/{index}?")), "{phi}");
        }
    };
    expected(&|_| true, Rows::All);
    expected(&|index| (11..44).contains(&index), Rows::Range(11..44));
    expected(&|index| [3, 17, 18, 59].contains(&index), Rows::List(vec![3, 17, 18, 59]));
    expected(&|_| false, Rows::List(vec![4, 8]));
    expected(&|_| false, Rows::Range(7..7));
}

#[test]
fn no_columns_still_count() {
    let bench = Bench::new();
    let found = read(&bench.parts(0..10, 10)[0], &[], Rows::Range(2..9), None, &bench.phi, 4);
    assert_eq!((found.num_rows(), found.num_columns()), (7, 0));
}

#[test]
fn a_loaded_batch_equals_the_committed_one() {
    let bench = Bench::new();
    let batch = bench.batch(0..25);
    let (entries, leaves, identities) = (batch.entries().to_vec(), batch.leaf_hashes().to_vec(), batch.identities().to_vec());
    let sealed = batch.seal(40, 1, &bench.keys, &bench.phi, &*bench.random).unwrap();
    let stored = StoredBatch { first_index: 40, count: 25, key_set: 1, sealed: sealed.clone() };
    let loaded = Fresh::load(stored, &bench.encoder, &bench.keys, &bench.phi).unwrap();
    assert_eq!(loaded.entries, entries);
    assert_eq!(loaded.leaf_hashes, leaves);
    assert_eq!(loaded.fresh.identities(), identities);
    assert_eq!(loaded.fresh.notes(&loaded.seqs).filter_map(|note| note.seq).collect::<Vec<_>>(), (0..25).collect::<Vec<_>>());
    let committed = Fresh::new(batch, sealed, 40, 1, &bench.keys);
    assert_eq!(loaded.fresh.postings, committed.postings);
    assert_eq!(loaded.fresh.columns, committed.columns);
    assert_eq!(loaded.fresh.time_range, committed.time_range);
}

#[test]
fn a_batch_at_another_place_or_changed_is_damaged() {
    let bench = Bench::new();
    let sealed = bench.batch(0..5).seal(40, 1, &bench.keys, &bench.phi, &*bench.random).unwrap();
    let load = |first_index, count, key_set, sealed| {
        Fresh::load(StoredBatch { first_index, count, key_set, sealed }, &bench.encoder, &bench.keys, &bench.phi)
    };
    assert!(load(40, 5, 1, sealed.clone()).is_ok());
    for (first_index, count, key_set) in [(41, 5, 1), (40, 4, 1), (40, 6, 1), (40, 5, 2)] {
        assert!(matches!(load(first_index, count, key_set, sealed.clone()), Err(ReadError::Damaged { .. })));
    }
    assert!(matches!(load(40, 5, 3, sealed.clone()), Err(ReadError::Erased(_))));
    let mut changed = sealed.clone();
    changed.phi = sealed.phi.iter().rev().copied().collect();
    assert!(matches!(load(40, 5, 1, changed), Err(ReadError::Damaged { .. })));
}

#[test]
fn tokens_find_every_event_of_a_patient() {
    let bench = Bench::new();
    let part = &bench.parts(0..80, 80)[0];
    for number in 0..23 {
        let rows = part.rows_of(bench.encoder.tokens().token(TokenKind::Patient, &patient(number))).unwrap();
        let expected: Vec<u32> = (0..80)
            .filter(|event| patient(*event) == patient(number) || (event.is_multiple_of(5) && patient(event + 1) == patient(number)))
            .map(|event| event as u32)
            .collect();
        assert_eq!(rows, expected);
    }
    assert!(part.rows_of(bench.encoder.tokens().token(TokenKind::Patient, "nobody")).unwrap().is_empty());
}
