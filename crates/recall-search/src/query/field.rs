//! The names a query may ask for, and where each is found.
//!
//! Names are those of the event (`docs/event.schema.json`), with short ones beside them. Where a field lies in the PHI part follows
//! `docs/format.md`, section 1.

/// A field of the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name in the event, without brackets: `targets.type`.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Where it is found.
    pub place: Place,
    /// Whether only readers of the PHI part may ask for it.
    pub phi: bool,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// A time.
    Time,
    /// True or false.
    Flag,
}

/// Where a field is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A column of the table.
    Column(&'static str),
    /// The column `purpose`, whose values are joined by a space.
    Purposes,
    /// The column `actor`, or the event where the actor is a patient.
    Actor,
    /// The column `patients`.
    Patients,
    /// A member of the event that has no column.
    Event,
    /// Any value of the event.
    Anywhere,
}

struct Row(&'static str, &'static [&'static str], Kind, Place, bool);

const PUBLIC: bool = false;
const PHI: bool = true;

#[rustfmt::skip]
const FIELDS: &[Row] = &[
    Row("index",                 &[],                        Kind::Number, Place::Column("index"),       PUBLIC),
    Row("time",                  &[],                        Kind::Time,   Place::Column("time"),        PUBLIC),
    Row("received_at",           &["received"],              Kind::Time,   Place::Column("received_at"), PUBLIC),
    Row("id",                    &[],                        Kind::Text,   Place::Column("id"),          PUBLIC),
    Row("source",                &[],                        Kind::Text,   Place::Column("source"),      PUBLIC),
    Row("seq",                   &[],                        Kind::Number, Place::Column("seq"),         PUBLIC),
    Row("action",                &[],                        Kind::Text,   Place::Column("action"),      PUBLIC),
    Row("op",                    &[],                        Kind::Text,   Place::Column("op"),          PUBLIC),
    Row("outcome.status",        &["outcome"],               Kind::Text,   Place::Column("outcome"),     PUBLIC),
    Row("outcome.code",          &["code"],                  Kind::Text,   Place::Column("code"),        PUBLIC),
    Row("outcome.reason",        &["reason"],                Kind::Text,   Place::Event,                 PHI),
    Row("actor.type",            &["actor_type"],            Kind::Text,   Place::Column("actor_type"),  PUBLIC),
    Row("actor.id",              &["actor", "user"],         Kind::Text,   Place::Actor,                 PUBLIC),
    Row("actor.name",            &["actor_name"],            Kind::Text,   Place::Column("actor_name"),  PUBLIC),
    Row("actor.session_id",      &["session"],               Kind::Text,   Place::Column("session"),     PUBLIC),
    Row("actor.roles",           &["role", "roles"],         Kind::Text,   Place::Event,                 PUBLIC),
    Row("actor.auth_method",     &["auth_method"],           Kind::Text,   Place::Event,                 PUBLIC),
    Row("actor.on_behalf_of.id", &["on_behalf_of"],          Kind::Text,   Place::Event,                 PUBLIC),
    Row("targets.type",          &["target_type"],           Kind::Text,   Place::Event,                 PUBLIC),
    Row("targets.labels",        &["label", "labels"],       Kind::Text,   Place::Event,                 PUBLIC),
    Row("targets.id",            &["target"],                Kind::Text,   Place::Event,                 PHI),
    Row("targets.name",          &["target_name"],           Kind::Text,   Place::Event,                 PHI),
    Row("targets.patient_id",    &["patient", "patients"],   Kind::Text,   Place::Patients,              PHI),
    Row("purpose",               &[],                        Kind::Text,   Place::Purposes,              PUBLIC),
    Row("break_glass",           &[],                        Kind::Flag,   Place::Column("break_glass"), PUBLIC),
    Row("approval_id",           &["approval"],              Kind::Text,   Place::Event,                 PUBLIC),
    Row("context.app",           &["app"],                   Kind::Text,   Place::Column("app"),         PUBLIC),
    Row("context.component",     &["component"],             Kind::Text,   Place::Event,                 PUBLIC),
    Row("context.ip",            &["ip"],                    Kind::Text,   Place::Column("ip"),          PUBLIC),
    Row("context.user_agent",    &["user_agent"],            Kind::Text,   Place::Event,                 PUBLIC),
    Row("context.request_id",    &["request_id"],            Kind::Text,   Place::Event,                 PHI),
    Row("context.trace_id",      &["trace_id", "trace"],     Kind::Text,   Place::Event,                 PHI),
    Row("request.protocol",      &["protocol"],              Kind::Text,   Place::Column("protocol"),    PUBLIC),
    Row("request.rows",          &["rows"],                  Kind::Number, Place::Column("rows"),        PUBLIC),
    Row("request.statement",     &["statement"],             Kind::Text,   Place::Event,                 PHI),
    Row("request.parameters",    &["parameter", "parameters"], Kind::Text, Place::Event,                 PHI),
    Row("changes.path",          &["changed"],               Kind::Text,   Place::Event,                 PHI),
    Row("changes.before",        &["before"],                Kind::Text,   Place::Event,                 PHI),
    Row("changes.after",         &["after"],                 Kind::Text,   Place::Event,                 PHI),
    Row("description",           &[],                        Kind::Text,   Place::Event,                 PHI),
    Row("metadata",              &[],                        Kind::Text,   Place::Event,                 PHI),
    Row("text",                  &[],                        Kind::Text,   Place::Anywhere,              PUBLIC),
];

impl Field {
    /// Its name as far as it is one of ours: of `metadata.NAME`, NAME was typed and may be anybody's.
    #[must_use]
    pub fn known_name(&self) -> &str {
        if self.name.starts_with("metadata.") { "metadata" } else { &self.name }
    }

    /// The field of this name or short name, whatever its case. `metadata.NAME` keeps the case of `NAME`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("metadata.") && lower.len() > "metadata.".len() {
            let name = name.get("metadata.".len()..)?;
            return Some(Self { name: format!("metadata.{name}"), kind: Kind::Text, place: Place::Event, phi: PHI });
        }
        FIELDS
            .iter()
            .find(|Row(full, short, ..)| *full == lower || short.contains(&lower.as_str()))
            .map(|Row(full, _, kind, place, phi)| Self { name: (*full).to_owned(), kind: *kind, place: *place, phi: *phi })
    }
}

/// Up to three names that look like this one.
#[must_use]
pub fn near(name: &str) -> Vec<&'static str> {
    let lower = name.to_ascii_lowercase();
    let mut found: Vec<(usize, &'static str)> = Vec::new();
    for Row(full, short, ..) in FIELDS {
        let distance = std::iter::once(full)
            .chain(*short)
            .map(|candidate| if candidate.starts_with(&lower) { 1 } else { distance(&lower, candidate) })
            .min()
            .unwrap_or(usize::MAX);
        if distance <= 2 {
            found.push((distance, full));
        }
    }
    found.sort_by_key(|(distance, _)| *distance);
    found.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Levenshtein's distance; names are short, and a longer text than any name is far from all.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(b.bytes()) {
            let value = (diagonal + usize::from(x != y)).min(*cell + 1).min(left + 1);
            diagonal = *cell;
            *cell = value;
            left = value;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}
