#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use recall_log::time::Timestamp;

use super::field::Field;
use super::{Filter, Glyph, MAX_DEPTH, MAX_QUERY_BYTES, MAX_TERMS, Pattern, Problem, Span, parse};

/// 2026-11-24T12:00:00Z.
const NOW: i64 = 1_795_521_600_000_000;
const DAY: i64 = 86_400_000_000;

fn now() -> Timestamp {
    Timestamp::from_micros(NOW)
}

fn ok(text: &str) -> Filter {
    parse(text, now()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn wrong(text: &str) -> (usize, Problem) {
    let error = parse(text, now()).expect_err(text);
    (error.at, error.problem)
}

fn field(name: &str) -> Field {
    Field::named(name).unwrap()
}

fn is(name: &str, value: &str) -> Filter {
    Filter::Is(field(name), Pattern::Exact(value.to_owned()))
}

fn text(value: &str) -> Filter {
    Filter::Text(value.to_owned())
}

fn not(filter: Filter) -> Filter {
    Filter::Not(Box::new(filter))
}

fn within(name: &str, low: Option<i64>, high: Option<i64>) -> Filter {
    Filter::Within(field(name), Span { low, high })
}

#[test]
fn now_is_what_it_says() {
    assert_eq!(now().to_string(), "2026-11-24T12:00:00.000000Z");
}

#[test]
fn the_query_of_the_documentation() {
    let found =
        ok(r#"actor.id:jdoe action:chart.* -outcome:success time>-7d "free text" (a OR b) seq:10..20 break_glass:true patient:"MRN 1""#);
    let glob = "chart.".chars().map(Glyph::Char).chain([Glyph::Many]).collect();
    let wanted = Filter::All(vec![
        is("actor.id", "jdoe"),
        Filter::Is(field("action"), Pattern::Glob(glob)),
        not(is("outcome.status", "success")),
        within("time", Some(NOW - 7 * DAY + 1), None),
        text("free text"),
        Filter::Any(vec![text("a"), text("b")]),
        within("seq", Some(10), Some(20)),
        Filter::Flag(field("break_glass"), true),
        is("targets.patient_id", "MRN 1"),
    ]);
    assert_eq!(found, wanted);
}

#[test]
fn nothing_asks_for_everything() {
    for empty in ["", "   ", "\n\t"] {
        assert_eq!(ok(empty), Filter::All(vec![]));
    }
}

#[test]
fn and_binds_tighter_than_or() {
    let (a, b, c) = (text("a"), text("b"), text("c"));
    let both = |x: &Filter, y: &Filter| Filter::All(vec![x.clone(), y.clone()]);
    assert_eq!(ok("a OR b c"), Filter::Any(vec![a.clone(), both(&b, &c)]));
    assert_eq!(ok("a AND b OR c"), Filter::Any(vec![both(&a, &b), c.clone()]));
    assert_eq!(ok("a (b OR c)"), Filter::All(vec![a.clone(), Filter::Any(vec![b.clone(), c.clone()])]));
    assert_eq!(ok("NOT a b"), both(&not(a.clone()), &b));
    assert_eq!(ok("-(a b)"), not(both(&a, &b)));
    assert_eq!(ok("NOT -a"), not(not(a)));
}

#[test]
fn operators_are_upper_case_words_of_their_own() {
    assert_eq!(ok("a or b"), Filter::All(vec![text("a"), text("or"), text("b")]));
    assert_eq!(ok("ORDER"), text("ORDER"));
    assert_eq!(ok("\"OR\""), text("OR"));
    assert_eq!(ok("action:OR"), is("action", "OR"));
}

#[test]
fn names_ignore_case_and_values_do_not() {
    assert_eq!(ok("ACTOR.ID:JDoe"), is("actor.id", "JDoe"));
    assert_eq!(ok("User:x"), is("actor.id", "x"));
    assert_eq!(ok("metadata.Ward.Bed:3"), Filter::Is(field("metadata.Ward.Bed"), Pattern::Exact("3".to_owned())));
    assert_ne!(field("metadata.Ward"), field("metadata.ward"));
}

#[test]
fn quotes_and_escapes() {
    assert_eq!(ok(r#"action:"a \"b\" \\ *""#), is("action", r#"a "b" \ *"#));
    assert_eq!(ok(r"action:a\*b"), is("action", "a*b"));
    assert_eq!(ok(r"action:a\ b"), is("action", "a b"));
    assert_eq!(ok("action:\"\""), is("action", ""));
    assert_eq!(ok("source:urn:ehr:prod"), is("source", "urn:ehr:prod"));
    assert_eq!(ok(r#""urn:ehr""#), text("urn:ehr"));
    assert_eq!(ok("*part*"), text("part"));
    assert_eq!(ok("text:part"), text("part"));
}

#[test]
fn spans_of_numbers() {
    assert_eq!(ok("seq:7"), within("seq", Some(7), Some(7)));
    assert_eq!(ok("seq:7.."), within("seq", Some(7), None));
    assert_eq!(ok("seq:..7"), within("seq", None, Some(7)));
    assert_eq!(ok("rows>7"), within("request.rows", Some(8), None));
    assert_eq!(ok("rows>=7"), within("request.rows", Some(7), None));
    assert_eq!(ok("rows<7"), within("request.rows", None, Some(6)));
    assert_eq!(ok("rows<=7"), within("request.rows", None, Some(7)));
    assert_eq!(ok("index:-1"), within("index", Some(-1), Some(-1)));
}

#[test]
fn times_as_people_type_them() {
    let midnight = NOW - DAY / 2;
    assert_eq!(ok("time:today"), within("time", Some(midnight), Some(midnight + DAY - 1)));
    assert_eq!(ok("time:2026-11-24"), ok("time:today"));
    assert_eq!(ok("time:yesterday"), within("time", Some(midnight - DAY), Some(midnight - 1)));
    assert_eq!(ok("time>2026-11-24"), within("time", Some(midnight + DAY), None));
    assert_eq!(ok("time<2026-11-24"), within("time", None, Some(midnight - 1)));
    assert_eq!(ok("time<=2026-11-24"), within("time", None, Some(midnight + DAY - 1)));
    assert_eq!(ok("time:2026-11"), within("time", Some(midnight - 23 * DAY), Some(midnight + 7 * DAY - 1)));
    assert_eq!(ok("time:2025-12"), within("time", Some(midnight - 358 * DAY), Some(midnight - 327 * DAY - 1)));
    assert_eq!(ok("time>=now"), within("time", Some(NOW), None));
    assert_eq!(ok("time:-2h..-15m"), within("time", Some(NOW - DAY / 12), Some(NOW - DAY / 96)));
    assert_eq!(ok("time>=2026-11-24T13:00:00+01:00"), within("time", Some(NOW), None));
    assert_eq!(ok("received_at<+1w"), within("received_at", None, Some(NOW + 7 * DAY - 1)));
}

#[test]
fn problems_name_their_place() {
    let cases = [
        ("a OR", 5, Problem::TermMissing),
        ("OR a", 1, Problem::TermMissing),
        ("a AND", 6, Problem::TermMissing),
        ("()", 2, Problem::TermMissing),
        ("-", 2, Problem::TermMissing),
        ("- a", 2, Problem::TermMissing),
        ("NOT", 4, Problem::TermMissing),
        ("a (b", 3, Problem::OpenParenthesis),
        ("a) b", 2, Problem::StrayParenthesis),
        ("\"abc", 1, Problem::OpenQuote),
        ("action:\"abc", 8, Problem::OpenQuote),
        ("action:", 8, Problem::ValueMissing),
        ("action: x", 8, Problem::ValueMissing),
        ("action:(a)", 8, Problem::ValueMissing),
        ("**", 1, Problem::ValueMissing),
        ("\"\"", 1, Problem::ValueMissing),
        ("x\\", 2, Problem::StrayBackslash),
        (":x", 1, Problem::NotAField),
        ("é:x", 2, Problem::NotAField),
        ("seq:x", 5, Problem::NotANumber),
        ("seq:1..x", 5, Problem::NotANumber),
        ("seq:..", 5, Problem::ValueMissing),
        ("seq:9223372036854775808", 5, Problem::NotANumber),
        ("seq:1*", 5, Problem::NoWildcard),
        ("time:soon", 6, Problem::NotATime),
        ("time:2026-02-30", 6, Problem::NotATime),
        ("time:2026-13", 6, Problem::NotATime),
        ("time>-99999999999999999w", 6, Problem::NotATime),
        ("time>-d", 6, Problem::NotATime),
        ("time>-7y", 6, Problem::NotATime),
        ("break_glass:yes", 13, Problem::NotAFlag),
        ("break_glass>true", 13, Problem::NoOrder),
        ("action>x", 8, Problem::NoOrder),
        ("text>x", 6, Problem::NoOrder),
        ("a*b", 1, Problem::NoWildcard),
    ];
    for (query, at, problem) in cases {
        assert_eq!(wrong(query), (at, problem), "{query}");
    }
}

#[test]
fn an_unknown_field_has_neighbours() {
    assert_eq!(wrong("a actoin:x"), (3, Problem::UnknownField(vec!["action", "actor.id"])));
    assert_eq!(wrong("patiemt:x").1, Problem::UnknownField(vec!["targets.patient_id"]));
    assert_eq!(wrong("zzzzzzzz:x").1, Problem::UnknownField(vec![]));
    assert_eq!(wrong("metadata.:x").1, Problem::UnknownField(vec!["metadata"]));
}

#[test]
fn no_error_repeats_what_was_typed() {
    for query in ["seq:SECRET", "SECRET:1", "time:SECRET", "\"SECRET", "break_glass:SECRET", "(SECRET", "SECRET)", "action>SECRET"] {
        let error = parse(query, now()).expect_err(query);
        assert!(!format!("{error} {error:?}").contains("SECRET"), "{query}");
    }
}

#[test]
fn limits_at_below_and_above() {
    let long = "a".repeat(MAX_QUERY_BYTES);
    assert!(parse(&long[1..], now()).is_ok() && parse(&long, now()).is_ok());
    assert_eq!(wrong(&format!("{long}a")).1, Problem::TooLong);

    let terms = |count: usize| vec!["a"; count].join(" ");
    assert!(parse(&terms(MAX_TERMS - 1), now()).is_ok() && parse(&terms(MAX_TERMS), now()).is_ok());
    assert_eq!(wrong(&terms(MAX_TERMS + 1)).1, Problem::TooManyTerms);

    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&nested(MAX_DEPTH - 1), now()).is_ok() && parse(&nested(MAX_DEPTH), now()).is_ok());
    assert_eq!(wrong(&nested(MAX_DEPTH + 1)).1, Problem::TooDeep);
    assert!(parse(&format!("{}a", "-".repeat(MAX_DEPTH)), now()).is_ok());
    assert_eq!(wrong(&format!("{}a", "NOT ".repeat(MAX_DEPTH + 1))).1, Problem::TooDeep);
}

proptest! {
    #[test]
    fn any_text_is_a_query_or_an_error(text in "\\PC{0,80}") {
        let _ = parse(&text, now());
    }

    #[test]
    fn anything_made_of_the_languages_own_pieces_too(pieces in prop::collection::vec(
        prop::sample::select(vec!["a", " ", "OR", "AND", "NOT", "-", "(", ")", "\"", "\\", ":", "seq", "time", "action", ">", "=", "..", "*", "?", "7", "-7d"]), 0..24)) {
        let text: String = pieces.concat();
        if let Err(error) = parse(&text, now()) {
            prop_assert!(error.at >= 1 && error.at <= text.chars().count() + 1);
        }
    }

    #[test]
    fn a_quoted_value_is_read_as_it_was_meant(value in "\\PC{0,40}") {
        let quoted: String = value.chars().flat_map(|c| if matches!(c, '"' | '\\') { vec!['\\', c] } else { vec![c] }).collect();
        prop_assert_eq!(ok(&format!("action:\"{quoted}\"")), is("action", &value));
    }
}
