//! A statement as a session knows it: its text as it may be recorded, what it touches, its parameters; and a portal, which is a statement with
//! its values.
//!
//! It must not know records nor what upstream answers.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use recall_log::event::Op;

use super::analysis::{self, Analysis, NotUnderstood, Strings, Value, redact};
use super::evidence::Columns;
use super::values::{Format, recorded, type_name};
use super::wire::{Fields, WireError};

/// A statement that was sent.
pub struct Statement {
    /// Its text without secrets.
    pub text: String,
    /// What was removed from it.
    pub redactions: Vec<&'static str>,
    /// Types of parameters, where the client said them; 0 where it did not.
    pub parameter_types: Vec<u32>,
    /// Types of all parameters, once upstream has said them.
    pub described_types: OnceLock<Vec<u32>>,
    /// The words that name what it is; of several statements the first ones'.
    pub command: String,
    /// What it does to data: the strongest.
    pub op: Op,
    /// The relations it names, with their schema where it is written.
    pub tables: Vec<String>,
    /// Equal for statements that differ in literals only; empty where it is not understood.
    pub fingerprint: String,
    /// It is one whose text is understood.
    pub understood: bool,
    /// Its text is not known here: another statement made it.
    pub unseen: bool,
    /// Upstream may be asked to parse it: what is wrong with it is its grammar.
    pub may_be_probed: bool,
    /// It takes data from the client.
    pub copies_in: bool,
    /// It runs or reads what its text does not show.
    pub opaque: bool,
    /// It is proven to change nothing.
    pub read_only: bool,
    /// Why nobody may run it through a gateway.
    pub denied: Option<String>,
    /// It may change tables, views or functions.
    pub changes_definitions: bool,
    /// It may change what names of prepared statements stand for.
    pub changes_statements: bool,
    /// It may change what names of portals stand for.
    pub changes_portals: bool,
}

/// Statements of a simple query whose words are kept.
const COMMANDS: usize = 8;

/// A statement with its values.
pub struct Portal {
    /// The statement.
    pub statement: Arc<Statement>,
    /// Parameters by position: the type's name and the value.
    pub parameters: Vec<(String, Option<String>)>,
    /// Code that can't be seen ran since the statement was prepared, and may have given its name to another.
    pub doubtful: bool,
    /// How often such code had run when it was bound.
    pub doubts: u64,
    /// What it returns, once upstream has said so. It is kept no longer than the portal.
    pub columns: OnceLock<Arc<Columns>>,
}

impl Portal {
    /// The same under a name that may stand for another: what it returns must be asked again.
    pub fn doubted(&self) -> Arc<Self> {
        let (statement, parameters) = (Arc::clone(&self.statement), self.parameters.clone());
        Arc::new(Self { statement, parameters, doubtful: true, doubts: u64::MAX, columns: OnceLock::new() })
    }

    /// What its values take, about.
    pub fn size_bytes(&self) -> usize {
        self.parameters.iter().map(|(_, value)| value.as_ref().map_or(16, |value| value.len().saturating_add(16))).sum()
    }
}

impl Statement {
    /// From the text that a client sent, read as the session's setting of strings has it.
    pub fn new(text: &[u8], parameter_types: Vec<u32>, strings: Strings) -> Arc<Self> {
        let Ok(text) = std::str::from_utf8(text) else {
            let mut unreadable = Self::opaque("statement withheld: it is not UTF-8".to_owned());
            unreadable.redactions = vec!["statement"];
            return Arc::new(Self { parameter_types, ..unreadable });
        };
        let redacted = redact(text, strings);
        let (recorded, redactions) = (redacted.text.into_owned(), redacted.redactions);
        let analysis = Analysis::of(text, strings);
        if let Some(why) = analysis.why {
            let may_be_probed = why == NotUnderstood::Syntax;
            return Arc::new(Self { parameter_types, redactions, may_be_probed, ..Self::opaque(recorded) });
        }
        let parts = &analysis.statements;
        let command: Vec<&str> = parts.iter().take(COMMANDS).map(|part| &*part.command).collect();
        Arc::new(Self {
            text: recorded,
            redactions,
            parameter_types,
            described_types: OnceLock::new(),
            command: command.join("; "),
            op: parts.iter().map(|part| part.op).max_by_key(|op| strength(*op)).unwrap_or(Op::Execute),
            tables: tables(&analysis),
            fingerprint: analysis::fingerprint(text, strings).unwrap_or_default(),
            understood: true,
            unseen: false,
            may_be_probed: false,
            copies_in: parts.iter().any(|part| &*part.command == "COPY FROM"),
            opaque: analysis.opaque(),
            read_only: analysis.read_only(),
            denied: analysis.denied().map(|denied| denied.sentence().to_owned()).or_else(|| misread(parts)),
            changes_definitions: parts.iter().any(|part| changes_definitions(&part.command)),
            changes_statements: parts.iter().any(|part| matches!(&*part.command, "PREPARE" | "DEALLOCATE" | "DISCARD")),
            changes_portals: parts.iter().any(|part| matches!(&*part.command, "CLOSE" | "DISCARD" | "DECLARE")),
        })
    }

