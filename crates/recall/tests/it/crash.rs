//! kill -9 under load: what was acknowledged is there, once, and the tree continues every checkpoint that was handed out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use recall_log::checkpoint::Checkpoint;
use recall_log::note::Verifier;
use serde_json::Value;

use super::harness::{Server, Trail, done, lines};

/// Rounds, unless RECALL_KILL_ROUNDS says otherwise.
const ROUNDS: usize = 20;
const SENDERS: usize = 3;
const EVENTS: usize = 40;

/// Index by id, of everything that was acknowledged.
type Acknowledged = Mutex<HashMap<String, u64>>;

fn send(server: &Server, token: &str, round: usize, sender: usize, acknowledged: &Acknowledged, count: &AtomicUsize) {
    for request in 0.. {
        let body = lines(&format!("r{round}-s{sender}-q{request}"), 0, EVENTS);
        let Ok(reply) = server.try_send("POST", "/v1/events", token, &[("content-type", "application/x-ndjson")], body.into_bytes()) else {
            return;
        };
        if reply.status != 200 {
            return;
        }
        let mut all = acknowledged.lock().unwrap();
        for result in reply.json()["results"].as_array().unwrap() {
            let known = all.insert(result["id"].as_str().unwrap().to_owned(), result["index"].as_u64().unwrap());
            assert_eq!(known, None, "acknowledged twice");
        }
        count.fetch_add(1, Ordering::SeqCst);
    }
}

/// Lets senders work until some requests are acknowledged, then kills the server in the midst of the next.
fn round(trail: &Trail, token: &str, round: usize, acknowledged: &Acknowledged, checkpoints: &mut Vec<Vec<u8>>) {
    let server = Arc::new(trail.serve());
    let (count, killed) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (server, count) = (Arc::clone(&server), &count);
            scope.spawn(move || send(&server, token, round, sender, acknowledged, count));
        }
        while !killed.load(Ordering::SeqCst) {
            if let Ok(reply) = server.try_send("GET", "/checkpoint", "", &[], Vec::new())
                && reply.status == 200
            {
                checkpoints.push(reply.body);
            }
            if count.load(Ordering::SeqCst) > 2 + round % 7 {
                let pid = rustix::process::Pid::from_raw(server.pid()).unwrap();
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
                killed.store(true, Ordering::SeqCst);
            }
        }
    });
    Arc::into_inner(server).unwrap().kill();
}

#[test]
fn rounds_of_kill_lose_nothing_and_double_nothing() {
    let trail = Trail::new();
    let token = trail.token("ingest");
    let acknowledged = Acknowledged::default();
    let mut checkpoints = Vec::new();
    let rounds = std::env::var("RECALL_KILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    for number in 0..rounds {
        round(&trail, &token, number, &acknowledged, &mut checkpoints);
    }
    let acknowledged = acknowledged.into_inner().unwrap();
    let stored = done(&["search", "source:urn:ehr:test", "--format", "ndjson", "--data", &trail.data()]);
    let mut indexes = HashMap::new();
    for line in stored.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let id = event["id"].as_str().unwrap().to_owned();
        assert_eq!(indexes.insert(id.clone(), event["integrity"]["index"].as_u64().unwrap()), None, "{id} is there twice");
    }
    for (id, index) in &acknowledged {
        assert_eq!(indexes.get(id), Some(index), "{id} was acknowledged");
    }
    done(&["verify", "--data", &trail.data(), "--public-key", &trail.vkey]);
    consistent(&trail, &checkpoints);
}

/// The tree of today begins with that of each checkpoint seen, by the public log alone.
fn consistent(trail: &Trail, checkpoints: &[Vec<u8>]) {
    struct Log(std::path::PathBuf);
    impl recall_log::tile::TileSource for Log {
        fn read(&self, path: &str) -> Result<Option<Vec<u8>>, recall_log::tile::SourceError> {
            Ok(std::fs::read(self.0.join(path)).ok())
        }
    }
    let log = Log(trail.path().join("log"));
    let key = Verifier::parse(&trail.vkey).unwrap();
    let open = |note: &[u8]| Checkpoint::open(note, &key, &[]).unwrap().0;
    let head = open(&std::fs::read(trail.path().join("log/checkpoint")).unwrap());
    assert!(!checkpoints.is_empty());
    for note in checkpoints {
        assert_eq!(recall_log::verify::verify_consistency(&log, &open(note), &head), []);
    }
}
