"""What psycopg 3, asyncpg and SQLAlchemy see of one corpus of statements and types, straight at a PostgreSQL server and through a gateway.

usage: drivers.py DIRECT GATEWAY, both URLs of one database that holds the test's hospital. Prints one JSON object: for each driver the number
of comparisons and those that differ. It must not know what a gateway records.
"""

import asyncio
import datetime
import decimal
import json
import re
import sys
import threading
import uuid

import asyncpg
import psycopg
import sqlalchemy as sa
from psycopg import pq, sql
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

WORDS = "Zoë's \"quoted\" \\ back\nand a second line"
MOMENT = datetime.datetime(2026, 2, 3, 4, 5, 6, 789000, datetime.timezone.utc)
NUMBER = decimal.Decimal("-12345.6700")
IDENTIFIER = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
DATABASE = """
DROP TABLE IF EXISTS notes, wards, kinds CASCADE; DROP TYPE IF EXISTS place, mood;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE place AS (street text, number integer);
CREATE TABLE kinds (id serial PRIMARY KEY, n bigint, t text, m numeric(12,4), at timestamptz, u uuid, b bytea, j jsonb, tags text[], CHECK (n < 1000));
CREATE TABLE wards (id integer PRIMARY KEY, name varchar(40) NOT NULL UNIQUE);
CREATE TABLE notes (id serial PRIMARY KEY, ward_id integer NOT NULL REFERENCES wards (id), body text DEFAULT 'none', at timestamptz);
CREATE INDEX notes_body ON notes (body);
"""

# Each is selected as it is and as a parameter of its type.
LITERALS = [
    ("bool", "t"), ("bool", "f"), ("int2", "-32768"), ("int4", "2147483647"), ("int8", "-9223372036854775808"), ("oid", "4294967295"),
    ("float4", "1.5"), ("float8", "-2.25"), ("float8", "NaN"), ("float8", "Infinity"), ("numeric", "-12345.6700"), ("numeric", "NaN"),
    ("numeric", "100000000000000000000000000000.000000001"), ("numeric", "0"), ("money", "12.34"), ("text", WORDS), ("text", ""),
    ("varchar(5)", "abc"), ("char(5)", "abc"), ('"char"', "x"), ("name", "a_name"), ("bytea", r"\x00ff5c27"), ("date", "1999-12-31"),
    ("date", "infinity"), ("date", "0044-03-15 BC"), ("time", "23:59:59.999999"), ("timetz", "12:00:00+02"), ("timestamp", "2026-02-03 04:05:06.789"),
    ("timestamptz", "2026-02-03 04:05:06.789+02"), ("timestamptz", "-infinity"), ("interval", "1 year 2 mons -3 days 04:05:06.7"),
    ("uuid", str(IDENTIFIER)), ("json", '{"a": [1, null]}'), ("jsonb", '{"a": [1, null]}'), ("xml", "<a>b</a>"), ("inet", "192.168.0.1/24"),
    ("cidr", "10.0.0.0/8"), ("macaddr", "08:00:2b:01:02:03"), ("bit(3)", "101"), ("varbit", "10101"), ("point", "(1,2)"),
    ("box", "(3,4),(1,2)"), ("circle", "<(1,2),3>"), ("int4[]", "{{1,2},{3,NULL}}"), ("text[]", '{a,"b,c",NULL}'), ("uuid[]", "{%s}" % IDENTIFIER),
    ("int4range", "[1,5)"), ("tstzrange", "[2026-01-01 00:00+00,)"), ("int4multirange", "{[1,2),[5,9)}"), ("mood", "ok"), ("place", '("Long Lane",7)'),
    ("place[]", '{"(a,1)","(b,2)"}'), ("tsvector", "'a' 'b'"), ("regclass", "patients"), ("pg_lsn", "16/B374D848"),
]  # fmt: skip
VALUES = [7, -70_000, 1 << 40, 1.5, True, None, "Zoë", "", WORDS, b"\x00\xff", NUMBER, decimal.Decimal("0.0001"), IDENTIFIER, MOMENT, MOMENT.date()]
VALUES += [MOMENT.replace(tzinfo=None), datetime.timedelta(days=-1, seconds=5), [1, 2, None], ["a", 'b"c'], datetime.time(1, 2, 3), "x" * 100_000]

