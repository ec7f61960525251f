//! Tokens, roles, sources and keys.

use serde_json::{Value, json};

use super::harness::{Trail, done, event, fails, lines, recall};

#[test]
fn the_one_time_token_makes_one_token_and_nothing_else() {
    let trail = Trail::new();
    let server = trail.serve();
    let first = &trail.one_time_token;
    server.get("/v1/events", first).problem(403);
    server.get("/v1/tokens", first).problem(403);
    server.ingest(first, &lines("a", 0, 1)).problem(403);
    server.post("/v1/tokens", first, &json!({"role": "king"})).problem(422);
    server.post("/v1/tokens", first, &json!({"role": "privacy-officer"})).problem(403);
    let administrator =
        server.post("/v1/tokens", first, &json!({"role": "administrator", "name": "root"})).ok()["token"].as_str().unwrap().to_owned();
    server.post("/v1/tokens", first, &json!({"role": "administrator"})).problem(401);
    let listed = server.get("/v1/tokens", &administrator);
    let tokens = listed.ok()["tokens"].as_array().unwrap().clone();
    assert_eq!((tokens.len(), tokens[0]["name"].clone(), tokens[0]["status"].clone()), (1, json!("root"), json!("works")));
    let secret = administrator.splitn(3, '_').nth(2).unwrap();
    assert!(!listed.text().contains(secret));
}

