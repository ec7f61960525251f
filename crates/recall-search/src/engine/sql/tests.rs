#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::engine::cost;
use crate::testing::{CLINIC, EVENTS, engine, public};

async fn ask(sql: &str) -> Result<SqlAnswer, SqlError> {
    engine(Limits::default()).sql(&CLINIC.0.view(), sql).await
}

async fn rows(sql: &str) -> Vec<Vec<Value>> {
    ask(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}")).rows
}

fn counted(of: impl Fn(&Value) -> Option<String>) -> Vec<Vec<Value>> {
    let mut counts: BTreeMap<Option<String>, u64> = BTreeMap::new();
    for event in &CLINIC.1 {
        *counts.entry(of(event)).or_default() += 1;
    }
    counts.into_iter().map(|(name, count)| vec![json!(name), json!(count)]).collect()
}

#[tokio::test]
async fn counts_by_group() {
    let text = |event: &Value, path: &str| event.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let by_action = rows("SELECT action, count(*) FROM events GROUP BY action ORDER BY action").await;
    assert_eq!(by_action, counted(|event| text(event, "/action")));
    let by_app = rows("SELECT app, count(*) FROM events GROUP BY app ORDER BY app NULLS FIRST").await;
    assert_eq!(by_app, counted(|event| text(event, "/context/app")));
    let by_code = rows("SELECT code, count(*) FROM events GROUP BY code ORDER BY code").await;
    assert_eq!(by_code, counted(|event| text(event, "/outcome/code")));
    assert_eq!(rows("SELECT count(*) FROM events").await, [[json!(EVENTS)]]);
    assert_eq!(rows("SELECT count(*) FROM events WHERE op = 'R' OR op <> 'R'").await, [[json!(EVENTS)]]);
}

#[tokio::test]
async fn every_column_says_what_the_event_says() {
    let answer = ask("SELECT * FROM events ORDER BY index LIMIT 200").await.unwrap();
    let names: Vec<&str> = answer.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names.len(), 22);
    let by_name = rows(&format!("SELECT {} FROM events ORDER BY index LIMIT 200", names.join(", "))).await;
    assert_eq!(by_name, answer.rows);
    assert!(!names.iter().any(|name| name.starts_with('$')));
    for (n, row) in answer.rows.iter().enumerate() {
        let row: BTreeMap<&str, &Value> = names.iter().copied().zip(row).collect();
        let sent = &CLINIC.1[n];
        for (column, path) in [
            ("time", "/time"),
            ("id", "/id"),
            ("source", "/source"),
            ("seq", "/seq"),
            ("action", "/action"),
            ("op", "/op"),
            ("outcome", "/outcome/status"),
            ("code", "/outcome/code"),
            ("actor_type", "/actor/type"),
            ("actor_name", "/actor/name"),
            ("session", "/actor/session_id"),
            ("break_glass", "/break_glass"),
            ("app", "/context/app"),
            ("ip", "/context/ip"),
            ("rows", "/request/rows"),
            ("protocol", "/request/protocol"),
        ] {
            assert_eq!(row[column], sent.pointer(path).unwrap_or(&Value::Null), "{column} of {n}");
        }
        assert_eq!(row["index"], &json!(n));
        let actor = if sent["actor"]["type"] == "patient" { &Value::Null } else { &sent["actor"]["id"] };
        assert_eq!(row["actor"], actor);
        let event: Value = serde_json::from_str(row["event"].as_str().unwrap()).unwrap();
        assert_eq!(event["targets"], sent["targets"]);
        assert_eq!(event.get("integrity"), None);
    }
}

