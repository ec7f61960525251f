//! Arguments, environment and configuration; imports that stop; machine output. What is wrong is said in one line, exit code 2.

use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Stdio;

use serde_json::Value;

use super::harness::{Server, Trail, binary, done, event, fails, lines, recall};

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
        "init", "serve", "ingest", "search", "sql", "show", "receipt", "verify", "token", "user", "keys", "source", "doctor", "config",
        "backup", "restore", "recover",
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
fn an_import_says_what_was_rejected() {
    let trail = Trail::new();
    let file = trail.beside("events.ndjson");
    std::fs::write(&file, format!("{}oops\n{}", lines("a", 0, 5), lines("b", 0, 5))).unwrap();
    let name = file.to_str().unwrap();
    let output = recall(&["ingest", name, "--batch", "3", "--data", &trail.data()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("10 stored"));
    assert!(!trail.beside("events.ndjson.recall-import").exists());
}

/// Lets one request through to the server, and breaks the connection before its answer arrives.
fn lose_the_answer(server: &Server) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let host = server.host().to_owned();
    let thread = std::thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(host).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let forward = std::thread::spawn(move || std::io::copy(&mut from, &mut to).unwrap_or(0));
        let mut first = [0];
        (&server).read_exact(&mut first).unwrap();
        client.shutdown(std::net::Shutdown::Both).unwrap();
        forward.join().unwrap();
    });
    (url, thread)
}

fn without_ids(from: usize, to: usize) -> String {
    let event = |number| {
        let mut event = event("", &format!("MRN-{number}"));
        event.as_object_mut().unwrap().remove("id");
        format!("{event}\n")
    };
    (from..to).map(event).collect()
}

#[test]
fn an_import_whose_answer_was_lost_goes_on_though_the_file_has_grown() {
    let trail = Trail::new();
    let (ingest, file) = (trail.token("ingest"), trail.beside("events.ndjson"));
    let (name, state) = (file.to_str().unwrap(), trail.beside("events.ndjson.recall-import"));
    std::fs::write(&file, without_ids(0, 3)).unwrap();
    let server = trail.serve();
    let (url, proxy) = lose_the_answer(&server);
    let error = fails(3, &["ingest", name, "--token", &ingest, "--url", &url]);
    assert!(error.contains("events.ndjson.recall-import"), "{error}");
    proxy.join().unwrap();
    assert!(state.exists());
    std::fs::write(&file, without_ids(0, 5)).unwrap();
    let sent = done(&["ingest", name, "--batch", "2", "--token", &ingest, "--url", &server.url]);
    assert_eq!(sent, "5 stored, 0 known before, 0 rejected");
    assert!(!state.exists());
    assert_eq!(server.stop(), Some(0));
    let held: Value =
        serde_json::from_str(&done(&["--json", "search", "source:urn:ehr:test", "--limit", "100", "--data", &trail.data()])).unwrap();
    assert_eq!(held["count"], 5, "nothing is stored twice");
}

#[test]
fn an_import_does_not_go_on_with_another_file() {
    let trail = Trail::new();
    let (data, file) = (trail.data(), trail.beside("events.ndjson"));
    let (name, state) = (file.to_str().unwrap(), trail.beside("events.ndjson.recall-import"));
    let good = lines("a", 0, 6);
    // The second request is larger than a server takes.
    std::fs::write(&file, format!("{good}{}\n", "x".repeat(17 << 20))).unwrap();
    let ingest = |also: &[&str]| recall(&[&["ingest", name, "--data", &data], also].concat());
    assert_eq!(ingest(&["--batch", "6"]).status.code(), Some(2));
    let stopped = std::fs::read(&state).unwrap();
    for other in [lines("b", 0, 9), good.replacen("a-5", "c-5", 1), lines("a", 0, 1)] {
        std::fs::write(&file, other).unwrap();
        let output = ingest(&[]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(state.to_str().unwrap()) && error.contains("remove"), "{error}");
        assert_eq!(std::fs::read(&state).unwrap(), stopped);
    }
    // The line that was refused is corrected, and nothing is sent twice.
    std::fs::write(&file, format!("{good}{}", lines("d", 0, 4))).unwrap();
    assert_eq!(String::from_utf8(ingest(&[]).stdout).unwrap(), "10 stored, 0 known before, 0 rejected\n");
    std::fs::write(&state, "{}").unwrap();
    assert!(String::from_utf8(ingest(&[]).stderr).unwrap().contains("remove it to start anew"));
}

