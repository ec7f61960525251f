//! A segment that cannot be read: what is whole is served, what is damaged is named.

use std::path::PathBuf;
use std::time::Duration;

use recall_store::compactor;
use recall_store::keys::RootSource;
use recall_store::snapshot::Part;
use recall_store::trail::{OpenOptions, Trail as Store};
use serde_json::{Value, json};

use super::harness::{Trail, lines, recall};

const SENT: usize = 400;

/// A trail of which the first events are in segments, and the file of the first segment.
fn segmented() -> (Trail, PathBuf, u64) {
    let trail = Trail::new();
    let ingest = trail.token("ingest");
    let server = trail.serve();
    (0..SENT).step_by(40).for_each(|from| drop(server.ingest(&ingest, &lines("a", from, from + 40)).ok()));
    assert_eq!(server.stop(), Some(0));
    let compaction = compactor::Options { segment_events: 100, ..compactor::Options::default() };
    let options = OpenOptions { compaction, ..OpenOptions::new(trail.path(), RootSource::File(trail.beside("trail.key"))) };
    let store = Store::open(options).unwrap();
    let mut first = None;
    for _ in 0..6_000 {
        if let Some(Part::Segment(segment)) = store.snapshot().parts().first() {
            first = Some((segment.row().id, u64::from(segment.count())));
            break;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    store.close();
    let (id, count) = first.expect("no segment was made");
    let file = trail.path().join(format!("segments/{id:016x}.events"));
    (trail, file, count)
}

/// Makes everything but the footer unreadable.
fn spoil(file: &PathBuf) {
    let mut bytes = std::fs::read(file).unwrap();
    let half = bytes.len() / 2;
    bytes[4..half].fill(0);
    std::fs::write(file, bytes).unwrap();
}

fn missing(damaged: &Value) -> u64 {
    let ranges = damaged.as_array().unwrap();
    ranges.iter().map(|range| range["last"].as_u64().unwrap() - range["first"].as_u64().unwrap() + 1).sum()
}

#[test]
fn a_server_goes_round_damage_and_says_so() {
    let (trail, file, count) = segmented();
    let officer = trail.token("privacy-officer");
    let server = trail.serve();
    let whole = server.get("/v1/events?limit=1000", &officer).ok();
    let all = whole["events"].as_array().unwrap().len() as u64;
    assert_eq!((&whole["coverage"]["damaged"], &whole["count_capped"]), (&json!([]), &json!(false)));
    spoil(&file);
    let found = server.get("/v1/events?limit=1000", &officer).ok();
    let lost = missing(&found["coverage"]["damaged"]);
    assert!(lost > 0 && lost <= count, "{lost} of {count}");
    // One more: the record of the first search.
    assert_eq!(found["events"].as_array().unwrap().len() as u64 + lost, all + 1);
    assert_eq!((&found["count_capped"], &found["coverage"]["complete"]), (&json!(true), &json!(false)));
    assert!(found["coverage"]["sentence"].as_str().unwrap().contains("could not be read"));
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(found["coverage"]["damaged"][0]["what"].as_str().unwrap().contains(name));

    let export = server.get("/v1/events?limit=1000&format=ndjson", &officer);
    assert!(export.headers["recall-damaged"].to_str().unwrap().contains('-'));
    let counted = server.post("/v1/sql", &officer, &json!({"sql": "SELECT count(*) FROM events WHERE event LIKE '%Zebulon%'"})).ok();
    // What is missing may be a record of the server's own, too.
    let (shown, unread) = (counted["rows"][0][0].as_u64().unwrap(), missing(&counted["damaged"]));
    assert!(shown < SENT as u64 && shown + unread >= SENT as u64 && unread <= count, "{shown} shown, {unread} not read");

    let index = found["coverage"]["damaged"][0]["first"].as_u64().unwrap();
    let refused = server.get(&format!("/v1/events/{index}"), &officer).problem(500);
    assert!(refused.contains(name), "{refused}");
}

#[test]
fn commands_warn_of_damage_and_succeed() {
    let (trail, file, _) = segmented();
    let data = trail.data();
    let commands: [&[&str]; 4] = [
        &["search", "source:urn:ehr:test", "--limit", "1000", "--data", &data],
        &["search", "source:urn:ehr:test", "--format", "ndjson", "--data", &data],
        &["search", "source:urn:ehr:test", "--format", "csv", "--data", &data],
        &["sql", "SELECT count(*) FROM events WHERE event LIKE '%Zebulon%'", "--data", &data],
    ];
    let warned = |command: &[&str]| {
        let output = recall(command);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{command:?}: {error}");
        error.contains("could not be read and may be missing")
    };
    assert!(!commands.iter().any(|command| warned(command)));
    spoil(&file);
    assert!(commands.iter().all(|command| warned(command)));
    // Without its footer a segment does not open at all.
    std::fs::write(&file, b"PARE").unwrap();
    assert!(commands.iter().all(|command| warned(command)));
}