#[tokio::test]
async fn a_reader_without_phi_sees_none() {
    let engine = engine(Limits::default());
    let view = CLINIC.0.public_view();
    let answer = engine.sql(&view, "SELECT index, event, patients, session FROM events ORDER BY index LIMIT 300").await.unwrap();
    for (n, row) in answer.rows.iter().enumerate() {
        let shown: Value = serde_json::from_str(row[1].as_str().unwrap()).unwrap();
        let wanted = public(&CLINIC.1[n]);
        assert_eq!(shown["actor"], wanted["actor"]);
        assert_eq!((shown.get("description"), shown.get("metadata"), shown["targets"][0].get("patient_id")), (None, None, None));
        assert_eq!(row[2], Value::Null);
        assert_eq!(&row[3], wanted.pointer("/actor/session_id").unwrap_or(&Value::Null));
    }
    for condition in ["mentions(event, 'Zürich')", "actor = 'P1'", "event LIKE '%statement%'", "actor_name = 'Own Portal'"] {
        let count = engine.sql(&view, &format!("SELECT count(*) FROM events WHERE {condition}")).await.unwrap();
        assert_eq!(count.rows, [[json!(0)]], "{condition}");
    }
}

#[tokio::test]
async fn a_reader_without_phi_asks_nothing_of_patients() {
    let engine = engine(Limits::default());
    for sql in [
        "SELECT count(*) FROM events WHERE has_patient(patients, 'P1')",
        "SELECT count(*) FROM events WHERE op = 'R' OR NOT has_patient(patients, 'P1')",
        "SELECT has_patient(patients, 'P1') FROM events",
        "SELECT count(*) FROM (SELECT patients AS p FROM events) WHERE has_patient(p, 'P1')",
        "SELECT count(*) FROM events WHERE patients IS NOT NULL",
        "SELECT count(patients) FROM events",
        "SELECT index FROM events ORDER BY patients",
        "SELECT unnest(patients) FROM events",
        "SELECT count(*) FROM events a WHERE EXISTS (SELECT 1 FROM events b WHERE has_patient(a.patients, b.actor))",
        "EXPLAIN SELECT count(*) FROM events WHERE has_patient(patients, 'P1')",
    ] {
        let refused = engine.sql(&CLINIC.0.public_view(), sql).await.err();
        assert_eq!(refused, Some(SqlError::NotAllowed(NotAllowed { field: "patients".to_owned() })), "{sql}");
    }
    assert!(engine.sql(&CLINIC.0.public_view(), "SELECT * FROM events LIMIT 1").await.is_ok());
}

/// What a statement tells a reader besides its rows.
async fn told(engine: &Engine, view: &View, sql: &str) -> (Result<Vec<Vec<Value>>, SqlError>, u64) {
    (engine.sql(view, sql).await.map(|answer| answer.rows), view.meter.rows())
}

#[tokio::test]
async fn nothing_tells_a_reader_without_phi_where_a_patient_acts() {
    let engine = engine(Limits::default());
    let clinic = crate::testing::Clinic::new();
    // A user and a patient who share a session's name, and a patient with a session of their own.
    let acting = |n: u64, kind: &str, id: &str, session: &str| {
        let mut event = crate::testing::event(n);
        event["actor"] = json!({"type": kind, "id": id, "session_id": session});
        event["targets"] = json!([{"type": "fhir:Patient", "patient_id": "MRN-1001"}]);
        event
    };
    let events = [acting(0, "patient", "P1", "secret"), acting(2, "user", "jdoe", "shared"), acting(4, "patient", "P2", "shared")];
    clinic.store(&events);
    for (known, unknown) in
        [("actor = 'P1'", "actor = 'P9'"), ("session = 'secret'", "session = 's-none'"), ("actor IN ('P1', 'P2')", "actor = ''")]
    {
        for trap in ["index / (index - index) = 1", "CAST(action AS INT) = 1", "CAST(id AS INT) = 1", "index >= 0"] {
            for select in ["count(*)", "max(event)", "index"] {
                let sql = |condition: &str| format!("SELECT {select} FROM events WHERE {condition} AND {trap}");
                let of_known = told(&engine, &clinic.public_view(), &sql(known)).await;
                assert_eq!(of_known, told(&engine, &clinic.public_view(), &sql(unknown)).await, "{}", sql(known));
                assert_eq!(of_known.1, 0, "{}", sql(known));
            }
        }
    }
    let (shared, read) = told(&engine, &clinic.public_view(), "SELECT index FROM events WHERE session = 'shared'").await;
    assert_eq!((shared.unwrap(), read), (vec![vec![json!(1)]], 1));
    let whole = told(&engine, &clinic.view(), "SELECT index FROM events WHERE session = 'shared' ORDER BY index").await;
    assert_eq!((whole.0.unwrap(), whole.1), (vec![vec![json!(1)], vec![json!(2)]], 2));
    let page = async |view: &View, query: &str| {
        let page = engine.search(view, &crate::testing::request(query)).await.unwrap();
        (crate::testing::indexes(&page.events), view.meter.rows())
    };
    assert_eq!(page(&clinic.public_view(), "actor:P1").await, (vec![], 0));
    assert_eq!(page(&clinic.public_view(), "session:secret").await, (vec![], 0));
    assert_eq!(page(&clinic.view(), "actor:P1").await, (vec![0], 1));
    assert_eq!(page(&clinic.view(), "session:secret").await, (vec![0], 1));
}

