//! Asking the trail about the sessions at the gateway, and holding each answer against what psql printed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;

use recall_bench::hospital::Hospital;
use recall_bench::stopwatch::Stopwatch;
use recall_bench::stuck::Stuck;
use serde_json::Value;

use crate::api::Api;
use crate::database::Database;
use crate::folder::Folder;
use crate::gateway::{Evening, NEW_PASSWORD, Session};
use crate::questions::text;
use crate::tell::{Tell, counted};

const SOURCE: &str = "source:urn:recall:gateway:hospital";
/// Characters of a statement in one line.
const SHOWN: usize = 100;

/// The officer, with what is on record of each statement.
struct Inquiry<'a> {
    api: &'a Api,
    officer: &'a str,
    /// Texts by `context.request_id`.
    statements: HashMap<String, String>,
}

/// All questions.
pub fn ask(
    api: &Api,
    officer: &str,
    hospital: &Hospital,
    evening: &Evening<'_>,
    database: &Database,
    folder: &Folder,
    tell: &mut Tell,
) -> Result<(), Stuck> {
    let requests = api.search_all(&format!("{SOURCE} action:db.request"), officer)?;
    let statement = |event: &Value| (request_id(event).to_owned(), text(event, "/request/statement").to_owned());
    let inquiry = Inquiry { api, officer, statements: requests.iter().map(statement).collect() };
    inquiry.who_saw_the_patient(hospital, evening, tell)?;
    for session in [&evening.nurse, &evening.physician, &evening.analyst] {
        inquiry.what_did_they_see(session, tell)?;
    }
    inquiry.what_was_denied(evening, tell)?;
    inquiry.where_is_the_password(database, folder, tell)
}

impl Inquiry<'_> {
    fn who_saw_the_patient(&self, hospital: &Hospital, evening: &Evening<'_>, tell: &mut Tell) -> Result<(), Stuck> {
        let vip = hospital.patient(hospital.stories().vip);
        let query = format!("patient:{} {SOURCE}", vip.mrn);
        let started = Stopwatch::start();
        let found = self.api.search_all(&query, self.officer)?;
        tell.line(&format!("  Who saw {} in the database?   {query}   {started}", vip.name));
        let mut answer = BTreeSet::new();
        for event in &found {
            let actor = text(event, "/actor/id");
            answer.insert(actor);
            tell.line(&format!("      {actor}: {}", self.statement(event)));
        }
        let sessions = [&evening.nurse, &evening.physician, &evening.analyst];
        let truth: BTreeSet<&str> =
            sessions.iter().filter(|session| session.seen.contains(&vip.mrn)).map(|session| session.person.staff.id.as_str()).collect();
        let known = found.iter().all(|event| text(event, "/action") == "db.subjects" && self.statements.contains_key(request_id(event)));
        tell.check(
            answer == truth && known,
            &format!("the {} for whom psql printed her number, nobody else, each with the statement", truth.len()),
        );
        Ok(())
    }

    fn what_did_they_see(&self, session: &Session<'_>, tell: &mut Tell) -> Result<(), Stuck> {
        let name = &session.person.staff.id;
        let query = format!("actor.id:{name} {SOURCE}");
        let started = Stopwatch::start();
        let found = self.api.search_all(&query, self.officer)?;
        tell.line(&format!("  What did {name} see?   {query}   {started}"));
        let mut by_statement: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for event in found.iter().rev().filter(|event| text(event, "/action") == "db.subjects") {
            by_statement.entry(request_id(event)).or_default().extend(patients(event));
        }
        for event in found.iter().rev().filter(|event| text(event, "/action") == "db.result") {
            let Some(subjects) = by_statement.get(request_id(event)) else { continue };
            let rows = event.pointer("/request/rows").and_then(Value::as_u64).unwrap_or(0);
            let phi = Some(text(event, "/metadata/phi")).filter(|phi| !phi.is_empty()).map_or(String::new(), |phi| format!(", with {phi}"));
            tell.line(&format!("      {} about {}{phi}:", counted(rows, "row"), counted(subjects.len() as u64, "patient")));
            tell.line(&format!("        {}", self.statement(event)));
        }
        let recorded: BTreeSet<&str> = by_statement.into_values().flatten().collect();
        let printed: BTreeSet<&str> = session.seen.iter().map(String::as_str).collect();
        let count = counted(printed.len() as u64, "patient");
        tell.check(recorded == printed && !printed.is_empty(), &format!("on record: the {count} that psql printed, no other"));
        Ok(())
    }

    fn what_was_denied(&self, evening: &Evening<'_>, tell: &mut Tell) -> Result<(), Stuck> {
        let query = format!("outcome:denied {SOURCE}");
        let mut found = self.api.search_all(&query, self.officer)?;
        found.reverse();
        tell.line(&format!("  What was denied?   {query}"));
        let recorded: Vec<&str> = found.iter().map(|event| self.statements.get(request_id(event)).map_or("", String::as_str)).collect();
        for (event, statement) in found.iter().zip(&recorded) {
            tell.line(&format!("      {}: {statement}", text(event, "/actor/id")));
        }
        let expected: Vec<String> = evening.denied.iter().map(|typed| typed.replace(NEW_PASSWORD, "***")).collect();
        let analyst = evening.analyst.person.staff.id.as_str();
        tell.check(
            recorded == expected && found.iter().all(|event| text(event, "/actor/id") == analyst),
            "the three attempts as they were typed, but for the password",
        );
        Ok(())
    }

    fn where_is_the_password(&self, database: &Database, folder: &Folder, tell: &mut Tell) -> Result<(), Stuck> {
        let events = self.api.search_all(SOURCE, self.officer)?;
        let trail: String = events.iter().map(Value::to_string).collect();
        let log = fs::read_to_string(folder.log()).map_err(|e| Stuck::io("the server's log", &e))?;
        let upstream = database.log()?;
        let nowhere = [&trail, &log, &upstream].iter().all(|text| !text.contains(NEW_PASSWORD) && !text.contains("hunter2"));
        tell.check(
            nowhere && trail.contains("ALTER ROLE"),
            &format!("'{NEW_PASSWORD}' is in none of the gateway's {} events, nor in a log", events.len()),
        );
        let passed = ["SET ROLE", "TO PROGRAM", "ALTER ROLE"].iter().any(|denied| upstream.contains(denied));
        tell.check(
            !passed && upstream.contains("Falkenrath"),
            "PostgreSQL logs each statement it is sent: the nurse's are there, the denied ones are not",
        );
        Ok(())
    }

    /// The statement that an event belongs to, in a line.
    fn statement(&self, event: &Value) -> String {
        let text = self.statements.get(request_id(event)).map_or("(its statement is not on record)", String::as_str);
        if text.chars().count() <= SHOWN { text.to_owned() } else { text.chars().take(SHOWN).chain(['…']).collect() }
    }
}

fn request_id(event: &Value) -> &str {
    text(event, "/context/request_id")
}

fn patients(event: &Value) -> impl Iterator<Item = &str> {
    event.get("targets").and_then(Value::as_array).into_iter().flatten().map(|target| text(target, "/patient_id"))
}
