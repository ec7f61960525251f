#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, cast, col, in_list, lit};
use recall_store::token::TokenKind;

use super::{Access, Lookup, certain_part, cheap_part};
use crate::functions::{has_patient, probe};
use crate::query::{Pattern, Span};
use crate::values::Probe;

fn token(kind: TokenKind, value: &str) -> Lookup {
    Lookup::Token(kind, value.to_owned())
}

fn lookup(expr: Expr) -> Option<Lookup> {
    Access::of(&[expr], true).lookup
}

fn index(expr: Expr) -> (Option<i64>, Option<i64>) {
    let Span { low, high } = Access::of(&[expr], true).index;
    (low, high)
}

fn at(micros: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())))
}

#[test]
fn postings_serve_equality_and_what_is_built_of_it() {
    let (a, p) = (token(TokenKind::Actor, "a"), token(TokenKind::Patient, "p"));
    let sessions = [token(TokenKind::Session, "s"), token(TokenKind::HiddenSession, "s")];
    let s = Lookup::Any(sessions.to_vec());
    assert_eq!(lookup(col("actor").eq(lit("a"))), Some(a.clone()));
    assert_eq!(lookup(lit("a").eq(col("actor"))), Some(a.clone()));
    assert_eq!(lookup(has_patient("p")), Some(p.clone()));
    assert_eq!(lookup(col("id").eq(lit("i"))), Some(Lookup::Id("i".to_owned())));
    assert_eq!(lookup(col("actor").eq(lit("a")).and(col("op").eq(lit("R")))), Some(a.clone()));
    assert_eq!(lookup(col("actor").eq(lit("a")).and(col("session").eq(lit("s")))), Some(Lookup::All(vec![a.clone(), s.clone()])));
    assert_eq!(lookup(has_patient("p").or(col("session").eq(lit("s")))), Some(Lookup::Any([&[p], sessions.as_slice()].concat())));
    assert_eq!(lookup(in_list(col("actor"), vec![lit("a"), lit("a")], false)), Some(Lookup::Any(vec![a.clone()])));
    assert_eq!(lookup(cast(col("actor"), DataType::Utf8).eq(lit("a"))), Some(a.clone()));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    assert_eq!(lookup(col("actor").eq(cast(lit("a"), dictionary))), Some(a));
}

#[test]
fn an_actor_is_looked_up_once_in_either_part() {
    let either = Lookup::Any(vec![token(TokenKind::Actor, "a"), token(TokenKind::HiddenActor, "a")]);
    let in_event = || probe(Probe::at("actor.id", Pattern::Exact("a".to_owned())));
    assert_eq!(lookup(in_event()), Some(either.clone()));
    assert_eq!(lookup(col("actor").eq(lit("a")).or(col("actor").is_null().and(in_event()))), Some(either));
}

#[test]
fn without_a_right_to_phi_nothing_is_looked_up_that_phi_alone_would_find() {
    let public = |expr: Expr| Access::of(&[expr], false).lookup;
    assert_eq!(public(has_patient("p")), None);
    assert_eq!(public(has_patient("p").or(col("actor").eq(lit("a")))), None);
    assert_eq!(public(has_patient("p").and(col("actor").eq(lit("a")))), Some(token(TokenKind::Actor, "a")));
    assert_eq!(public(col("session").eq(lit("s"))), Some(token(TokenKind::Session, "s")));
    assert_eq!(public(probe(Probe::at("actor.id", Pattern::Exact("a".to_owned())))), Some(token(TokenKind::Actor, "a")));
}

#[test]
fn no_posting_serves_what_may_be_true_without_one() {
    let a = || col("actor").eq(lit("a"));
    for expr in [
        a().or(col("op").eq(lit("R"))),
        Expr::Not(Box::new(a())),
        a().is_not_true(),
        col("actor").not_eq(lit("a")),
        in_list(col("actor"), vec![lit("a")], true),
        in_list(col("actor"), vec![lit("a"), col("app")], false),
        col("actor").eq(col("app")),
        col("actor").gt(lit("a")),
        cast(col("actor"), DataType::Int64).eq(lit("1")),
        probe(Probe::anywhere("a")),
    ] {
        assert_eq!(lookup(expr.clone()), None, "{expr}");
    }
}

