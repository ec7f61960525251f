//! Values of any shape, and objects in canonical order.

use super::Number;
use std::borrow::Cow;
use std::cmp::Ordering;

/// A JSON value of any shape. It has no `Debug`, because it may hold PHI.
#[derive(Clone, Default, PartialEq)]
pub enum Value<'a> {
    /// `null`; only in arrays, because a member that is null counts as absent.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object.
    Object(Object<'a>),
}

/// Members in canonical order, no name twice, none of them null.
#[derive(Clone, Default, PartialEq)]
pub struct Object<'a>(Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Object<'a> {
    /// Sorts the members and leaves out what is null; `None` if a name stands twice.
    pub fn new(mut members: Vec<(Cow<'a, str>, Value<'a>)>) -> Option<Self> {
        members.sort_by(|(left, _), (right, _)| utf16_order(left, right));
        if members.iter().zip(members.iter().skip(1)).any(|((left, _), (right, _))| left == right) {
            return None;
        }
        members.retain(|(_, value)| *value != Value::Null);
        Some(Self(members))
    }

    /// The members in canonical order.
    pub fn members(&self) -> &[(Cow<'a, str>, Value<'a>)] {
        &self.0
    }

    /// The value of a member.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }
}

impl Value<'_> {
    /// How deep objects and arrays are nested in it: 0 for a scalar.
    pub fn depth(&self) -> usize {
        let deepest = match self {
            Self::Array(elements) => elements.iter().map(Self::depth).max(),
            Self::Object(object) => object.0.iter().map(|(_, value)| value.depth()).max(),
            _ => return 0,
        };
        1 + deepest.unwrap_or(0)
    }
}

/// The order of names in RFC 8785: by UTF-16 code units.
///
/// UTF-8 sorts alike but for characters beyond U+FFFF, which begin with 0xF0 or more and come before U+E000 to U+FFFF, which begin with
/// 0xEE and 0xEF.
pub fn utf16_order(left: &str, right: &str) -> Ordering {
    match left.bytes().zip(right.bytes()).find(|(left, right)| left != right) {
        Some((left, right)) if left >= 0xEE && right >= 0xEE => (left < 0xF0).cmp(&(right < 0xF0)).then(left.cmp(&right)),
        Some((left, right)) => left.cmp(&right),
        None => left.len().cmp(&right.len()),
    }
}
