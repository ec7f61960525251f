//! One event as the bytes a sender would post: `recall.event/1`, members sorted as RFC 8785 has them, some 600 bytes.

use super::chance::word;
use super::clock;
use super::json::{Object, hex, number, object, string};
use super::people::{Patient, Staff};
use super::places::{AGENTS, SOURCES};

/// Everything an event says, before it is bytes.
pub(super) struct Draft<'h> {
    pub(super) source: usize,
    pub(super) seq: u64,
    pub(super) moment: u64,
    /// Even bits: identifiers, addresses, wording.
    pub(super) chance: [u64; 3],
    pub(super) action: &'static str,
    pub(super) op: &'static str,
    pub(super) status: &'static str,
    pub(super) reason: &'static str,
    pub(super) actor: Who<'h>,
    pub(super) purpose: &'static str,
    pub(super) break_glass: bool,
    pub(super) app: &'static str,
    pub(super) component: &'static str,
    pub(super) targets: Targets<'h>,
    pub(super) request: Option<Request>,
    pub(super) changes: Vec<Change>,
    pub(super) description: &'static str,
}

/// Who acts.
#[derive(Clone, Copy)]
pub(super) enum Who<'h> {
    Staff(&'h Staff),
    /// The patient's own account at the portal.
    Patient(&'h Patient),
    Service(&'static str),
    /// A model that works for somebody.
    Agent(&'static str, &'h Staff),
}

/// What is acted on.
pub(super) enum Targets<'h> {
    Nothing,
    /// The patient, and a resource of this type in the chart.
    Chart(&'h Patient, &'static str),
    /// The answer to a search: so many patients, none of them named.
    Found(u64),
    /// A table, and how many of its rows were touched; of one patient if there is one.
    Table(&'static str, u64, Option<&'h Patient>),
    /// Patients one by one, as a file of an export names them.
    Listed(Vec<Patient>),
}

pub(super) struct Request {
    pub(super) protocol: &'static str,
    pub(super) statement: String,
    pub(super) parameters: Vec<String>,
    pub(super) rows: u64,
}

pub(super) struct Change {
    pub(super) path: &'static str,
    pub(super) before: String,
    pub(super) after: String,
}

/// Where in the buffer the parts stand that make an event another one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    /// The first of the last twelve digits of the id.
    pub(super) id: usize,
    /// The first digit of `seq`.
    pub(super) seq: usize,
}

/// Appends the event to `out`, without a line end.
pub(super) fn render(out: &mut Vec<u8>, draft: &Draft<'_>) -> Marks {
    let mut marks = Marks::default();
    object(out, |event| {
        event.text("action", draft.action);
        object(event.key("actor"), |actor| write_actor(actor, draft));
        if draft.break_glass {
            event.key("break_glass").extend_from_slice(b"true");
        }
        if !draft.changes.is_empty() {
            event.list("changes", &draft.changes, write_change);
        }
        object(event.key("context"), |context| write_context(context, draft));
        event.some_text("description", draft.description);
        let id = event.key("id");
        write_id(id, draft);
        marks.id = id.len() - 13;
        event.text("op", draft.op);
        object(event.key("outcome"), |outcome| {
            outcome.some_text("reason", draft.reason);
            outcome.text("status", draft.status);
        });
        if !draft.purpose.is_empty() {
            event.list("purpose", [draft.purpose], string);
        }
        if let Some(request) = &draft.request {
            object(event.key("request"), |member| write_request(member, request));
        }
        let seq = event.key("seq");
        marks.seq = seq.len();
        number(seq, draft.seq);
        event.text("source", word(&SOURCES, draft.source as u64));
        write_targets(event, draft);
        let time = event.key("time");
        time.push(b'"');
        clock::write(time, draft.moment);
        time.push(b'"');
    });
    marks
}

fn write_actor(actor: &mut Object<'_>, draft: &Draft<'_>) {
    match draft.actor {
        Who::Staff(staff) => {
            actor.text("auth_method", "smartcard");
            write_person(actor, staff);
            write_session(actor, draft);
            actor.text("type", "user");
        }
        Who::Patient(patient) => {
            actor.text("auth_method", "password+otp");
            actor.text("id", &patient.mrn);
            actor.text("name", &patient.name);
            write_session(actor, draft);
            actor.text("type", "patient");
        }
        Who::Service(id) => {
            actor.text("auth_method", "mtls");
            actor.text("id", id);
            actor.text("type", "service");
        }
        Who::Agent(id, staff) => {
            actor.text("auth_method", "oauth2");
            actor.text("id", id);
            object(actor.key("on_behalf_of"), |person| {
                write_person(person, staff);
                person.text("type", "user");
            });
            actor.text("type", "ai_agent");
        }
    }
}

