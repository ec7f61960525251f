//! The main path: make, serve, send, ask, prove, verify.

use serde_json::{Value, json};

use super::harness::{Trail, done, event, fails, lines, recall};

#[test]
fn an_event_goes_in_is_found_proven_and_verified() {
    let trail = Trail::new();
    let (ingest, auditor) = (trail.token("ingest"), trail.token("auditor"));
    let server = trail.serve();
    let reply = server.ingest(&ingest, &lines("a", 0, 20)).ok();
    assert_eq!((reply["stored"].clone(), reply["results"].as_array().unwrap().len()), (json!(20), 20));
    let found = server.get("/v1/events?q=patient:MRN-3", &auditor).ok();
    let ids: Vec<&str> = found["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["a-13", "a-3"], "newest first");
    assert_eq!(found["count"], 2);
    assert!(found["coverage"]["sentence"].is_string());

    let index = reply["results"][3]["index"].as_u64().unwrap();
    for name in ["a-3".to_owned(), index.to_string()] {
        let shown = server.get(&format!("/v1/events/{name}"), &auditor).ok();
        assert_eq!((shown["id"].clone(), shown["targets"][0]["patient_id"].clone()), (json!("a-3"), json!("MRN-3")));
    }
    let receipt = trail.beside("receipt");
    std::fs::write(&receipt, server.get("/v1/events/a-3/proof", &auditor).body).unwrap();
    done(&["verify", "--receipt", receipt.to_str().unwrap(), "--public-key", &trail.vkey]);
    done(&["verify", "--url", &server.url, "--public-key", &trail.vkey]);
    assert_eq!(server.stop(), Some(0));
    let verified: Value = serde_json::from_str(&done(&["--json", "verify", "--data", &trail.data(), "--public-key", &trail.vkey])).unwrap();
    assert_eq!((verified["good"].clone(), verified["not_checked"].clone()), (json!(true), json!([])), "{verified}");
}

#[test]
fn a_receipt_stands_alone_and_discloses_only_when_asked() {
    let trail = Trail::new();
    let (ingest, auditor, engineer) = (trail.token("ingest"), trail.token("auditor"), trail.token("engineer"));
    let server = trail.serve();
    server.ingest(&ingest, &lines("a", 0, 5)).ok();
    let plain = server.get("/v1/events/a-2/proof", &engineer);
    assert_eq!(plain.status, 200);
    let disclosed = server.get("/v1/events/a-2/proof?disclose=true", &auditor);
    assert_eq!(disclosed.status, 200);
    assert!(server.get("/v1/events/a-2/proof?disclose=true", &engineer).problem(403).contains("disclose"));
    let decoded = |body: &str| {
        use base64::Engine;
        let extra = body.lines().find_map(|line| line.strip_prefix("extra ")).unwrap_or("");
        let json: Value = serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(extra).unwrap()).unwrap();
        json.get("phi")
            .and_then(Value::as_str)
            .map(|phi| String::from_utf8(base64::engine::general_purpose::STANDARD.decode(phi).unwrap()).unwrap())
    };
    assert_eq!(decoded(&plain.text()), None);
    assert!(decoded(&disclosed.text()).unwrap().contains("Featherstone"));
    drop(server);
    for (name, body) in [("plain", plain.body), ("disclosed", disclosed.body)] {
        let file = trail.beside(name);
        std::fs::write(&file, &body).unwrap();
        let file = file.to_str().unwrap();
        done(&["verify", "--receipt", file, "--public-key", &trail.vkey]);
        fails(2, &["verify", "--receipt", file]);
        fails(1, &["verify", "--receipt", file, "--public-key", &Trail::new().vkey]);
        let mut changed = body.clone();
        let place = changed.windows(6).position(|window| window == b"index ").unwrap() + 6;
        changed[place] = if changed[place] == b'9' { b'8' } else { changed[place] + 1 };
        std::fs::write(trail.beside("changed"), changed).unwrap();
        fails(1, &["verify", "--receipt", trail.beside("changed").to_str().unwrap(), "--public-key", &trail.vkey]);
    }
}