#[test]
fn spans_of_the_index() {
    let i = || col("index");
    assert_eq!(index(i().eq(lit(5_i64))), (Some(5), Some(5)));
    assert_eq!(index(i().gt(lit(5_i64)).and(lit(9_i64).gt_eq(i()))), (Some(5), Some(9)));
    assert_eq!(index(i().eq(lit(5_i64)).or(i().eq(lit(9_i64)))), (Some(5), Some(9)));
    assert_eq!(index(i().eq(lit(5_i64)).or(col("op").eq(lit("R")))), (None, None));
    assert_eq!(index(i().between(lit(2_i64), lit(3_i64))), (Some(2), Some(3)));
    assert_eq!(index(i().not_between(lit(2_i64), lit(3_i64))), (None, None));
    assert_eq!(index(in_list(i(), vec![lit(4_i64), lit(2_i64)], false)), (Some(2), Some(4)));
    assert_eq!(index(i().eq(lit(5_i64)).is_not_true()), (None, None));
    assert_eq!(index(i().not_eq(lit(5_i64))), (None, None));
}

#[test]
fn spans_of_time_are_never_too_narrow() {
    let time = |expr: Expr| Access::of(&[expr], true).time;
    assert_eq!(time(col("time").gt(at(7))), Span { low: Some(7), high: None });
    let nanos = |value| lit(ScalarValue::TimestampNanosecond(Some(value), Some("UTC".into())));
    assert_eq!(time(col("time").lt(nanos(1_500))), Span { low: None, high: Some(2) });
    assert_eq!(time(col("time").gt(nanos(1_500))), Span { low: Some(1), high: None });
    let seconds = cast(col("time"), DataType::Timestamp(TimeUnit::Second, Some("UTC".into())));
    assert_eq!(time(seconds.clone().lt(at(7))), Span::default());
    assert_eq!(time(cast(seconds, DataType::Timestamp(TimeUnit::Nanosecond, None)).lt(nanos(7))), Span::default());
}

#[test]
fn the_cheap_part_is_true_wherever_the_whole_is() {
    let (cheap, costly) = (col("op").eq(lit("R")), col("ip").eq(lit("::1")));
    assert_eq!(cheap_part(&cheap.clone().and(costly.clone())), Some(cheap.clone()));
    assert_eq!(cheap_part(&cheap.clone().or(costly.clone())), None);
    assert_eq!(cheap_part(&costly.clone().is_not_true()), None);
    assert_eq!(cheap_part(&Expr::Not(Box::new(cheap.clone().and(costly.clone())))), None);
    assert_eq!(cheap_part(&costly), None);
    let mixed = cheap.clone().or(col("actor").is_null().and(costly));
    assert_eq!(cheap_part(&mixed), Some(cheap.or(col("actor").is_null())));
}

#[test]
fn the_whole_is_true_wherever_its_certain_part_is() {
    let (cheap, costly) = (col("op").eq(lit("R")), col("ip").eq(lit("::1")));
    assert_eq!(certain_part(&cheap.clone().or(costly.clone())), Some(cheap.clone()));
    assert_eq!(certain_part(&cheap.clone().and(costly.clone())), None);
    assert_eq!(certain_part(&cheap.clone().or(costly.clone()).is_not_true()), None);
    assert_eq!(certain_part(&costly), None);
    let mixed = cheap.clone().or(col("actor").is_null().and(costly));
    assert_eq!(certain_part(&mixed), Some(cheap));
}

#[test]
fn debug_shows_no_identifier() {
    let access = Access::of(&[has_patient("SECRET").or(col("id").eq(lit("SECRET")))], true);
    assert!(!format!("{access:?}").contains("SECRET"));
}