#[tokio::test]
async fn the_newest_are_read_first_and_no_more() {
    for (order, first) in [("DESC", EVENTS - 1), ("ASC", 0)] {
        let view = CLINIC.0.view();
        let sql = format!("SELECT index, action FROM events ORDER BY index {order} LIMIT 3");
        let answer = engine(Limits::default()).sql(&view, &sql).await.unwrap();
        assert_eq!(answer.rows[0][0], json!(first));
        assert!(view.meter.rows() <= 1_024, "{} rows were read", view.meter.rows());
    }
}

#[tokio::test]
async fn no_sort_is_left_where_the_order_is_the_trails() {
    let plan = rows("EXPLAIN SELECT index, event FROM events WHERE op = 'R' ORDER BY index DESC LIMIT 3").await;
    let text = plan.iter().map(|row| row[1].as_str().unwrap()).collect::<Vec<_>>().join("\n");
    assert!(
        text.contains("EventsExec: order=NewestFirst, fetch=3") && !text.contains("SortExec") && !text.contains("FilterExec"),
        "{text}"
    );
}

#[tokio::test]
async fn lookups_cost_what_they_find() {
    for (condition, holds) in [
        ("has_patient(patients, 'P10')", "patient"),
        ("actor = 'jdoe'", "actor"),
        ("actor IN ('jdoe', 'jroe')", "actors"),
        ("id = 'e-20'", "id"),
    ] {
        let view = CLINIC.0.view();
        let sql = format!("SELECT index FROM events WHERE {condition}");
        let found = engine(Limits::default()).sql(&view, &sql).await.unwrap().rows.len() as u64;
        assert!(found > 0 && view.meter.rows() == found, "{holds}: {found} found, {} read", view.meter.rows());
    }
}

#[tokio::test]
async fn functions_over_events() {
    let count = |of: &dyn Fn(&Value) -> bool| vec![vec![json!(CLINIC.1.iter().filter(|event| of(event)).count())]];
    let mentions = rows("SELECT count(*) FROM events WHERE mentions(event, 'ZÜRICH')").await;
    assert_eq!(mentions, count(&|event| event["description"] == "Zürich ward"));
    let value = rows("SELECT count(*) FROM events WHERE event_value(event, 'metadata.Bed.No') = '1'").await;
    assert_eq!(value, count(&|event| event["metadata"]["Bed.No"] == "1"));
    let merged = rows("SELECT count(*) FROM events WHERE mentions(reverse(reverse(event)), 'ZÜRICH')").await;
    assert_eq!(merged, mentions);
}

