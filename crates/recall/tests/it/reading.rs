//! Reading is an event; so is an attempt that was refused.

use serde_json::json;

use super::harness::{Trail, event, lines};

#[test]
fn every_read_is_in_the_trail_with_reader_question_and_count() {
    let trail = Trail::new();
    let (ingest, auditor, officer) = (trail.token("ingest"), trail.token("auditor"), trail.token("privacy-officer"));
    let server = trail.serve();
    server.ingest(&ingest, &lines("a", 0, 20)).ok();
    server.get("/v1/events?q=patient:MRN-3&from=2026-01-01", &officer).ok();
    server.get("/v1/events?q=patient:MRN-4&format=csv", &officer);
    server.post("/v1/sql", &officer, &json!({"sql": "SELECT id FROM events WHERE source = 'urn:ehr:test' LIMIT 7"})).ok();
    server.post("/v1/sql", &officer, &json!({"sql": "SELECT nothing FROM events"})).problem(400);
    server.get("/v1/events/a-3", &officer).ok();
    server.get("/v1/events/a-3/proof?disclose=true", &officer);
    let recorded = |question: &str| {
        let found = server.get(&format!("/v1/events?q={question}"), &auditor).ok();
        found["events"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| event["actor"]["id"] == "test-privacy-officer")
            .cloned()
            .collect::<Vec<_>>()
    };
    let searched = recorded("action:recall.search");
    assert_eq!(searched.len(), 1);
    assert_eq!(searched[0]["request"]["rows"], 2);
    assert_eq!(searched[0]["request"]["statement"], "patient:MRN-3 [from 2026-01-01]");
    assert_eq!(searched[0]["actor"]["roles"], json!(["privacy-officer"]));
    assert_eq!(recorded("action:recall.export")[0]["request"]["rows"], 2);
    let asked = recorded("action:recall.sql");
    let ends: Vec<(u64, &str)> =
        asked.iter().map(|event| (event["request"]["rows"].as_u64().unwrap(), event["outcome"]["status"].as_str().unwrap())).collect();
    assert_eq!(ends, [(0, "failure"), (7, "success")]);
    assert_eq!(recorded("action:recall.view")[0]["targets"][0]["id"], "a-3");
    assert_eq!(recorded("action:recall.disclosure").len(), 1);
    assert!(!recorded("actor.id:test-privacy-officer").is_empty(), "a reader's reads are found by the reader");
}

#[test]
fn refused_reads_and_refused_tokens_are_recorded() {
    let trail = Trail::new();
    let (ingest, auditor) = (trail.token("ingest"), trail.token("auditor"));
    let server = trail.serve();
    server.get("/v1/events?q=patient:MRN-3", &ingest).problem(403);
    for _ in 0..40 {
        server.get("/v1/events", "rcl_0123456789ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").problem(401);
    }
    let denied = server.get("/v1/events?q=action:recall.search%20outcome:denied", &auditor).ok();
    assert_eq!(denied["events"][0]["actor"]["id"], "test-ingest");
    // Refused attempts are recorded beside the answer: asked again until all are there.
    let mut counted = 0;
    for _ in 0..2_000 {
        let found = server.get("/v1/events?q=action:recall.authenticate&limit=1000", &auditor).ok();
        let events = found["events"].as_array().unwrap().clone();
        assert!(events.iter().all(|event| event["actor"]["type"] == "anonymous"));
        counted = events.iter().map(|event| event["targets"][0]["count"].as_u64().unwrap_or(1)).sum();
        if counted == 40 {
            break;
        }
    }
    assert_eq!(counted, 40);
}