STATEMENTS = [
    "", ";", "-- nothing", "SELECT", "SELECT 1 AS a, 'b' AS \"B c\", NULL", "SELECT 1; SELECT 2, 3; SELECT 4 WHERE false",
    "SELECT * FROM patients ORDER BY id", "SELECT name, ssn FROM patients WHERE id = 'MRN-1'", "SELECT * FROM visits ORDER BY at",
    "SELECT * FROM everybody ORDER BY who", "SELECT count(*), min(born) FROM patients", "TABLE scratch", "VALUES (1, 'a'), (2, NULL)",
    "SELECT p, v FROM patients p JOIN visits v ON v.patient_id = p.id ORDER BY p.id", "SELECT ARRAY(SELECT id FROM patients ORDER BY id)",
    "SELECT g, repeat('x', g) FROM generate_series(1, 2000) g", "EXPLAIN (COSTS off) SELECT * FROM patients WHERE id = 'MRN-1'",
    "INSERT INTO scratch VALUES (1, 'one'), (2, 'two') RETURNING *", "INSERT INTO scratch VALUES (1, 'again')",
    "INSERT INTO scratch VALUES (1, 'uno') ON CONFLICT (n) DO UPDATE SET t = excluded.t RETURNING n, t", "UPDATE scratch SET t = t || '!'",
    "WITH gone AS (DELETE FROM scratch WHERE n = 2 RETURNING *) SELECT * FROM gone", "DELETE FROM scratch", "TRUNCATE scratch",
    "CREATE TEMPORARY TABLE passing AS SELECT 1 AS x", "ALTER TABLE passing ADD y text", "SELECT * FROM passing", "DROP TABLE passing",
    "SET application_name TO DEFAULT", "SHOW server_version", "SELECT current_user, current_database()", "SET LOCAL work_mem = '8MB'",
    "SELECT nothing FROM patients", "SELECT * FROM nowhere", "SELEC 1", "SELECT 1/0", "SELECT 'x'::integer", "SELECT 'unclosed", "RAISE",
    "SELECT nofunction(1)", "INSERT INTO visits VALUES ('MRN-1', NULL)", "INSERT INTO kinds (n) VALUES (1000)", "DROP TABLE nowhere",
    "DROP TABLE IF EXISTS nowhere", "COMMIT", "ROLLBACK", "SAVEPOINT outside", "DO $$ BEGIN RAISE NOTICE 'a notice'; END $$",
    "DO $$ BEGIN RAISE EXCEPTION 'mine' USING ERRCODE = 'P0042', DETAIL = 'd', HINT = 'h'; END $$", "SELECT /* a */ 1 -- b", "SELECT U&'\\0041', E'\\n', $q$'$q$",
    "PREPARE mine (integer) AS SELECT $1 + 1", "EXECUTE mine (41)", "EXECUTE mine ('x')", "DEALLOCATE mine", "EXECUTE mine (1)", "LOCK TABLE scratch",
]  # fmt: skip


class Seen:
    """What one pass has seen, by the name of each thing, in order."""

    def __init__(self):
        self.things = {}

    def add(self, name, thing):
        # Where Python keeps an object is nothing that the server said.
        self.things[f"{len(self.things)} {name}"] = re.sub(r" at 0x[0-9a-f]+", "", repr(thing))


# Relations that are there in both passes. Others are made anew in each and have other numbers.
LASTING = set()


def application(driver, url, straight):
    """What a session calls itself, so that the log of the server tells the two passes apart."""
    return f"{driver} straight" if url == straight else driver


# psycopg


def said(error):
    """All that an error or notice of the server says."""
    fields = getattr(error, "diag", error)
    names = [name for name in dir(fields) if not name.startswith("_") and isinstance(getattr(fields, name), (str, type(None)))]
    return type(error).__name__, getattr(error, "sqlstate", None), [(name, getattr(fields, name)) for name in names]


def answer(result):
    """All that libpq knows of a result, bytes as they came."""
    columns = range(result.nfields)
    described = [
        [getattr(result, what)(column) for what in ("fname", "ftype", "fmod", "fsize", "fformat", "ftable", "ftablecol")] for column in columns
    ]
    for column in described:
        column[5] = column[5] if column[5] in LASTING else bool(column[5])
    rows = [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)]
    parameters = [result.param_type(at) for at in range(result.nparams)]
    return result.status, result.command_status, result.command_tuples, described, parameters, rows