#[tokio::test]
async fn patients_can_be_grouped_by() {
    let found = rows("SELECT p, count(*) FROM (SELECT unnest(patients) AS p FROM events) GROUP BY p ORDER BY p").await;
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for event in &CLINIC.1 {
        let acting = (event["actor"]["type"] == "patient").then(|| &event["actor"]["id"]);
        let targets = event["targets"].as_array().unwrap().iter().map(|target| &target["patient_id"]);
        for id in targets.chain(acting).map(|id| id.as_str().unwrap()).collect::<std::collections::BTreeSet<_>>() {
            *counts.entry(id.to_owned()).or_default() += 1;
        }
    }
    assert_eq!(found, counts.into_iter().map(|(id, count)| vec![json!(id), json!(count)]).collect::<Vec<_>>());
}

#[tokio::test]
async fn rows_of_other_shapes_come_as_json() {
    let wanted = json!([1.5, "2026-11-24", true, null, ["a"], 7]);
    let found =
        rows("SELECT 1.5::DOUBLE, DATE '2026-11-24', bool_and(op = op), NULL, array_agg('a'), 7::SMALLINT FROM events WHERE index = 0")
            .await;
    assert_eq!(json!(found[0]), wanted);
}

#[tokio::test]
async fn times_prune_and_compare() {
    let all =
        rows("SELECT count(*) FROM events WHERE time >= TIMESTAMP '2026-11-24T00:00:00Z' AND time < TIMESTAMP '2026-11-24T06:00:00Z'")
            .await;
    let inside = CLINIC.1.iter().filter(|event| ("2026-11-24T00".."2026-11-24T06").contains(&event["time"].as_str().unwrap())).count();
    assert_eq!(all, [[json!(inside)]]);
}

#[tokio::test]
async fn what_may_not_be_asked() {
    let hostile = [
        ("", SqlError::NotOne),
        (";", SqlError::NotOne),
        ("SELECT 1; SELECT 2", SqlError::NotOne),
        ("DROP TABLE events", SqlError::NotSelect),
        ("INSERT INTO events SELECT * FROM events", SqlError::NotSelect),
        ("UPDATE events SET action = 'x'", SqlError::NotSelect),
        ("DELETE FROM events", SqlError::NotSelect),
        ("CREATE TABLE t AS SELECT * FROM events", SqlError::NotSelect),
        ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", SqlError::NotSelect),
        ("COPY events TO '/tmp/out.csv'", SqlError::NotSelect),
        ("SET datafusion.execution.batch_size = 1", SqlError::NotSelect),
        ("SHOW TABLES", SqlError::NotSelect),
        ("EXPLAIN ANALYZE SELECT * FROM events", SqlError::NotSelect),
        ("EXPLAIN DROP TABLE events", SqlError::NotSelect),
        ("PREPARE p AS SELECT 1", SqlError::NotSelect),
        ("SELECT * FROM information_schema.tables", SqlError::OnlyEvents),
        ("SELECT * FROM information_schema.df_settings", SqlError::OnlyEvents),
        ("SELECT * FROM '/etc/passwd'", SqlError::OnlyEvents),
        ("SELECT * FROM \"/etc/passwd.csv\"", SqlError::OnlyEvents),
        ("SELECT * FROM read_csv('/etc/passwd')", SqlError::OnlyEvents),
        ("SELECT * FROM generate_series(1, 1000000000)", SqlError::OnlyEvents),
        ("SELECT * FROM range(10)", SqlError::OnlyEvents),
        ("SELECT * FROM other", SqlError::OnlyEvents),
        ("SELECT * FROM x.events", SqlError::OnlyEvents),
        ("SELECT * FROM events WHERE action IN (SELECT a FROM other)", SqlError::OnlyEvents),
        ("SELECT action || action FROM events", SqlError::Concat),
    ];
    for (sql, wanted) in hostile {
        assert_eq!(ask(sql).await.err(), Some(wanted), "{sql}");
    }
}

