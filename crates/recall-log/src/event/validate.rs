//! The rules that hold for every event, whoever made it: sizes, counts, what must be there (`docs/format.md` section 11).

use super::{Actor, Change, Event, EventError, Op, Target, Text, limits};
use crate::json::Value;
use crate::time::Timestamp;

type Checked = Result<(), EventError>;

/// The last time that has four digits of year, which is all that the canonical form has room for.
const LAST_TIME: Timestamp = Timestamp::from_micros(253_402_300_799_999_999);

pub(super) fn event(event: &Event<'_>) -> Checked {
    identifier("id", event.id.as_ref())?;
    identifier("source", event.source.as_ref())?;
    whole_number("seq", event.seq)?;
    if event.time < Timestamp::default() || event.time > LAST_TIME {
        return Err(EventError::at("time", "before 1970 or after 9999", "send the time at which it happened"));
    }
    identifier("action", Some(&event.action))?;
    short("outcome.code", event.outcome.code.as_ref())?;
    bytes("outcome.reason", event.outcome.reason.as_ref(), limits::MEDIUM_BYTES)?;
    actor(&event.actor, 0).map_err(|error| error.within("actor"))?;
    targets(event)?;
    count("purpose", event.purpose.len(), limits::PURPOSES)?;
    event.purpose.iter().try_for_each(|purpose| code("purpose", purpose))?;
    short("approval_id", event.approval_id.as_ref())?;
    context(event)?;
    request(event)?;
    count("changes", event.changes.len(), limits::CHANGES)?;
    each("changes", &event.changes, change)?;
    bytes("description", event.description.as_ref(), limits::LONG_BYTES)?;
    metadata(event)
}

fn actor(found: &Actor<'_>, level: usize) -> Checked {
    if level > limits::ON_BEHALF_OF {
        return Err(EventError::here("more than 4 levels", "name fewer intermediaries"));
    }
    short("id", found.id.as_ref())?;
    bytes("name", found.name.as_ref(), limits::MEDIUM_BYTES)?;
    count("roles", found.roles.len(), limits::ROLES)?;
    found.roles.iter().try_for_each(|role| short("roles", Some(role)))?;
    short("session_id", found.session_id.as_ref())?;
    short("auth_method", found.auth_method.as_ref())?;
    match &found.on_behalf_of {
        Some(principal) => actor(principal, level + 1).map_err(|error| error.within("on_behalf_of")),
        None => Ok(()),
    }
}

fn targets(event: &Event<'_>) -> Checked {
    if event.targets.is_empty() && event.op != Some(Op::Authenticate) {
        return Err(EventError::at("targets", "missing", "name at least one target, or send \"op\": \"A\" for an authentication"));
    }
    count("targets", event.targets.len(), limits::TARGETS)?;
    each("targets", &event.targets, target)
}

fn target(target: &Target<'_>) -> Checked {
    if target.kind.is_none() && target.id.is_none() && target.name.is_none() && target.patient_id.is_none() {
        return Err(EventError::here("names nothing", "give it a type, id, name or patient_id"));
    }
    short("type", target.kind.as_ref())?;
    short("id", target.id.as_ref())?;
    bytes("name", target.name.as_ref(), limits::MEDIUM_BYTES)?;
    short("patient_id", target.patient_id.as_ref())?;
    count("labels", target.labels.len(), limits::LABELS)?;
    target.labels.iter().try_for_each(|label| short("labels", Some(label)))?;
    whole_number("count", target.count)
}

fn context(event: &Event<'_>) -> Checked {
    let context = &event.context;
    short("context.ip", context.ip.as_ref())?;
    bytes("context.user_agent", context.user_agent.as_ref(), limits::MEDIUM_BYTES)?;
    short("context.app", context.app.as_ref())?;
    short("context.component", context.component.as_ref())?;
    short("context.request_id", context.request_id.as_ref())?;
    short("context.trace_id", context.trace_id.as_ref())
}

