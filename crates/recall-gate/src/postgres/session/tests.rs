use std::collections::VecDeque;

use super::*;
use crate::postgres::wire;
use crate::record::Done;

/// Keeps what is recorded, and says that it is durable when the test says so.
#[derive(Default)]
struct Desk(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    actions: Vec<String>,
    statements: Vec<String>,
    outcomes: Vec<(Option<Status>, String)>,
    subjects: Vec<Vec<String>>,
    unresolved: Vec<String>,
    waiting: VecDeque<Done>,
    refuses: Option<RecordError>,
}

impl Recorder for Desk {
    fn record(&self, events: &[Event<'_>], done: Done) -> Result<(), RecordError> {
        let mut kept = self.0.lock().unwrap();
        if let Some(error) = kept.refuses.clone() {
            return Err(error);
        }
        for event in events {
            assert!(event.validate().is_ok(), "{}", event.action);
            kept.actions.push(event.action.to_string());
            kept.statements.extend(event.request.statement.as_ref().map(ToString::to_string));
            if event.action == "db.result" {
                if let Some(recall_log::json::Value::Text(why)) = event.metadata.get("subjects_unresolved") {
                    kept.unresolved.push(why.to_string());
                }
                kept.outcomes.push((event.outcome.status, event.outcome.code.clone().unwrap_or_default().into_owned()));
            }
            if event.action == "db.subjects" {
                let ids = event.targets.iter().filter_map(|target| target.patient_id.as_ref().map(ToString::to_string));
                kept.subjects.push(ids.collect());
            }
        }
        kept.waiting.push_back(done);
        Ok(())
    }
}

struct Bench {
    desk: Arc<Desk>,
    session: Session,
}

impl Bench {
    /// A session whose login is recorded and told. Column 1 of relation 7, `patients`, names subjects.
    fn new() -> Self {
        let about = About {
            gateway: "g".into(),
            person: "nurse".into(),
            role: "clinician".into(),
            auth_method: "scram-sha-256",
            upstream_role: "app".into(),
            database: "d".into(),
            session_id: "s".into(),
            address: "127.0.0.1".into(),
            application: String::new(),
        };
        let desk = Arc::new(Desk::default());
        let seams = Seams::new(|| Timestamp::from_micros(1_800_000_000_000_000), |out| out.fill(7));
        let knowledge = Arc::new(Knowledge::default());
        knowledge.read(Catalog::of(&[(7, 1)], &["patients"]), 0);
        let recorder: Arc<dyn Recorder> = Arc::clone(&desk) as Arc<dyn Recorder>;
        let mut bench = Self { session: Session::begin(Arc::new(about), seams, knowledge, recorder, &ready(b'I')).unwrap(), desk };
        assert_eq!(bench.client_gets(), b"", "nobody is let in before that is on record");
        bench.durable();
        assert_eq!(bench.client_gets(), ready(b'I'));
        bench
    }

    fn kept<T>(&self, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(&mut self.desk.0.lock().unwrap())
    }

    /// All that waits is durable.
    fn durable(&self) {
        while self.one_durable() {}
    }

    /// The next that waits is durable.
    fn one_durable(&self) -> bool {
        let done = self.kept(|kept| kept.waiting.pop_front());
        done.map(|done| done(Ok(()))).is_some()
    }

    fn client(&mut self, messages: &[Vec<u8>]) {
        self.session.client.tail().extend(messages.concat());
        self.session.take_client().unwrap();
    }

    fn upstream(&mut self, messages: &[Vec<u8>]) {
        self.session.upstream.tail().extend(messages.concat());
        self.session.take_upstream().unwrap();
        // As the pump does: what the client sent may have waited for the answer.
        self.session.take_client().unwrap();
    }

    fn client_gets(&mut self) -> Vec<u8> {
        let bytes = self.session.for_client().unwrap().to_vec();
        self.session.client_took(bytes.len());
        bytes
    }

