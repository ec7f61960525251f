#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::event::{Actor, ActorType, Change, Context, Op, Outcome, Request, Status, Target};
use crate::json::{Number, Object, Value};
use proptest::prelude::*;
use std::borrow::Cow;

const ADMISSION: Admission<'static> =
    Admission { source: "urn:ehr:\"prod\"", id: "0195", received_at: Timestamp::from_micros(1_795_000_000_000_001) };

/// Makes events out of arbitrary bytes, so that any of their parts may be absent or strange.
struct Tape(std::vec::IntoIter<u8>);

impl Tape {
    fn byte(&mut self) -> u8 {
        self.0.next().unwrap_or_default()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.byte() & 1 == 1).then(|| make(self))
    }

    fn list<T>(&mut self, make: impl Fn(&mut Self) -> T) -> Vec<T> {
        let length = self.byte() % 4;
        (0..length).map(|_| make(self)).collect()
    }

    fn text(&mut self) -> Cow<'static, str> {
        const PIECES: [&str; 12] = ["a", "p1", "\"", "\\", "\n", "\u{1}", "é", "😀", "\u{fb33}", "", "{", "null"];
        let length = self.byte() % 3 + 1;
        Cow::Owned((0..length).map(|_| PIECES[usize::from(self.byte()) % PIECES.len()]).collect())
    }

    fn value(&mut self, depth: usize) -> Value<'static> {
        match self.byte() % if depth == 0 { 4 } else { 6 } {
            0 => Value::Null,
            1 => Value::Bool(self.byte() & 1 == 1),
            2 => Value::Number(Number::new(f64::from(self.byte()) / f64::from(self.byte().max(1))).unwrap()),
            3 => Value::Text(self.text()),
            4 => Value::Array(self.list(|tape| tape.value(depth - 1))),
            _ => Value::Object(self.object(depth - 1)),
        }
    }

    fn object(&mut self, depth: usize) -> Object<'static> {
        let members = self.list(|tape| (tape.text(), tape.value(depth)));
        Object::new(members).unwrap_or_default()
    }

    fn actor(&mut self, levels: usize) -> Actor<'static> {
        const KINDS: [ActorType; 5] = [ActorType::User, ActorType::Service, ActorType::AiAgent, ActorType::Patient, ActorType::Anonymous];
        Actor {
            kind: KINDS[usize::from(self.byte()) % 5],
            id: self.maybe(Self::text),
            name: self.maybe(Self::text),
            roles: self.list(Self::text),
            session_id: self.maybe(Self::text),
            auth_method: self.maybe(Self::text),
            on_behalf_of: if levels == 0 { None } else { self.maybe(|tape| Box::new(tape.actor(levels - 1))) },
        }
    }

    fn target(&mut self) -> Target<'static> {
        let target = Target {
            kind: self.maybe(Self::text),
            id: self.maybe(Self::text),
            name: self.maybe(Self::text),
            patient_id: self.maybe(Self::text),
            labels: self.list(Self::text),
            count: self.maybe(|tape| u64::from(tape.byte())),
        };
        let named = target.kind.is_some() || target.id.is_some() || target.name.is_some() || target.patient_id.is_some();
        if named { target } else { Target { id: Some("t".into()), ..target } }
    }

    fn event(&mut self) -> Event<'static> {
        Event {
            id: None,
            source: None,
            seq: self.maybe(|tape| u64::from(tape.byte())),
            time: Timestamp::from_micros(i64::from(self.byte()) * 1_000_003),
            action: format!("a{}", self.byte()).into(),
            op: self.maybe(|_| Op::Authenticate),
            outcome: Outcome { status: self.maybe(|_| Status::Denied), code: self.maybe(Self::text), reason: self.maybe(Self::text) },
            actor: self.actor(2),
            targets: self.list(Self::target),
            purpose: self.list(|tape| format!("P{}", tape.byte()).into()),
            break_glass: self.maybe(|tape| tape.byte() & 1 == 1),
            approval_id: self.maybe(Self::text),
            context: Context {
                ip: self.maybe(Self::text),
                user_agent: self.maybe(Self::text),
                app: self.maybe(Self::text),
                component: self.maybe(Self::text),
                request_id: self.maybe(Self::text),
                trace_id: self.maybe(Self::text),
            },
            request: Request {
                protocol: self.maybe(Self::text),
                statement: self.maybe(Self::text),
                parameters: self.list(|tape| tape.value(2)),
                rows: self.maybe(|tape| u64::from(tape.byte())),
            },
            changes: self.list(|tape| Change {
                path: tape.text(),
                before: tape.maybe(|tape| tape.value(2)).filter(|value| *value != Value::Null),
                after: tape.maybe(|tape| tape.value(2)).filter(|value| *value != Value::Null),
            }),
            description: self.maybe(Self::text),
            metadata: self.object(0),
        }
    }
}

