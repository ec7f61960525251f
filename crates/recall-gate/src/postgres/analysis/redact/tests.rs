use super::*;

const SECRET: &str = "hunter2";

const CASES: &[(&str, &str, &str)] = &[
    ("CREATE ROLE a PASSWORD 'hunter2'", "CREATE ROLE a PASSWORD '***'", "password"),
    (
        "alter user a with encrypted password $$hunter2$$ valid until '2030-01-01'",
        "alter user a with encrypted password '***' valid until '2030-01-01'",
        "password",
    ),
    ("ALTER ROLE a PASSWORD E'hun\\x74er2hunter2' LOGIN", "ALTER ROLE a PASSWORD '***' LOGIN", "password"),
    ("ALTER ROLE a PASSWORD U&'\\0068hunter2' UESCAPE '!'", "ALTER ROLE a PASSWORD '***' UESCAPE '!'", "password"),
    ("CREATE USER a PASSWORD\n'hun'\n  'hunter2' ; SELECT 'ä'", "CREATE USER a PASSWORD\n'***' ; SELECT 'ä'", "password"),
    ("SELECT 'ü'; ALTER ROLE a PASSWORD /* 'x' */ 'hunter2'", "SELECT 'ü'; ALTER ROLE a PASSWORD /* 'x' */ '***'", "password"),
    (
        "ALTER ROLE a PASSWORD $x$hunter2$x$; ALTER ROLE b PASSWORD 'hunter2'",
        "ALTER ROLE a PASSWORD '***'; ALTER ROLE b PASSWORD '***'",
        "password",
    ),
    ("ALTER ROLE a PASSWORD 'it''s hunter2'", "ALTER ROLE a PASSWORD '***'", "password"),
    (
        "CREATE SUBSCRIPTION s CONNECTION 'host=x password=hunter2' PUBLICATION p",
        "CREATE SUBSCRIPTION s CONNECTION '***' PUBLICATION p",
        "connection string",
    ),
    ("ALTER SUBSCRIPTION s CONNECTION $$hunter2$$", "ALTER SUBSCRIPTION s CONNECTION '***'", "connection string"),
    (
        "CREATE SUBSCRIPTION s CONNECTION E'hunter2\\n' PUBLICATION p WITH (enabled = false)",
        "CREATE SUBSCRIPTION s CONNECTION '***' PUBLICATION p WITH (enabled = false)",
        "connection string",
    ),
    (
        "CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'u', password 'hunter2')",
        "CREATE USER MAPPING FOR a SERVER s OPTIONS (user 'u', password '***')",
        "password",
    ),
    (
        "ALTER USER MAPPING FOR a SERVER s OPTIONS (SET \"password\" $$hunter2$$, ADD user 'u')",
        "ALTER USER MAPPING FOR a SERVER s OPTIONS (SET \"password\" '***', ADD user 'u')",
        "password",
    ),
    (
        "CREATE USER MAPPING FOR a SERVER s OPTIONS (U&\"p!0061ssword\" UESCAPE '!' 'hunter2')",
        "CREATE USER MAPPING FOR a SERVER s OPTIONS (U&\"p!0061ssword\" UESCAPE '!' '***')",
        "password",
    ),
    (
        "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'h', url 'pg://u:hunter2@h')",
        "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (host 'h', url '***')",
        "option",
    ),
    ("SELECT dblink_connect('c', 'host=x password=hunter2')", "SELECT dblink_connect('***', '***')", "dblink arguments"),
    (
        "SELECT * FROM dblink('hunt' || 'hunter2', $$SELECT 1$$) AS t(a int) WHERE a = 1",
        "SELECT * FROM dblink('***' || '***', '***') AS t(a int) WHERE a = 1",
        "dblink arguments",
    ),
    ("SELECT x.dblink_exec(E'hunter2', lower('a'))", "SELECT x.dblink_exec('***', lower('***'))", "dblink arguments"),
    ("SET app.api_secret = 'hunter2'", "SET app.api_secret = '***'", "setting"),
    ("SET LOCAL app.Password TO hunter2", "SET LOCAL app.Password TO '***'", "setting"),
    ("SELECT set_config('app.password', 'hun' || 'hunter2', false)", "SELECT set_config('***', '***' || '***', false)", "setting"),
    ("ALTER DATABASE d SET app.token = \"hunter2\"", "ALTER DATABASE d SET app.token = '***'", "setting"),
    ("EXPLAIN SELECT set_config($1, 'hunter2', true), 'b'", "EXPLAIN SELECT set_config($1, '***', true), 'b'", "setting"),
    ("DO $$ BEGIN ALTER ROLE a PASSWORD 'hunter2'; END $$", "DO '***'", "code"),
    (
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN ALTER ROLE a PASSWORD ''hunter2''; END'",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS '***'",
        "code",
    ),
    ("DO LANGUAGE plpgsql E'BEGIN alter role a password \\'hunter2\\'; END'", "DO LANGUAGE plpgsql '***'", "code"),
    ("SELECT 1 -- ALTER ROLE a PASSWORD 'hunter2'", "SELECT 1 /***/", "comment"),
    ("/* /* */ password 'hunter2' */ SELECT 1", "/***/ SELECT 1", "comment"),
];