#[tokio::test]
async fn functions_that_grow_or_reach_out_are_not_there() {
    for call in [
        "repeat('x', 1000000000)",
        "lpad('x', 1000000000)",
        "replace(event, 'a', 'aaaaaaaa')",
        "concat(event, event)",
        "version()",
        "arrow_cast(1, 'Utf8')",
        "input_file_name()",
        "no_such(1)",
        "$probe(event, event)",
    ] {
        let error = ask(&format!("SELECT {call} FROM events")).await.err();
        assert!(matches!(error, Some(SqlError::Plan(_) | SqlError::Syntax(_))), "{call}: {error:?}");
    }
    assert!(matches!(ask("SELECT \"$public\" FROM events").await.err(), Some(SqlError::UnknownColumn(_))));
    assert!(ask("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT * FROM r").await.is_err());
}

#[tokio::test]
async fn windows_are_refused() {
    for sql in [
        "SELECT index, row_number() OVER (ORDER BY time) FROM events",
        "SELECT sum(seq) OVER () FROM events",
        "SELECT lag(event) OVER w FROM events WINDOW w AS (PARTITION BY actor ORDER BY index)",
        "SELECT index FROM events QUALIFY row_number() OVER (PARTITION BY actor ORDER BY index) = 1",
        "SELECT count(*) FROM events WHERE index IN (SELECT max(index) OVER () FROM events)",
        "EXPLAIN SELECT max(event) OVER () FROM events",
    ] {
        assert_eq!(ask(sql).await.err(), Some(SqlError::Window), "{sql}");
    }
}

#[tokio::test]
async fn patterns_are_small_texts() {
    let long = "a".repeat(cost::MAX_PATTERN_BYTES);
    let conditions = |pattern: &str| {
        [
            format!("action ~ {pattern}"),
            format!("action !~* {pattern}"),
            format!("action LIKE {pattern}"),
            format!("action NOT ILIKE {pattern}"),
            format!("action SIMILAR TO {pattern}"),
            format!("regexp_like(action, {pattern})"),
            format!("regexp_count(action, {pattern}) = 1"),
            format!("regexp_instr(action, {pattern}) = 1"),
            format!("to_char(time, {pattern}) = ''"),
        ]
    };
    let ask = async |condition: &str| ask(&format!("SELECT count(*) FROM events WHERE index < 9 AND {condition}")).await.err();
    for condition in conditions(&format!("'{long}'")) {
        assert_eq!(ask(&condition).await, None, "{condition}");
    }
    for pattern in [format!("'{long}a'"), "event".to_owned(), "lower(action)".to_owned(), "CASE WHEN op = 'R' THEN 'a' END".to_owned()] {
        for condition in conditions(&pattern) {
            assert_eq!(ask(&condition).await, Some(SqlError::Pattern), "{condition}");
        }
    }
    for pattern in [r"'(\w{50}){50}'", "'(a|b)*a(a|b){9999}'", "'('"] {
        for condition in [format!("action ~ {pattern}"), format!("regexp_like(action, {pattern})"), format!("action SIMILAR TO {pattern}")]
        {
            assert_eq!(ask(&condition).await, Some(SqlError::Pattern), "{condition}");
        }
    }
    assert_eq!(ask(r"action ~* '^\w+\.(viewed|printed)$' AND event ~ '\d{3}-\d{4}'").await, None);
    assert_eq!(ask("regexp_like(action, 'a', app)").await, Some(SqlError::Pattern));
    let many = |count: usize| vec!["action LIKE 'a%b'"; count].join(" OR ");
    assert_eq!(ask(&format!("({})", many(cost::MAX_PATTERNS))).await, None);
    assert_eq!(ask(&format!("({})", many(cost::MAX_PATTERNS + 1))).await, Some(SqlError::TooComplex));
}

