//! Keyed tokens: what stands for a searched identifier in posting files (`docs/format.md` section 5).
//!
//! A token says nothing without the trail's key. Two values may share one; the event itself tells them apart.

use std::collections::HashMap;

use crate::columns::Column;
use crate::keys::{Keys, PhiAccess, TrailKey};
use crate::seal::Mac;
use crate::snapshot::ReadError;

#[cfg(test)]
mod tests;

/// Stands for one identifier of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub(crate) u64);

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
    /// `actor.id`, where the public part has it.
    Actor,
    /// `actor.session_id`, where the public part has it.
    Session,
    /// `actor.id`, where a patient acts and it lies in the PHI part.
    HiddenActor,
    /// `actor.session_id`, likewise.
    HiddenSession,
}

impl TokenKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Patient => "patient",
            Self::Actor => "actor",
            Self::Session => "session",
            Self::HiddenActor => "hidden-actor",
            Self::HiddenSession => "hidden-session",
        }
    }

    /// The PHI column that a posting of this kind tells of, if it tells of one.
    const fn phi_column(self) -> Option<Column> {
        match self {
            Self::Patient => Some(Column::Patients),
            Self::HiddenActor | Self::HiddenSession => Some(Column::Phi),
            Self::Actor | Self::Session => None,
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

    /// The token of `value`, to look postings up by. A kind that tells of PHI is refused without a right to it: which rows a token has, how
    /// many, and what it costs to look, all tell who was treated.
    ///
    /// # Errors
    /// Where the right is missing.
    pub fn searched(&self, kind: TokenKind, value: &str, phi: Option<&PhiAccess>) -> Result<Token, ReadError> {
        match kind.phi_column() {
            Some(column) if phi.is_none() => Err(ReadError::Denied(column)),
            _ => Ok(self.token(kind, value)),
        }
    }

    /// The token of `value`.
    pub(crate) fn token(&self, kind: TokenKind, value: &str) -> Token {
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
    hidden_actors: HashMap<Box<str>, Token>,
    hidden_sessions: HashMap<Box<str>, Token>,
}

impl TokenCache {
    /// The token of `value`, computed at most once while it is remembered.
    pub(crate) fn token(&mut self, tokens: &Tokens, kind: TokenKind, value: &str) -> Token {
        let known = match kind {
            TokenKind::Patient => &mut self.patients,
            TokenKind::Actor => &mut self.actors,
            TokenKind::Session => &mut self.sessions,
            TokenKind::HiddenActor => &mut self.hidden_actors,
            TokenKind::HiddenSession => &mut self.hidden_sessions,
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