def psycopg_run(seen, conn, name, statement, *args, **options):
    """One statement: every result of it, or its error; then the state of the session."""
    binary = options.pop("binary", False)
    with conn.cursor(binary=binary) as cursor:
        try:
            cursor.execute(statement, *args, **options)
            results = []
            while True:
                results.append((answer(cursor.pgresult), cursor.fetchall() if cursor.description else None, cursor.description))
                if not cursor.nextset():
                    break
            seen.add(name, results)
        except psycopg.Error as error:
            if conn.closed:
                raise RuntimeError(f"the session ended at {name}") from error
            seen.add(name, said(error))
    seen.add(f"state after {name}", conn.info.transaction_status)


def psycopg_results(seen, conn, _):
    for statement in STATEMENTS:
        # Without parameters psycopg sends a simple query; binary results and prepared statements are extended.
        psycopg_run(seen, conn, f"simple {statement}", statement)
        psycopg_run(seen, conn, f"extended {statement}", statement, binary=True)
        psycopg_run(seen, conn, f"prepared {statement}", statement, prepare=True)
    for kind, literal in LITERALS:
        for binary in (False, True):
            psycopg_run(seen, conn, f"{kind} {binary}", sql.SQL("SELECT {}::" + kind + " AS v").format(literal), binary=binary)
            psycopg_run(seen, conn, f"{kind} parameter {binary}", f"SELECT %s::text::{kind} AS v", [literal], binary=binary)
    for value in VALUES:
        for form in ("%s", "%t", "%b"):
            psycopg_run(seen, conn, f"value {value!r:.40} {form}", f"SELECT {form} AS v, pg_typeof({form})::text", [value, value], binary=form == "%b")
    for name in ("server_version", "client_encoding", "DateStyle", "TimeZone", "is_superuser", "session_authorization", "in_hot_standby"):
        seen.add(name, conn.info.parameter_status(name))
    psycopg_run(seen, conn, "SET TimeZone", "SET TimeZone = 'Asia/Tokyo'")
    seen.add("TimeZone", conn.info.parameter_status("TimeZone"))
    seen.add("number of the process", conn.execute("SELECT pg_backend_pid()").fetchone()[0] == conn.info.backend_pid)


def psycopg_prepared(seen, conn, _):
    for at in range(50):
        psycopg_run(seen, conn, "often", "SELECT %s::int4 + 1, %s::text", [at, f"run {at}"], prepare=True, binary=at % 2 == 1)
    with conn.cursor() as cursor:
        cursor.executemany("INSERT INTO scratch VALUES (%s, %s) RETURNING n", [(n, f"many {n}") for n in range(100)], returning=True)
        seen.add("executemany", [answer(cursor.pgresult)] + [answer(cursor.pgresult) for _ in iter(cursor.nextset, None)])
        cursor.executemany("UPDATE scratch SET t = %s WHERE n = %s", [(f"again {n}", n) for n in range(20)])
        seen.add("executemany without results", cursor.rowcount)
        try:
            cursor.executemany("INSERT INTO scratch VALUES (%s, 'x')", [(200,), (5,), (201,)])
        except psycopg.Error as error:
            seen.add("executemany that fails", said(error))
    psycopg_run(seen, conn, "what it left", "SELECT * FROM scratch ORDER BY n")
    for name, statement in (("by name", b"SELECT $1::int8, $2::uuid"), ("wrong", b"SELECT $1::nothing")):
        seen.add(f"prepare {name}", answer(conn.pgconn.prepare(name.encode(), statement)))
        seen.add(f"describe {name}", answer(conn.pgconn.describe_prepared(name.encode())))
        for values in ([b"7", str(IDENTIFIER).encode()], [b"x", None], [b"1"]):
            result = conn.pgconn.exec_prepared(name.encode(), values)
            seen.add(f"execute {name}", (answer(result), result.error_message))
    seen.add("describe nothing", answer(conn.pgconn.describe_portal(b"nothing")))