#[tokio::test]
async fn texts_that_rows_would_repeat_are_short() {
    let text = |bytes: usize| "x".repeat(bytes);
    let of = |bytes: usize| {
        [
            format!("SELECT '{}' FROM events LIMIT 1", text(bytes)),
            format!("SELECT max(CASE WHEN op = 'R' THEN '{}' END) FROM events", text(bytes)),
            format!("SELECT count(*) FROM events WHERE coalesce(app, '{}') <> op", text(bytes)),
            format!("SELECT count(*) FROM events WHERE action IN (SELECT '{}' FROM events)", text(bytes)),
        ]
    };
    for sql in of(cost::MAX_SPREAD_BYTES) {
        assert_eq!(ask(&sql).await.err(), None, "{sql}");
    }
    for sql in of(cost::MAX_SPREAD_BYTES + 1) {
        assert_eq!(ask(&sql).await.err(), Some(SqlError::LongTexts), "{sql}");
    }
    let compared = text(20_000);
    for condition in ["action = '?'", "action IN ('?', 'login')", "'?' < action", "action BETWEEN 'a' AND '?'"] {
        assert_eq!(ask(&format!("SELECT count(*) FROM events WHERE {}", condition.replace('?', &compared))).await.err(), None);
    }
}

#[tokio::test]
async fn groupings_are_few() {
    let cube = |columns: &str| format!("SELECT count(*) FROM events GROUP BY CUBE({columns})");
    assert!(ask(&cube("op, outcome, app, action, actor_type")).await.is_ok());
    assert_eq!(ask(&cube("op, outcome, app, action, actor_type, source")).await.err(), Some(SqlError::TooComplex));
    assert!(ask("SELECT count(*) FROM events GROUP BY ROLLUP(op, outcome, app)").await.is_ok());
}

#[tokio::test]
async fn statements_that_unfold_are_refused() {
    let doubling = |steps: usize, next: &str| {
        let names: Vec<String> = (0..=steps).map(|step| format!("t{step}")).collect();
        let with: Vec<String> = names
            .windows(2)
            .map(|pair| format!("{} AS (SELECT {})", pair[1], next.replace("FROM t", &format!("FROM {}", pair[0]))))
            .collect();
        format!("WITH t0 AS (SELECT index AS x FROM events), {} SELECT * FROM t{steps}", with.join(", "))
    };
    assert_eq!(ask(&doubling(40, "x + x AS x FROM t")).await.err(), Some(SqlError::TooComplex));
    assert_eq!(ask(&doubling(13, "x + x AS x FROM t")).await.err(), Some(SqlError::TooComplex));
    assert_eq!(ask(&doubling(10, "x FROM t UNION ALL SELECT x FROM t")).await.err(), Some(SqlError::TooComplex));
    assert!(ask(&doubling(3, "x + x AS x FROM t")).await.is_ok());
    let deep = format!("SELECT {}1{} FROM events", "(".repeat(2_000), ")".repeat(2_000));
    assert!(ask(&deep).await.is_err());
    assert_eq!(ask(&format!("SELECT 1 /*{}*/", "x".repeat(sandbox::MAX_STATEMENT_BYTES))).await.err(), Some(SqlError::TooLong));
    let below = format!("SELECT 1 /*{}*/", "x".repeat(sandbox::MAX_STATEMENT_BYTES - 13));
    assert_eq!(below.len(), sandbox::MAX_STATEMENT_BYTES);
    assert!(ask(&below).await.is_ok());
}

#[tokio::test]
async fn memory_and_time_have_limits_and_the_engine_lives() {
    let engine = engine(Limits { sql_memory_bytes: 1 << 20, ..Limits::default() });
    let view = CLINIC.0.view();
    let sorted = engine.sql(&view, "SELECT a.event, b.event FROM events a CROSS JOIN events b ORDER BY b.time, a.time").await.err();
    assert_eq!(sorted, Some(SqlError::Work(WorkError::Memory)));
    let late = crate::testing::engine(Limits { sql_time: Duration::from_millis(1), ..Limits::default() });
    let endless = late.sql(&view, "SELECT count(*) FROM events a, events b, events c WHERE a.seq + b.seq + c.seq = -1").await.err();
    assert_eq!(endless, Some(SqlError::Work(WorkError::Time)));
    assert_eq!(engine.sql(&view, "SELECT count(*) FROM events").await.unwrap().rows, [[json!(EVENTS)]]);
}

