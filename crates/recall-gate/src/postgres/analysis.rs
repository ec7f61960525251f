//! What a SQL statement is and touches, read from its text alone: no connection, no catalog.
//!
//! Owns the meaning of a text for records, policy and the order of recording and sending. The parser is PostgreSQL's own
//! (`docs/decisions/0009-postgresql-parser.md`); nothing here looks for words in the text to decide what it does. It must not know who asks,
//! what is protected, nor how the answer is masked.
//!
//! **What no text shows.** Views, rules, triggers, row policies, domain checks, user-defined operators and casts, a function that shares a
//! built-in one's name and fits its arguments better, a `search_path` that puts another schema before `pg_catalog`, and `row.name` as a call of
//! `name(row)`. [`Statement::read_only`] holds for a database without such traps; whoever knows the catalog checks `relations` and
//! `functions` against it.

mod command;
mod denial;
mod functions;
mod redact;
mod survey;
mod tree;

use std::borrow::Cow;
use std::ops::Range;

use pg_query::ParserOptions;
use pg_query::protobuf as pb;

pub use denial::Denial;
pub use functions::reads_only;
pub use recall_log::event::Op;
pub use redact::{Redacted, redact};

/// A longer text is not understood.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// A text of more tokens is not understood: a token takes up to 1.5 kB and 3 µs while its statement is analysed.
pub const MAX_TOKENS: usize = 1 << 16;

/// How the server reads `'...'` without a prefix: its setting `standard_conforming_strings`, which it reports at each change. A text read
/// under the wrong one is another text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Strings {
    /// `on`, the default: a backslash is a character like others.
    #[default]
    Standard,
    /// `off`: a backslash escapes.
    Backslash,
}

impl Strings {
    fn options(self) -> ParserOptions {
        match self {
            Self::Standard => ParserOptions::DISABLE_ESCAPE_STRING_WARNING,
            Self::Backslash => ParserOptions::DISABLE_ESCAPE_STRING_WARNING | ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS,
        }
    }
}

/// Why a text is not understood. It counts as touching everything protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotUnderstood {
    /// Longer than [`MAX_TEXT_BYTES`] or [`MAX_TOKENS`].
    TooLong,
    /// Nested deeper than the parser follows, about 45 operators or calls within one another.
    TooDeep,
    /// Not PostgreSQL's grammar.
    Syntax,
}

/// What a text holds that a client sends as a simple query or as a statement to prepare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Analysis {
    /// Why it is not understood, if it is not. There are no statements then.
    pub why: Option<NotUnderstood>,
    /// The statements in their order; none for an empty text.
    pub statements: Vec<Statement>,
}

/// A table, view or sequence that a statement names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The schema, where it is written.
    pub schema: Option<String>,
    /// The name as the server reads it: folded, or as quoted.
    pub name: String,
    /// Its rows are read.
    pub read: bool,
    /// Its rows or its definition are changed.
    pub written: bool,
}

/// A column that a statement names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What is written before its last dot: an alias, a table, or a schema and a table with a dot between.
    pub qualifier: Option<String>,
    /// Its name; absent for all columns: `*`, a whole row, columns renamed by position, or an INSERT without a list.
    pub name: Option<String>,
}

/// A function that a statement calls by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The schema, where it is written. Where the grammar itself calls one (`EXTRACT`, `AT TIME ZONE`), this is `pg_catalog`.
    pub schema: Option<String>,
    /// Its name.
    pub name: String,
}

/// What happens to a session's setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name in lower case; absent for `RESET ALL` and `DISCARD ALL`.
    pub name: Option<String>,
    /// What it becomes.
    pub value: Value,
    /// It lasts until the end of the transaction only.
    pub local: bool,
}

/// What a setting becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// These texts: one, or several where a list is written without quotes (`SET search_path = a, b`).
    Texts(Vec<String>),
    /// What the session began with.
    Default,
    /// This cannot be told from the text: it is not constant, or the call may not happen.
    Unknown,
}

