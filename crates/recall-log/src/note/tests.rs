#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::mutation::{fixed, lines, mutated};
use aws_lc_rs::signature::Ed25519KeyPair;
use proptest::prelude::*;

const BAD_NOTES: &str = include_str!("../../vectors/notes-bad.txt");
const BAD_VKEYS: &str = include_str!("../../vectors/vkeys-bad.txt");

/// The vector of C2SP signed-note.
const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const NOTE: &str = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

fn unescape(line: &str) -> String {
    line.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")
}

fn verifier() -> Verifier {
    Verifier::parse(VKEY).unwrap()
}

/// Key and cosignature line of a witness over a checkpoint's text.
pub(crate) fn witness(name: &str, seed: u8, time: u64, text: &str) -> (Verifier, String) {
    let signer = Signer::new(name, &[seed; 32]).unwrap();
    let key = signer.verifier().vkey().splitn(3, '+').nth(2).map(|key| STANDARD.decode(key).unwrap()).unwrap();
    let mut message = name.as_bytes().to_vec();
    message.extend_from_slice(&[b'\n', 4]);
    message.extend_from_slice(&key[1..]);
    let id = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &message).as_ref()[..4].to_vec();
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let verifier = Verifier::parse(&format!("{name}+{hex}+{}", STANDARD.encode([&[4], &key[1..]].concat()))).unwrap();
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let signature = pair.sign(format!("cosignature/v1\ntime {time}\n{text}").as_bytes());
    let line = STANDARD.encode([&id[..], &time.to_be_bytes(), signature.as_ref()].concat());
    (verifier, format!("— {name} {line}\n"))
}

#[test]
fn the_vector_of_the_specification_opens() {
    assert_eq!(verifier().vkey(), VKEY);
    assert_eq!(verifier().name(), "example.com/foo");
    let opened = open(NOTE.as_bytes(), &[verifier()]).unwrap();
    assert_eq!(opened.text, "This is an example message.\n");
    assert_eq!(opened.signers, BTreeSet::from([0]));
}

#[test]
fn bad_notes_are_refused() {
    for line in BAD_NOTES.lines() {
        assert!(open(unescape(line).as_bytes(), &[verifier()]).is_err(), "{line}");
    }
    assert_eq!(open(&[0xFF; 10], &[verifier()]), Err(NoteError::Malformed("not UTF-8")));
    assert_eq!(open(NOTE.as_bytes(), &[]), Err(NoteError::Unsigned));
    let long = format!("{}{NOTE}", "x".repeat(NOTE_BYTES));
    assert_eq!(open(long.as_bytes(), &[verifier()]), Err(NoteError::Malformed("longer than 1 MiB")));
}

#[test]
fn bad_keys_are_refused() {
    for line in BAD_VKEYS.lines() {
        assert!(Verifier::parse(&unescape(line)).is_err(), "{line}");
    }
}

#[test]
fn other_signatures_are_passed_over_up_to_the_limit() {
    let (text, signature) = NOTE.split_once("\n\n").unwrap();
    let with = |others: usize| format!("{text}\n\n{}{signature}", "— a.example AAAAAAAA\n".repeat(others));
    assert!(open(with(16).as_bytes(), &[verifier()]).is_ok());
    assert!(open(with(SIGNATURES - 1).as_bytes(), &[verifier()]).is_ok());
    assert!(open(with(SIGNATURES).as_bytes(), &[verifier()]).is_err());
    // The same signature twice counts once.
    assert_eq!(open(format!("{NOTE}{signature}").as_bytes(), &[verifier()]).unwrap().signers.len(), 1);
}

#[test]
fn what_is_signed_opens_and_what_is_not_text_is_not_signed() {
    let signer = Signer::new("example.com/log", &[7; 32]).unwrap();
    let note = signer.sign("line\n\nline\n").unwrap();
    assert_eq!(open(note.as_bytes(), &[signer.verifier().clone()]).unwrap().text, "line\n\nline\n");
    assert_eq!(Verifier::parse(&signer.verifier().vkey()), Ok(signer.verifier().clone()));
    for text in ["", "line", "a\tb\n", "a\r\n", "\u{0}\n"] {
        assert_eq!(signer.sign(text), Err(SignError::Text), "{text:?}");
    }
    for name in ["", "a b", "a+b", "a\nb", "a\u{2003}b", "a\u{1}b"] {
        assert_eq!(Signer::new(name, &[7; 32]).err(), Some(SignError::Name), "{name:?}");
    }
}

#[test]
fn cosignatures_count_with_their_time() {
    let signer = Signer::new("example.com/log", &[7; 32]).unwrap();
    let text = "example.com/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
    let note = signer.sign(text).unwrap();
    let (verifier, line) = witness("witness.example/w", 8, 1_700_000_000, text);
    let both = [signer.verifier().clone(), verifier];
    assert_eq!(open(format!("{note}{line}").as_bytes(), &both).unwrap().signers, BTreeSet::from([0, 1]));
    assert_eq!(open(note.as_bytes(), &both).unwrap().signers, BTreeSet::from([0]));
    for (time, of) in [(1_700_000_001, text), (1_700_000_000, "example.com/log\n1\n")] {
        let (_, other) = witness("witness.example/w", 8, time, of);
        // The time of one signature with the signature of another.
        let mixed =
            [&STANDARD.decode(line[22..].trim_end()).unwrap()[..12], &STANDARD.decode(other[22..].trim_end()).unwrap()[12..]].concat();
        let forged = format!("{note}— witness.example/w {}\n", STANDARD.encode(mixed));
        assert_eq!(open(forged.as_bytes(), &both), Err(NoteError::Forged("witness.example/w".to_owned())));
    }
    let (_, beyond) = witness("witness.example/w", 8, 1 << 63, text);
    assert!(matches!(open(format!("{note}{beyond}").as_bytes(), &both), Err(NoteError::Forged(_))));
}

proptest! {
    #[test]
    fn no_changed_byte_passes(place in 0..NOTE.len(), byte: u8) {
        let mut note = NOTE.as_bytes().to_vec();
        prop_assume!(note[place] != byte);
        note[place] = byte;
        prop_assert!(open(&note, &[verifier()]).is_err());
    }

    #[test]
    fn no_text_makes_it_panic(note in "(a|\n|— | |example.com/foo|AAAA|=|\u{1}){0,20}", vkey in "[a+01=/ ]{0,40}") {
        prop_assert!(open(note.as_bytes(), &[verifier()]).is_err());
        prop_assert!(Verifier::parse(&vkey).is_err());
    }
}

proptest! {
    #![proptest_config(fixed(1_000))]

    #[test]
    fn what_opens_begins_with_its_text(note in mutated([lines(BAD_NOTES), vec![NOTE.as_bytes().to_vec()]].concat()), vkey in mutated([lines(BAD_VKEYS), vec![VKEY.as_bytes().to_vec()]].concat())) {
        if let Ok(opened) = open(&note, &[verifier()]) {
            prop_assert!(note.starts_with(opened.text.as_bytes()));
        }
        if let Some(Ok(key)) = std::str::from_utf8(&vkey).ok().map(Verifier::parse) {
            prop_assert_eq!(key.vkey().into_bytes(), vkey);
        }
    }
}
