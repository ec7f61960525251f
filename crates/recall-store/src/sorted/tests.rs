#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::datatypes::{DataType, Field, Schema};
use proptest::prelude::*;

use super::*;

fn file(folder: &std::path::Path, rows: &[(i64, i64)]) -> SortedFile {
    let key = Key32::from_bytes([7; 32]);
    let schema = Arc::new(Schema::new(vec![Field::new("key", DataType::Int64, false), Field::new("value", DataType::Int64, false)]));
    let place = SortedPlace { path: folder.join("0000000000000001.run"), key: &key, aad: 1, schema: Arc::clone(&schema) };
    let mut writer = SortedWriter::create(&place).unwrap();
    for rows in rows.chunks(777) {
        let column = |of: fn(&(i64, i64)) -> i64| Arc::new(rows.iter().map(of).collect::<Int64Array>());
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), vec![column(|row| row.0), column(|row| row.1)]).unwrap()).unwrap();
    }
    writer.finish().unwrap();
    SortedFile::open(&place).unwrap()
}

fn decode(rows: &RecordBatch) -> Result<Vec<(i64, i64)>, ReadError> {
    Ok(keys_of(rows)?.iter().copied().zip(int64s(rows, 1)?.iter().copied()).collect())
}

fn found(file: &SortedFile, key: i64) -> Vec<(i64, i64)> {
    file.find(key).unwrap().iter().flat_map(|rows| decode(rows).unwrap()).collect()
}

#[test]
fn an_empty_file_holds_nothing() {
    let place = tempfile::tempdir().unwrap();
    let empty = file(place.path(), &[]);
    assert_eq!(empty.len(), 0);
    assert!(found(&empty, 0).is_empty());
    assert_eq!(empty.records(decode).unwrap().count(), 0);
}

#[test]
fn a_key_that_fills_pages_is_found_whole() {
    let place = tempfile::tempdir().unwrap();
    let mut rows: Vec<(i64, i64)> =
        (0..9_000).map(|value| (if (1_500..7_200).contains(&value) { 0 } else { value - 4_000 }, value)).collect();
    rows.sort_unstable();
    let whole = file(place.path(), &rows);
    assert_eq!(found(&whole, 0), rows.iter().filter(|row| row.0 == 0).copied().collect::<Vec<_>>());
    assert_eq!(whole.records(decode).unwrap().map(Result::unwrap).collect::<Vec<_>>(), rows);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn lookups_agree_with_a_plain_list(keys in prop::collection::vec(prop_oneof![-40_i64..40, any::<i64>()], 0..6_000), wanted in prop::collection::btree_set(prop_oneof![-45_i64..45, any::<i64>()], 1..30)) {
        let place = tempfile::tempdir().unwrap();
        let mut rows: Vec<(i64, i64)> = keys.into_iter().zip(0..).collect();
        rows.sort_unstable();
        let whole = file(place.path(), &rows);
        prop_assert_eq!(whole.len(), rows.len());
        let wanted: Vec<i64> = wanted.into_iter().chain(rows.iter().step_by(500).map(|row| row.0)).collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        for key in &wanted {
            prop_assert_eq!(found(&whole, *key), rows.iter().filter(|row| row.0 == *key).copied().collect::<Vec<_>>());
        }
        let many: Vec<(i64, i64)> = whole.candidates(&wanted).unwrap().flat_map(|rows| decode(&rows.unwrap()).unwrap()).collect();
        prop_assert!(many.is_sorted());
        let among = |all: &[(i64, i64)]| all.iter().filter(|row| wanted.binary_search(&row.0).is_ok()).copied().collect::<Vec<_>>();
        prop_assert_eq!(among(&many), among(&rows));
    }

    #[test]
    fn merging_is_sorting(lists in prop::collection::vec(prop::collection::vec(0_u8..50, 0..40), 0..6)) {
        let mut all: Vec<u8> = lists.concat();
        all.sort_unstable();
        let streams = lists.into_iter().map(|mut list| { list.sort_unstable(); Box::new(list.into_iter().map(Ok)) as Stream<'static, u8> }).collect();
        prop_assert_eq!(merge(streams).map(Result::unwrap).collect::<Vec<_>>(), all);
    }
}

#[test]
fn a_merge_ends_at_the_first_error() {
    let bad: Stream<'static, u8> = Box::new([Ok(1), Err(ReadError::Rows), Ok(9)].into_iter());
    let good: Stream<'static, u8> = Box::new([Ok(2), Ok(3)].into_iter());
    let merged: Vec<_> = merge(vec![bad, good]).collect();
    assert!(matches!(merged[..], [Ok(1), Err(_)]));
}
