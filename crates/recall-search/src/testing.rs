//! What this crate's tests share: a small clinic's trail, and the slow and simple way to ask it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use recall_log::entry::Admission;
use recall_log::event::Event;
use recall_log::time::Timestamp;
use recall_store::compactor;
use recall_store::keys::RootSource;
use recall_store::seams::Clock;
use recall_store::secret::Key32;
use recall_store::segment::Segment;
use recall_store::snapshot::Part;
use recall_store::trail::{Class, InitOptions, OpenOptions, Outcome, Submission, Trail};
use serde_json::{Value, json};

use crate::engine::{Engine, FoundEvent, Limits, SearchRequest};
use crate::view::{Meter, View};

/// 2026-11-24T12:00:00Z, in microseconds.
pub const NOW: i64 = 1_795_521_600_000_000;
pub const LOG: &str = "log.example/clinic";
/// Events of the clinic that tests share.
pub const EVENTS: u64 = 6_000;

/// A trail in a folder of its own.
pub struct Clinic {
    pub trail: Arc<Trail>,
    clock: Arc<StillClock>,
    _folder: tempfile::TempDir,
}

/// A clock that stands still until it is set.
struct StillClock(AtomicI64);

impl Clock for StillClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// The clinic that tests share: it is never changed. Two months of it are in segments, the third is fresh.
pub static CLINIC: LazyLock<(Clinic, Vec<Value>)> = LazyLock::new(|| {
    let (clinic, events) = filled(Clinic::new());
    clinic.settle(|segments, _| segments.len() == 2);
    (clinic, events)
});

/// The same events where segments are small and were merged, some of them more than once.
pub static MERGED: LazyLock<(Clinic, Vec<Value>)> = LazyLock::new(|| {
    let options = compactor::Options { segment_events: 150, join_events: 64, merge_width: 3, ..compactor::Options::default() };
    let (clinic, events) = filled(Clinic::with(options));
    clinic.settle(|segments, fresh| fresh > 0 && segments.len() > 2 && segments.iter().any(|segment| segment.row().tier == 2));
    (clinic, events)
});

/// Three months of events.
fn filled(clinic: Clinic) -> (Clinic, Vec<Value>) {
    let events: Vec<Value> = (0..EVENTS).map(event).collect();
    for (month, events) in events.chunks(events.len() / 3).enumerate() {
        clinic.clock.0.store(NOW + i64::try_from(month).unwrap() * 31 * 86_400_000_000, Ordering::SeqCst);
        let mut at = 0;
        while at < events.len() {
            let size = [1, 7, 64, 200][at % 4].min(events.len() - at);
            clinic.store(&events[at..at + size]);
            at += size;
        }
    }
    clinic.trail.wait_published(EVENTS, Duration::from_secs(60)).unwrap();
    (clinic, events)
}

impl Clinic {
    pub fn new() -> Self {
        Self::with(compactor::Options::default())
    }

    pub fn with(compaction: compactor::Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = RootSource::File(folder.path().join("trail.key"));
        Trail::init(&InitOptions::new(folder.path().join("trail"), root.clone(), LOG)).unwrap();
        let clock = Arc::new(StillClock(AtomicI64::new(NOW)));
        let options = OpenOptions {
            publish_interval: Duration::ZERO,
            reserve_bytes: 1 << 16,
            compaction,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ..OpenOptions::new(folder.path().join("trail"), root)
        };
        Self { trail: Arc::new(Trail::open(options).unwrap()), clock, _folder: folder }
    }

    /// Waits until the segments, and the number of fresh events, are as wanted.
    pub fn settle(&self, wanted: impl Fn(&[Arc<Segment>], u32) -> bool) -> Vec<Arc<Segment>> {
        let mut last = String::new();
        for _ in 0..6_000 {
            let (mut segments, mut fresh) = (Vec::new(), 0);
            for part in self.trail.snapshot().parts() {
                match part {
                    Part::Segment(segment) => segments.push(Arc::clone(segment)),
                    other => fresh += other.count(),
                }
            }
            if wanted(&segments, fresh) {
                return segments;
            }
            last = format!("{:?}, {fresh} fresh", segments.iter().map(|segment| (segment.row().tier, segment.count())).collect::<Vec<_>>());
            std::thread::park_timeout(Duration::from_millis(10));
        }
        panic!("segments never came to be as wanted: {last}");
    }

    pub fn store(&self, events: &[Value]) -> Vec<Outcome> {
        let mut batch = self.trail.encoder().batch().unwrap();
        for event in events {
            let text = event.to_string();
            let parsed = Event::parse(text.as_bytes()).unwrap();
            let received_at = Timestamp::from_micros(NOW);
            let admission = Admission { source: event["source"].as_str().unwrap(), id: event["id"].as_str().unwrap(), received_at };
            batch.push(&parsed, &admission).unwrap();
        }
        let submission = Submission::events(vec![batch.finish().unwrap()], Class::Ingest);
        self.trail.submit_and_wait(submission).unwrap().unwrap()
    }

    /// As a reader sees it who may see PHI.
    pub fn view(&self) -> View {
        let trail = Arc::clone(&self.trail);
        View {
            snapshot: self.trail.snapshot(),
            phi: Some(self.trail.phi_access()),
            tokens: self.trail.encoder().tokens().clone(),
            find_id: Arc::new(move |id| trail.find_id(id)),
            meter: Meter::default(),
        }
    }

