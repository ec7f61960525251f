//! The PostgreSQL gateway between real clients and a real server.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::cluster::{Cluster, at};
use super::harness::{Server, Trail, done, wait_until};

/// A hospital's database, a trail, and a gateway between them that one nurse may use.
pub struct Bench {
    pub cluster: Cluster,
    trail: Trail,
    pub server: Server,
    pub secret: String,
    pub officer: String,
}

impl Bench {
    pub fn start() -> Option<Self> {
        let cluster = Cluster::start()?;
        let trail = Trail::new();
        let officer = trail.token("privacy-officer");
        let secret = add_user(&trail, "nurse");
        let server = Server::start(&["--config", configure(&trail, &cluster).to_str().unwrap()]);
        Some(Self { cluster, trail, server, secret, officer })
    }

    fn psql(&self) -> Command {
        self.cluster.through(&self.server.gateways[0], "nurse", &self.secret)
    }

    /// Events that a search finds once all sessions have ended, oldest first: a result is recorded behind its answer.
    fn events(&self, query: &str) -> Vec<Value> {
        wait_until("sessions to end", || self.found("action:db.login outcome:success").len() == self.found("action:db.logout").len());
        self.found(query)
    }

    /// Events that a search finds now, oldest first.
    fn found(&self, query: &str) -> Vec<Value> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let found = self.server.get(&format!("/v1/events?limit=1000&q={encoded}"), &self.officer).ok();
        let mut events = found["events"].as_array().unwrap().clone();
        events.reverse();
        events
    }

    fn actions(&self) -> Vec<String> {
        self.events("source:urn:recall:gateway:hospital").iter().map(|event| event["action"].as_str().unwrap().to_owned()).collect()
    }
}

fn add_user(trail: &Trail, name: &str) -> String {
    let arguments = ["user", "add", name, "--role", "clinician", "--gateway", "hospital", "--upstream-role", "app_role", "--data"];
    done(&[&arguments[..], &[trail.data().as_str()]].concat())
}

fn configure(trail: &Trail, cluster: &Cluster) -> std::path::PathBuf {
    let file = trail.beside("gateway.toml");
    let text = format!(
        "[trail]\ndata = {:?}\n[[gateway.postgres]]\nname = \"hospital\"\nlisten = \"127.0.0.1:0\"\nupstream = \"postgres://app_role@127.0.0.1:{}/hospital\"\nupstream_password_file = {:?}\nsubjects = [\"patients.id\", \"visits.patient_id\"]\nphi = {{ \"patients.ssn\" = \"ssn\" }}\n",
        trail.data(),
        cluster.port,
        cluster.password_file()
    );
    std::fs::write(&file, text).unwrap();
    file
}

fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn answers(command: &mut Command) -> String {
    let output = output(command);
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn who_saw_which_patient_is_on_record_before_they_see_it() {
    let Some(bench) = Bench::start() else { return };
    let shown = answers(bench.psql().args(["-At", "-c", "SELECT id, ssn FROM patients WHERE id <> 'MRN-2' ORDER BY id"]));
    assert_eq!(shown, "MRN-1|123-45-6789\nMRN-3|\n");
    for (patient, seen) in [("MRN-1", 1), ("MRN-2", 0), ("MRN-3", 1)] {
        let found = bench.events(&format!("patient:{patient}"));
        assert_eq!(found.len(), seen, "{patient}");
        if let Some(event) = found.first() {
            assert_eq!(event["action"], "db.subjects");
            assert_eq!(event["actor"]["id"], "nurse");
        }
    }
    assert_eq!(bench.actions(), ["db.login", "db.request", "db.subjects", "db.result", "db.logout"]);
    let events = bench.events("source:urn:recall:gateway:hospital");
    let (request, subjects, result) = (&events[1], &events[2], &events[3]);
    assert_eq!(request["request"]["statement"], "SELECT id, ssn FROM patients WHERE id <> 'MRN-2' ORDER BY id");
    assert_eq!(request["targets"][0]["name"], "patients");
    assert_eq!(request["op"], "R");
    assert_eq!(request["context"]["request_id"], subjects["context"]["request_id"]);
    assert_eq!(request["context"]["request_id"], result["context"]["request_id"]);
    assert_eq!((&result["request"]["rows"], &result["metadata"]["command"]), (&Value::from(2), &Value::from("SELECT 2")));
    assert_eq!(result["metadata"]["phi"], "ssn");
    assert_eq!(result["metadata"]["subjects_unresolved"], Value::Null);
}

#[test]
fn subjects_are_found_through_views_partitions_and_every_format() {
    let Some(bench) = Bench::start() else { return };
    for (statement, expected) in [
        ("SELECT who AS x FROM people WHERE who = 'MRN-1'", Some("MRN-1")),
        ("SELECT * FROM everybody WHERE who = 'MRN-2'", Some("MRN-2")),
        ("SELECT patient_id FROM visits_new", Some("MRN-2")),
        ("SELECT v.patient_id FROM visits v WHERE note = 'cough'", Some("MRN-1")),
        ("TABLE visits_old", Some("MRN-1")),
        ("BEGIN; DECLARE c CURSOR FOR SELECT id FROM patients WHERE id = 'MRN-3'; FETCH c; COMMIT", Some("MRN-3")),
        // Derived values name nobody: the record says so.
        ("SELECT lower(id) FROM patients", None),
        ("SELECT count(*) FROM everybody", None),
        ("SELECT id FROM patients UNION SELECT 'x'", None),
        ("COPY patients TO STDOUT", None),
    ] {
        let before = bench.events("action:db.subjects").len();
        answers(bench.psql().args(["-At", "-c", statement]));
        let subjects = bench.events("action:db.subjects");
        let result = bench.events("action:db.result").pop().unwrap();
        match expected {
            Some(patient) => {
                assert_eq!(subjects.len(), before + 1, "{statement}");
                let ids: Vec<&Value> = subjects[before]["targets"].as_array().unwrap().iter().map(|target| &target["patient_id"]).collect();
                assert_eq!(ids, [patient], "{statement}");
            }
            None => {
                assert_eq!(subjects.len(), before, "{statement}");
                assert!(result["metadata"]["subjects_unresolved"].is_string(), "{statement}: {result}");
            }
        }
    }
}

#[test]
fn definitions_that_change_are_followed() {
    let Some(bench) = Bench::start() else { return };
    // The view's column comes from elsewhere after the second definition; its number and name stay.
    let first = "CREATE VIEW look AS SELECT id AS who FROM patients WHERE id = 'MRN-1'; ALTER VIEW look OWNER TO app_role;";
    answers(bench.cluster.as_owner().args(["-d", "hospital", "-c", first]));
    let again = "CREATE OR REPLACE VIEW look AS SELECT patient_id AS who FROM visits WHERE note = 'fracture'";
    let shown = answers(bench.psql().args(["-At", "-c", "SELECT who FROM look", "-c", again, "-c", "SELECT who FROM look"]));
    assert_eq!(shown, "MRN-1\nCREATE VIEW\nMRN-2\n");
    // Either reading names its subject, or says that it may not have.
    let results = bench.events("action:db.result");
    for (patient, result) in [("MRN-1", &results[0]), ("MRN-2", &results[2])] {
        let named = bench.events(&format!("patient:{patient} action:db.subjects")).len() == 1;
        assert!(named || result["metadata"]["subjects_unresolved"].is_string(), "{patient}: {result}");
    }
    // A moment later it is known again.
    wait_until("the new definition to be known", || {
        answers(bench.psql().args(["-At", "-c", "SELECT who FROM look"]));
        !bench.events("patient:MRN-2 action:db.subjects").is_empty()
    });
}

/// Statements of every kind: what psql prints, errors included, must not tell the gateway from the server.
const CORPUS: &str = r"
SELECT 1 AS one, 'text' AS two, NULL AS three, true, 1.5::numeric, now() IS NOT NULL, '{1,2}'::int[], '\x00ff'::bytea;
SELECT * FROM patients ORDER BY id;
SELECT * FROM nowhere;
SELECT 1/0;
SELECT 'unfinished
;
SELECT 1; SELECT 2; SELECT 3;
;
BEGIN;
SELECT * FROM nowhere;
SELECT 1;
ROLLBACK;
BEGIN; INSERT INTO scratch VALUES (1, 'a'); SAVEPOINT s; INSERT INTO scratch VALUES (1, 'again'); ROLLBACK TO s; SELECT * FROM scratch; ROLLBACK;
INSERT INTO scratch SELECT g, repeat('x', g) FROM generate_series(1, 50) g;
UPDATE scratch SET t = upper(t) WHERE n < 10 RETURNING n, t;
DELETE FROM scratch WHERE n > 40;
PREPARE q (int) AS SELECT * FROM scratch WHERE n = $1;
EXECUTE q (7);
EXECUTE q ('x');
DEALLOCATE q;
COPY (SELECT * FROM scratch ORDER BY n LIMIT 3) TO STDOUT;
COPY scratch FROM STDIN;
101	one
102	two
\.
COPY scratch FROM STDIN;
broken
\.
COPY scratch TO STDOUT WITH (FORMAT csv);
DO $$ BEGIN RAISE NOTICE 'a notice'; END $$;
SELECT repeat('long ', 100000) AS long \gset
SELECT length(:'long');
BEGIN; DECLARE c CURSOR FOR SELECT n FROM scratch ORDER BY n; FETCH 2 FROM c; MOVE 3 IN c; FETCH NEXT FROM c; CLOSE c; COMMIT;
EXPLAIN (COSTS OFF) SELECT * FROM scratch WHERE n = 1;
SHOW server_version;
SET application_name = 'corpus';
SHOW application_name;
LISTEN news; NOTIFY news, 'hello'; UNLISTEN news;
CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1); DROP TABLE t;
SELECT n, t FROM scratch WHERE n = 5 \gdesc
SELECT 'SELECT ' || n FROM scratch WHERE n < 3 ORDER BY n \gexec
\d patients
\dt
\encoding
TRUNCATE scratch;
";

