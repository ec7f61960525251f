#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;
use crate::testing::Seeded;

fn key(byte: u8) -> Key32 {
    Key32::from_bytes([byte; 32])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

type Seal = fn(&Key32, &dyn Random, &[u8], &[u8]) -> Result<Vec<u8>, SealError>;
type Open = fn(&Key32, &[u8], &[u8]) -> Result<Vec<u8>, SealError>;
const BOTH: [(Seal, Open, usize); 2] = [(seal, open, OVERHEAD), (seal_often, open_often, OVERHEAD + CHOICE)];

proptest! {
    #[test]
    fn what_is_sealed_opens_at_its_place_alone(plain in proptest::collection::vec(any::<u8>(), 0..200), aad in proptest::collection::vec(any::<u8>(), 0..20), at in any::<usize>(), bit in 0_u8..8) {
        for (seal, open, overhead) in BOTH {
            let sealed = seal(&key(1), &Seeded::new(1), &aad, &plain).unwrap();
            prop_assert_eq!(sealed.len(), plain.len() + overhead);
            let opened = open(&key(1), &aad, &sealed);
            prop_assert_eq!(opened.as_deref(), Ok(plain.as_slice()));
            let mut changed = sealed.clone();
            let at = at % changed.len();
            changed[at] ^= 1_u8 << bit;
            prop_assert_eq!(open(&key(1), &aad, &changed), Err(SealError::Changed));
            prop_assert_eq!(open(&key(2), &aad, &sealed), Err(SealError::Changed));
            prop_assert_eq!(open(&key(1), &[aad.as_slice(), &[0]].concat(), &sealed), Err(SealError::Changed));
            for length in 0..overhead {
                prop_assert!(open(&key(1), &aad, &sealed[..length]).is_err());
            }
        }
    }
}

#[test]
fn nothing_is_sealed_alike_twice() {
    let random = Seeded::new(1);
    for (seal, _, _) in BOTH {
        assert_ne!(seal(&key(1), &random, b"", b"same").unwrap(), seal(&key(1), &random, b"", b"same").unwrap());
    }
}

// Both vectors were computed with Python's hmac and hashlib.
#[test]
fn derivation_is_hkdf_without_salt() {
    let token = "4791e4598b917d006693019f17a8ab437de6694bbc55d0e3372764bfa241af07";
    let batch = "b98ddca93f395de92f004108d5a018230c8b68352930cb097be5e2309107dc7d";
    assert_eq!(hex(derive(&key(5), "token", &[]).as_bytes()), token);
    assert_eq!(hex(derive(&key(5), "batch-public", &9_u64.to_be_bytes()).as_bytes()), batch);
    assert!(derive(&key(5), "a", b"b") != derive(&key(5), "a", b"c"));
}

#[test]
fn a_mac_is_hmac_and_does_not_depend_on_how_its_input_is_cut() {
    let mac = Mac::new(&key(0x0b));
    assert_eq!(hex(&mac.sign(&[b"Hi There"])), "198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7");
    assert_eq!(mac.sign(&[b"Hi ", b"", b"There"]), mac.sign(&[b"Hi There"]));
}

#[test]
fn a_checksum_is_the_tag_of_gcm_and_depends_on_key_name_and_content() {
    let sum = |key_byte, name: u8, content: &[u8]| Checksum::new(&key(key_byte)).of([name; 12], content);
    // GCM specification, test case 13: key and nonce zero, nothing else.
    assert_eq!(sum(0, 0, b""), 0x530f_8afb_c745_36b9);
    let first = sum(1, 1, b"content");
    assert_eq!(first, sum(1, 1, b"content"));
    for other in [sum(2, 1, b"content"), sum(1, 2, b"content"), sum(1, 1, b"contend"), sum(1, 1, b"content\0"), sum(1, 1, b"")] {
        assert_ne!(first, other);
    }
}
