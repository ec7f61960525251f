//! Secrets in statements: found before anything is recorded, and replaced.
//!
//! Owns which names hold secrets and how literals that hold them are cut out, every other byte left as it is. It must not know where records
//! go. Rule: a secret is removed or the statement is withheld; no case in between.

use std::borrow::Cow;
use std::ops::Range;

use pg_query::protobuf::{ScanToken, Token};

use super::survey::{Secret, Survey};
use super::tree::Walk;
use super::{Strings, parse};

const WITHHELD_UNPARSED: &str = "statement withheld: it does not parse and names PASSWORD";
const WITHHELD_UNPLACED: &str = "statement withheld: it holds a secret whose place cannot be told";
const REPLACEMENT: &str = "'***'";
const REPLACEMENT_COMMENT: &str = "/***/";

/// A text as it may be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted<'a> {
    /// The text without its secrets.
    pub text: Cow<'a, str>,
    /// What was taken out, each kind once; `statement` where all of it was.
    pub redactions: Vec<&'static str>,
}

impl<'a> Redacted<'a> {
    fn nothing(text: &'a str) -> Self {
        Self { text: Cow::Borrowed(text), redactions: Vec::new() }
    }

    fn withheld(why: &'static str) -> Self {
        Self { text: Cow::Borrowed(why), redactions: vec!["statement"] }
    }
}

/// Takes out of a text what must not be recorded: passwords of roles, connection strings, options and settings whose names say that they are
/// secret, arguments of dblink; code and comments that name a password. A text that is not understood and names PASSWORD is withheld whole.
pub fn redact(text: &str, strings: Strings) -> Redacted<'_> {
    if !suspicious(text) {
        return Redacted::nothing(text);
    }
    let Ok(tree) = parse(text, strings) else {
        return if contains(text, "password") { Redacted::withheld(WITHHELD_UNPARSED) } else { Redacted::nothing(text) };
    };
    let mut survey = Survey::new(false);
    for statement in &tree.stmts {
        statement.stmt.walk(&mut survey);
    }
    // The scanner knows standard strings only.
    let Some(tokens) = (strings == Strings::Standard || !text.contains('\\')).then(|| pg_query::scan_tokens(text).ok()).flatten() else {
        let harmless = survey.secrets.is_empty() && !contains(text, "password");
        return if harmless { Redacted::nothing(text) } else { Redacted::withheld(WITHHELD_UNPLACED) };
    };
    match places(text, &tokens, &survey) {
        Some(places) => cut(text, places),
        None => Redacted::withheld(WITHHELD_UNPLACED),
    }
}

/// A setting or an option of this name holds a secret.
pub(super) fn secret_name(name: &str) -> bool {
    ["password", "passwd", "passphrase", "secret", "token", "credential", "conninfo"].iter().any(|part| contains(name, part))
}

/// An option's value is a connection string with a secret in it.
pub(super) fn secret_value(value: &str) -> bool {
    contains(value, "password") || value.contains("://") && value.contains('@')
}

/// Without one of these there is nothing to find, and no need to parse. A name can be written in escapes: `U&"p\0061ssword"`.
fn suspicious(text: &str) -> bool {
    ["pass", "secret", "token", "credential", "conn", "dblink", "set_config", "://", "u&\""].iter().any(|part| contains(text, part))
}

fn contains(text: &str, part: &str) -> bool {
    text.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

fn range(token: &ScanToken) -> Option<Range<usize>> {
    Some(usize::try_from(token.start).ok()?..usize::try_from(token.end).ok()?)
}

fn is_literal(token: &ScanToken) -> bool {
    [Token::Sconst, Token::Usconst, Token::Bconst, Token::Xconst].iter().any(|kind| token.token == i32::from(*kind))
}

fn is_comment(token: &ScanToken) -> bool {
    [Token::SqlComment, Token::CComment].iter().any(|kind| token.token == i32::from(*kind))
}

/// What to cut, in order and apart; none where a secret has no token.
fn places(text: &str, tokens: &[ScanToken], survey: &Survey<'_>) -> Option<Vec<(Range<usize>, &'static str)>> {
    let mut places = survey.secrets.iter().map(|secret| Some((place(tokens, secret)?, secret.kind))).collect::<Option<Vec<_>>>()?;
    let secrets =
        places.iter().filter_map(|(place, _)| text.get(place.clone())).map(|literal| literal.trim_matches('\'')).collect::<Vec<_>>();
    let mut more = Vec::new();
    for token in tokens {
        let place = range(token)?;
        let written = text.get(place.clone())?;
        let names_password = contains(written, "password");
        if is_comment(token) && (names_password && written.contains('\'') || secrets.iter().any(|secret| written.contains(secret))) {
            more.push((place, "comment"));
        } else if is_literal(token) && survey.has_body && names_password {
            more.push((place, "code"));
        }
    }
    places.append(&mut more);
    places.sort_by_key(|(place, _)| (place.start, place.end));
    places.dedup_by(|later, earlier| later.0.start < earlier.0.end);
    Some(places)
}

fn place(tokens: &[ScanToken], secret: &Secret) -> Option<Range<usize>> {
    let first = tokens.partition_point(|token| token.start < secret.from);
    let from = tokens.get(first..)?;
    if !secret.exactly {
        let before = |index: usize| first.checked_add(index)?.checked_sub(1).and_then(|index| tokens.get(index));
        // The literal after UESCAPE belongs to the name before it.
        let escape = |index: usize| before(index).is_some_and(|token| token.token == i32::from(Token::Uescape));
        let (_, literal) = from.iter().enumerate().find(|(index, token)| is_literal(token) && !escape(*index))?;
        return range(literal);
    }
    let token = from.first().filter(|token| token.start == secret.from)?;
    let sign = [Token::Ascii43, Token::Ascii45].iter().any(|kind| token.token == i32::from(*kind));
    let last = if sign { from.get(1)? } else { token };
    Some(range(token)?.start..range(last)?.end)
}

fn cut<'a>(text: &'a str, places: Vec<(Range<usize>, &'static str)>) -> Redacted<'a> {
    if places.is_empty() {
        return Redacted::nothing(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut redactions = Vec::new();
    let mut done = 0;
    for (place, kind) in places {
        let Some(before) = text.get(done..place.start) else { return Redacted::withheld(WITHHELD_UNPLACED) };
        kept.push_str(before);
        kept.push_str(if kind == "comment" { REPLACEMENT_COMMENT } else { REPLACEMENT });
        done = place.end;
        if !redactions.contains(&kind) {
            redactions.push(kind);
        }
    }
    let Some(rest) = text.get(done..) else { return Redacted::withheld(WITHHELD_UNPLACED) };
    kept.push_str(rest);
    Redacted { text: Cow::Owned(kept), redactions }
}

#[cfg(test)]
mod tests;
