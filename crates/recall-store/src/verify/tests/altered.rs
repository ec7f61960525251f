//! What is stored beside events and does not say what they say: each kind is found and named.

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};

use super::super::rows::{Checker, Columns, WANTED};
use super::*;
use crate::batch::{BATCH_COLUMNS, Identity};
use crate::columns::{patient_field, schema};
use crate::postings::Posting;
use crate::testing::{Bench, read};

/// The searched columns.
fn searched() -> Vec<Column> {
    Column::ALL.into_iter().filter(|column| !column.is_content()).collect()
}

/// A column with another value in one row.
fn changed(column: &ArrayRef, row: usize) -> ArrayRef {
    match column.data_type() {
        DataType::Int64 => {
            let values = column.as_primitive::<Int64Type>().values().iter().enumerate();
            Arc::new(Int64Array::from_iter_values(values.map(|(at, value)| value + i64::from(at == row))))
        }
        DataType::Boolean => {
            let values = column.as_boolean().iter().enumerate();
            Arc::new(BooleanArray::from_iter(values.map(|(at, value)| value.map(|value| value != (at == row)))))
        }
        DataType::Utf8 => {
            let values = column.as_string::<i32>().iter().enumerate();
            let other = |value: Option<&str>| value.map_or(Some("x".to_owned()), |value| Some(format!("{value}x")));
            Arc::new(StringArray::from_iter(values.map(|(at, value)| if at == row { other(value) } else { value.map(str::to_owned) })))
        }
        DataType::List(_) => {
            let mut lists = ListBuilder::new(StringBuilder::new()).with_field(patient_field());
            for (at, list) in column.as_list::<i32>().iter().enumerate() {
                for patient in list.unwrap().as_string::<i32>() {
                    lists.values().append_value(patient.unwrap());
                }
                if at == row {
                    lists.values().append_value("MRN-of-another");
                }
                lists.append(true);
            }
            Arc::new(lists.finish())
        }
        _ => cast(&changed(&cast(column, &DataType::Utf8).unwrap(), row), column.data_type()).unwrap(),
    }
}

/// A column that lacks its value in one row, where it may.
fn without(column: &ArrayRef, row: usize) -> ArrayRef {
    let plain = cast(column, &DataType::Utf8).unwrap();
    let values = plain.as_string::<i32>().iter().enumerate().map(|(at, value)| value.filter(|_| at != row));
    cast(&StringArray::from_iter(values), column.data_type()).unwrap()
}

fn replaced(rows: &RecordBatch, at: usize, column: ArrayRef) -> RecordBatch {
    let mut columns = rows.columns().to_vec();
    columns[at] = column;
    RecordBatch::try_new(rows.schema(), columns).unwrap()
}

/// The column that differs in each row.
fn differing(bench: &Bench, rows: &RecordBatch) -> Vec<Option<Column>> {
    let mut checker = Checker::new(bench.encoder.clone());
    let columns = Columns::of(rows).unwrap();
    (0..rows.num_rows()).map(|at| checker.check(&columns, at, at as u64, u32::try_from(at).unwrap()).unwrap().differs).collect()
}

#[test]
fn every_searched_column_is_compared() {
    let bench = Bench::new();
    let part = bench.parts(0..40, 40).remove(0);
    let rows = read(&part, &WANTED, Rows::All, None, &bench.phi, 40);
    assert_eq!(rows.schema(), schema());
    assert!(differing(&bench, &rows).iter().all(Option::is_none));
    for column in searched() {
        let held = rows.column(column as usize);
        for row in [0, 7, 39] {
            let found = differing(&bench, &replaced(&rows, column as usize, changed(held, row)));
            let expected: Vec<_> = (0..40).map(|at| (at == row).then_some(column)).collect();
            assert_eq!(found, expected, "{} of row {row}", column.name());
        }
        if held.null_count() < held.len() && column.field().is_nullable() {
            let row = (0..held.len()).find(|row| held.is_valid(*row)).unwrap();
            assert_eq!(differing(&bench, &replaced(&rows, column as usize, without(held, row)))[row], Some(column), "{}", column.name());
        }
    }
}

