//! From items to encoded batches: parse, admit, encode. CPU work without I/O, done on blocking threads, slice by slice.

use std::ops::Range;

use aws_lc_rs::hmac;
use recall_log::entry::Admission;
use recall_log::event::Event;
use recall_log::time::Timestamp;
use recall_store::batch::{Batch, BatchError, Encoder};
use recall_store::seams::Random;
use uuid::Uuid;

use super::split::Slice;
use crate::identity::Identity;
use crate::record;

/// What became of an item.
pub enum Verdict {
    /// It is in the slice's batch, under the id that stands here in the slice's ids.
    Taken { id: Range<usize> },
    /// It is not.
    Refused { id: Option<String>, error: String },
}

/// A slice, encoded.
pub struct Encoded {
    /// The events that were taken; `None` if there are none.
    pub batch: Option<Batch>,
    /// One for each item, in order, with the item's number in the body.
    pub verdicts: Vec<(usize, Verdict)>,
    /// The ids of the events that were taken, one behind the other: a text for each would cost more than the rest of its verdict.
    pub ids: String,
}

/// Where ids come from for events that bring none.
pub enum Ids {
    /// UUID version 7.
    New,
    /// UUID version 8 out of token, idempotency key, place in the body and the event's bytes, so that a repeated request makes the same ones, and
    /// a key that is used again for another body, once it no longer counts, makes others.
    Derived(Box<hmac::Key>),
}

impl Ids {
    /// Ids that a repeat of the request makes again.
    pub fn derived(token_id: &str, key: &str) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, format!("recall/idempotent-id\0{token_id}\0{key}").as_bytes());
        Self::Derived(Box::new(key))
    }

    fn make(&self, ordinal: usize, bytes: &[u8], now: Timestamp, random: &dyn Random) -> String {
        match self {
            Self::New => new_id(now, random),
            Self::Derived(key) => {
                let mut context = hmac::Context::with_key(key);
                context.update(&(ordinal as u64).to_be_bytes());
                context.update(bytes);
                let tag = context.sign();
                let mut bytes = [0; 16];
                bytes.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
                uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
            }
        }
    }
}

/// A UUID of version 7.
pub fn new_id(now: Timestamp, random: &dyn Random) -> String {
    let mut bytes = [0; 10];
    random.fill(&mut bytes);
    let millis = u64::try_from(now.micros() / 1_000).unwrap_or(0);
    let id: Uuid = uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid();
    id.to_string()
}

/// What all items of a request are admitted under.
pub struct Terms {
    /// The trail's encoder.
    pub encoder: Encoder,
    /// Who sends.
    pub identity: Identity,
    /// Ids for events without one.
    pub ids: Ids,
}

impl Terms {
    /// The source of events that name none.
    fn default_source(&self) -> String {
        let identity = &self.identity;
        let named = identity.sources.first().or(identity.name.as_ref());
        named.cloned().unwrap_or_else(|| format!("token:{}", identity.token_id))
    }

    fn check_source(&self, source: &str) -> Result<(), String> {
        if source.starts_with(record::RESERVED_SOURCES) {
            return Err("source: names beginning with urn:recall: are this server's own; send under another".into());
        }
        let sources = &self.identity.sources;
        if sources.is_empty() || sources.iter().any(|allowed| allowed == source) {
            return Ok(());
        }
        Err("source: this token may not send for it; use a token made for this source, or leave the field out".into())
    }

    /// Encodes a slice as received at `now`. An error is no item's, and spoils the request.
    pub fn encode(&self, slice: &Slice, now: Timestamp, random: &dyn Random) -> Result<Encoded, BatchError> {
        let default_source = self.default_source();
        let mut builder = self.encoder.batch()?;
        let mut verdicts = Vec::with_capacity(slice.items.len());
        let mut ids = String::new();
        let mut taken = 0_usize;
        for (place, item) in slice.items.iter().enumerate() {
            let bytes = slice.bytes.get(item.span.clone()).unwrap_or(&[]);
            let verdict = match Event::parse(bytes) {
                Err(error) => Verdict::Refused { id: None, error: error.to_string() },
                Ok(event) => {
                    let source = event.source.as_deref().unwrap_or(&default_source);
                    let from = ids.len();
                    match &event.id {
                        Some(id) => ids.push_str(id),
                        None => ids.push_str(&self.ids.make(slice.before + place, bytes, now, random)),
                    }
                    let admission = Admission { source, id: ids.get(from..).unwrap_or_default(), received_at: now };
                    let pushed =
                        self.check_source(source).and_then(|()| builder.push(&event, &admission).map_err(|error| error.to_string()));
                    match pushed {
                        Ok(()) => Verdict::Taken { id: from..ids.len() },
                        Err(error) => {
                            ids.truncate(from);
                            Verdict::Refused { id: event.id.map(Into::into), error }
                        }
                    }
                }
            };
            taken += usize::from(matches!(verdict, Verdict::Taken { .. }));
            verdicts.push((item.number, verdict));
        }
        let batch = if taken > 0 { Some(builder.finish()?) } else { None };
        Ok(Encoded { batch, verdicts, ids })
    }
}

#[cfg(test)]
mod tests;
