//! `Idempotency-Key`.

use serde_json::{Value, json};

use super::harness::{Reply, Server, Trail, event};

fn without_id(patient: &str) -> Value {
    let mut event = event("", patient);
    event.as_object_mut().unwrap().remove("id");
    event
}

fn send(server: &Server, token: &str, key: &str, body: &Value) -> Reply {
    server.send(
        "POST",
        "/v1/events",
        token,
        &[("idempotency-key", key), ("content-type", "application/json")],
        body.to_string().into_bytes(),
    )
}

#[test]
fn a_repeat_gets_the_first_answer_also_after_a_restart() {
    let trail = Trail::new();
    let (token, other) = (trail.token("ingest"), trail.token("ingest"));
    let server = trail.serve();
    let body = json!([without_id("MRN-1"), without_id("MRN-1"), {"bad": 1}]);
    let first = send(&server, &token, "k-1", &body);
    assert_eq!(first.statuses(), ["stored", "stored", "rejected"]);
    assert!(first.headers.get("idempotent-replayed").is_none());
    let again = send(&server, &token, "k-1", &body);
    assert_eq!(again.json(), first.json());
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(server.stop(), Some(0));
    let server = trail.serve();
    assert_eq!(send(&server, &token, "k-1", &body).json(), first.json());
    let foreign = send(&server, &other, "k-1", &body);
    assert_eq!(foreign.statuses(), ["stored", "stored", "rejected"], "a key belongs to its token");
    assert_ne!(foreign.json()["results"][0]["id"], first.json()["results"][0]["id"]);
}

#[test]
fn another_body_under_a_key_is_refused_and_stores_nothing() {
    let trail = Trail::new();
    let (token, auditor) = (trail.token("ingest"), trail.token("auditor"));
    let server = trail.serve();
    send(&server, &token, "k", &json!([without_id("MRN-1")])).ok();
    assert!(send(&server, &token, "k", &json!([without_id("MRN-2")])).problem(422).contains("Idempotency-Key"));
    assert_eq!(server.get("/v1/events?q=patient:MRN-2", &auditor).ok()["count"], 0);
}

#[test]
fn bad_keys_are_refused() {
    let trail = Trail::new();
    let token = trail.token("ingest");
    let server = trail.serve();
    send(&server, &token, " ", &json!([])).problem(400);
    send(&server, &token, &"k".repeat(256), &json!([without_id("MRN-1")])).problem(400);
    send(&server, &token, &"k".repeat(255), &json!([without_id("MRN-1")])).ok();
}

#[test]
fn requests_at_once_under_one_key_store_once() {
    let trail = Trail::new();
    let (token, auditor) = (trail.token("ingest"), trail.token("auditor"));
    let server = trail.serve();
    let body = json!([without_id("MRN-1"), without_id("MRN-1")]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let reply = send(&server, &token, "same", &body);
                assert!(reply.status == 200 || reply.status == 409, "{}", reply.text());
            });
        }
    });
    assert_eq!(server.get("/v1/events?q=patient:MRN-1", &auditor).ok()["count"], 2);
}
