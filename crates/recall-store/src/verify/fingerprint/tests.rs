#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;
use crate::testing::Seeded;

fn secrets(seed: u64) -> Secrets {
    Secrets::draw(&Seeded::new(seed))
}

fn of(secrets: &Secrets, records: &[Posting]) -> Fingerprint {
    let mut fingerprint = Fingerprint::default();
    records.iter().for_each(|record| fingerprint.add(secrets, record));
    fingerprint
}

#[test]
fn arithmetic_is_that_of_the_field() {
    let plain = |wide: u128| u64::try_from(wide % u128::from(PRIME)).unwrap();
    let prime = u128::from(PRIME);
    for wide in [0, 1, prime - 1, prime, prime + 1, 2 * prime, prime * prime, (1 << 122) - 1, (1 << 96) + 12_345] {
        assert_eq!(reduced(wide), plain(wide), "{wide}");
    }
    let secret = Secret { x: PRIME - 1, weights: [PRIME - 1; WORDS] };
    let expected = plain(prime - 1 + 8 * (prime - 1) * 0xFFFF_FFFF);
    assert_eq!(secret.factor([u64::MAX; 4]), expected);
}

#[test]
fn every_bit_of_a_record_counts() {
    let secrets = secrets(3);
    let whole = of(&secrets, &[(5, 6)]);
    for bit in 0..64 {
        assert_ne!(of(&secrets, &[(5 ^ (1 << bit), 6)]), whole);
    }
    for bit in 0..32 {
        assert_ne!(of(&secrets, &[(5, 6 ^ (1 << bit))]), whole);
    }
    assert_ne!(of(&secrets, &[(5, 6), (5, 6)]), whole);
    assert_ne!(of(&secrets, &[]), whole);
    assert_ne!(of(&secrets, &[(0, 0)]), of(&secrets, &[]));
}

proptest! {
    #[test]
    fn equal_multisets_and_they_alone_have_equal_fingerprints(
        records in prop::collection::vec((any::<i64>(), 0_u32..4), 0..20),
        other in prop::collection::vec((0_i64..3, 0_u32..3), 0..4),
        another in prop::collection::vec((0_i64..3, 0_u32..3), 0..4),
        middle in any::<prop::sample::Index>(),
        seed: u64,
    ) {
        let secrets = secrets(seed);
        let whole = of(&secrets, &records);
        let (head, tail) = records.split_at(if records.is_empty() { 0 } else { middle.index(records.len()) });
        let mut joined = of(&secrets, tail);
        joined.join(&of(&secrets, head));
        prop_assert_eq!(joined, whole);
        let sorted = |records: &[Posting]| {
            let mut sorted = records.to_vec();
            sorted.sort_unstable();
            sorted
        };
        prop_assert_eq!(of(&secrets, &sorted(&records)), whole);
        prop_assert_eq!(of(&secrets, &other) == of(&secrets, &another), sorted(&other) == sorted(&another));
    }
}
