use std::fmt::Write;

use proptest::prelude::*;

use super::*;

fn only(text: &str) -> Statement {
    let mut analysis = Analysis::of(text, Strings::Standard);
    assert_eq!(analysis.why, None, "{text}");
    assert_eq!(analysis.statements.len(), 1, "{text}");
    analysis.statements.remove(0)
}

/// Relations in a short form, sorted: `schema.name:rw`.
fn relations(statement: &Statement) -> String {
    let mut all = statement
        .relations
        .iter()
        .map(|relation| {
            let schema = relation.schema.as_ref().map(|schema| format!("{schema}.")).unwrap_or_default();
            let (read, written) = (if relation.read { "r" } else { "" }, if relation.written { "w" } else { "" });
            format!("{schema}{}:{read}{written}", relation.name)
        })
        .collect::<Vec<_>>();
    all.sort();
    all.join(" ")
}

fn columns(statement: &Statement) -> String {
    let mut all = statement
        .columns
        .iter()
        .map(|column| {
            let qualifier = column.qualifier.as_ref().map(|qualifier| format!("{qualifier}.")).unwrap_or_default();
            format!("{qualifier}{}", column.name.as_deref().unwrap_or("*"))
        })
        .collect::<Vec<_>>();
    all.sort();
    all.join(" ")
}

