//! Gateway users: made, given further secrets, listed, removed; by administrators alone, on the record, and with no secret left behind.

use serde_json::{Value, json};

use super::harness::{Server, Trail, binary, done, fails, files, recall};

fn nora(more: Value) -> Value {
    let mut body = json!({"gateway": "hospital", "name": "Nora Quimby", "role": "nurse", "upstream_role": "reporting"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn delete(server: &Server, path: &str, token: &str) -> super::harness::Reply {
    server.send("DELETE", path, token, &[], Vec::new())
}

const NORA: &str = "/v1/users/hospital/Nora%20Quimby";

#[test]
fn a_user_is_made_listed_and_removed_on_the_command_line() {
    let trail = Trail::new();
    let add = ["user", "add", "Nora Quimby", "--role", "nurse", "--gateway", "hospital", "--upstream-role", "reporting"];
    let output = recall(&[&add[..], &["--data", &trail.data()]].concat());
    let secret = String::from_utf8(output.stdout).unwrap();
    assert_eq!((secret.len(), secret.lines().count()), (44, 1), "the secret alone, base64url of 32 bytes");
    assert!(String::from_utf8(output.stderr).unwrap().contains("works until"));
    let second = done(&[&add[..], &["--expires", "1d", "--data", &trail.data()]].concat());
    assert_ne!(second, secret.trim());

    let administrator = trail.token("administrator");
    let server = trail.serve();
    let remote = |arguments: &[&str]| {
        let output = binary().args(arguments).args(["--url", &server.url]).env("RECALL_TOKEN", &administrator).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = remote(&["user", "list"]);
    assert!(
        listed.contains("Nora Quimby") && listed.contains("reporting") && listed.contains("works") && listed.contains(" 2 "),
        "{listed}"
    );
    let listed: Value = serde_json::from_str(&remote(&["--json", "user", "list"])).unwrap();
    let id = listed["users"][0]["secrets"][1]["id"].as_str().unwrap();
    remote(&["user", "remove", "Nora Quimby", "--gateway", "hospital", "--secret", id]);
    let statuses = |listed: &Value| -> Vec<String> {
        let secrets = listed["users"][0]["secrets"].as_array().unwrap();
        secrets.iter().map(|secret| secret["status"].as_str().unwrap().to_owned()).collect()
    };
    let listed: Value = serde_json::from_str(&remote(&["--json", "user", "list"])).unwrap();
    assert_eq!((statuses(&listed), listed["users"][0]["status"].as_str()), (vec!["works".into(), "revoked".into()], Some("works")));
    remote(&["user", "remove", "Nora Quimby", "--gateway", "hospital"]);
    let listed: Value = serde_json::from_str(&remote(&["--json", "user", "list"])).unwrap();
    assert_eq!((statuses(&listed), listed["users"][0]["status"].as_str()), (vec!["revoked".into(), "revoked".into()], Some("removed")));
    drop(server);

    let error = fails(2, &["user", "add", "Ada", "--role", "auditor", "--data", &trail.data()]);
    assert!(error.contains("recall token create") && error.trim().lines().count() == 1, "{error}");
    fails(2, &["user", "add", "Ada", "--role", "nurse", "--gateway", "hospital", "--data", &trail.data()]);
    fails(2, &["user", "add", "Ada", "--role", "nurse", "--upstream-role", "reporting", "--data", &trail.data()]);
    fails(2, &[&add[..], &["--expires", "soon", "--data", &trail.data()]].concat());
    fails(2, &["user", "remove", "Ada", "--gateway", "hospital", "--data", &trail.data()]);
}

#[test]
fn a_user_has_several_secrets_and_other_roles_only_on_demand() {
    let trail = Trail::new();
    let administrator = trail.token("administrator");
    let server = trail.serve();
    let make = |more: Value| server.post("/v1/users", &administrator, &nora(more));
    let list = || server.get("/v1/users", &administrator).ok()["users"].as_array().unwrap().clone();
    let mut secrets: Vec<String> = (0..8).map(|_| make(json!({})).ok()["secret"].as_str().unwrap().to_owned()).collect();
    secrets.sort();
    secrets.dedup();
    assert_eq!((secrets.len(), list().len()), (8, 1));
    assert!(make(json!({})).problem(422).contains("8 secrets"));
    make(json!({"role": "physician"})).problem(409);
    make(json!({"upstream_role": "postgres"})).problem(409);
    make(json!({"role": "physician", "replace": true})).problem(422);
    assert_eq!(list()[0]["role"], "nurse", "what was refused changed nothing");

    let gone = delete(&server, NORA, &administrator).ok();
    assert_eq!(
        (gone["status"].clone(), delete(&server, NORA, &administrator).ok()["removed_at"].clone()),
        (json!("removed"), gone["removed_at"].clone())
    );
    make(json!({"role": "physician"})).problem(409);
    let back = make(json!({"role": "physician", "replace": true})).ok();
    assert_eq!(
        (back["role"].clone(), list()[0]["role"].clone(), list()[0]["status"].clone()),
        (json!("physician"), json!("physician"), json!("works"))
    );
    let id = back["id"].as_str().unwrap();
    let revoked = delete(&server, &format!("{NORA}/secrets/{id}"), &administrator).ok();
    assert_eq!(revoked["status"], "ended");
    delete(&server, &format!("{NORA}/secrets/0123456789ab"), &administrator).problem(404);
    delete(&server, "/v1/users/clinic/Nora%20Quimby", &administrator).problem(404);
    // The same name at another gateway, and one with a slash, are others.
    server.post("/v1/users", &administrator, &nora(json!({"gateway": "clinic", "name": "a/b c%"}))).ok();
    assert_eq!(delete(&server, "/v1/users/clinic/a%2Fb%20c%25", &administrator).ok()["status"], "removed");
    assert_eq!(list().len(), 2);
}

#[test]
fn what_is_no_user_is_refused() {
    let trail = Trail::new();
    let administrator = trail.token("administrator");
    let server = trail.serve();
    let make = |more: Value| server.post("/v1/users", &administrator, &nora(more));
    for bad in [
        json!({"gateway": ""}),
        json!({"gateway": "g".repeat(65)}),
        json!({"gateway": "Hospital"}),
        json!({"gateway": "a/b"}),
        json!({"gateway": "a\u{0}"}),
        json!({"name": ""}),
        json!({"name": "n".repeat(129)}),
        json!({"name": " nora"}),
        json!({"name": "nora\n"}),
        json!({"name": "no\u{0}ra"}),
        json!({"role": ""}),
        json!({"role": "r".repeat(65)}),
        json!({"role": "head nurse"}),
        json!({"role": "nurse\u{7f}"}),
        json!({"upstream_role": ""}),
        json!({"upstream_role": "u".repeat(64)}),
        json!({"upstream_role": "a\u{0}b"}),
        json!({"expires_in_s": 0}),
        json!({"expires_in_s": 3_162_240_001_u64}),
    ] {
        make(bad.clone()).problem(422);
    }
    for bad in [
        json!({"secret": "mine"}),
        json!({"expires_in_s": -1}),
        json!({"expires_in_s": "1d"}),
        json!({"replace": "yes"}),
        json!({"name": null}),
    ] {
        make(bad.clone()).problem(400);
    }
    assert!(server.get("/v1/users", &administrator).ok()["users"].as_array().unwrap().is_empty());
    let widest = json!({"gateway": "g".repeat(64), "name": "n".repeat(128), "role": "r".repeat(64), "upstream_role": "u".repeat(63),
        "expires_in_s": 3_162_240_000_u64});
    make(widest).ok();
    make(json!({"gateway": "-", "name": "n", "role": "r", "upstream_role": "u", "expires_in_s": 1})).ok();
}

#[test]
fn only_an_administrator_manages_users() {
    let trail = Trail::new();
    let roles = ["ingest", "administrator", "privacy-officer", "auditor", "engineer", "service-owner", "patient"];
    let tokens: Vec<(&str, String)> = roles.iter().map(|role| (*role, trail.token(role))).collect();
    let server = trail.serve();
    for (role, token) in &tokens {
        let (done, absent) = if *role == "administrator" { (200, 404) } else { (403, 403) };
        assert_eq!(server.post("/v1/users", token, &nora(json!({}))).status, done, "{role} makes");
        assert_eq!(server.get("/v1/users", token).status, done, "{role} lists");
        assert_eq!(delete(&server, "/v1/users/hospital/nobody", token).status, absent, "{role} removes");
        assert_eq!(delete(&server, &format!("{NORA}/secrets/0123456789ab"), token).status, absent, "{role} revokes");
    }
    for token in ["", "nonsense", &trail.one_time_token] {
        let status = if token == trail.one_time_token { 403 } else { 401 };
        assert_eq!(server.post("/v1/users", token, &nora(json!({}))).status, status);
        assert_eq!(server.get("/v1/users", token).status, status);
        assert_eq!(delete(&server, NORA, token).status, status);
    }
}

#[test]
fn what_is_done_with_users_is_recorded() {
    let trail = Trail::new();
    let (administrator, auditor) = (trail.token("administrator"), trail.token("auditor"));
    let server = trail.serve();
    let id = server.post("/v1/users", &administrator, &nora(json!({}))).ok()["id"].as_str().unwrap().to_owned();
    server.post("/v1/users", &administrator, &nora(json!({"role": "physician", "replace": true}))).ok();
    server.get("/v1/users", &administrator).ok();
    delete(&server, &format!("{NORA}/secrets/{id}"), &administrator).ok();
    delete(&server, NORA, &administrator).ok();
    delete(&server, NORA, &administrator).ok();
    server.post("/v1/users", &auditor, &nora(json!({}))).problem(403);
    let found = |action: &str| server.get(&format!("/v1/events?q=action:{action}"), &auditor).ok()["events"].as_array().unwrap().clone();
    let created = found("recall.user.create");
    let outcomes: Vec<&Value> = created.iter().map(|event| &event["outcome"]["status"]).collect();
    assert_eq!(outcomes, ["denied", "success", "success"]);
    let (changed, made) = (&created[1], &created[2]);
    assert_eq!(
        (&made["op"], &made["targets"][0]["id"], &made["actor"]["id"]),
        (&json!("C"), &json!("hospital/Nora Quimby"), &json!("test-administrator"))
    );
    assert_eq!((&made["metadata"]["secret_id"], &made["metadata"]["user_role"]), (&json!(id), &json!("nurse")));
    assert_eq!(
        (&changed["op"], &changed["metadata"]["replaced_user_role"], &changed["metadata"]["user_role"]),
        (&json!("U"), &json!("nurse"), &json!("physician"))
    );
    assert_eq!(found("recall.user.list").len(), 1);
    assert_eq!(found("recall.user.secret.revoke")[0]["metadata"]["secret_id"], json!(id));
    assert_eq!(found("recall.user.remove").len(), 1, "what changed nothing is no removal");
}

#[test]
fn the_secret_is_shown_once_and_is_nowhere_else() {
    let trail = Trail::new();
    let (administrator, auditor) = (trail.token("administrator"), trail.token("auditor"));
    let mut child = binary()
        .args(["serve", "--listen", "127.0.0.1:0", "--data", &trail.data()])
        .env("RECALL_LOG", "trace")
        .stdout(std::process::Stdio::piped())
        .stderr(std::fs::File::create(trail.beside("log")).unwrap())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    let url = line.trim().strip_prefix("recall is ready on ").unwrap().to_owned();
    let ask = |token: &str, arguments: &[&str]| {
        let output = binary().args(arguments).args(["--url", &url]).env("RECALL_TOKEN", token).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let add = ["user", "add", "Nora Quimby", "--role", "nurse", "--gateway", "hospital", "--upstream-role", "reporting"];
    let secret = ask(&administrator, &add).trim().to_owned();
    let listed = ask(&administrator, &["--json", "user", "list"]);
    let events = ask(&auditor, &["search", "", "--format", "ndjson"]);
    assert!(listed.contains("Nora Quimby") && events.contains("Nora Quimby"));
    let text = secret.as_str();
    assert!(!listed.contains(text) && !listed.contains("_key") && !events.contains(text));
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    let mut all = files(&trail.path());
    all.extend([trail.beside("log"), trail.beside("trail.anchor")]);
    assert!(std::fs::metadata(trail.beside("log")).unwrap().len() > 0);
    for file in all {
        let bytes = std::fs::read(&file).unwrap();
        for hidden in [text, "Quimby", "stored_key"] {
            assert!(!bytes.windows(hidden.len()).any(|window| window == hidden.as_bytes()), "{hidden} in {}", file.display());
        }
    }
}

#[test]
fn what_a_gateway_would_not_do_is_refused_rather_than_left_out() {
    let trail = Trail::new();
    let file = trail.beside("recall.toml");
    let config = file.to_str().unwrap();
    let gateway = "[trail]\ndata = \"trail\"\n[[gateway.postgres]]\nname = \"hospital\"\nlisten = \"127.0.0.1:0\"\nupstream = \"postgres://app@127.0.0.1/hospital\"\nupstream_password_file = \"app\"\n";
    std::fs::write(&file, gateway).unwrap();
    std::fs::write(trail.beside("app"), "hunter2\n").unwrap();
    let mode = |mode| std::fs::set_permissions(trail.beside("app"), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    mode(0o644);
    assert!(fails(2, &["config", "check", "--config", config]).contains("chmod 600"));
    mode(0o600);
    let checked = done(&["config", "check", "--config", config]);
    assert!(checked.contains("gateway hospital listening on 127.0.0.1:0") && !checked.contains("hunter2"), "{checked}");
    let mask = "[[gateway.postgres.mask]]\ncolumns = [\"patients.ssn\"]\nmode = \"drop\"\n";
    for (more, names) in [(mask, "masking"), ("durability = \"relaxed\"\n", "durability")] {
        std::fs::write(&file, format!("{gateway}{more}")).unwrap();
        for command in [&["config", "check"][..], &["serve"]] {
            let error = fails(2, &[command, &["--config", config]].concat());
            assert!(error.contains(names) && error.trim().lines().count() == 1, "{error}");
        }
    }
}