#[tokio::test]
async fn one_statement_takes_no_memory_from_another() {
    let engine = engine(Limits { sql_memory_bytes: 1 << 20, ..Limits::default() });
    let view = CLINIC.0.view();
    let group = "SELECT count(*) FROM (SELECT id FROM events WHERE index < 2000 GROUP BY id)";
    let state = engine.sandbox.state(&view, engine.statements.next(Duration::MAX).await.unwrap()).unwrap();
    let pool = Arc::clone(&state.runtime_env().memory_pool);
    let others = datafusion::execution::memory_pool::MemoryConsumer::new("others").register(&pool);
    others.try_grow(1 << 20).unwrap();
    assert_eq!(engine.sql(&view, group).await.unwrap().rows, [[json!(1_000)]]);
}

#[tokio::test]
async fn a_statement_reads_few_tables() {
    let from = |count: usize| {
        let tables: Vec<String> = (0..count).map(|n| format!("events t{n}")).collect();
        let lone: String = (0..count).map(|n| format!(" AND t{n}.index = {n}")).collect();
        format!("SELECT count(*) FROM {} WHERE true{lone}", tables.join(", "))
    };
    assert_eq!(rows(&from(sandbox::MAX_TABLES)).await, [[json!(1)]]);
    assert_eq!(ask(&from(sandbox::MAX_TABLES + 1)).await.err(), Some(SqlError::TooManyTables));
    assert_eq!(ask(&from(40)).await.err(), Some(SqlError::TooManyTables));
    let nested = "SELECT (SELECT max(index) FROM events), (SELECT min(index) FROM events) FROM events a WHERE EXISTS \
                  (SELECT 1 FROM events b WHERE b.index = a.index + 1) AND a.index IN (SELECT index FROM events)";
    assert_eq!(ask(nested).await.err(), Some(SqlError::TooManyTables));
}

#[tokio::test]
async fn a_statement_waits_for_its_turn_and_searches_have_turns_of_their_own() {
    let engine = engine(Limits { sql_statements: 1, searches: 1, wait: Duration::from_millis(1), ..Limits::default() });
    let view = CLINIC.0.view();
    let count = "SELECT count(*) FROM events WHERE op = 'R' OR op <> 'R'";
    let others = engine.statements.next(Duration::MAX).await.unwrap();
    assert_eq!(engine.sql(&view, count).await.err(), Some(SqlError::Work(WorkError::Busy)));
    assert!(engine.search(&view, &crate::testing::request("op:R")).await.is_ok());
    drop(others);
    for sql in [count, "SELECT index FROM events LIMIT 1", "SELECT 1 / (index - index) FROM events"] {
        let _ = engine.sql(&view, sql).await;
        // Readers that nobody listens to any more end by themselves, and the turn with them.
        assert!(engine.statements.next(Duration::MAX).await.is_some());
    }
    let others = engine.searches.next(Duration::MAX).await.unwrap();
    let page = engine.search(&view, &crate::testing::request("op:R")).await;
    assert_eq!(page.err(), Some(crate::engine::SearchError::Work(WorkError::Busy)));
    assert_eq!(engine.event_at(&view, 1, crate::testing::LOG).await.err(), Some(WorkError::Busy));
    drop(others);
    assert_eq!(rows_of_one(&engine, &view, count).await, json!(EVENTS));
}

async fn rows_of_one(engine: &Engine, view: &View, sql: &str) -> Value {
    // The turn of the statement before may end a moment after its answer.
    drop(engine.statements.next(Duration::MAX).await.unwrap());
    engine.sql(view, sql).await.unwrap().rows[0][0].clone()
}

