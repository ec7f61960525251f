//! Writes an event's parts in canonical form, straight from the typed event: members stand here in the order in which they are written.

use super::{Admission, Parts};
use crate::canonical;
use crate::event::{Actor, ActorType, Change, Context, Event, Outcome, Request, SCHEMA_NAME, Target, Text};
use crate::json::Value;

/// A [`Name`], put together while compiling.
macro_rules! name {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

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

/// Writes over what `parts` held, whose memory is used again.
pub(super) fn parts(parts: &mut Parts, event: &Event<'_>, admission: &Admission<'_>) {
    for part in [&mut parts.public, &mut parts.phi] {
        part.clear();
        part.reserve(USUAL_BYTES);
    }
    parts.received_at_span = object(&mut parts.public, |members| whole_event(members, event, admission, Side::Public));
    object(&mut parts.phi, |members| whole_event(members, event, admission, Side::Phi));
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
        members.text(name!("action"), Some(&event.action));
    }
    members.object(name!("actor"), |members| actor_on(members, &event.actor, hidden, side));
    if side.public() {
        members.text(name!("approval_id"), event.approval_id.as_ref());
        members.boolean(name!("break_glass"), event.break_glass);
    }
    if side.phi() {
        members.array(name!("changes"), &event.changes, |out, change| object(out, |members| self::change(members, change)));
    }
    members.object(name!("context"), |members| context(members, &event.context, hidden, side));
    if side.phi() {
        members.text(name!("description"), event.description.as_ref());
    }
    if side.public() {
        members.word(name!("id"), admission.id);
    }
    if side.phi() && !event.metadata.members().is_empty() {
        canonical::object(members.name(name!("metadata")), &event.metadata);
    }
    if side.public() {
        members.known(name!("op"), event.op.map(crate::event::Op::as_str));
    }
    members.object(name!("outcome"), |members| outcome(members, &event.outcome, side));
    if side.public() {
        members.texts(name!("purpose"), &event.purpose);
        span = received_at(members, admission);
    }
    members.object(name!("request"), |members| request(members, &event.request, side));
    if side.public() {
        members.word(name!("schema"), SCHEMA_NAME);
        members.integer(name!("seq"), event.seq);
        members.word(name!("source"), admission.source);
    }
    targets(members, &event.targets, side);
    if side.public() {
        quoted(members.name(name!("time")), |out| event.time.write(out));
    }
    span
}

fn received_at(members: &mut Members<'_>, admission: &Admission<'_>) -> std::ops::Range<usize> {
    let out = members.name(name!("received_at"));
    let from = out.len() - "\"received_at\":".len();
    quoted(out, |out| admission.received_at.write(out));
    // `schema` follows at the latest, so that there is a comma.
    from..out.len() + 1
}

fn actor_on(members: &mut Members<'_>, actor: &Actor<'_>, hidden: bool, side: Side) {
    match (hidden, side) {
        (false, Side::Phi) => {}
        (true, Side::Public) => members.known(name!("type"), Some(actor.kind.as_str())),
        _ => self::actor(members, actor),
    }
}

fn actor(members: &mut Members<'_>, actor: &Actor<'_>) {
    members.text(name!("auth_method"), actor.auth_method.as_ref());
    members.text(name!("id"), actor.id.as_ref());
    members.text(name!("name"), actor.name.as_ref());
    if let Some(principal) = &actor.on_behalf_of {
        members.object(name!("on_behalf_of"), |members| self::actor(members, principal));
    }
    members.texts(name!("roles"), &actor.roles);
    members.text(name!("session_id"), actor.session_id.as_ref());
    members.known(name!("type"), Some(ActorType::as_str(actor.kind)));
}

fn change(members: &mut Members<'_>, change: &Change<'_>) {
    members.value(name!("after"), change.after.as_ref());
    members.value(name!("before"), change.before.as_ref());
    members.text(name!("path"), Some(&change.path));
}

fn context(members: &mut Members<'_>, context: &Context<'_>, hidden: bool, side: Side) {
    let person = if hidden { side.phi() } else { side.public() };
    if side.public() {
        members.text(name!("app"), context.app.as_ref());
        members.text(name!("component"), context.component.as_ref());
    }
    if person {
        members.text(name!("ip"), context.ip.as_ref());
    }
    if side.phi() {
        members.text(name!("request_id"), context.request_id.as_ref());
        members.text(name!("trace_id"), context.trace_id.as_ref());
    }
    if person {
        members.text(name!("user_agent"), context.user_agent.as_ref());
    }
}

