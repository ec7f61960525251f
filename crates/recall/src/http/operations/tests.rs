#![allow(clippy::unwrap_used)]
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use recall_store::catalog::Kind;
use recall_store::compactor;
use recall_store::snapshot::Part;
use recall_store::trail::{InitOptions, OpenOptions, Trail};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::commands::serve::Running;
use crate::folder::Place;
use crate::record::Record;
use crate::router::Door;

fn get(running: &Running, path: &str) -> String {
    running.block_on(async {
        let Ok(response) = running.router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200, "{path}");
        String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().into()).unwrap()
    })
}

#[test]
fn damage_is_said_by_readiness_and_integrity() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(&folder.path().join("trail"), None, None).unwrap();
    Trail::init(&InitOptions::new(&place.data, place.root.clone(), "recall.invalid/test")).unwrap();
    let compaction = compactor::Options { segment_events: 1, interval: Duration::from_millis(1), ..compactor::Options::default() };
    let options = OpenOptions { compaction, ..OpenOptions::new(&place.data, place.root.clone()) };
    let running = Running::around(Trail::open(options).unwrap(), Door::Machine).unwrap();
    let record = Record::new(json!({"type": "service", "id": "test"}), "test.done", "E", json!({"type": "test"}));
    running.block_on(running.app().record(record, Vec::new())).unwrap();
    while !running.app().trail.snapshot().parts().iter().any(|part| matches!(part, Part::Segment(_))) {
        std::thread::yield_now();
    }
    assert_eq!(get(&running, "/readyz"), "ok\n");
    running.close().unwrap();
    for entry in std::fs::read_dir(place.data.join("segments")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let trail = Trail::open(OpenOptions::new(&place.data, place.root)).unwrap();
    assert!(!trail.rows(Kind::Segment).is_empty());
    let running = Running::around(trail, Door::Machine).unwrap();
    assert_eq!(get(&running, "/readyz"), "ok\ndegraded: damaged parts of the trail: 1; see /v1/integrity\n");
    let report: Value = serde_json::from_str(&get(&running, "/v1/integrity")).unwrap();
    assert_eq!(report["degraded"].as_array().unwrap().len(), 1, "{report}");
    running.close().unwrap();
}
