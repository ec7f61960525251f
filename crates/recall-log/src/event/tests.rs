#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod schema;

use super::*;
use crate::entry::{Admission, Facets, Parts, merge, received_at_span};
use crate::mutation::{fixed, mutated};
use proptest::prelude::*;
use schema::Schema;
use serde_json::{Value as Json, json};

const GOOD: &str = include_str!("../../vectors/events-good.ndjson");
const BAD: &str = include_str!("../../vectors/events-bad.tsv");

fn error_of(json: &[u8]) -> Option<String> {
    Event::parse(json).err().map(|error| error.to_string())
}

/// The smallest event, with members put in or replaced.
fn event_with(members: Json) -> Json {
    let mut event = json!({"time": "2026-11-23T18:00:00Z", "action": "a", "actor": {"type": "user"}, "targets": [{"type": "t"}]});
    for (name, value) in members.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

#[test]
fn good_events_pass_parser_and_schema() {
    let schema = Schema::new(SCHEMA);
    for line in GOOD.lines() {
        assert_eq!(error_of(line.as_bytes()), None, "{line}");
        assert!(schema.is_valid(&serde_json::from_str(line).unwrap()), "{line}");
    }
}

#[test]
fn bad_events_are_refused_with_field_and_remedy() {
    let schema = Schema::new(SCHEMA);
    for line in BAD.lines() {
        let (expected, event) = line.split_once('\t').unwrap();
        let (beyond_schema, expected) = match expected.strip_prefix('~') {
            Some(expected) => (true, expected),
            None => (false, expected),
        };
        assert_eq!(error_of(event.as_bytes()).as_deref(), Some(expected), "{event}");
        if !beyond_schema {
            assert!(!schema.is_valid(&serde_json::from_str(event).unwrap()), "the schema accepts {event}");
        }
    }
}

#[test]
fn limits_hold_at_below_and_above() {
    let schema = Schema::new(SCHEMA);
    let text = |length: usize| "x".repeat(length);
    let many = |length: usize, value: &Json| vec![value.clone(); length];
    let target = |member: &str, value: Json| json!({"targets": [{"type": "t", member: value}]});
    let actor = |member: &str, value: Json| json!({"actor": {"type": "user", member: value}});
    let metadata =
        |names: usize| json!({"metadata": (0..names).map(|name| (format!("n{name}"), json!(1))).collect::<serde_json::Map<_, _>>()});
    let of_text = |limit: usize, event: &dyn Fn(Json) -> Json| {
        (limit, vec![event(json!(text(limit - 1))), event(json!(text(limit)))], event(json!(text(limit + 1))))
    };
    let of_list = |limit: usize, element: &Json, event: &dyn Fn(Json) -> Json| {
        (limit, vec![event(json!(many(limit - 1, element))), event(json!(many(limit, element)))], event(json!(many(limit + 1, element))))
    };
    let cases = vec![
        of_text(limits::SHORT_BYTES, &|value| json!({"id": value})),
        of_text(limits::SHORT_BYTES, &|value| json!({"source": value})),
        of_text(limits::SHORT_BYTES, &|value| json!({"action": value})),
        of_text(limits::SHORT_BYTES, &|value| json!({"approval_id": value})),
        of_text(limits::SHORT_BYTES, &|value| json!({"purpose": [value]})),
        of_text(limits::SHORT_BYTES, &|value| json!({"outcome": {"code": value}})),
        of_text(limits::MEDIUM_BYTES, &|value| json!({"outcome": {"reason": value}})),
        of_text(limits::SHORT_BYTES, &|value| actor("id", value)),
        of_text(limits::MEDIUM_BYTES, &|value| actor("name", value)),
        of_text(limits::SHORT_BYTES, &|value| actor("session_id", value)),
        of_text(limits::SHORT_BYTES, &|value| actor("auth_method", value)),
        of_text(limits::SHORT_BYTES, &|value| actor("roles", json!([value]))),
        of_text(limits::SHORT_BYTES, &|value| actor("on_behalf_of", json!({"type": "user", "id": value}))),
        of_text(limits::SHORT_BYTES, &|value| json!({"targets": [{"type": value}]})),
        of_text(limits::SHORT_BYTES, &|value| target("id", value)),
        of_text(limits::MEDIUM_BYTES, &|value| target("name", value)),
        of_text(limits::SHORT_BYTES, &|value| target("patient_id", value)),
        of_text(limits::SHORT_BYTES, &|value| target("labels", json!([value]))),
        of_text(limits::SHORT_BYTES, &|value| json!({"context": {"ip": value}})),
        of_text(limits::MEDIUM_BYTES, &|value| json!({"context": {"user_agent": value}})),
        of_text(limits::SHORT_BYTES, &|value| json!({"context": {"app": value}})),
        of_text(limits::SHORT_BYTES, &|value| json!({"context": {"component": value}})),
        of_text(limits::SHORT_BYTES, &|value| json!({"context": {"request_id": value}})),
        of_text(limits::SHORT_BYTES, &|value| json!({"context": {"trace_id": value}})),
        of_text(limits::SHORT_BYTES, &|value| json!({"request": {"protocol": value}})),
        of_text(limits::SHORT_BYTES, &|value| json!({"changes": [{"path": value}]})),
        of_text(limits::LONG_BYTES, &|value| json!({"description": value})),
        of_text(limits::METADATA_VALUE_CHARACTERS, &|value| json!({"metadata": {"a": value}})),
        of_text(limits::METADATA_NAME_CHARACTERS, &|value| json!({"metadata": {value.as_str().unwrap(): 1}})),
        of_list(limits::TARGETS, &json!({"id": "x"}), &|value| json!({"targets": value})),
        of_list(limits::PARAMETERS, &json!(1), &|value| json!({"request": {"parameters": value}})),
        of_list(limits::CHANGES, &json!({"path": "/"}), &|value| json!({"changes": value})),
        of_list(limits::ROLES, &json!("r"), &|value| actor("roles", value)),
        of_list(limits::LABELS, &json!("l"), &|value| target("labels", value)),
        of_list(limits::PURPOSES, &json!("p"), &|value| json!({"purpose": value})),
        (limits::METADATA, vec![metadata(49), metadata(50)], metadata(51)),
        (0, vec![json!({"seq": limits::INTEGER - 1}), json!({"seq": limits::INTEGER})], json!({"seq": limits::INTEGER + 1})),
    ];
    for (limit, inside, outside) in cases {
        for members in inside {
            let event = event_with(members);
            assert_eq!(error_of(event.to_string().as_bytes()), None, "limit {limit}");
            assert!(schema.is_valid(&event), "limit {limit}");
        }
        let event = event_with(outside);
        assert!(error_of(event.to_string().as_bytes()).is_some(), "limit {limit}");
        assert!(!schema.is_valid(&event), "limit {limit}: the schema accepts more");
    }
}

#[test]
fn limits_in_bytes_count_bytes_and_limits_in_characters_count_characters() {
    let umlauts = |count: usize| "ä".repeat(count);
    assert_eq!(error_of(event_with(json!({"action": umlauts(256)})).to_string().as_bytes()), None);
    let error = error_of(event_with(json!({"targets": [{"patient_id": umlauts(257)}]})).to_string().as_bytes()).unwrap();
    assert_eq!(error, "targets[0].patient_id: longer than 512 bytes; shorten it");
    assert_eq!(error_of(event_with(json!({"metadata": {umlauts(40): umlauts(500)}})).to_string().as_bytes()), None);
    assert!(error_of(event_with(json!({"metadata": {umlauts(41): 1}})).to_string().as_bytes()).is_some());
}

#[test]
fn nesting_ends_at_sixteen() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let change = |value: &str| {
        let head = r#"{"time":"2026-11-23T18:00:00Z","action":"a","actor":{"type":"user"},"targets":[{"type":"t"}],"changes":[{"path":"/","before":"#;
        format!("{head}{value}}}]}}")
    };
    assert_eq!(error_of(change(&nested(12)).as_bytes()), None);
    assert_eq!(error_of(change(&nested(13)).as_bytes()), None);
    assert!(error_of(change(&nested(14)).as_bytes()).unwrap().contains("nested deeper than 16"));
    assert!(error_of("[".repeat(10_000_000).as_bytes()).is_some());
    assert!(error_of(change(&"[".repeat(10_000_000)).as_bytes()).unwrap().contains("nested deeper than 16"));
    assert!(error_of(change(&r#"{"a":"#.repeat(1_000_000)).as_bytes()).unwrap().contains("nested deeper than 16"));
}

#[test]
fn principals_end_at_four_levels() {
    let chain = |levels: usize| (0..levels).fold(json!({"type": "user"}), |inner, _| json!({"type": "user", "on_behalf_of": inner}));
    assert_eq!(error_of(event_with(json!({"actor": chain(3)})).to_string().as_bytes()), None);
    assert_eq!(error_of(event_with(json!({"actor": chain(4)})).to_string().as_bytes()), None);
    let error = error_of(event_with(json!({"actor": chain(5)})).to_string().as_bytes()).unwrap();
    assert_eq!(error, format!("actor{}: more than 4 levels; name fewer intermediaries", ".on_behalf_of".repeat(5)));
}

#[test]
fn what_is_not_utf8_or_not_one_value_is_refused() {
    let good = GOOD.lines().next().unwrap();
    let mut bytes = good.as_bytes().to_vec();
    bytes[40] = 0xFF;
    assert_eq!(error_of(&bytes).unwrap(), "event: byte 40: not UTF-8; send UTF-8");
    let two = format!("{good} {good}");
    assert_eq!(error_of(two.as_bytes()).unwrap(), format!("event: byte {}: more than one value; send one value", good.len() + 1));
    let control = good.replace("chart.viewed", "chart\u{1}viewed");
    assert!(error_of(control.as_bytes()).unwrap().contains("the end of a string expected"));
    for end in 0..good.len() {
        assert!(error_of(&good.as_bytes()[..end]).is_some(), "cut at {end}");
    }
}

#[test]
fn values_are_counted_before_they_fill_memory() {
    let zeros = format!("[{}0]", "0,".repeat(crate::json::VALUES));
    let event = event_with(json!({"changes": [{"path": "/", "after": 7}]})).to_string().replace('7', &zeros);
    assert!(error_of(event.as_bytes()).unwrap().contains("more than 524,288 values; send less"));
}

#[test]
fn no_error_repeats_a_value() {
    const SECRET: &str = "123-45-6789";
    for member in [
        "id",
        "source",
        "seq",
        "time",
        "op",
        "outcome",
        "actor",
        "targets",
        "purpose",
        "break_glass",
        "context",
        "request",
        "changes",
        "metadata",
        "schema",
    ] {
        for value in [json!(SECRET), json!([SECRET]), json!({SECRET: SECRET}), json!([{SECRET: SECRET}]), json!([[SECRET]])] {
            if let Some(error) = error_of(event_with(json!({member: value})).to_string().as_bytes()) {
                assert!(!error.contains(SECRET), "{error}");
            }
        }
    }
}

#[test]
fn events_made_in_code_obey_the_same_rules() {
    let made = |targets: Vec<Target<'static>>| Event {
        time: Timestamp::from_micros(0),
        action: "trail.searched".into(),
        actor: Actor { kind: ActorType::User, id: Some("ada".into()), ..Actor::default() },
        targets,
        ..Event::default()
    };
    assert_eq!(made(vec![Target { kind: Some("trail".into()), ..Target::default() }]).validate(), Ok(()));
    assert_eq!(made(Vec::new()).validate().unwrap_err().path, "targets");
    assert_eq!(made(vec![Target::default()]).validate().unwrap_err().path, "targets[0]");
    let deep = (0..14).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    let mut event = made(vec![Target { kind: Some("t".into()), ..Target::default() }]);
    event.request.parameters = vec![deep];
    assert_eq!(event.validate().unwrap_err().path, "request.parameters");
    event.request.parameters = Vec::new();
    event.seq = Some(limits::INTEGER + 1);
    assert_eq!(event.validate().unwrap_err().path, "seq");
}

/// All events of the vectors, good and bad.
fn vectors() -> Vec<Vec<u8>> {
    let bad = BAD.lines().filter_map(|line| line.split_once('\t')).map(|(_, event)| event);
    GOOD.lines().chain(bad).map(|event| event.as_bytes().to_vec()).collect()
}

proptest! {
    #![proptest_config(fixed(3_000))]

    #[test]
    fn any_bytes_are_an_event_or_an_error_and_an_event_reads_back(bytes in mutated(vectors())) {
        let Ok(event) = Event::parse(&bytes) else { return Ok(()) };
        let admission = Admission { source: "urn:fuzz", id: "01", received_at: Timestamp::from_micros(1_790_812_800_000_000) };
        let Ok(parts) = Parts::write(&event, &admission) else { return Ok(()) };
        let merged = merge(&parts.public, Some(&parts.phi)).unwrap();
        prop_assert_eq!(crate::canonical::canonicalize(&merged).unwrap(), merged);
        let (facets, span) = Facets::read_stored(&parts.public, &parts.phi).unwrap();
        prop_assert!(facets == Facets::of(&event, &admission) && span == parts.received_at_span);
    }

    #[test]
    fn any_bytes_are_stored_parts_or_an_error(public in mutated(vectors()), phi in mutated(vectors())) {
        let both = Facets::read_stored(&public, &phi).map(|(_, span)| span);
        let one_by_one = Facets::read(&public, Some(&phi)).and_then(|_| received_at_span(&public));
        prop_assert_eq!(both, one_by_one);
        let _ = merge(&public, Some(&phi));
    }
}
