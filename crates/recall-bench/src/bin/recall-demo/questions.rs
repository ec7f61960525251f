//! Asking the trail, and holding each answer against what the hospital sent.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use recall_bench::hospital::{Actor, DEPARTMENTS, Facts, Hospital, Relation};
use recall_bench::stopwatch::{Stopwatch, grouped};
use recall_bench::stuck::Stuck;
use serde_json::Value;

use crate::Tokens;
use crate::api::{Api, expect};
use crate::tell::Tell;
use crate::traffic::Sent;

/// One asker: the privacy officer, with the hospital's own knowledge to judge by.
struct Officer<'a> {
    api: &'a Api,
    token: &'a str,
    hospital: &'a Hospital,
    sent: &'a Sent,
}

/// All questions.
pub fn ask(api: &Api, tokens: &Tokens, hospital: &Hospital, sent: &Sent, tell: &mut Tell) -> Result<(), Stuck> {
    let officer = Officer { api, token: &tokens.officer, hospital, sent };
    officer.who_looked_at_the_patient(tell)?;
    officer.what_did_the_nurse_open(tell)?;
    officer.free_text(tell)?;
    officer.break_glass(tell)?;
    officer.export(tell)?;
    officer.count_by_action(tell)?;
    officer.coverage(tell)?;
    officer.audit_of_auditors(tell)?;
    administrator_sees_no_patient(api, tokens, hospital, tell)
}

/// After a restart, everything that was sent is still there.
pub fn still_there(api: &Api, tokens: &Tokens, sent: &Sent, tell: &mut Tell) -> Result<(), Stuck> {
    let rows = api.sql("SELECT count(*) FROM events WHERE source NOT LIKE 'urn:recall:%'", &tokens.officer)?;
    tell.equal(cell(&rows, 0).as_u64().unwrap_or(0), sent.facts.len() as u64, "after the restart every event is there");
    Ok(())
}