def psycopg_cursors(seen, conn, _):
    for binary in (False, True):
        with conn.transaction(), conn.cursor("mine", binary=binary) as cursor:
            cursor.itersize = 2
            cursor.execute("SELECT id, born FROM patients WHERE id <> %s ORDER BY id", ["nobody"])
            seen.add("cursor", (cursor.description, list(cursor), cursor.statusmessage))
        with conn.transaction(), conn.cursor("scrolls", scrollable=True, binary=binary) as cursor:
            cursor.execute("SELECT g FROM generate_series(1, 100) g")
            seen.add("cursor", (cursor.fetchmany(3), cursor.scroll(10), cursor.fetchone(), cursor.scroll(0, "absolute"), cursor.fetchall()[:4]))
    try:
        conn.cursor("outside").execute("SELECT 1")
    except psycopg.Error as error:
        seen.add("cursor outside", said(error))
    with conn.cursor(row_factory=dict_row) as cursor:
        seen.add("stream", list(cursor.stream("SELECT id, %s::text AS t FROM patients ORDER BY id", ["streamed"])))


def psycopg_transactions(seen, conn, _):
    for script in (
        "BEGIN|INSERT INTO scratch VALUES (500)|SAVEPOINT a|SELECT 1/0|SELECT 1|ROLLBACK TO a|SELECT count(*) FROM scratch|RELEASE a|COMMIT",
        "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY|DELETE FROM scratch|COMMIT",
        "BEGIN|BEGIN|COMMIT AND CHAIN|ROLLBACK|ROLLBACK",
    ):
        for statement in script.split("|"):
            psycopg_run(seen, conn, statement, statement)
    for fails in (False, True):
        try:
            with conn.transaction():
                conn.execute("INSERT INTO scratch VALUES (%s)", [600])
                with conn.transaction(force_rollback=True):
                    conn.execute("DELETE FROM scratch")
                conn.execute("SELECT 1/%s", [0 if fails else 1])
        except psycopg.Error as error:
            seen.add("transaction", said(error))
    psycopg_run(seen, conn, "what it left", "SELECT n FROM scratch WHERE n >= 500 ORDER BY n")


def psycopg_pipeline(seen, conn, _):
    for prepare in (False, True):
        got = []
        try:
            with conn.pipeline() as pipeline:
                cursors = [conn.execute("SELECT %s::int4 AS n", [n], prepare=prepare) for n in range(5)]
                pipeline.sync()
                got.append([cursor.fetchall() for cursor in cursors])
                cursors = [conn.execute("SELECT %s::text || id FROM patients WHERE 1/%s::int4 > 0", [f"p{n}", n], prepare=prepare) for n in (1, 0, 1)]
                got.append(cursors[0].fetchall())
                pipeline.sync()
        except psycopg.Error as error:
            got.append(said(error))
        seen.add("pipeline", got)
        with conn.pipeline():
            seen.add("pipeline afterwards", conn.execute("SELECT %s::text", ["recovered"]).fetchall())
    with conn.pipeline(), conn.transaction():
        conn.execute("UPDATE scratch SET t = %s WHERE n = 1", ["piped"])
        seen.add("pipeline in a transaction", conn.execute("SELECT t FROM scratch WHERE n = 1").fetchall())


def psycopg_copy(seen, conn, _):
    columns = "(n, t, m, at, u, b)"
    for form in ("text", "binary"):
        with conn.cursor() as cursor:
            with cursor.copy(f"COPY kinds {columns} FROM STDIN (FORMAT {form})") as copy:
                copy.set_types(["int8", "text", "numeric", "timestamptz", "uuid", "bytea"])
                for n in range(300):
                    copy.write_row((n, WORDS if n % 2 else None, NUMBER, MOMENT, IDENTIFIER, b"\x00\xff"))
            seen.add(f"COPY FROM {form}", (cursor.statusmessage, cursor.rowcount))
            with cursor.copy(f"COPY (SELECT n, t, m, at, u, b FROM kinds ORDER BY id) TO STDOUT (FORMAT {form})") as copy:
                seen.add(f"COPY TO {form}", b"".join(bytes(part) for part in copy))
            with cursor.copy(f"COPY patients TO STDOUT (FORMAT {form})") as copy:
                seen.add(f"COPY patients {form}", [bytes(part) for part in copy])
            with cursor.copy("COPY patients TO STDOUT") as copy:
                copy.set_types(["text", "text", "text", "date"])
                seen.add("COPY rows", list(copy.rows()))
        for wrong in (b"1\ttoo\tmany\n", b"x\n", None):
            try:
                with conn.cursor() as cursor, cursor.copy(f"COPY scratch FROM STDIN (FORMAT {form})") as copy:
                    if wrong is None:
                        raise ValueError("the client gives up")
                    copy.write(wrong)
            except psycopg.Error as error:
                seen.add("COPY of what is wrong", said(error))
            except ValueError as error:
                seen.add("COPY that is given up", (repr(error), conn.info.transaction_status))
    psycopg_run(seen, conn, "after COPY", "SELECT count(*) FROM kinds")


