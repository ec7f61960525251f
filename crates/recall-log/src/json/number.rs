//! Numbers that RFC 8785 carries: finite doubles whose canonical form reads back as the same number (RFC 7493 section 2.2).

use super::{JsonError, JsonErrorKind};

/// The largest integer that a double tells from its neighbours: 2^53 - 1.
pub const LARGEST_INTEGER: u64 = (1 << 53) - 1;

/// A number that comes back unchanged from its canonical form. It has no `Debug`, because it may be PHI.
#[derive(Clone, Copy, PartialEq)]
pub struct Number(f64);

impl Number {
    /// `None` for what is not finite, and for what RFC 8785 would write as an integer beyond 2^53 - 1.
    pub fn new(value: f64) -> Option<Self> {
        let size = value.abs();
        let carried = value.is_finite() && (size <= LARGEST_INTEGER as f64 || size >= 1e21);
        carried.then_some(Self(value + 0.0))
    }

    /// The number as a double.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The number as a whole number from 0 to 2^53 - 1, if it is one.
    pub fn integer(self) -> Option<u64> {
        let whole = self.0 as u64;
        (self.0 >= 0.0 && self.0 <= LARGEST_INTEGER as f64 && whole as f64 == self.0).then_some(whole)
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Self {
        Self(f64::from(value))
    }
}

/// Reads the number that stands at `from`; returns it and the offset behind it.
pub(super) fn read(text: &str, from: usize) -> Result<(Number, usize), JsonError> {
    let bytes = text.as_bytes();
    let minus = usize::from(bytes.get(from) == Some(&b'-'));
    let whole = digits(bytes, from + minus)?;
    if whole > from + minus + 1 && bytes.get(from + minus) == Some(&b'0') {
        return Err(expected(from, "a number without leading zeros"));
    }
    let mut end = whole;
    if bytes.get(end) == Some(&b'.') {
        end = digits(bytes, end + 1)?;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        end = digits(bytes, end + 1 + sign)?;
    }
    let literal = text.get(from..end).ok_or(expected(from, "a number"))?;
    parse(literal, end == whole).map(|number| (number, end)).ok_or(JsonError { at: from, kind: JsonErrorKind::Number })
}

/// `whole` says that the literal has neither fraction nor exponent.
fn parse(literal: &str, whole: bool) -> Option<Number> {
    if whole && literal.len() <= 15 {
        return literal.parse::<i64>().ok().map(|number| Number(number as f64));
    }
    let value = literal.parse::<f64>().ok()?;
    let mantissa = literal.split(['e', 'E']).next().unwrap_or_default();
    let vanished = value == 0.0 && mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    let rounded = whole && value.abs() > LARGEST_INTEGER as f64;
    if vanished || rounded { None } else { Number::new(value) }
}

/// The offset behind the run of digits at `at`, of which there must be one.
fn digits(bytes: &[u8], at: usize) -> Result<usize, JsonError> {
    let count = bytes.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 { Err(expected(at, "a digit")) } else { Ok(at + count) }
}

const fn expected(at: usize, what: &'static str) -> JsonError {
    JsonError { at, kind: JsonErrorKind::Expected(what) }
}
