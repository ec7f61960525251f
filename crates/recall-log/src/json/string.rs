//! JSON strings: where one ends, and what its escapes stand for (RFC 8259 section 7).

use super::{JsonError, JsonErrorKind};

/// Reads the string whose first character stands at `from`, behind the opening quote, and of which all before `plain` stands for itself;
/// returns it and the offset behind the closing quote.
#[cold]
pub(super) fn read(text: &str, from: usize, plain: usize) -> Result<(String, usize), JsonError> {
    let head = slice(text, from, plain)?;
    let mut out = String::from(head);
    let mut at = plain;
    loop {
        match text.as_bytes().get(at) {
            Some(b'"') => return Ok((out, at + 1)),
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
#[inline]
pub(super) fn plain_end(text: &str, from: usize) -> usize {
    from + plain_length(text.as_bytes().get(from..).unwrap_or_default())
}

/// How many bytes stand for themselves within quotes: all up to the next quote, backslash or control character.
///
/// Sixteen bytes are looked at together: most strings end within them, so that the processor foresees the way.
#[inline]
pub(crate) fn plain_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    let mut rest = bytes;
    while let Some((word, behind)) = rest.split_first_chunk() {
        let special = special_bytes(u128::from_le_bytes(*word));
        if special != 0 {
            return length + (special.trailing_zeros() / 8) as usize;
        }
        length += word.len();
        rest = behind;
    }
    length + rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20).unwrap_or(rest.len())
}

/// Sets the high bit of each byte that is a quote, a backslash or a control character. Subtracting borrows from the byte above, so that
/// bits above the lowest one may be wrong; the lowest is right.
const fn special_bytes(word: u128) -> u128 {
    const ONES: u128 = u128::MAX / 0xFF;
    let quote = word ^ (ONES * b'"' as u128);
    let backslash = word ^ (ONES * b'\\' as u128);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | quote.wrapping_sub(ONES) & !quote | backslash.wrapping_sub(ONES) & !backslash) & (ONES * 0x80)
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
