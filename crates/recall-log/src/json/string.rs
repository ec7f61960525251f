//! JSON strings: where one ends, and what its escapes stand for (RFC 8259 section 7).

use super::{JsonError, JsonErrorKind};
use std::borrow::Cow;

/// Reads the string whose first character stands at `from`, behind the opening quote; returns it and the offset behind the closing one.
pub(super) fn read(text: &str, from: usize) -> Result<(Cow<'_, str>, usize), JsonError> {
    let plain = plain_end(text, from);
    let head = slice(text, from, plain)?;
    if text.as_bytes().get(plain) == Some(&b'"') {
        return Ok((Cow::Borrowed(head), plain + 1));
    }
    let mut out = String::from(head);
    let mut at = plain;
    loop {
        match text.as_bytes().get(at) {
            Some(b'"') => return Ok((Cow::Owned(out), at + 1)),
            Some(b'\\') => {
                let (character, end) = escape(text, at + 1)?;
                out.push(character);
                at = end;
            }
            _ => return Err(expected(at, "the end of a string")),
        }
        let end = plain_end(text, at);
        out.push_str(slice(text, at, end)?);
        at = end;
    }
}

/// The offset of the next quote, backslash or control character, or of the end of the text.
fn plain_end(text: &str, from: usize) -> usize {
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    from + rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20).unwrap_or(rest.len())
}

fn slice(text: &str, from: usize, to: usize) -> Result<&str, JsonError> {
    text.get(from..to).ok_or(expected(from, "a string"))
}

/// The character that the escape at `at`, behind its backslash, stands for, and the offset behind it.
fn escape(text: &str, at: usize) -> Result<(char, usize), JsonError> {
    let character = match text.as_bytes().get(at) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(text, at + 1),
        _ => return Err(expected(at, "an escape")),
    };
    Ok((character, at + 1))
}

fn unicode(text: &str, at: usize) -> Result<(char, usize), JsonError> {
    let lone = JsonError { at, kind: JsonErrorKind::Surrogate };
    let high = hex4(text, at)?;
    if let Some(character) = char::from_u32(high) {
        return Ok((character, at + 4));
    }
    if high >= 0xDC00 || text.as_bytes().get(at + 4..at + 6) != Some(b"\\u") {
        return Err(lone);
    }
    let low = hex4(text, at + 6)?;
    if !(0xDC00..0xE000).contains(&low) {
        return Err(lone);
    }
    let character = char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)).ok_or(lone)?;
    Ok((character, at + 10))
}

fn hex4(text: &str, at: usize) -> Result<u32, JsonError> {
    let digits = text.as_bytes().get(at..at + 4).ok_or(expected(at, "four hexadecimal digits"))?;
    digits.iter().try_fold(0, |sum, &digit| {
        char::from(digit).to_digit(16).map(|value| sum * 16 + value).ok_or(expected(at, "four hexadecimal digits"))
    })
}

const fn expected(at: usize, what: &'static str) -> JsonError {
    JsonError { at, kind: JsonErrorKind::Expected(what) }
}
