//! From JSON to the typed event. Checks shapes and names; `validate` checks the rest.

use super::fields::{Field, fields, find};
use super::{Actor, ActorType, Change, Context, Event, EventError, Op, Outcome, Request, SCHEMA_NAME, Status, Target, Text, limits};
use crate::json::{JsonErrorKind, Kind, Object, Reader, Value};
use crate::time::Timestamp;

/// Boxed, because a result that is as large as three strings is slow to hand on, and errors are rare.
type Parsed<T> = Result<T, Box<EventError>>;

fields!(EventField {
    Schema = "schema",
    Id = "id",
    Source = "source",
    Seq = "seq",
    Time = "time",
    Action = "action",
    Op = "op",
    Outcome = "outcome",
    Actor = "actor",
    Targets = "targets",
    Purpose = "purpose",
    BreakGlass = "break_glass",
    ApprovalId = "approval_id",
    Context = "context",
    Request = "request",
    Changes = "changes",
    Description = "description",
    Metadata = "metadata",
});
fields!(OutcomeField { Status = "status", Code = "code", Reason = "reason" });
fields!(ActorField {
    Type = "type",
    Id = "id",
    Name = "name",
    Roles = "roles",
    SessionId = "session_id",
    AuthMethod = "auth_method",
    OnBehalfOf = "on_behalf_of",
});
fields!(TargetField { Type = "type", Id = "id", Name = "name", PatientId = "patient_id", Labels = "labels", Count = "count" });
fields!(ContextField {
    Ip = "ip",
    UserAgent = "user_agent",
    App = "app",
    Component = "component",
    RequestId = "request_id",
    TraceId = "trace_id",
});
fields!(RequestField { Protocol = "protocol", Statement = "statement", Parameters = "parameters", Rows = "rows" });
fields!(ChangeField { Path = "path", Before = "before", After = "after" });

/// Fields of a stored event that no sender may claim.
const SET_BY_SERVER: &[&str] = &["received_at", "redactions", "integrity"];

pub(super) fn event(json: &[u8]) -> Parsed<Event<'_>> {
    let mut reader = Reader::new(json)?;
    let mut event = Event::default();
    let (mut time, mut action, mut acted) = (None, None, None);
    members(&mut reader, |reader, field| {
        match field {
            EventField::Id => text_into(reader, &mut event.id)?,
            EventField::Source => text_into(reader, &mut event.source)?,
            EventField::Seq => event.seq = Some(integer(reader)?),
            EventField::Time => time = Some(timestamp(reader)?),
            EventField::Action => text_into(reader, &mut action)?,
            EventField::Op => event.op = Some(word(reader, Op::from_word, Op::WORDS)?),
            EventField::Outcome => outcome(reader, &mut event.outcome)?,
            EventField::Actor => acted = Some(actor(reader, 0, &mut event.actor)?),
            EventField::Targets => list(reader, &mut event.targets, target)?,
            EventField::Purpose => texts(reader, &mut event.purpose)?,
            EventField::BreakGlass => event.break_glass = Some(boolean(reader)?),
            EventField::ApprovalId => text_into(reader, &mut event.approval_id)?,
            EventField::Context => context(reader, &mut event.context)?,
            EventField::Request => request(reader, &mut event.request)?,
            EventField::Changes => list(reader, &mut event.changes, change)?,
            EventField::Description => text_into(reader, &mut event.description)?,
            EventField::Metadata => event.metadata = metadata(reader)?,
            EventField::Schema => schema(reader)?,
        }
        Ok(())
    })?;
    reader.end()?;
    event.time = required(time, "time", "say when it happened, like 2026-11-23T18:00:00Z")?;
    event.action = required(action, "action", "say what was done, like \"chart.viewed\"")?;
    required(acted, "actor", "say who acted, at least {\"type\": …}")?;
    Ok(event)
}

fn schema(reader: &mut Reader<'_>) -> Parsed<()> {
    if text(reader)? == SCHEMA_NAME {
        return Ok(());
    }
    Err(EventError::here("a schema that this server does not know", format!("send \"{SCHEMA_NAME}\" or leave it out")).into())
}

