//! The event `recall.event/1`, as its sender gives it (`docs/format.md` section 1 and 11).
//!
//! Owns the shape of an event, its limits, and how it is read and checked. Knows nothing of how it is stored: `entry` does. No type
//! here has a `Debug` that would show content.

mod error;
mod fields;
mod parse;
mod validate;

pub use error::EventError;

use crate::json::{Object, Value};
use crate::time::Timestamp;
use std::borrow::Cow;

/// The name of the schema, which every stored event carries.
pub const SCHEMA_NAME: &str = "recall.event/1";

/// JSON Schema (2020-12) of what senders send.
pub const SCHEMA: &str = include_str!("../schema/event.schema.json");

/// A text that is borrowed from what was received, or made in code.
pub type Text<'a> = Cow<'a, str>;

/// Limits on an event (`docs/format.md` section 11).
pub mod limits {
    /// An event in canonical form, in bytes.
    pub const EVENT_BYTES: usize = 1 << 20;
    /// Nesting of JSON, the event itself counted.
    pub const DEPTH: usize = crate::json::DEPTH;
    /// Targets.
    pub const TARGETS: usize = 4_096;
    /// Parameters of a request: the longest of all lists.
    pub const PARAMETERS: usize = 65_535;
    /// Changes.
    pub const CHANGES: usize = 1_000;
    /// Roles of an actor.
    pub const ROLES: usize = 64;
    /// Labels of a target.
    pub const LABELS: usize = 16;
    /// Purposes.
    pub const PURPOSES: usize = 16;
    /// Ids, names of things, codes and addresses, in bytes.
    pub const SHORT_BYTES: usize = 512;
    /// `name`, `reason` and `user_agent`, in bytes.
    pub const MEDIUM_BYTES: usize = 2_048;
    /// `description`, in bytes.
    pub const LONG_BYTES: usize = 16_384;
    /// Members of `metadata`.
    pub const METADATA: usize = 50;
    /// A name in `metadata`, in characters.
    pub const METADATA_NAME_CHARACTERS: usize = 40;
    /// A string in `metadata`, in characters.
    pub const METADATA_VALUE_CHARACTERS: usize = 500;
    /// Levels of `on_behalf_of`.
    pub const ON_BEHALF_OF: usize = 4;
    /// The largest `seq`, `rows` and `count`.
    pub const INTEGER: u64 = crate::json::LARGEST_INTEGER;
    /// How far a time may lie behind its receipt: a year, in µs.
    pub const FUTURE_MICROS: i64 = 366 * 86_400 * 1_000_000;
}

/// Names of an enumeration's values in JSON, in both directions.
macro_rules! words {
    ($type:ty { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $type {
            /// All words, in the order of the variants.
            pub const WORDS: &[&str] = &[$($word),+];

            /// The word in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The value that a word in JSON stands for.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

/// What kind of thing an action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Something was made.
    Create,
    /// Something was shown.
    Read,
    /// Something was changed.
    Update,
    /// Something was removed.
    Delete,
    /// Something was run.
    Execute,
    /// Something was searched for.
    Query,
    /// Somebody signed in or out; such an event needs no target.
    Authenticate,
}

words!(Op { Create = "C", Read = "R", Update = "U", Delete = "D", Execute = "E", Query = "Q", Authenticate = "A" });

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It was done.
    Success,
    /// It was tried and failed.
    Failure,
    /// It was not allowed.
    Denied,
    /// The sender can't say.
    Unknown,
}

words!(Status { Success = "success", Failure = "failure", Denied = "denied", Unknown = "unknown" });

/// What kind of actor acted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActorType {
    /// A member of staff.
    User,
    /// A program.
    Service,
    /// A program that decides.
    AiAgent,
    /// A patient, whose identity is PHI.
    Patient,
    /// Nobody knows who.
    #[default]
    Anonymous,
}

words!(ActorType { User = "user", Service = "service", AiAgent = "ai_agent", Patient = "patient", Anonymous = "anonymous" });

/// An event. What is absent is `None` or empty, and is not written.
///
/// One made in code begins with `Event { time, action, actor, ..Event::default() }` and ends with [`Event::validate`].
#[derive(Clone, Default, PartialEq)]
pub struct Event<'a> {
    /// Unique within `source`; the server gives one where the sender leaves it out.
    pub id: Option<Text<'a>>,
    /// The system that recorded it.
    pub source: Option<Text<'a>>,
    /// Counts events of the source, so that gaps show.
    pub seq: Option<u64>,
    /// When it happened, by the sender's clock.
    pub time: Timestamp,
    /// What was done, such as `chart.viewed`.
    pub action: Text<'a>,
    /// The kind of action.
    pub op: Option<Op>,
    /// How it ended.
    pub outcome: Outcome<'a>,
    /// Who did it.
    pub actor: Actor<'a>,
    /// What it was done to; at least one unless `op` is `A`.
    pub targets: Vec<Target<'a>>,
    /// Purposes of use, such as `TREAT`.
    pub purpose: Vec<Text<'a>>,
    /// Whether access rules were overridden in an emergency.
    pub break_glass: Option<bool>,
    /// The approval it rests on.
    pub approval_id: Option<Text<'a>>,
    /// Where it came from.
    pub context: Context<'a>,
    /// The request that was made.
    pub request: Request<'a>,
    /// What changed.
    pub changes: Vec<Change<'a>>,
    /// Free text.
    pub description: Option<Text<'a>>,
    /// Strings, numbers and booleans of the sender's own.
    pub metadata: Object<'a>,
}