/// A trail whose files and seals are whole, whose tree is right, and in whose columns one value of each was changed before it was stored.
#[test]
fn a_changed_value_in_each_column_is_found_and_named() {
    let alter = |batch: Batch| {
        batch.altered(|columns, _, _| {
            for at in 0..BATCH_COLUMNS.len() {
                *columns = replaced(columns, at, changed(columns.column(at), 20 + at));
            }
        })
    };
    let found: Vec<String> = Stopped::altered(60, 3, alter).findings().iter().map(ToString::to_string).collect();
    let say = |(at, column): (usize, &Column)| format!("event {}: column `{}` does not say what the event says", 20 + at, column.name());
    assert_eq!(found, BATCH_COLUMNS.iter().enumerate().map(say).collect::<Vec<_>>());
}

type Alter = fn(&mut Vec<Posting>, &mut [Identity]);

#[test]
fn postings_and_keys_of_repeats_that_differ_are_found_and_named() {
    const LACKS: &str = "event 17: lacks a posting, so that it is not found (";
    const KNOWS_NOT: &str = "event 17: has a posting that the event knows nothing of (";
    const UNKNOWN: &str = "event 17: is not known to the index of repeats (";
    const OTHER: &str = "event 17: is known by another key to the index of repeats (";
    let cases: [(&str, Alter, &[&str]); 7] = [
        ("a posting is missing", |postings, _| _ = postings.remove(postings.iter().position(|one| one.1 == 17).unwrap()), &[LACKS]),
        ("a posting is too much", |postings, _| postings.push((42, 17)), &[KNOWS_NOT]),
        ("a posting is of another token", |postings, _| postings.iter_mut().find(|one| one.1 == 17).unwrap().0 ^= 1, &[LACKS, KNOWS_NOT]),
        ("a posting stands twice", |postings, _| postings.push(*postings.iter().find(|one| one.1 == 17).unwrap()), &[KNOWS_NOT]),
        ("a record is missing, and one is too much", |_, identities| identities[17] = identities[18], &[UNKNOWN, OTHER]),
        ("a record has another key", |_, identities| identities[17].key ^= 1 << 100, &[UNKNOWN, OTHER]),
        ("a record has another tag", |_, identities| identities[17].tag ^= 1, &[UNKNOWN, OTHER]),
    ];
    for (what, alter, expected) in cases {
        let stopped = Stopped::altered(60, 3, |batch| batch.altered(|_, postings, identities| alter(postings, identities)));
        let mut found: Vec<String> = stopped.findings().iter().map(ToString::to_string).collect();
        found.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(found.len(), expected.len(), "{what}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{what}: {found}");
        }
    }
}

#[test]
fn swapped_salts_are_found_and_named() {
    let found = Stopped::altered(60, 3, |batch| batch.with_salts_swapped(5, 9)).findings();
    let expected = [5, 9].map(|event| format!("event {event}: its content is not what its entry in the log commits to"));
    assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
}

#[test]
fn findings_come_in_the_order_of_the_trail() {
    let alter = |batch: Batch| {
        batch.altered(|columns, postings, _| {
            for row in (0..60).rev() {
                *columns = replaced(columns, 3, changed(columns.column(3), row));
            }
            postings.retain(|posting| posting.1 != 30);
        })
    };
    let places: Vec<String> = Stopped::altered(60, 3, alter).findings().into_iter().map(|finding| finding.place).collect();
    let columns = (0..60).map(|event| format!("event {event}"));
    assert!(places.len() > 60 && places[60..].iter().all(|place| place == "event 30"), "{places:?}");
    assert_eq!(places[..60], columns.collect::<Vec<_>>());
}
