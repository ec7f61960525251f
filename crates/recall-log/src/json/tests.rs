#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;

fn error_of(json: &[u8]) -> Option<JsonErrorKind> {
    let mut reader = match Reader::new(json) {
        Ok(reader) => reader,
        Err(error) => return Some(error.kind),
    };
    reader.value().and_then(|_| reader.end()).err().map(|error| error.kind)
}

/// What `skip` says of the same text; it refuses the same but for repeated names.
fn skip_error_of(json: &[u8]) -> Option<JsonErrorKind> {
    let mut reader = Reader::new(json).ok()?;
    reader.skip().and_then(|_| reader.end()).err().map(|error| error.kind)
}

#[test]
fn texts_that_are_no_json_are_refused() {
    for text in [
        "",
        " ",
        "nul",
        "nulll",
        "True",
        "tru",
        "'a'",
        "\"a",
        "\"\\\"",
        "\"\\u12g4\"",
        "\"\\u12\"",
        "\"\\U0041\"",
        "\"\t\"",
        "{",
        "}",
        "{a:1}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":1 \"b\":2}",
        "[",
        "]",
        "[1",
        "[1,",
        "[,1]",
        "[1 2]",
        "1,",
        "+1",
        "-",
        "01",
        "-01",
        "1.",
        ".1",
        "1e",
        "1e+",
        "0x1",
        "1_000",
        "NaN",
        "Infinity",
        "-Infinity",
        "1 1",
        "[]]",
        "{}{}",
        "\u{feff}{}",
        "/* */1",
        "[1]//",
        "1\u{a0}",
    ] {
        assert!(error_of(text.as_bytes()).is_some(), "{text}");
        assert!(skip_error_of(text.as_bytes()).is_some(), "{text} passes when skipped");
    }
}

#[test]
fn numbers_beyond_doubles_are_refused() {
    for text in
        ["9007199254740992", "-9007199254740992", "1e16", "123456789012345678901234567890", "1e309", "-1e400", "1e-400", "0.0e0001e"]
    {
        assert!(error_of(text.as_bytes()).is_some(), "{text}");
    }
    for text in ["9007199254740991", "-9007199254740991", "1e21", "1e300", "1e-300", "0e5", "-0", "0.0", "0e-999", "900719925474099.1e1"] {
        assert_eq!(error_of(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn strings_are_read_whole() {
    for (text, expected) in [
        (r#""""#, ""),
        (r#""a\"\\\/\b\f\n\r\tz""#, "a\"\\/\u{8}\u{c}\n\r\tz"),
        (r#""\u00e9\u20AC\ud83d\uDE00x""#, "é€😀x"),
        ("\"é€😀\u{7f}\"", "é€😀\u{7f}"),
        (r#""\u0000""#, "\0"),
    ] {
        assert_eq!(Reader::over(text).text().unwrap(), expected);
    }
}

#[test]
fn depth_and_number_of_values_are_limited() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(error_of(nested(DEPTH - 1).as_bytes()), None);
    assert_eq!(error_of(nested(DEPTH).as_bytes()), None);
    assert_eq!(error_of(nested(DEPTH + 1).as_bytes()), Some(JsonErrorKind::Depth));
    assert_eq!(skip_error_of(nested(DEPTH + 1).as_bytes()), Some(JsonErrorKind::Depth));
    let list = |values: usize| format!("[{}]", vec!["1"; values].join(","));
    assert_eq!(error_of(list(VALUES - 1).as_bytes()), None);
    assert_eq!(error_of(list(VALUES).as_bytes()), None);
    assert_eq!(error_of(list(VALUES + 1).as_bytes()), Some(JsonErrorKind::Values));
}

#[test]
fn repeated_names_are_found_however_they_are_written() {
    for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"b":{},"\u0061":null}"#, r#"[{"x":{"":1,"":2}}]"#] {
        assert_eq!(error_of(text.as_bytes()), Some(JsonErrorKind::Duplicate), "{text}");
    }
    assert!(Object::new(vec![("a".into(), Value::Null), ("a".into(), Value::Null)]).is_none());
}

proptest! {
    #[test]
    fn whatever_is_accepted_another_parser_accepts(text in "[ \\[\\]{}:,\"\\\\a-fu0-9.eE+-]{0,40}") {
        if error_of(text.as_bytes()).is_none() {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        } else if let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) {
            // Only numbers and repeated names are refused beyond the grammar.
            prop_assert!(matches!(error_of(text.as_bytes()), Some(JsonErrorKind::Number | JsonErrorKind::Duplicate)), "{}", value);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = error_of(&bytes);
        let _ = skip_error_of(&bytes);
    }

    #[test]
    fn plain_bytes_are_counted_as_one_by_one(bytes in prop::collection::vec(prop_oneof![6 => Just(b'a'), 1 => any::<u8>()], 0..70)) {
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
        for from in 0..=bytes.len() {
            let rest = &bytes[from..];
            prop_assert_eq!(string::plain_length(rest), rest.iter().position(special).unwrap_or(rest.len()));
        }
    }

    #[test]
    fn names_are_ordered_by_utf16_code_units(left in "[a\u{7f}\u{80}\u{d7ff}\u{e000}\u{fb33}\u{ffff}\u{10000}\u{10ffff}]{0,3}", right in "\\PC{0,3}|[a\u{e000}\u{ffff}\u{10000}\u{10ffff}]{0,3}") {
        prop_assert_eq!(utf16_order(&left, &right), left.encode_utf16().cmp(right.encode_utf16()));
    }
}

#[test]
fn every_byte_ends_plain_text_or_not_at_every_place() {
    for byte in 0..=u8::MAX {
        for place in 0..40 {
            let mut bytes = [b'a'; 40];
            bytes[place] = byte;
            let expected = if matches!(byte, b'"' | b'\\' | 0..0x20) { place } else { 40 };
            assert_eq!(string::plain_length(&bytes), expected, "{byte:#x} at {place}");
        }
    }
}
