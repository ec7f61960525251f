#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::{Probe, first_value, fits};
use crate::query::{Glyph, Pattern};

const EVENT: &[u8] = br#"{"action":"chart.viewed","break_glass":true,"changes":[{"after":{"city":"Bern"},"before":null,"path":"/address"}],"metadata":{"a.b":"1","n":2.5},"request":{"rows":12,"statement":"SELECT \"x\" FROM t\nWHERE y"},"targets":[{},{"labels":["PHI","HIV"],"type":"fhir:Patient"}]}"#;

fn exact(path: &str, value: &str) -> bool {
    Probe::at(path, Pattern::Exact(value.to_owned())).test(EVENT).unwrap()
}

fn anywhere(text: &str) -> bool {
    Probe::anywhere(text).test(EVENT).unwrap()
}

#[test]
fn values_at_a_path() {
    assert!(exact("action", "chart.viewed") && !exact("action", "chart.Viewed") && !exact("action", "chart"));
    assert!(exact("targets.type", "fhir:Patient") && exact("targets.labels", "HIV") && !exact("targets", "nothing"));
    assert!(exact("request.rows", "12") && exact("break_glass", "true") && exact("metadata.n", "2.5"));
    assert!(exact("metadata.a.b", "1") && exact("metadata", "1"));
    assert!(exact("changes.after", "Bern") && !exact("changes.before", "Bern"));
    assert!(exact("request.statement", "SELECT \"x\" FROM t\nWHERE y"));
}

#[test]
fn free_text_finds_values_and_not_names() {
    assert!(anywhere("CHART") && anywhere("hiv") && anywhere("12") && anywhere("bern"));
    assert!(anywhere("\"X\"") && anywhere("t\nwhere"));
    assert!(!anywhere("metadata") && !anywhere("labels") && !anywhere("},{") && !anywhere("nothing"));
}

#[test]
fn case_beyond_ascii() {
    let event = "{\"a\":\"MÜLLER\"}".as_bytes();
    assert!(Probe::anywhere("müller").test(event).unwrap());
    assert!(!Probe::anywhere("mueller").test(event).unwrap());
}

#[test]
fn damaged_bytes_are_an_error() {
    for bytes in [&b""[..], b"{", b"{\"action\":}", b"\xff", b"{\"a\":1}x\xff"] {
        let probe = Probe::at("action", Pattern::Exact(String::new()));
        if !bytes.ends_with(b"x\xff") {
            assert!(probe.test(bytes).is_err(), "{bytes:?}");
        }
    }
}

#[test]
fn the_first_value() {
    assert_eq!(first_value(EVENT, "targets.labels").unwrap().as_deref(), Some("PHI"));
    assert_eq!(first_value(EVENT, "actor.id").unwrap(), None);
}

/// Shapes, by the textbook.
fn fits_slowly(glyphs: &[Glyph], text: &[char]) -> bool {
    match (glyphs.split_first(), text.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((Glyph::Many, after)), rest) => fits_slowly(after, text) || rest.is_some_and(|(_, rest)| fits_slowly(glyphs, rest)),
        (Some(_), None) => false,
        (Some((Glyph::One, after)), Some((_, rest))) => fits_slowly(after, rest),
        (Some((Glyph::Char(c), after)), Some((d, rest))) => c == d && fits_slowly(after, rest),
    }
}

proptest! {
    #[test]
    fn wildcards_agree_with_the_textbook(
        glyphs in prop::collection::vec(prop::sample::select(vec![Glyph::Many, Glyph::One, Glyph::Char('a'), Glyph::Char('b')]), 0..8),
        text in "[ab]{0,10}",
    ) {
        prop_assert_eq!(fits(&glyphs, &text), fits_slowly(&glyphs, &text.chars().collect::<Vec<_>>()));
    }

    #[test]
    fn free_text_agrees_with_lower_case(value in "[a-cA-C\"\\\\ ]{0,12}", text in "[a-cA-C\"\\\\ ]{1,3}") {
        let json = serde_json::json!({ "zz": value }).to_string();
        let expected = value.to_lowercase().contains(&text.to_lowercase());
        prop_assert_eq!(Probe::anywhere(&text).test(json.as_bytes()).unwrap(), expected);
    }
}

#[test]
fn many_wildcards_do_not_blow_up() {
    let glyphs: Vec<Glyph> = [Glyph::Many, Glyph::Char('a')].repeat(200).into_iter().chain([Glyph::Char('b')]).collect();
    assert!(!fits(&glyphs, &"a".repeat(5_000)));
}
