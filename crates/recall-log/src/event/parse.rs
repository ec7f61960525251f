//! From JSON to the typed event. Checks shapes and names; `validate` checks the rest.

use super::{Actor, ActorType, Change, Context, Event, EventError, Op, Outcome, Request, SCHEMA_NAME, Status, Target, Text, limits};
use crate::json::{JsonErrorKind, Kind, Object, Reader, Value};
use crate::time::Timestamp;

type Parsed<T> = Result<T, EventError>;

const EVENT: &[&str] = &[
    "schema",
    "id",
    "source",
    "seq",
    "time",
    "action",
    "op",
    "outcome",
    "actor",
    "targets",
    "purpose",
    "break_glass",
    "approval_id",
    "context",
    "request",
    "changes",
    "description",
    "metadata",
];
const OUTCOME: &[&str] = &["status", "code", "reason"];
const ACTOR: &[&str] = &["type", "id", "name", "roles", "session_id", "auth_method", "on_behalf_of"];
const TARGET: &[&str] = &["type", "id", "name", "patient_id", "labels", "count"];
const CONTEXT: &[&str] = &["ip", "user_agent", "app", "component", "request_id", "trace_id"];
const REQUEST: &[&str] = &["protocol", "statement", "parameters", "rows"];
const CHANGE: &[&str] = &["path", "before", "after"];

/// Fields of a stored event that no sender may claim.
const SET_BY_SERVER: &[&str] = &["received_at", "redactions", "integrity"];

pub(super) fn event(json: &[u8]) -> Parsed<Event<'_>> {
    let mut reader = Reader::new(json)?;
    let mut event = Event::default();
    let (mut time, mut action, mut by) = (None, None, None);
    members(&mut reader, EVENT, |reader, name| {
        match name {
            "id" => event.id = Some(text(reader)?),
            "source" => event.source = Some(text(reader)?),
            "seq" => event.seq = Some(integer(reader)?),
            "time" => time = Some(timestamp(reader)?),
            "action" => action = Some(text(reader)?),
            "op" => event.op = Some(word(reader, Op::from_word, Op::WORDS)?),
            "outcome" => event.outcome = outcome(reader)?,
            "actor" => by = Some(actor(reader, 0)?),
            "targets" => event.targets = list(reader, target)?,
            "purpose" => event.purpose = list(reader, text)?,
            "break_glass" => event.break_glass = Some(boolean(reader)?),
            "approval_id" => event.approval_id = Some(text(reader)?),
            "context" => event.context = context(reader)?,
            "request" => event.request = request(reader)?,
            "changes" => event.changes = list(reader, change)?,
            "description" => event.description = Some(text(reader)?),
            "metadata" => event.metadata = metadata(reader)?,
            _ => schema(reader)?,
        }
        Ok(())
    })?;
    reader.end()?;
    event.time = required(time, "time", "say when it happened, like 2026-11-23T18:00:00Z")?;
    event.action = required(action, "action", "say what was done, like \"chart.viewed\"")?;
    event.actor = required(by, "actor", "say who acted, at least {\"type\": …}")?;
    Ok(event)
}

fn schema(reader: &mut Reader<'_>) -> Parsed<()> {
    if text(reader)? == SCHEMA_NAME {
        return Ok(());
    }
    Err(EventError::here("a schema that this server does not know", format!("send \"{SCHEMA_NAME}\" or leave it out")))
}

fn outcome<'a>(reader: &mut Reader<'a>) -> Parsed<Outcome<'a>> {
    let mut outcome = Outcome::default();
    members(reader, OUTCOME, |reader, name| {
        match name {
            "status" => outcome.status = Some(word(reader, Status::from_word, Status::WORDS)?),
            "code" => outcome.code = Some(text(reader)?),
            _ => outcome.reason = Some(text(reader)?),
        }
        Ok(())
    })?;
    Ok(outcome)
}

fn actor<'a>(reader: &mut Reader<'a>, level: usize) -> Parsed<Actor<'a>> {
    if level > limits::ON_BEHALF_OF {
        return Err(EventError::here("more than 4 levels", "name fewer intermediaries"));
    }
    let mut actor = Actor::default();
    let mut kind = None;
    members(reader, ACTOR, |reader, name| {
        match name {
            "type" => kind = Some(word(reader, ActorType::from_word, ActorType::WORDS)?),
            "id" => actor.id = Some(text(reader)?),
            "name" => actor.name = Some(text(reader)?),
            "roles" => actor.roles = list(reader, text)?,
            "session_id" => actor.session_id = Some(text(reader)?),
            "auth_method" => actor.auth_method = Some(text(reader)?),
            _ => actor.on_behalf_of = Some(Box::new(self::actor(reader, level + 1)?)),
        }
        Ok(())
    })?;
    actor.kind = required(kind, "type", "use one of user, service, ai_agent, patient, anonymous")?;
    Ok(actor)
}

fn target<'a>(reader: &mut Reader<'a>) -> Parsed<Target<'a>> {
    let mut target = Target::default();
    members(reader, TARGET, |reader, name| {
        match name {
            "type" => target.kind = Some(text(reader)?),
            "id" => target.id = Some(text(reader)?),
            "name" => target.name = Some(text(reader)?),
            "patient_id" => target.patient_id = Some(text(reader)?),
            "labels" => target.labels = list(reader, text)?,
            _ => target.count = Some(integer(reader)?),
        }
        Ok(())
    })?;
    Ok(target)
}

