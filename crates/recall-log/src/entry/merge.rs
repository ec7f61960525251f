//! Puts an event's parts together again, byte by byte: values are copied as they stand, never read and written anew.

use super::{PHI, PUBLIC, PartError, damaged};
use crate::canonical;
use crate::json::{JsonError, JsonErrorKind, Kind, Reader, utf16_order};
use std::borrow::Cow;
use std::cmp::Ordering;

/// The event that readers see, as canonical JSON: both parts merged, or the public part alone.
pub fn merge(public: &[u8], phi: Option<&[u8]>) -> Result<Vec<u8>, PartError> {
    let public = whole(public).map_err(damaged(PUBLIC))?;
    let Some(phi) = phi else {
        return Ok(public.as_bytes().to_vec());
    };
    let phi = whole(phi).map_err(damaged(PHI))?;
    let mut out = Vec::with_capacity(public.len() + phi.len());
    values(&mut out, public, phi).map_err(damaged(PHI))?;
    Ok(out)
}

/// The text of a part, which must be one object of valid JSON.
fn whole(part: &[u8]) -> Result<&str, JsonError> {
    let mut reader = Reader::new(part)?;
    if reader.kind()? != Kind::Object {
        return Err(conflict(0));
    }
    let text = reader.skip()?;
    reader.end()?;
    Ok(text)
}

/// Both sides know something of one value: objects and arrays are merged, anything else must be the same.
fn values(out: &mut Vec<u8>, left: &str, right: &str) -> Result<(), JsonError> {
    match (left.as_bytes().first(), right.as_bytes().first()) {
        (Some(b'{'), Some(b'{')) => objects(out, left, right),
        (Some(b'['), Some(b'[')) => arrays(out, left, right),
        _ if left == right => {
            out.extend_from_slice(left.as_bytes());
            Ok(())
        }
        _ => Err(conflict(0)),
    }
}

fn objects(out: &mut Vec<u8>, left: &str, right: &str) -> Result<(), JsonError> {
    let (left, right) = (members(left)?, members(right)?);
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    let mut separator = b'{';
    loop {
        let order = match (left.peek(), right.peek()) {
            (Some((name, _)), Some((other, _))) => utf16_order(name, other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => break,
        };
        let from_left = if order.is_le() { left.next() } else { None };
        let from_right = if order.is_ge() { right.next() } else { None };
        out.push(separator);
        separator = b',';
        match (from_left, from_right) {
            (Some((name, value)), Some((_, other))) => {
                member_name(out, &name);
                values(out, value, other)?;
            }
            (Some((name, value)), None) | (None, Some((name, value))) => {
                member_name(out, &name);
                out.extend_from_slice(value.as_bytes());
            }
            (None, None) => {}
        }
    }
    if separator == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
    Ok(())
}

fn member_name(out: &mut Vec<u8>, name: &str) {
    canonical::string(out, name);
    out.push(b':');
}

fn arrays(out: &mut Vec<u8>, left: &str, right: &str) -> Result<(), JsonError> {
    let (left, right) = (elements(left)?, elements(right)?);
    if left.len() != right.len() {
        return Err(conflict(0));
    }
    out.push(b'[');
    for (place, (left, right)) in left.into_iter().zip(right).enumerate() {
        if place > 0 {
            out.push(b',');
        }
        values(out, left, right)?;
    }
    out.push(b']');
    Ok(())
}

/// Names and texts of an object's members, which must come in canonical order.
fn members(object: &str) -> Result<Vec<(Cow<'_, str>, &str)>, JsonError> {
    let mut members: Vec<(Cow<'_, str>, &str)> = Vec::new();
    Reader::over(object).object(|reader, name| {
        if members.last().is_some_and(|(last, _)| utf16_order(last, &name).is_ge()) {
            return Err(conflict(reader.at()));
        }
        reader.kind()?;
        members.push((name, reader.skip()?));
        Ok(())
    })?;
    Ok(members)
}

fn elements(array: &str) -> Result<Vec<&str>, JsonError> {
    let mut elements = Vec::new();
    Reader::over(array).array(|reader, _| reader.skip().map(|element| elements.push(element)))?;
    Ok(elements)
}

const fn conflict(at: usize) -> JsonError {
    JsonError { at, kind: JsonErrorKind::Expected("the other half of an event") }
}
