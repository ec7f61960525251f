//! What senders get wrong, by accident or on purpose: a clear answer, nothing half-stored, nobody else disturbed.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::harness::{Server, Trail, event, lines};

struct Setup {
    trail: Trail,
    ingest: String,
    auditor: String,
}

impl Setup {
    fn new() -> Self {
        let trail = Trail::new();
        Self { ingest: trail.token("ingest"), auditor: trail.token("auditor"), trail }
    }

    fn stored(&self, server: &Server) -> u64 {
        let rows = server.post("/v1/sql", &self.auditor, &json!({"sql": "SELECT count(*) FROM events WHERE source = 'urn:ehr:test'"})).ok();
        rows["rows"][0][0].as_u64().unwrap()
    }
}

#[test]
fn a_malformed_line_is_rejected_with_its_number_and_the_others_are_stored() {
    let setup = Setup::new();
    let server = setup.trail.serve();
    let body = format!("{}{{\"action\": oops Featherstone\n\n{}", lines("a", 0, 2), lines("b", 0, 1));
    let reply = server.ingest(&setup.ingest, &body);
    assert_eq!(reply.statuses(), ["stored", "stored", "rejected", "stored"]);
    let error = reply.json()["results"][2]["error"].as_str().unwrap().to_owned();
    assert!(error.starts_with("line 3: ") && !error.contains("Featherstone"), "{error}");
    assert_eq!(setup.stored(&server), 3);
}

#[test]
fn bad_events_are_rejected_by_name_and_never_repeated() {
    let setup = Setup::new();
    let server = setup.trail.serve();
    let changed = |path: &str, value: Value| {
        let mut event = event("x", "MRN-SECRET");
        *event.pointer_mut(path).unwrap() = value;
        event.to_string()
    };
    let with = |name: &str, value: Value| {
        let mut event = event("x", "MRN-SECRET");
        event[name] = value;
        event.to_string()
    };
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let bad: Vec<Vec<u8>> = vec![
        with("surprise", json!("MRN-SECRET")).into_bytes(),
        with("received_at", json!("2026-11-20T10:00:00Z")).into_bytes(),
        with("redactions", json!([])).into_bytes(),
        with("integrity", json!({})).into_bytes(),
        changed("/time", json!("yesterday MRN-SECRET")).into_bytes(),
        changed("/time", json!("9999-01-01T00:00:00Z")).into_bytes(),
        changed("/time", json!("1912-01-01T00:00:00Z")).into_bytes(),
        changed("/op", json!("Z")).into_bytes(),
        changed("/actor/type", json!("MRN-SECRET")).into_bytes(),
        changed("/targets", json!([])).into_bytes(),
        changed("/request/rows", json!(9_007_199_254_740_993_u64)).into_bytes(),
        changed("/request/rows", json!(-1)).into_bytes(),
        changed("/id", json!("i".repeat(513))).into_bytes(),
        changed("/description", json!("MRN-SECRET".repeat(2_000))).into_bytes(),
        with("metadata", json!({"deep": serde_json::from_str::<Value>(&deep).unwrap()})).into_bytes(),
        with("metadata", json!({"long": "MRN-SECRET".repeat(200)})).into_bytes(),
        with("changes", json!([{"path": "/x", "after": "v".repeat(2 << 20)}])).into_bytes(),
        with("changes", json!([{"path": "/x", "after": 1}])).replace("\"after\":1,", "\"after\":1e999,").into_bytes(),
        event("x", "MRN-SECRET").to_string().replacen("\"op\":\"R\"", "\"op\":\"R\",\"op\":\"U\"", 1).into_bytes(),
        event("x", "MRN-SECRET").to_string().replacen("chart.viewed", "\\ud800MRN-SECRET", 1).into_bytes(),
        event("x", "MRN-SECRET").to_string().replacen("chart.viewed", "\u{0}", 1).into_bytes(),
        [b"{\"action\":\"".as_slice(), &[0xff, 0xfe], b"\"}"].concat(),
        b"{}".to_vec(),
        b"{\"action\":".to_vec(),
        b"[1,2]".to_vec(),
        b"null".to_vec(),
    ];
    for body in bad {
        let reply = server.send(
            "POST",
            "/v1/events",
            &setup.ingest,
            &[("content-type", "application/x-ndjson")],
            [body.as_slice(), b"\n"].concat(),
        );
        let shown = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        assert_eq!(reply.statuses(), ["rejected"], "{shown}");
        assert!(!reply.text().contains("MRN-SECRET"), "{shown}: {}", reply.text());
    }
    assert_eq!(setup.stored(&server), 0);
}

