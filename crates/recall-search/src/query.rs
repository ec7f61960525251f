//! The query bar's language: text in, a typed filter out.
//!
//! It must not know what a row, a part or an engine is, so that it can be fuzzed without them; `compile` beside it turns a filter into
//! an expression. It never repeats what was typed: an error names a position, the problem and the remedy.
//!
//! ```text
//! query  = any
//! any    = all *( "OR" all )                     "AND" binds tighter than "OR"
//! all    = not *( [ "AND" ] not )
//! not    = ( "-" / "NOT" ) not / "(" any ")" / term
//! term   = field ":" value / field (">" / ">=" / "<" / "<=") value / field ":" [ value ] ".." [ value ] / text
//! ```
//! A value is a word or is quoted; `\` takes the next character as it is. `*` and `?` are wildcards outside quotes.

pub mod field;
mod moment;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

use recall_log::time::Timestamp;

use field::Field;

/// Bytes of a query.
pub const MAX_QUERY_BYTES: usize = 4096;
/// Terms of a query.
pub const MAX_TERMS: usize = 256;
/// Parentheses and negations inside one another.
pub const MAX_DEPTH: usize = 32;

/// What a query asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All of these hold; with none, every event does.
    All(Vec<Filter>),
    /// One of these holds.
    Any(Vec<Filter>),
    /// This does not hold. A field that the event lacks does not hold either, so its negation does.
    Not(Box<Filter>),
    /// One of the event's values contains this, whatever the case.
    Text(String),
    /// A field holds a text.
    Is(Field, Pattern),
    /// A flag is as said.
    Flag(Field, bool),
    /// A number lies within, or a time in microseconds since 1970.
    Within(Field, Span),
}

/// How a text is compared; case matters.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// The same text.
    Exact(String),
    /// A pattern in which `Wild::Many` and `Wild::One` stand for characters.
    Glob(Vec<Glyph>),
}

/// One step of a [`Pattern::Glob`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Glyph {
    /// This character.
    Char(char),
    /// Any number of characters, none included: `*`.
    Many,
    /// One character: `?`.
    One,
}

/// A span of numbers, ends included; an end that is `None` is open.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Span {
    /// The least that is inside.
    pub low: Option<i64>,
    /// The greatest that is inside.
    pub high: Option<i64>,
}

/// Reads a query. `now` is what relative times count from.
///
/// # Errors
/// Where the text is no query or passes a limit; the error never repeats the text.
pub fn parse(text: &str, now: Timestamp) -> Result<Filter, QueryError> {
    parse::Parser::new(text, now)?.query()
}

/// The first microsecond of a time as a query may write it, relative ones included; `None` where it is none.
#[must_use]
pub fn first_moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    moment::read(text, now).map(|moment| Timestamp::from_micros(moment.first))
}

/// Why a text is no query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the query has a problem at character {at}: {problem}")]
pub struct QueryError {
    /// The character, counted from 1.
    pub at: usize,
    /// What is wrong there, and what to do.
    pub problem: Problem,
}

/// What is wrong with a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// More than [`MAX_QUERY_BYTES`].
    TooLong,
    /// More than [`MAX_TERMS`].
    TooManyTerms,
    /// More than [`MAX_DEPTH`].
    TooDeep,
    /// No such field; these are near.
    UnknownField(Vec<&'static str>),
    /// Something like a field's name that is none.
    NotAField,
    /// A quotation mark without its partner.
    OpenQuote,
    /// A parenthesis without its partner.
    OpenParenthesis,
    /// A closing parenthesis that nothing opened.
    StrayParenthesis,
    /// A term is missing: the text ends, or an operator follows.
    TermMissing,
    /// A field without a value.
    ValueMissing,
    /// A backslash at the end.
    StrayBackslash,
    /// Not a whole number.
    NotANumber,
    /// Not a time.
    NotATime,
    /// Not `true` or `false`.
    NotAFlag,
    /// `>` or `..` on a text.
    NoOrder,
    /// A wildcard in free text, a number, a time or a flag.
    NoWildcard,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::UnknownField(near) if near.is_empty() => "there is no such field; put text that contains a colon in quotation marks",
            Self::UnknownField(near) => {
                return write!(
                    f,
                    "there is no such field; near it are {}; put text that contains a colon in quotation marks",
                    near.join(", ")
                );
            }
            Self::TooLong => "it is too long; at most 4,096 bytes are read",
            Self::TooManyTerms => "it has too many terms; at most 256 are read",
            Self::TooDeep => "parentheses or negations lie too deep; at most 32 are read",
            Self::NotAField => "a field's name is expected before this; put text in quotation marks",
            Self::OpenQuote => "this quotation mark is never closed; add the closing one",
            Self::OpenParenthesis => "this parenthesis is never closed; add the closing one",
            Self::StrayParenthesis => "no parenthesis was opened before this one; remove it",
            Self::TermMissing => "a term is expected here; add one or remove the operator before it",
            Self::ValueMissing => "a value is expected here; write \"\" for an empty one",
            Self::StrayBackslash => "a character is expected after the backslash; write two for a backslash",
            Self::NotANumber => "a whole number is expected here",
            Self::NotATime => "a time is expected here: 2026-11-23, 2026-11-23T18:00:00Z, now, today, yesterday, -7d or -15m",
            Self::NotAFlag => "true or false is expected here",
            Self::NoOrder => "texts have no order here; use : with a value or wildcards",
            Self::NoWildcard => "wildcards work in the values of text fields only; free text finds parts of words without them",
        };
        f.write_str(text)
    }
}