    fn upstream_gets(&mut self) -> Vec<u8> {
        let bytes = self.session.for_upstream().unwrap().to_vec();
        self.session.upstream_took(bytes.len());
        bytes
    }

    fn actions(&self) -> Vec<String> {
        self.kept(|kept| std::mem::take(&mut kept.actions))
    }
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    wire::write(&mut out, tag, |out| out.extend_from_slice(body));
    out
}

fn query(text: &str) -> Vec<u8> {
    message(b'Q', &[text.as_bytes(), &[0]].concat())
}

fn parse(name: &str, text: &str) -> Vec<u8> {
    message(b'P', &[name.as_bytes(), &[0], text.as_bytes(), &[0, 0, 0]].concat())
}

fn bind(portal: &str, name: &str, value: &str) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap().to_be_bytes();
    message(b'B', &[portal.as_bytes(), &[0], name.as_bytes(), &[0, 0, 0, 0, 1], &length, value.as_bytes(), &[0, 0]].concat())
}

fn execute(portal: &str) -> Vec<u8> {
    message(b'E', &[portal.as_bytes(), &[0, 0, 0, 0, 0]].concat())
}

fn sync() -> Vec<u8> {
    message(b'S', b"")
}

fn ready(state: u8) -> Vec<u8> {
    message(b'Z', &[state])
}

/// RowDescription of one text column.
fn described(relation: u32) -> Vec<u8> {
    let body = [&[0, 1][..], b"id\0", &relation.to_be_bytes(), &[0, 1], &25_u32.to_be_bytes(), &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0]];
    message(b'T', &body.concat())
}

fn row(value: &str) -> Vec<u8> {
    message(b'D', &[&[0, 1][..], &u32::try_from(value.len()).unwrap().to_be_bytes(), value.as_bytes()].concat())
}

fn complete(tag: &str) -> Vec<u8> {
    message(b'C', &[tag.as_bytes(), &[0]].concat())
}

fn failed(code: &str) -> Vec<u8> {
    message(b'E', format!("SERROR\0C{code}\0Msecret\0\0").as_bytes())
}

#[test]
fn a_write_waits_for_its_record() {
    let mut bench = Bench::new();
    bench.client(&[query("DELETE FROM patients")]);
    assert_eq!(bench.upstream_gets(), b"");
    bench.durable();
    assert_eq!(bench.upstream_gets(), query("DELETE FROM patients"));
}

#[test]
fn a_read_runs_at_once_and_its_answer_waits() {
    let mut bench = Bench::new();
    bench.client(&[query("SELECT 1")]);
    assert_eq!(bench.upstream_gets(), query("SELECT 1"));
    let answer = [described(0), row("1"), complete("SELECT 1"), ready(b'I')];
    bench.upstream(&answer);
    assert_eq!(bench.client_gets(), b"");
    assert!(bench.one_durable(), "the request");
    assert_eq!(bench.client_gets(), answer.concat());
    assert_eq!(bench.actions(), ["db.login", "db.request", "db.result"]);
}

#[test]
fn a_read_of_what_may_run_code_waits_for_its_record() {
    let mut bench = Bench::new();
    bench.client(&[query("SELECT * FROM elsewhere")]);
    assert_eq!(bench.upstream_gets(), b"", "a relation that is not known to be quiet");
    bench.durable();
    assert_eq!(bench.upstream_gets(), query("SELECT * FROM elsewhere"));
}

#[test]
fn where_built_in_names_may_mean_other_functions_nothing_is_proven() {
    let mut bench = Bench::new();
    bench.session.knowledge.read(Catalog::default(), 0);
    bench.client(&[query("SELECT lower('A')")]);
    assert_eq!(bench.upstream_gets(), b"");
}