#[test]
fn bodies_that_are_no_events_are_refused_whole() {
    let setup = Setup::new();
    let server = setup.trail.serve();
    let post = |headers: &[(&str, &str)], body: &[u8]| server.send("POST", "/v1/events", &setup.ingest, headers, body.to_vec());
    for body in ["", "  \n", "hello", "\"text\"", "[{},", "[{\"a\":1}] trailing", "12"] {
        post(&[], body.as_bytes()).problem(400);
    }
    post(&[("content-type", "text/xml")], b"<event/>").problem(415);
    let encoding = post(&[("content-encoding", "br")], b"{}");
    encoding.problem(415);
    assert_eq!(encoding.headers["accept-encoding"], "gzip, zstd");
    post(&[("content-encoding", "gzip")], lines("a", 0, 1).as_bytes()).problem(400);
    let zstd = zstd::encode_all(lines("a", 0, 100).as_bytes(), 3).unwrap();
    post(&[("content-encoding", "zstd")], &zstd[..zstd.len() - 9]).problem(400);
    assert_eq!(setup.stored(&server), 0);
}

#[test]
fn bodies_beyond_a_limit_are_refused_whole() {
    let setup = Setup::new();
    let server = setup.trail.serve();
    let post = |headers: &[(&str, &str)], body: Vec<u8>| server.send("POST", "/v1/events", &setup.ingest, headers, body);
    let bomb = |bytes: usize| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&vec![b' '; bytes]).unwrap();
        gzip.write_all(lines("bomb", 0, 1).as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    assert!(post(&[("content-encoding", "gzip")], bomb(65 << 20)).problem(413).contains("64 MiB"));
    assert_eq!(post(&[("content-encoding", "gzip")], bomb(60 << 20)).statuses(), ["stored"]);
    assert!(post(&[], "{}\n".repeat(50_001).into_bytes()).problem(413).contains("50000"));
    assert_eq!(post(&[], "{}\n".repeat(50_000).into_bytes()).ok()["rejected"], 50_000);
    // A server may answer and close before all of a body that is too large has been sent.
    let large = server.try_send("POST", "/v1/events", &setup.ingest, &[], vec![b' '; (16 << 20) + 1]);
    assert!(large.is_err() || large.unwrap().problem(413).contains("16 MiB"));
    assert_eq!(setup.stored(&server), 1);
}

/// Sends the start of a request and closes the connection.
fn break_off(server: &Server, token: &str, header: &str, part: &str) {
    let mut stream = TcpStream::connect(server.host()).unwrap();
    write!(stream, "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{header}\r\n\r\n{part}").unwrap();
    stream.flush().unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    // The server may close without an answer; what counts is what it stored.
    let _ = stream.read_to_string(&mut answer);
    assert!(!answer.contains(" 200 "), "{answer}");
}

#[test]
fn a_body_that_breaks_off_stores_nothing() {
    let setup = Setup::new();
    let server = setup.trail.serve();
    let part = lines("a", 0, 3_000);
    break_off(&server, &setup.ingest, &format!("content-length: {}", part.len() + 1), &part);
    break_off(&server, &setup.ingest, "transfer-encoding: chunked", &format!("{:x}\r\n{part}\r\n", part.len()));
    break_off(&server, &setup.ingest, "transfer-encoding: chunked", "zz\r\n");
    assert_eq!(setup.stored(&server), 0);
    assert_eq!(server.ingest(&setup.ingest, &lines("a", 0, 1)).statuses(), ["stored"]);
}

