//! Writes an event's parts in canonical form, straight from the typed event: members stand here in the order in which they are written.

use super::{Admission, Parts};
use crate::canonical;
use crate::event::{Actor, ActorType, Change, Context, Event, Outcome, Request, SCHEMA_NAME, Target, Text};
use crate::json::Value;

/// What is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Public,
    Phi,
    Whole,
}

impl Side {
    fn public(self) -> bool {
        self != Self::Phi
    }

    fn phi(self) -> bool {
        self != Self::Public
    }
}

/// An event's canonical form is about as long as a screen line or ten.
const USUAL_BYTES: usize = 640;

pub(super) fn parts(event: &Event<'_>, admission: &Admission<'_>) -> Parts {
    let mut parts = Parts { public: Vec::with_capacity(USUAL_BYTES), phi: Vec::with_capacity(USUAL_BYTES), ..Parts::default() };
    parts.received_at_span = object(&mut parts.public, |members| whole_event(members, event, admission, Side::Public));
    object(&mut parts.phi, |members| whole_event(members, event, admission, Side::Phi));
    parts
}

/// The merged event, as readers see it.
pub(super) fn whole(event: &Event<'_>, admission: &Admission<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * USUAL_BYTES);
    object(&mut out, |members| whole_event(members, event, admission, Side::Whole));
    out
}

/// Returns where `received_at` and the comma behind it stand, if this side has it.
fn whole_event(members: &mut Members<'_>, event: &Event<'_>, admission: &Admission<'_>, side: Side) -> std::ops::Range<usize> {
    let hidden = event.actor.is_phi();
    let mut span = 0..0;
    if side.public() {
        members.text("action", Some(&event.action));
    }
    members.object("actor", |members| actor_on(members, &event.actor, hidden, side));
    if side.public() {
        members.text("approval_id", event.approval_id.as_ref());
        members.boolean("break_glass", event.break_glass);
    }
    if side.phi() {
        members.array("changes", &event.changes, |out, change| object(out, |members| self::change(members, change)));
    }
    members.object("context", |members| context(members, &event.context, hidden, side));
    if side.phi() {
        members.text("description", event.description.as_ref());
    }
    if side.public() {
        members.word("id", admission.id);
    }
    if side.phi() && !event.metadata.members().is_empty() {
        canonical::object(members.name("metadata"), &event.metadata);
    }
    if side.public() {
        members.known("op", event.op.map(crate::event::Op::as_str));
    }
    members.object("outcome", |members| outcome(members, &event.outcome, side));
    if side.public() {
        members.texts("purpose", &event.purpose);
        span = received_at(members, admission);
    }
    members.object("request", |members| request(members, &event.request, side));
    if side.public() {
        members.word("schema", SCHEMA_NAME);
        members.integer("seq", event.seq);
        members.word("source", admission.source);
    }
    targets(members, &event.targets, side);
    if side.public() {
        quoted(members.name("time"), |out| event.time.write(out));
    }
    span
}

fn received_at(members: &mut Members<'_>, admission: &Admission<'_>) -> std::ops::Range<usize> {
    let out = members.name("received_at");
    let from = out.len() - "\"received_at\":".len();
    quoted(out, |out| admission.received_at.write(out));
    // `schema` follows at the latest, so that there is a comma.
    from..out.len() + 1
}

fn actor_on(members: &mut Members<'_>, actor: &Actor<'_>, hidden: bool, side: Side) {
    match (hidden, side) {
        (false, Side::Phi) => {}
        (true, Side::Public) => members.known("type", Some(actor.kind.as_str())),
        _ => self::actor(members, actor),
    }
}

fn actor(members: &mut Members<'_>, actor: &Actor<'_>) {
    members.text("auth_method", actor.auth_method.as_ref());
    members.text("id", actor.id.as_ref());
    members.text("name", actor.name.as_ref());
    if let Some(principal) = &actor.on_behalf_of {
        members.object("on_behalf_of", |members| self::actor(members, principal));
    }
    members.texts("roles", &actor.roles);
    members.text("session_id", actor.session_id.as_ref());
    members.known("type", Some(ActorType::as_str(actor.kind)));
}

fn change(members: &mut Members<'_>, change: &Change<'_>) {
    members.value("after", change.after.as_ref());
    members.value("before", change.before.as_ref());
    members.text("path", Some(&change.path));
}

fn context(members: &mut Members<'_>, context: &Context<'_>, hidden: bool, side: Side) {
    let person = if hidden { side.phi() } else { side.public() };
    if side.public() {
        members.text("app", context.app.as_ref());
        members.text("component", context.component.as_ref());
    }
    if person {
        members.text("ip", context.ip.as_ref());
    }
    if side.phi() {
        members.text("request_id", context.request_id.as_ref());
        members.text("trace_id", context.trace_id.as_ref());
    }
    if person {
        members.text("user_agent", context.user_agent.as_ref());
    }
}

