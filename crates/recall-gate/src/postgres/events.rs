//! The events of a gateway session: `db.login`, `db.request`, `db.subjects`, `db.result`, `db.logout`. The three kinds of one statement share
//! `context.request_id`.
//!
//! Owns their shape. It must not know when they are written.

use std::borrow::Cow;
use std::sync::Arc;

use recall_log::event::{Actor, ActorType, Context, Event, Op, Outcome, Request, Status, Target};
use recall_log::json::{Number, Object, Value};
use recall_log::time::Timestamp;

/// Bytes of a statement, as JSON writes them, in one record; what is longer goes on in further ones.
const STATEMENT_BYTES: usize = 512 << 10;
/// Bytes of parameters in one record.
const PARAMETERS_BYTES: usize = 256 << 10;
/// The longest identifier of a subject that an event takes, in bytes.
pub const SUBJECT_BYTES: usize = 512;
/// Bytes of the subjects of one record: what JSON makes of them, six times as much at most, fits into an event.
pub const SUBJECTS_BYTES: usize = 100 << 10;
/// Subjects of one record.
pub const PAGE_SUBJECTS: usize = 4_096;
/// Tables of one record.
const TABLES: usize = 256;

/// Whom and what a session's events are about.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The gateway's name.
    pub gateway: String,
    /// The person.
    pub person: String,
    /// The person's role, as policies name it.
    pub role: String,
    /// How the person proved who they are.
    pub auth_method: &'static str,
    /// The role upstream.
    pub upstream_role: String,
    /// The database.
    pub database: String,
    /// The session's identifier.
    pub session_id: String,
    /// The client's address, without its port.
    pub address: String,
    /// What the client calls itself.
    pub application: String,
}

/// One statement on its way.
pub struct Asked<'a> {
    /// Shared by its events.
    pub request_id: &'a str,
    /// Its text, without secrets.
    pub text: &'a str,
    /// Of what was removed from the text.
    pub redactions: &'a [&'static str],
    /// Its parameters, by position: the type's name and the value; `None` stands for NULL.
    pub parameters: &'a [(String, Option<String>)],
    /// The relations it names.
    pub tables: &'a [String],
    /// `SELECT` and the like.
    pub command: &'a str,
    /// What kind of act it is.
    pub op: Op,
    /// Equal for statements that differ in literals only.
    pub fingerprint: &'a str,
    /// Whether what it touches is known.
    pub understood: bool,
    /// The state of the transaction before it: `I`, `T` or `E`.
    pub transaction: u8,
}

/// How it ended.
pub struct Ended<'a> {
    /// Shared by its events.
    pub request_id: &'a str,
    /// In one word.
    pub status: Status,
    /// SQLSTATE, where it failed.
    pub code: &'a str,
    /// Why, in fixed words.
    pub reason: &'a str,
    /// Tags of the commands that completed.
    pub command: &'a str,
    /// Rows that came back.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Microseconds from the request to its end.
    pub duration_us: u64,
    /// Subjects named, each counted once a page.
    pub subjects: u64,
    /// Why not all subjects are known.
    pub unresolved: Option<&'static str>,
    /// Categories of health information in what came back.
    pub categories: String,
}