fn outcome<'a>(reader: &mut Reader<'a>, outcome: &mut Outcome<'a>) -> Parsed<()> {
    members(reader, |reader, field| {
        match field {
            OutcomeField::Status => outcome.status = Some(word(reader, Status::from_word, Status::WORDS)?),
            OutcomeField::Code => text_into(reader, &mut outcome.code)?,
            OutcomeField::Reason => text_into(reader, &mut outcome.reason)?,
        }
        Ok(())
    })
}

fn actor<'a>(reader: &mut Reader<'a>, level: usize, actor: &mut Actor<'a>) -> Parsed<()> {
    if level > limits::ON_BEHALF_OF {
        return Err(EventError::here("more than 4 levels", "name fewer intermediaries").into());
    }
    let mut kind = None;
    members(reader, |reader, field| {
        match field {
            ActorField::Type => kind = Some(word(reader, ActorType::from_word, ActorType::WORDS)?),
            ActorField::Id => text_into(reader, &mut actor.id)?,
            ActorField::Name => text_into(reader, &mut actor.name)?,
            ActorField::Roles => texts(reader, &mut actor.roles)?,
            ActorField::SessionId => text_into(reader, &mut actor.session_id)?,
            ActorField::AuthMethod => text_into(reader, &mut actor.auth_method)?,
            ActorField::OnBehalfOf => self::actor(reader, level + 1, actor.on_behalf_of.get_or_insert_default())?,
        }
        Ok(())
    })?;
    actor.kind = required(kind, "type", "use one of user, service, ai_agent, patient, anonymous")?;
    Ok(())
}

fn target<'a>(reader: &mut Reader<'a>, target: &mut Target<'a>) -> Parsed<()> {
    members(reader, |reader, field| {
        match field {
            TargetField::Type => text_into(reader, &mut target.kind)?,
            TargetField::Id => text_into(reader, &mut target.id)?,
            TargetField::Name => text_into(reader, &mut target.name)?,
            TargetField::PatientId => text_into(reader, &mut target.patient_id)?,
            TargetField::Labels => texts(reader, &mut target.labels)?,
            TargetField::Count => target.count = Some(integer(reader)?),
        }
        Ok(())
    })
}

fn context<'a>(reader: &mut Reader<'a>, context: &mut Context<'a>) -> Parsed<()> {
    members(reader, |reader, field| {
        let field = match field {
            ContextField::Ip => &mut context.ip,
            ContextField::UserAgent => &mut context.user_agent,
            ContextField::App => &mut context.app,
            ContextField::Component => &mut context.component,
            ContextField::RequestId => &mut context.request_id,
            ContextField::TraceId => &mut context.trace_id,
        };
        text_into(reader, field)
    })
}

fn request<'a>(reader: &mut Reader<'a>, request: &mut Request<'a>) -> Parsed<()> {
    members(reader, |reader, field| {
        match field {
            RequestField::Protocol => text_into(reader, &mut request.protocol)?,
            RequestField::Statement => text_into(reader, &mut request.statement)?,
            RequestField::Parameters => list(reader, &mut request.parameters, value_into)?,
            RequestField::Rows => request.rows = Some(integer(reader)?),
        }
        Ok(())
    })
}

fn change<'a>(reader: &mut Reader<'a>, change: &mut Change<'a>) -> Parsed<()> {
    let mut path = None;
    members(reader, |reader, field| {
        match field {
            ChangeField::Path => text_into(reader, &mut path)?,
            ChangeField::Before => change.before = Some(reader.value()?),
            ChangeField::After => change.after = Some(reader.value()?),
        }
        Ok(())
    })?;
    change.path = required(path, "path", "say what changed, like \"/birthDate\"")?;
    Ok(())
}

fn metadata<'a>(reader: &mut Reader<'a>) -> Parsed<Object<'a>> {
    expect(reader, Kind::Object, "an object")?;
    match reader.value()? {
        Value::Object(object) => Ok(object),
        _ => Err(EventError::here("not an object", "send an object").into()),
    }
}