#[test]
fn a_client_cannot_tell_the_gateway_from_the_server() {
    let Some(bench) = Bench::start() else { return };
    let script = bench.trail.beside("corpus.sql");
    std::fs::write(&script, CORPUS).unwrap();
    let run = |mut command: Command| {
        let output = output(command.args(["-a", "-f"]).arg(&script));
        (text(&output.stdout), text(&output.stderr), output.status.code())
    };
    let (direct, through) = (run(bench.cluster.direct()), run(bench.psql()));
    assert!(direct.0.contains("Ada Arbuthnot") && direct.1.contains("division by zero"), "{direct:?}");
    // A notification names the process that sent it.
    let comparable = |(out, err, code): (String, String, Option<i32>)| {
        let out: Vec<String> = out.lines().map(|line| line.split(" received from server process").next().unwrap().to_owned()).collect();
        (out, err, code)
    };
    assert_eq!(comparable(through), comparable(direct));
}

#[test]
fn what_would_walk_round_the_gateway_is_denied_and_the_session_goes_on() {
    let Some(bench) = Bench::start() else { return };
    let denied = [
        "ALTER ROLE app_role PASSWORD 'hunter2'",
        "CREATE ROLE eve LOGIN PASSWORD 'hunter2'",
        "GRANT ALL ON patients TO PUBLIC",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "SELECT set_config('role', 'postgres', false)",
        "COPY patients TO PROGRAM 'cat'",
        "COPY patients TO '/tmp/leak'",
        "EXPLAIN ANALYZE SELECT pg_read_file('/etc/passwd')",
        "CREATE EXTENSION dblink",
    ];
    let mut command = bench.psql();
    command.args(["-At", "-v", "VERBOSITY=sqlstate"]);
    for statement in denied {
        command.args(["-c", statement]);
    }
    let output = output(command.args(["-c", "SELECT 'still here'"]));
    assert_eq!(text(&output.stdout), "still here\n", "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr).matches("42501").count(), denied.len(), "{}", text(&output.stderr));
    let results = bench.events("action:db.result outcome:denied");
    assert_eq!(results.len(), denied.len());
    let everything: String = bench.events("source:urn:recall:gateway:hospital").iter().map(Value::to_string).collect();
    assert!(!everything.contains("hunter2"), "a secret is on record");
}

#[test]
fn a_denial_leaves_the_transaction_as_a_failure_of_the_server_would() {
    let Some(bench) = Bench::start() else { return };
    let script = "BEGIN; INSERT INTO scratch VALUES (1, 'x');\nSET ROLE postgres;\nSELECT 1;\nCOMMIT;\nSELECT count(*) FROM scratch;\n";
    let file = bench.trail.beside("denied.sql");
    std::fs::write(&file, script).unwrap();
    let output = output(bench.psql().args(["-At", "-v", "VERBOSITY=sqlstate", "-f"]).arg(file));
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(err.contains("42501") && err.contains("25P02"), "{err}");
    assert_eq!(out, "BEGIN\nINSERT 0 1\nROLLBACK\n0\n", "{err}");
}

#[test]
fn nobody_comes_in_without_a_secret_that_works() {
    let Some(bench) = Bench::start() else { return };
    let address = &bench.server.gateways[0];
    let refused = |user: &str, secret: &str| {
        let output = output(bench.cluster.through(address, user, secret).args(["-c", "SELECT 1"]));
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr).split("FATAL:").nth(1).unwrap_or_default().trim().to_owned()
    };
    let wrong = refused("nurse", "not the secret");
    assert_eq!(wrong, refused("nobody", "not the secret"), "an unknown name looks the same");
    assert!(wrong.contains("the name or the secret is wrong"), "{wrong}");
    assert_eq!(bench.events("action:db.login outcome:denied").len(), 2);
    answers(bench.psql().args(["-c", "SELECT 1"]));
}