#[test]
fn flags_go_before_the_environment() {
    let trail = Trail::new();
    let (auditor, file) = (trail.token("auditor"), trail.beside("token"));
    let server = trail.serve();
    std::fs::write(&file, format!("{auditor}\n")).unwrap();
    let ask = |also: &[&str], variables: &[(&str, &str)]| {
        let mut command = binary();
        command.args(["search", "x", "--url", &server.url]).args(also).envs(variables.iter().copied());
        command.output().unwrap().status.code()
    };
    let (file, token) = (file.to_str().unwrap(), auditor.as_str());
    assert_eq!(ask(&["--token-file", file], &[("RECALL_TOKEN", "rcl_wrong")]), Some(0));
    assert_eq!(ask(&["--token", token], &[("RECALL_TOKEN_FILE", "/nonexistent")]), Some(0));
    assert_eq!(ask(&[], &[("RECALL_TOKEN_FILE", file)]), Some(0));
    assert_eq!(ask(&[], &[("RECALL_TOKEN", token)]), Some(0));
    assert_eq!(ask(&["--token", token, "--token-file", file], &[]), Some(2));
    assert_eq!(server.stop(), Some(0));

    let (data, key) = (trail.data(), trail.beside("trail.key"));
    let elsewhere = trail.beside("elsewhere");
    std::fs::rename(&key, &elsewhere).unwrap();
    let (elsewhere, cat) = (elsewhere.to_str().unwrap(), format!("cat {}", elsewhere.display()));
    let local = |also: &[&str], variables: &[(&str, &str)]| {
        let mut command = binary();
        command.args(["search", "x", "--data", &data]).args(also).envs(variables.iter().copied());
        command.output().unwrap().status.code()
    };
    let wrong = ("RECALL_ROOT_KEY_FILE", "/nonexistent");
    assert_eq!(local(&[], &[]), Some(2));
    assert_eq!(local(&["--root-key-command", &cat], &[wrong]), Some(0));
    assert_eq!(local(&["--root-key-file", elsewhere], &[("RECALL_ROOT_KEY_COMMAND", "false")]), Some(0));
    assert_eq!(local(&[], &[("RECALL_ROOT_KEY_FILE", elsewhere)]), Some(0));
    assert_eq!(local(&[], &[("RECALL_ROOT_KEY_COMMAND", &cat)]), Some(0));
    assert_eq!(local(&[], &[wrong, ("RECALL_ROOT_KEY_COMMAND", &cat)]), Some(2));
    assert_eq!(local(&["--root-key-file", elsewhere, "--root-key-command", &cat], &[]), Some(2));
}

#[test]
fn the_environment_goes_before_the_configuration_file() {
    let trail = Trail::new();
    let file = trail.beside("recall.toml");
    std::fs::write(&file, "[server]\nlisten = \"127.0.0.1:0\"\n[trail]\ndata = \"trail\"\nroot_key_command = \"false\"\n").unwrap();
    let mut command = binary();
    command.args(["serve", "--config", file.to_str().unwrap()]).stdout(Stdio::piped()).env("RECALL_LOG", "error");
    let mut server = command.env("RECALL_ROOT_KEY_FILE", trail.beside("trail.key")).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(line.starts_with("recall is ready"), "{line}");
}

