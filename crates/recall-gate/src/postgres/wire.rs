//! Messages of the frontend/backend protocol as bytes: where one ends, and the fields in it (PostgreSQL documentation, chapter 55.7).
//!
//! Owns framing and its limits. It must not know what a message means.

use thiserror::Error;

/// The longest message that is taken from either side: one that is longer ends the session, because what cannot be held cannot be looked at.
pub const MESSAGE_BYTES: usize = 64 << 20;
/// The longest packet before a session has begun, as the server itself has it.
pub const STARTUP_BYTES: usize = 10_000;
/// The longest message of a client that has not signed in, as the server itself has it.
pub const SIGN_IN_BYTES: usize = 65_535;
/// Buffers that grew larger than this leave no memory behind once they are empty.
const KEPT_BYTES: usize = 64 << 10;

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WireError {
    /// A length that no message has.
    #[error("a message of an impossible length")]
    Length,
    /// Longer than is taken.
    #[error("a message longer than is taken")]
    Long,
    /// Fields that do not fill the message, or overrun it.
    #[error("a message whose fields do not fit into it")]
    Fields,
    /// A message that may not come here.
    #[error("a message that is not expected here")]
    Unexpected,
}

/// Bytes that arrived, from which messages are cut.
#[derive(Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    start: usize,
}

/// One whole message.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// Its type.
    pub tag: u8,
    /// All of it, as it is passed on.
    pub whole: &'a [u8],
    /// What follows the length.
    pub body: &'a [u8],
}

impl Inbox {
    /// Where more bytes are put.
    pub fn tail(&mut self) -> &mut Vec<u8> {
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.start = 0;
            if self.bytes.capacity() > KEPT_BYTES {
                self.bytes = Vec::new();
            }
        } else if self.start > KEPT_BYTES {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        &mut self.bytes
    }

    /// The next message, if it is whole.
    pub fn peek(&self) -> Result<Option<Message<'_>>, WireError> {
        self.peek_within(MESSAGE_BYTES)
    }

    /// The same of one that may have so many bytes.
    pub fn peek_within(&self, most_bytes: usize) -> Result<Option<Message<'_>>, WireError> {
        let bytes = self.bytes.get(self.start..).unwrap_or_default();
        let Some((tag, rest)) = bytes.split_first() else { return Ok(None) };
        let Some(length) = length(rest, most_bytes)? else { return Ok(None) };
        let Some(body) = rest.get(4..length) else { return Ok(None) };
        let whole = bytes.get(..length.saturating_add(1)).unwrap_or_default();
        Ok(Some(Message { tag: *tag, whole, body }))
    }

    /// The packet without a type that begins a session, if it is whole.
    pub fn peek_startup(&self) -> Result<Option<&[u8]>, WireError> {
        let bytes = self.bytes.get(self.start..).unwrap_or_default();
        let Some(length) = length(bytes, STARTUP_BYTES)? else { return Ok(None) };
        Ok(bytes.get(4..length))
    }

    /// The byte at the front.
    pub fn first_byte(&self) -> Option<u8> {
        self.bytes.get(self.start).copied()
    }

    /// All bytes that are left.
    pub fn take(&mut self) -> Vec<u8> {
        let left = self.bytes.split_off(self.start.min(self.bytes.len()));
        *self = Self::default();
        left
    }

    /// Drops so many bytes off the front.
    pub fn consume(&mut self, bytes: usize) {
        self.start = self.start.saturating_add(bytes).min(self.bytes.len());
    }
}

/// The length that begins these bytes, itself counted.
fn length(bytes: &[u8], most: usize) -> Result<Option<usize>, WireError> {
    let Some(length) = bytes.first_chunk::<4>() else { return Ok(None) };
    let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| WireError::Length)?;
    match length {
        0..4 => Err(WireError::Length),
        _ if length > most => Err(WireError::Long),
        _ => Ok(Some(length)),
    }
}

/// The fields of a message, from the front.
#[derive(Clone, Copy)]
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    /// So many bytes.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (bytes, rest) = self.0.split_at_checked(count).ok_or(WireError::Fields)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(WireError::Fields)?;
        self.0 = rest;
        Ok(*bytes)
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, WireError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A 16-bit number.
    pub fn short(&mut self) -> Result<i16, WireError> {
        self.array().map(i16::from_be_bytes)
    }

    /// A 16-bit count, which the protocol's senders also use above 32,767.
    pub fn count(&mut self) -> Result<usize, WireError> {
        self.array().map(u16::from_be_bytes).map(usize::from)
    }

    /// A 32-bit number.
    pub fn long(&mut self) -> Result<i32, WireError> {
        self.array().map(i32::from_be_bytes)
    }

    /// An object's identifier.
    pub fn oid(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Text up to its zero byte.
    pub fn text(&mut self) -> Result<&'a [u8], WireError> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(WireError::Fields)?;
        let (text, rest) = self.0.split_at_checked(end).ok_or(WireError::Fields)?;
        self.0 = rest.get(1..).unwrap_or_default();
        Ok(text)
    }

    /// A value with its length before it; `None` stands for NULL.
    pub fn value(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        match self.long()? {
            -1 => Ok(None),
            length => self.bytes(usize::try_from(length).map_err(|_| WireError::Fields)?).map(Some),
        }
    }

    /// Nothing is left.
    pub fn end(self) -> Result<(), WireError> {
        if self.0.is_empty() { Ok(()) } else { Err(WireError::Fields) }
    }
}

/// Writes a message: type, length, what `body` writes.
pub fn write(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    write_untagged(out, body);
}

/// Writes a packet that begins with its length.
pub fn write_untagged(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = u32::try_from(out.len().saturating_sub(at)).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(at..).and_then(|out| out.first_chunk_mut()) {
        *place = length.to_be_bytes();
    }
}

/// Writes text and its zero byte. What follows a zero byte in it would be another field, so it is cut there.
pub fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(text.iter().take_while(|byte| **byte != 0));
    out.push(0);
}

#[cfg(test)]
mod tests;
