//! Turns a filter into an expression over the table `events`.

use datafusion::logical_expr::expr::Like;
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::scalar::ScalarValue;

use crate::functions::{has_patient, patient_like, probe};
use crate::query::field::{Field, Kind, Place};
use crate::query::{Filter, Glyph, Pattern, Span};
use crate::values::Probe;

/// The reader may not ask for a field, since it holds PHI.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` holds PHI that this role may not ask for; leave it out or ask with a role that may")]
pub struct NotAllowed {
    /// The field's name in the event, without what the reader typed of it.
    pub field: String,
}

/// The expression of `filter`, for a reader who may see PHI or not.
///
/// # Errors
/// Where the filter asks for what the reader may not.
pub fn compile(filter: &Filter, phi: bool) -> Result<Expr, NotAllowed> {
    Ok(match filter {
        Filter::All(all) => join(all, phi, Expr::and)?.unwrap_or_else(|| lit(true)),
        Filter::Any(any) => join(any, phi, Expr::or)?.unwrap_or_else(|| lit(false)),
        Filter::Not(inner) => compile(inner, phi)?.is_not_true(),
        Filter::Text(text) => probe(Probe::anywhere(text)),
        Filter::Is(field, _) | Filter::Flag(field, _) | Filter::Within(field, _) if field.phi && !phi => {
            return Err(NotAllowed { field: field.known_name().to_owned() });
        }
        Filter::Is(field, pattern) => is(field, pattern, phi),
        Filter::Flag(field, value) => column(field).eq(lit(*value)),
        Filter::Within(field, span) => within(field, *span),
    })
}

fn join(filters: &[Filter], phi: bool, with: fn(Expr, Expr) -> Expr) -> Result<Option<Expr>, NotAllowed> {
    let mut joined: Option<Expr> = None;
    for filter in filters {
        let next = compile(filter, phi)?;
        joined = Some(match joined {
            Some(before) => with(before, next),
            None => next,
        });
    }
    Ok(joined)
}

fn is(field: &Field, pattern: &Pattern, phi: bool) -> Expr {
    let in_event = || probe(Probe::at(&field.name, pattern.clone()));
    match field.place {
        Place::Column(name) => matches(col(name), pattern),
        Place::Actor if phi => matches(col("actor"), pattern).or(col("actor").is_null().and(in_event())),
        Place::Actor => matches(col("actor"), pattern),
        Place::Patients => match pattern {
            Pattern::Exact(id) => has_patient(id),
            Pattern::Glob(glyphs) => patient_like(glyphs),
        },
        Place::Purposes => purposes(pattern).unwrap_or_else(|| col("purpose").is_not_null().and(in_event())),
        Place::Event | Place::Anywhere => in_event(),
    }
}

/// One of several codes that the column joins by a space; codes have none inside.
fn purposes(pattern: &Pattern) -> Option<Expr> {
    let Pattern::Exact(code) = pattern else {
        return None;
    };
    let code = code.chars().map(Glyph::Char);
    let (space, many) = ([Glyph::Char(' ')], [Glyph::Many]);
    let first = code.clone().chain(space).chain(many).collect();
    let last = many.into_iter().chain(space).chain(code.clone()).collect();
    let middle = many.into_iter().chain(space).chain(code).chain(space).chain(many).collect();
    let joined = [first, last, middle].map(|glyphs| matches(col("purpose"), &Pattern::Glob(glyphs)));
    Some(joined.into_iter().fold(matches(col("purpose"), pattern), Expr::or))
}

fn matches(column: Expr, pattern: &Pattern) -> Expr {
    match pattern {
        Pattern::Exact(text) => column.eq(lit(text.as_str())),
        Pattern::Glob(glyphs) => Expr::Like(Like::new(false, Box::new(column), Box::new(lit(like(glyphs))), None, false)),
    }
}

/// SQL's pattern of the same meaning.
fn like(glyphs: &[Glyph]) -> String {
    let mut pattern = String::with_capacity(glyphs.len() + 2);
    for glyph in glyphs {
        match glyph {
            Glyph::Many => pattern.push('%'),
            Glyph::One => pattern.push('_'),
            Glyph::Char(c) => {
                if matches!(c, '%' | '_' | '\\') {
                    pattern.push('\\');
                }
                pattern.push(*c);
            }
        }
    }
    pattern
}

fn within(field: &Field, span: Span) -> Expr {
    let literal = |value: i64| match field.kind {
        Kind::Time => lit(ScalarValue::TimestampMicrosecond(Some(value), Some("UTC".into()))),
        _ => lit(value),
    };
    match (span.low, span.high) {
        (Some(low), Some(high)) => column(field).gt_eq(literal(low)).and(column(field).lt_eq(literal(high))),
        (Some(low), None) => column(field).gt_eq(literal(low)),
        (None, Some(high)) => column(field).lt_eq(literal(high)),
        (None, None) => column(field).is_not_null(),
    }
}

fn column(field: &Field) -> Expr {
    match field.place {
        Place::Column(name) => col(name),
        _ => probe(Probe::at(&field.name, Pattern::Glob(vec![Glyph::Many]))),
    }
}