/// What a statement does to the transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transaction {
    /// `BEGIN`, `START TRANSACTION`.
    Begin,
    /// `COMMIT`, `END`; with `chain` the next begins at once.
    Commit {
        /// `AND CHAIN`.
        chain: bool,
    },
    /// `ROLLBACK`, `ABORT`; with `chain` the next begins at once.
    Rollback {
        /// `AND CHAIN`.
        chain: bool,
    },
    /// `SAVEPOINT name`.
    Savepoint(String),
    /// `RELEASE name`.
    Release(String),
    /// `ROLLBACK TO name`.
    RollbackTo(String),
    /// `PREPARE TRANSACTION`.
    Prepare,
    /// `COMMIT PREPARED`.
    CommitPrepared,
    /// `ROLLBACK PREPARED`.
    RollbackPrepared,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Where it is in the text, in bytes, without comments before it.
    pub span: Range<usize>,
    /// The words that name what it is: `SELECT`, `COPY FROM`, `CREATE TABLE`. For `EXPLAIN ANALYZE` and the like the outer one.
    pub command: Cow<'static, str>,
    /// What it does to data. The strongest, where it does several: a SELECT with a DELETE inside deletes.
    pub op: Op,
    /// What it names as tables, each once. Names of common table expressions are not among them where they are in scope.
    pub relations: Vec<Relation>,
    /// The columns it names, each once.
    pub columns: Vec<Column>,
    /// The functions it calls, each once. What operators and casts call is not known.
    pub functions: Vec<Function>,
    /// It is proven, within what the module's head says, to change nothing: it may run before its record is durable.
    pub read_only: bool,
    /// It runs code or reads tables that the text does not show (`DO`, `CALL`, `EXECUTE`, `FETCH`, unknown functions), or defines such code:
    /// it counts as touching everything protected.
    pub opaque: bool,
    /// What in it is denied whoever asks.
    pub denied: Option<Denial>,
    /// The settings it changes, in their order.
    pub settings: Vec<Setting>,
    /// What it does to the transaction.
    pub transaction: Option<Transaction>,
    /// The prepared statement (`PREPARE`, `EXECUTE`, `DEALLOCATE`) or cursor (`DECLARE`, `FETCH`, `CLOSE`) it names; absent for `ALL`.
    pub handle: Option<String>,
}

impl Analysis {
    /// Reads a text. It never fails: what is not understood says why.
    pub fn of(text: &str, strings: Strings) -> Self {
        match parse(text, strings) {
            Ok(tree) => Self { why: None, statements: tree.stmts.iter().map(|raw| command::statement(raw, text.len())).collect() },
            Err(why) => Self { why: Some(why), statements: Vec::new() },
        }
    }

    /// Each statement is proven to change nothing.
    pub fn read_only(&self) -> bool {
        self.why.is_none() && self.statements.iter().all(|statement| statement.read_only)
    }

    /// The text counts as touching everything protected.
    pub fn opaque(&self) -> bool {
        self.why.is_some() || self.statements.iter().any(|statement| statement.opaque)
    }

    /// The first thing in it that is denied whoever asks.
    pub fn denied(&self) -> Option<Denial> {
        self.statements.iter().find_map(|statement| statement.denied)
    }
}

/// Sixteen hexadecimal digits that are the same for texts which differ in literals only, as `pg_query` computes them, with full names of
/// relations and schemas. It parses once more; none for a text that is not understood. It groups, it proves nothing: what is nested deeper than a
/// hundred nodes does not count.
pub fn fingerprint(text: &str, strings: Strings) -> Option<String> {
    if is_too_long(text, strings) {
        return None;
    }
    let names = pg_query::FingerprintOptions::RANGEVAR_PG17_COMPAT | pg_query::FingerprintOptions::FULL_RELNAME;
    pg_query::fingerprint(text, strings.options(), names).ok().map(|fingerprint| fingerprint.hex)
}

/// Short texts are not counted, and neither are those whose tokens the scanner, which knows standard strings only, would see wrongly.
fn is_too_long(text: &str, strings: Strings) -> bool {
    let countable = strings == Strings::Standard || !text.contains('\\');
    let tokens = || pg_query::scan_tokens(text).is_ok_and(|tokens| tokens.len() > MAX_TOKENS);
    text.len() > MAX_TEXT_BYTES || text.len() > MAX_TOKENS && (!countable || tokens())
}

/// How the parser's messages about depth begin.
const DEEP: [&str; 3] = ["memory exhausted", "stack depth limit", "parse tree is nested too deeply"];

fn parse(text: &str, strings: Strings) -> Result<pb::ParseResult, NotUnderstood> {
    if is_too_long(text, strings) {
        return Err(NotUnderstood::TooLong);
    }
    match pg_query::parse(text, strings.options()) {
        Ok(parsed) => Ok(parsed.protobuf),
        // The parser's own stack, the thread's, and the levels of the tree when it is written and when it comes over.
        Err(pg_query::Error::Decode(_)) => Err(NotUnderstood::TooDeep),
        Err(pg_query::Error::Parse(message)) if DEEP.iter().any(|beginning| message.starts_with(beginning)) => Err(NotUnderstood::TooDeep),
        Err(_) => Err(NotUnderstood::Syntax),
    }
}

#[cfg(test)]
mod tests;