/// Reads an object whose members are all fields `F`, none twice; calls `member` for those that are not null.
fn members<'a, F: Field>(reader: &mut Reader<'a>, mut member: impl FnMut(&mut Reader<'a>, F) -> Parsed<()>) -> Parsed<()> {
    expect(reader, Kind::Object, "an object")?;
    let mut seen = 0_u32;
    reader.object(|reader, name| {
        let Some((field, known, place)) = find::<F>(&name) else {
            return Err(refused::<F>(&name));
        };
        if seen & (1 << place) != 0 {
            return Err(EventError::at(known, "stands twice", JsonErrorKind::Duplicate.remedy()).into());
        }
        seen |= 1 << place;
        if reader.null()? {
            return Ok(());
        }
        member(reader, field).map_err(|error| error.within(known).into())
    })
}

#[cold]
fn refused<F: Field>(name: &str) -> Box<EventError> {
    let names: Vec<_> = F::ALL.iter().map(|(_, known)| *known).collect();
    let of_event = names.contains(&"schema");
    let error = match SET_BY_SERVER.iter().find(|set| **set == name) {
        Some(set) if of_event => EventError::at(*set, "set by the server alone", "leave it out"),
        _ => EventError::unknown(name, &names),
    };
    error.into()
}

/// Reads an array; each element is filled in where it is kept.
fn list<'a, T: Default>(
    reader: &mut Reader<'a>,
    elements: &mut Vec<T>,
    mut fill: impl FnMut(&mut Reader<'a>, &mut T) -> Parsed<()>,
) -> Parsed<()> {
    expect(reader, Kind::Array, "an array")?;
    reader.array(|reader, index| {
        if index == limits::PARAMETERS {
            return Err(EventError::here(format!("more than {} elements", limits::PARAMETERS), "send fewer").into());
        }
        elements.push(T::default());
        let filled = elements.last_mut().map_or(Ok(()), |element| fill(reader, element));
        filled.map_err(|error| error.within_element(index).into())
    })
}

fn texts<'a>(reader: &mut Reader<'a>, texts: &mut Vec<Text<'a>>) -> Parsed<()> {
    list(reader, texts, |reader, place| {
        *place = text(reader)?;
        Ok(())
    })
}

fn value_into<'a>(reader: &mut Reader<'a>, place: &mut Value<'a>) -> Parsed<()> {
    *place = reader.value()?;
    Ok(())
}

#[inline(always)]
fn text<'a>(reader: &mut Reader<'a>) -> Parsed<Text<'a>> {
    expect(reader, Kind::Text, "a string")?;
    Ok(reader.text()?)
}

/// Reads a text where it is kept: moving it there costs as much as reading it.
fn text_into<'a>(reader: &mut Reader<'a>, place: &mut Option<Text<'a>>) -> Parsed<()> {
    *place = Some(text(reader)?);
    Ok(())
}

fn boolean(reader: &mut Reader<'_>) -> Parsed<bool> {
    expect(reader, Kind::Bool, "true or false")?;
    Ok(reader.boolean()?)
}

fn integer(reader: &mut Reader<'_>) -> Parsed<u64> {
    expect(reader, Kind::Number, "a number")?;
    let problem = || EventError::here("not a whole number from 0 to 9007199254740991", "send such a number or leave it out");
    reader.number()?.integer().ok_or_else(|| problem().into())
}

fn timestamp(reader: &mut Reader<'_>) -> Parsed<Timestamp> {
    let problem = |_| EventError::here("not an RFC 3339 time with its offset", "write it like 2026-11-23T18:00:00.000000Z").into();
    Timestamp::parse(&text(reader)?).map_err(problem)
}

fn word<T>(reader: &mut Reader<'_>, from_word: fn(&str) -> Option<T>, words: &[&str]) -> Parsed<T> {
    from_word(&text(reader)?).ok_or_else(|| EventError::here("no such value", format!("use one of {}", words.join(", "))).into())
}

#[inline]
fn expect(reader: &mut Reader<'_>, kind: Kind, what: &str) -> Parsed<()> {
    if reader.kind()? == kind { Ok(()) } else { Err(unexpected(what)) }
}

#[cold]
fn unexpected(what: &str) -> Box<EventError> {
    EventError::here(format!("not {what}"), format!("send {what}")).into()
}

fn required<T>(found: Option<T>, name: &'static str, remedy: impl Into<String>) -> Parsed<T> {
    found.ok_or_else(|| EventError::at(name, "missing", remedy).into())
}