def psycopg_notify(seen, conn, other):
    for statement in ("LISTEN news", "LISTEN \"Odd one\"", "NOTIFY news, 'from myself'"):
        psycopg_run(seen, conn, statement, statement)
    seen.add("notice to myself", [(n.channel, n.payload, n.pid == conn.info.backend_pid) for n in conn.notifies(timeout=20, stop_after=1)])
    other.execute("SELECT pg_notify('Odd one', 'from another')")
    got = [(n.channel, n.payload, n.pid == other.info.backend_pid) for n in conn.notifies(timeout=20, stop_after=1)]
    seen.add("notice from another", got)
    psycopg_run(seen, conn, "UNLISTEN *", "UNLISTEN *")
    notices = []
    conn.add_notice_handler(lambda notice: notices.append(said(notice)))
    for binary in (False, True):
        psycopg_run(seen, conn, "a notice", "DO $$ BEGIN RAISE WARNING 'careful' USING HINT = 'with it'; END $$", binary=binary)
    seen.add("notices", notices)


def wait_for(conn, statement):
    asked = "SELECT count(*) FROM pg_stat_activity WHERE query = %s AND state = 'active' AND usename = current_user AND wait_event = 'PgSleep'"
    while conn.execute(asked, [statement]).fetchone() == (0,):
        pass


def psycopg_cancel(seen, conn, other):
    for binary in (False, True):
        ends = threading.Thread(target=lambda: (wait_for(other, "SELECT pg_sleep(601)"), conn.cancel_safe()))
        ends.start()
        psycopg_run(seen, conn, "cancelled", "SELECT pg_sleep(601)", binary=binary)
        ends.join()
    psycopg_run(seen, conn, "after it", "SELECT 1")


def with_psycopg(seen, url, straight):
    parts = (psycopg_results, psycopg_prepared, psycopg_cursors, psycopg_transactions, psycopg_pipeline, psycopg_copy, psycopg_notify, psycopg_cancel)
    with psycopg.connect(straight, autocommit=True) as other:
        for part in parts:
            with psycopg.connect(url, autocommit=True, application_name=application("psycopg", url, straight)) as conn:
                part(seen, conn, other)


# asyncpg


async def asyncpg_run(seen, name, awaited):
    try:
        seen.add(name, await awaited)
    except Exception as error:  # what the driver itself makes of an answer is part of what is seen
        seen.add(name, (type(error).__name__, getattr(error, "as_dict", dict)()))


async def asyncpg_prepared(seen, conn, statement, *values):
    prepared = await conn.prepare(statement)
    seen.add(f"described {statement}", (prepared.get_parameters(), prepared.get_attributes()))
    seen.add(f"rows {statement}", (await prepared.fetch(*values), prepared.get_statusmsg()))


async def asyncpg_back(seen, conn, kind, literal):
    """The driver's own value goes back in binary, as the type that the server said."""
    value = await conn.fetchval(f"SELECT $1::text::{kind}", literal)
    await asyncpg_prepared(seen, conn, f"SELECT $1::{kind} AS v", value)


async def asyncpg_results(seen, conn, _):
    for statement in STATEMENTS:
        await asyncpg_run(seen, f"execute {statement}", conn.execute(statement))
        await asyncpg_run(seen, f"fetch {statement}", conn.fetch(statement))
        await asyncpg_run(seen, f"prepare {statement}", asyncpg_prepared(seen, conn, statement))
    for kind, literal in LITERALS:
        await asyncpg_run(seen, f"literal {kind}", conn.fetch("SELECT $1::text::%s AS v" % kind, literal))
        await asyncpg_run(seen, f"back {kind}", asyncpg_back(seen, conn, kind, literal))
    seen.add("settings", (str(conn.get_settings().TimeZone), conn.get_server_version()))
    seen.add("number of the process", await conn.fetchval("SELECT pg_backend_pid()") == conn.get_server_pid())


INSERT = "INSERT INTO kinds (n, t, m, at, u, b, j, tags) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING *"


