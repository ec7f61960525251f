//! Real drivers through the gateway: what they see is what they see straight at the server (`drivers.py` compares), and what the server says it
//! ran for them is on record with its values.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::cluster::APP_PASSWORD;
use super::gateway::Bench;

/// Executions by their text and the values that the server logs for them.
type Executions = BTreeMap<(String, String), usize>;

#[test]
fn drivers_see_what_the_server_says_and_all_of_it_is_on_record() {
    let Some(python) = std::env::var_os("RECALL_TEST_PYTHON") else {
        assert!(std::env::var_os("RECALL_TEST_COMPLETE").is_none(), "RECALL_TEST_PYTHON must name a Python with psycopg and the like");
        return;
    };
    let modules = Command::new(&python).args(["-c", "import psycopg, asyncpg, sqlalchemy, greenlet"]).output().unwrap();
    if !modules.status.success() {
        assert!(std::env::var_os("RECALL_TEST_COMPLETE").is_none(), "{}", String::from_utf8_lossy(&modules.stderr));
        return;
    }
    let Some(bench) = Bench::start() else { return };
    let settings = "ALTER ROLE app_role SET log_statement = 'all'; ALTER ROLE app_role SET timezone = 'UTC'";
    assert!(bench.cluster.as_owner().args(["-c", settings]).status().unwrap().success());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/drivers.py");
    let direct = url("app_role", APP_PASSWORD, &format!("127.0.0.1:{}", bench.cluster.port));
    let gateway = url("nurse", &bench.secret, &bench.server.gateways[0]);
    let output = Command::new(python).arg(script).args([direct, gateway]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (requests, log) = (requests(&bench), bench.cluster.log());
    for (driver, comparisons, readable) in [("psycopg", 800, 300), ("asyncpg", 500, 300), ("sqlalchemy", 80, 50)] {
        let seen = &summary[driver];
        assert_eq!(seen["different"], 0, "{driver}: {seen:#}");
        assert!(seen["comparisons"].as_u64().unwrap() >= comparisons, "{driver}: {seen:#}");
        on_record(driver, &executions(&log, driver), &requests, readable);
    }
}

fn url(user: &str, secret: &str, address: &str) -> String {
    format!("postgresql://{user}:{}@{address}/hospital", secret.replace(' ', "%20"))
}

/// All requests on record, by application.
fn requests(bench: &Bench) -> BTreeMap<String, Vec<Value>> {
    let (mut found, mut cursor) = (BTreeMap::<String, Vec<Value>>::new(), String::new());
    loop {
        let page = bench.server.get(&format!("/v1/events?limit=1000&q=action%3Adb.request{cursor}"), &bench.officer).ok();
        for event in page["events"].as_array().unwrap() {
            found.entry(event["context"]["app"].as_str().unwrap_or_default().to_owned()).or_default().push(event.clone());
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// What the server logged that came through the gateway.
fn executions(log: &str, driver: &str) -> Executions {
    // A line of a statement begins with a tab, but for its first.
    let entries = log.replace("\n\t", "\u{1}");
    let mut executions = Executions::new();
    let mut last = None;
    for entry in entries.lines().filter_map(|line| line.strip_prefix(&format!("{driver}|"))) {
        if let (Some(values), Some(text)) = (entry.strip_prefix("DETAIL:  parameters: "), &last) {
            *executions.entry((String::clone(text), values.replace('\u{1}', "\n"))).or_default() += 1;
            last = None;
            continue;
        }
        if let Some(text) = last.take() {
            *executions.entry((text, String::new())).or_default() += 1;
        }
        let extended = entry.strip_prefix("LOG:  execute ").and_then(|rest| rest.split_once(": "));
        last = entry.strip_prefix("LOG:  statement: ").or(extended.map(|(_, text)| text)).map(|text| text.replace('\u{1}', "\n"));
    }
    if let Some(text) = last {
        *executions.entry((text, String::new())).or_default() += 1;
    }
    executions
}

/// Each execution is on record at least as often (what was skipped or failed to bind is there too), and where all its values can be read, with
/// the values that the server itself read.
fn on_record(driver: &str, executions: &Executions, requests: &BTreeMap<String, Vec<Value>>, readable: usize) {
    let (mut with_values, mut by_text, mut unread) =
        (Executions::new(), BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new());
    for event in &requests[driver] {
        let text = event["request"]["statement"].as_str().unwrap_or_default().to_owned();
        *by_text.entry(text.clone()).or_default() += 1;
        match values(event) {
            Some(values) => *with_values.entry((text, values)).or_default() += 1,
            None => *unread.entry(text).or_default() += 1,
        }
    }
    let mut needed = BTreeMap::<&str, usize>::new();
    let mut compared = 0;
    for ((text, values), count) in executions {
        *needed.entry(text).or_default() += count;
        let found = with_values.get(&(text.clone(), values.clone())).copied().unwrap_or(0);
        // A relation is on record by the name that was sent; the server logs the one that it found.
        if !unread.contains_key(text) && !text.contains("REGCLASS") {
            assert!(found >= *count, "{driver}: {count} times {text:?} with {values:.500}, {found} on record");
            compared += usize::from(!values.is_empty()) * count;
        }
    }
    for (text, count) in needed {
        let found = by_text.get(text).copied().unwrap_or(0);
        assert!(found >= count, "{driver}: {count} times {text:?}, {found} on record");
    }
    assert!(compared >= readable, "{driver}: only {compared} executions with values that can be read");
}

/// The values of a request as the server logs them; none where one has no known form.
fn values(event: &Value) -> Option<String> {
    let parameters = event["request"]["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shown = parameters.iter().map(|parameter| {
        let value = match parameter["value"].as_str() {
            Some(value) if value.starts_with("base64:") => return None,
            Some(value) => format!("'{}'", value.replace('\'', "''")),
            None => "NULL".to_owned(),
        };
        Some(format!("${} = {value}", parameter["position"]))
    });
    Some(shown.collect::<Option<Vec<_>>>()?.join(", "))
}