impl About {
    fn actor(&self) -> Actor<'_> {
        Actor {
            kind: ActorType::User,
            id: Some(Cow::Borrowed(&self.person)),
            roles: vec![Cow::Borrowed(&self.role)],
            session_id: Some(Cow::Borrowed(&self.session_id)),
            auth_method: Some(Cow::Borrowed(self.auth_method)),
            ..Actor::default()
        }
    }

    fn event<'a>(&'a self, now: Timestamp, action: &'static str, op: Op, request_id: &'a str) -> Event<'a> {
        Event {
            time: now,
            action: Cow::Borrowed(action),
            op: Some(op),
            actor: self.actor(),
            outcome: Outcome { status: Some(Status::Success), ..Outcome::default() },
            context: Context {
                ip: filled(&self.address),
                app: filled(&self.application),
                component: filled(&self.gateway),
                request_id: filled(request_id),
                ..Context::default()
            },
            ..Event::default()
        }
    }

    fn database(&self) -> Target<'_> {
        Target { kind: Some(Cow::Borrowed("db:database")), name: Some(Cow::Borrowed(&self.database)), ..Target::default() }
    }

    /// A session begins.
    pub fn login(&self, now: Timestamp) -> Event<'_> {
        let mut event = self.event(now, "db.login", Op::Authenticate, "");
        event.targets = vec![self.database()];
        event.metadata = metadata(vec![("upstream_role", text(&self.upstream_role))]);
        event
    }

    /// Somebody was not let in. `reason` holds nothing that they sent.
    pub fn refused<'a>(&'a self, now: Timestamp, code: &'a str, reason: &'a str) -> Event<'a> {
        let mut event = self.login(now);
        event.outcome = Outcome { status: Some(Status::Denied), code: filled(code), reason: filled(reason) };
        event
    }

    /// A session ends.
    pub fn logout<'a>(&'a self, now: Timestamp, reason: &'a str) -> Event<'a> {
        let mut event = self.event(now, "db.logout", Op::Authenticate, "");
        event.targets = vec![self.database()];
        event.outcome.reason = filled(reason);
        event
    }

    /// Somebody at `address` who knows the session's secret ends what it is doing.
    pub fn cancel<'a>(&'a self, now: Timestamp, address: &'a str) -> Event<'a> {
        let mut event = self.event(now, "db.cancel", Op::Execute, "");
        event.context.ip = filled(address);
        event.targets = vec![self.database()];
        event
    }

    /// A statement is under way: one event, or several where its text or its parameters are long.
    pub fn request<'a>(&'a self, now: Timestamp, asked: &'a Asked<'a>) -> Vec<Event<'a>> {
        let texts = split_text(asked.text, STATEMENT_BYTES);
        let values = split_parameters(asked.parameters);
        let parts = texts.len().max(values.len()).max(1);
        let mut tables: Vec<Target<'_>> = asked.tables.iter().take(TABLES).map(|name| table(name)).collect();
        if tables.is_empty() {
            tables.push(self.database());
        }
        let part = |at: usize| {
            let mut event = self.event(now, "db.request", asked.op, asked.request_id);
            event.outcome.status = Some(Status::Unknown);
            event.targets = tables.clone();
            event.request = Request {
                protocol: Some(Cow::Borrowed("postgres")),
                statement: texts.get(at).map(|text| Cow::Borrowed(*text)),
                parameters: values.get(at).cloned().unwrap_or_default(),
                rows: None,
            };
            let mut known = vec![
                ("command", text(asked.command)),
                ("fingerprint", text(asked.fingerprint)),
                ("transaction", text(transaction(asked.transaction))),
                ("understood", Value::Bool(asked.understood)),
                ("removed", Value::Text(Cow::Owned(asked.redactions.join(" ")))),
                ("upstream_role", text(&self.upstream_role)),
            ];
            if asked.tables.len() > TABLES {
                known.push(("tables", number(asked.tables.len() as u64)));
            }
            if parts > 1 {
                known.extend([("part", number(at as u64 + 1)), ("parts", number(parts as u64))]);
            }
            event.metadata = metadata(known);
            event
        };
        (0..parts).map(part).collect()
    }

    /// Subjects whose data are in rows that are about to leave. `column` is where their identifiers stood.
    pub fn subjects<'a>(&'a self, now: Timestamp, request_id: &'a str, page: u64, subjects: &'a [Arc<str>]) -> Event<'a> {
        let mut event = self.event(now, "db.subjects", Op::Read, request_id);
        let target =
            |id: &'a Arc<str>| Target { kind: Some(Cow::Borrowed("patient")), patient_id: Some(Cow::Borrowed(&**id)), ..Target::default() };
        event.targets = subjects.iter().map(target).collect();
        event.metadata = metadata(vec![("page", number(page))]);
        event
    }

    /// A statement has ended.
    pub fn result<'a>(&'a self, now: Timestamp, ended: &Ended<'a>) -> Event<'a> {
        let mut event = self.event(now, "db.result", Op::Execute, ended.request_id);
        event.targets = vec![self.database()];
        event.outcome = Outcome { status: Some(ended.status), code: filled(ended.code), reason: filled(ended.reason) };
        event.request = Request { protocol: Some(Cow::Borrowed("postgres")), rows: Some(ended.rows), ..Request::default() };
        event.metadata = metadata(vec![
            ("command", text(ended.command)),
            ("bytes", number(ended.bytes)),
            ("duration_us", number(ended.duration_us)),
            ("subjects", number(ended.subjects)),
            ("subjects_unresolved", ended.unresolved.map_or(Value::Null, text)),
            ("phi", if ended.categories.is_empty() { Value::Null } else { Value::Text(Cow::Owned(ended.categories.clone())) }),
        ]);
        event
    }
}