/// Command, letter, relations, and marks: `R` proven to read only, `O` opaque, `D` denied.
const CASES: &[(&str, &str)] = &[
    ("SELECT 1", "SELECT R [] R"),
    ("SELECT abalance FROM pgbench_accounts WHERE aid = 12345;", "SELECT R [pgbench_accounts:r] R"),
    ("TABLE x", "SELECT R [x:r] R"),
    ("VALUES (1), (2)", "SELECT R [] R"),
    ("SELECT * FROM ONLY x", "SELECT R [x:r] R"),
    ("SELECT * FROM x *", "SELECT R [x:r] R"),
    ("select * from Public.Patients", "SELECT R [public.patients:r] R"),
    ("SELECT * FROM \"Patients\"", "SELECT R [Patients:r] R"),
    ("SELECT * FROM U&\"p\\0061tients\"", "SELECT R [patients:r] R"),
    ("SELECT * FROM U&\"p!0061tients\" UESCAPE '!'", "SELECT R [patients:r] R"),
    ("SELECT * FROM db.public.patients", "SELECT R [public.patients:r] R"),
    ("SELECT * FROM a.t, b.t", "SELECT R [a.t:r b.t:r] R"),
    ("SELECT /* FROM secret */ 1 -- FROM other", "SELECT R [] R"),
    ("SELECT 1 /* /* nested */ FROM secret */ FROM t", "SELECT R [t:r] R"),
    ("SELECT 'x; DROP TABLE t' FROM u", "SELECT R [u:r] R"),
    ("SELECT $$ ; DELETE FROM t $$ FROM u", "SELECT R [u:r] R"),
    ("SELECT E'\\'; DELETE FROM t --' FROM u", "SELECT R [u:r] R"),
    ("SELECT (SELECT ssn FROM patients LIMIT 1)", "SELECT R [patients:r] R"),
    ("SELECT 1 WHERE EXISTS (SELECT FROM patients)", "SELECT R [patients:r] R"),
    ("SELECT ARRAY(SELECT ssn FROM patients)", "SELECT R [patients:r] R"),
    ("SELECT 1 ORDER BY (SELECT ssn FROM patients LIMIT 1)", "SELECT R [patients:r] R"),
    ("SELECT 1 LIMIT (SELECT count(*) FROM patients)", "SELECT R [patients:r] R"),
    ("SELECT count(*) FILTER (WHERE EXISTS (TABLE patients)) FROM t", "SELECT R [patients:r t:r] R"),
    ("SELECT sum(x) OVER (PARTITION BY (SELECT a FROM p)) FROM t", "SELECT R [p:r t:r] R"),
    ("SELECT 1 FROM t WINDOW w AS (ORDER BY (SELECT a FROM p))", "SELECT R [p:r t:r] R"),
    ("SELECT a FROM t GROUP BY a HAVING a > (SELECT max(b) FROM u)", "SELECT R [t:r u:r] R"),
    ("SELECT a FROM t UNION SELECT b FROM u EXCEPT SELECT c FROM v", "SELECT R [t:r u:r v:r] R"),
    ("SELECT * FROM t JOIN u USING (id) LEFT JOIN v ON v.id = u.id", "SELECT R [t:r u:r v:r] R"),
    ("SELECT * FROM t, LATERAL (SELECT * FROM u WHERE u.id = t.id) s", "SELECT R [t:r u:r] R"),
    ("SELECT * FROM ROWS FROM (generate_series(1, 2), unnest(ARRAY(TABLE p))) AS f", "SELECT R [p:r] R"),
    ("SELECT * FROM t TABLESAMPLE system (1)", "SELECT R [t:r] R"),
    ("SELECT * FROM t TABLESAMPLE evil (1)", "SELECT R [t:r] O"),
    ("SELECT * FROM XMLTABLE('/a' PASSING (SELECT x FROM p) COLUMNS b text)", "SELECT R [p:r] R"),
    ("WITH t AS (SELECT 1) SELECT * FROM t", "SELECT R [] R"),
    ("WITH t AS (SELECT * FROM t) SELECT * FROM t", "SELECT R [t:r] R"),
    ("WITH RECURSIVE t AS (SELECT 1 UNION SELECT * FROM t) SELECT * FROM t", "SELECT R [] R"),
    ("WITH t AS (SELECT 1) SELECT * FROM public.t", "SELECT R [public.t:r] R"),
    ("WITH a AS (TABLE b), b AS (TABLE a) TABLE b", "SELECT R [b:r] R"),
    ("WITH RECURSIVE a AS (TABLE b), b AS (SELECT 1) TABLE a", "SELECT R [] R"),
    ("WITH t AS (SELECT 1) SELECT (WITH t AS (TABLE t) SELECT 1 FROM t)", "SELECT R [] R"),
    ("SELECT (WITH t AS (SELECT 1) TABLE t), (SELECT a FROM t)", "SELECT R [t:r] R"),
    ("(WITH t AS (SELECT 1) TABLE t) UNION TABLE t", "SELECT R [t:r] R"),
    ("WITH t AS (SELECT 1) SELECT * FROM \"T\"", "SELECT R [T:r] R"),
    ("WITH a AS (WITH b AS (SELECT 1) TABLE b) SELECT * FROM a, b", "SELECT R [b:r] R"),
    ("WITH t AS (SELECT 1) INSERT INTO t SELECT * FROM t", "INSERT C [t:w]"),
    ("WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d", "SELECT D [t:rw]"),
    ("WITH u AS (UPDATE t SET a = 1 RETURNING *), i AS (INSERT INTO s TABLE u) SELECT 1", "SELECT U [s:w t:rw]"),
    ("SELECT * FROM t FOR UPDATE", "SELECT R [t:r]"),
    ("SELECT * FROM t AS x FOR SHARE OF x", "SELECT R [t:r]"),
    ("SELECT * FROM (SELECT * FROM t FOR KEY SHARE) s", "SELECT R [t:r]"),
    ("SELECT * INTO n FROM t", "SELECT INTO R [n:w t:r]"),
    ("INSERT INTO t VALUES (1)", "INSERT C [t:w]"),
    ("INSERT INTO t SELECT * FROM t", "INSERT C [t:rw]"),
    ("INSERT INTO t (a) VALUES (1) RETURNING a", "INSERT C [t:rw]"),
    ("INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET b = (SELECT c FROM u)", "INSERT C [t:rw u:r]"),
    ("INSERT INTO t AS x DEFAULT VALUES", "INSERT C [t:w]"),
    ("UPDATE t SET a = u.a FROM u WHERE u.id = t.id", "UPDATE U [t:rw u:r]"),
    ("UPDATE ONLY t SET (a, b) = (SELECT c, d FROM u)", "UPDATE U [t:rw u:r]"),
    ("DELETE FROM t USING u WHERE t.id = u.id", "DELETE D [t:rw u:r]"),
    ("MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (u.id)", "MERGE D [t:rw u:r]"),
    ("MERGE INTO t USING (TABLE u) s ON true WHEN MATCHED THEN UPDATE SET a = 1", "MERGE U [t:rw u:r]"),
    ("COPY t TO STDOUT", "COPY TO R [t:r] R"),
    ("COPY t (a) FROM STDIN WITH (FORMAT binary)", "COPY FROM C [t:w]"),
    ("COPY (SELECT * FROM t) TO STDOUT", "COPY TO R [t:r] R"),
    ("COPY (DELETE FROM t RETURNING *) TO STDOUT", "COPY TO D [t:rw]"),
    ("COPY t TO '/tmp/x'", "COPY TO R [t:r] RD"),
    ("COPY t FROM PROGRAM 'id'", "COPY FROM C [t:w] D"),
    ("EXPLAIN SELECT * FROM t", "EXPLAIN R [t:r] R"),
    ("EXPLAIN DELETE FROM t", "EXPLAIN R [t:rw]"),
    ("EXPLAIN ANALYZE DELETE FROM t", "EXPLAIN ANALYZE D [t:rw]"),
    ("EXPLAIN (ANALYZE off, VERBOSE) UPDATE t SET a = 1", "EXPLAIN R [t:rw]"),
    ("EXPLAIN (COSTS off, ANALYZE) UPDATE t SET a = 1", "EXPLAIN ANALYZE U [t:rw]"),
    ("EXPLAIN (ANALYZE 1) CREATE TABLE n AS TABLE t", "EXPLAIN ANALYZE E [n:w t:r]"),
    ("PREPARE p (int) AS SELECT * FROM t WHERE id = $1", "PREPARE E [t:r] R"),
    ("PREPARE p AS INSERT INTO t VALUES ($1)", "PREPARE E [t:w]"),
    ("EXECUTE p (1)", "EXECUTE E [] O"),
    ("EXPLAIN ANALYZE EXECUTE p", "EXPLAIN ANALYZE E [] O"),
    ("DEALLOCATE p", "DEALLOCATE E [] R"),
    ("DECLARE c CURSOR FOR SELECT * FROM t", "DECLARE R [t:r] R"),
    ("FETCH ALL FROM c", "FETCH R [] O"),
    ("MOVE 5 IN c", "MOVE R [] O"),
    ("CLOSE ALL", "CLOSE E [] R"),
    ("BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN E [] R"),
    ("COMMIT", "COMMIT E [] R"),
    ("COMMIT PREPARED 'x'", "COMMIT PREPARED E []"),
    ("SAVEPOINT s", "SAVEPOINT E [] R"),
    ("SHOW ALL", "SHOW R [] R"),
    ("SET search_path = evil, pg_catalog", "SET E []"),
    ("CREATE TABLE n (a int REFERENCES t, CHECK (a > 0))", "CREATE TABLE E [n:w t:w]"),
    ("CREATE TABLE n (a int DEFAULT (SELECT 1), b int REFERENCES t)", "CREATE TABLE E [n:w t:w]"),
    ("CREATE TABLE n AS SELECT * FROM t", "CREATE TABLE AS E [n:w t:r]"),
    ("CREATE TEMP TABLE n AS EXECUTE p", "CREATE TABLE AS E [n:w] O"),
    ("CREATE VIEW v AS WITH c AS (TABLE t) TABLE c", "CREATE VIEW E [t:r v:w]"),
    ("CREATE MATERIALIZED VIEW v AS TABLE t", "CREATE MATERIALIZED VIEW E [t:r v:w]"),
    ("REFRESH MATERIALIZED VIEW v", "REFRESH MATERIALIZED VIEW E [v:w] O"),
    ("CREATE RULE r AS ON INSERT TO t DO ALSO INSERT INTO u SELECT * FROM s", "CREATE RULE E [s:r t:w u:w] O"),
    ("CREATE INDEX ON t (lower(a)) WHERE b", "CREATE INDEX E [t:w]"),
    ("CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION f()", "CREATE TRIGGER E [t:w] O"),
    ("ALTER TABLE t ADD COLUMN a int DEFAULT evil()", "ALTER TABLE E [t:w] O"),
    ("ALTER TABLE t RENAME COLUMN ssn TO x", "ALTER TABLE E [t:w]"),
    ("ALTER VIEW v SET SCHEMA s", "ALTER VIEW E [v:w]"),
    ("DROP TABLE s.t, u", "DROP TABLE E [s.t:w u:w]"),
    ("DROP TRIGGER g ON s.t", "DROP TRIGGER E [s.t:w]"),
    ("DROP FOREIGN TABLE t", "DROP FOREIGN TABLE E [t:w]"),
    ("COMMENT ON COLUMN s.t.c IS 'x'", "COMMENT E [s.t:w]"),
    ("TRUNCATE t, s.u", "TRUNCATE D [s.u:w t:w]"),
    ("LOCK TABLE t IN SHARE MODE", "LOCK E [t:r]"),
    ("VACUUM (ANALYZE) t", "VACUUM E [t:r]"),
    ("ANALYZE t (a)", "ANALYZE E [t:r]"),
    ("LISTEN c", "LISTEN E []"),
    ("NOTIFY c, 'x'", "NOTIFY E []"),
    ("UNLISTEN *", "UNLISTEN E []"),
    ("DO $$ BEGIN DELETE FROM t; END $$", "DO E [] O"),
    ("CALL p((SELECT a FROM t))", "CALL E [t:r] O"),
    ("DISCARD ALL", "DISCARD E []"),
    ("SELECT evil()", "SELECT R [] O"),
    ("SELECT public.lower('x')", "SELECT R [] O"),
    ("SELECT pg_catalog.lower('x'), now(), random()", "SELECT R [] R"),
    ("SELECT \"LOWER\"('x')", "SELECT R [] O"),
    ("SELECT nextval('s')", "SELECT R []"),
    ("SELECT pg_sleep(1)", "SELECT R []"),
    ("SELECT query_to_xml('TABLE patients', true, true, '')", "SELECT R [] O"),
    ("SELECT 1 OPERATOR(public.+) 2", "SELECT R [] O"),
    ("SELECT 1 OPERATOR(pg_catalog.+) 2", "SELECT R [] R"),
    ("SELECT a FROM t ORDER BY a USING OPERATOR(evil.<)", "SELECT R [t:r] O"),
    ("SELECT 1 OPERATOR(evil.=) ANY (TABLE t)", "SELECT R [t:r] O"),
    ("SELECT 'x'::mine", "SELECT R []"),
    ("SELECT CAST('1' AS public.text)", "SELECT R []"),
    ("SELECT '1'::int, 'a'::varchar(3), '{}'::text[], now() AT TIME ZONE 'UTC'", "SELECT R [] R"),
    ("SELECT EXTRACT(year FROM d), TRIM(a), COALESCE(a, b), CASE WHEN a THEN b END FROM t", "SELECT R [t:r] R"),
    ("SELECT current_user, json_build_object('a', p.x)->>'a' FROM patients p", "SELECT R [patients:r] R"),
];

