#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;

#[test]
fn every_token_finds_its_rows_whatever_its_sign() {
    let place = tempfile::tempdir().unwrap();
    let key = Key32::from_bytes([3; 32]);
    let tokens = [Token(0), Token(1), Token(u64::MAX), Token(1 << 63), Token((1 << 63) - 1)];
    let postings = |offset: usize| {
        let mut all: Vec<Posting> = tokens.iter().enumerate().map(|(row, token)| (token.sorted(), (row + offset) as u32)).collect();
        all.sort_unstable();
        Box::new(all.into_iter().map(Ok)) as Stream<'static>
    };
    write(place.path(), 5, &key, vec![postings(0), postings(100)]).unwrap();
    let file = Postings::open(place.path(), 5, &key).unwrap();
    for (row, token) in (0_u32..).zip(tokens) {
        assert_eq!(file.rows_of(token).unwrap(), [row, row + 100]);
    }
    assert!(file.rows_of(Token(2)).unwrap().is_empty());
    assert_eq!(file.stream(7).unwrap().map(|posting| posting.unwrap().1).min(), Some(7));
    assert!(Postings::open(place.path(), 6, &key).is_err());
    assert!(Postings::open(place.path(), 5, &Key32::from_bytes([4; 32])).is_err());
}