fn event_of(tape: Vec<u8>) -> Event<'static> {
    Tape(tape.into_iter()).event()
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    String::from_utf8(bytes.as_ref().to_vec()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn merging_undoes_splitting(tape in prop::collection::vec(any::<u8>(), 0..200)) {
        let event = event_of(tape);
        let parts = Parts::write(&event, &ADMISSION).unwrap();
        let merged = merge(&parts.public, Some(&parts.phi)).unwrap();
        let whole = write::whole(&event, &ADMISSION);
        prop_assert_eq!(text(&merged), text(&whole));
        for written in [&parts.public, &parts.phi, &merged] {
            prop_assert_eq!(text(crate::canonical::canonicalize(written).unwrap()), text(written));
        }
        prop_assert_eq!(merge(&parts.public, None).unwrap(), parts.public);
    }

    #[test]
    fn stored_bytes_have_the_facets_of_the_event(tape in prop::collection::vec(any::<u8>(), 0..200)) {
        let event = event_of(tape);
        let parts = Parts::write(&event, &ADMISSION).unwrap();
        let facets = Facets::of(&event, &ADMISSION);
        prop_assert!(Facets::read(&parts.public, Some(&parts.phi)).unwrap() == facets);
        let (stored, span) = Facets::read_stored(&parts.public, &parts.phi).unwrap();
        prop_assert!(stored == facets && span == parts.received_at_span);
        let hidden = event.actor.is_phi();
        let without_phi = Facets {
            patients: Vec::new(),
            actor_token: facets.actor.clone(),
            actor_hidden: false,
            session: if hidden { None } else { facets.session.clone() },
            ..facets
        };
        prop_assert!(Facets::read(&parts.public, None).unwrap() == without_phi);
    }

    #[test]
    fn the_span_of_received_at_is_found_again(tape in prop::collection::vec(any::<u8>(), 0..200)) {
        let event = event_of(tape);
        let parts = Parts::write(&event, &ADMISSION).unwrap();
        prop_assert_eq!(&parts.public[parts.received_at_span.clone()], b"\"received_at\":\"2026-11-18T11:06:40.000001Z\",");
        prop_assert_eq!(received_at_span(&parts.public).unwrap(), parts.received_at_span.clone());
        let later = Admission { received_at: Timestamp::from_micros(1_800_000_000_000_000), ..ADMISSION };
        let again = Parts::write(&event, &later).unwrap();
        let without = |parts: &Parts| [&parts.public[..parts.received_at_span.start], &parts.public[parts.received_at_span.end..]].concat();
        prop_assert_eq!(text(without(&parts)), text(without(&again)));
    }

    #[test]
    fn what_is_parsed_is_what_was_written(tape in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut event = event_of(tape);
        event.op = Some(Op::Authenticate);
        let whole = write::whole(&event, &ADMISSION);
        let span = received_at_span(&whole).unwrap();
        let sent = [&whole[..span.start], &whole[span.end..]].concat();
        let Ok(parsed) = Event::parse(&sent) else { return Ok(()) };
        prop_assert_eq!(text(write::whole(&parsed, &ADMISSION)), text(&whole));
    }

    #[test]
    fn damaged_parts_never_make_it_panic(tape in prop::collection::vec(any::<u8>(), 0..200), place: prop::sample::Index, byte: u8) {
        let event = event_of(tape);
        let mut parts = Parts::write(&event, &ADMISSION).unwrap();
        let place = place.index(parts.public.len());
        parts.public[place] = byte;
        let _ = merge(&parts.public, Some(&parts.phi));
        let _ = Facets::read(&parts.public, Some(&parts.phi));
        let stored = Facets::read_stored(&parts.public, &parts.phi);
        prop_assert_eq!(stored.map(|(_, span)| span).ok(), Facets::read(&parts.public, Some(&parts.phi)).and(received_at_span(&parts.public)).ok());
    }
}