#[test]
fn a_credential_of_the_service_manager_opens_the_trail_and_replaces_nothing() {
    let trail = Trail::new();
    let credentials = trail.beside("credentials");
    std::fs::create_dir(&credentials).unwrap();
    let key = credentials.join("root.key");
    std::fs::rename(trail.beside("trail.key"), &key).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o440)).unwrap();
    let run = |arguments: &[&str], folder: Option<&std::path::Path>| {
        let mut command = binary();
        command.args(arguments).args(["--data", &trail.data(), "--root-key-file", key.to_str().unwrap()]);
        command.envs(folder.map(|folder| ("CREDENTIALS_DIRECTORY", folder)));
        command.output().unwrap()
    };
    assert_eq!(run(&["search", "x"], None).status.code(), Some(2), "what a group may read");
    assert_eq!(run(&["search", "x"], Some(trail.path().as_path())).status.code(), Some(2), "it lies elsewhere");
    let mine = std::fs::metadata(&key).unwrap().uid() == 0;
    assert_eq!(run(&["search", "x"], Some(&credentials)).status.code(), Some(if mine { 0 } else { 2 }), "root's alone");
    let rotated = run(&["keys", "rotate-root"], Some(&credentials));
    assert!(!rotated.status.success() && (!mine || String::from_utf8_lossy(&rotated.stderr).contains("service manager")));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o460)).unwrap();
    assert_eq!(run(&["search", "x"], Some(&credentials)).status.code(), Some(2), "what a group may write");
}

#[test]
fn root_does_not_write_into_somebody_elses_folder() {
    let trail = Trail::new();
    if std::fs::metadata(trail.path()).unwrap().uid() != 0 {
        eprintln!("skipped: this user is not root");
        return;
    }
    std::os::unix::fs::chown(trail.path(), Some(12_345), Some(12_345)).unwrap();
    let error = fails(2, &["keys", "rotate-root", "--data", &trail.data()]);
    assert!(error.contains("12345"), "{error}");
    fails(2, &["recover", "--data", &trail.data()]);
    std::os::unix::fs::chown(trail.path(), Some(0), Some(0)).unwrap();
    done(&["keys", "rotate-root", "--data", &trail.data()]);
}

#[test]
fn machine_output_is_kept_to() {
    let output = recall(&["--json", "token", "create"]);
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((output.status.code(), error["exit_code"].clone()), (Some(2), 2.into()));
    let trail = Trail::new();
    let data = trail.data();
    let sent = trail.beside("events.ndjson");
    std::fs::write(&sent, lines("a", 0, 3)).unwrap();
    done(&["ingest", sent.to_str().unwrap(), "--data", &data]);
    let file = trail.beside("receipt");
    let name = file.to_str().unwrap();
    let told: Value = serde_json::from_str(&done(&["--json", "receipt", "a-1", "--disclose", "-o", name, "--data", &data])).unwrap();
    assert_eq!(told["file"], name);
    let metadata = std::fs::metadata(&file).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(&file).unwrap();
    assert!(fails(2, &["receipt", "a-2", "--disclose", "-o", name, "--data", &data]).contains("exists"));
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let disclosed: Value = serde_json::from_str(&done(&["--json", "search", "action:recall.disclosure", "--data", &data])).unwrap();
    assert_eq!(disclosed["count"], 1, "what could not be written was not asked for");
    fails(1, &["show", "no-such", "--data", &data]);
    fails(1, &["receipt", "no-such", "--data", &data]);
    fails(1, &["show", "a-1", "--by", "index", "--data", &data]);
}

#[test]
fn a_table_holds_as_many_events_as_were_asked_for() {
    let trail = Trail::new();
    let (ingest, auditor) = (trail.token("ingest"), trail.token("auditor"));
    let server = trail.serve();
    server.ingest(&ingest, &lines("a", 0, 2_500)).ok();
    let target = ["--url", &server.url, "--token", &auditor];
    let ask = |arguments: &[&str]| done(&[arguments, &target].concat());
    assert_eq!(ask(&["search", "source:urn:ehr:test", "--limit", "5000"]).lines().count(), 2_501);
    let answer: Value = serde_json::from_str(&ask(&["--json", "search", "source:urn:ehr:test", "--limit", "2200"])).unwrap();
    let ids: std::collections::BTreeSet<&str> =
        answer["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!((ids.len(), answer["next_cursor"].is_string()), (2_200, true));
}