#[test]
fn after_a_change_of_definitions_nothing_is_proven_until_they_are_read_again() {
    let mut bench = Bench::new();
    bench.client(&[query("CREATE OR REPLACE VIEW patients AS SELECT 1")]);
    bench.durable();
    bench.upstream(&[complete("CREATE VIEW"), ready(b'I')]);
    bench.upstream_gets();
    bench.client(&[query("SELECT id FROM patients")]);
    assert_eq!(bench.upstream_gets(), b"");
    bench.durable();
    bench.upstream(&[described(7), row("MRN-1"), complete("SELECT 1"), ready(b'I')]);
    assert!(bench.kept(|kept| kept.unresolved.pop()).unwrap().contains("definitions have changed"));
    let knowledge = Arc::clone(&bench.session.knowledge);
    knowledge.read(Catalog::of(&[(7, 1)], &["patients"]), knowledge.changes());
    bench.upstream_gets();
    bench.client(&[query("SELECT id FROM patients")]);
    assert_eq!(bench.upstream_gets(), query("SELECT id FROM patients"));
}

#[test]
fn rows_wait_for_the_record_of_whose_they_are() {
    let mut bench = Bench::new();
    bench.client(&[query("SELECT id FROM patients")]);
    bench.durable();
    bench.upstream(&[described(7), row("MRN-1"), row("MRN-2"), row("MRN-1")]);
    bench.durable();
    assert_eq!(bench.client_gets(), described(7), "rows whose subjects are not recorded");
    bench.upstream(&[complete("SELECT 3"), ready(b'I')]);
    assert_eq!(bench.client_gets(), b"", "rows whose subjects are not durable");
    bench.durable();
    assert_eq!(bench.client_gets(), [row("MRN-1"), row("MRN-2"), row("MRN-1"), complete("SELECT 3"), ready(b'I')].concat());
    assert_eq!(bench.kept(|kept| kept.subjects.clone()), [["MRN-1", "MRN-2"]]);
}

#[test]
fn rows_of_a_slow_query_leave_in_pages_of_their_own() {
    let mut bench = Bench::new();
    bench.client(&[query("SELECT id FROM patients")]);
    bench.upstream(&[described(7), row("MRN-1")]);
    assert!(bench.session.holds_rows());
    bench.session.close_page().unwrap();
    bench.durable();
    assert_eq!(bench.client_gets(), [described(7), row("MRN-1")].concat());
    bench.upstream(&[row("MRN-2"), complete("SELECT 2"), ready(b'I')]);
    bench.durable();
    assert_eq!(bench.client_gets(), [row("MRN-2"), complete("SELECT 2"), ready(b'I')].concat());
    assert_eq!(bench.kept(|kept| kept.subjects.concat()), ["MRN-1", "MRN-2"]);
}

#[test]
fn each_execution_is_recorded_with_its_values() {
    let mut bench = Bench::new();
    bench.client(&[parse("s", "SELECT $1"), sync()]);
    bench.upstream(&[message(b'1', b""), ready(b'I')]);
    for value in ["a", "b"] {
        bench.client(&[bind("", "s", value), execute(""), sync()]);
        bench.upstream(&[message(b'2', b""), described(0), row(value), complete("SELECT 1"), ready(b'I')]);
    }
    assert_eq!(bench.kept(|kept| kept.statements.clone()), ["SELECT $1", "SELECT $1"]);
    assert_eq!(bench.actions(), ["db.login", "db.request", "db.result", "db.request", "db.result"]);
}

#[test]
fn binary_values_are_read_by_the_types_that_upstream_says() {
    let mut bench = Bench::new();
    bench.client(&[parse("s", "SELECT $1"), message(b'D', b"Ss\0"), sync()]);
    bench.upstream(&[message(b'1', b""), message(b't', &[0, 1, 0, 0, 0, 23]), described(0), ready(b'I')]);
    let (statement, _) = bench.session.names.statement(b"s").unwrap();
    assert_eq!(statement.types(), [23]);
    for bad in [&[0, 2, 0, 0, 0, 23][..], &[0, 1, 0, 0, 0, 23, 0], &[0]] {
        assert_eq!(statement.described(bad), Err(WireError::Fields));
    }
    // The client's own word holds until then.
    assert_eq!(Statement::new(b"SELECT $1", vec![20], Strings::default()).types(), [20]);
}

