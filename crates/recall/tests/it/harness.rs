//! A trail in a temporary folder, the binary, a server, and requests to it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The binary under test, without the environment's settings.
pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_recall"));
    for name in [
        "URL",
        "TOKEN",
        "TOKEN_FILE",
        "DATA",
        "CONFIG",
        "LISTEN",
        "ROOT_KEY_FILE",
        "ROOT_KEY_COMMAND",
        "ANCHOR_FILE",
        "LOG",
        "LOG_FORMAT",
        "PUBLIC_KEY",
    ] {
        command.env_remove(format!("RECALL_{name}"));
    }
    command
}

/// Runs the binary to its end.
pub fn recall(arguments: &[&str]) -> Output {
    binary().args(arguments).output().unwrap()
}

/// Runs it and expects success: standard output, trimmed.
pub fn done(arguments: &[&str]) -> String {
    let output = recall(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Runs it and expects this exit code: the one line of its error.
pub fn fails(code: i32, arguments: &[&str]) -> String {
    let output = recall(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}{}", String::from_utf8_lossy(&output.stdout));
    error
}

/// Events of a segment in tests.
pub const SEGMENT_EVENTS: usize = 64;

/// Waits for what another process does: longer than anything here takes, and not for ever.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..5_000_000 {
        if condition() {
            return;
        }
        std::thread::yield_now();
    }
    panic!("waited in vain for {what}");
}

/// A trail.
pub struct Trail {
    folder: TempDir,
    pub one_time_token: String,
    pub vkey: String,
}

impl Trail {
    pub fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// A trail in a new folder below this one.
    pub fn below(parent: &Path) -> Self {
        let folder = tempfile::tempdir_in(parent).unwrap();
        let data = folder.path().join("trail");
        let made: Value = serde_json::from_str(&done(&["--json", "init", "--data", data.to_str().unwrap()])).unwrap();
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        Self { one_time_token: text("token"), vkey: text("vkey"), folder }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("trail")
    }

    pub fn data(&self) -> String {
        self.path().to_str().unwrap().to_owned()
    }

    /// A path beside the folder.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A token of this role, made without a server.
    pub fn token(&self, role: &str) -> String {
        done(&["token", "create", "--role", role, "--name", &format!("test-{role}"), "--data", &self.data()])
    }

    /// Serves it. Its segments are small, so that small trails have files of every kind.
    pub fn serve(&self) -> Server {
        let file = self.beside("recall.toml");
        std::fs::write(&file, format!("[trail]\ndata = {:?}\nsegment_events = {SEGMENT_EVENTS}\n", self.data())).unwrap();
        Server::start(&["--config", file.to_str().unwrap()])
    }

    /// The files of segments and runs with this extension.
    pub fn files_of(&self, extension: &str) -> BTreeSet<PathBuf> {
        let folder = self.path().join(if extension == "run" { "dedupe" } else { "segments" });
        let all = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
    }

    /// Sends so many events, one segment a request, and waits until segments were made and eight of them merged.
    pub fn fill_until_merged(&self, server: &Server, token: &str, prefix: &str) {
        let mut seen = BTreeSet::new();
        for from in (0..10 * SEGMENT_EVENTS).step_by(SEGMENT_EVENTS) {
            server.ingest(token, &lines(prefix, from, from + SEGMENT_EVENTS)).ok();
        }
        wait_until("segments to be merged", || {
            let now = self.files_of("events");
            let merged = seen.difference(&now).next().is_some();
            seen.extend(now);
            merged
        });
    }
}

/// A running server.
pub struct Server {
    child: Child,
    pub url: String,
    /// Where its gateways take clients, in the order of the configuration.
    pub gateways: Vec<String>,
}

impl Server {
    pub fn start(arguments: &[&str]) -> Self {
        let mut child = binary()
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .env("RECALL_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut gateways = Vec::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = loop {
            let line = lines.next().expect("the server did not start").unwrap();
            match (line.strip_prefix("recall is ready on "), line.split_once(" takes PostgreSQL clients on ")) {
                (Some(url), _) => break url.to_owned(),
                (None, Some((_, address))) => gateways.push(address.to_owned()),
                (None, None) => panic!("the server did not start: {line}"),
            }
        };
        Self { child, url, gateways }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Ends it with SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it with SIGTERM: its exit code.
    pub fn stop(mut self) -> Option<i32> {
        self.terminate();
        self.child.wait().unwrap().code()
    }

    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_raw(self.pid()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    pub fn host(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    pub fn get(&self, path: &str, token: &str) -> Reply {
        self.send("GET", path, token, &[], Vec::new())
    }

    pub fn post(&self, path: &str, token: &str, body: &Value) -> Reply {
        self.send("POST", path, token, &[("content-type", "application/json")], body.to_string().into_bytes())
    }

    /// Sends NDJSON to the ingest endpoint.
    pub fn ingest(&self, token: &str, lines: &str) -> Reply {
        self.send("POST", "/v1/events", token, &[("content-type", "application/x-ndjson")], lines.as_bytes().to_vec())
    }

    pub fn send(&self, method: &str, path: &str, token: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
        self.try_send(method, path, token, headers, body).unwrap()
    }

    pub fn try_send(&self, method: &str, path: &str, token: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<Reply, ureq::Error> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = if method == "GET" || method == "DELETE" {
            agent.run(request.body(()).unwrap())
        } else {
            agent.run(request.body(body).unwrap())
        }?;
        let (parts, mut body) = response.into_parts();
        let body = body.with_config().limit(1 << 30).read_to_vec()?;
        Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ended already where a test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: ureq::http::HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{} {}", self.status, String::from_utf8_lossy(&self.body)))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The body, of a request that must have been done.
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// The sentence of a problem of this status.
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        problem["detail"].as_str().unwrap().to_owned()
    }

    /// The statuses of an ingest answer.
    pub fn statuses(&self) -> Vec<String> {
        self.ok()["results"].as_array().unwrap().iter().map(|result| result["status"].as_str().unwrap().to_owned()).collect()
    }
}

/// A good event with this id and patient.
pub fn event(id: &str, patient: &str) -> Value {
    json!({
        "id": id, "source": "urn:ehr:test", "time": "2026-11-20T10:00:00Z", "action": "chart.viewed", "op": "R",
        "outcome": {"status": "success"},
        "actor": {"type": "user", "id": "nurse-quimby", "name": "Nora Quimby", "roles": ["nurse"], "session_id": "session-77"},
        "targets": [{"type": "fhir:Patient", "id": patient, "name": "Zebulon Featherstone", "patient_id": patient}],
        "purpose": ["TREAT"],
        "request": {"protocol": "http", "statement": format!("GET /Patient/{patient}"), "rows": 1},
        "description": "looked at the chart of Zebulon Featherstone",
    })
}

/// Events `from..to` as NDJSON.
pub fn lines(prefix: &str, from: usize, to: usize) -> String {
    (from..to).map(|number| format!("{}\n", event(&format!("{prefix}-{number}"), &format!("MRN-{}", number % 10)))).collect()
}

/// All files below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Copies a folder with all below it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, target).unwrap();
        }
    }
}