async def asyncpg_statements(seen, conn, _):
    for n in range(30):
        values = (n, f"run {n}", NUMBER, MOMENT, IDENTIFIER, bytes([n]), json.dumps({"n": n}), ["a", None])
        await asyncpg_run(seen, "insert", conn.fetchrow(INSERT, *values))
    prepared = await conn.prepare("SELECT $1::int4 AS n, $2::text AS t, $3::bool AS b")
    for n in range(50):
        await asyncpg_run(seen, "often", prepared.fetchrow(n, None if n % 7 == 0 else f"often {n}", n % 2 == 0))
    many = [(n, f"many {n}") for n in range(100)]
    await asyncpg_run(seen, "executemany", conn.executemany("INSERT INTO scratch VALUES ($1, $2)", many))
    await asyncpg_run(seen, "executemany that fails", conn.executemany("INSERT INTO scratch VALUES ($1, $2)", [(300, "x"), (1, "y"), (301, "z")]))
    await asyncpg_run(seen, "what it left", conn.fetch("SELECT * FROM scratch ORDER BY n"))
    await asyncpg_run(seen, "a value that does not fit", conn.fetch("SELECT $1::int4", "x"))
    await asyncpg_run(seen, "fetchmany", conn.fetchmany("SELECT $1::int4 * 2 AS n", [(1,), (2,)]))
    await asyncpg_run(seen, "patients", conn.fetch("SELECT * FROM patients WHERE id = ANY($1::text[]) ORDER BY id", ["MRN-1", "MRN-3"]))
    # A change of a table makes the cached plan invalid, which the driver mends by preparing again.
    for change in ("ADD extra integer", "DROP extra"):
        await asyncpg_run(seen, "before", conn.fetch("SELECT * FROM wards"))
        await asyncpg_run(seen, change, conn.execute(f"ALTER TABLE wards {change}"))
        await asyncpg_run(seen, "after", conn.fetch("SELECT * FROM wards"))


async def asyncpg_cursors(seen, conn, _):
    async with conn.transaction():
        seen.add("cursor", [record async for record in conn.cursor("SELECT * FROM patients WHERE id <> $1 ORDER BY id", "x", prefetch=2)])
        cursor = await conn.cursor("SELECT g FROM generate_series(1, $1::int4) g", 100)
        seen.add("cursor", (await cursor.fetch(3), await cursor.forward(10), await cursor.fetchrow(), len(await cursor.fetch(1000))))
    await asyncpg_run(seen, "DECLARE", conn.execute("BEGIN; DECLARE c CURSOR FOR SELECT id FROM patients ORDER BY id"))
    await asyncpg_run(seen, "FETCH", conn.fetch("FETCH 2 FROM c"))
    await asyncpg_run(seen, "MOVE", conn.execute("MOVE 1 FROM c"))
    await asyncpg_run(seen, "COMMIT", conn.execute("COMMIT"))


async def asyncpg_transactions(seen, conn, _):
    for inner in ("SELECT 1", "SELECT 1/0"):
        try:
            async with conn.transaction(isolation="repeatable_read"):
                await conn.execute("INSERT INTO scratch VALUES (700)")
                try:
                    async with conn.transaction():
                        await conn.execute("DELETE FROM scratch")
                        raise ValueError("rolled back")
                except ValueError:
                    await asyncpg_run(seen, "inner", conn.execute(inner))
        except asyncpg.PostgresError as error:
            seen.add("transaction", error.as_dict())
    await asyncpg_run(seen, "what it left", conn.fetch("SELECT n FROM scratch WHERE n >= 700"))
    await asyncpg_run(seen, "reset", conn.reset())
    await asyncpg_run(seen, "reload", conn.reload_schema_state())
    pool_like = await conn.fetchval("SHOW statement_timeout")
    seen.add("setting", pool_like)