#[test]
fn the_gateway_asks_what_rows_are_and_keeps_the_answer_to_itself() {
    let mut bench = Bench::new();
    bench.client(&[parse("", "SELECT id FROM patients"), bind("", "", "x"), execute(""), sync()]);
    let describe = message(b'D', b"P\0");
    assert_eq!(bench.upstream_gets(), [parse("", "SELECT id FROM patients"), bind("", "", "x"), describe, execute(""), sync()].concat());
    bench.upstream(&[message(b'1', b""), message(b'2', b""), described(7), row("MRN-1"), complete("SELECT 1"), ready(b'I')]);
    bench.durable();
    assert_eq!(bench.client_gets(), [message(b'1', b""), message(b'2', b""), row("MRN-1"), complete("SELECT 1"), ready(b'I')].concat());
    assert_eq!(bench.kept(|kept| kept.subjects.concat()), ["MRN-1"]);
}

#[test]
fn what_follows_an_error_is_recorded_as_skipped() {
    let mut bench = Bench::new();
    let pipeline = [parse("", "SELECT 1"), bind("", "", "a"), execute(""), parse("t", "SELECT 2"), bind("", "t", "b"), execute(""), sync()];
    bench.client(&pipeline);
    bench.upstream(&[failed("22P02"), ready(b'I')]);
    assert_eq!(bench.kept(|kept| kept.outcomes.clone()), [(Some(Status::Failure), String::new()), (Some(Status::Failure), String::new())]);
    // The statement was never made: the name means nothing.
    assert!(bench.session.names.statement(b"t").is_none());
    bench.client(&[query("SELECT 3")]);
    bench.upstream(&[described(0), complete("SELECT 0"), ready(b'I')]);
    bench.durable();
    assert!(bench.client_gets().ends_with(&ready(b'I')));
}

#[test]
fn what_comes_after_an_error_is_answered_goes_no_further_before_sync() {
    let mut bench = Bench::new();
    bench.client(&[parse("", "SELECT 1")]);
    bench.upstream(&[failed("42P18")]);
    bench.upstream_gets();
    bench.client(&[bind("", "", "a"), execute(""), query("SELECT 2"), sync()]);
    assert_eq!(bench.upstream_gets(), sync());
    bench.upstream(&[ready(b'I')]);
    assert_eq!(bench.client_gets(), [failed("42P18"), ready(b'I')].concat());
    bench.client(&[query("SELECT 3")]);
    assert_eq!(bench.upstream_gets(), query("SELECT 3"));
}

#[test]
fn a_failure_of_upstream_is_passed_on_and_recorded_without_its_text() {
    let mut bench = Bench::new();
    bench.client(&[query("SELECT 1/0")]);
    bench.upstream(&[failed("22012"), ready(b'I')]);
    bench.durable();
    assert_eq!(bench.client_gets(), [failed("22012"), ready(b'I')].concat());
    assert_eq!(bench.kept(|kept| kept.outcomes.clone()), [(Some(Status::Failure), "22012".to_owned())]);
}

#[test]
fn what_cannot_be_recorded_fails_and_the_session_goes_on() {
    let mut bench = Bench::new();
    bench.kept(|kept| kept.refuses = Some(RecordError::Busy));
    bench.client(&[query("SELECT id FROM patients")]);
    assert_eq!(bench.upstream_gets(), query("!"), "upstream gets what can't be parsed, so that its transaction is as if it had failed");
    bench.upstream(&[failed("42601"), ready(b'E')]);
    let told = bench.client_gets();
    assert!(String::from_utf8_lossy(&told).contains("58030"), "{told:?}");
    assert!(!String::from_utf8_lossy(&told).contains("42601"));
    assert!(told.ends_with(&ready(b'E')));
    bench.kept(|kept| kept.refuses = None);
    bench.client(&[query("ROLLBACK")]);
    bench.durable();
    assert_eq!(bench.upstream_gets(), query("ROLLBACK"));
}

