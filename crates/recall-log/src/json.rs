//! A strict reader of JSON: I-JSON (RFC 7493) with a limit on depth and on the number of values, and values of any shape.
//!
//! Owns what is JSON and what is refused: bad UTF-8, lone surrogates, repeated names, numbers that RFC 8785 can't carry, nesting
//! beyond the limit. It never recurses deeper than that limit. Knows nothing of events. Errors never repeat what was read.

mod number;
pub(crate) mod string;
mod value;

pub use number::{LARGEST_INTEGER, Number};
pub use value::{Object, Value, utf16_order};

use std::borrow::Cow;

/// Nesting of objects and arrays, the outermost counted (`docs/format.md` section 11).
pub const DEPTH: usize = 16;

/// Values in one text. Each takes two bytes or more, so that 1 MiB of canonical JSON can't hold more.
pub const VALUES: usize = 1 << 19;

/// What is wrong with a text, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at}: {kind}")]
pub struct JsonError {
    /// Offset in bytes from the start of the text.
    pub at: usize,
    /// What is wrong there.
    pub kind: JsonErrorKind,
}

/// What can be wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonErrorKind {
    /// Not UTF-8.
    #[error("not UTF-8")]
    Utf8,
    /// The grammar asks for something else.
    #[error("{0} expected")]
    Expected(&'static str),
    /// Something follows the value.
    #[error("more than one value")]
    Trailing,
    /// Deeper than `DEPTH`.
    #[error("nested deeper than 16")]
    Depth,
    /// More values than `VALUES`.
    #[error("more than 524,288 values")]
    Values,
    /// A name stands twice in one object.
    #[error("a name stands twice in one object")]
    Duplicate,
    /// Half a surrogate pair.
    #[error("half of a surrogate pair")]
    Surrogate,
    /// RFC 8785 can't carry this number.
    #[error("a number that an IEEE double can't carry")]
    Number,
}

impl JsonErrorKind {
    /// What to do about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Utf8 => "send UTF-8",
            Self::Expected(_) => "send JSON as in RFC 8259",
            Self::Trailing => "send one value",
            Self::Depth => "nest less deeply",
            Self::Values => "send less",
            Self::Duplicate => "send each name once",
            Self::Surrogate => "send whole characters",
            Self::Number => "send it as a string",
        }
    }
}

/// The kind of value that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// a number
    Number,
    /// a string
    Text,
    /// an array
    Array,
    /// an object
    Object,
}

/// Reads one JSON text from front to back. Positions only move forward; a reader that returned an error is done.
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    values: usize,
}

