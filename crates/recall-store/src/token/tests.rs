#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::*;
use crate::testing::Bench;

#[test]
fn kinds_and_values_have_tokens_of_their_own() {
    let bench = Bench::new();
    let tokens = bench.encoder.tokens();
    let mut seen = std::collections::HashSet::new();
    for kind in [TokenKind::Patient, TokenKind::Actor, TokenKind::Session] {
        for value in ["", "a", "b", "ab", "jdoe"] {
            assert!(seen.insert(tokens.token(kind, value)));
        }
    }
    assert_eq!(tokens.token(TokenKind::Actor, "jdoe"), Tokens::new(&bench.keys).token(TokenKind::Actor, "jdoe"));
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
