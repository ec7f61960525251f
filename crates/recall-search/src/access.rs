//! What a filter lets a reader leave unread: everything outside spans of index and time, and all rows without a posting.
//!
//! All of it is wider than the filter or equal to it, never narrower; the filter itself still decides every row. It knows expressions,
//! and not how parts are read.

use std::collections::BTreeSet;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use recall_store::token::TokenKind;

use crate::columns::is_cheap;
use crate::functions::{self, as_probe};
use crate::query::Span;
use crate::values::Probe;

/// What must be read at least.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Access {
    /// Indexes.
    pub index: Span,
    /// Times, in microseconds since 1970.
    pub time: Span,
    /// Rows found by what is indexed; `None` for all rows.
    pub lookup: Option<Lookup>,
}

/// Rows by what is indexed. It has no `Debug` of its own making: [`TokenKind`] values are PHI, and so is an id.
#[derive(Clone, PartialEq)]
pub enum Lookup {
    /// Those with a posting.
    Token(TokenKind, String),
    /// Those with an id.
    Id(String),
    /// Those of any of these.
    Any(Vec<Lookup>),
    /// Those of all of these.
    All(Vec<Lookup>),
}

impl std::fmt::Debug for Lookup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token(kind, _) => write!(f, "{kind:?}"),
            Self::Id(_) => f.write_str("Id"),
            Self::Any(any) => f.debug_tuple("Any").field(any).finish(),
            Self::All(all) => f.debug_tuple("All").field(all).finish(),
        }
    }
}

impl Access {
    /// What all of `filters` together let a reader leave out, who may see PHI or not. Rows that are found before a filter sees them tell
    /// something by their errors, their number and their cost; so nothing may find rows that the reader's own columns would not.
    #[must_use]
    pub fn of(filters: &[Expr], phi: bool) -> Self {
        let mut access = Self::default();
        let mut lookups = Vec::new();
        for filter in filters {
            access.index = both(access.index, span(filter, "index"));
            access.time = both(access.time, span(filter, "time"));
            lookups.extend(lookup(filter, phi));
        }
        access.lookup = all(lookups);
        access
    }
}

fn all(mut lookups: Vec<Lookup>) -> Option<Lookup> {
    if lookups.len() > 1 { Some(Lookup::All(lookups)) } else { lookups.pop() }
}

/// Either of two, each of which stands once: a posting that two would look up is looked up once.
fn any(a: Lookup, b: Lookup) -> Lookup {
    let each = |lookup| if let Lookup::Any(any) = lookup { any } else { vec![lookup] };
    let mut found: Vec<Lookup> = Vec::new();
    for lookup in each(a).into_iter().chain(each(b)) {
        if !found.contains(&lookup) {
            found.push(lookup);
        }
    }
    Lookup::Any(found)
}

fn lookup(expr: &Expr, phi: bool) -> Option<Lookup> {
    let of = |expr| lookup(expr, phi);
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => all(of(left).into_iter().chain(of(right)).collect()),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => Some(any(of(left)?, of(right)?)),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            let (name, value) = column(left).zip(text(right)).or_else(|| column(right).zip(text(left)))?;
            indexed(name, value, phi)
        }
        Expr::InList(list) if !list.negated => {
            let name = column(&list.expr)?;
            let each = list.list.iter().map(|item| indexed(name, text(item)?, phi)).collect::<Option<Vec<_>>>()?;
            Some(each.into_iter().fold(Lookup::Any(Vec::new()), any))
        }
        Expr::ScalarFunction(call) if call.func.name() == functions::HAS_PATIENT.name() => match call.args.as_slice() {
            [patients, id] if phi && column(patients) == Some("patients") => Some(Lookup::Token(TokenKind::Patient, text(id)?.to_owned())),
            _ => None,
        },
        Expr::ScalarFunction(call) => as_probe(&call.func)?.equality().and_then(|(path, value)| match path.as_str() {
            "actor.id" => Some(either_part(TokenKind::Actor, TokenKind::HiddenActor, value, phi)),
            _ => None,
        }),
        Expr::IsTrue(inner) => of(inner),
        _ => None,
    }
}

