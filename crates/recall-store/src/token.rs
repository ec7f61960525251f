//! Keyed tokens: what stands for a searched identifier in posting files (`docs/format.md` section 5).
//!
//! A token says nothing without the trail's key. Two values may share one; the event itself tells them apart.

use std::collections::HashMap;

use crate::keys::{Keys, TrailKey};
use crate::seal::Mac;

#[cfg(test)]
mod tests;

/// Stands for one identifier of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

impl Token {
    /// As it is written and sorted in files: Parquet compares 64-bit integers as signed ones.
    pub(crate) const fn sorted(self) -> i64 {
        self.0.cast_signed()
    }
}

/// What an identifier identifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A patient, as target or as actor.
    Patient,
    /// `actor.id`.
    Actor,
    /// `actor.session_id`.
    Session,
}

impl TokenKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Actor => "actor",
            Self::Session => "session",
        }
    }
}

/// Makes tokens under one trail's key.
#[derive(Clone)]
pub struct Tokens(Mac);

impl Tokens {
    /// Takes the token key of a trail.
    pub fn new(keys: &Keys) -> Self {
        Self(Mac::new(&keys.trail(TrailKey::Token)))
    }

    /// The token of `value`.
    pub fn token(&self, kind: TokenKind, value: &str) -> Token {
        let mac = self.0.sign(&[kind.name().as_bytes(), &[0], value.as_bytes()]);
        let [a, b, c, d, e, f, g, h, ..] = mac;
        Token(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

/// Identifiers that one encoder keeps the tokens of, per kind.
const CACHED_TOKENS: usize = 16_384;

/// Remembers tokens, since the same staff and sessions come again and again. Emptied when full, which bounds it at no bookkeeping.
#[derive(Default)]
pub(crate) struct TokenCache {
    patients: HashMap<Box<str>, Token>,
    actors: HashMap<Box<str>, Token>,
    sessions: HashMap<Box<str>, Token>,
}

impl TokenCache {
    /// The token of `value`, computed at most once while it is remembered.
    pub(crate) fn token(&mut self, tokens: &Tokens, kind: TokenKind, value: &str) -> Token {
        let known = match kind {
            TokenKind::Patient => &mut self.patients,
            TokenKind::Actor => &mut self.actors,
            TokenKind::Session => &mut self.sessions,
        };
        if let Some(token) = known.get(value) {
            return *token;
        }
        if known.len() >= CACHED_TOKENS {
            known.clear();
        }
        let token = tokens.token(kind, value);
        known.insert(value.into(), token);
        token
    }
}
