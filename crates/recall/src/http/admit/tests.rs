#![allow(clippy::unwrap_used)]
use axum::http::Method;
use axum::response::IntoResponse;

use super::{Lane, label, timed_out, too_many};

#[test]
fn a_method_that_somebody_invents_makes_no_label() {
    assert_eq!((label(&Method::POST), label(&Method::HEAD)), ("POST", "HEAD"));
    for invented in ["MRN-1001", "TRACE", "CONNECT"] {
        assert_eq!(label(&Method::from_bytes(invented.as_bytes()).unwrap()), "other");
    }
}

#[test]
fn senders_readers_and_operators_do_not_wait_for_each_other() {
    assert_eq!(Lane::of(&Method::POST, "/v1/events"), Lane::Ingest);
    assert_eq!(Lane::of(&Method::GET, "/v1/events"), Lane::Reading);
    assert_eq!(Lane::of(&Method::POST, "/v1/backups"), Lane::Long);
    assert_eq!(Lane::of(&Method::GET, "/readyz"), Lane::Operations);
}

#[test]
fn what_was_ended_or_not_begun_says_when_to_come_back() {
    for problem in [too_many(), timed_out()] {
        assert!(problem.into_response().headers().contains_key("retry-after"));
    }
}
