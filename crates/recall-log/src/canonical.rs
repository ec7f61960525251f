//! Canonical JSON, RFC 8785: one sequence of bytes for each value.
//!
//! Owns how strings, numbers, arrays and objects are written. Knows nothing of events, and reads only through [`crate::json`].

use crate::json::string::plain_length;
use crate::json::{JsonError, LARGEST_INTEGER, Number, Object, Reader, Value};

/// Appends a string in quotes.
pub fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, tail) = rest.split_at_checked(plain_length(rest)).unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        let Some((&byte, behind)) = tail.split_first() else { break };
        escape(out, byte);
        rest = behind;
    }
    out.push(b'"');
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0C => b'f',
        b'\r' => b'r',
        _ => {
            let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Appends a whole number.
pub fn integer(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut length = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
        length += 1;
        if value == 0 {
            break;
        }
    }
    out.extend(digits.iter().skip(20 - length));
}

/// Appends a number as ECMAScript writes it.
pub fn number(out: &mut Vec<u8>, number: Number) {
    let value = number.get();
    if value.abs() <= LARGEST_INTEGER as f64 && value.trunc() == value {
        if value < 0.0 {
            out.push(b'-');
        }
        integer(out, value.abs() as u64);
    } else {
        out.extend_from_slice(ryu_js::Buffer::new().format_finite(value).as_bytes());
    }
}

/// Appends a value of any shape.
pub fn value(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(value) => number(out, *value),
        Value::Text(text) => string(out, text),
        Value::Array(elements) => array(out, elements),
        Value::Object(members) => object(out, members),
    }
}

/// Appends an array.
pub fn array(out: &mut Vec<u8>, elements: &[Value<'_>]) {
    out.push(b'[');
    for (place, element) in elements.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        value(out, element);
    }
    out.push(b']');
}

/// Appends an object.
pub fn object(out: &mut Vec<u8>, members: &Object<'_>) {
    out.push(b'{');
    for (place, (name, member)) in members.members().iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        string(out, name);
        out.push(b':');
        value(out, member);
    }
    out.push(b'}');
}

/// The canonical form of any JSON text. Members that are null are left out.
pub fn canonicalize(json: &[u8]) -> Result<Vec<u8>, JsonError> {
    let mut reader = Reader::new(json)?;
    let read = reader.value()?;
    reader.end()?;
    let mut out = Vec::with_capacity(json.len());
    value(&mut out, &read);
    Ok(out)
}

#[cfg(test)]
mod tests;