#[test]
fn a_record_that_fails_later_ends_the_session_and_nothing_passes() {
    let mut bench = Bench::new();
    bench.client(&[query("SELECT id FROM patients")]);
    bench.upstream(&[described(7), row("MRN-1"), complete("SELECT 1"), ready(b'I')]);
    let done = bench.kept(|kept| kept.waiting.pop_front()).unwrap();
    done(Err(RecordError::DiskFull));
    let over = bench.session.for_client().unwrap_err();
    assert_eq!(over, Over::Record(RecordError::DiskFull));
    bench.session.end(&over);
    let told = String::from_utf8_lossy(&bench.session.farewell()).into_owned();
    assert!(told.contains("FATAL") && told.contains("53100") && !told.contains("MRN-1"), "{told}");
}

#[test]
fn an_end_in_the_midst_is_recorded_as_unknown() {
    let mut bench = Bench::new();
    bench.client(&[query("SELECT id FROM patients")]);
    bench.upstream(&[described(7), row("MRN-1")]);
    bench.durable();
    bench.session.end(&Over::Upstream);
    assert_eq!(bench.kept(|kept| kept.outcomes.clone()), [(Some(Status::Unknown), String::new())]);
    assert_eq!(bench.actions().last().map(String::as_str), Some("db.logout"));
    assert!(!String::from_utf8_lossy(&bench.session.farewell()).contains("MRN-1"));
}

#[test]
fn copy_in_takes_data_up_to_its_end_whatever_was_sent_before() {
    let mut bench = Bench::new();
    // As libpq does it: Sync goes out before the client knows that it is a COPY, and again after it.
    bench.client(&[parse("", "COPY t FROM STDIN"), message(b'B', &[0, 0, 0, 0, 0, 0, 0, 0]), execute(""), sync()]);
    bench.durable();
    bench.upstream(&[message(b'1', b""), message(b'2', b""), message(b'n', b""), message(b'G', &[0, 0, 0])]);
    bench.client(&[message(b'd', b"1\n"), message(b'c', b""), sync()]);
    bench.upstream(&[complete("COPY 1"), ready(b'I')]);
    bench.durable();
    assert!(bench.client_gets().ends_with(&ready(b'I')));
    assert!(bench.session.owed.is_empty());
}

#[test]
fn an_answer_that_nobody_asked_for_ends_the_session() {
    for answer in [message(b'1', b""), row("x"), complete("SELECT 1"), ready(b'I'), message(b'?', b"")] {
        let mut bench = Bench::new();
        bench.session.upstream.tail().extend(answer);
        assert_eq!(bench.session.take_upstream(), Err(Over::UpstreamProtocol(WireError::Unexpected)));
    }
}

#[test]
fn a_message_that_no_client_sends_ends_the_session() {
    for message in [message(b'p', b"x\0"), message(b'?', b""), message(b'Q', b"no end"), message(b'E', b"\0\0"), message(b'B', b"\0\0\0")] {
        let mut bench = Bench::new();
        bench.session.client.tail().extend(message);
        assert!(matches!(bench.session.take_client(), Err(Over::ClientProtocol(_))));
    }
}

