#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::entry::{Salt, commit, part_mac};
use crate::merkle::{Frontier, HashReader, ReadError, inclusion_proof};
use crate::mutation::{fixed, lines, mutated};
use crate::note::Signer;
use crate::note::tests::witness;
use proptest::prelude::*;

const BAD: &str = include_str!("../../vectors/proofs-bad.txt");
const GOLDEN: &str = include_str!("../../vectors/golden.txt");

/// Leaf hashes in memory.
struct Leaves(Vec<Hash>);

impl HashReader for Leaves {
    fn hash(&self, level: u8, index: u64) -> Result<Hash, ReadError> {
        let from = usize::try_from(index << level).unwrap();
        Ok(self.root(from, from + (1 << level)))
    }
}

impl Leaves {
    fn root(&self, from: usize, to: usize) -> Hash {
        let mut frontier = Frontier::new();
        self.0[from..to].iter().for_each(|leaf| frontier.push(*leaf));
        frontier.root()
    }

    fn receipt(&self, index: u64, extra: Option<Vec<u8>>, signer: &Signer) -> Receipt {
        let size = self.0.len();
        let checkpoint = Checkpoint { origin: signer.verifier().name().to_owned(), size: size as u64, root: self.root(0, size) };
        let path = inclusion_proof(self, index, size as u64).unwrap();
        Receipt { extra, index, path, checkpoint: checkpoint.sign(signer).unwrap() }
    }
}

const PUBLIC: &[u8] = br#"{"action":"chart.viewed"}"#;
const PHI: &[u8] = br#"{"description":"d"}"#;
const SALTS: [Salt; 2] = [[1; 16], [2; 16]];

fn signer() -> Signer {
    Signer::new("example.com/log", &[7; 32]).unwrap()
}

fn part(bytes: &[u8], salt: Salt) -> Shown {
    Shown::Part { bytes: bytes.to_vec(), salt }
}

/// A log of eleven entries whose entry 4 is the event above.
fn log() -> Leaves {
    let mut leaves: Vec<Hash> = (0..11_u8).map(|leaf| leaf_hash(&[leaf])).collect();
    leaves[4] = leaf_hash(&commit(PUBLIC, PHI, &SALTS[0], &SALTS[1]));
    Leaves(leaves)
}