    /// As a reader sees it who may not.
    pub fn public_view(&self) -> View {
        View { phi: None, ..self.view() }
    }
}

pub fn engine(limits: Limits) -> Engine {
    Engine::new(limits, &Key32::from_bytes([7; 32])).unwrap()
}

pub fn request(query: &str) -> SearchRequest {
    SearchRequest {
        query: query.to_owned(),
        from: None,
        to: None,
        limit: 100,
        cursor: None,
        now: Timestamp::from_micros(NOW),
        log: LOG.to_owned(),
    }
}

pub fn indexes(events: &[FoundEvent]) -> Vec<u64> {
    events.iter().map(|event| event.index).collect()
}

/// A number from a number, without a pattern that queries would show.
fn mix(n: u64, salt: u64) -> u64 {
    let x = (n ^ (salt << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 33
}

fn pick<'a>(n: u64, salt: u64, from: &[&'a str]) -> &'a str {
    from[usize::try_from(mix(n, salt)).unwrap() % from.len()]
}

pub const PATIENTS: &[&str] = &["P1", "P2", "P3", "MRN \"4\"", "p1", "P10", "P11", "Ä5"];
pub const USERS: &[&str] = &["jdoe", "jroe", "svc-1", "nurse.a", "nurse.b"];

/// Event `n` of the clinic.
pub fn event(n: u64) -> Value {
    let time = NOW - i64::try_from((EVENTS - n.min(EVENTS)) * 60_000_000 + mix(n, 1) % 300_000_000).unwrap();
    let patient_acts = mix(n, 2).is_multiple_of(9);
    let actor = if patient_acts {
        json!({"type": "patient", "id": pick(n, 3, PATIENTS), "name": "Own Portal", "session_id": format!("s{}", mix(n, 4) % 50)})
    } else {
        json!({"type": pick(n, 5, &["user", "service"]), "id": pick(n, 6, USERS), "roles": ["r1"], "session_id": format!("s{}", mix(n, 4) % 50)})
    };
    let target = |salt| json!({"type": pick(n, salt, &["fhir:Patient", "fhir:Observation"]), "patient_id": pick(n, salt + 1, PATIENTS), "labels": [pick(n, salt + 2, &["HIV", "PSY"])]});
    let targets: Vec<Value> = (0..1 + mix(n, 7) % 2).map(|at| target(20 + 3 * at)).collect();
    let mut event = json!({
        "source": pick(n, 8, &["urn:ehr", "urn:pacs"]), "id": format!("e-{}", n / 2 * 2), "seq": n, "time": Timestamp::from_micros(time).to_string(),
        "action": pick(n, 9, &["chart.viewed", "chart.printed", "login", "chart_viewed"]), "op": pick(n, 10, &["R", "U", "Q"]),
        "outcome": {"status": pick(n, 11, &["success", "denied", "failure"]), "code": pick(n, 12, &["200", "403"])},
        "actor": actor, "targets": targets, "break_glass": mix(n, 13).is_multiple_of(5),
        "context": {"ip": pick(n, 14, &["10.0.0.1", "10.0.0.2"]), "request_id": format!("r{n}")},
        "request": {"rows": mix(n, 15) % 30, "statement": format!("SELECT * FROM chart WHERE id = {}", mix(n, 16) % 10)},
        "description": pick(n, 17, &["Looked at 100% of the chart", "Zürich ward", "a \"quoted\" word", "plain"]),
        "metadata": {"Bed.No": format!("{}", mix(n, 18) % 4)},
    });
    // The same id twice in a source would be a repeat.
    if n % 2 == 1 {
        event["source"] = json!("urn:lab");
    }
    let purposes = [vec![], vec!["TREAT"], vec!["TREAT", "HPAYMT"], vec!["HPAYMT", "ETREAT"]];
    event["purpose"] = json!(purposes[usize::try_from(mix(n, 19) % 4).unwrap()]);
    if mix(n, 40).is_multiple_of(2) {
        event["context"]["app"] = json!(pick(n, 41, &["charts", "portal"]));
    }
    event
}

/// What a reader without the right to PHI knows of an event.
pub fn public(event: &Value) -> Value {
    let mut event = event.clone();
    let patient_acts = event["actor"]["type"] == "patient";
    let object = event.as_object_mut().unwrap();
    object.remove("description");
    object.remove("metadata");
    for target in object["targets"].as_array_mut().unwrap() {
        target.as_object_mut().unwrap().remove("patient_id");
    }
    object["context"].as_object_mut().unwrap().remove("request_id");
    object["request"].as_object_mut().unwrap().remove("statement");
    if patient_acts {
        object["actor"] = json!({"type": "patient"});
        object["context"].as_object_mut().unwrap().remove("ip");
    }
    event
}

/// Every value at a path, as text.
pub fn at(event: &Value, path: &[&str], found: &mut Vec<String>) {
    match (event, path) {
        (Value::Array(items), _) => items.iter().for_each(|item| at(item, path, found)),
        (Value::Object(members), [name, rest @ ..]) => {
            if let Some(member) = members.get(*name) {
                at(member, rest, found);
            }
        }
        (Value::Object(members), []) => members.values().for_each(|member| at(member, &[], found)),
        (Value::String(text), []) => found.push(text.clone()),
        (Value::Null, _) | (_, [_, ..]) => {}
        (other, []) => found.push(other.to_string()),
    }
}