#[test]
fn more_bodies_than_memory_are_told_to_come_back() {
    let setup = Setup::new();
    let server = setup.trail.serve();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&vec![b' '; 60 << 20]).unwrap();
    gzip.write_all(lines("held", 0, 1).as_bytes()).unwrap();
    let body = gzip.finish().unwrap();
    // Three bodies are sent but for their end.
    let mut held: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(server.host()).unwrap()).collect();
    for stream in &mut held {
        write!(stream, "POST /v1/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\n", setup.ingest).unwrap();
        write!(stream, "content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n", body.len()).unwrap();
        stream.write_all(&body).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    let bytes_held = || {
        let metrics = server.get("/metrics", "").text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("recall_ingest_held_bytes ")).unwrap();
        line.parse::<f64>().unwrap()
    };
    while bytes_held() < f64::from(180 << 20) {}
    let busy = server.send("POST", "/v1/events", &setup.ingest, &[("content-encoding", "gzip")], body);
    busy.problem(429);
    assert_eq!(busy.headers["retry-after"], "1");
    for mut stream in held {
        stream.write_all(b"0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!((setup.stored(&server), bytes_held()), (1, 0.0));
}

#[test]
fn questions_that_are_wrong_name_what_is_wrong() {
    let setup = Setup::new();
    let server = setup.trail.serve();
    let get = |path: &str| server.get(path, &setup.auditor);
    assert!(get("/v1/events?limit=0").problem(400).contains("limit"));
    assert!(get("/v1/events?limit=1001").problem(400).contains("limit"));
    assert!(get("/v1/events?lmit=1").problem(400).contains("lmit"));
    get("/v1/events?q=(").problem(400);
    get("/v1/events?q=unknownfield:x").problem(400);
    get("/v1/events?from=yesterdayish").problem(400);
    get("/v1/events?cursor=made-up").problem(400);
    get("/v1/events/no-such-id").problem(404);
    get("/v1/events/999999").problem(404);
    get(&format!("/v1/events/{}", "x".repeat(512))).problem(404);
    get(&format!("/v1/events/{}", "x".repeat(513))).problem(404);
    get("/v1/events/no-such-id/proof").problem(404);
    for sql in [
        "",
        "SELEC 1",
        "DROP TABLE events",
        "SELECT * FROM other",
        "INSERT INTO events VALUES (1)",
        "COPY events TO '/tmp/x'",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "SELECT 1; SELECT 2",
    ] {
        server.post("/v1/sql", &setup.auditor, &json!({"sql": sql})).problem(400);
    }
    server.post("/v1/sql", &setup.auditor, &json!({"sql": "SELECT 1", "also": 1})).problem(400);
    assert!(!server.post("/v1/sql", &setup.auditor, &json!({"sql": {"x": "MRN-SECRET"}})).problem(400).contains("MRN-SECRET"));
}

#[test]
fn invented_methods_leave_nothing_in_the_metrics() {
    let setup = Setup::new();
    let server = setup.trail.serve();
    for method in ["MRN-1001", "FEATHERSTONE"] {
        let mut stream = TcpStream::connect(server.host()).unwrap();
        write!(stream, "{method} /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    }
    let metrics = server.get("/metrics", "").text();
    assert!(!metrics.contains("MRN-1001") && !metrics.contains("FEATHERSTONE"), "{metrics}");
    assert!(metrics.contains("method=\"other\""), "{metrics}");
}

/// Sends the header of a request with a body, and one byte of it.
fn begin(server: &Server, token: &str, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.host()).unwrap();
    write!(stream, "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n").unwrap();
    write!(stream, "content-type: application/json\r\ncontent-length: 99\r\n\r\n[").unwrap();
    stream
}

fn answer_to(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn who_may_not_is_told_so_before_the_body_and_a_body_that_stops_is_not_waited_for() {
    let setup = Setup::new();
    let server = setup.trail.serve();
    for path in ["/v1/events", "/v1/tokens", "/v1/sources", "/v1/backups", "/v1/keys/shred"] {
        let answer = answer_to(begin(&server, &setup.auditor, path));
        assert!(answer.starts_with("HTTP/1.1 403"), "{path}: {answer}");
    }
    let answer = answer_to(begin(&server, &setup.auditor, "/v1/sql"));
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[test]
fn slow_senders_keep_no_reader_and_no_operator_out() {
    let setup = Setup::new();
    let server = setup.trail.serve();
    let held: Vec<TcpStream> = (0..300).map(|_| begin(&server, &setup.ingest, "/v1/events")).collect();
    // Asked again until the lane is full.
    let mut full = server.ingest(&setup.ingest, &lines("a", 0, 1));
    for _ in 0..100_000 {
        if full.status == 503 {
            break;
        }
        full = server.ingest(&setup.ingest, &lines("a", 0, 1));
    }
    full.problem(503);
    assert_eq!(full.headers["retry-after"], "1");
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(server.get(path, "").status, 200, "{path}");
    }
    server.get("/v1/events?q=source:x", &setup.auditor).ok();
    drop(held);
}
