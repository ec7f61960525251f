//! Computes columns from the bytes of events.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Builder, LargeBinaryArray, StringBuilder, StringViewBuilder};
use recall_log::entry;
use serde::Deserialize;

use crate::columns::Derived;
use crate::values::NotJson;

/// The members that have columns. Either part may hold them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Head {
    id: Option<String>,
    seq: Option<i64>,
    outcome: Outcome,
    actor: Actor,
    context: Context,
    request: Request,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Outcome {
    code: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Actor {
    id: Option<String>,
    name: Option<String>,
    session_id: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Context {
    ip: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Request {
    rows: Option<i64>,
}

impl Head {
    /// An actor without an id in the public part stands in the PHI part, with the address.
    fn read(public: &[u8], phi: Option<&[u8]>) -> Result<Self, NotJson> {
        let mut head: Self = serde_json::from_slice(public).map_err(|_| NotJson)?;
        if let (None, Some(phi)) = (&head.actor.id, phi) {
            let hidden: Self = serde_json::from_slice(phi).map_err(|_| NotJson)?;
            head.actor.name = head.actor.name.or(hidden.actor.name);
            head.actor.session_id = head.actor.session_id.or(hidden.actor.session_id);
            head.context.ip = head.context.ip.or(hidden.context.ip);
        }
        Ok(head)
    }
}

enum Builder {
    Text(StringBuilder, fn(&Head) -> Option<&str>),
    Number(Int64Builder, fn(&Head) -> Option<i64>),
    Event(StringViewBuilder),
}

impl Builder {
    fn new(column: Derived, rows: usize) -> Self {
        let text = |get| Self::Text(StringBuilder::with_capacity(rows, 16 * rows), get);
        let number = |get| Self::Number(Int64Builder::with_capacity(rows), get);
        match column {
            Derived::Id => text(|head| head.id.as_deref()),
            Derived::Seq => number(|head| head.seq),
            Derived::Code => text(|head| head.outcome.code.as_deref()),
            Derived::ActorName => text(|head| head.actor.name.as_deref()),
            Derived::Session => text(|head| head.actor.session_id.as_deref()),
            Derived::Ip => text(|head| head.context.ip.as_deref()),
            Derived::Rows => number(|head| head.request.rows),
            Derived::Event => Self::Event(StringViewBuilder::with_capacity(rows)),
        }
    }

    fn push(&mut self, head: &Head, public: &[u8], phi: Option<&[u8]>) -> Result<(), NotJson> {
        match self {
            Self::Text(builder, get) => builder.append_option(get(head)),
            Self::Number(builder, get) => builder.append_option(get(head)),
            Self::Event(builder) => builder.append_value(event_text(public, phi)?),
        }
        Ok(())
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder, _) => Arc::new(builder.finish()),
            Self::Number(builder, _) => Arc::new(builder.finish()),
            Self::Event(builder) => Arc::new(builder.finish()),
        }
    }
}

/// The JSON text of an event as a reader sees it who may see these parts.
///
/// # Errors
/// Where the parts are not those that were written.
pub fn event_text(public: &[u8], phi: Option<&[u8]>) -> Result<String, NotJson> {
    let bytes = match phi {
        Some(_) => entry::merge(public, phi).map_err(|_| NotJson)?,
        None => public.to_vec(),
    };
    String::from_utf8(bytes).map_err(|_| NotJson)
}

/// The columns wanted, from the bytes of both parts. `phi` is `None` for readers of the public part.
///
/// # Errors
/// Where bytes are not the JSON that was written.
pub fn derive(wanted: &[Derived], public: &LargeBinaryArray, phi: Option<&LargeBinaryArray>) -> Result<Vec<ArrayRef>, NotJson> {
    let mut builders: Vec<Builder> = wanted.iter().map(|column| Builder::new(*column, public.len())).collect();
    let with_head = wanted.iter().any(|column| *column != Derived::Event);
    for row in 0..public.len() {
        let bytes = public.value(row);
        let hidden = phi.map(|phi| phi.value(row));
        let head = if with_head { Head::read(bytes, hidden)? } else { Head::default() };
        for builder in &mut builders {
            builder.push(&head, bytes, hidden)?;
        }
    }
    Ok(builders.iter_mut().map(Builder::finish).collect())
}