/// How an action ended.
#[derive(Clone, Default, PartialEq)]
pub struct Outcome<'a> {
    /// In one word.
    pub status: Option<Status>,
    /// The sender's code, such as an HTTP status.
    pub code: Option<Text<'a>>,
    /// Why; PHI.
    pub reason: Option<Text<'a>>,
}

/// Who acted.
#[derive(Clone, Default, PartialEq)]
pub struct Actor<'a> {
    /// `type` in JSON.
    pub kind: ActorType,
    /// The account.
    pub id: Option<Text<'a>>,
    /// A name for eyes.
    pub name: Option<Text<'a>>,
    /// Roles at that moment.
    pub roles: Vec<Text<'a>>,
    /// The session.
    pub session_id: Option<Text<'a>>,
    /// How the actor proved who they are.
    pub auth_method: Option<Text<'a>>,
    /// For whom.
    pub on_behalf_of: Option<Box<Actor<'a>>>,
}

/// What was acted on.
#[derive(Clone, Default, PartialEq)]
pub struct Target<'a> {
    /// `type` in JSON, such as `fhir:Patient`.
    pub kind: Option<Text<'a>>,
    /// Its id; PHI.
    pub id: Option<Text<'a>>,
    /// A name for eyes; PHI.
    pub name: Option<Text<'a>>,
    /// The patient whom it concerns; PHI.
    pub patient_id: Option<Text<'a>>,
    /// Labels such as `PHI`.
    pub labels: Vec<Text<'a>>,
    /// How many of them.
    pub count: Option<u64>,
}

/// Where an event came from.
#[derive(Clone, Default, PartialEq)]
pub struct Context<'a> {
    /// The actor's address.
    pub ip: Option<Text<'a>>,
    /// The actor's program.
    pub user_agent: Option<Text<'a>>,
    /// The application.
    pub app: Option<Text<'a>>,
    /// The part of the application.
    pub component: Option<Text<'a>>,
    /// The request; PHI, because senders put anything there.
    pub request_id: Option<Text<'a>>,
    /// The trace; PHI for the same reason.
    pub trace_id: Option<Text<'a>>,
}

/// The request that was made.
#[derive(Clone, Default, PartialEq)]
pub struct Request<'a> {
    /// Such as `postgres`.
    pub protocol: Option<Text<'a>>,
    /// The statement; PHI.
    pub statement: Option<Text<'a>>,
    /// Its parameters; PHI.
    pub parameters: Vec<Value<'a>>,
    /// How many rows came back.
    pub rows: Option<u64>,
}

/// One thing that changed; all of it is PHI.
#[derive(Clone, Default, PartialEq)]
pub struct Change<'a> {
    /// Where, as a JSON pointer.
    pub path: Text<'a>,
    /// The value before.
    pub before: Option<Value<'a>>,
    /// The value after.
    pub after: Option<Value<'a>>,
}

impl<'a> Event<'a> {
    /// Reads and checks what a sender gave: one JSON object. Whatever the schema does not name is refused.
    pub fn parse(json: &'a [u8]) -> Result<Self, EventError> {
        let event = parse::event(json).map_err(|error| *error)?;
        event.validate()?;
        Ok(event)
    }

    /// Checks everything that can be checked without knowing when the event was received. For events made in code.
    pub fn validate(&self) -> Result<(), EventError> {
        validate::event(self)
    }
}

impl Actor<'_> {
    /// This actor, then whom it acts for, and so on.
    pub fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |actor| actor.on_behalf_of.as_deref())
    }

    /// Whether a patient is in the chain, so that all of it is PHI.
    pub fn is_phi(&self) -> bool {
        self.chain().any(|actor| actor.kind == ActorType::Patient)
    }
}

#[cfg(test)]
mod tests;