#[test]
fn two_at_once_with_the_one_time_token_get_one_token() {
    let trail = Trail::new();
    let server = trail.serve();
    let made: usize = std::thread::scope(|scope| {
        let ask = || usize::from(server.post("/v1/tokens", &trail.one_time_token, &json!({"role": "administrator"})).status == 200);
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(made, 1);
}

#[test]
fn each_role_may_do_what_it_may_and_nothing_else() {
    let trail = Trail::new();
    let roles = ["ingest", "administrator", "privacy-officer", "auditor", "engineer", "service-owner", "patient"];
    let tokens: Vec<(&str, String)> = roles.iter().map(|role| (*role, trail.token(role))).collect();
    let server = trail.serve();
    for (role, token) in &tokens {
        let allowed = |who: &[&str]| if who.contains(role) { 200 } else { 403 };
        let readers = ["administrator", "privacy-officer", "auditor", "engineer"];
        assert_eq!(server.ingest(token, &lines("a", 0, 1)).status, allowed(&["ingest"]), "{role} ingests");
        assert_eq!(server.get("/v1/events", token).status, allowed(&readers), "{role} searches");
        assert_eq!(server.get("/v1/events/a-0", token).status, allowed(&readers), "{role} views");
        assert_eq!(
            server.post("/v1/sql", token, &json!({"sql": "SELECT count(*) FROM events"})).status,
            allowed(&readers),
            "{role} asks SQL"
        );
        assert_eq!(server.get("/v1/integrity", token).status, allowed(&readers), "{role} looks at integrity");
        assert_eq!(server.get("/v1/sources", token).status, allowed(&readers), "{role} looks at sources");
        assert_eq!(server.get("/v1/tokens", token).status, allowed(&["administrator"]), "{role} lists tokens");
        assert_eq!(server.post("/v1/tokens", token, &json!({"role": "ingest"})).status, allowed(&["administrator"]), "{role} makes tokens");
        assert_eq!(
            server.post("/v1/sources", token, &json!({"source": "s", "expected_every_s": 9})).status,
            allowed(&["administrator"]),
            "{role} expects"
        );
        assert_eq!(server.get("/v1/keys/export", token).status, allowed(&["administrator"]), "{role} exports keys");
        assert_eq!(
            server.send("DELETE", "/v1/tokens/0123456789ab", token, &[], Vec::new()).status,
            if *role == "administrator" { 404 } else { 403 },
            "{role} revokes"
        );
    }
}

#[test]
fn roles_without_the_right_to_it_see_no_health_information() {
    let trail = Trail::new();
    let (ingest, engineer, auditor) = (trail.token("ingest"), trail.token("engineer"), trail.token("auditor"));
    let server = trail.serve();
    server.ingest(&ingest, &lines("a", 0, 3)).ok();
    let sql = json!({"sql": "SELECT event FROM events WHERE source = 'urn:ehr:test'"});
    for reply in [
        server.get("/v1/events?q=source:urn:ehr:test", &engineer),
        server.get("/v1/events/a-1", &engineer),
        server.post("/v1/sql", &engineer, &sql),
        server.get("/v1/events?q=source:urn:ehr:test&format=csv", &engineer),
    ] {
        let text = reply.text();
        assert_eq!(reply.status, 200, "{text}");
        assert!(!text.contains("MRN-") && !text.contains("Featherstone"), "{text}");
        assert!(text.contains("chart.viewed"), "{text}");
    }
    server.get("/v1/events?q=patient:MRN-1", &engineer).problem(403);
    assert!(server.post("/v1/sql", &auditor, &sql).text().contains("Featherstone"));
}

#[test]
fn without_a_token_that_works_nothing_is_open() {
    let trail = Trail::new();
    let (administrator, ingest) = (trail.token("administrator"), trail.token("ingest"));
    let server = trail.serve();
    let swapped = format!("{}{}", &administrator[..17], &ingest[17..]);
    for token in ["", "nonsense", "rcl_0123456789ab_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &swapped] {
        for path in ["/v1/events", "/v1/events/x", "/v1/events/x/proof", "/v1/integrity", "/v1/sources", "/v1/tokens", "/v1/keys"] {
            let reply = server.get(path, token);
            reply.problem(401);
            assert!(reply.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
        }
        server.ingest(token, &lines("a", 0, 1)).problem(401);
    }
    let id = &ingest[4..16];
    assert_eq!(server.send("DELETE", &format!("/v1/tokens/{id}"), &administrator, &[], Vec::new()).ok()["status"], "revoked");
    server.ingest(&ingest, &lines("a", 0, 1)).problem(401);
}

#[test]
fn an_expired_token_works_no_more() {
    let trail = Trail::new();
    let token = done(&["token", "create", "--role", "ingest", "--expires", "1s", "--data", &trail.data()]);
    let server = trail.serve();
    let mut tries = 0;
    while server.ingest(&token, &lines("a", 0, 1)).status == 200 {
        tries += 1;
        assert!(tries < 100_000, "the token never expires");
    }
    server.ingest(&token, &lines("a", 0, 1)).problem(401);
}

#[test]
fn every_token_ends_and_the_list_says_when_and_for_which_sources() {
    let trail = Trail::new();
    let list = || -> Vec<Value> {
        let listed: Value = serde_json::from_str(&done(&["--json", "token", "list", "--data", &trail.data()])).unwrap();
        listed["tokens"].as_array().unwrap().clone()
    };
    let days = |token: &Value| {
        let sql = |name: &str| token[name].as_str().unwrap().get(..10).unwrap().to_owned();
        let number = |text: &str| {
            // Days since some day, good for differences (Fliegel and Van Flandern).
            let part = |range: std::ops::Range<usize>| text[range].parse::<i64>().unwrap();
            let (y, m, d) = (part(0..4), part(5..7), part(8..10));
            let a = (m - 14) / 12;
            (1461 * (y + 4800 + a)) / 4 + (367 * (m - 2 - 12 * a)) / 12 - (3 * ((y + 4900 + a) / 100)) / 4 + d
        };
        number(&sql("expires_at")) - number(&sql("created_at"))
    };
    let first = list();
    assert_eq!((first[0]["role"].as_str().unwrap(), days(&first[0])), ("first-administrator", 1));
    let output = recall(&["token", "create", "--role", "ingest", "--data", &trail.data()]);
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1, "the token alone");
    assert!(String::from_utf8(output.stderr).unwrap().contains("--source"));
    done(&["token", "create", "--role", "ingest", "--source", "urn:a", "--data", &trail.data()]);
    let output = recall(&["token", "create", "--role", "ingest", "--any-source", "--expires", "1d", "--data", &trail.data()]);
    assert_eq!(output.stderr, b"");
    done(&["token", "create", "--role", "auditor", "--data", &trail.data()]);
    done(&["token", "create", "--role", "auditor", "--expires", "400d", "--data", &trail.data()]);
    let made = list();
    let found: Vec<(i64, bool)> = made[1..].iter().map(|token| (days(token), token["any_source"].as_bool().unwrap())).collect();
    assert_eq!(found, [(90, true), (90, false), (1, true), (7, false), (400, false)]);
    let table = done(&["token", "list", "--data", &trail.data()]);
    assert!(table.contains("any") && table.contains("urn:a"), "{table}");
}

#[test]
fn ingest_tokens_keep_to_their_sources() {
    let trail = Trail::new();
    let token = done(&["token", "create", "--role", "ingest", "--source", "urn:a", "--source", "urn:b", "--data", &trail.data()]);
    let auditor = trail.token("auditor");
    let server = trail.serve();
    let from = |id: &str, source: Option<&str>| {
        let mut event = event(id, "MRN-1");
        match source {
            Some(source) => event["source"] = source.into(),
            None => drop(event.as_object_mut().unwrap().remove("source")),
        }
        event
    };
    let body = json!([from("1", Some("urn:b")), from("2", None), from("3", Some("urn:c")), from("4", Some("urn:recall:server"))]);
    let reply = server.post("/v1/events", &token, &body);
    assert_eq!(reply.statuses(), ["stored", "stored", "rejected", "rejected"]);
    let shown = server.get("/v1/events/2", &auditor);
    assert_eq!(shown.status, 200);
    let found = server.get("/v1/events?q=source:urn:a", &auditor).ok();
    assert_eq!(found["events"][0]["id"], "2");
}

#[test]
fn administration_is_recorded() {
    let trail = Trail::new();
    let (administrator, auditor) = (trail.token("administrator"), trail.token("auditor"));
    let server = trail.serve();
    server.post("/v1/tokens", &administrator, &json!({"role": "patient", "name": "someone"})).ok();
    server.post("/v1/sources", &administrator, &json!({"source": "urn:expected", "expected_every_s": 60})).ok();
    for action in ["recall.init", "recall.token.create", "recall.source.expect"] {
        let found = server.get(&format!("/v1/events?q=action:{action}"), &auditor).ok();
        assert_ne!(found["count"], 0, "{action}");
    }
    let expected = server.get("/v1/sources", &administrator).ok();
    let source = expected["sources"].as_array().unwrap().iter().find(|source| source["source"] == "urn:expected").unwrap().clone();
    assert_eq!((source["silent"].clone(), source["expected_every_s"].clone()), (json!(true), json!(60)));
    let coverage = server.get("/v1/events?q=source:nobody", &auditor).ok()["coverage"].clone();
    assert_eq!(coverage["complete"], false);
    assert!(coverage["sentence"].as_str().unwrap().contains("silent against expectation: 1"), "{coverage}");
}

#[test]
fn gaps_and_clock_skew_are_stated() {
    let trail = Trail::new();
    let (ingest, auditor) = (trail.token("ingest"), trail.token("auditor"));
    let server = trail.serve();
    let numbered = |seq: u64| {
        let mut event = event(&format!("s-{seq}"), "MRN-1");
        event["seq"] = seq.into();
        event
    };
    server.post("/v1/events", &ingest, &json!([numbered(1), numbered(2), numbered(7)])).ok();
    let coverage = server.get("/v1/events?q=patient:NOBODY", &auditor).ok()["coverage"].clone();
    assert_eq!(coverage["sources"][0]["gaps"], json!([[3, 6]]));
    assert_eq!(coverage["sources"][0]["missing"], 4);
}

#[test]
fn the_root_key_is_rotated_while_serving() {
    let trail = Trail::new();
    let (administrator, ingest, auditor) = (trail.token("administrator"), trail.token("ingest"), trail.token("auditor"));
    let key_file = trail.beside("trail.key");
    let old = std::fs::read(&key_file).unwrap();
    let server = trail.serve();
    server.ingest(&ingest, &lines("a", 0, 5)).ok();
    let before = server.get("/v1/keys", &administrator).ok();
    let after = server.post("/v1/keys/rotate-root", &administrator, &json!({})).ok();
    assert_ne!(before["root_key_id"], after["root_key_id"]);
    assert_eq!(server.stop(), Some(0));
    assert_ne!(std::fs::read(&key_file).unwrap(), old);
    let server = trail.serve();
    assert_eq!(server.get("/v1/events?q=patient:MRN-1", &auditor).ok()["count"], 1);
    assert_eq!(server.stop(), Some(0));
    std::fs::write(&key_file, old).unwrap();
    let error = fails(2, &["search", "x", "--data", &trail.data()]);
    assert!(error.contains(after["root_key_id"].as_str().unwrap()), "{error}");
}

#[test]
fn a_shredded_epoch_is_gone_and_said_to_be() {
    let trail = Trail::new();
    let (ingest, auditor, administrator) = (trail.token("ingest"), trail.token("auditor"), trail.token("administrator"));
    let server = trail.serve();
    server.ingest(&ingest, &lines("a", 0, 5)).ok();
    let keys = server.get("/v1/keys", &administrator).ok();
    let epoch = keys["sets"][0]["epoch"].as_str().unwrap().to_owned();
    let body = json!({"epoch": epoch, "class": "standard", "rule": "six years", "approvers": ["J. Doe"]});
    server
        .post("/v1/keys/shred", &administrator, &json!({"epoch": "1999-01", "class": "standard", "rule": "r", "approvers": ["x"]}))
        .problem(404);
    server.post("/v1/keys/shred", &administrator, &json!({"epoch": epoch, "class": "standard", "rule": "r", "approvers": []})).problem(422);
    let done_as = server.post("/v1/keys/shred", &administrator, &body).ok();
    assert!(done_as["recorded_as"].is_u64() && done_as["destroy"].as_str().unwrap().contains("copy of root key"));
    assert!(server.get("/v1/integrity", &auditor).ok()["unfinished_erasures"].as_array().unwrap().is_empty());
    // Nothing is left of an erased event but its entry, and that is proven.
    let receipt = server.get("/v1/events/a-0/proof", &auditor);
    assert_eq!(receipt.status, 200, "{}", receipt.text());
    std::fs::write(trail.beside("erased.tlog-proof"), &receipt.body).unwrap();
    done(&["verify", "--receipt", trail.beside("erased.tlog-proof").to_str().unwrap(), "--public-key", &trail.vkey]);
    server.get("/v1/events/a-0/proof?disclose=true", &auditor).problem(410);
    server.get("/v1/events/never/proof", &auditor).problem(404);
    server
        .post("/v1/keys/shred", &administrator, &json!({"epoch": epoch, "class": "erasure", "rule": "r", "approvers": ["x"]}))
        .problem(422);
    assert_eq!(server.get("/v1/events?q=patient:MRN-1", &auditor).ok()["count"], 0);
    let repeat = server.ingest(&ingest, &lines("a", 0, 1)).ok();
    assert_eq!((repeat["results"][0]["status"].clone(), repeat["results"][0]["erased"].clone()), (json!("duplicate"), json!(true)));
    assert_eq!(server.get("/v1/events?q=action:recall.erasure%20-outcome:failure", &auditor).ok()["count"], 1);
    assert_eq!(server.stop(), Some(0));
    let verified: Value = serde_json::from_str(&done(&["--json", "verify", "--data", &trail.data()])).unwrap();
    assert_eq!(verified["findings"], json!([]));
    let by = format!(" events, as event {} records", done_as["recorded_as"]);
    let said = |line: &Value| line.as_str().is_some_and(|line| line.starts_with("erased: ") && line.ends_with(&by));
    assert!(verified["checked"].as_array().unwrap().iter().any(said), "{verified}");
}