#[test]
fn questions_that_fail_and_looks_that_are_refused_are_recorded() {
    let trail = Trail::new();
    let (ingest, auditor, engineer) = (trail.token("ingest"), trail.token("auditor"), trail.token("engineer"));
    let server = trail.serve();
    server.ingest(&ingest, &lines("a", 0, 3)).ok();
    server.get("/v1/events?q=patient:MRN-1", &engineer).problem(403);
    server.get("/v1/events?q=(", &engineer).problem(400);
    server.get("/v1/events?q=source:x&format=csv&limit=9999", &engineer).problem(400);
    server.get("/v1/events/no-such/proof", &engineer).problem(404);
    server.get("/v1/events/a-1/proof?disclose=true", &engineer).problem(403);
    server.get("/v1/tokens", &engineer).problem(403);
    server.send("DELETE", "/v1/tokens/0123456789ab", &engineer, &[], Vec::new()).problem(403);
    server.get("/v1/keys/export", &engineer).problem(403);
    server.post("/v1/backups", &engineer, &json!({"to": "/nowhere/x"})).problem(403);
    server.post("/v1/sources", &engineer, &json!({"source": "x"})).problem(403);
    server.ingest(&engineer, &lines("b", 0, 1)).problem(403);
    let found = server.get("/v1/events?q=actor.id:test-engineer&limit=100", &auditor).ok();
    let mut ends: Vec<(String, String, String)> = Vec::new();
    for event in found["events"].as_array().unwrap() {
        let text = |pointer: &str| event.pointer(pointer).and_then(|value| value.as_str()).unwrap_or("").to_owned();
        ends.push((text("/action"), text("/outcome/status"), text("/request/statement")));
    }
    ends.reverse();
    let expected = [
        ("recall.search", "denied", "patient:MRN-1"),
        ("recall.search", "failure", "("),
        ("recall.export", "failure", "source:x"),
        ("recall.proof", "failure", ""),
        ("recall.disclosure", "denied", ""),
        ("recall.token.list", "denied", ""),
        ("recall.token.revoke", "denied", ""),
        ("recall.key.export", "denied", ""),
        ("recall.backup", "denied", ""),
        ("recall.source.expect", "denied", ""),
        ("recall.ingest", "denied", ""),
    ];
    assert_eq!(ends, expected.map(|(action, status, statement)| (action.to_owned(), status.to_owned(), statement.to_owned())));
}

#[test]
fn looks_at_what_runs_the_trail_are_recorded_and_so_is_what_an_administrator_fails_at() {
    let trail = Trail::new();
    let (administrator, auditor) = (trail.token("administrator"), trail.token("auditor"));
    let server = trail.serve();
    for path in ["/v1/tokens", "/v1/keys", "/v1/sources", "/v1/integrity"] {
        server.get(path, &administrator).ok();
    }
    server.send("DELETE", "/v1/tokens/0123456789ab", &administrator, &[], Vec::new()).problem(404);
    server.post("/v1/tokens", &administrator, &json!({"role": "king"})).problem(422);
    server.post("/v1/tokens", &administrator, &json!({"rule": "king"})).problem(400);
    server.post("/v1/backups", &administrator, &json!({"to": trail.data()})).problem(422);
    let shredding = json!({"epoch": "1999-01", "class": "standard", "rule": "r", "approvers": ["x"]});
    server.post("/v1/keys/shred", &administrator, &shredding).problem(404);
    let found = server.get("/v1/events?q=actor.id:test-administrator&limit=100", &auditor).ok();
    let ends: Vec<(&str, &str)> = found["events"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|event| (event["action"].as_str().unwrap(), event["outcome"]["status"].as_str().unwrap()))
        .collect();
    let expected = [
        ("recall.token.list", "success"),
        ("recall.key.list", "success"),
        ("recall.source.list", "success"),
        ("recall.integrity.read", "success"),
        ("recall.token.revoke", "failure"),
        ("recall.token.create", "failure"),
        ("recall.token.create", "failure"),
        ("recall.backup", "failure"),
        ("recall.erasure", "failure"),
    ];
    assert_eq!(ends, expected);
}

#[test]
fn an_id_of_digits_shows_its_own_event_and_the_record_says_which() {
    let trail = Trail::new();
    let (ingest, auditor) = (trail.token("ingest"), trail.token("auditor"));
    let server = trail.serve();
    server.ingest(&ingest, &lines("a", 0, 3)).ok();
    // An index that is taken, as another event's id.
    let sent = server.post("/v1/events", &ingest, &event("3", "MRN-digits")).ok();
    let index = sent["results"][0]["index"].as_u64().unwrap();
    assert_ne!(index, 3);
    assert_eq!(server.get("/v1/events/3", &auditor).ok()["targets"][0]["patient_id"], "MRN-digits");
    assert_eq!(server.get("/v1/events/3?by=id", &auditor).ok()["targets"][0]["patient_id"], "MRN-digits");
    assert_eq!(server.get("/v1/events/3?by=index", &auditor).ok()["integrity"]["index"], 3);
    assert_eq!(server.get(&format!("/v1/events/{index}"), &auditor).ok()["id"], "3");
    server.get(&format!("/v1/events/{index}?by=id"), &auditor).problem(404);
    assert_eq!(server.get("/v1/events/3/proof?by=index", &auditor).status, 200);
    let views = server.get("/v1/events?q=action:recall.view&limit=100", &auditor).ok();
    let seen: Vec<(String, String)> = views["events"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|view| {
            (view["metadata"]["index"].as_str().unwrap_or("").into(), view["metadata"]["event_source"].as_str().unwrap_or("").into())
        })
        .collect();
    let own = || (index.to_string(), "urn:ehr:test".to_owned());
    assert_eq!((seen[0].clone(), seen[1].clone(), seen[2].0.as_str(), seen[3].clone()), (own(), own(), "3", own()));
}