/// An event that fills every field, split by hand.
const FULL: &str = r#"{"id":"01","source":"ehr","seq":7,"time":"2026-11-23T19:00:00+01:00","action":"chart.viewed","op":"R",
"outcome":{"status":"success","code":"200","reason":"fine"},
"actor":{"type":"user","id":"jdoe","name":"Jane","roles":["nurse"],"session_id":"s1","auth_method":"mfa","on_behalf_of":{"type":"service","id":"b"}},
"targets":[{"type":"fhir:Patient","id":"1","name":"A B","patient_id":"p1","labels":["PHI"],"count":1},{"type":"x"},{"patient_id":"p2"},{"patient_id":"p1"}],
"purpose":["TREAT","HPAYMT"],"break_glass":true,"approval_id":"ap","context":{"ip":"10.0.0.1","user_agent":"ua","app":"ehr","component":"web","request_id":"r","trace_id":"t"},
"request":{"protocol":"postgres","statement":"select","parameters":[1.50,"x",null],"rows":12},"changes":[{"path":"/b","before":null,"after":{"b":1,"a":null}}],
"description":"d","metadata":{"z":true,"a":"b","n":null}}"#;

#[test]
fn parts_are_split_as_specified() {
    let event = Event::parse(FULL.as_bytes()).unwrap();
    let admission = Admission { source: "ehr", id: "01", received_at: Timestamp::parse("2026-11-23T18:00:01Z").unwrap() };
    let parts = Parts::write(&event, &admission).unwrap();
    assert_eq!(
        text(&parts.public),
        concat!(
            r#"{"action":"chart.viewed","actor":{"auth_method":"mfa","id":"jdoe","name":"Jane","on_behalf_of":{"id":"b","type":"service"},"#,
            r#""roles":["nurse"],"session_id":"s1","type":"user"},"approval_id":"ap","break_glass":true,"#,
            r#""context":{"app":"ehr","component":"web","ip":"10.0.0.1","user_agent":"ua"},"id":"01","op":"R","#,
            r#""outcome":{"code":"200","status":"success"},"purpose":["TREAT","HPAYMT"],"received_at":"2026-11-23T18:00:01.000000Z","#,
            r#""request":{"protocol":"postgres","rows":12},"schema":"recall.event/1","seq":7,"source":"ehr","#,
            r#""targets":[{"count":1,"labels":["PHI"],"type":"fhir:Patient"},{"type":"x"},{},{}],"time":"2026-11-23T18:00:00.000000Z"}"#,
        )
    );
    assert_eq!(
        text(&parts.phi),
        concat!(
            r#"{"changes":[{"after":{"b":1},"path":"/b"}],"context":{"request_id":"r","trace_id":"t"},"description":"d","#,
            r#""metadata":{"a":"b","z":true},"outcome":{"reason":"fine"},"request":{"parameters":[1.5,"x",null],"statement":"select"},"#,
            r#""targets":[{"id":"1","name":"A B","patient_id":"p1"},{},{"patient_id":"p2"},{"patient_id":"p1"}]}"#,
        )
    );
    let facets = Facets::of(&event, &admission);
    assert!(facets.patients == ["p1", "p2"] && facets.purpose == "TREAT HPAYMT" && facets.actor.as_deref() == Some("jdoe"));
    // Computed with Python's hmac and hashlib.
    let entry = commit(&parts.public, &parts.phi, &[1; 16], &[2; 16]);
    assert_eq!(hex(&entry), "01ea37d92bc7d370a30ef82b8ae9f6964b16079d0a96e0f2d71e005e3dfb1a670a");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_patient_who_acts_is_phi() {
    let json = r#"{"time":"2026-11-23T18:00:00Z","action":"portal.viewed","op":"A","actor":{"type":"user","id":"carer","session_id":"s",
        "on_behalf_of":{"type":"patient","id":"p9"}},"context":{"ip":"10.0.0.1","user_agent":"ua","app":"portal"}}"#;
    let event = Event::parse(json.as_bytes()).unwrap();
    let parts = Parts::write(&event, &ADMISSION).unwrap();
    for secret in ["carer", "p9", "10.0.0.1", "\"ua\"", "\"s\""] {
        assert!(!text(&parts.public).contains(secret) && text(&parts.phi).contains(secret), "{secret}");
    }
    assert!(text(&parts.public).contains(r#""actor":{"type":"user"}"#));
    let facets = Facets::of(&event, &ADMISSION);
    assert!(facets.actor.is_none() && facets.actor_token.as_deref() == Some("carer") && facets.patients == ["p9"]);
}

#[test]
fn time_and_size_are_limited_at_receipt() {
    let mut event = event_of(Vec::new());
    let at = |micros: i64| Timestamp::from_micros(ADMISSION.received_at.micros() + micros);
    event.time = at(limits::FUTURE_MICROS);
    assert!(Parts::write(&event, &ADMISSION).is_ok());
    event.time = at(limits::FUTURE_MICROS + 1);
    assert_eq!(Parts::write(&event, &ADMISSION).err().unwrap().path, "time");
    event.time = at(0);
    event.request.statement = Some(Cow::Borrowed(""));
    let room = limits::EVENT_BYTES - write::whole(&event, &ADMISSION).len();
    for (length, fits) in [(room - 1, true), (room, true), (room + 1, false)] {
        event.request.statement = Some(Cow::Owned("x".repeat(length)));
        assert_eq!(Parts::write(&event, &ADMISSION).is_ok(), fits);
    }
}

#[test]
fn parts_that_do_not_belong_together_are_not_merged() {
    for (public, phi) in [
        ("", "{}"),
        ("{}", ""),
        ("[]", "[]"),
        ("1", "1"),
        ("{}", "[]"),
        (r#"{"a":1}"#, r#"{"a":2}"#),
        (r#"{"a":1}"#, r#"{"a":{}}"#),
        (r#"{"a":[{}]}"#, r#"{"a":[{},{}]}"#),
        (r#"{"a":[1]}"#, r#"{"a":[2]}"#),
        (r#"{"b":{},"a":{}}"#, "{}"),
        (r#"{"a":1,"a":1}"#, "{}"),
        (r#"{"a":{"x":1}}"#, r#"{"a":{"x":"1"}}"#),
        ("{}x", "{}"),
        ("{}", "{} {}"),
    ] {
        assert!(merge(public.as_bytes(), Some(phi.as_bytes())).is_err(), "{public} {phi}");
    }
    let merged = merge(br#"{"a":{"x":1},"t":[{"k":1},{}]}"#, Some(br#"{"a":{"b":2},"t":[{},{"i":3}],"z":null}"#)).unwrap();
    assert_eq!(text(&merged), r#"{"a":{"b":2,"x":1},"t":[{"k":1},{"i":3}],"z":null}"#);
}

#[test]
fn every_bit_of_parts_and_salts_is_committed_to() {
    let (public, phi) = (b"{\"a\":1}".to_vec(), b"{\"b\":2}".to_vec());
    let entry = commit(&public, &phi, &[1; 16], &[2; 16]);
    assert_eq!(entry, commit_macs(&part_mac(&public, &[1; 16]), &part_mac(&phi, &[2; 16])));
    assert_ne!(entry, commit(&phi, &public, &[1; 16], &[2; 16]));
    assert_ne!(entry, commit(&public, &phi, &[2; 16], &[1; 16]));
    for bit in 0..56 {
        let mut other = public.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(entry, commit(&other, &phi, &[1; 16], &[2; 16]));
    }
}

#[test]
fn a_part_is_bound_by_hmac_whatever_its_length() {
    use aws_lc_rs::hmac;
    let part: Vec<u8> = (0..3_000_u32).map(|place| (place % 251) as u8).collect();
    for length in (0..200).chain([511, 512, 513, 2_999, 3_000]) {
        let salt: Salt = std::array::from_fn(|place| (length + place) as u8);
        let expected = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &salt), &part[..length]);
        assert_eq!(part_mac(&part[..length], &salt), expected.as_ref(), "{length}");
    }
}

#[test]
fn rewritten_parts_hold_nothing_of_what_was_there() {
    let event = |description: String| Event {
        action: "a".into(),
        description: Some(description.into()),
        targets: vec![Target { kind: Some("t".into()), ..Target::default() }],
        ..Event::default()
    };
    let (long, short) = (event("x".repeat(5_000)), event("y".into()));
    let mut parts = Parts::default();
    parts.rewrite(&long, &ADMISSION).unwrap();
    parts.rewrite(&short, &ADMISSION).unwrap();
    assert!(parts == Parts::write(&short, &ADMISSION).unwrap());
}

#[test]
fn each_patient_counts_once_however_many_there_are() {
    for distinct in [0, 1, 2, 7, 8, 9, 40] {
        let of = |number: usize| Target { patient_id: Some(format!("p{number}").into()), ..Target::default() };
        let event = Event { targets: (0..3 * distinct).map(|number| of(number % distinct)).collect(), ..Event::default() };
        let expected: Vec<String> = (0..distinct).map(|number| format!("p{number}")).collect();
        assert_eq!(Facets::of(&event, &ADMISSION).patients, expected);
    }
}