impl<'a> Reader<'a> {
    /// A reader of `bytes`, which must be UTF-8.
    pub fn new(bytes: &'a [u8]) -> Result<Self, JsonError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self::over(text)),
            Err(error) => Err(JsonError { at: error.valid_up_to(), kind: JsonErrorKind::Utf8 }),
        }
    }

    /// A reader of `text`.
    pub const fn over(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0, values: 0 }
    }

    /// The offset of the next byte.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// Skips white space and says what comes next.
    #[inline]
    pub fn kind(&mut self) -> Result<Kind, JsonError> {
        match self.next_byte() {
            Some(b'n') => Ok(Kind::Null),
            Some(b't' | b'f') => Ok(Kind::Bool),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b'"') => Ok(Kind::Text),
            Some(b'[') => Ok(Kind::Array),
            Some(b'{') => Ok(Kind::Object),
            _ => Err(self.expected("a value")),
        }
    }

    /// Takes `null` if it comes next.
    #[inline]
    pub fn null(&mut self) -> Result<bool, JsonError> {
        if self.next_byte() == Some(b'n') { self.word("null").map(|()| true) } else { Ok(false) }
    }

    /// Reads `true` or `false`.
    pub fn boolean(&mut self) -> Result<bool, JsonError> {
        if self.next_byte() == Some(b't') { self.word("true").map(|()| true) } else { self.word("false").map(|()| false) }
    }

    /// Reads a string; borrows it where it holds no escape.
    ///
    /// Always inlined: handing a borrowed text back through memory costs as much as reading it.
    #[inline(always)]
    pub fn text(&mut self) -> Result<Cow<'a, str>, JsonError> {
        if self.next_byte() != Some(b'"') {
            return Err(self.expected("a string"));
        }
        let from = self.at + 1;
        let plain = string::plain_end(self.text, from);
        if let (Some(b'"'), Some(text)) = (self.text.as_bytes().get(plain), self.text.get(from..plain)) {
            self.at = plain + 1;
            return Ok(Cow::Borrowed(text));
        }
        let (text, end) = string::read(self.text, from, plain)?;
        self.at = end;
        Ok(Cow::Owned(text))
    }

    /// Reads a number.
    pub fn number(&mut self) -> Result<Number, JsonError> {
        self.next_byte();
        let (number, end) = number::read(self.text, self.at)?;
        self.at = end;
        Ok(number)
    }

    /// Reads an object: calls `member` for each name, which must read the value. Repeated names are the caller's to refuse.
    pub fn object<E: From<JsonError>>(&mut self, mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), E>) -> Result<(), E> {
        self.open(b'{', "an object")?;
        if self.close(b'}') {
            return Ok(());
        }
        loop {
            let name = self.text()?;
            self.punctuation(b':', "a colon")?;
            self.count()?;
            member(self, name)?;
            if self.close(b'}') {
                return Ok(());
            }
            self.punctuation(b',', "a comma or a closing brace")?;
        }
    }

    /// Reads an array: calls `element` for each index, which must read the value.
    pub fn array<E: From<JsonError>>(&mut self, mut element: impl FnMut(&mut Self, usize) -> Result<(), E>) -> Result<(), E> {
        self.open(b'[', "an array")?;
        if self.close(b']') {
            return Ok(());
        }
        let mut index = 0;
        loop {
            self.count()?;
            element(self, index)?;
            index += 1;
            if self.close(b']') {
                return Ok(());
            }
            self.punctuation(b',', "a comma or a closing bracket")?;
        }
    }

    /// Reads a value of any shape. Members that are null are left out; repeated names are refused.
    pub fn value(&mut self) -> Result<Value<'a>, JsonError> {
        match self.kind()? {
            Kind::Null => self.word("null").map(|()| Value::Null),
            Kind::Bool => self.boolean().map(Value::Bool),
            Kind::Number => self.number().map(Value::Number),
            Kind::Text => self.text().map(Value::Text),
            Kind::Array => {
                let mut elements = Vec::new();
                self.array(|reader, _| reader.value().map(|value| elements.push(value)))?;
                Ok(Value::Array(elements))
            }
            Kind::Object => {
                let at = self.at;
                let mut members = Vec::new();
                self.object(|reader, name| reader.value().map(|value| members.push((name, value))))?;
                Object::new(members).map(Value::Object).ok_or(JsonError { at, kind: JsonErrorKind::Duplicate })
            }
        }
    }

    /// Passes over a value and returns its text. Repeated names pass.
    pub fn skip(&mut self) -> Result<&'a str, JsonError> {
        let kind = self.kind()?;
        let from = self.at;
        match kind {
            Kind::Null => self.word("null")?,
            Kind::Bool => self.boolean().map(|_| ())?,
            Kind::Number => self.number().map(|_| ())?,
            Kind::Text => self.text().map(|_| ())?,
            Kind::Array => self.array(|reader, _| reader.skip().map(|_| ()))?,
            Kind::Object => self.object(|reader, _| reader.skip().map(|_| ()))?,
        }
        self.text.get(from..self.at).ok_or(self.expected("a value"))
    }

    /// Nothing but white space may follow.
    pub fn end(&mut self) -> Result<(), JsonError> {
        match self.next_byte() {
            None => Ok(()),
            Some(_) => Err(self.error(JsonErrorKind::Trailing)),
        }
    }

    /// The next byte that is no white space; the reader then stands on it.
    #[inline]
    fn next_byte(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    fn word(&mut self, word: &'static str) -> Result<(), JsonError> {
        if !self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            return Err(self.expected("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn open(&mut self, bracket: u8, what: &'static str) -> Result<(), JsonError> {
        self.punctuation(bracket, what)?;
        self.depth += 1;
        if self.depth > DEPTH { Err(self.error(JsonErrorKind::Depth)) } else { Ok(()) }
    }

    #[inline]
    fn close(&mut self, bracket: u8) -> bool {
        let closes = self.next_byte() == Some(bracket);
        if closes {
            self.at += 1;
            self.depth -= 1;
        }
        closes
    }

    #[inline]
    fn punctuation(&mut self, byte: u8, what: &'static str) -> Result<(), JsonError> {
        if self.next_byte() != Some(byte) {
            return Err(self.expected(what));
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn count(&mut self) -> Result<(), JsonError> {
        self.values += 1;
        if self.values > VALUES { Err(self.error(JsonErrorKind::Values)) } else { Ok(()) }
    }

    const fn expected(&self, what: &'static str) -> JsonError {
        self.error(JsonErrorKind::Expected(what))
    }

    const fn error(&self, kind: JsonErrorKind) -> JsonError {
        JsonError { at: self.at, kind }
    }
}

#[cfg(test)]
mod tests;