impl Officer<'_> {
    /// Events sent for which a test holds.
    fn truth(&self, test: impl Fn(&Facts) -> bool) -> u64 {
        self.sent.facts.iter().filter(|facts| test(facts)).count() as u64
    }

    fn who_looked_at_the_patient(&self, tell: &mut Tell) -> Result<(), Stuck> {
        let vip = self.hospital.stories().vip;
        let patient = self.hospital.patient(vip);
        let query = format!("patient:{}", patient.mrn);
        let started = Stopwatch::start();
        self.api.search(&query, 100, self.token)?;
        tell.line(&format!("  By patient: who looked at {} ({})?   {query}   {}", patient.name, patient.mrn, started));
        let found = self.api.search_all(&query, self.token)?;
        let truth = self.truth(|facts| facts.patients.contains(&vip));
        tell.equal(found.len() as u64, truth, &format!("{truth} events, all of them and no other"));

        let numbers: HashMap<&str, u32> = (0_u32..).zip(self.hospital.staff()).map(|(n, staff)| (staff.id.as_str(), n)).collect();
        let mut explained = 0;
        let mut strangers: BTreeMap<&str, u64> = BTreeMap::new();
        for event in &found {
            let actor = text(event, "/actor/id");
            match numbers.get(actor) {
                Some(&staff) if self.hospital.relation(staff, vip) == Relation::None => *strangers.entry(actor).or_default() += 1,
                _ => explained += 1,
            }
        }
        tell.line(&format!("    {explained} by the care team, the ward's services and the patient; without any tie to her:"));
        for (actor, count) in &strangers {
            let staff = numbers.get(actor).and_then(|&n| self.hospital.staff().get(n as usize));
            let role = staff.map_or("", |staff| staff.role.name());
            let department = staff.and_then(|staff| DEPARTMENTS.get(staff.department)).unwrap_or(&"");
            tell.line(&format!("      {actor}, {role}, {department}: {count} event(s)"));
        }
        let nurse = self.staff_id(self.hospital.stories().snoop);
        tell.check(strangers.contains_key(nurse), &format!("the nurse {nurse} had no reason to open this chart"));
        tell.equal(strangers.len(), 2, "the other stranger is the analyst whose export holds her name; nobody else");
        Ok(())
    }

    fn what_did_the_nurse_open(&self, tell: &mut Tell) -> Result<(), Stuck> {
        let stories = self.hospital.stories();
        let nurse = self.staff_id(stories.snoop);
        let query = format!("actor.id:{nurse}");
        let started = Stopwatch::start();
        let latest = self.api.search(&query, 100, self.token)?;
        let shown = latest.get("events").and_then(Value::as_array).map_or(0, Vec::len);
        tell.line(&format!("  By user: what else did {nurse} open?   {query}   latest {shown} in {}", started));
        let found = self.api.search_all(&query, self.token)?;
        let truth = self.truth(|facts| facts.actor == Actor::Staff(stories.snoop));
        tell.equal(found.len() as u64, truth, &format!("{truth} events of this user"));
        let newest_first = found.windows(2).all(|pair| matches!(pair, [a, b] if index(a) > index(b)));
        tell.check(newest_first, "newest first, over all pages");

        let mrns: HashMap<String, u32> = stories.victims.iter().map(|&victim| (self.hospital.patient(victim).mrn, victim)).collect();
        let opened: BTreeSet<u32> = found.iter().filter_map(|event| mrns.get(text(event, "/targets/0/patient_id")).copied()).collect();
        tell.equal(
            opened.len(),
            stories.victims.len(),
            &format!("{} patients who are none of hers, a neighbour among them", stories.victims.len()),
        );
        Ok(())
    }

    fn free_text(&self, tell: &mut Tell) -> Result<(), Stuck> {
        let query = "\"allergies unknown\" -source:urn:recall:*";
        let started = Stopwatch::start();
        let found = self.api.search(query, 100, self.token)?;
        tell.line(&format!("  By free text:   {query}   {}", started));
        let truth = self.truth(|facts| facts.break_glass);
        tell.equal(count(&found), truth, &format!("{truth} events whose encrypted text holds it"));
        Ok(())
    }

    fn break_glass(&self, tell: &mut Tell) -> Result<(), Stuck> {
        let stories = self.hospital.stories();
        let rescued = self.hospital.patient(stories.rescued);
        let started = Stopwatch::start();
        let found = self.api.search("break_glass:true", 100, self.token)?;
        tell.line(&format!("  Who broke the glass?   break_glass:true   {}", started));
        let all = |pointer: &str, value: &str| events(&found).all(|event| text(event, pointer) == value);
        let rescuer = self.staff_id(stories.rescuer);
        let one = all("/actor/id", rescuer) && all("/targets/0/patient_id", &rescued.mrn);
        tell.check(
            one && count(&found) == stories.break_glass_views,
            &format!("{rescuer}, {} times, for {}: “unconscious after a fall”", count(&found), rescued.name),
        );
        Ok(())
    }

    fn export(&self, tell: &mut Tell) -> Result<(), Stuck> {
        let stories = self.hospital.stories();
        let query = "action:data.exported";
        let started = Stopwatch::start();
        let found = self.api.search_all(query, self.token)?;
        tell.line(&format!("  Who carried data out?   {query}   {}", started));
        let targets = found.iter().filter_map(|event| event.get("targets").and_then(Value::as_array)).flatten();
        let patients: BTreeSet<&str> = targets.map(|target| text(target, "/patient_id")).collect();
        let by_night = found.iter().all(|event| text(event, "/time").get(11..13) == Some("02"));
        let exporter = self.staff_id(stories.exporter);
        let alone = found.iter().all(|event| text(event, "/actor/id") == exporter);
        tell.check(alone && by_night, &format!("{exporter}, at two in the morning, {} files", found.len()));
        tell.equal(
            patients.len(),
            stories.exported.len(),
            &format!("{} patients in them, each named", grouped(stories.exported.len() as u64)),
        );
        Ok(())
    }

    fn count_by_action(&self, tell: &mut Tell) -> Result<(), Stuck> {
        let sql = "SELECT action, count(*) AS events FROM events WHERE source NOT LIKE 'urn:recall:%' GROUP BY action ORDER BY events DESC";
        let started = Stopwatch::start();
        let rows = self.api.sql(sql, self.token)?;
        tell.line(&format!("  In SQL:   {sql}   {}", started));
        let answer: BTreeMap<&str, u64> = rows.iter().filter_map(|row| Some((row.first()?.as_str()?, row.get(1)?.as_u64()?))).collect();
        for (action, events) in rows.iter().take(4).filter_map(|row| Some((row.first()?.as_str()?, row.get(1)?.as_u64()?))) {
            tell.line(&format!("      {action:<24} {:>9}", grouped(events)));
        }
        tell.check(answer == self.sent.actions, &format!("{} actions, each count as sent", self.sent.actions.len()));
        Ok(())
    }

    fn coverage(&self, tell: &mut Tell) -> Result<(), Stuck> {
        let lost = self.hospital.stories().lost_events;
        let report = expect(self.api.get("/v1/sources", self.token)?, "the register of sources")?;
        tell.line("  How complete is the record?   GET /v1/sources");
        let missing = |name: &str| source(&report, name).and_then(|source| source.get("missing")).and_then(Value::as_u64);
        tell.equal(
            missing("urn:lab:main").unwrap_or(0),
            lost,
            &format!("urn:lab:main lost {lost} events on the way: a gap in its sequence says so"),
        );
        tell.equal(missing("urn:ehr:main").unwrap_or(u64::MAX), 0, "urn:ehr:main has no gap");
        let answer = self.api.search("patient:MRN00000000", 10, self.token)?;
        let complete = answer.pointer("/coverage/complete").and_then(Value::as_bool);
        tell.check(
            count(&answer) == 0 && complete == Some(false),
            "so “nobody looked at MRN00000000” is answered with what may be missing:",
        );
        tell.line(&format!("    | {}", text(&answer, "/coverage/sentence")));
        Ok(())
    }

    fn audit_of_auditors(&self, tell: &mut Tell) -> Result<(), Stuck> {
        let found = self.api.search("source:urn:recall:server actor.id:demo-officer", 100, self.token)?;
        tell.line("  Who asked all this?   source:urn:recall:server actor.id:demo-officer");
        tell.check(count(&found) >= 8, &format!("{} readings of the officer are on record", count(&found)));
        Ok(())
    }

    fn staff_id(&self, number: u32) -> &str {
        self.hospital.staff().get(number as usize).map_or("", |staff| staff.id.as_str())
    }
}

