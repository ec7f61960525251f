//! What the client sends: each message is decoded, recorded where it asks for something, and passed on behind its record.

use std::sync::Arc;

use super::super::names::Act;
use super::super::reply::sqlstate;
use super::super::statement::{Portal, Statement, formats, values};
use super::super::wire::{self, Fields, Message, WireError};
use super::{NO_RECORD, Over, Owed, Session};
use crate::record::RecordError;

/// Stands in the place of a refused statement: upstream's own syntax error is what makes transaction and pipeline what they would be.
const UNPARSABLE: &[u8] = b"!";

impl Session {
    /// Handles all whole messages of the client.
    pub fn take_client(&mut self) -> Result<(), Over> {
        let mut inbox = std::mem::take(&mut self.client);
        let handled = loop {
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
            b'Q' => self.query(message),
            b'P' => self.parse(message),
            b'B' => self.bind(message),
            b'D' => self.describe(message),
            b'E' => self.execute(message),
            b'C' => self.close(message),
            b'F' => self.function(message),
            b'S' => {
                if !self.copying {
                    self.owed.push_back(Owed::Sync);
                }
                self.pass_on(message)
            }
            b'H' | b'd' => self.pass_on(message),
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
        match self.execution(&statement, None) {
            Err(error) => self.refuse(&error, true),
            Ok(execution) => {
                self.names_touched(&statement);
                if !self.is_proven(&statement) {
                    self.to_upstream.wait_for(execution.ticket);
                }
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
        let parameters = values(&statement.parameter_types, &mut fields)?;
        formats(&mut fields)?;
        fields.end()?;
        let made = Arc::new(Portal { statement, parameters, doubtful, columns: std::sync::OnceLock::new() });
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
        self.owed.push_back(Owed::Describe { portal, statement: kind == b'S', swallow: false });
        self.pass_on(message)
    }

    fn execute(&mut self, message: Message<'_>) -> Result<(), WireError> {
        let mut fields = Fields(message.body);
        let name = fields.text()?;
        fields.long()?;
        fields.end()?;
        let portal = self.names.portal(name).unwrap_or_else(|| {
            let statement = Statement::unknown("portal", name);
            Arc::new(Portal { statement, parameters: Vec::new(), doubtful: true, columns: std::sync::OnceLock::new() })
        });
        let statement = Arc::clone(&portal.statement);
        match self.execution(&statement, Some(Arc::clone(&portal))) {
            Err(error) => self.refuse(&error, false),
            Ok(execution) => {
                self.names_touched(&statement);
                if !self.is_proven(&statement) {
                    self.to_upstream.wait_for(execution.ticket);
                }
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
        self.owed.push_back(Owed::Describe { portal: Some(Arc::clone(portal)), statement: false, swallow: true });
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
        let parameters = values(&[], &mut fields)?;
        fields.short()?;
        fields.end()?;
        let portal =
            Arc::new(Portal { statement: Arc::clone(&statement), parameters, doubtful: false, columns: std::sync::OnceLock::new() });
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
        if statement.changes_statements {
            self.names.forget(&Act::AllStatements);
            // What is confirmed later must not bring them back.
            for owed in &mut self.owed {
                if let Owed::Parse(act) = owed {
                    *act = Act::AllStatements;
                }
            }
        }
        if statement.changes_portals {
            self.names.forget(&Act::AllPortals);
        }
        if statement.changes_definitions {
            self.knowledge.changed();
            self.outdated = true;
        }
        self.names.doubt(statement.opaque);
    }

    /// What nobody may do through a gateway: it is recorded, and upstream fails in its place.
    fn deny(&mut self, statement: &Arc<Statement>, simple: bool) {
        let why = statement.denied.clone().unwrap_or_default();
        let recorded = self.execution(statement, None).and_then(|execution| self.denied(&execution, &why, simple));
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