#[test]
fn the_body_may_be_an_object_an_array_or_lines_and_compressed() {
    use std::io::Write;
    let trail = Trail::new();
    let ingest = trail.token("ingest");
    let server = trail.serve();
    let json = [("content-type", "application/json")];
    let body = |value: Value| value.to_string().into_bytes();
    assert_eq!(server.send("POST", "/v1/events", &ingest, &json, body(event("one", "MRN-1"))).statuses(), ["stored"]);
    let array = body(json!([event("two", "MRN-1"), event("one", "MRN-1"), event("three", "MRN-1")]));
    assert_eq!(server.send("POST", "/v1/events", &ingest, &json, array).statuses(), ["stored", "duplicate", "stored"]);
    assert_eq!(server.send("POST", "/v1/events", &ingest, &[], b"[]".to_vec()).statuses(), [""; 0]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(lines("gz", 0, 3000).as_bytes()).unwrap();
    let gzip = server.send("POST", "/v1/events", &ingest, &[("content-encoding", "gzip")], gzip.finish().unwrap()).ok();
    assert_eq!(gzip["stored"], 3000);
    let indexes: Vec<u64> = gzip["results"].as_array().unwrap().iter().map(|result| result["index"].as_u64().unwrap()).collect();
    assert!(indexes.is_sorted_by(|a, b| a + 1 == *b), "results are in the order of the body");
    let zstd = zstd::encode_all(lines("zs", 0, 3).as_bytes(), 3).unwrap();
    assert_eq!(server.send("POST", "/v1/events", &ingest, &[("content-encoding", "zstd")], zstd).ok()["stored"], 3);
}

#[test]
fn a_repeat_gets_the_first_answer_and_other_content_is_refused() {
    let trail = Trail::new();
    let ingest = trail.token("ingest");
    let first = {
        let server = trail.serve();
        let body = format!("{0}{0}", lines("a", 0, 1));
        let reply = server.ingest(&ingest, &body);
        assert_eq!(reply.statuses(), ["stored", "duplicate"]);
        let reply = reply.json();
        assert_eq!(reply["results"][0]["index"], reply["results"][1]["index"]);
        assert_eq!(server.stop(), Some(0));
        reply
    };
    let server = trail.serve();
    let again = server.ingest(&ingest, &lines("a", 0, 1)).ok();
    for field in ["id", "index", "leaf_hash"] {
        assert_eq!(again["results"][0][field], first["results"][0][field], "{field}");
    }
    let other = server.ingest(&ingest, &format!("{}\n", event("a-0", "MRN-OTHER"))).ok();
    assert_eq!(other["results"][0]["status"], "rejected");
    assert!(!other["results"][0]["error"].as_str().unwrap().contains("MRN-OTHER"));
}

#[test]
fn client_commands_work_on_a_folder_and_on_a_server_alike() {
    let trail = Trail::new();
    let file = trail.beside("events.ndjson");
    std::fs::write(&file, lines("a", 0, 30)).unwrap();
    let data = trail.data();
    let sent = done(&["ingest", file.to_str().unwrap(), "--batch", "7", "--data", &data]);
    assert!(sent.starts_with("30 stored"), "{sent}");
    let local: Value = serde_json::from_str(&done(&["--json", "search", "patient:MRN-4", "--data", &data])).unwrap();
    let auditor = trail.token("auditor");
    let server = trail.serve();
    let target = ["--url", &server.url, "--token", &auditor];
    let ask = |arguments: &[&str]| done(&[arguments, &target].concat());
    let remote: Value = serde_json::from_str(&ask(&["--json", "search", "patient:MRN-4"])).unwrap();
    assert_eq!(local["events"], remote["events"]);
    assert_eq!(ask(&["search", "source:urn:ehr:test", "--format", "ndjson"]).lines().count(), 30);
    let csv = ask(&["search", "source:urn:ehr:test", "--format", "csv", "--limit", "12"]);
    assert_eq!(csv.lines().count(), 13);
    let rows: Value =
        serde_json::from_str(&ask(&["--json", "sql", "SELECT count(*) AS n FROM events WHERE action = 'chart.viewed'"])).unwrap();
    assert_eq!(rows["rows"], json!([[30]]));
    let shown = ask(&["show", "a-3"]);
    assert!(shown.contains("MRN-3") && shown.contains("c2sp.org/tlog-proof@v1"), "{shown}");
    assert_eq!(ask(&["keys", "public"]), trail.vkey);
    assert_eq!(
        fails(1, &["search", "patient:NOBODY", "--require", "--url", &server.url, "--token", &auditor]).lines().last(),
        Some("recall: nothing matched")
    );
    assert_eq!(recall(&["search", "a:b:c:(", "--url", &server.url, "--token", &auditor]).status.code(), Some(2));
    fails(3, &["search", "x", "--url", "http://127.0.0.1:1", "--token", &auditor]);
}

#[test]
fn paging_shows_every_event_once_though_the_server_restarts() {
    let trail = Trail::new();
    let (ingest, auditor) = (trail.token("ingest"), trail.token("auditor"));
    let mut server = trail.serve();
    server.ingest(&ingest, &lines("a", 0, 95)).ok();
    let mut ids = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.get(&format!("/v1/events?q=source:urn:ehr:test&from=-20000d&limit=10{cursor}"), &auditor).ok();
        ids.extend(page["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
        if ids.len() == 50 {
            assert_eq!(server.stop(), Some(0));
            server = trail.serve();
        }
    }
    let expected: Vec<String> = (0..95).rev().map(|number| format!("a-{number}")).collect();
    assert_eq!(ids, expected);
}

#[test]
fn operations_answer_without_a_token() {
    let trail = Trail::new();
    let server = trail.serve();
    for path in ["/", "/livez", "/readyz", "/version", "/metrics", "/openapi.json", "/schema/recall.event.1.json", "/v1/keys/public"] {
        let reply = server.get(path, "");
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.headers["x-content-type-options"], "nosniff", "{path}");
    }
    let page = server.get("/", "").text();
    assert!(!page.contains("<script") && page.contains("lang=\"en\""));
    server.get("/nowhere", "").problem(404);
    server.get("/tile/0/../../keyring", "").problem(404);
    server.get("/tile/0/x001", "").problem(404);
    server.send("POST", "/livez", "", &[], Vec::new()).problem(405);
}