#[test]
fn secrets_are_nowhere_in_what_is_recorded_and_all_else_is() {
    for (text, expected, kind) in CASES {
        assert!(text.contains(SECRET));
        let redacted = redact(text, Strings::Standard);
        assert_eq!(redacted.text, *expected);
        assert_eq!(redacted.redactions, [*kind], "{text}");
        assert!(!redacted.text.contains(SECRET));
    }
    let both = redact("/* hunter2 */ ALTER ROLE a PASSWORD 'hunter2' -- was hunter2", Strings::Standard);
    assert_eq!((both.text.as_ref(), both.redactions.as_slice()), ("/***/ ALTER ROLE a PASSWORD '***' /***/", &["comment", "password"][..]));
}

#[test]
fn a_signed_number_is_one_secret() {
    assert_eq!(redact("SET app.secret = -12345", Strings::Standard).text, "SET app.secret = '***'");
    assert_eq!(redact("SET app.secret = 12345", Strings::Standard).text, "SET app.secret = '***'");
}

#[test]
fn what_does_not_parse_and_names_a_password_is_withheld_whole() {
    let long = format!("ALTER ROLE a PASSWORD 'hunter2' /* {} */", "x".repeat(super::super::MAX_TEXT_BYTES));
    let deep = format!("SELECT {}'password hunter2'{}", "abs(".repeat(100), ")".repeat(100));
    let texts = [
        "ALTER ROLE a PASSWORD 'hunter2",
        "ALTER ROL a pAssWord 'hunter2'",
        "SELECT 1; CREATE USER a UNENCRYPTED PASSWORD 'hunter2'",
        &long,
        &deep,
    ];
    for text in texts {
        let redacted = redact(text, Strings::Standard);
        assert_eq!(redacted, Redacted::withheld(WITHHELD_UNPARSED));
        assert_eq!(redacted.redactions, ["statement"]);
    }
}

#[test]
fn where_a_backslash_escapes_nothing_is_guessed() {
    for text in [
        r"ALTER ROLE a PASSWORD 'hun\'ter2'",
        r"ALTER ROLE a PASSWORD 'x\' hunter2 \''",
        r"SELECT '\' password '",
        r"SELECT set_config('app.token', '\'', false)",
    ] {
        let redacted = redact(text, Strings::Backslash);
        assert_eq!(redacted.redactions, ["statement"], "{text}");
        assert!(!redacted.text.contains("ter2"));
    }
    assert_eq!(redact("ALTER ROLE a PASSWORD 'hunter2'", Strings::Backslash).text, "ALTER ROLE a PASSWORD '***'");
    assert_eq!(redact(r"SELECT 'pass\'ed'", Strings::Backslash), Redacted::nothing(r"SELECT 'pass\'ed'"));
}

#[test]
fn what_holds_no_secret_is_left_alone() {
    let texts = [
        "SELECT abalance FROM pgbench_accounts WHERE aid = 12345;",
        "SELECT * FROM users WHERE password = 'x'",
        "SELECT 'password' -- the password column",
        "ALTER ROLE a PASSWORD NULL",
        "SET app.purpose = 'treatment'",
        "SELECT set_config('app.purpose', 'treatment', false)",
        "DO $$ BEGIN END $$ -- pass",
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT ''pass'''",
        "SELEC 'secret'",
        "",
    ];
    for text in texts {
        let redacted = redact(text, Strings::Standard);
        assert_eq!(redacted, Redacted::nothing(text));
        assert!(matches!(redacted.text, Cow::Borrowed(_)));
    }
}
