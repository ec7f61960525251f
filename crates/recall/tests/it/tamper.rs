//! The verifier names the place of what was changed.

use std::path::Path;

use serde_json::{Value, json};

use super::harness::{Server, Trail, copy, done, fails, lines, recall};

fn filled(events: usize) -> Trail {
    let trail = Trail::new();
    let ingest = trail.token("ingest");
    let server = trail.serve();
    server.ingest(&ingest, &lines("a", 0, events)).ok();
    assert_eq!(server.stop(), Some(0));
    trail
}

fn flip(file: &Path, place: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[place] ^= 0x20;
    std::fs::write(file, bytes).unwrap();
}

/// Verifies and expects findings: their lines.
fn findings(data: &Path, vkey: &str) -> Vec<String> {
    let output = recall(&["--json", "verify", "--data", data.to_str().unwrap(), "--public-key", vkey]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report["findings"].as_array().unwrap().iter().map(|finding| finding.as_str().unwrap().to_owned()).collect()
}

/// A copy with its keys beside it.
fn copied(trail: &Trail, name: &str) -> std::path::PathBuf {
    let data = trail.beside(name);
    copy(&trail.path(), &data);
    for extension in ["key", "anchor"] {
        std::fs::copy(trail.beside(&format!("trail.{extension}")), trail.beside(&format!("{name}.{extension}"))).unwrap();
    }
    data
}

#[test]
fn a_whole_trail_verifies_and_a_changed_entry_is_named() {
    let trail = filled(600);
    done(&["verify", "--data", &trail.data(), "--public-key", &trail.vkey]);
    let data = copied(&trail, "changed");
    // Entry 300 lies in bundle 1 at 44 × 35 bytes.
    flip(&data.join("log/tile/entries/001"), 44 * 35 + 10);
    let found = findings(&data, &trail.vkey);
    assert!(found.iter().any(|line| line.contains("entries/001") && line.contains("300")), "{found:?}");
}

#[test]
fn a_changed_segment_posting_file_or_run_is_named() {
    let trail = Trail::new();
    let ingest = trail.token("ingest");
    let server = trail.serve();
    trail.fill_until_merged(&server, &ingest, "a");
    assert_eq!(server.stop(), Some(0));
    let data = copied(&trail, "changed");
    for extension in ["events", "postings", "run"] {
        for file in trail.files_of(extension) {
            let file = data.join(file.strip_prefix(trail.path()).unwrap());
            let middle = usize::try_from(std::fs::metadata(&file).unwrap().len() / 2).unwrap();
            flip(&file, middle);
            let found = findings(&data, &trail.vkey);
            flip(&file, middle);
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(found.iter().any(|line| line.contains(name)), "{name}: {found:?}");
        }
    }
    done(&["verify", "--data", data.to_str().unwrap(), "--public-key", &trail.vkey]);
}

#[test]
fn missing_tiles_and_a_missing_checkpoint_are_named() {
    let trail = filled(600);
    for name in ["log/tile/0/000", "log/tile/entries/000", "log/checkpoint"] {
        let data = copied(&trail, "changed");
        std::fs::remove_file(data.join(name)).unwrap();
        let found = findings(&data, &trail.vkey);
        let named = name.strip_prefix("log/").unwrap();
        assert!(found.iter().any(|line| line.contains(named)), "{name}: {found:?}");
        std::fs::remove_dir_all(data).unwrap();
    }
}

#[test]
fn another_logs_checkpoint_does_not_pass() {
    let trail = filled(10);
    let other = filled(10);
    let data = copied(&trail, "changed");
    std::fs::copy(other.path().join("log/checkpoint"), data.join("log/checkpoint")).unwrap();
    assert!(!findings(&data, &trail.vkey).is_empty());
    fails(1, &["verify", "--data", &trail.data(), "--public-key", &other.vkey]);
}

#[test]
fn without_the_root_key_the_log_is_verified_and_the_rest_is_said() {
    let trail = filled(10);
    std::fs::remove_file(trail.beside("trail.key")).unwrap();
    let report: Value = serde_json::from_str(&done(&["--json", "verify", "--data", &trail.data(), "--public-key", &trail.vkey])).unwrap();
    assert_eq!(report["findings"], json!([]));
    assert!(report["not_checked"][0].as_str().unwrap().starts_with("content of events:"), "{report}");
}

#[test]
fn while_a_server_works_the_log_is_verified_and_the_rest_is_said() {
    let trail = filled(10);
    let server = trail.serve();
    let report: Value = serde_json::from_str(&done(&["--json", "verify", "--data", &trail.data(), "--public-key", &trail.vkey])).unwrap();
    assert!(report["not_checked"][0].as_str().unwrap().contains("another process"), "{report}");
    done(&["verify", "--url", &server.url, "--public-key", &trail.vkey]);
    fails(1, &["verify", "--url", &server.url, "--public-key", &Trail::new().vkey]);
    fails(3, &["verify", "--url", "http://127.0.0.1:1", "--public-key", &trail.vkey]);
}

#[test]
fn a_trail_that_cannot_be_written_is_read_by_its_administrator_alone_and_loudly() {
    let trail = filled(30);
    let (reader, ingest) = (trail.token("auditor"), trail.token("ingest"));
    let data = copied(&trail, "old");
    let server = trail.serve();
    server.ingest(&ingest, &lines("b", 0, 5)).ok();
    assert_eq!(server.stop(), Some(0));
    std::fs::copy(trail.beside("trail.anchor"), trail.beside("old.anchor")).unwrap();
    let data = data.to_str().unwrap();

    let found = recall(&["search", "source:urn:ehr:test", "--format", "ndjson", "--data", data]);
    assert_eq!(String::from_utf8(found.stdout).unwrap().lines().count(), 30);
    let said = String::from_utf8(found.stderr).unwrap();
    assert!(said.contains("NOT RECORDED") && said.contains("read-only"), "{said}");
    let server = Server::start(&["--data", data]);
    server.get("/v1/events?q=source:urn:ehr:test", &reader).problem(503);
    server.get("/readyz", "").problem(503);
    let _ = server.stop();
    fails(3, &["token", "create", "--role", "ingest", "--name", "x", "--data", data]);
}
