//! Reading is an event; so is an attempt that was refused.

use serde_json::json;

use super::harness::{Trail, lines};

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
