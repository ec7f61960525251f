#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::mutation::{fixed, lines, mutated};
use crate::note::tests::witness;
use proptest::prelude::*;

const BAD: &str = include_str!("../../vectors/checkpoints-bad.txt");

fn checkpoint() -> Checkpoint {
    Checkpoint { origin: "example.com/log".to_owned(), size: 12, root: [3; 32] }
}

fn signer() -> Signer {
    Signer::new("example.com/log", &[7; 32]).unwrap()
}

#[test]
fn what_is_written_reads_back() {
    for checkpoint in
        [checkpoint(), Checkpoint { size: 0, root: empty_root(), ..checkpoint() }, Checkpoint { size: u64::MAX, ..checkpoint() }]
    {
        assert_eq!(Checkpoint::parse(&checkpoint.to_text()), Ok(checkpoint));
    }
}

#[test]
fn everything_else_is_refused() {
    for line in BAD.lines() {
        let text = line.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r");
        assert!(Checkpoint::parse(&text).is_err(), "{line}");
    }
}

#[test]
fn the_tier_counts_witnesses() {
    let note = checkpoint().sign(&signer()).unwrap();
    let text = checkpoint().to_text();
    let (first, first_line) = witness("w.example/1", 1, 1_700_000_000, &text);
    let (second, second_line) = witness("w.example/2", 2, 1_700_000_001, &text);
    let log = signer().verifier().clone();
    let witnesses = [first, second, witness("w.example/3", 3, 0, &text).0];
    let open = |note: String, witnesses: &[Verifier]| Checkpoint::open(note.as_bytes(), &log, witnesses).unwrap().1.to_string();
    assert_eq!(open(note.clone(), &[]), "signed");
    assert_eq!(open(note.clone(), &witnesses), "signed, witnessed 0 of 3");
    assert_eq!(open(format!("{note}{second_line}"), &witnesses), "signed, witnessed 1 of 3");
    assert_eq!(open(format!("{note}{first_line}{second_line}{first_line}"), &witnesses), "signed, witnessed 2 of 3");
}

#[test]
fn witnesses_alone_are_not_enough() {
    let text = checkpoint().to_text();
    let (verifier, line) = witness("w.example/1", 1, 1_700_000_000, &text);
    let note = format!("{text}\n{line}");
    let error = Checkpoint::open(note.as_bytes(), signer().verifier(), std::slice::from_ref(&verifier)).unwrap_err();
    assert_eq!(error, CheckpointError::Unsigned("example.com/log".to_owned()));
    // A witness's key is not the log's.
    assert!(Checkpoint::open(note.as_bytes(), &verifier, &[]).is_err());
}

#[test]
fn a_log_signs_for_itself_alone() {
    let other = Checkpoint { origin: "example.com/other".to_owned(), ..checkpoint() };
    let note = signer().sign(&other.to_text()).unwrap();
    let error = Checkpoint::open(note.as_bytes(), signer().verifier(), &[]).unwrap_err();
    assert!(matches!(error, CheckpointError::Origin { .. }));
    let extended = format!("{}more\n", checkpoint().to_text());
    let note = signer().sign(&extended).unwrap();
    assert!(matches!(Checkpoint::open(note.as_bytes(), signer().verifier(), &[]), Err(CheckpointError::Malformed(_))));
}

proptest! {
    #![proptest_config(fixed(2_000))]

    #[test]
    fn what_parses_is_written_the_same(text in mutated([lines(BAD), vec![checkpoint().to_text().into_bytes()]].concat())) {
        let Ok(text) = String::from_utf8(text) else { return Ok(()) };
        if let Ok(parsed) = Checkpoint::parse(&text) {
            prop_assert_eq!(parsed.to_text(), text);
        }
    }
}