/// Columns whose values are indexed. The column `actor` is null where the PHI part has the actor; `session` is so for readers without a
/// right to PHI.
fn indexed(column: &str, value: &str, phi: bool) -> Option<Lookup> {
    match column {
        "actor" => Some(Lookup::Token(TokenKind::Actor, value.to_owned())),
        "session" => Some(either_part(TokenKind::Session, TokenKind::HiddenSession, value, phi)),
        "id" => Some(Lookup::Id(value.to_owned())),
        _ => None,
    }
}

fn either_part(public: TokenKind, hidden: TokenKind, value: &str, phi: bool) -> Lookup {
    let token = |kind| Lookup::Token(kind, value.to_owned());
    if phi { any(token(public), token(hidden)) } else { token(public) }
}

/// A column, also under one of the casts that planning adds: they keep texts equal and times in order. Two casts may not.
fn column(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Column(column) => Some(column.name.as_str()),
        Expr::Cast(cast) if keeps_values(cast.field.data_type()) => match cast.expr.as_ref() {
            Expr::Column(column) => Some(column.name.as_str()),
            _ => None,
        },
        _ => None,
    }
}

fn keeps_values(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, inner) => keeps_values(inner),
        DataType::Timestamp(unit, _) => matches!(unit, TimeUnit::Microsecond | TimeUnit::Nanosecond),
        _ => false,
    }
}

fn text(expr: &Expr) -> Option<&str> {
    fn of(value: &ScalarValue) -> Option<&str> {
        match value {
            ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => text.as_deref(),
            ScalarValue::Dictionary(_, inner) => of(inner),
            _ => None,
        }
    }
    match expr {
        Expr::Literal(value, _) => of(value),
        Expr::Cast(cast) if keeps_values(cast.field.data_type()) => match cast.expr.as_ref() {
            Expr::Literal(value, _) => of(value),
            _ => None,
        },
        _ => None,
    }
}

/// The span of `name` outside which `expr` is never true.
fn span(expr: &Expr, name: &str) -> Span {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => both(span(left, name), span(right, name)),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => either(span(left, name), span(right, name)),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (named(left, name), named(right, name)) {
            (true, _) => side(*op, right, name),
            (_, true) => op.swap().map_or_else(Span::default, |op| side(op, left, name)),
            _ => Span::default(),
        },
        Expr::Between(Between { expr, negated: false, low, high }) if named(expr, name) => {
            both(side(Operator::GtEq, low, name), side(Operator::LtEq, high, name))
        }
        Expr::InList(list) if !list.negated && named(&list.expr, name) => {
            list.list.iter().map(|item| side(Operator::Eq, item, name)).reduce(either).unwrap_or_default()
        }
        Expr::IsTrue(inner) => span(inner, name),
        _ => Span::default(),
    }
}

fn named(expr: &Expr, name: &str) -> bool {
    column(expr) == Some(name)
}

/// `column OP literal` as a span, a finer literal rounded outwards.
fn side(op: Operator, literal: &Expr, name: &str) -> Span {
    let Expr::Literal(value, _) = literal else {
        return Span::default();
    };
    let Some((floor, ceiling)) = whole(value, name) else {
        return Span::default();
    };
    match op {
        Operator::Eq => Span { low: Some(floor), high: Some(ceiling) },
        Operator::Gt | Operator::GtEq => Span { low: Some(floor), high: None },
        Operator::Lt | Operator::LtEq => Span { low: None, high: Some(ceiling) },
        _ => Span::default(),
    }
}

/// An index, or a time in microseconds rounded down and up.
fn whole(value: &ScalarValue, name: &str) -> Option<(i64, i64)> {
    match (name, value) {
        ("index", ScalarValue::Int64(Some(v))) | ("time", ScalarValue::TimestampMicrosecond(Some(v), _)) => Some((*v, *v)),
        ("time", ScalarValue::TimestampNanosecond(Some(v), _)) => Some((v.div_euclid(1000), v.div_euclid(1000).saturating_add(1))),
        _ => None,
    }
}

fn both(a: Span, b: Span) -> Span {
    let tighter = |a: Option<i64>, b: Option<i64>, pick: fn(i64, i64) -> i64| match (a, b) {
        (Some(a), Some(b)) => Some(pick(a, b)),
        (a, b) => a.or(b),
    };
    Span { low: tighter(a.low, b.low, i64::max), high: tighter(a.high, b.high, i64::min) }
}