#[test]
fn each_execution_of_a_prepared_statement_is_on_record_with_its_values() {
    let Some(bench) = Bench::start() else { return };
    let script = bench.trail.beside("bench.sql");
    std::fs::write(&script, "\\set n random(1, 3)\nSELECT name FROM patients WHERE id = 'MRN-' || :n;\n").unwrap();
    for mode in ["simple", "extended", "prepared"] {
        let before = bench.events("action:db.request").len();
        let mut command = bench.cluster.client("pgbench");
        command.args(["-n", "-c", "2", "-t", "15", "-M", mode, "-U", "nurse", "-f"]).arg(&script);
        at(&mut command, &bench.server.gateways[0], &bench.secret);
        let shown = answers(command.arg("hospital"));
        assert!(shown.contains("number of transactions actually processed: 30/30"), "{shown}");
        let requests = bench.events("action:db.request").split_off(before);
        assert_eq!(requests.len(), 30, "{mode}");
        if mode != "simple" {
            assert!(requests.iter().all(|event| event["request"]["parameters"][0]["value"].is_string()), "{mode}: {}", requests[0]);
        }
    }
}

#[test]
fn a_query_can_be_cancelled() {
    let Some(bench) = Bench::start() else { return };
    let child = bench.psql().args(["-At", "-c", "SELECT pg_sleep(600)"]).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the statement to run", || {
        let running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND state = 'active'";
        answers(bench.cluster.as_owner().args(["-At", "-c", running])).trim() == "1"
    });
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(text(&output.stderr).contains("canceling statement due to user request"), "{}", text(&output.stderr));
    assert_eq!(bench.events("action:db.result")[0]["outcome"]["code"], "57014");
    assert_eq!(bench.events("action:db.cancel")[0]["actor"]["id"], "nurse");
}

#[test]
fn a_stopping_server_ends_sessions_with_a_record() {
    let Some(bench) = Bench::start() else { return };
    let child = bench.psql().args(["-At", "-c", "SELECT pg_sleep(600)"]).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the statement to be on record", || !bench.found("action:db.request").is_empty());
    let Bench { trail, server, .. } = bench;
    assert_eq!(server.stop(), Some(0));
    let output = child.wait_with_output().unwrap();
    assert!(text(&output.stderr).contains("the gateway is stopping"), "{}", text(&output.stderr));
    let found: Value =
        serde_json::from_str(&done(&["--json", "search", "action:db.result outcome:unknown", "--data", &trail.data()])).unwrap();
    assert_eq!(found["events"].as_array().unwrap().len(), 1, "{found}");
}

#[test]
fn sigkill_leaves_no_answer_and_no_change_without_its_record() {
    let Some(bench) = Bench::start() else { return };
    let script = bench.trail.beside("writes.sql");
    let statements: String = (0..5_000).map(|n| format!("INSERT INTO scratch VALUES ({n}, 'x') RETURNING n;\n")).collect();
    std::fs::write(&script, statements).unwrap();
    let child =
        bench.psql().args(["-At", "-q", "-f"]).arg(&script).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let rows = || answers(bench.cluster.as_owner().args(["-At", "-d", "hospital", "-c", "SELECT n FROM scratch ORDER BY n"]));
    wait_until("some rows to be written", || rows().lines().count() > 20);
    let Bench { cluster, trail, server, .. } = &bench;
    rustix::process::kill_process(rustix::process::Pid::from_raw(server.pid()).unwrap(), rustix::process::Signal::KILL).unwrap();
    let seen = text(&child.unwrap().wait_with_output().unwrap().stdout);
    // Upstream may still be at what was sent before.
    wait_until("upstream to end the session", || {
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app_role'";
        answers(cluster.as_owner().args(["-At", "-c", sessions])).trim() == "0"
    });
    let recorded = done(&["--json", "sql", "SELECT event FROM events WHERE action = 'db.request'", "--data", &trail.data()]);
    let mut numbers = 0;
    for number in seen.lines().map(str::to_owned).chain(rows().lines().map(str::to_owned)) {
        assert!(recorded.contains(&format!("INSERT INTO scratch VALUES ({number}, 'x')")), "{number} is not on record");
        numbers += 1;
    }
    assert!(numbers > 20, "{numbers}");
    assert!(rows().lines().count() < 5_000, "it ended before it was killed");
}