#[test]
fn statements_are_what_they_are_and_touch_what_they_touch() {
    assert!(CASES.len() >= 80);
    let mut wrong = String::new();
    for (text, expected) in CASES {
        let statement = only(text);
        let mut shown = format!("{} {} [{}]", statement.command, statement.op.as_str(), relations(&statement));
        let marks = [(statement.read_only, 'R'), (statement.opaque, 'O'), (statement.denied.is_some(), 'D')];
        let marks = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect::<String>();
        if !marks.is_empty() {
            write!(shown, " {marks}").unwrap();
        }
        if shown != *expected {
            writeln!(wrong, "{text}\n  is   {shown}\n  want {expected}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn columns_are_named_wherever_they_stand() {
    let cases = [
        ("SELECT ssn AS s FROM patients", "ssn"),
        ("SELECT * FROM patients", "*"),
        ("SELECT p.*, q.a FROM p, q", "p.* q.a"),
        ("SELECT p FROM patients p", "p p.*"),
        ("SELECT row_to_json(patients) FROM patients", "patients patients.*"),
        ("SELECT (p).ssn FROM patients p", "p p.* ssn"),
        ("SELECT (p).* FROM patients p", "* p p.*"),
        ("SELECT x FROM patients AS p (a, x)", "p.* x"),
        ("SELECT s.t.c FROM s.t", "s.t.c"),
        ("SELECT c FROM (SELECT ssn AS c FROM t) q", "c ssn"),
        ("WITH w (c) AS (SELECT ssn FROM t) SELECT c FROM w", "c ssn"),
        ("SELECT w FROM w AS v, (SELECT 1) w", "w w.*"),
        ("SELECT 1 FROM a NATURAL JOIN b", "*"),
        ("SELECT 1 FROM a JOIN b USING (ssn)", "ssn"),
        ("SELECT count(*) FROM t WHERE a = 1 GROUP BY b HAVING c > 1 ORDER BY d", "a b c d"),
        ("TABLE t", "*"),
        ("COPY t TO STDOUT", "t.*"),
        ("COPY t (a, b) TO STDOUT", "a b"),
        ("INSERT INTO t VALUES (1)", "t.*"),
        ("INSERT INTO t (a, b) SELECT c, d FROM u ON CONFLICT (e) DO UPDATE SET f = excluded.g RETURNING h", "a b c d e excluded.g f h"),
        ("UPDATE t SET a = b, (c, d) = (1, 2) WHERE e RETURNING *", "* a b c d e"),
        ("DELETE FROM t WHERE a RETURNING b", "a b"),
        ("MERGE INTO t USING u ON t.a = u.b WHEN NOT MATCHED THEN INSERT (c) VALUES (d)", "c d t.a u.b"),
        ("SELECT U&\"s\\0073n\" FROM t", "ssn"),
        ("CREATE INDEX ON t (ssn, lower(name))", "name ssn"),
        ("SELECT rank() OVER (ORDER BY ssn) FROM t", "ssn"),
        ("SELECT a[b.c] FROM t", "a b.c"),
    ];
    for (text, expected) in cases {
        assert_eq!(columns(&only(text)), expected, "{text}");
    }
}

#[test]
fn functions_are_named_with_the_schema_that_is_written() {
    let shown = |text| {
        let name = |function: &Function| format!("{}.{}", function.schema.as_deref().unwrap_or("-"), function.name);
        only(text).functions.iter().map(name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(shown("SELECT lower(a), lower(b), x.f(1) FROM g(2)"), "-.lower x.f -.g");
    assert_eq!(shown("SELECT EXTRACT(year FROM d)"), "pg_catalog.extract");
    assert_eq!(shown("SELECT \"F\"(1) FROM t TABLESAMPLE bernoulli (1)"), "-.F -.bernoulli");
}

use Denial::{
    ForeignServer, HiddenSetting, Library, Privilege, Program, Replication, Role, SecurityDefiner, ServerConfiguration, ServerFile,
    SwitchRole, SystemCatalog, Untrusted,
};

const DENIED: &[(Denial, &[&str])] = &[
    (Role, &["CREATE ROLE a", "CREATE USER a PASSWORD 'x'", "ALTER ROLE a PASSWORD 'x'", "ALTER GROUP g ADD USER a", "DROP USER a"]),
    (Role, &["ALTER ROLE a RENAME TO b", "ALTER USER a SET search_path = x", "ALTER ROLE ALL RESET ALL", "CREATE GROUP g"]),
    (Privilege, &["GRANT SELECT ON t TO a", "REVOKE ALL ON t FROM a", "GRANT g TO a", "REVOKE g FROM a", "REASSIGN OWNED BY a TO b"]),
    (Privilege, &["ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO a", "DROP OWNED BY a", "CREATE SCHEMA s GRANT ALL ON t TO a"]),
    (
        SwitchRole,
        &["SET ROLE a", "SET ROLE NONE", "RESET ROLE", "SET LOCAL ROLE a", "set role = a", "SET \"role\" TO 'a'", "SET \"ROLE\" = a"],
    ),
    (SwitchRole, &["SET SESSION AUTHORIZATION a", "RESET SESSION AUTHORIZATION", "SET session_authorization = a"]),
    (SwitchRole, &["SELECT set_config('role', 'a', false)", "SELECT pg_catalog.set_config('Session_Authorization'::text, 'a', true)"]),
    (SwitchRole, &["WITH x AS (SELECT set_config(E'r\\157le', 'a', false)) TABLE x", "SELECT set_config(U&'\\0072ole', 'a', false)"]),
    (SwitchRole, &["ALTER DATABASE d SET role = a", "ALTER FUNCTION f() SET role = a", "SELECT x.set_config($$role$$, 'a', true)"]),
    (
        HiddenSetting,
        &["SELECT set_config('ro' || 'le', 'a', false)", "SELECT set_config($1, $2, false)", "SELECT set_config(n, v, true) FROM t"],
    ),
    (
        HiddenSetting,
        &[
            "EXPLAIN ANALYZE SELECT set_config(x => 'role', y => 'a', z => true)",
            "PREPARE p AS SELECT set_config(lower('ROLE'), 'a', true)",
        ],
    ),
    (
        ForeignServer,
        &["SELECT * FROM dblink('x', 'y') AS t(a int)", "SELECT public.dblink_connect('x')", "CREATE SERVER s FOREIGN DATA WRAPPER w"],
    ),
    (ForeignServer, &["ALTER SERVER s OPTIONS (host 'x')", "CREATE USER MAPPING FOR a SERVER s", "DROP USER MAPPING FOR a SERVER s"]),
    (
        ForeignServer,
        &["IMPORT FOREIGN SCHEMA s FROM SERVER x INTO y", "CREATE FOREIGN TABLE t (a int) SERVER s", "CREATE FOREIGN DATA WRAPPER w"],
    ),
    (ForeignServer, &["ALTER FOREIGN TABLE t OPTIONS (SET a 'b')", "CREATE OPERATOR ### (FUNCTION = dblink, RIGHTARG = text)"]),
    (
        Untrusted,
        &[
            "CREATE EXTENSION dblink",
            "CREATE EXTENSION IF NOT EXISTS postgres_fdw",
            "CREATE EXTENSION plperlu",
            "CREATE EXTENSION plpython3u",
        ],
    ),
    (
        Untrusted,
        &["CREATE EXTENSION adminpack", "ALTER EXTENSION file_fdw UPDATE", "CREATE LANGUAGE plperlu", "DO LANGUAGE plpython3u 'x'"],
    ),
    (Untrusted, &["CREATE FUNCTION f() RETURNS int LANGUAGE C AS 'x'", "CREATE FUNCTION f() RETURNS int LANGUAGE 'internal' AS 'x'"]),
    (
        SecurityDefiner,
        &["CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'", "ALTER FUNCTION f() SECURITY DEFINER"],
    ),
    (SecurityDefiner, &["CREATE PROCEDURE f() SECURITY DEFINER LANGUAGE plpgsql AS 'x'"]),
    (Program, &["COPY t TO PROGRAM 'x'", "COPY t FROM PROGRAM $$x$$", "COPY (SELECT 1) TO PROGRAM 'x'"]),
    (ServerFile, &["COPY t FROM '/x'", "COPY (SELECT 1) TO E'/x'", "SELECT pg_read_file('/x')", "SELECT pg_catalog.pg_ls_dir('/')"]),
    (ServerFile, &["SELECT lo_import('/x')", "SELECT lo_export(1, '/x')", "CREATE TABLE n AS SELECT pg_read_binary_file('/x')"]),
    (ServerFile, &["CREATE VIEW v AS SELECT pg_stat_file('/x')", "CREATE OPERATOR ### (FUNCTION = pg_read_file, RIGHTARG = text)"]),
    (ServerFile, &["INSERT INTO t VALUES (pg_read_file('/x'))", "SELECT a FROM t WHERE b IN (SELECT pg_ls_waldir()::text)"]),
    (
        ServerFile,
        &[
            "CREATE TABLE n (a text DEFAULT pg_read_file('/x'))",
            "CREATE RULE r AS ON SELECT TO t DO INSTEAD SELECT pg_read_file('/x') AS a",
        ],
    ),
    (
        ServerFile,
        &["DECLARE c CURSOR FOR SELECT lo_import('/x')", "COPY (SELECT pg_read_file('/x')) TO STDOUT", "CALL f(pg_read_file('/x'))"],
    ),
    (Library, &["LOAD 'x'"]),
    (
        ServerConfiguration,
        &["ALTER SYSTEM SET work_mem = 1", "ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()", "SELECT pg_switch_wal()"],
    ),
    (Replication, &["CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p", "CREATE PUBLICATION p FOR ALL TABLES", "DROP SUBSCRIPTION s"]),
    (Replication, &["ALTER PUBLICATION p ADD TABLE t", "SELECT pg_create_logical_replication_slot('a', 'b')"]),
    (Replication, &["SELECT * FROM pg_logical_slot_get_changes('a', NULL, NULL)", "SELECT pg_replication_origin_create('x')"]),
    (SystemCatalog, &["UPDATE pg_settings SET setting = 'a' WHERE name = 'role'", "DELETE FROM pg_catalog.pg_authid"]),
    (
        SystemCatalog,
        &["CREATE VIEW v AS SELECT * FROM pg_settings", "WITH x AS (UPDATE pg_catalog.pg_settings SET setting = 'a') SELECT 1"],
    ),
];

#[test]
fn what_leads_round_the_gateway_is_denied_at_any_depth() {
    for (denial, texts) in DENIED {
        for text in *texts {
            assert_eq!(only(text).denied, Some(*denial), "{text}");
            assert_eq!(Analysis::of(&format!("SELECT 1; {text};"), Strings::Standard).denied(), Some(*denial), "{text}");
        }
        assert!(!denial.code().is_empty() && !denial.sentence().is_empty());
    }
}

#[test]
fn ordinary_statements_are_not_denied() {
    let texts = [
        "SELECT 'SET ROLE a'",
        "SELECT role, password FROM users WHERE name = 'x' -- GRANT",
        "SET app.purpose = 'treatment'",
        "SELECT set_config('app.purpose', 'x', true)",
        "RESET ALL",
        "DISCARD ALL",
        "SELECT * FROM pg_settings",
        "CREATE EXTENSION pgcrypto",
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'x'",
        "CREATE FUNCTION f() RETURNS int RETURN 1",
        "ALTER FUNCTION f() SECURITY INVOKER",
        "COPY t FROM STDIN",
        "SELECT current_setting('role')",
        "ALTER TABLE t RENAME TO role",
        "INSERT INTO pgbench_history VALUES (1)",
        "SELECT pg_size_pretty(pg_relation_size('t'))",
        "DO $$ BEGIN END $$",
    ];
    for text in texts {
        assert_eq!(only(text).denied, None, "{text}");
    }
}

#[test]
fn a_session_can_follow_its_settings() {
    let one = |name: &str, value: Value, local| vec![Setting { name: Some(name.to_owned()), value, local }];
    let texts = |texts: &[&str]| Value::Texts(texts.iter().map(|text| (*text).to_owned()).collect());
    let all = || vec![Setting { name: None, value: Value::Default, local: false }];
    let cases = [
        ("SET app.Purpose = 'Treatment'", one("app.purpose", texts(&["Treatment"]), false)),
        ("SET LOCAL app.purpose TO treatment", one("app.purpose", texts(&["treatment"]), true)),
        ("SET search_path = a, \"B\", 'c d'", one("search_path", texts(&["a", "B", "c d"]), false)),
        ("SET SCHEMA 'x'", one("search_path", texts(&["x"]), false)),
        ("SET NAMES 'latin1'", one("client_encoding", texts(&["latin1"]), false)),
        ("SET standard_conforming_strings = off", one("standard_conforming_strings", texts(&["off"]), false)),
        ("SET work_mem = 4096", one("work_mem", texts(&["4096"]), false)),
        ("SET x.y TO DEFAULT", one("x.y", Value::Default, false)),
        ("RESET x.y", one("x.y", Value::Default, false)),
        ("RESET ALL", all()),
        ("DISCARD ALL", all()),
        ("SELECT set_config('App.x', 'v', true)", one("app.x", texts(&["v"]), true)),
        ("SELECT set_config('app.x', $1, true)", one("app.x", Value::Unknown, false)),
        ("SELECT set_config('app.x', 'v', true) WHERE false", one("app.x", Value::Unknown, false)),
        ("WITH a AS (SELECT 1) SELECT set_config('app.x', 'v', true)", one("app.x", Value::Unknown, false)),
        ("SELECT coalesce(set_config('app.x', 'v', true), '')", one("app.x", Value::Unknown, false)),
        ("SELECT 'SET a = b'", vec![]),
        ("ALTER DATABASE d SET app.x = 'v'", vec![]),
    ];
    for (text, expected) in cases {
        assert_eq!(only(text).settings, expected, "{text}");
    }
}

#[test]
fn transactions_and_handles_are_told() {
    let cases = [
        ("BEGIN", Transaction::Begin),
        ("START TRANSACTION READ ONLY", Transaction::Begin),
        ("END AND CHAIN", Transaction::Commit { chain: true }),
        ("ABORT", Transaction::Rollback { chain: false }),
        ("SAVEPOINT \"A\"", Transaction::Savepoint("A".to_owned())),
        ("RELEASE a", Transaction::Release("a".to_owned())),
        ("ROLLBACK TO SAVEPOINT a", Transaction::RollbackTo("a".to_owned())),
        ("PREPARE TRANSACTION 'x'", Transaction::Prepare),
        ("COMMIT PREPARED 'x'", Transaction::CommitPrepared),
        ("ROLLBACK PREPARED 'x'", Transaction::RollbackPrepared),
    ];
    for (text, expected) in cases {
        assert_eq!(only(text).transaction, Some(expected), "{text}");
    }
    assert_eq!(only("SELECT 1").transaction, None);
    let handles =
        ["PREPARE h AS SELECT 1", "EXECUTE h", "EXPLAIN EXECUTE h", "DEALLOCATE h", "DECLARE h CURSOR FOR SELECT 1", "FETCH h", "CLOSE h"];
    for text in handles {
        assert_eq!(only(text).handle.as_deref(), Some("h"), "{text}");
    }
    for text in ["DEALLOCATE ALL", "CLOSE ALL", "SELECT 1"] {
        assert_eq!(only(text).handle, None, "{text}");
    }
}

#[test]
fn each_statement_of_a_text_is_analysed_in_its_place() {
    let text = " SELECT 1;; /* ä */ DELETE FROM t ; SET ROLE a";
    let analysis = Analysis::of(text, Strings::Standard);
    let parts = analysis.statements.iter().map(|statement| text[statement.span.clone()].trim()).collect::<Vec<_>>();
    assert_eq!(parts, ["SELECT 1", "DELETE FROM t", "SET ROLE a"]);
    assert!(!analysis.read_only() && !analysis.opaque() && analysis.denied() == Some(SwitchRole));
    assert!(Analysis::of("SELECT 1; SHOW a; COMMIT", Strings::Standard).read_only());
    for text in ["", " ; ;", "-- nothing", "/* */"] {
        assert_eq!(Analysis::of(text, Strings::Standard), Analysis { why: None, statements: vec![] });
    }
}

#[test]
fn what_is_not_the_grammar_is_not_understood() {
    for text in
        ["SELEC 1", "SELECT 'x", "SELECT \"\"", "SELECT 1; DROP", "SELECT $$x", "SELECT * FROM t WHERE", "\u{feff}SELECT 1", "SELECT\0 1"]
    {
        let analysis = Analysis::of(text, Strings::Standard);
        assert_eq!(analysis.why, Some(NotUnderstood::Syntax), "{text:?}");
        assert!(analysis.statements.is_empty() && analysis.opaque() && !analysis.read_only());
    }
}

#[test]
fn strings_are_read_as_the_server_is_set() {
    let text = r"SELECT '\'; DELETE FROM t; --'";
    assert_eq!(Analysis::of(text, Strings::Backslash).statements.len(), 1);
    let standard = Analysis::of(text, Strings::Standard);
    assert_eq!(standard.statements.iter().map(|statement| statement.command.as_ref()).collect::<Vec<_>>(), ["SELECT", "DELETE"]);
}

/// The stack of a worker thread of tokio.
fn on_a_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap()
}

fn why_on_a_small_stack(text: String) -> Option<NotUnderstood> {
    on_a_small_stack(move || {
        let why = Analysis::of(&text, Strings::Standard).why;
        assert_eq!(fingerprint(&text, Strings::Standard).is_none(), why.is_some());
        why
    })
}

#[test]
fn what_is_too_long_is_refused() {
    let why = why_on_a_small_stack;
    let pad = |bytes: usize| format!("SELECT '{}'", "x".repeat(bytes - 9));
    assert_eq!(why(pad(MAX_TEXT_BYTES - 1)), None);
    assert_eq!(why(pad(MAX_TEXT_BYTES)), None);
    assert_eq!(why(pad(MAX_TEXT_BYTES + 1)), Some(NotUnderstood::TooLong));
    // Two tokens before, two with each more.
    let wide = |tokens: usize| format!("SELECT 1{}", ",1".repeat(tokens / 2 - 1));
    assert_eq!(why(wide(MAX_TOKENS - 2)), None);
    assert_eq!(why(wide(MAX_TOKENS)), None);
    assert_eq!(why(wide(MAX_TOKENS + 2)), Some(NotUnderstood::TooLong));
    let uncounted = |bytes: usize| Analysis::of(&format!("SELECT '\\n{}'", "x".repeat(bytes - 11)), Strings::Backslash).why;
    assert_eq!(uncounted(MAX_TOKENS), None);
    assert_eq!(uncounted(MAX_TOKENS + 1), Some(NotUnderstood::TooLong));
}

#[test]
fn what_is_too_deep_is_refused_and_nothing_falls_over() {
    let why = |text: String| on_a_small_stack(move || Analysis::of(&text, Strings::Standard).why);
    let within = |open: &str, close: &str, depth: usize| format!("SELECT {}1{}", open.repeat(depth), close.repeat(depth));
    for (open, close) in
        [("(", ")"), ("(SELECT ", ")"), ("abs(", ")"), ("NOT ", ""), ("~ ", ""), ("ARRAY[", "]"), ("CASE WHEN true THEN ", " END")]
    {
        assert_eq!(why(within(open, close, 10)), None, "{open}");
        for depth in [100, 1_000, 5_000, 11_000] {
            let expected = (open != "(" || depth > 5_000).then_some(NotUnderstood::TooDeep);
            assert_eq!(why(within(open, close, depth)), expected, "{open} {depth}");
        }
        // The limit on tokens is not what saves the stack.
        for depth in [100_000, 1_000_000] {
            let text = within(open, close, depth);
            assert!(
                on_a_small_stack(move || pg_query::parse(&text, 0).is_err() | pg_query::fingerprint(&text, 0, 0).is_ok()),
                "{open} {depth}"
            );
        }
    }
    assert_eq!(why(within("(", ")", 100_000)), Some(NotUnderstood::TooLong));
    // The tree holds a hundred levels: two for each call, and those around them.
    assert_eq!(why(within("abs(", ")", 46)), None);
    assert_eq!(why(within("abs(", ")", 48)), Some(NotUnderstood::TooDeep));
    assert_eq!(why(format!("SELECT {}1", "1 + ".repeat(30_000))), Some(NotUnderstood::TooDeep));
    assert_eq!(why(format!("SELECT 1{}", " UNION SELECT 1".repeat(20_000))), Some(NotUnderstood::TooDeep));
    // Wide is not deep.
    assert_eq!(why(format!("SELECT true{}", " OR a = 1".repeat(16_000))), None);
    assert_eq!(why(format!("INSERT INTO t VALUES (1){}", ", (1)".repeat(16_000))), None);
    assert_eq!(why(format!("WITH a AS (TABLE b){} SELECT 1", ", a AS (TABLE b)".repeat(9_000))), None);
}

#[test]
fn a_fingerprint_does_not_see_literals_and_sees_names() {
    let of = |text| fingerprint(text, Strings::Standard).unwrap();
    assert_eq!(of("SELECT a FROM t WHERE b = 1"), of("select a from t where b = 'x' -- y"));
    for other in ["SELECT a FROM s.t WHERE b = 1", "SELECT a FROM t1 AS t WHERE b = 1", "SELECT c FROM t WHERE b = 1"] {
        assert_ne!(of("SELECT a FROM t WHERE b = 1"), of(other), "{other}");
    }
    assert_ne!(of("SELECT a FROM t10"), of("SELECT a FROM t20"));
    assert_eq!(of("SELECT 1").len(), 16);
    assert_eq!(fingerprint("SELEC", Strings::Standard), None);
}

const PLACES: &[&str] = &[
    "SELECT {}",
    "SELECT 1 FROM t WHERE a = {}",
    "SELECT abs({})",
    "SELECT CASE {} WHEN 1 THEN 2 END",
    "SELECT CASE WHEN true THEN {} END",
    "SELECT CASE WHEN true THEN 1 ELSE {} END",
    "SELECT ({})::int",
    "SELECT a[{}] FROM t",
    "SELECT a[1:{}] FROM t",
    "SELECT ({}).x",
    "SELECT ROW(1, {})",
    "SELECT ARRAY[1, {}]",
    "SELECT COALESCE(1, {})",
    "SELECT GREATEST(1, {})",
    "SELECT NULLIF(1, {})",
    "SELECT {} IS NULL",
    "SELECT {} IS TRUE",
    "SELECT 1 BETWEEN 0 AND {}",
    "SELECT 1 IN (1, {})",
    "SELECT 'a' LIKE 'b' ESCAPE {}",
    "SELECT {} COLLATE \"C\"",
    "SELECT f(x => {})",
    "SELECT f(VARIADIC {})",
    "SELECT array_agg(a ORDER BY {}) FROM t",
    "SELECT percentile_cont({}) WITHIN GROUP (ORDER BY a) FROM t",
    "SELECT sum(a) OVER (ROWS {} PRECEDING) FROM t",
    "SELECT DISTINCT ON ({}) a FROM t",
    "SELECT a FROM t GROUP BY GROUPING SETS ((a), ({}))",
    "SELECT a FROM t OFFSET {}",
    "SELECT a FROM t FETCH FIRST ({}) ROWS ONLY",
    "SELECT * FROM f({})",
    "SELECT * FROM a JOIN b ON {}",
    "SELECT * FROM t TABLESAMPLE system ({})",
    "SELECT * FROM t TABLESAMPLE system (1) REPEATABLE ({})",
    "SELECT * FROM JSON_TABLE({}, '$' COLUMNS (a int PATH '$'))",
    "SELECT JSON_VALUE({}, '$')",
    "SELECT JSON_OBJECT('a': {})",
    "SELECT JSON_ARRAY({})",
    "SELECT JSON_ARRAYAGG({})",
    "SELECT XMLELEMENT(NAME a, XMLATTRIBUTES({} AS b))",
    "SELECT XMLSERIALIZE(CONTENT {} AS text)",
    "SELECT {} IS JSON",
    "SELECT {} AT TIME ZONE 'UTC'",
    "SELECT OVERLAY('a' PLACING {} FROM 1)",
    "VALUES ({})",
    "INSERT INTO t VALUES ({})",
    "INSERT INTO t VALUES (1) ON CONFLICT (a) WHERE {} DO NOTHING",
    "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1 WHERE {}",
    "INSERT INTO t VALUES (1) RETURNING {}",
    "UPDATE t SET a = {}",
    "UPDATE t SET a[{}] = 1",
    "DELETE FROM t WHERE {}",
    "MERGE INTO t USING u ON {} WHEN MATCHED THEN DELETE",
    "MERGE INTO t USING u ON true WHEN MATCHED AND {} THEN DO NOTHING",
    "MERGE INTO t USING u ON true WHEN NOT MATCHED THEN INSERT VALUES ({})",
    "COPY t FROM STDIN WHERE {}",
    "COPY (SELECT {}) TO STDOUT",
    "EXECUTE p({})",
    "CALL p({})",
    "CREATE POLICY p ON t USING ({})",
    "CREATE POLICY p ON t WITH CHECK ({})",
    "CREATE RULE r AS ON UPDATE TO t WHERE {} DO NOTHING",
    "CREATE TRIGGER g BEFORE UPDATE ON t WHEN ({}) EXECUTE FUNCTION f()",
    "CREATE TABLE n (a int DEFAULT {})",
    "CREATE TABLE n (CHECK ({}))",
    "ALTER TABLE t ALTER a TYPE int USING {}",
    "ALTER DOMAIN d ADD CHECK ({})",
    "CREATE FUNCTION f(a int DEFAULT {}) RETURNS int LANGUAGE sql RETURN 1",
    "CREATE FUNCTION f() RETURNS int RETURN {}",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT {}; END",
    "CREATE STATISTICS s ON a, ({}) FROM t",
    "CREATE INDEX ON t (({}))",
    "CREATE TABLE n PARTITION OF t FOR VALUES FROM ({}) TO (1)",
    "CREATE VIEW v AS SELECT {}",
    "DECLARE c CURSOR FOR SELECT {}",
    "SELECT 1 = ANY ({})",
    "SELECT (1, {}) = (2, 3)",
    "SELECT XMLPARSE(CONTENT {})",
    "SELECT JSON_QUERY('1', '$' PASSING {} AS x)",
    "SELECT JSON_VALUE('1', '$' DEFAULT {} ON EMPTY)",
    "WITH RECURSIVE w AS (SELECT 1 AS a) CYCLE a SET b TO 1 DEFAULT 2 USING c SELECT {} FROM w",
];

#[test]
fn a_table_is_never_lost_where_expressions_can_stand() {
    for place in PLACES {
        let statement = only(&place.replace("{}", "(SELECT ssn FROM hidden WHERE pg_read_file('x') = '')"));
        assert!(statement.relations.iter().any(|relation| relation.name == "hidden" && relation.read), "{place}");
        assert!(statement.columns.iter().any(|column| column.name.as_deref() == Some("ssn")), "{place}");
        assert!(statement.denied.is_some() && !statement.read_only, "{place}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = Analysis::of(&text, Strings::Standard);
        let _ = Analysis::of(&text, Strings::Backslash);
        let _ = redact(&text, Strings::Standard);
    }

    #[test]
    fn no_text_of_sql_words_panics_and_spans_are_in_it(words in prop::collection::vec(0_usize..40, 0..24)) {
        let vocabulary = [
            "SELECT", "FROM", "t", ",", "(", ")", "WITH", "x", "AS", "DELETE", "INSERT INTO", "VALUES", "1", "'a'", "PASSWORD", "ALTER ROLE", "SET",
            "=", ".", "*", ";", "UNION", "ä", "$$ü$$", "E'\\n'", "U&\"\\0061\"", "--c\n", "/*", "*/", "WHERE", "set_config", "dblink", "'password'",
            "JOIN", "ON", "true", "CREATE VIEW", "COPY", "TO STDOUT", "EXPLAIN",
        ];
        let text = words.iter().map(|word| vocabulary[*word]).collect::<Vec<_>>().join(" ");
        for strings in [Strings::Standard, Strings::Backslash] {
            for statement in Analysis::of(&text, strings).statements {
                prop_assert!(text.get(statement.span.clone()).is_some());
            }
            let _ = redact(&text, strings);
        }
    }
}