fn either(a: Span, b: Span) -> Span {
    Span { low: a.low.zip(b.low).map(|(a, b)| a.min(b)), high: a.high.zip(b.high).map(|(a, b)| a.max(b)) }
}

/// A test of an event's bytes that is true of a row exactly where `expr` is, and where the postings that serve `expr` have the row: only
/// another value of the same token is still to be told apart. None where postings do not decide `expr`. For readers of PHI.
#[must_use]
pub fn decided(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => Some(decided(left)?.and(decided(right)?)),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => match actor(left, right) {
            Some(id) => Some(functions::holds(TokenKind::Actor, id)),
            None => Some(decided(left)?.or(decided(right)?)),
        },
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (column(left)?, text(right)?) {
            ("session", value) => Some(functions::holds(TokenKind::Session, value)),
            _ => None,
        },
        Expr::ScalarFunction(call) if call.func.name() == functions::HAS_PATIENT.name() => match call.args.as_slice() {
            [patients, id] if column(patients) == Some("patients") => Some(functions::holds(TokenKind::Patient, text(id)?)),
            _ => None,
        },
        _ => None,
    }
}

/// The id in `actor = id OR (actor IS NULL AND …the event's actor.id is id…)`, as the query bar asks for actors.
fn actor<'a>(left: &'a Expr, right: &Expr) -> Option<&'a str> {
    let Expr::BinaryExpr(BinaryExpr { left: known, op: Operator::Eq, right: id }) = left else {
        return None;
    };
    let Expr::BinaryExpr(BinaryExpr { left: absent, op: Operator::And, right: hidden }) = right else {
        return None;
    };
    let (Expr::IsNull(absent), Expr::ScalarFunction(call)) = (absent.as_ref(), hidden.as_ref()) else {
        return None;
    };
    let (path, value) = as_probe(&call.func)?.equality()?;
    let id = text(id)?;
    (column(known)? == "actor" && column(absent)? == "actor" && path == "actor.id" && value == id).then_some(id)
}

/// The part of `expr` that looks at cheap columns only: true wherever `expr` is.
#[must_use]
pub fn cheap_part(expr: &Expr) -> Option<Expr> {
    if names(expr).iter().all(|name| is_cheap(name)) {
        return Some(expr.clone());
    }
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => match (cheap_part(left), cheap_part(right)) {
            (Some(left), Some(right)) => Some(left.and(right)),
            (left, right) => left.or(right),
        },
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => Some(cheap_part(left)?.or(cheap_part(right)?)),
        Expr::IsTrue(inner) => cheap_part(inner),
        _ => None,
    }
}

/// An expression over cheap columns only: where it is true, `expr` is. `actor = 'x' OR (actor IS NULL AND …bytes…)` is certain for most rows.
#[must_use]
pub fn certain_part(expr: &Expr) -> Option<Expr> {
    if names(expr).iter().all(|name| is_cheap(name)) {
        return Some(expr.clone());
    }
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => Some(certain_part(left)?.and(certain_part(right)?)),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => match (certain_part(left), certain_part(right)) {
            (Some(left), Some(right)) => Some(left.or(right)),
            (left, right) => left.or(right),
        },
        Expr::IsTrue(inner) => certain_part(inner),
        _ => None,
    }
}

/// The names of the columns that `expr` looks at.
#[must_use]
pub fn names(expr: &Expr) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    // The closure never fails, so that neither does the walk.
    let _ = expr.apply(|node| {
        if let Expr::Column(column) = node {
            names.insert(column.name.as_str());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    names
}

/// `mentions(event, 'text')` asks for the text of events; the bytes of their parts answer as well, and need no merging.
#[must_use]
pub fn without_merging(expr: Expr) -> Expr {
    let rewritten = expr.clone().transform(|node| {
        use datafusion::common::tree_node::Transformed;
        if let Expr::ScalarFunction(call) = &node
            && call.func.name() == functions::MENTIONS.name()
            && let [event, wanted] = call.args.as_slice()
            && let (Some("event"), Some(wanted)) = (column(event), text(wanted))
        {
            return Ok(Transformed::yes(functions::probe(Probe::anywhere(wanted))));
        }
        Ok(Transformed::no(node))
    });
    rewritten.map_or(expr, |rewritten| rewritten.data)
}

#[cfg(test)]
mod tests;