fn context<'a>(reader: &mut Reader<'a>) -> Parsed<Context<'a>> {
    let mut context = Context::default();
    members(reader, CONTEXT, |reader, name| {
        let field = match name {
            "ip" => &mut context.ip,
            "user_agent" => &mut context.user_agent,
            "app" => &mut context.app,
            "component" => &mut context.component,
            "request_id" => &mut context.request_id,
            _ => &mut context.trace_id,
        };
        *field = Some(text(reader)?);
        Ok(())
    })?;
    Ok(context)
}

fn request<'a>(reader: &mut Reader<'a>) -> Parsed<Request<'a>> {
    let mut request = Request::default();
    members(reader, REQUEST, |reader, name| {
        match name {
            "protocol" => request.protocol = Some(text(reader)?),
            "statement" => request.statement = Some(text(reader)?),
            "parameters" => request.parameters = list(reader, |reader| Ok(reader.value()?))?,
            _ => request.rows = Some(integer(reader)?),
        }
        Ok(())
    })?;
    Ok(request)
}

fn change<'a>(reader: &mut Reader<'a>) -> Parsed<Change<'a>> {
    let mut change = Change::default();
    let mut path = None;
    members(reader, CHANGE, |reader, name| {
        match name {
            "path" => path = Some(text(reader)?),
            "before" => change.before = Some(reader.value()?),
            _ => change.after = Some(reader.value()?),
        }
        Ok(())
    })?;
    change.path = required(path, "path", "say what changed, like \"/birthDate\"")?;
    Ok(change)
}

fn metadata<'a>(reader: &mut Reader<'a>) -> Parsed<Object<'a>> {
    expect(reader, Kind::Object, "an object")?;
    match reader.value()? {
        Value::Object(object) => Ok(object),
        _ => Err(EventError::here("not an object", "send an object")),
    }
}

/// Reads an object whose members all stand in `names`, none twice; calls `member` for those that are not null.
fn members<'a>(
    reader: &mut Reader<'a>,
    names: &'static [&'static str],
    mut member: impl FnMut(&mut Reader<'a>, &'static str) -> Parsed<()>,
) -> Parsed<()> {
    expect(reader, Kind::Object, "an object")?;
    let (mut seen, mut next) = (0_u32, 0);
    reader.object(|reader, name| {
        // Senders keep to one order, so that the name is most often the one behind the last.
        let as_expected = names.get(next).is_some_and(|expected| *expected == name);
        let place = if as_expected { Some(next) } else { names.iter().position(|known| *known == name) };
        let Some((place, &known)) = place.and_then(|place| names.get(place).map(|known| (place, known))) else {
            return Err(refused(&name, names));
        };
        next = place + 1;
        if seen & (1 << place) != 0 {
            return Err(EventError::at(known, "stands twice", JsonErrorKind::Duplicate.remedy()));
        }
        seen |= 1 << place;
        if reader.null()? {
            return Ok(());
        }
        member(reader, known).map_err(|error| error.within(known))
    })
}

fn refused(name: &str, names: &'static [&'static str]) -> EventError {
    match SET_BY_SERVER.iter().find(|set| **set == name) {
        Some(set) if names == EVENT => EventError::at(*set, "set by the server alone", "leave it out"),
        _ => EventError::unknown(name, names),
    }
}

fn list<'a, T>(reader: &mut Reader<'a>, mut element: impl FnMut(&mut Reader<'a>) -> Parsed<T>) -> Parsed<Vec<T>> {
    expect(reader, Kind::Array, "an array")?;
    let mut elements = Vec::new();
    reader.array(|reader, index| {
        if index == limits::PARAMETERS {
            return Err(EventError::here(format!("more than {} elements", limits::PARAMETERS), "send fewer"));
        }
        elements.push(element(reader).map_err(|error| error.within_element(index))?);
        Ok(())
    })?;
    Ok(elements)
}

fn text<'a>(reader: &mut Reader<'a>) -> Parsed<Text<'a>> {
    expect(reader, Kind::Text, "a string")?;
    Ok(reader.text()?)
}

fn boolean(reader: &mut Reader<'_>) -> Parsed<bool> {
    expect(reader, Kind::Bool, "true or false")?;
    Ok(reader.boolean()?)
}

fn integer(reader: &mut Reader<'_>) -> Parsed<u64> {
    expect(reader, Kind::Number, "a number")?;
    let problem = || EventError::here("not a whole number from 0 to 9007199254740991", "send such a number or leave it out");
    reader.number()?.integer().ok_or_else(problem)
}

fn timestamp(reader: &mut Reader<'_>) -> Parsed<Timestamp> {
    let problem = |_| EventError::here("not an RFC 3339 time with its offset", "write it like 2026-11-23T18:00:00.000000Z");
    Timestamp::parse(&text(reader)?).map_err(problem)
}

fn word<T>(reader: &mut Reader<'_>, from_word: fn(&str) -> Option<T>, words: &[&str]) -> Parsed<T> {
    from_word(&text(reader)?).ok_or_else(|| EventError::here("no such value", format!("use one of {}", words.join(", "))))
}

fn expect(reader: &mut Reader<'_>, kind: Kind, what: &str) -> Parsed<()> {
    if reader.kind()? == kind {
        return Ok(());
    }
    Err(EventError::here(format!("not {what}"), format!("send {what}")))
}

fn required<T>(found: Option<T>, name: &'static str, remedy: impl Into<String>) -> Parsed<T> {
    found.ok_or_else(|| EventError::at(name, "missing", remedy))
}
