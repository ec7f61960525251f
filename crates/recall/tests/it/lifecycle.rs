//! Start, stop, keys that do not fit, copies that were put back, backup and restore.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::harness::{Server, Trail, copy, done, event, fails, lines, recall};

#[test]
fn a_second_process_is_refused() {
    let trail = Trail::new();
    let server = trail.serve();
    let error = fails(3, &["serve", "--data", &trail.data(), "--listen", "127.0.0.1:0"]);
    assert!(error.contains("another process"), "{error}");
    fails(3, &["search", "x", "--data", &trail.data()]);
    assert_eq!(server.stop(), Some(0));
    done(&["search", "x", "--data", &trail.data()]);
}

#[test]
fn root_keys_that_do_not_fit_are_refused_and_the_wanted_one_is_named() {
    let trail = Trail::new();
    let wanted: Value = serde_json::from_str(&std::fs::read_to_string(trail.path().join("keyring")).unwrap()).unwrap();
    let wanted = wanted["root_key_id"].as_str().unwrap().to_owned();
    let key = trail.beside("trail.key");
    let serve = ["serve", "--data", &trail.data(), "--listen", "127.0.0.1:0"].map(str::to_owned);
    let refused = |also: &[&str]| fails(2, &serve.iter().map(String::as_str).chain(also.iter().copied()).collect::<Vec<_>>());
    let other = Trail::new();
    let error = refused(&["--root-key-file", other.beside("trail.key").to_str().unwrap()]);
    assert!(error.contains(&wanted), "{error}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = refused(&[]);
    assert!(error.contains("chmod 600"), "{error}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let line = std::fs::read_to_string(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let error = refused(&[]);
    assert!(error.contains(&wanted) || error.contains("--root-key-file"), "{error}");
    let secret = line.split(' ').nth(1).unwrap().trim();
    assert!(!error.contains(secret));
    let vault = trail.beside("vault");
    std::fs::write(&vault, &line).unwrap();
    done(&["search", "x", "--data", &trail.data(), "--root-key-command", &format!("cat {}", vault.display())]);
    fails(2, &["search", "x", "--data", &trail.data(), "--root-key-command", "false"]);
    fails(2, &["search", "x", "--data", "/nonexistent/trail"]);
}

#[test]
fn a_stop_finishes_what_is_under_way() {
    let trail = Trail::new();
    let (ingest, auditor) = (trail.token("ingest"), trail.token("auditor"));
    let server = trail.serve();
    let body = format!("{}\n", event("late", "MRN-1"));
    let mut stream = TcpStream::connect(server.host()).unwrap();
    let (first, rest) = body.as_bytes().split_at(20);
    let expect = "expect: 100-continue\r\n";
    write!(
        stream,
        "POST /v1/events HTTP/1.1\r\nhost: x\r\n{expect}authorization: Bearer {ingest}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    // The interim answer says that the request is under way.
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100"));
    stream.write_all(first).unwrap();
    server.terminate();
    // Once the port is closed the server has begun to stop.
    while TcpStream::connect(server.host()).is_ok() {}
    stream.write_all(rest).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("HTTP/1.1 200") && answer.contains("\"stored\""), "{answer}");
    assert_eq!(server.stop(), Some(0));
    let server = trail.serve();
    server.get("/v1/events/late", &auditor).ok();
}

#[test]
fn a_copy_put_back_behind_a_checkpoint_is_read_only_until_recovered() {
    let trail = Trail::new();
    let (ingest, auditor) = (trail.token("ingest"), trail.token("auditor"));
    let server = trail.serve();
    server.ingest(&ingest, &lines("a", 0, 5)).ok();
    assert_eq!(server.stop(), Some(0));
    let backup = trail.beside("older");
    copy(&trail.path(), &backup);
    let server = trail.serve();
    server.ingest(&ingest, &lines("b", 0, 5)).ok();
    assert_eq!(server.stop(), Some(0));
    let left_behind = std::fs::read_to_string(trail.path().join("log/checkpoint")).unwrap();
    std::fs::remove_dir_all(trail.path()).unwrap();
    copy(&backup, &trail.path());

    let server = trail.serve();
    assert!(server.get("/readyz", "").problem(503).contains("recall recover"));
    assert!(server.ingest(&ingest, &lines("c", 0, 1)).problem(503).contains("read-only"));
    assert_eq!(server.stop(), Some(0));
    let recovered: Value = serde_json::from_str(&done(&["--json", "recover", "--data", &trail.data()])).unwrap();
    let vkey = recovered["vkey"].as_str().unwrap();
    assert_ne!(vkey, trail.vkey);
    fails(2, &["recover", "--data", &trail.data()]);
    let server = trail.serve();
    server.ingest(&ingest, &lines("c", 0, 1)).ok();
    let named = server.get("/v1/events?q=action:recall.recover", &auditor).ok();
    assert_eq!(named["events"][0]["request"]["statement"], left_behind);
    assert_eq!(named["events"][0]["integrity"]["index"], recovered["first_index"]);
    server.get("/v1/events/c-0/proof", &auditor);
    assert_eq!(server.stop(), Some(0));
    done(&["verify", "--data", &trail.data(), "--public-key", vkey]);
}

#[test]
fn a_backup_of_a_running_trail_restores_and_verifies() {
    let trail = Trail::new();
    let (ingest, auditor, administrator) = (trail.token("ingest"), trail.token("auditor"), trail.token("administrator"));
    let server = trail.serve();
    server.ingest(&ingest, &lines("a", 0, 50)).ok();
    server.get("/v1/events/a-49/proof", &auditor);
    let (copy, keyring) = (trail.beside("backup"), trail.beside("keyring.json"));
    let target = ["--url", &server.url, "--token", &administrator];
    done(&[&["keys", "export", keyring.to_str().unwrap()][..], &target].concat());
    done(&[&["backup", copy.to_str().unwrap()][..], &target].concat());
    fails(2, &[&["backup", copy.to_str().unwrap()][..], &target].concat());
    server.ingest(&ingest, &lines("b", 0, 5)).ok();
    assert!(!copy.join("keyring").exists());
    let restored = trail.beside("restored");
    let restore = |from: &str| {
        recall(&[
            "restore",
            from,
            "--keyring",
            keyring.to_str().unwrap(),
            "--data",
            restored.to_str().unwrap(),
            "--root-key-file",
            trail.beside("trail.key").to_str().unwrap(),
        ])
    };
    let output = restore(copy.to_str().unwrap());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let key = trail.beside("trail.key");
    let place = ["--data", restored.to_str().unwrap(), "--root-key-file", key.to_str().unwrap()];
    // The original goes on under the same key: the copy must not.
    let second = Server::start(&place);
    assert!(second.get("/readyz", "").problem(503).contains("recall recover"));
    assert_eq!(second.stop(), Some(0));
    done(&[&["verify"][..], &place].concat());
    done(&[&["recover"][..], &place].concat());
    let second = Server::start(&place);
    assert_eq!(second.get("/v1/events?q=source:urn:ehr:test&limit=1000", &auditor).ok()["count"], 50);
    assert_eq!(restore(copy.to_str().unwrap()).status.code(), Some(2), "the target exists");
    assert_eq!(restore("/nonexistent").status.code(), Some(2));
}

#[test]
fn a_damaged_backup_is_not_restored() {
    let trail = Trail::new();
    let ingest = trail.token("ingest");
    let server = trail.serve();
    server.ingest(&ingest, &lines("a", 0, 600)).ok();
    assert_eq!(server.stop(), Some(0));
    let (copy, keyring) = (trail.beside("backup"), trail.path().join("keyring"));
    done(&["backup", copy.to_str().unwrap(), "--data", &trail.data()]);
    let bundle = copy.join("log/tile/entries/000");
    let mut bytes = std::fs::read(&bundle).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&bundle, bytes).unwrap();
    let restored = trail.beside("restored");
    let key = trail.beside("trail.key");
    let error = fails(
        1,
        &[
            "restore",
            copy.to_str().unwrap(),
            "--keyring",
            keyring.to_str().unwrap(),
            "--data",
            restored.to_str().unwrap(),
            "--root-key-file",
            key.to_str().unwrap(),
        ],
    );
    assert!(error.contains("nothing was restored"), "{error}");
    assert!(!restored.exists());
}

#[test]
fn doctor_says_what_is_wrong() {
    let trail = Trail::new();
    let looks = |output: &[u8]| -> Vec<(String, String)> {
        let report: Value = serde_json::from_slice(output).unwrap();
        report["looks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|look| (look["what"].as_str().unwrap().to_owned(), look["level"].as_str().unwrap().to_owned()))
            .collect()
    };
    let good = recall(&["--json", "doctor", "--data", &trail.data()]);
    let good = looks(&good.stdout);
    assert!(good.contains(&("root key's place".into(), "risky".into())) && good.contains(&("catalog".into(), "good".into())), "{good:?}");
    std::fs::set_permissions(trail.beside("trail.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let bad = recall(&["--json", "doctor", "--data", &trail.data()]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(looks(&bad.stdout).contains(&("root key".into(), "wrong".into())));
    fails(2, &["doctor", "--data", "/nonexistent"]);
}

#[test]
fn a_backup_goes_where_it_may_and_one_that_fails_is_recorded() {
    let trail = Trail::new();
    let (administrator, auditor) = (trail.token("administrator"), trail.token("auditor"));
    std::fs::create_dir(trail.beside("other")).unwrap();
    let server = trail.serve();
    let back = |to: &str| server.post("/v1/backups", &administrator, &serde_json::json!({"to": to}));
    let beside = |name: &str| trail.beside(name).to_str().unwrap().to_owned();
    assert!(back(&beside("other/../trail/b")).problem(422).contains("outside"));
    assert!(!trail.path().join("b").exists());
    back(&beside("other/b")).ok();
    assert!(back(&beside("other/b")).problem(422).contains("exists"));
    let found = server.get("/v1/events?q=action:recall.backup&limit=100", &auditor).ok();
    let ends: Vec<&str> = found["events"].as_array().unwrap().iter().rev().map(|e| e["outcome"]["status"].as_str().unwrap()).collect();
    assert_eq!(ends, ["failure", "success", "success", "failure"]);
}

#[test]
fn a_publication_that_fails_is_seen_and_so_is_its_end() {
    let trail = Trail::new();
    let (ingest, engineer) = (trail.token("ingest"), trail.token("engineer"));
    let server = trail.serve();
    server.ingest(&ingest, &lines("a", 0, 5)).ok();
    server.get("/v1/events/a-4/proof", &engineer);
    let anchor = trail.beside("trail.anchor");
    let ready = |wanted: &str| {
        let tries = (0..1_000_000).find(|_| server.get("/readyz", "").text() == wanted);
        assert!(tries.is_some(), "{}", server.get("/readyz", "").text());
    };
    ready("ok\n");
    // A folder in the place of the anchor: the next publication cannot write it.
    std::fs::remove_file(&anchor).unwrap();
    std::fs::create_dir(&anchor).unwrap();
    server.ingest(&ingest, &lines("b", 0, 5)).ok();
    ready("ok\ndegraded: the last checkpoint could not be published, so that new receipts wait; see /v1/integrity\n");
    assert!(server.get("/metrics", "").text().contains("recall_publication_failed 1"));
    assert!(server.get("/v1/integrity", &engineer).ok()["publication_failure"].is_string());
    std::fs::remove_dir(&anchor).unwrap();
    ready("ok\n");
    assert!(server.get("/metrics", "").text().contains("recall_publication_failed 0"));
}

#[test]
fn a_backup_that_the_last_checkpoint_shows_to_be_whole_goes_on_where_the_original_stopped() {
    let trail = Trail::new();
    let ingest = trail.token("ingest");
    let server = trail.serve();
    server.ingest(&ingest, &lines("a", 0, 20)).ok();
    assert_eq!(server.stop(), Some(0));
    let (copy, keyring, anchor) = (trail.beside("backup"), trail.beside("keyring.json"), trail.beside("trail.anchor"));
    let output = recall(&["backup", copy.to_str().unwrap(), "--data", &trail.data()]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("recall keys export"), "no keyring was ever exported");
    done(&["keys", "export", keyring.to_str().unwrap(), "--data", &trail.data()]);
    std::fs::remove_dir_all(&copy).unwrap();
    let output = recall(&["backup", copy.to_str().unwrap(), "--data", &trail.data()]);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let (restored, key, disk) = (trail.beside("restored"), trail.beside("trail.key"), trail.beside("disk"));
    std::fs::create_dir(&disk).unwrap();
    let elsewhere = disk.join("anchor");
    let place =
        ["--data", restored.to_str().unwrap(), "--root-key-file", key.to_str().unwrap(), "--anchor-file", elsewhere.to_str().unwrap()];
    let known = trail.beside("known");
    let restore = |note: &[u8]| {
        std::fs::write(&known, note).unwrap();
        let arguments =
            ["restore", copy.to_str().unwrap(), "--keyring", keyring.to_str().unwrap(), "--checkpoint", known.to_str().unwrap()];
        recall(&[&arguments[..], &place].concat())
    };
    assert_eq!(restore(b"no checkpoint").status.code(), Some(2));
    assert!(!restored.exists());
    // The backup's own record came after the checkpoint that it holds, so that the anchor of now is ahead of it.
    let own = std::fs::read(copy.join("log/checkpoint")).unwrap();
    assert!(anchor.exists() && restore(&own).status.success());
    let server = Server::start(&place);
    server.ingest(&ingest, &lines("b", 0, 1)).ok();
    assert_eq!(server.stop(), Some(0));
    done(&[&["verify"][..], &place].concat());
    std::fs::remove_file(&elsewhere).unwrap();
    fails(1, &[&["verify"][..], &place].concat());
    let server = Server::start(&place);
    assert!(server.get("/readyz", "").problem(503).contains("recall anchor"));
    assert_eq!(server.stop(), Some(0));
    done(&[&["anchor"][..], &place].concat());
    fails(2, &[&["anchor"][..], &place].concat());
    let server = Server::start(&place);
    server.ingest(&ingest, &lines("c", 0, 1)).ok();
}
