//! Looks for values inside the JSON of a part: at a path, or anywhere.
//!
//! A value lies whole in one of an event's two parts, so that asking each part is asking the event. It must not know columns or engines.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::query::{Glyph, Pattern};

/// A test of an event's values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Probe {
    /// The members to go down, outermost first; arrays are gone through. Empty for all values.
    path: Vec<String>,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Test {
    Equals(String),
    Like(Vec<Glyph>),
    Contains(Needle),
}

/// A text to find, whatever the case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Needle {
    lower: String,
    /// In JSON the text stands as it is, so that bytes can be searched before they are parsed.
    verbatim: bool,
}

/// Bytes that are not the JSON that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored event is not valid JSON; run `recall verify`")]
pub struct NotJson;

impl Probe {
    /// Some value at `path` (`targets.type`) fits `pattern`. What follows `metadata.` is one name, dots and all.
    #[must_use]
    pub fn at(path: &str, pattern: Pattern) -> Self {
        let test = match pattern {
            Pattern::Exact(text) => Test::Equals(text),
            Pattern::Glob(glyphs) => Test::Like(glyphs),
        };
        Self { path: split(path), test }
    }

    /// Some value contains `text`. ASCII letters are compared without case; so are others where `text` has any.
    #[must_use]
    pub fn anywhere(text: &str) -> Self {
        let lower = if text.is_ascii() { text.to_ascii_lowercase() } else { text.to_lowercase() };
        let verbatim = lower.bytes().all(|b| matches!(b, 0x20..0x7f) && b != b'"' && b != b'\\');
        Self { path: Vec::new(), test: Test::Contains(Needle { lower, verbatim }) }
    }

    /// The path and the text of a test for equality.
    #[must_use]
    pub fn equality(&self) -> Option<(String, &str)> {
        match &self.test {
            Test::Equals(text) => Some((self.path.join("."), text)),
            _ => None,
        }
    }

    /// Whether a value in `json` passes.
    ///
    /// # Errors
    /// Where `json` is none.
    pub fn test(&self, json: &[u8]) -> Result<bool, NotJson> {
        if let Test::Contains(needle) = &self.test
            && needle.verbatim
            && !contains_ignoring_case(json, needle.lower.as_bytes())
        {
            return Ok(false);
        }
        let mut found = false;
        walk(json, &self.path, &mut |value| {
            found = found || self.test.passes(value);
            found
        })?;
        Ok(found)
    }
}

impl Test {
    fn passes(&self, value: &str) -> bool {
        match self {
            Self::Equals(text) => value == text,
            Self::Like(glyphs) => fits(glyphs, value),
            Self::Contains(needle) if needle.lower.is_ascii() => contains_ignoring_case(value.as_bytes(), needle.lower.as_bytes()),
            Self::Contains(needle) => value.to_lowercase().contains(&needle.lower),
        }
    }
}

/// The first value at `path`, as text.
///
/// # Errors
/// Where `json` is none.
pub fn first_value(json: &[u8], path: &str) -> Result<Option<String>, NotJson> {
    let mut first = None;
    walk(json, &split(path), &mut |value| {
        first.get_or_insert_with(|| value.to_owned());
        true
    })?;
    Ok(first)
}

fn split(path: &str) -> Vec<String> {
    match path.strip_prefix("metadata.") {
        Some(name) => vec!["metadata".to_owned(), name.to_owned()],
        None => path.split('.').map(str::to_owned).collect(),
    }
}

/// Whether `text` has the shape of `glyphs`. There is one point to retry from, the last `*`: no blow-up.
#[must_use]
pub fn fits(glyphs: &[Glyph], text: &str) -> bool {
    let mut rest = text.chars();
    let mut next = glyphs;
    let mut retry: Option<(&[Glyph], std::str::Chars<'_>)> = None;
    loop {
        match next.split_first() {
            None if rest.as_str().is_empty() => return true,
            Some((Glyph::Many, after)) => {
                retry = Some((after, rest.clone()));
                next = after;
                continue;
            }
            Some((glyph, after)) => {
                let mut ahead = rest.clone();
                match (glyph, ahead.next()) {
                    (Glyph::One, Some(_)) => (next, rest) = (after, ahead),
                    (Glyph::Char(want), Some(c)) if *want == c => (next, rest) = (after, ahead),
                    _ => match step_back(&mut retry) {
                        Some(point) => (next, rest) = point,
                        None => return false,
                    },
                }
            }
            None => match step_back(&mut retry) {
                Some(point) => (next, rest) = point,
                None => return false,
            },
        }
    }
}

/// Lets the last `*` take one character more.
fn step_back<'g, 't>(retry: &mut Option<(&'g [Glyph], std::str::Chars<'t>)>) -> Option<(&'g [Glyph], std::str::Chars<'t>)> {
    let (glyphs, rest) = retry.as_mut()?;
    rest.next()?;
    Some((*glyphs, rest.clone()))
}

/// `needle` is in lower case, and ASCII.
fn contains_ignoring_case(hay: &[u8], needle: &[u8]) -> bool {
    let Some((&first, tail)) = needle.split_first() else {
        return true;
    };
    let upper = first.to_ascii_uppercase();
    let mut rest = hay;
    while let Some(at) = rest.iter().position(|b| *b == first || *b == upper) {
        rest = rest.get(at + 1..).unwrap_or_default();
        match rest.get(..tail.len()) {
            Some(next) if next.eq_ignore_ascii_case(tail) => return true,
            Some(_) => {}
            None => return false,
        }
    }
    false
}

/// Calls `visit` with each value at `path` until it says true. Numbers and booleans come as text.
fn walk(json: &[u8], path: &[String], visit: &mut dyn FnMut(&str) -> bool) -> Result<(), NotJson> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    Walk { path, visit, done: &mut false }.deserialize(&mut reader).map_err(|_| NotJson)
}

struct Walk<'a> {
    path: &'a [String],
    visit: &'a mut dyn FnMut(&str) -> bool,
    done: &'a mut bool,
}

impl Walk<'_> {
    fn scalar(self, value: &str) {
        if self.path.is_empty() && !*self.done {
            *self.done = (self.visit)(value);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            let below = match self.path.split_first() {
                None => Some(self.path),
                Some((want, below)) => (*want == name).then_some(below),
            };
            match below {
                Some(path) if !*self.done => map.next_value_seed(Walk { path, visit: &mut *self.visit, done: &mut *self.done })?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Walk { path: self.path, visit: &mut *self.visit, done: &mut *self.done })?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.scalar(value);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.scalar(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.scalar(&value.to_string());
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.scalar(&value.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.scalar(&value.to_string());
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests;