#[tokio::test]
async fn a_turn_lasts_as_long_as_something_reads() {
    use datafusion::physical_plan::ExecutionPlan;

    let turns = crate::turns::Turns::new(1);
    let turn = turns.next(Duration::MAX).await.unwrap();
    let props = datafusion::execution::context::ExecutionProps::new();
    let question = crate::question::Question::new(crate::columns::schema(), &[], true, &props).unwrap();
    let plan = crate::exec::EventsExec::new(CLINIC.0.view(), Arc::new(question), None, 1, turn).ordered(crate::reading::Order::NewestFirst);
    let mut stream = plan.execute(0, Arc::new(datafusion::execution::TaskContext::default())).unwrap();
    drop(plan);
    stream.next().await.unwrap().unwrap();
    assert_eq!(turns.free(), 0);
    drop(stream);
    assert!(turns.next(Duration::MAX).await.is_some());
}

#[tokio::test]
async fn answers_are_cut_and_say_so() {
    let view = CLINIC.0.view();
    let cut = engine(Limits { sql_rows: 10, ..Limits::default() });
    let answer = cut.sql(&view, "SELECT index FROM events").await.unwrap();
    assert_eq!((answer.rows.len(), answer.truncated), (10, true));
    let answer = cut.sql(&view, "SELECT index FROM events LIMIT 10").await.unwrap();
    assert_eq!((answer.rows.len(), answer.truncated), (10, false));
    let small = engine(Limits { sql_answer_bytes: 5_000, ..Limits::default() });
    let answer = small.sql(&view, "SELECT event FROM events").await.unwrap();
    assert!(answer.truncated && answer.rows.len() < 20);
    for list in ["array_agg(event)", "string_agg(event, ' ')", "array_agg(patients)"] {
        let answer = small.sql(&view, &format!("SELECT {list} FROM events")).await.unwrap();
        assert_eq!((answer.truncated, answer.rows.len()), (true, 0), "{list}");
    }
}

#[tokio::test]
async fn errors_carry_no_value() {
    let cases = [
        ("SELECT CAST('SECRET' AS INT) FROM events", None),
        ("SELECT CAST(description AS INT), 'SECRET' FROM events", None),
        ("SELECT count(*) FROM events WHERE CAST(action AS INT) = 1", Some(SqlError::Work(WorkError::Conversion))),
        (
            "SELECT count(*) FROM events WHERE CAST(event_value(event, 'description') AS INT) = 1",
            Some(SqlError::Work(WorkError::Conversion)),
        ),
        ("SELECT count(*) FROM events WHERE index / (index - index) = 1", Some(SqlError::Work(WorkError::DivisionByZero))),
        ("SELECT count(*) FROM events WHERE index < 3000 AND CAST(app AS INT) = 1", Some(SqlError::Work(WorkError::Conversion))),
        ("SELECT count(*) FROM events WHERE index > 4500 AND CAST(app AS INT) = 1", Some(SqlError::Work(WorkError::Conversion))),
        ("SELECT seq / (seq - seq) FROM events", Some(SqlError::Work(WorkError::DivisionByZero))),
        ("SELECT * FROM events WHERE action = 'SECRET", None),
        ("SELECT SECRET FROM events", None),
        ("SELECT SECRET(1) FROM events", None),
        ("SECRET", None),
        ("SELECT * FROM events WHERE time > 'SECRET'", None),
    ];
    for (sql, wanted) in cases {
        let error = ask(sql).await.err().unwrap_or_else(|| panic!("{sql} was answered"));
        if let Some(wanted) = wanted {
            assert_eq!(error, wanted, "{sql}");
        }
        let text = format!("{error} {error:?}");
        assert!(
            !text.contains("SECRET") && !text.contains("chart") && !text.contains("login") && !text.contains("portal"),
            "{sql}: {text}"
        );
    }
}

#[tokio::test]
async fn errors_name_the_place() {
    assert_eq!(ask("SELECT\n  nope FROM events").await.err(), Some(SqlError::UnknownColumn(Some((2, 3)))));
    assert_eq!(ask("SELECT *\nFORM events").await.err(), Some(SqlError::Syntax(Some((2, 1)))));
}
