//! What an event is searched by: the columns and postings of a segment. Read from the event at ingest and from stored bytes ever after;
//! both must agree, which is what makes a changed index show.

use super::{Admission, PHI, PUBLIC, PartError, comma_behind, damaged};
use crate::event::{ActorType, Event, Op, Status};
use crate::json::{JsonError, JsonErrorKind, Reader};
use crate::time::Timestamp;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

/// What an event is searched by. Empty strings count as absent.
#[derive(Clone, Default, PartialEq)]
pub struct Facets<'a> {
    /// When it happened, by the sender.
    pub time: Timestamp,
    /// When it came in, by the server.
    pub received_at: Timestamp,
    /// The system that recorded it.
    pub source: Cow<'a, str>,
    /// Unique within `source`.
    pub id: Cow<'a, str>,
    /// Counts events of the source.
    pub seq: Option<u64>,
    /// What was done.
    pub action: Cow<'a, str>,
    /// The kind of action.
    pub op: Option<Op>,
    /// How it ended.
    pub outcome: Option<Status>,
    /// What kind of actor acted.
    pub actor_type: ActorType,
    /// The actor's id, where the public part has it.
    pub actor: Option<Cow<'a, str>>,
    /// The actor's id, whichever part has it: what its posting is made of.
    pub actor_token: Option<Cow<'a, str>>,
    /// Whether actor and session lie in the PHI part.
    pub actor_hidden: bool,
    /// The actor's session, whichever part has it.
    pub session: Option<Cow<'a, str>>,
    /// Purposes, joined by a space; empty where there is none.
    pub purpose: Cow<'a, str>,
    /// The request's protocol.
    pub protocol: Option<Cow<'a, str>>,
    /// The application.
    pub app: Option<Cow<'a, str>>,
    /// Whether rules were overridden.
    pub break_glass: bool,
    /// Each distinct patient id: of the targets, then of patients among those who act, in order.
    pub patients: Vec<Cow<'a, str>>,
}

impl<'a> Facets<'a> {
    /// The facets of an event at ingest.
    pub fn of(event: &'a Event<'_>, admission: &Admission<'a>) -> Self {
        let borrowed = |text: &'a Option<Cow<'_, str>>| filled(text.as_deref().map(Cow::Borrowed));
        let hidden = event.actor.is_phi();
        let actor = borrowed(&event.actor.id);
        let of_targets = event.targets.iter().filter_map(|target| borrowed(&target.patient_id));
        let of_actors = event.actor.chain().filter(|actor| actor.kind == ActorType::Patient).filter_map(|actor| borrowed(&actor.id));
        Self {
            time: event.time,
            received_at: admission.received_at,
            source: Cow::Borrowed(admission.source),
            id: Cow::Borrowed(admission.id),
            seq: event.seq,
            action: Cow::Borrowed(&event.action),
            op: event.op,
            outcome: event.outcome.status,
            actor_type: event.actor.kind,
            actor: if hidden { None } else { actor.clone() },
            actor_token: actor,
            actor_hidden: hidden,
            session: borrowed(&event.actor.session_id),
            purpose: match event.purpose.as_slice() {
                [] => Cow::default(),
                [purpose] => Cow::Borrowed(purpose),
                purposes => Cow::Owned(purposes.join(" ")),
            },
            protocol: borrowed(&event.request.protocol),
            app: borrowed(&event.context.app),
            break_glass: event.break_glass.unwrap_or_default(),
            patients: distinct(of_targets.chain(of_actors)),
        }
    }

    /// The facets of stored bytes. Without the PHI part, what only it knows is absent.
    pub fn read(public: &'a [u8], phi: Option<&'a [u8]>) -> Result<Self, PartError> {
        let mut facets = Self::default();
        facets.read_public(public).map_err(damaged(PUBLIC))?;
        if let Some(phi) = phi {
            facets.read_phi(phi).map_err(damaged(PHI))?;
        }
        Ok(facets)
    }

    /// The facets of an event's stored bytes, and where `"received_at":"…",` stands in the public part, the comma behind it included.
    pub fn read_stored(public: &'a [u8], phi: &'a [u8]) -> Result<(Self, Range<usize>), PartError> {
        let mut facets = Self::default();
        let span = facets.read_public(public).map_err(damaged(PUBLIC))?;
        facets.read_phi(phi).map_err(damaged(PHI))?;
        Ok((facets, comma_behind(public, span)?))
    }

    /// Returns where `received_at` and one byte behind it stand.
    fn read_public(&mut self, public: &'a [u8]) -> Result<Option<Range<usize>>, JsonError> {
        let mut actor = Actor::default();
        let (mut span, mut from) = (None, 1);
        let mut reader = Reader::new(public)?;
        reader.object(|reader, name| {
            match &*name {
                "action" => self.action = reader.text()?,
                "actor" => actor = Actor::read(reader)?,
                "break_glass" => self.break_glass = reader.boolean()?,
                "context" => self.app = member(reader, "app")?,
                "id" => self.id = reader.text()?,
                "op" => self.op = Some(word(reader, Op::from_word)?),
                "outcome" => self.outcome = status(reader)?,
                "purpose" => self.purpose = joined(texts(reader)?),
                "received_at" => self.received_at = timestamp(reader)?,
                "request" => self.protocol = member(reader, "protocol")?,
                "seq" => self.seq = reader.number()?.integer(),
                "source" => self.source = reader.text()?,
                "time" => self.time = timestamp(reader)?,
                _ => reader.skip().map(|_| ())?,
            }
            let behind_comma = reader.at() + 1;
            if name == "received_at" {
                span = Some(from..behind_comma);
            }
            from = behind_comma;
            Ok::<_, JsonError>(())
        })?;
        reader.end()?;
        self.actor_type = actor.kind;
        self.actor = filled(actor.id);
        self.actor_token = self.actor.clone();
        self.session = filled(actor.session);
        Ok(span)
    }

