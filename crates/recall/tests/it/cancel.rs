//! A statement whose client has gone is not worked on any further.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::harness::{Server, Trail, lines};

/// Questions under way, as the server counts them.
fn under_way(server: &Server) -> f64 {
    let metrics = server.get("/metrics", "").text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("recall_questions_under_way "));
    line.map_or(0.0, |value| value.parse().unwrap())
}

/// Waits until so many questions are under way; asked at most so often.
fn wait_for(server: &Server, wanted: f64, times: u32) {
    for _ in 0..times {
        if under_way(server) == wanted {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    panic!("{} questions are under way, not {wanted}", under_way(server));
}

#[test]
fn a_statement_ends_when_its_client_goes() {
    let trail = Trail::new();
    let (ingest, officer) = (trail.token("ingest"), trail.token("privacy-officer"));
    let server = trail.serve();
    server.ingest(&ingest, &lines("a", 0, 2_000)).ok();
    assert_eq!(under_way(&server), 0.0);
    // Eight thousand million pairs of pairs: far more than the statement's time limit allows.
    let sql = "SELECT count(*) FROM events a, events b, events c WHERE a.index + b.index + c.index = -1";
    let body = json!({"sql": sql}).to_string();
    let mut socket = TcpStream::connect(server.host()).unwrap();
    let head = format!(
        "POST /v1/sql HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {officer}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        server.host(),
        body.len()
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(body.as_bytes()).unwrap();
    wait_for(&server, 1.0, 2_000);
    drop(socket);
    // The limit on a statement's time is thirty seconds: what ends before did not end by it.
    wait_for(&server, 0.0, 1_500);
}