fn outcome(members: &mut Members<'_>, outcome: &Outcome<'_>, side: Side) {
    if side.public() {
        members.text("code", outcome.code.as_ref());
    }
    if side.phi() {
        members.text("reason", outcome.reason.as_ref());
    }
    if side.public() {
        members.known("status", outcome.status.map(crate::event::Status::as_str));
    }
}

fn request(members: &mut Members<'_>, request: &Request<'_>, side: Side) {
    if side.phi() {
        members.array("parameters", &request.parameters, canonical::value);
    }
    if side.public() {
        members.text("protocol", request.protocol.as_ref());
        members.integer("rows", request.rows);
    }
    if side.phi() {
        members.text("statement", request.statement.as_ref());
    }
}

/// Targets have the same places on both sides; a side that would hold empty objects only leaves the array out.
fn targets(members: &mut Members<'_>, targets: &[Target<'_>], side: Side) {
    let public = |target: &Target<'_>| target.count.is_some() || !target.labels.is_empty() || target.kind.is_some();
    let phi = |target: &Target<'_>| target.id.is_some() || target.name.is_some() || target.patient_id.is_some();
    if targets.iter().any(|target| side.public() && public(target) || side.phi() && phi(target)) {
        members.array("targets", targets, |out, target| object(out, |members| self::target(members, target, side)));
    }
}

fn target(members: &mut Members<'_>, target: &Target<'_>, side: Side) {
    if side.public() {
        members.integer("count", target.count);
    }
    if side.phi() {
        members.text("id", target.id.as_ref());
    }
    if side.public() {
        members.texts("labels", &target.labels);
    }
    if side.phi() {
        members.text("name", target.name.as_ref());
        members.text("patient_id", target.patient_id.as_ref());
    }
    if side.public() {
        members.text("type", target.kind.as_ref());
    }
}

/// The members of one object, written one after the other. Names must come in canonical order and need no escape.
struct Members<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

/// Writes an object around what `fill` writes.
fn object<T>(out: &mut Vec<u8>, fill: impl FnOnce(&mut Members<'_>) -> T) -> T {
    out.push(b'{');
    let result = fill(&mut Members { out, empty: true });
    out.push(b'}');
    result
}

fn quoted(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    fill(out);
    out.push(b'"');
}

impl Members<'_> {
    /// Writes a name; its value must follow.
    fn name(&mut self, name: &'static str) -> &mut Vec<u8> {
        if !std::mem::replace(&mut self.empty, false) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    fn text(&mut self, name: &'static str, text: Option<&Text<'_>>) {
        if let Some(text) = text {
            self.word(name, text);
        }
    }

    fn word(&mut self, name: &'static str, text: &str) {
        canonical::string(self.name(name), text);
    }

    /// A word of ours, which needs no escape.
    fn known(&mut self, name: &'static str, word: Option<&'static str>) {
        if let Some(word) = word {
            quoted(self.name(name), |out| out.extend_from_slice(word.as_bytes()));
        }
    }

    fn boolean(&mut self, name: &'static str, value: Option<bool>) {
        if let Some(value) = value {
            self.name(name).extend_from_slice(if value { b"true" } else { b"false" });
        }
    }

    fn integer(&mut self, name: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            canonical::integer(self.name(name), value);
        }
    }

    fn value(&mut self, name: &'static str, value: Option<&Value<'_>>) {
        if let Some(value) = value {
            canonical::value(self.name(name), value);
        }
    }

    fn texts(&mut self, name: &'static str, texts: &[Text<'_>]) {
        self.array(name, texts, |out, text| canonical::string(out, text));
    }

    /// An array, unless it is empty.
    fn array<T>(&mut self, name: &'static str, elements: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
        let Some((first, rest)) = elements.split_first() else { return };
        let out = self.name(name);
        out.push(b'[');
        write(out, first);
        for element in rest {
            out.push(b',');
            write(out, element);
        }
        out.push(b']');
    }

    /// An object, unless `fill` writes nothing.
    fn object(&mut self, name: &'static str, fill: impl FnOnce(&mut Members<'_>)) {
        let (mark, was_empty) = (self.out.len(), self.empty);
        let out = self.name(name);
        out.push(b'{');
        let mut inner = Members { out, empty: true };
        fill(&mut inner);
        if inner.empty {
            self.out.truncate(mark);
            self.empty = was_empty;
        } else {
            self.out.push(b'}');
        }
    }
}