/// Every kind of receipt for entry 4.
fn disclosures() -> Vec<(Disclosure, Option<&'static [u8]>)> {
    let (public, phi) = (part(PUBLIC, SALTS[0]), part(PHI, SALTS[1]));
    let (no_public, no_phi) = (Shown::Mac(part_mac(PUBLIC, &SALTS[0])), Shown::Mac(part_mac(PHI, &SALTS[1])));
    vec![
        (Disclosure::Entry(commit(PUBLIC, PHI, &SALTS[0], &SALTS[1])), None),
        (Disclosure::Parts { public: public.clone(), phi: phi.clone() }, Some(br#"{"action":"chart.viewed","description":"d"}"#)),
        (Disclosure::Parts { public, phi: no_phi.clone() }, Some(PUBLIC)),
        (Disclosure::Parts { public: no_public.clone(), phi }, Some(PHI)),
        (Disclosure::Parts { public: no_public, phi: no_phi }, None),
    ]
}

#[test]
fn the_golden_log_agrees_byte_for_byte() {
    let lines: Vec<&str> = GOLDEN.lines().collect();
    let seed = STANDARD.decode(lines[1]).unwrap();
    let signer = Signer::new(lines[0], seed[1..].try_into().unwrap()).unwrap();
    assert!(signer.verifier().vkey().starts_with("example.com/log/testdata+33d7b496+"));
    let log = Leaves(lines[2].split(' ').map(|entry| leaf_hash(entry.as_bytes())).collect());
    assert_eq!(STANDARD.encode(log.root(0, 15)), lines[3]);
    let receipt = log.receipt(3, None, &signer);
    assert_eq!(receipt.path.iter().map(|hash| STANDARD.encode(hash)).collect::<Vec<_>>(), lines[4..8]);
    let (checkpoint, tier) = receipt.verify_leaf(&leaf_hash(b"four"), signer.verifier(), &[]).unwrap();
    assert_eq!((checkpoint.size, tier.to_string().as_str()), (15, "signed"));
    assert!(receipt.verify_leaf(&leaf_hash(b"five"), signer.verifier(), &[]).is_err());
    assert!(matches!(receipt.verify(signer.verifier(), &[]), Err(ReceiptError::Extra(_))));
}

#[test]
fn receipts_stand_alone() {
    for (disclosure, event) in disclosures() {
        let text = log().receipt(4, Some(disclosure.to_json()), &signer()).to_text();
        let receipt = Receipt::parse(text.as_bytes()).unwrap();
        assert_eq!(receipt.to_text(), text);
        let proven = receipt.verify(signer().verifier(), &[]).unwrap();
        assert_eq!((proven.index, proven.checkpoint.size), (4, 11));
        assert!(proven.disclosure == disclosure);
        assert_eq!(proven.leaf, log().0[4]);
        assert_eq!(proven.disclosure.event().unwrap().as_deref(), event);
    }
}

#[test]
fn a_receipt_of_the_only_entry_has_no_path() {
    let log = Leaves(vec![leaf_hash(&commit(PUBLIC, PHI, &SALTS[0], &SALTS[1]))]);
    for (disclosure, _) in disclosures() {
        let text = log.receipt(0, Some(disclosure.to_json()), &signer()).to_text();
        assert!(Receipt::parse(text.as_bytes()).unwrap().verify(signer().verifier(), &[]).is_ok());
    }
}

#[test]
fn witnesses_are_counted_under_a_receipt() {
    let (disclosure, _) = disclosures().swap_remove(0);
    let mut receipt = log().receipt(4, Some(disclosure.to_json()), &signer());
    let (text, _) = receipt.checkpoint.split_once("\n\n").unwrap();
    let (verifier, line) = witness("w.example/1", 1, 1_700_000_000, &format!("{text}\n"));
    receipt.checkpoint.push_str(&line);
    let proven = Receipt::parse(receipt.to_text().as_bytes()).unwrap().verify(signer().verifier(), &[verifier]).unwrap();
    assert_eq!(proven.tier.to_string(), "signed, witnessed 1 of 1");
}

#[test]
fn malformed_receipts_are_refused() {
    for line in BAD.lines() {
        let text = line.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r");
        assert!(Receipt::parse(text.as_bytes()).is_err(), "{line}");
    }
    assert!(Receipt::parse(&[0xFF]).is_err());
    assert!(Receipt::parse(&vec![b'x'; RECEIPT_BYTES + 1]).is_err());
}

#[test]
fn what_is_shown_is_strict() {
    for json in [
        "",
        "{}",
        "[]",
        "1",
        r#"{"entry":""}"#,
        r#"{"entry":"AQ=="}"#,
        r#"{"entry":1}"#,
        r#"{"public":"e30=","salt_public":"AQ=="}"#,
        r#"{"mac_phi":"AQ==","mac_public":"AQ=="}"#,
        r#"{"phi":"e30=","public":"e30="}"#,
    ] {
        assert!(Disclosure::parse(json.as_bytes()).is_err(), "{json}");
    }
    let good = String::from_utf8(disclosures().swap_remove(1).0.to_json()).unwrap();
    assert!(Disclosure::parse(good.as_bytes()).is_ok());
    let entry = String::from_utf8(disclosures().swap_remove(0).0.to_json()).unwrap();
    for bad in [
        good.replace('{', "{ "),
        good.replace("\"phi\"", "\"Phi\""),
        good.replacen('}', r#","x":"e30="}"#, 1),
        good.replacen('}', r#","x":1}"#, 1),
        format!("{good}{good}"),
        good.replace("salt_phi", "mac_phi"),
        entry.replacen('{', r#"{"a":"e30=","#, 1),
        entry.replacen('"', "\\u0022", 1),
        entry.replacen('{', &format!("{{{},", &entry[1..entry.len() - 1]), 1),
    ] {
        assert!(Disclosure::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_changed_byte_of_a_receipt_proves_anything_else(kind in 0_usize..5, place: prop::sample::Index, byte: u8) {
        let (disclosure, _) = disclosures().swap_remove(kind);
        let mut text = log().receipt(4, Some(disclosure.to_json()), &signer()).to_text().into_bytes();
        let place = place.index(text.len());
        prop_assume!(text[place] != byte);
        text[place] = byte;
        let verified = Receipt::parse(&text).and_then(|receipt| receipt.verify(signer().verifier(), &[]));
        prop_assert!(verified.is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        prop_assert!(Receipt::parse(&bytes).is_err());
        prop_assert!(Disclosure::parse(&bytes).is_err());
    }
}

proptest! {
    #![proptest_config(fixed(2_000))]

    #[test]
    fn a_receipt_is_written_back_as_it_was(text in mutated([lines(BAD), vec![log().receipt(4, None, &signer()).to_text().into_bytes()]].concat())) {
        if let Ok(receipt) = Receipt::parse(&text) {
            let again = receipt.to_text();
            prop_assert_eq!(Receipt::parse(again.as_bytes()).unwrap().to_text(), again);
        }
    }
}
