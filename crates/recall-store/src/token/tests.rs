#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::testing::Bench;

#[test]
fn kinds_and_values_have_tokens_of_their_own() {
    let bench = Bench::new();
    let tokens = bench.encoder.tokens();
    let mut seen = std::collections::HashSet::new();
    for kind in [TokenKind::Patient, TokenKind::Actor, TokenKind::Session, TokenKind::HiddenActor, TokenKind::HiddenSession] {
        for value in ["", "a", "b", "ab", "jdoe"] {
            assert!(seen.insert(tokens.token(kind, value)));
        }
    }
    assert_eq!(tokens.token(TokenKind::Actor, "jdoe"), Tokens::new(&bench.keys).token(TokenKind::Actor, "jdoe"));
}

#[test]
fn tokens_that_tell_of_phi_are_for_those_who_may_see_it() {
    let bench = Bench::new();
    let tokens = bench.encoder.tokens();
    for (kind, phi) in [
        (TokenKind::Patient, true),
        (TokenKind::HiddenActor, true),
        (TokenKind::HiddenSession, true),
        (TokenKind::Actor, false),
        (TokenKind::Session, false),
    ] {
        assert_eq!(tokens.searched(kind, "P1", Some(&bench.phi)).unwrap(), tokens.token(kind, "P1"));
        let without = tokens.searched(kind, "P1", None);
        assert!(if phi { matches!(without, Err(ReadError::Denied(_))) } else { without.unwrap() == tokens.token(kind, "P1") }, "{kind:?}");
    }
}

#[test]
fn the_cache_answers_like_the_key_and_stays_bounded() {
    let bench = Bench::new();
    let tokens = bench.encoder.tokens();
    let mut cache = TokenCache::default();
    for value in 0..CACHED_TOKENS + 10 {
        let value = value.to_string();
        assert_eq!(cache.token(tokens, TokenKind::Patient, &value), tokens.token(TokenKind::Patient, &value));
        assert_eq!(cache.token(tokens, TokenKind::Patient, &value), tokens.token(TokenKind::Patient, &value));
        assert!(cache.patients.len() <= CACHED_TOKENS);
    }
}