    fn read_phi(&mut self, phi: &'a [u8]) -> Result<(), JsonError> {
        let mut hidden = None;
        let mut of_targets = Vec::new();
        let mut reader = Reader::new(phi)?;
        reader.object(|reader, name| match &*name {
            "actor" => Actor::read(reader).map(|actor| hidden = Some(actor)),
            "targets" => reader.array(|reader, _| member(reader, "patient_id").map(|id| of_targets.extend(id))),
            _ => reader.skip().map(|_| ()),
        })?;
        reader.end()?;
        let mut of_actors = Vec::new();
        if let Some(actor) = hidden {
            self.actor_hidden = true;
            self.actor_token = filled(actor.id);
            self.session = filled(actor.session);
            of_actors = actor.patients;
        }
        self.patients = distinct(of_targets.into_iter().chain(of_actors).filter_map(|id| filled(Some(id))));
        Ok(())
    }
}

/// What the facets need of an actor.
#[derive(Default)]
struct Actor<'a> {
    kind: ActorType,
    id: Option<Cow<'a, str>>,
    session: Option<Cow<'a, str>>,
    /// The ids of patients: this actor's, then those of whom it acts for.
    patients: Vec<Cow<'a, str>>,
}

impl<'a> Actor<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, JsonError> {
        let mut actor = Self::default();
        reader.object(|reader, name| {
            match &*name {
                "id" => actor.id = Some(reader.text()?),
                "on_behalf_of" => actor.patients = Self::read(reader)?.patients,
                "session_id" => actor.session = Some(reader.text()?),
                "type" => actor.kind = word(reader, ActorType::from_word)?,
                _ => reader.skip().map(|_| ())?,
            }
            Ok::<_, JsonError>(())
        })?;
        if actor.kind == ActorType::Patient {
            actor.patients.splice(0..0, actor.id.clone());
        }
        Ok(actor)
    }
}

fn filled(text: Option<Cow<'_, str>>) -> Option<Cow<'_, str>> {
    text.filter(|text| !text.is_empty())
}

fn joined(mut texts: Vec<Cow<'_, str>>) -> Cow<'_, str> {
    match texts.len() {
        0 | 1 => texts.pop().unwrap_or_default(),
        _ => Cow::Owned(texts.join(" ")),
    }
}

/// So many texts are faster compared with each other than put into a set.
const FEW_TEXTS: usize = 8;

/// Each text once, in the order of first appearance.
fn distinct<'a>(texts: impl Iterator<Item = Cow<'a, str>>) -> Vec<Cow<'a, str>> {
    let mut found: Vec<Cow<'a, str>> = Vec::new();
    let mut seen = BTreeSet::new();
    for text in texts {
        if found.len() < FEW_TEXTS {
            if found.contains(&text) {
                continue;
            }
        } else {
            if seen.is_empty() {
                seen.extend(found.iter().cloned());
            }
            if !seen.insert(text.clone()) {
                continue;
            }
        }
        found.push(text);
    }
    found
}

/// The string that an object has as its member `wanted`.
fn member<'a>(reader: &mut Reader<'a>, wanted: &str) -> Result<Option<Cow<'a, str>>, JsonError> {
    let mut found = None;
    reader.object(|reader, name| if name == wanted { reader.text().map(|text| found = Some(text)) } else { reader.skip().map(|_| ()) })?;
    Ok(filled(found))
}

fn status(reader: &mut Reader<'_>) -> Result<Option<Status>, JsonError> {
    let mut found = None;
    reader.object(|reader, name| match &*name {
        "status" => word(reader, Status::from_word).map(|status| found = Some(status)),
        _ => reader.skip().map(|_| ()),
    })?;
    Ok(found)
}

fn texts<'a>(reader: &mut Reader<'a>) -> Result<Vec<Cow<'a, str>>, JsonError> {
    let mut texts = Vec::new();
    reader.array(|reader, _| reader.text().map(|text| texts.push(text)))?;
    Ok(texts)
}

fn timestamp(reader: &mut Reader<'_>) -> Result<Timestamp, JsonError> {
    let at = reader.at();
    Timestamp::parse(&reader.text()?).map_err(|_| JsonError { at, kind: JsonErrorKind::Expected("a time") })
}

fn word<T>(reader: &mut Reader<'_>, from_word: fn(&str) -> Option<T>) -> Result<T, JsonError> {
    let at = reader.at();
    from_word(&reader.text()?).ok_or(JsonError { at, kind: JsonErrorKind::Expected("a word of the schema") })
}