fn table(name: &str) -> Target<'_> {
    Target { kind: Some(Cow::Borrowed("db:table")), name: Some(Cow::Borrowed(name)), ..Target::default() }
}

fn transaction(state: u8) -> &'static str {
    match state {
        b'T' => "open",
        b'E' => "failed",
        _ => "none",
    }
}

fn filled(text: &str) -> Option<Cow<'_, str>> {
    (!text.is_empty()).then_some(Cow::Borrowed(text))
}

fn text(text: &str) -> Value<'_> {
    if text.is_empty() { Value::Null } else { Value::Text(Cow::Borrowed(text)) }
}

fn number(value: u64) -> Value<'static> {
    Number::new(value as f64).map_or(Value::Null, Value::Number)
}

/// Names are chosen here and differ, so that there always is an object.
fn metadata<'a>(members: Vec<(&'static str, Value<'a>)>) -> Object<'a> {
    Object::new(members.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect()).unwrap_or_default()
}

/// Cuts text between characters so that each piece, escaped as JSON, takes at most `most` bytes.
fn split_text(text: &str, most: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut from, mut size) = (0, 0_usize);
    for (at, character) in text.char_indices() {
        let cost = if character.is_control() { 6 } else { character.len_utf8().max(if matches!(character, '"' | '\\') { 2 } else { 1 }) };
        if size.saturating_add(cost) > most {
            pieces.extend(text.get(from..at));
            (from, size) = (at, 0);
        }
        size = size.saturating_add(cost);
    }
    pieces.extend(text.get(from..).filter(|rest| !rest.is_empty()));
    pieces
}

/// Parameters in records that an event has room for: each is an object of position, type and value; a long value goes on in further ones
/// of the same position.
fn split_parameters(parameters: &[(String, Option<String>)]) -> Vec<Vec<Value<'_>>> {
    let mut records = Vec::new();
    let (mut record, mut size) = (Vec::new(), 0_usize);
    for (at, (type_name, value)) in parameters.iter().enumerate() {
        let mut pieces: Vec<Option<&str>> = value.iter().flat_map(|value| split_text(value, PARAMETERS_BYTES)).map(Some).collect();
        if pieces.is_empty() {
            pieces.push(value.as_deref());
        }
        for piece in pieces {
            let cost = piece.map_or(0, str::len).saturating_add(64);
            if size.saturating_add(cost) > PARAMETERS_BYTES && !record.is_empty() {
                records.push(std::mem::take(&mut record));
                size = 0;
            }
            size = size.saturating_add(cost);
            let members = vec![
                ("position", number(at as u64 + 1)),
                ("type", text(type_name)),
                ("value", piece.map_or(Value::Null, |piece| Value::Text(Cow::Borrowed(piece)))),
            ];
            record.push(Value::Object(metadata(members)));
        }
    }
    if !record.is_empty() {
        records.push(record);
    }
    records
}

#[cfg(test)]
mod tests;
