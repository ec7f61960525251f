#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use base64::Engine as _;
use proptest::prelude::*;
use recall_log::time::Timestamp;
use recall_store::source::SOURCES_MAX;
use serde_json::Value;

use super::*;
use crate::engine::Limits;
use crate::query::Problem;
use crate::testing::{CLINIC, Clinic, EVENTS, LOG, MERGED, NOW, PATIENTS, USERS, at, engine, event, indexes, public, request};

/// A question, to be written as a query and to be answered by going through all events.
#[derive(Clone, Debug)]
enum Ask {
    Text(&'static str),
    Is(&'static str, &'static [&'static str], String),
    Starts(&'static str, &'static [&'static str], &'static str),
    Patient(&'static str),
    Number(&'static str, &'static [&'static str], i64, i64),
    Since(i64),
    BreakGlass(bool),
    Not(Box<Ask>),
    And(Box<Ask>, Box<Ask>),
    Or(Box<Ask>, Box<Ask>),
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Ask {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Is(field, _, value) => format!("{field}:{}", quoted(value)),
            Self::Starts(field, _, start) => format!("{field}:{start}*"),
            Self::Patient(id) => format!("patient:{}", quoted(id)),
            Self::Number(field, _, low, high) => format!("{field}:{low}..{high}"),
            Self::Since(minutes) => format!("time>=-{minutes}m"),
            Self::BreakGlass(value) => format!("break_glass:{value}"),
            Self::Not(inner) => format!("-({})", inner.text()),
            Self::And(a, b) => format!("({}) ({})", a.text(), b.text()),
            Self::Or(a, b) => format!("({} OR {})", a.text(), b.text()),
        }
    }

    fn asks_for_phi(&self) -> bool {
        match self {
            Self::Patient(_) => true,
            Self::Is(field, ..) | Self::Starts(field, ..) => ["statement", "description", "metadata.Bed.No"].contains(field),
            Self::Not(a) => a.asks_for_phi(),
            Self::And(a, b) | Self::Or(a, b) => a.asks_for_phi() || b.asks_for_phi(),
            _ => false,
        }
    }

    fn holds(&self, index: usize, event: &Value) -> bool {
        let values = |path: &[&str]| {
            let mut found = Vec::new();
            at(event, path, &mut found);
            found
        };
        match self {
            Self::Text(text) => values(&[]).iter().any(|value| value.to_lowercase().contains(&text.to_lowercase())) || sent_later(text),
            Self::Is(_, path, wanted) => values(path).contains(wanted),
            Self::Starts(_, path, start) => values(path).iter().any(|value| value.starts_with(start)),
            Self::Patient(id) => {
                let acts = event["actor"]["type"] == "patient" && event["actor"]["id"] == *id;
                acts || values(&["targets", "patient_id"]).iter().any(|value| value == id)
            }
            Self::Number("index", _, low, high) => (*low..=*high).contains(&(index as i64)),
            Self::Number(_, path, low, high) => values(path).iter().any(|value| (*low..=*high).contains(&value.parse().unwrap())),
            Self::Since(minutes) => Timestamp::parse(event["time"].as_str().unwrap()).unwrap().micros() >= NOW - minutes * 60_000_000,
            Self::BreakGlass(value) => event["break_glass"] == *value,
            Self::Not(inner) => !inner.holds(index, event),
            Self::And(a, b) => a.holds(index, event) && b.holds(index, event),
            Self::Or(a, b) => a.holds(index, event) || b.holds(index, event),
        }
    }
}

/// What the server adds has values too.
fn sent_later(text: &str) -> bool {
    "recall.event/1".contains(&text.to_lowercase())
}

fn ask() -> impl Strategy<Value = Ask> {
    let of = |values: &'static [&'static str]| prop::sample::select(values);
    let is = |field: &'static str, path: &'static [&'static str], values: &'static [&'static str]| {
        prop::sample::select(values).prop_map(move |value| Ask::Is(field, path, value.to_owned()))
    };
    let leaf = prop_oneof![
        of(&["CHART", "zürich", "100%", "a \"quoted\"", "portal", "nothing at all", "event", "r17", "P1"]).prop_map(Ask::Text),
        of(PATIENTS).prop_map(Ask::Patient),
        prop_oneof![
            is("actor.id", &["actor", "id"], USERS),
            is("user", &["actor", "id"], PATIENTS),
            is("actor", &["actor", "id"], &["nobody"])
        ],
        prop_oneof![
            is("action", &["action"], &["chart.viewed", "chart_viewed", "login"]),
            is("outcome", &["outcome", "status"], &["denied"])
        ],
        prop_oneof![is("purpose", &["purpose"], &["TREAT", "HPAYMT", "ETREAT", "EAT"]), is("app", &["context", "app"], &["charts", ""])],
        prop_oneof![is("label", &["targets", "labels"], &["HIV", "PSY"]), is("metadata.Bed.No", &["metadata", "Bed.No"], &["1", "9"])],
        prop_oneof![is("ip", &["context", "ip"], &["10.0.0.1"]), is("code", &["outcome", "code"], &["403"])],
        (0..60_u64).prop_map(|n| Ask::Is("session", &["actor", "session_id"], format!("s{n}"))),
        (0..EVENTS).prop_map(|n| Ask::Is("id", &["id"], format!("e-{n}"))),
        of(&["chart.", "chart_", "l"]).prop_map(|start| Ask::Starts("action", &["action"], start)),
        of(&["j", "P1", "nurse."]).prop_map(|start| Ask::Starts("actor", &["actor", "id"], start)),
        of(&["SELECT", "x"]).prop_map(|start| Ask::Starts("statement", &["request", "statement"], start)),
        (0..40_i64, 0..20_i64).prop_map(|(low, more)| Ask::Number("rows", &["request", "rows"], low, low + more)),
        (0..3_100_i64, 0..600_i64).prop_map(|(low, more)| Ask::Number("seq", &["seq"], low, low + more)),
        (0..3_100_i64, 0..600_i64).prop_map(|(low, more)| Ask::Number("index", &[], low, low + more)),
        (0..4_000_i64).prop_map(Ask::Since),
        any::<bool>().prop_map(Ask::BreakGlass),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| Ask::Not(Box::new(a))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Ask::And(Box::new(a), Box::new(b))),
            (inner.clone(), inner).prop_map(|(a, b)| Ask::Or(Box::new(a), Box::new(b))),
        ]
    })
}

/// The same events in few segments, or in many that were merged.
fn clinic(merged: bool) -> &'static Clinic {
    if merged { &MERGED.0 } else { &CLINIC.0 }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

/// All pages, and the first page's count.
async fn pages(view: &View, query: &str, limit: usize) -> Result<(Vec<u64>, u64, bool), SearchError> {
    static ENGINE: std::sync::LazyLock<Engine> = std::sync::LazyLock::new(|| engine(Limits::default()));
    let mut found = Vec::new();
    let mut request = SearchRequest { limit, ..request(query) };
    let mut counted = None;
    loop {
        let page = ENGINE.search(view, &request).await?;
        assert!(page.events.len() <= limit && (page.next_cursor.is_none() || page.events.len() == limit));
        let count = *counted.get_or_insert((page.count, page.count_capped));
        assert_eq!(count, (page.count, page.count_capped), "all pages tell the same count");
        found.extend(indexes(&page.events));
        request.cursor = page.next_cursor;
        if request.cursor.is_none() {
            return Ok((found, count.0, count.1));
        }
    }
}

fn expected(ask: &Ask, seen: impl Fn(&Value) -> Value) -> Vec<u64> {
    let found = CLINIC.1.iter().enumerate().filter(|(index, event)| ask.holds(*index, &seen(event)));
    found.map(|(index, _)| index as u64).rev().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_search_finds_what_going_through_all_events_finds(ask in ask(), limit in 1..400_usize, merged in any::<bool>()) {
        let wanted = expected(&ask, Clone::clone);
        let limit = limit.max(wanted.len() / 4).min(MAX_PAGE);
        let (found, count, capped) = run(pages(&clinic(merged).view(), &ask.text(), limit)).unwrap();
        prop_assert_eq!(&found, &wanted, "{}", ask.text());
        prop_assert_eq!((count, capped), (wanted.len() as u64, false));
    }

    #[test]
    fn a_reader_without_phi_finds_by_the_public_part_alone(ask in ask(), merged in any::<bool>()) {
        let found = run(pages(&clinic(merged).public_view(), &ask.text(), 1_000));
        if ask.asks_for_phi() {
            prop_assert!(matches!(found, Err(SearchError::NotAllowed(_))));
        } else {
            prop_assert_eq!(found.unwrap().0, expected(&ask, public), "{}", ask.text());
        }
    }
}

#[tokio::test]
async fn the_newest_are_read_first_and_no_more() {
    let view = CLINIC.0.view();
    let page = engine(Limits::default()).search(&view, &SearchRequest { limit: 5, ..request("") }).await.unwrap();
    assert_eq!(indexes(&page.events), [EVENTS - 1, EVENTS - 2, EVENTS - 3, EVENTS - 4, EVENTS - 5]);
    assert_eq!((page.count, page.count_capped), (EVENTS, false));
    assert!(view.meter.rows() <= 32, "{} rows were read", view.meter.rows());
}

#[tokio::test]
async fn a_patients_events_cost_what_they_are() {
    let view = CLINIC.0.view();
    let recent = Ask::Number("index", &[], 4_000, 5_999);
    let ask = Ask::And(Box::new(Ask::Patient("MRN \"4\"")), Box::new(recent));
    let page = engine(Limits::default()).search(&view, &SearchRequest { limit: 1_000, ..request(&ask.text()) }).await.unwrap();
    assert_eq!(indexes(&page.events), expected(&ask, Clone::clone));
    assert_eq!(view.meter.rows(), page.events.len() as u64);
}

#[tokio::test]
async fn a_few_of_a_users_events_cost_a_few() {
    let view = CLINIC.0.view();
    let engine = engine(Limits { count_rows: 0, count_content_rows: 0, ..Limits::default() });
    let page = engine.search(&view, &SearchRequest { limit: 3, ..request("actor:jdoe") }).await.unwrap();
    assert_eq!((page.events.len(), page.count_capped), (3, true));
    assert!(view.meter.rows() < EVENTS / 5, "{} rows were read", view.meter.rows());
}

#[tokio::test]
async fn an_id_is_found_without_a_scan() {
    let (clinic, events) = &*CLINIC;
    let view = clinic.view();
    let engine = engine(Limits::default());
    let found = engine.events_by_id(&view, "e-1234", LOG).await.unwrap();
    assert_eq!(indexes(&found), [1235, 1234]);
    assert_eq!(view.meter.rows(), 2);
    assert!(engine.events_by_id(&view, "e-1235", LOG).await.unwrap().is_empty());
    assert_eq!(engine.event_at(&view, EVENTS, LOG).await.unwrap().map(|event| event.index), None);
    assert_eq!(engine.event_at(&view, u64::MAX, LOG).await.unwrap().map(|event| event.index), None);
    let event: Value = serde_json::from_str(&engine.event_at(&view, 17, LOG).await.unwrap().unwrap().json).unwrap();
    assert_eq!(event["seq"], events[17]["seq"]);
}

#[tokio::test]
async fn an_id_is_found_though_its_source_came_when_the_register_was_full() {
    let clinic = Clinic::new();
    let from = |source: usize, id: &str| {
        let mut event = event(0);
        event["source"] = Value::from(format!("urn:flood:{source}"));
        event["id"] = Value::from(id);
        event
    };
    clinic.store(&(0..SOURCES_MAX).map(|source| from(source, "flood")).collect::<Vec<_>>());
    clinic.store(&[from(SOURCES_MAX, "hidden"), from(7, "known")]);
    let engine = engine(Limits::default());
    for (id, index) in [("hidden", SOURCES_MAX as u64), ("known", SOURCES_MAX as u64 + 1)] {
        assert_eq!(indexes(&engine.events_by_id(&clinic.view(), id, LOG).await.unwrap()), [index]);
        for query in [format!("id:{id}"), format!("id:{id} OR id:nothing"), format!("id:{id} actor.type:*")] {
            assert_eq!(indexes(&engine.search(&clinic.view(), &request(&query)).await.unwrap().events), [index], "{query}");
        }
    }
}

#[tokio::test]
async fn an_event_is_shown_as_its_reader_may_see_it() {
    let clinic = Clinic::new();
    let sent = (0..9).map(event).collect::<Vec<_>>();
    let outcomes = clinic.store(&sent);
    let engine = engine(Limits::default());
    for (view, whole) in [(clinic.view(), true), (clinic.public_view(), false)] {
        let page = engine.search(&view, &request("")).await.unwrap();
        for (found, outcome) in page.events.iter().rev().zip(&outcomes) {
            let mut shown: Value = serde_json::from_str(&found.json).unwrap();
            let integrity = shown.as_object_mut().unwrap().remove("integrity").unwrap();
            assert_eq!((&integrity["log"], &integrity["index"]), (&Value::from(LOG), &Value::from(outcome.index)));
            let leaf = STANDARD.encode(outcome.leaf_hash);
            assert_eq!(integrity.get("leaf_hash"), whole.then_some(&Value::from(leaf)));
            assert_eq!(shown["received_at"], Timestamp::from_micros(NOW).to_string());
            let sent = &sent[found.index as usize];
            let wanted = if whole { sent.clone() } else { public(sent) };
            for (name, value) in wanted.as_object().unwrap() {
                let empty = value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(serde_json::Map::is_empty);
                assert!(empty || &shown[name] == value, "{name}");
            }
            assert_eq!(shown.get("description").is_some(), whole);
        }
    }
}

#[tokio::test]
async fn pages_cover_all_once_though_events_arrive() {
    let clinic = Clinic::new();
    clinic.store(&(0..50).map(event).collect::<Vec<_>>());
    let engine = engine(Limits::default());
    let mut request = SearchRequest { limit: 7, ..request("") };
    let mut found = Vec::new();
    for round in 0.. {
        let page = engine.search(&clinic.view(), &request).await.unwrap();
        assert_eq!(page.count, 50);
        found.extend(indexes(&page.events));
        request.cursor = page.next_cursor;
        if request.cursor.is_none() {
            break;
        }
        clinic.store(&[event(50 + round)]);
    }
    assert_eq!(found, (0..50).rev().collect::<Vec<_>>());
}

/// Events of which every third is as large as an event may be.
fn large(n: u64) -> Value {
    let mut event = event(n);
    if n.is_multiple_of(3) {
        event["changes"] = (0..1_000).map(|at| serde_json::json!({"path": format!("p{at}"), "before": "x".repeat(900)})).collect();
    }
    event
}

#[tokio::test]
async fn a_page_ends_where_it_gets_large() {
    let clinic = Clinic::new();
    let small = clinic.store(&(0..9).map(large).collect::<Vec<_>>());
    assert_eq!(small.len(), 9);
    let engine = engine(Limits { page_bytes: 2 << 20, ..Limits::default() });
    for (view, pages) in [(clinic.view(), 2), (clinic.public_view(), 1)] {
        let mut request = SearchRequest { limit: 1_000, ..request("") };
        let mut found = Vec::new();
        for page in 1.. {
            let answer = engine.search(&view, &request).await.unwrap();
            assert!(answer.events.iter().map(|event| event.json.len()).sum::<usize>() <= 2 << 20);
            assert_eq!((answer.count, answer.count_capped), (9, false));
            found.extend(indexes(&answer.events));
            request.cursor = answer.next_cursor;
            if request.cursor.is_none() {
                assert_eq!(page, pages);
                break;
            }
        }
        assert_eq!(found, (0..9).rev().collect::<Vec<_>>());
    }
    let narrow = crate::testing::engine(Limits { page_bytes: 10, ..Limits::default() });
    assert_eq!(indexes(&narrow.search(&clinic.view(), &request("")).await.unwrap().events), [8]);
}

#[tokio::test]
async fn what_was_acknowledged_is_found_at_once() {
    let clinic = Clinic::new();
    let engine = engine(Limits::default());
    assert!(engine.search(&clinic.view(), &request("")).await.unwrap().events.is_empty());
    for n in 0..20 {
        let index = clinic.store(&[event(n)])[0].index;
        let page = engine.search(&clinic.view(), &request(&format!("seq:{n}"))).await.unwrap();
        assert_eq!(indexes(&page.events), [index]);
    }
}

#[tokio::test]
async fn counts_are_capped() {
    let count = async |cap: u64, query: &str| {
        let engine = engine(Limits { count_cap: cap, ..Limits::default() });
        let page = engine.search(&CLINIC.0.view(), &SearchRequest { limit: 1, ..request(query) }).await.unwrap();
        (page.count, page.count_capped)
    };
    assert_eq!(count(EVENTS - 1, "").await, (EVENTS - 1, true));
    assert_eq!(count(EVENTS, "").await, (EVENTS, false));
    assert_eq!(count(99, "seq:0..99").await, (99, true));
    assert_eq!(count(100, "seq:0..99").await, (100, false));
}

#[tokio::test]
async fn times_around_a_search() {
    let (from, to) = (NOW - 600 * 60_000_000, NOW - 300 * 60_000_000);
    let times: Vec<i64> = CLINIC.1.iter().map(|event| Timestamp::parse(event["time"].as_str().unwrap()).unwrap().micros()).collect();
    let wanted: Vec<u64> = (0..EVENTS).rev().filter(|index| (from..to).contains(&times[*index as usize])).collect();
    let request =
        SearchRequest { from: Some("-600m".to_owned()), to: Some(Timestamp::from_micros(to).to_string()), limit: 1_000, ..request("") };
    let page = engine(Limits::default()).search(&CLINIC.0.view(), &request).await.unwrap();
    assert_eq!(indexes(&page.events), wanted);
    assert!(!wanted.is_empty());
}

#[tokio::test]
async fn relative_times_stand_still_from_page_to_page() {
    let engine = engine(Limits::default());
    let mut of_one_moment = SearchRequest { from: Some("-600m".to_owned()), to: Some("-1m".to_owned()), ..request("time:-500m..-2m") };
    let whole = engine.search(&CLINIC.0.view(), &SearchRequest { limit: 1_000, ..of_one_moment.clone() }).await.unwrap();
    of_one_moment.limit = whole.events.len().div_ceil(4);
    let mut found = Vec::new();
    loop {
        let page = engine.search(&CLINIC.0.view(), &of_one_moment).await.unwrap();
        assert_eq!(page.count, whole.count);
        found.extend(indexes(&page.events));
        of_one_moment.cursor = page.next_cursor;
        of_one_moment.now = Timestamp::from_micros(of_one_moment.now.micros() + 100 * 60_000_000);
        if of_one_moment.cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, indexes(&whole.events));
    assert!(found.len() > 100);
}

#[tokio::test]
async fn wrong_requests() {
    let engine = engine(Limits::default());
    let view = CLINIC.0.view();
    for limit in [0, MAX_PAGE + 1] {
        assert_eq!(engine.search(&view, &SearchRequest { limit, ..request("") }).await.err(), Some(SearchError::Limit));
    }
    assert!(engine.search(&view, &SearchRequest { limit: MAX_PAGE, ..request("") }).await.is_ok());
    let page = engine.search(&view, &request("op:R")).await.unwrap();
    assert!(engine.search(&view, &SearchRequest { cursor: page.next_cursor.clone(), ..request("op:R") }).await.is_ok());
    for cursor in [page.next_cursor.clone(), Some("x".to_owned()), Some(String::new())] {
        assert_eq!(engine.search(&view, &SearchRequest { cursor, ..request("op:U") }).await.err(), Some(SearchError::Cursor));
    }
    let hidden = SearchRequest { cursor: page.next_cursor, ..request("op:R") };
    assert_eq!(engine.search(&CLINIC.0.public_view(), &hidden).await.err(), Some(SearchError::Cursor));
    let untimely = SearchRequest { to: Some("SECRET".to_owned()), ..request("") };
    assert_eq!(engine.search(&view, &untimely).await.err(), Some(SearchError::Time("to")));
    let wrong = engine.search(&view, &request("seq:x")).await.err();
    assert!(matches!(wrong, Some(SearchError::Query(error)) if error.problem == Problem::NotANumber));
}

#[tokio::test]
async fn a_refusal_does_not_repeat_the_name_of_a_metadata_member() {
    let refused = engine(Limits::default()).search(&CLINIC.0.public_view(), &request("metadata.SECRET:x")).await.err();
    assert_eq!(refused, Some(SearchError::NotAllowed(NotAllowed { field: "metadata".to_owned() })));
}

#[tokio::test]
async fn a_search_that_takes_too_long_ends() {
    let engine = engine(Limits { search_time: std::time::Duration::ZERO, ..Limits::default() });
    let late = engine.search(&CLINIC.0.view(), &request("\"nothing at all\"")).await.err();
    assert_eq!(late, Some(SearchError::Work(WorkError::Time)));
}
