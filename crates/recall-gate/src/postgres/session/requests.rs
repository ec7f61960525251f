//! What the client sends: each message is decoded, recorded where it asks for something, and passed on behind its record.

use std::sync::Arc;

use super::super::names::Act;
use super::super::reply::sqlstate;
use super::super::statement::{Portal, Statement, formats, values};
use super::super::wire::{self, Fields, Message, WireError};
use super::{NO_RECORD, Over, Owed, Session};
use crate::record::RecordError;

/// Functions of large objects, which clients call by number (`lo_open` and the like in pg_proc.dat).
const LARGE_OBJECTS: [u32; 13] = [715, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172];
/// Why a text that upstream would run is refused.
pub(super) const NOT_UNDERSTOOD: &str = "the gateway does not understand this statement, and runs only what it can record";

/// Stands in the place of a refused statement: upstream's own syntax error is what makes transaction and pipeline what they would be.
const UNPARSABLE: &[u8] = b"!";

impl Session {
    /// Handles all whole messages of the client.
    pub fn take_client(&mut self) -> Result<(), Over> {
        let mut inbox = std::mem::take(&mut self.client);
        let handled = loop {
            if self.stalled {
                break Ok(());
            }
            match inbox.peek() {
                Ok(Some(message)) => {
                    let length = message.whole.len();
                    if let Err(over) = self.request(message) {
                        break Err(over);
                    }
                    inbox.consume(length);
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(Over::ClientProtocol(error)),
            }
        };
        self.client = inbox;
        handled
    }

    fn request(&mut self, message: Message<'_>) -> Result<(), Over> {
        let handled = match message.tag {
            // Upstream would drop all that comes between an error and the next Sync: it goes no further.
            b'Q' | b'P' | b'B' | b'D' | b'E' | b'C' | b'F' | b'H' | b'd' | b'c' | b'f' if self.skipping => Ok(()),
            b'Q' => self.query(message),
            b'P' => self.parse(message),
            b'B' => self.bind(message),
            b'D' => self.describe(message),
            b'E' => self.execute(message),
            b'C' => self.close(message),
            b'F' => self.function(message),
            // Both count for nothing while data are copied in; upstream is spared them, so that there is no doubt whether it read them.
            b'S' if self.copying => {
                self.swallowed = self.swallowed.saturating_add(u32::from(!self.copied));
                Ok(())
            }
            b'H' if self.copying => Ok(()),
            b'S' => {
                self.skipping = false;
                self.owed.push_back(Owed::Sync);
                self.pass_on(message)
            }
            b'H' => self.pass_on(message),
            b'd' => {
                self.copied = true;
                self.pass_on(message)
            }
            b'c' | b'f' => {
                self.copying = false;
                self.owed.push_back(Owed::CopyEnd);
                self.pass_on(message)
            }
            b'X' => {
                self.leaving = true;
                self.pass_on(message)
            }
            _ => Err(WireError::Unexpected),
        };
        handled.map_err(Over::ClientProtocol)
    }

    fn pass_on(&mut self, message: Message<'_>) -> Result<(), WireError> {
        self.to_upstream.tail().extend_from_slice(message.whole);
        Ok(())
    }

    fn query(&mut self, message: Message<'_>) -> Result<(), WireError> {
        let mut fields = Fields(message.body);
        let text = fields.text()?;
        fields.end()?;
        let statement = Statement::new(text, Vec::new(), self.strings);
        if statement.denied.is_some() {
            self.deny(&statement, true);
            return Ok(());
        }
        if !statement.understood {
            return self.probe(&statement, text);
        }
        match self.execution(&statement, None) {
            Err(error) => self.refuse(&error, true),
            Ok(execution) => {
                self.names_touched(&statement);
                if !self.is_proven(&statement, None) {
                    self.to_upstream.wait_for(execution.ticket);
                }
                self.stalled = statement.copies_in;
                self.owed.push_back(Owed::Query(execution));
                self.pass_on(message)?;
            }
        }
        Ok(())
    }

    fn parse(&mut self, message: Message<'_>) -> Result<(), WireError> {
        let mut fields = Fields(message.body);
        let (name, text) = (fields.text()?, fields.text()?);
        let count = fields.count()?;
        let types = (0..count).map(|_| fields.oid()).collect::<Result<Vec<_>, _>>()?;
        fields.end()?;
        if self.is_full() {
            return Ok(());
        }
        let statement = Statement::new(text, types, self.strings);
        if statement.denied.is_some() {
            self.deny(&statement, false);
            return Ok(());
        }
        let act = self.names.prepared(name, statement);
        self.names.sent(&act);
        self.owed.push_back(Owed::Parse(act));
        self.pass_on(message)
    }

    /// Refuses what would make the gateway keep too much for one session.
    fn is_full(&mut self) -> bool {
        let full = !self.names.has_room();
        if full {
            let message = "the gateway keeps no more prepared statements and portals for one session: close some".to_owned();
            self.owed.push_back(Owed::Refused { code: sqlstate::LIMIT, message, simple: false });
            self.unparsable(false);
        }
        full
    }

    fn bind(&mut self, message: Message<'_>) -> Result<(), WireError> {
        if self.is_full() {
            return Ok(());
        }
        let mut fields = Fields(message.body);
        let (portal, name) = (fields.text()?, fields.text()?);
        let known = self.names.statement(name);
        let (statement, doubtful) = known.unwrap_or_else(|| (Statement::unknown("prepared statement", name), true));
        let doubts = self.names.doubts();
        let parameters = values(statement.types(), &mut fields)?;
        formats(&mut fields)?;
        fields.end()?;
        let made = Arc::new(Portal { statement, parameters, doubtful, doubts, columns: std::sync::OnceLock::new() });
        let act = Act::Portal(portal.to_vec(), made);
        self.names.sent(&act);
        self.owed.push_back(Owed::Bind(act));
        self.pass_on(message)
    }

    fn describe(&mut self, message: Message<'_>) -> Result<(), WireError> {
        let mut fields = Fields(message.body);
        let (kind, name) = (fields.byte()?, fields.text()?);
        fields.end()?;
        let portal = if kind == b'P' { self.names.portal(name) } else { None };
        let statement = if kind == b'S' { self.names.statement(name).map(|(statement, _)| statement) } else { None };
        self.owed.push_back(Owed::Describe { portal, statement, of_statement: kind == b'S', swallow: false });
        self.pass_on(message)
    }

    fn execute(&mut self, message: Message<'_>) -> Result<(), WireError> {
        let mut fields = Fields(message.body);
        let name = fields.text()?;
        fields.long()?;
        fields.end()?;
        let portal = self.names.portal(name).unwrap_or_else(|| {
            let statement = Statement::unknown("portal", name);
            Arc::new(Portal { statement, parameters: Vec::new(), doubtful: true, doubts: u64::MAX, columns: std::sync::OnceLock::new() })
        });
        let portal = if portal.doubts < self.names.doubts() { portal.doubted() } else { portal };
        let statement = Arc::clone(&portal.statement);
        if statement.is_refused() {
            self.deny(&statement, false);
            return Ok(());
        }
        match self.execution(&statement, Some(Arc::clone(&portal))) {
            Err(error) => self.refuse(&error, false),
            Ok(execution) => {
                self.names_touched(&statement);
                if !self.is_proven(&statement, Some(&portal)) {
                    self.to_upstream.wait_for(execution.ticket);
                }
                self.stalled = statement.copies_in;
                self.describe_first(name, &portal);
                self.owed.push_back(Owed::Execute(execution));
                self.pass_on(message)?;
            }
        }
        Ok(())
    }

    /// Execute alone does not tell what its rows are: where the client has not asked, the gateway asks.
    fn describe_first(&mut self, name: &[u8], portal: &Arc<Portal>) {
        let asked = |owed: &Owed| matches!(owed, Owed::Describe { portal: Some(other), .. } if Arc::ptr_eq(other, portal));
        if self.catalog.is_empty() || portal.columns.get().is_some() || self.owed.iter().rev().take(4).any(asked) {
            return;
        }
        self.owed.push_back(Owed::Describe { portal: Some(Arc::clone(portal)), statement: None, of_statement: false, swallow: true });
        wire::write(self.to_upstream.tail(), b'D', |out| {
            out.push(b'P');
            wire::write_text(out, name);
        });
    }

    fn close(&mut self, message: Message<'_>) -> Result<(), WireError> {
        let mut fields = Fields(message.body);
        let (kind, name) = (fields.byte()?, fields.text()?.to_vec());
        fields.end()?;
        let act = if kind == b'S' { Act::CloseStatement(name) } else { Act::ClosePortal(name) };
        self.names.sent(&act);
        self.owed.push_back(Owed::Close(act));
        self.pass_on(message)
    }

    /// A function called by its number: what it does can't be seen.
    fn function(&mut self, message: Message<'_>) -> Result<(), WireError> {
        let mut fields = Fields(message.body);
        let number = fields.oid()?;
        let statement = Statement::unknown("fast-path call of function", number.to_string().as_bytes());
        if !LARGE_OBJECTS.contains(&number) {
            let why = "functions are called by their number for large objects alone".to_owned();
            self.deny_because(&statement, &why, true);
            return Ok(());
        }
        let parameters = values(&[], &mut fields)?;
        fields.short()?;
        fields.end()?;
        let portal = Arc::new(Portal {
            statement: Arc::clone(&statement),
            parameters,
            doubtful: false,
            doubts: u64::MAX,
            columns: std::sync::OnceLock::new(),
        });
        match self.execution(&statement, Some(portal)) {
            Err(error) => self.refuse(&error, true),
            Ok(execution) => {
                self.to_upstream.wait_for(execution.ticket);
                self.owed.push_back(Owed::Function(execution));
                self.pass_on(message)?;
            }
        }
        Ok(())
    }

    /// A statement that may change which text a name stands for.
    fn names_touched(&mut self, statement: &Statement) {
        if statement.changes_definitions {
            self.knowledge.changed();
            self.outdated = true;
            self.defined = true;
        }
        // What names stand for is kept: a text that may be another's is better than none, and the record says that it may be.
        self.names.doubt(statement.opaque || statement.changes_statements || statement.changes_portals);
    }

    /// A text that is not understood is not run. Where its grammar is at fault, upstream is asked to parse it and to do nothing more: the error
    /// is the server's own, and what the server does understand is refused.
    fn probe(&mut self, statement: &Arc<Statement>, text: &[u8]) -> Result<(), WireError> {
        if !statement.may_be_probed {
            self.deny(statement, true);
            return Ok(());
        }
        match self.execution(statement, None) {
            Err(error) => self.refuse(&error, true),
            Ok(execution) => {
                self.to_upstream.wait_for(execution.ticket);
                self.owed.push_back(Owed::Probe(execution));
                let tail = self.to_upstream.tail();
                wire::write(tail, b'P', |out| {
                    wire::write_text(out, b"");
                    wire::write_text(out, text);
                    out.extend_from_slice(&[0, 0]);
                });
                wire::write(tail, b'S', |_| {});
            }
        }
        Ok(())
    }

    /// What nobody may do through a gateway: it is recorded, and upstream fails in its place.
    fn deny(&mut self, statement: &Arc<Statement>, simple: bool) {
        let why = statement.denied.clone().unwrap_or_else(|| NOT_UNDERSTOOD.to_owned());
        self.deny_because(statement, &why, simple);
    }

    fn deny_because(&mut self, statement: &Arc<Statement>, why: &str, simple: bool) {
        let recorded = self.execution(statement, None).and_then(|execution| self.denied(&execution, why, simple));
        if let Err(error) = recorded {
            self.refuse(&error, simple);
        }
    }

    /// The trail takes no record of it now: the statement fails, and the session can go on.
    fn refuse(&mut self, error: &RecordError, simple: bool) {
        let code = if *error == RecordError::DiskFull { sqlstate::DISK_FULL } else { sqlstate::RECORD };
        self.owed.push_back(Owed::Refused { code, message: format!("{NO_RECORD} ({error})"), simple });
        self.unparsable(simple);
    }

    /// Sends upstream what can't be parsed.
    pub(super) fn unparsable(&mut self, simple: bool) {
        let tail = self.to_upstream.tail();
        if simple {
            wire::write(tail, b'Q', |out| wire::write_text(out, UNPARSABLE));
        } else {
            wire::write(tail, b'P', |out| {
                wire::write_text(out, b"");
                wire::write_text(out, UNPARSABLE);
                out.extend_from_slice(&[0, 0]);
            });
        }
    }
}
