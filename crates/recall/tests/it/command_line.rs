//! Arguments and configuration that are wrong: one line, exit code 2.

use super::harness::{Server, Trail, done, fails, lines, recall};

#[test]
fn wrong_arguments_are_said_in_one_line() {
    for arguments in [
        &["serve"][..],
        &["--nonsense"],
        &["serch"],
        &["token", "create"],
        &["ingest"],
        &["verify"],
        &["verify", "--receipt", "/nonexistent"],
        &["init"],
    ] {
        let error = fails(2, arguments);
        assert_eq!(error.trim().lines().count(), 1, "{arguments:?}: {error}");
        assert!(error.starts_with("recall: "), "{error}");
    }
    fails(2, &[]);
    assert!(done(&["--help"]).contains("Examples:"));
    assert!(done(&["--version"]).starts_with("recall "));
    for command in [
        "init", "serve", "ingest", "search", "sql", "show", "receipt", "verify", "token", "keys", "source", "doctor", "config", "backup",
        "restore", "recover",
    ] {
        assert!(!done(&[command, "--help"]).is_empty());
    }
}

#[test]
fn listening_beyond_loopback_is_refused() {
    let trail = Trail::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:7080"] {
        let error = fails(2, &["serve", "--data", &trail.data(), "--listen", address]);
        assert!(error.contains("TLS"), "{error}");
    }
}

#[test]
fn the_configuration_file_is_checked_and_used() {
    let trail = Trail::new();
    let file = trail.beside("recall.toml");
    let config = file.to_str().unwrap();
    std::fs::write(&file, "[server]\nlisten = \"127.0.0.1:0\"\n[trail]\ndata = \"trail\"\n").unwrap();
    done(&["config", "check", "--config", config]);
    let server = Server::start(&["--config", config]);
    assert_eq!(server.get("/readyz", "").status, 200);
    drop(server);
    std::fs::write(&file, "[trail]\ndata = \"trail\"\nroot_kei_file = \"x\"\n").unwrap();
    let error = fails(2, &["config", "check", "--config", config]);
    assert!(error.contains("root_kei_file") && error.contains("line 3"), "{error}");
    fails(2, &["serve", "--config", config]);
    fails(2, &["config", "check", "--config", "/nonexistent"]);
}

#[test]
fn a_trail_is_made_once() {
    let trail = Trail::new();
    assert!(fails(2, &["init", "--data", &trail.data()]).contains("holds a trail"));
    done(&["search", "", "--data", &trail.data()]);
}

#[test]
fn an_import_says_what_was_rejected_and_resumes() {
    let trail = Trail::new();
    let file = trail.beside("events.ndjson");
    std::fs::write(&file, format!("{}oops\n{}", lines("a", 0, 5), lines("b", 0, 5))).unwrap();
    let name = file.to_str().unwrap();
    let output = recall(&["ingest", name, "--batch", "3", "--data", &trail.data()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("10 stored"));
    // A state that stands after six lines: the rest is sent, and the state is gone.
    let offset = std::fs::read_to_string(&file).unwrap().split_inclusive('\n').take(6).map(str::len).sum::<usize>();
    let state = trail.beside("events.ndjson.recall-import");
    std::fs::write(&state, format!("{{\"import\":\"x\",\"offset\":{offset},\"lines\":6,\"stored\":5,\"duplicate\":0,\"rejected\":0}}"))
        .unwrap();
    assert!(done(&["ingest", name, "--data", &trail.data()]).starts_with("5 stored, 5 known before, 0 rejected"));
    assert!(!state.exists());
}
