//! A verifier that shares no code with Recall: tlog-scales, through `scripts/verify_with_tlog_scales.py`.

use std::path::Path;
use std::process::{Command, Output};

use super::harness::{Trail, lines};

/// Runs the script; `None` where there is no Python with the library (`./test` installs one and says where).
fn verify(location: &str, vkey: &str) -> Option<Output> {
    let Some(python) = std::env::var_os("RECALL_TEST_PYTHON") else {
        assert!(std::env::var_os("RECALL_TEST_COMPLETE").is_none(), "RECALL_TEST_PYTHON must name a Python with tlog-scales");
        eprintln!("skipped: RECALL_TEST_PYTHON names no Python with tlog-scales");
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/verify_with_tlog_scales.py");
    Some(Command::new(python).arg(script).args([location, vkey]).output().unwrap())
}

#[test]
fn tlog_scales_verifies_the_served_tree_and_the_folder() {
    let trail = Trail::new();
    let (ingest, auditor) = (trail.token("ingest"), trail.token("auditor"));
    let server = trail.serve();
    server.ingest(&ingest, &lines("a", 0, 700)).ok();
    // A receipt is there once the tree over all of it is published.
    assert_eq!(server.get("/v1/events/a-699/proof", &auditor).status, 200);
    let Some(served) = verify(&server.url, &trail.vkey) else { return };
    assert!(served.status.success(), "{}{}", String::from_utf8_lossy(&served.stdout), String::from_utf8_lossy(&served.stderr));
    assert_eq!(server.stop(), Some(0));
    let log = trail.path().join("log");
    let folder = verify(log.to_str().unwrap(), &trail.vkey).unwrap();
    assert!(folder.status.success(), "{}", String::from_utf8_lossy(&folder.stderr));
    let other = verify(log.to_str().unwrap(), &Trail::new().vkey).unwrap();
    assert_eq!(other.status.code(), Some(1));
}
