#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::single_range_in_vec_init)]

use super::*;

#[test]
fn ranges_are_cut_at_row_groups() {
    let groups = [0..10, 10..15, 15..30];
    let cut = |ranges: &[Range<usize>]| split_by_group(&groups, ranges.iter().cloned());
    assert_eq!(cut(&[]), []);
    assert_eq!(cut(&[0..30]), [(0, vec![0..10]), (1, vec![0..5]), (2, vec![0..15])]);
    assert_eq!(cut(&[2..3, 5..12, 29..30]), [(0, vec![2..3, 5..10]), (1, vec![0..2]), (2, vec![14..15])]);
    assert_eq!(cut(&[10..15]), [(1, vec![0..5])]);
}

#[test]
fn panics_and_errors_of_the_reader_name_the_file() {
    let place = |result: Result<(), ReadError>| result.unwrap_err().to_string();
    assert!(place(guarded("FILE", || panic!("index out of bounds"))).starts_with("FILE is damaged"));
    assert!(place(guarded("FILE", || Err(ParquetError::General("bad page".to_owned())))).starts_with("FILE is damaged: "));
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    assert!(matches!(guarded::<()>("FILE", || Err(denied.into())), Err(ReadError::Io { .. })));
}

#[test]
fn a_full_disk_stays_recognisable() {
    let full = io::Error::from(io::ErrorKind::StorageFull);
    let error = WriteError::encode(Path::new("FILE"))(ParquetError::External(Box::new(full)));
    assert!(matches!(error, WriteError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull));
}

#[test]
fn a_page_beyond_the_end_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("file");
    std::fs::write(&path, [1; 10]).unwrap();
    let file = SharedFile::open(&path).unwrap();
    assert_eq!(file.get_bytes(2, 8).unwrap().len(), 8);
    assert!(file.get_bytes(3, 8).is_err());
    assert!(file.get_bytes(u64::MAX, 8).is_err());
    assert!(SharedFile::open(&place.path().join("none")).is_err());
}