async def asyncpg_copy(seen, conn, _):
    records = [(n, WORDS, NUMBER, MOMENT, IDENTIFIER, b"\x00\xff", ["a"]) for n in range(300)]
    columns = ["n", "t", "m", "at", "u", "b", "tags"]
    await asyncpg_run(seen, "copy_records", conn.copy_records_to_table("kinds", records=records, columns=columns))
    await asyncpg_run(seen, "copy_records that fail", conn.copy_records_to_table("kinds", records=[(5000,)], columns=["n"]))
    for form in ("text", "csv", "binary"):
        parts = []

        async def keep(part, parts=parts):
            parts.append(part)

        query = "SELECT n, t, m FROM kinds WHERE n < $1 ORDER BY id"
        await asyncpg_run(seen, "copy_from_query", conn.copy_from_query(query, 50, output=keep, format=form))
        seen.add(form, b"".join(parts))
        await asyncpg_run(seen, "copy_from_table", conn.copy_from_table("patients", output=keep, format=form))
        seen.add(form, b"".join(parts))

    async def rows():
        for n in range(1000, 1200):
            yield f"{n}\tcopied\n".encode()

    await asyncpg_run(seen, "copy_to_table", conn.copy_to_table("scratch", source=rows()))


async def asyncpg_asides(seen, conn, other):
    heard = asyncio.Queue()

    def listener(_, pid, channel, payload):
        heard.put_nowait((pid == conn.get_server_pid(), channel, payload))

    notices = []
    conn.add_log_listener(lambda _, notice: notices.append(notice.as_dict()))
    await conn.add_listener("news", listener)
    await conn.execute("NOTIFY news, 'from myself'")
    seen.add("notice to myself", await asyncio.wait_for(heard.get(), 20))
    await other.execute("NOTIFY news, 'from another'")
    seen.add("notice from another", await asyncio.wait_for(heard.get(), 20))
    await conn.remove_listener("news", listener)
    await asyncpg_run(seen, "a notice", conn.execute("DO $$ BEGIN RAISE WARNING 'careful'; END $$"))
    sleeping = asyncio.ensure_future(conn.fetch("SELECT pg_sleep(602)"))
    active = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(602)' AND wait_event = 'PgSleep'"
    while await other.fetchval(active) == 0:
        pass
    sleeping.cancel()
    try:
        await sleeping
    except asyncio.CancelledError:
        seen.add("cancelled", True)
    await asyncpg_run(seen, "after it", conn.fetch("SELECT 1 AS one"))
    seen.add("notices", notices)


async def in_asyncpg(seen, url, straight):
    parts = (asyncpg_results, asyncpg_statements, asyncpg_cursors, asyncpg_transactions, asyncpg_copy, asyncpg_asides)
    other = await asyncpg.connect(straight)
    settings = {"application_name": application("asyncpg", url, straight)}
    for part in parts:
        conn = await asyncpg.connect(url, server_settings=settings)
        await part(seen, conn, other)
        await conn.close()
    async with asyncpg.create_pool(url, min_size=1, max_size=2, server_settings=settings) as pool:
        for _ in range(5):
            async with pool.acquire() as conn:
                await asyncpg_run(seen, "pooled", conn.fetch("SELECT id FROM patients WHERE id = $1", "MRN-2"))
    await other.close()


def with_asyncpg(seen, url, straight):
    asyncio.run(in_asyncpg(seen, url, straight))


# SQLAlchemy


class Base(DeclarativeBase):
    pass


class Ward(Base):
    __tablename__ = "wards"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40))
    notes: Mapped[list["Note"]] = relationship(back_populates="ward", cascade="all, delete-orphan")


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    ward_id: Mapped[int] = mapped_column(sa.ForeignKey("wards.id"))
    body: Mapped[str | None] = mapped_column(server_default="none")
    at: Mapped[datetime.datetime | None] = mapped_column(sa.DateTime(timezone=True))
    ward: Mapped[Ward] = relationship(back_populates="notes")


def alchemy_reflection(seen, engine):
    inspector = sa.inspect(engine)
    seen.add("schemas", (inspector.get_schema_names(), sorted(inspector.get_table_names()), sorted(inspector.get_view_names())))
    for table in (*sorted(inspector.get_table_names()), *sorted(inspector.get_view_names())):
        for what in ("columns", "pk_constraint", "foreign_keys", "indexes", "unique_constraints", "check_constraints", "table_comment"):
            seen.add(f"{what} of {table}", getattr(inspector, f"get_{what}")(table))
    seen.add("enums", inspector.get_enums())
    reflected = sa.MetaData()
    reflected.reflect(engine, views=True)
    seen.add("reflected", [repr(table) for table in reflected.sorted_tables])
    with engine.connect() as conn:
        for table in reflected.sorted_tables:
            seen.add(f"rows of {table}", conn.execute(sa.select(table).limit(5)).all())


