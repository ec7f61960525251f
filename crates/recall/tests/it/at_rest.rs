//! Nothing that was sent touches the disk in the clear, not while the server runs either.

use super::harness::{Trail, files, lines};

/// What the events, questions and tokens hold that must not be found.
const SECRETS: [&str; 8] = ["Featherstone", "Zebulon", "MRN-3", "nurse-quimby", "Quimby", "session-77", "urn:ehr:test", "chart.viewed"];

fn scan(trail: &Trail, also: &[&str]) {
    let mut all = files(&trail.path());
    all.push(trail.beside("trail.anchor"));
    assert!(all.iter().any(|file| file.ends_with("catalog.sqlite-wal")) || all.iter().any(|file| file.ends_with("catalog.sqlite")));
    for file in all {
        let Ok(bytes) = std::fs::read(&file) else { continue };
        for secret in SECRETS.iter().chain(also) {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} in {}", file.display());
        }
    }
}

#[test]
fn no_name_identifier_question_or_token_lies_in_the_folder() {
    let trail = Trail::new();
    let (ingest, auditor) = (trail.token("ingest"), trail.token("auditor"));
    let server = trail.serve();
    server.ingest(&ingest, &lines("a", 0, 2_000)).ok();
    server.get("/v1/events?q=patient:MRN-3%20%22veryspecialquestion%22", &auditor).ok();
    let secret = auditor.rsplit('_').next().unwrap();
    scan(&trail, &["veryspecialquestion", secret, "test-auditor"]);
    server.get("/v1/events/a-3/proof", &auditor);
    scan(&trail, &["veryspecialquestion", secret, "test-auditor"]);
    assert_eq!(server.stop(), Some(0));
    scan(&trail, &["veryspecialquestion", secret, "test-auditor"]);
}