#[test]
fn what_comes_after_an_error_is_dropped_until_sync_whenever_it_comes() {
    let mut bench = Bench::new();
    bench.client(&[parse("", "SELECT broken("), message(b'H', b"")]);
    bench.upstream(&[failed("42601")]);
    // Upstream drops these, so that they are not asked for; only Sync is answered.
    bench.client(&[query("DELETE FROM patients"), parse("", "SELECT 1"), bind("", "", "x"), execute(""), sync()]);
    bench.upstream(&[ready(b'I')]);
    assert_eq!(bench.actions(), ["db.login"]);
    bench.client(&[query("SELECT 2")]);
    bench.upstream(&[described(0), complete("SELECT 1"), ready(b'I')]);
    assert_eq!(bench.actions(), ["db.request", "db.result"]);
    assert!(bench.session.owed.is_empty());
}

#[test]
fn a_copy_that_fails_before_its_data_leaves_sync_to_be_answered() {
    let mut bench = Bench::new();
    bench.client(&[parse("", "COPY t FROM STDIN"), message(b'B', &[0, 0, 0, 0, 0, 0, 0, 0]), execute(""), sync()]);
    bench.durable();
    let sent = bench.upstream_gets();
    assert!(!sent.ends_with(&sync()), "nothing follows a COPY before upstream has said whether it takes data");
    bench.upstream(&[message(b'1', b""), message(b'2', b""), message(b'n', b""), message(b'G', &[0, 0, 0])]);
    bench.client(&[]);
    assert_eq!(bench.upstream_gets(), b"");
    bench.upstream(&[failed("55000")]);
    assert_eq!(bench.upstream_gets(), sync());
    bench.upstream(&[ready(b'I')]);
    assert!(bench.session.owed.is_empty());
}

#[test]
fn what_is_not_understood_is_parsed_upstream_and_never_run() {
    let mut bench = Bench::new();
    let probe = |text: &str| [parse("", text), sync()].concat();
    bench.client(&[query("SELECT FROM FROM")]);
    assert_eq!(bench.upstream_gets(), b"");
    bench.durable();
    assert_eq!(bench.upstream_gets(), probe("SELECT FROM FROM"));
    bench.upstream(&[failed("42601"), ready(b'I')]);
    bench.durable();
    assert_eq!(bench.client_gets(), [failed("42601"), ready(b'I')].concat(), "the error is the server's own");
    // A server that understands it has not run it, and the client is told that the gateway does not.
    bench.client(&[query("NEWER SYNTAX OF A SERVER")]);
    bench.durable();
    bench.upstream(&[message(b'1', b""), ready(b'I')]);
    bench.durable();
    let told = bench.client_gets();
    assert!(String::from_utf8_lossy(&told).contains("42501") && told.ends_with(&ready(b'I')), "{told:?}");
}

#[test]
fn what_cannot_be_read_at_all_is_denied() {
    for text in [
        format!("SELECT '{}'", "x".repeat(1 << 20)),
        format!("SELECT {}1{}", "abs(".repeat(500), ")".repeat(500)),
        "SET client_encoding = 'SJIS'".into(),
    ] {
        let mut bench = Bench::new();
        bench.client(&[query(&text)]);
        bench.durable();
        assert_eq!(bench.upstream_gets(), query("!"), "{}", &text[..20]);
        bench.upstream(&[failed("42601"), ready(b'I')]);
        assert!(String::from_utf8_lossy(&bench.client_gets()).contains("42501"));
    }
}

#[test]
fn a_prepared_text_that_is_not_understood_is_never_executed() {
    let mut bench = Bench::new();
    bench.client(&[parse("s", "NEWER SYNTAX"), bind("", "s", "x"), execute(""), sync()]);
    bench.durable();
    assert!(bench.upstream_gets().ends_with(&[parse("", "!"), sync()].concat()));
}

#[test]
fn functions_are_not_called_by_number_but_for_large_objects() {
    let call = |number: u32| message(b'F', &[&number.to_be_bytes()[..], &[0, 0, 0, 0, 0, 0]].concat());
    let mut bench = Bench::new();
    bench.client(&[call(2078)]);
    bench.durable();
    assert_eq!(bench.upstream_gets(), query("!"), "set_config");
    let mut bench = Bench::new();
    bench.client(&[call(952)]);
    bench.durable();
    assert_eq!(bench.upstream_gets(), call(952), "lo_open");
}