fn write_person(person: &mut Object<'_>, staff: &Staff) {
    person.text("id", &staff.id);
    person.text("name", &staff.name);
    person.list("roles", [staff.role.name()], string);
}

/// A session lasts a day: the person's account and the day's date make it.
fn write_session(actor: &mut Object<'_>, draft: &Draft<'_>) {
    let id = match draft.actor {
        Who::Staff(staff) => &staff.id,
        Who::Patient(patient) => &patient.mrn,
        Who::Service(_) | Who::Agent(..) => return,
    };
    let out = actor.key("session_id");
    out.extend_from_slice(b"\"s-");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(b"-10");
    clock::digits::<2>(out, clock::day(draft.moment) + 1);
    out.push(b'"');
}

fn write_context(context: &mut Object<'_>, draft: &Draft<'_>) {
    context.text("app", draft.app);
    context.text("component", draft.component);
    let [_, bits, place] = draft.chance;
    let address = context.key("ip");
    address.extend_from_slice(b"\"10.");
    number(address, 16 + place % 12);
    address.push(b'.');
    number(address, place >> 8 & 31);
    address.push(b'.');
    number(address, 1 + (place >> 16) % 250);
    address.push(b'"');
    let request = context.key("request_id");
    request.extend_from_slice(b"\"req-");
    hex(request, bits, 12);
    request.push(b'"');
    if !matches!(draft.actor, Who::Service(_) | Who::Agent(..)) {
        context.text("user_agent", word(&AGENTS, place >> 24));
    }
}

/// A version 7 identifier whose random bits come from the seed.
fn write_id(out: &mut Vec<u8>, draft: &Draft<'_>) {
    let [low, high, _] = draft.chance;
    let ms = clock::unix_ms(draft.moment);
    out.push(b'"');
    hex(out, ms >> 16, 8);
    out.push(b'-');
    hex(out, ms, 4);
    out.extend_from_slice(b"-7");
    hex(out, high >> 48, 3);
    out.push(b'-');
    hex(out, 0x8000 | (low >> 48 & 0x3fff), 4);
    out.push(b'-');
    hex(out, low, 12);
    out.push(b'"');
}

fn write_change(out: &mut Vec<u8>, change: &Change) {
    object(out, |member| {
        member.text("after", &change.after);
        member.some_text("before", &change.before);
        member.text("path", change.path);
    });
}

fn write_request(member: &mut Object<'_>, request: &Request) {
    if !request.parameters.is_empty() {
        member.list("parameters", &request.parameters, |out, value| string(out, value));
    }
    member.text("protocol", request.protocol);
    member.number("rows", request.rows);
    member.some_text("statement", &request.statement);
}

fn write_targets(event: &mut Object<'_>, draft: &Draft<'_>) {
    match &draft.targets {
        Targets::Nothing => {}
        Targets::Chart(patient, resource) => {
            event.list("targets", [true, false], |out, whole| {
                if whole {
                    write_patient(out, patient);
                } else {
                    write_resource(out, patient, resource, draft.chance[0]);
                }
            });
        }
        Targets::Found(count) => event.list("targets", [count], |out, count| {
            object(out, |target| {
                target.number("count", *count);
                target.list("labels", ["PHI"], string);
                target.text("type", "fhir:Patient");
            });
        }),
        Targets::Table(table, count, patient) => event.list("targets", [count], |out, count| {
            object(out, |target| {
                target.number("count", *count);
                target.text("id", table);
                target.list("labels", ["PHI"], string);
                if let Some(patient) = patient {
                    target.text("patient_id", &patient.mrn);
                }
                target.text("type", "db:table");
            });
        }),
        Targets::Listed(patients) => event.list("targets", patients, write_patient),
    }
}

fn write_patient(out: &mut Vec<u8>, patient: &Patient) {
    object(out, |target| {
        target.text("id", &patient.mrn);
        target.list("labels", ["PHI"], string);
        target.text("name", &patient.name);
        target.text("patient_id", &patient.mrn);
        target.text("type", "fhir:Patient");
    });
}

fn write_resource(out: &mut Vec<u8>, patient: &Patient, resource: &str, bits: u64) {
    object(out, |target| {
        let id = target.key("id");
        id.push(b'"');
        hex(id, bits >> 16, 10);
        id.push(b'"');
        target.text("patient_id", &patient.mrn);
        target.text("type", resource);
    });
}