fn administrator_sees_no_patient(api: &Api, tokens: &Tokens, hospital: &Hospital, tell: &mut Tell) -> Result<(), Stuck> {
    let patient = hospital.patient(hospital.stories().vip);
    let answer = api.get("/v1/events?q=action%3Achart.viewed&limit=100", &tokens.administrator)?;
    let shown = answer.body.to_string();
    let hidden = answer.status == 200 && shown.contains("chart.viewed") && !shown.contains("MRN");
    tell.check(hidden, "the administrator's own search shows who acted and when, but no patient");
    let asked = api.get(&format!("/v1/events?q=patient%3A{}", patient.mrn), &tokens.administrator)?;
    tell.check(asked.status != 200 && !asked.body.to_string().contains(&patient.name), "and may not ask for one by number");
    let refused = api.get("/v1/events?q=*", &tokens.ingest)?;
    tell.check(refused.status == 403, "the feed's token cannot read at all");
    Ok(())
}

fn events(page: &Value) -> impl Iterator<Item = &Value> {
    page.get("events").and_then(Value::as_array).into_iter().flatten()
}

fn count(page: &Value) -> u64 {
    events(page).count() as u64
}

/// The text at a place of an answer; empty where there is none.
pub fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn index(event: &Value) -> u64 {
    event.pointer("/integrity/index").and_then(Value::as_u64).unwrap_or(0)
}

fn cell(rows: &[Vec<Value>], column: usize) -> &Value {
    rows.first().and_then(|row| row.get(column)).unwrap_or(&Value::Null)
}

/// The entry of a source in the report.
fn source<'v>(report: &'v Value, name: &str) -> Option<&'v Value> {
    report.get("sources")?.as_array()?.iter().find(|source| text(source, "/source") == name)
}