    /// Its text was seen and is not understood.
    pub fn is_refused(&self) -> bool {
        !self.understood && !self.unseen
    }

    /// Types of parameters as far as they are known.
    pub fn types(&self) -> &[u32] {
        self.described_types.get().unwrap_or(&self.parameter_types)
    }

    /// ParameterDescription: how upstream reads the parameters.
    pub fn described(&self, body: &[u8]) -> Result<(), WireError> {
        let mut fields = Fields(body);
        let types = (0..fields.count()?).map(|_| fields.oid()).collect::<Result<Vec<_>, _>>()?;
        fields.end()?;
        let _ = self.described_types.set(types);
        Ok(())
    }

    /// One whose text this session never saw, as a cursor that another statement declared.
    pub fn unknown(kind: &str, name: &[u8]) -> Arc<Self> {
        Arc::new(Self { unseen: true, ..Self::opaque(format!("{kind} {}", String::from_utf8_lossy(name))) })
    }

    /// What is not understood counts as doing and touching everything.
    fn opaque(text: String) -> Self {
        Self {
            text,
            redactions: Vec::new(),
            parameter_types: Vec::new(),
            described_types: OnceLock::new(),
            command: String::new(),
            op: Op::Execute,
            tables: Vec::new(),
            fingerprint: String::new(),
            understood: false,
            unseen: false,
            may_be_probed: false,
            copies_in: false,
            opaque: true,
            read_only: false,
            denied: None,
            changes_definitions: true,
            changes_statements: false,
            changes_portals: false,
        }
    }
}

/// Why a statement is denied after which the gateway would read texts otherwise than the server does.
fn misread(parts: &[analysis::Statement]) -> Option<String> {
    let changes = |setting: &analysis::Setting| {
        let harmless = |values: &[&str]| match &setting.value {
            Value::Texts(texts) => texts.iter().all(|text| values.contains(&text.to_ascii_lowercase().as_str())),
            Value::Default => true,
            Value::Unknown => false,
        };
        match setting.name.as_deref() {
            Some("client_encoding" | "names") => !harmless(&["utf8", "utf-8", "unicode"]),
            Some("standard_conforming_strings") => !harmless(&["on", "true", "yes", "1"]),
            _ => false,
        }
    };
    let found = parts.iter().flat_map(|part| &part.settings).any(changes);
    found.then(|| {
        "this gateway reads UTF8 and standard strings alone: leave client_encoding and standard_conforming_strings as they are".to_owned()
    })
}

/// Whether a command may change what names mean.
fn changes_definitions(command: &str) -> bool {
    let first = command.split(' ').next().unwrap_or_default();
    matches!(first, "CREATE" | "ALTER" | "DROP" | "DO" | "CALL" | "IMPORT" | "REFRESH" | "SELECT") && command != "SELECT"
}

/// Of several statements the record names what weighs most.
fn strength(op: Op) -> u8 {
    match op {
        Op::Delete => 4,
        Op::Update => 3,
        Op::Create => 2,
        Op::Read => 1,
        _ => 0,
    }
}

fn tables(analysis: &Analysis) -> Vec<String> {
    let mut tables: Vec<String> = Vec::new();
    for relation in analysis.statements.iter().flat_map(|part| &part.relations) {
        let name = match &relation.schema {
            Some(schema) => Cow::Owned(format!("{schema}.{}", relation.name)),
            None => Cow::Borrowed(relation.name.as_str()),
        };
        if !tables.iter().any(|table| *table == name) {
            tables.push(name.into_owned());
        }
    }
    tables
}

/// Values by position, as Bind and FunctionCall have them, with the types that are known.
pub fn values(types: &[u32], fields: &mut Fields<'_>) -> Result<Vec<(String, Option<String>)>, WireError> {
    let formats = formats(fields)?;
    let count = fields.count()?;
    let mut values = Vec::with_capacity(count.min(1_024));
    for at in 0..count {
        let format = match formats.as_slice() {
            [] => Format::Text,
            [one] => *one,
            each => *each.get(at).ok_or(WireError::Fields)?,
        };
        let type_oid = types.get(at).copied().unwrap_or(0);
        let value = fields.value()?.map(|value| recorded(type_oid, format, value));
        values.push((type_name(type_oid), value));
    }
    Ok(values)
}

/// Format codes with their count before them.
pub fn formats(fields: &mut Fields<'_>) -> Result<Vec<Format>, WireError> {
    let count = fields.count()?;
    (0..count).map(|_| Format::from_code(fields.short()?).ok_or(WireError::Fields)).collect()
}

#[cfg(test)]
mod tests;