fn request(event: &Event<'_>) -> Checked {
    let request = &event.request;
    short("request.protocol", request.protocol.as_ref())?;
    whole_number("request.rows", request.rows)?;
    count("request.parameters", request.parameters.len(), limits::PARAMETERS)?;
    // The event, `request` and `parameters` are three levels; so are the event, `changes` and a change.
    request.parameters.iter().try_for_each(|value| depth("request.parameters", Some(value), 3))
}

fn change(change: &Change<'_>) -> Checked {
    short("path", Some(&change.path))?;
    depth("before", change.before.as_ref(), 3)?;
    depth("after", change.after.as_ref(), 3)
}

fn metadata(event: &Event<'_>) -> Checked {
    let members = event.metadata.members();
    count("metadata", members.len(), limits::METADATA)?;
    members.iter().try_for_each(|(name, value)| {
        if name.is_empty() || longer(name, limits::METADATA_NAME_CHARACTERS) {
            return Err(EventError::at("metadata", "a name is empty or longer than 40 characters", "rename it"));
        }
        match value {
            Value::Text(text) if longer(text, limits::METADATA_VALUE_CHARACTERS) => {
                Err(EventError::at("metadata", "a value is longer than 500 characters", "shorten it"))
            }
            Value::Text(_) | Value::Number(_) | Value::Bool(_) => Ok(()),
            _ => Err(EventError::at("metadata", "a value is an object or an array", "send strings, numbers and booleans")),
        }
    })
}

/// Calls `check` for each element and puts its place in front of what it finds.
fn each<T>(name: &str, elements: &[T], check: impl Fn(&T) -> Checked) -> Checked {
    elements.iter().enumerate().try_for_each(|(index, element)| check(element).map_err(|error| error.within_element(index).within(name)))
}

/// What identifies something is never empty, and holds no control character: lists and keys are made of it.
fn identifier(name: &str, text: Option<&Text<'_>>) -> Checked {
    let Some(text) = text else { return Ok(()) };
    if text.is_empty() {
        return Err(EventError::at(name, "empty", "fill it in"));
    }
    // Control characters beyond ASCII begin with 0xC2; most texts need no look at characters.
    if text.bytes().any(|byte| byte < 0x20 || byte == 0x7F || byte == 0xC2) && text.contains(char::is_control) {
        return Err(EventError::at(name, "has a control character", "take it out"));
    }
    short(name, Some(text))
}

/// A code stands in lists joined by spaces.
fn code(name: &str, text: &Text<'_>) -> Checked {
    // White space is at most a blank, or beyond ASCII.
    if text.bytes().any(|byte| byte <= b' ' || byte >= 0x80) && text.contains(char::is_whitespace) {
        return Err(EventError::at(name, "a code has white space", "send each code as its own string"));
    }
    identifier(name, Some(text))
}

fn short(name: &str, text: Option<&Text<'_>>) -> Checked {
    bytes(name, text, limits::SHORT_BYTES)
}

fn bytes(name: &str, text: Option<&Text<'_>>, limit: usize) -> Checked {
    if text.is_some_and(|text| text.len() > limit) {
        return Err(EventError::at(name, format!("longer than {limit} bytes"), "shorten it"));
    }
    Ok(())
}

fn count(name: &str, found: usize, limit: usize) -> Checked {
    if found > limit {
        return Err(EventError::at(name, format!("more than {limit}"), "send fewer, or more events"));
    }
    Ok(())
}

fn whole_number(name: &str, number: Option<u64>) -> Checked {
    if number.is_some_and(|number| number > limits::INTEGER) {
        return Err(EventError::at(name, "larger than 9007199254740991", "send a smaller number or leave it out"));
    }
    Ok(())
}

fn depth(name: &str, value: Option<&Value<'_>>, above: usize) -> Checked {
    if value.is_some_and(|value| value.depth() + above > limits::DEPTH) {
        return Err(EventError::at(name, "nested deeper than 16", "nest less deeply"));
    }
    Ok(())
}

fn longer(text: &str, characters: usize) -> bool {
    text.len() > characters && text.chars().count() > characters
}