#[test]
fn a_name_that_code_may_have_given_away_proves_nothing() {
    let mut bench = Bench::new();
    bench.client(&[parse("s", "SELECT id FROM patients"), sync()]);
    bench.upstream(&[message(b'1', b""), ready(b'I')]);
    bench.client(&[query("SELECT own_function()")]);
    bench.durable();
    bench.upstream(&[described(0), complete("SELECT 1"), ready(b'I')]);
    bench.upstream_gets();
    bench.client(&[bind("", "s", "x"), execute(""), sync()]);
    assert!(!bench.upstream_gets().ends_with(&sync()), "it waits for its record");
    bench.durable();
    assert!(bench.upstream_gets().ends_with(&[execute(""), sync()].concat()));
    bench.upstream(&[message(b'2', b""), described(7), row("MRN-1"), complete("SELECT 1"), ready(b'I')]);
    assert!(bench.kept(|kept| kept.unresolved.pop()).unwrap().contains("another statement"));
    assert_eq!(bench.kept(|kept| kept.subjects.concat()), ["MRN-1"], "what it returns was asked again");
}

#[test]
fn a_portal_that_code_may_have_given_away_is_described_again() {
    let mut bench = Bench::new();
    bench.client(&[query("BEGIN"), parse("", "SELECT id FROM patients"), bind("c", "", "x"), execute("c"), sync()]);
    let begun = [complete("BEGIN"), ready(b'T'), message(b'1', b""), message(b'2', b"")];
    bench.upstream(&[&begun[..], &[described(0), row("x"), message(b's', b""), ready(b'T')]].concat());
    bench.client(&[query("SELECT own_function()")]);
    bench.upstream(&[described(0), complete("SELECT 1"), ready(b'T')]);
    bench.durable();
    bench.upstream_gets();
    bench.client(&[execute("c"), sync()]);
    bench.durable();
    assert_eq!(bench.upstream_gets(), [message(b'D', b"Pc\0"), execute("c"), sync()].concat());
    bench.upstream(&[described(7), row("MRN-1"), complete("SELECT 1"), ready(b'T')]);
    assert_eq!(bench.kept(|kept| kept.subjects.concat()), ["MRN-1"]);
    assert!(bench.kept(|kept| kept.unresolved.pop()).unwrap().contains("another statement"));
}

#[test]
fn another_encoding_ends_the_session() {
    let mut bench = Bench::new();
    bench.session.upstream.tail().extend(message(b'S', b"client_encoding\0SJIS\0"));
    assert_eq!(bench.session.take_upstream(), Err(Over::Encoding));
}

#[test]
fn a_notice_waits_like_the_answer_it_comes_with() {
    let mut bench = Bench::new();
    bench.client(&[query("SELECT id FROM patients")]);
    let notice = message(b'N', b"SNOTICE\0C00000\0MAda\0\0");
    bench.upstream(std::slice::from_ref(&notice));
    assert_eq!(bench.client_gets(), b"");
    bench.durable();
    assert_eq!(bench.client_gets(), notice);
    bench.upstream(&[described(7), complete("SELECT 0"), ready(b'I')]);
    assert!(bench.kept(|kept| kept.unresolved.pop()).unwrap().contains("message"));
}

#[test]
fn rows_beside_which_others_may_stand_are_not_called_complete() {
    let mut bench = Bench::new();
    bench.client(&[query("SELECT p.id, q.x FROM patients p, public.patients q")]);
    bench.upstream(&[described(7), row("MRN-1"), complete("SELECT 1"), ready(b'I')]);
    assert!(bench.kept(|kept| kept.unresolved.pop()).unwrap().contains("beside"));
}