fn outcome(members: &mut Members<'_>, outcome: &Outcome<'_>, side: Side) {
    if side.public() {
        members.text(name!("code"), outcome.code.as_ref());
    }
    if side.phi() {
        members.text(name!("reason"), outcome.reason.as_ref());
    }
    if side.public() {
        members.known(name!("status"), outcome.status.map(crate::event::Status::as_str));
    }
}

fn request(members: &mut Members<'_>, request: &Request<'_>, side: Side) {
    if side.phi() {
        members.array(name!("parameters"), &request.parameters, canonical::value);
    }
    if side.public() {
        members.text(name!("protocol"), request.protocol.as_ref());
        members.integer(name!("rows"), request.rows);
    }
    if side.phi() {
        members.text(name!("statement"), request.statement.as_ref());
    }
}

/// Targets have the same places on both sides; a side that would hold empty objects only leaves the array out.
fn targets(members: &mut Members<'_>, targets: &[Target<'_>], side: Side) {
    let public = |target: &Target<'_>| target.count.is_some() || !target.labels.is_empty() || target.kind.is_some();
    let phi = |target: &Target<'_>| target.id.is_some() || target.name.is_some() || target.patient_id.is_some();
    if targets.iter().any(|target| side.public() && public(target) || side.phi() && phi(target)) {
        members.array(name!("targets"), targets, |out, target| object(out, |members| self::target(members, target, side)));
    }
}

fn target(members: &mut Members<'_>, target: &Target<'_>, side: Side) {
    if side.public() {
        members.integer(name!("count"), target.count);
    }
    if side.phi() {
        members.text(name!("id"), target.id.as_ref());
    }
    if side.public() {
        members.texts(name!("labels"), &target.labels);
    }
    if side.phi() {
        members.text(name!("name"), target.name.as_ref());
        members.text(name!("patient_id"), target.patient_id.as_ref());
    }
    if side.public() {
        members.text(name!("type"), target.kind.as_ref());
    }
}

/// A member's name as it is written: `,"name":`.
type Name = &'static str;

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
    ///
    /// Always inlined, so that each copy has a length that is known while compiling.
    #[inline(always)]
    fn name(&mut self, name: Name) -> &mut Vec<u8> {
        if std::mem::replace(&mut self.empty, false) {
            self.out.extend_from_slice(name.as_bytes().get(1..).unwrap_or_default());
        } else {
            self.out.extend_from_slice(name.as_bytes());
        }
        self.out
    }

    #[inline(always)]
    fn text(&mut self, name: Name, text: Option<&Text<'_>>) {
        if let Some(text) = text {
            self.word(name, text);
        }
    }

    #[inline(always)]
    fn word(&mut self, name: Name, text: &str) {
        canonical::string(self.name(name), text);
    }

    /// A word of ours, which needs no escape.
    #[inline(always)]
    fn known(&mut self, name: Name, word: Option<&'static str>) {
        if let Some(word) = word {
            quoted(self.name(name), |out| out.extend_from_slice(word.as_bytes()));
        }
    }

    fn boolean(&mut self, name: Name, value: Option<bool>) {
        if let Some(value) = value {
            self.name(name).extend_from_slice(if value { b"true" } else { b"false" });
        }
    }

    fn integer(&mut self, name: Name, value: Option<u64>) {
        if let Some(value) = value {
            canonical::integer(self.name(name), value);
        }
    }

    fn value(&mut self, name: Name, value: Option<&Value<'_>>) {
        if let Some(value) = value {
            canonical::value(self.name(name), value);
        }
    }

    #[inline(always)]
    fn texts(&mut self, name: Name, texts: &[Text<'_>]) {
        self.array(name, texts, |out, text| canonical::string(out, text));
    }

    /// An array, unless it is empty.
    fn array<T>(&mut self, name: Name, elements: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
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
    fn object(&mut self, name: Name, fill: impl FnOnce(&mut Members<'_>)) {
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