def alchemy_orm(seen, engine):
    with Session(engine) as session:
        session.add_all([Ward(id=n, name=f"ward {n}", notes=[Note(body=f"note {n}.{m}", at=MOMENT) for m in range(3)]) for n in range(5)])
        session.add(Ward(id=9, name="ninth", notes=[Note()]))
        session.flush()
        seen.add("flushed", [(note.id, note.body) for note in session.scalars(sa.select(Note).order_by(Note.id))])
        session.commit()
        found = session.scalars(sa.select(Ward).where(Ward.name.like("ward%")).order_by(Ward.id)).all()
        seen.add("loaded", [(ward.id, ward.name, sorted(note.body for note in ward.notes)) for ward in found])
        found[0].name = "renamed"
        session.delete(found[1])
        session.commit()
        updated = sa.update(Note).where(Note.ward_id == 2).values(body=Note.body + "!").returning(Note.id, Note.body)
        seen.add("updated", sorted(session.execute(updated).all()))
        seen.add("deleted", sorted(session.execute(sa.delete(Note).where(Note.ward_id == 3).returning(Note.id)).all()))
        seen.add("inserted", session.execute(sa.insert(Note).returning(Note.id, Note.body), [{"ward_id": 4, "body": f"bulk {n}"} for n in range(50)]).all())
        joined = sa.select(Ward.name, sa.func.count(Note.id)).join(Note, isouter=True).group_by(Ward.name).order_by(Ward.name)
        seen.add("grouped", session.execute(joined).all())
        try:
            with session.begin_nested():
                session.add(Ward(id=20, name="ninth"))
                session.flush()
        except sa.exc.IntegrityError as error:
            seen.add("twice", said(error.orig))
        session.commit()
        stream = sa.select(Note.body).order_by(Note.id).execution_options(yield_per=10)
        seen.add("streamed", list(session.scalars(stream)))


def alchemy_core(seen, engine):
    with engine.connect() as conn:
        for statement in ("SELECT id, born FROM patients WHERE id = :id", "SELECT nothing WHERE :id = ''", "SELECT :id"):
            try:
                result = conn.execute(sa.text(statement), {"id": "MRN-1"})
                seen.add(statement, (list(result.keys()), result.all()))
            except sa.exc.DBAPIError as error:
                seen.add(statement, said(error.orig) if isinstance(error.orig, psycopg.Error) else str(error.orig))
                conn.rollback()


async def alchemy_asynchronous(seen, url, name):
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"), connect_args={"server_settings": {"application_name": name}})
    async with AsyncSession(engine) as session:
        session.add(Ward(id=30, name="asynchronous", notes=[Note(at=MOMENT) for _ in range(3)]))
        await session.commit()
        found = await session.scalars(sa.select(Note).where(Note.ward_id == 30, Note.at >= MOMENT).order_by(Note.id))
        seen.add("asynchronous", [(note.id, note.body, note.at) for note in found])
    await engine.dispose()


def with_sqlalchemy(seen, url, straight):
    name = application("sqlalchemy", url, straight)
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), connect_args={"application_name": name})
    for part in (alchemy_reflection, alchemy_orm, alchemy_core):
        part(seen, engine)
    engine.dispose()
    asyncio.run(alchemy_asynchronous(seen, url, name))


def differing(direct, through):
    names = list(dict.fromkeys([*direct, *through]))
    different = [name for name in names if direct.get(name) != through.get(name)]
    return [{"what": name, "direct": str(direct.get(name))[:2000], "gateway": str(through.get(name))[:2000]} for name in different]


def main(direct, gateway):
    with psycopg.connect(direct, autocommit=True) as conn:
        conn.execute(DATABASE)
        LASTING.update(number for (number,) in conn.execute("SELECT oid::bigint FROM pg_class"))
        summary = {}
        for name, run in (("psycopg", with_psycopg), ("asyncpg", with_asyncpg), ("sqlalchemy", with_sqlalchemy)):
            passes = []
            for url in (direct, gateway):
                conn.execute("TRUNCATE kinds, wards, notes, scratch RESTART IDENTITY")
                seen = Seen()
                run(seen, url, direct)
                passes.append(seen.things)
            found = differing(*passes)
            summary[name] = {"comparisons": len(passes[0]), "different": len(found), "first": found[:10]}
    print(json.dumps(summary))


if __name__ == "__main__":
    main(*sys.argv[1:])
