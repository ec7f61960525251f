//! What upstream answers: each message belongs to the foremost request that is still owed one. Rows are held until their subjects are recorded.

use std::sync::Arc;

use recall_log::event::Status;

use super::super::analysis::Strings;
use super::super::evidence::Columns;
use super::super::reply::{self, Complaint, code_of, sqlstate};
use super::super::wire::{self, Fields, Message, WireError};
use super::{Execution, Over, Owed, PAGE_BYTES, Session};
use crate::record::RecordError;

/// Tags of completed commands that one record keeps, in bytes.
const COMMANDS_BYTES: usize = 400;

impl Session {
    /// Handles all whole messages of upstream.
    pub fn take_upstream(&mut self) -> Result<(), Over> {
        let mut inbox = std::mem::take(&mut self.upstream);
        let handled = loop {
            match inbox.peek() {
                Ok(Some(message)) => {
                    let length = message.whole.len();
                    if let Err(over) = self.answer(message) {
                        break Err(over);
                    }
                    inbox.consume(length);
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(Over::UpstreamProtocol(error)),
            }
        };
        self.upstream = inbox;
        handled
    }

    /// Upstream has closed its side.
    pub fn upstream_ended(&self) -> Over {
        if self.leaving { Over::Client } else { Over::Upstream }
    }

    fn answer(&mut self, message: Message<'_>) -> Result<(), Over> {
        while matches!(self.owed.front(), Some(Owed::CopyEnd)) {
            self.owed.pop_front();
        }
        match message.tag {
            b'S' => {
                self.follow(message.body)?;
                self.give(message);
                Ok(())
            }
            b'N' | b'A' => {
                self.aside();
                self.give(message);
                Ok(())
            }
            b'E' => self.error(message),
            b'Z' => self.ready(message),
            _ => self.progress(message),
        }
    }

    /// A setting that says how text is to be read.
    pub(super) fn follow(&mut self, body: &[u8]) -> Result<(), Over> {
        let mut fields = Fields(body);
        let (name, value) = (fields.text().map_err(Over::UpstreamProtocol)?, fields.text().map_err(Over::UpstreamProtocol)?);
        if name == b"client_encoding" && value != b"UTF8" {
            return Err(Over::Encoding);
        }
        if name == b"standard_conforming_strings" {
            self.strings = if value == b"off" { Strings::Backslash } else { Strings::Standard };
        }
        Ok(())
    }

    /// A notice or an error comes with the statement under way, and may hold values.
    fn aside(&mut self) {
        let protects = !self.catalog.is_empty();
        if let Some(Owed::Query(execution) | Owed::Execute(execution) | Owed::Function(execution)) = self.owed.front_mut() {
            self.to_client.wait_for(execution.ticket);
            if protects && !execution.statement.tables.is_empty() {
                execution.unresolved.get_or_insert("the server sent a message, which may hold values");
            }
        }
    }

    fn give(&mut self, message: Message<'_>) {
        self.to_client.tail().extend_from_slice(message.whole);
    }

    /// An answer that is no error and no end of a cycle.
    fn progress(&mut self, message: Message<'_>) -> Result<(), Over> {
        let unexpected = Over::UpstreamProtocol(WireError::Unexpected);
        match (message.tag, self.owed.front_mut().ok_or(unexpected.clone())?) {
            (b'1', Owed::Parse(act)) | (b'2', Owed::Bind(act)) | (b'3', Owed::Close(act)) => {
                self.names.done(act);
                self.owed.pop_front();
            }
            (b't', Owed::Describe { of_statement: true, statement, .. }) => {
                if let Some(statement) = statement {
                    statement.described(message.body).map_err(Over::UpstreamProtocol)?;
                }
            }
            (b'T' | b'n', Owed::Describe { portal, swallow, .. }) => {
                let swallow = *swallow;
                if let Some(portal) = portal {
                    let columns = match message.tag {
                        b'T' => Columns::described(message.body, &self.catalog).map_err(Over::UpstreamProtocol)?,
                        _ => Columns::default(),
                    };
                    let _ = portal.columns.set(Arc::new(columns));
                }
                self.owed.pop_front();
                if swallow {
                    return Ok(());
                }
            }
            // The text stands for something that the gateway cannot read: the client is told so in place of the answer.
            (b'1', Owed::Probe(execution)) => {
                execution.failed = Some(sqlstate::DENIED.to_owned());
                self.to_client.wait_for(execution.ticket);
                let complaint = Complaint { severity: "ERROR", code: sqlstate::DENIED, message: super::requests::NOT_UNDERSTOOD, hint: "" };
                reply::error(self.to_client.tail(), complaint);
                return Ok(());
            }
            (_, Owed::Query(_) | Owed::Execute(_) | Owed::Function(_)) => return self.executing(message),
            _ => return Err(unexpected),
        }
        self.give(message);
        Ok(())
    }

    /// An answer that belongs to a statement under way.
    fn executing(&mut self, message: Message<'_>) -> Result<(), Over> {
        let unexpected = Over::UpstreamProtocol(WireError::Unexpected);
        let (execution, simple) = match self.owed.front_mut() {
            Some(Owed::Query(execution)) => (execution, true),
            Some(Owed::Execute(execution) | Owed::Function(execution)) => (execution, false),
            _ => return Err(unexpected),
        };
        if !execution.answered {
            execution.answered = true;
            self.to_client.wait_for(execution.ticket);
        }
        execution.bytes = execution.bytes.saturating_add(message.whole.len() as u64);
        match message.tag {
            b'T' if simple => {
                let columns = Columns::described(message.body, &self.catalog).map_err(Over::UpstreamProtocol)?;
                execution.result_begins(Arc::new(columns), &self.catalog);
            }
            b'D' => return self.row(message),
            b'd' => execution.rows = execution.rows.saturating_add(1),
            b'G' | b'W' => {
                execution.transfer(&self.catalog);
                (self.copying, self.copied, self.swallowed, self.stalled) = (true, false, 0, false);
            }
            b'H' => execution.transfer(&self.catalog),
            b'c' | b'V' => {}
            b'C' => execution.completed(message.body),
            b'I' | b's' => {}
            _ => return Err(unexpected),
        }
        self.give(message);
        if !simple && matches!(message.tag, b'C' | b'I' | b's') {
            return self.finish();
        }
        Ok(())
    }

    fn row(&mut self, message: Message<'_>) -> Result<(), Over> {
        let Some(Owed::Query(execution) | Owed::Execute(execution)) = self.owed.front_mut() else {
            return Err(Over::UpstreamProtocol(WireError::Unexpected));
        };
        if execution.rows == 0 && execution.columns.is_none() {
            let described = execution.portal.as_ref().and_then(|portal| portal.columns.get()).map(Arc::clone);
            match described {
                Some(columns) => execution.result_begins(columns, &self.catalog),
                None if self.catalog.is_empty() => execution.columns = Some(Arc::default()),
                // Rows whose origin is not known can't be examined, so that they do not pass.
                None => return Err(Over::UpstreamProtocol(WireError::Unexpected)),
            }
        }
        execution.rows = execution.rows.saturating_add(1);
        let Some(columns) = execution.columns.clone().filter(|columns| !columns.is_empty()) else {
            self.give(message);
            return Ok(());
        };
        if !execution.page.add(&columns, message.body).map_err(Over::UpstreamProtocol)? {
            execution.unresolved = Some("an identifier of a subject is missing, or has a form that is not known");
        }
        let full = execution.page.is_full(&columns);
        self.to_client.hold();
        self.give(message);
        if full || self.to_client.held_bytes() > PAGE_BYTES {
            self.close_page()?;
        }
        Ok(())
    }

    fn error(&mut self, message: Message<'_>) -> Result<(), Over> {
        let code = code_of(message.body).to_owned();
        self.aside();
        self.stalled = false;
        // These go on to their ReadyForQuery.
        if let Some(Owed::Query(execution) | Owed::Function(execution) | Owed::Probe(execution)) = self.owed.front_mut() {
            self.to_client.wait_for(execution.ticket);
            execution.failed = Some(code);
            self.give(message);
            return Ok(());
        }
        match self.owed.pop_front() {
            Some(Owed::Refused { code, message: why, simple }) => {
                let complaint = Complaint { severity: "ERROR", code, message: &why, hint: "" };
                reply::error(self.to_client.tail(), complaint);
                if simple {
                    self.owed.push_front(Owed::Sync);
                } else {
                    self.skip()?;
                }
            }
            // Sync itself fails where the commit does; and what comes unasked is about the whole session.
            Some(Owed::Sync) => {
                self.owed.push_front(Owed::Sync);
                self.give(message);
            }
            None => self.give(message),
            Some(owed) => {
                self.give_after(&owed, message);
                if let Owed::Execute(mut execution) = owed {
                    execution.failed = Some(code);
                    self.owed.push_front(Owed::Execute(execution));
                    self.finish()?;
                }
                self.skip()?;
            }
        }
        Ok(())
    }

    fn give_after(&mut self, owed: &Owed, message: Message<'_>) {
        if let Owed::Execute(execution) = owed {
            self.to_client.wait_for(execution.ticket);
        }
        self.give(message);
    }

    /// After an error upstream drops what it got, up to Sync.
    fn skip(&mut self) -> Result<(), Over> {
        // A Sync that came before any data counts where upstream has failed before it read them.
        if self.copying && !self.copied {
            for _ in 0..self.swallowed {
                self.owed.push_back(Owed::Sync);
                wire::write(self.to_upstream.tail(), b'S', |_| {});
            }
        }
        self.copying = false;
        self.skipping = true;
        while let Some(owed) = self.owed.pop_front() {
            match owed {
                Owed::Sync => {
                    self.skipping = false;
                    self.owed.push_front(Owed::Sync);
                    break;
                }
                Owed::Execute(execution) | Owed::Query(execution) | Owed::Function(execution) | Owed::Probe(execution) => {
                    let about = Arc::clone(&self.about);
                    let ended = execution.ended(self.seams.now(), Status::Failure, "", "it was skipped after an earlier error");
                    self.submit(&[about.result(self.seams.now(), &ended)])?;
                }
                _ => {}
            }
        }
        self.names.again(self.owed.iter().filter_map(Owed::act));
        Ok(())
    }

    fn ready(&mut self, message: Message<'_>) -> Result<(), Over> {
        match self.owed.front() {
            Some(Owed::Query(_) | Owed::Function(_) | Owed::Probe(_)) => self.finish()?,
            Some(Owed::Sync) => drop(self.owed.pop_front()),
            _ => return Err(Over::UpstreamProtocol(WireError::Unexpected)),
        }
        self.copying = false;
        self.transaction = *message.body.first().ok_or(Over::UpstreamProtocol(WireError::Fields))?;
        if self.transaction == b'I' {
            if self.defined {
                // What was made in the transaction is there for all from now on, or was undone.
                self.knowledge.changed();
            }
            self.names.transaction_ended(self.owed.iter().filter_map(Owed::act));
        }
        self.give(message);
        Ok(())
    }

    /// The foremost statement has ended: its last page and its result are recorded together.
    fn finish(&mut self) -> Result<(), Over> {
        self.stalled = false;
        let Some(Owed::Query(mut execution) | Owed::Function(mut execution) | Owed::Execute(mut execution) | Owed::Probe(mut execution)) =
            self.owed.pop_front()
        else {
            return Err(Over::UpstreamProtocol(WireError::Unexpected));
        };
        let about = Arc::clone(&self.about);
        let now = self.seams.now();
        let subjects = execution.take_page();
        let (status, code) = match &execution.failed {
            Some(code) => (Status::Failure, code.as_str()),
            None => (Status::Success, ""),
        };
        let mut events = Vec::with_capacity(2);
        if !subjects.is_empty() {
            events.push(about.subjects(now, &execution.request_id, execution.pages, &subjects));
        }
        events.push(about.result(now, &execution.ended(now, status, code, "")));
        let ticket = self.submit(&events)?;
        self.to_client.seal(ticket);
        Ok(())
    }

    /// Records the subjects of the rows that are held, which may leave then.
    pub(super) fn record_page(&mut self, execution: &mut Execution) -> Result<(), Over> {
        let about = Arc::clone(&self.about);
        let subjects = execution.take_page();
        let ticket = match subjects.is_empty() {
            true => execution.ticket,
            false => self.submit(&[about.subjects(self.seams.now(), &execution.request_id, execution.pages, &subjects)])?,
        };
        self.to_client.seal(ticket);
        Ok(())
    }

    /// A statement that nobody may run: its denial is recorded, and upstream fails in its place.
    pub(super) fn denied(&mut self, execution: &Execution, why: &str, simple: bool) -> Result<(), RecordError> {
        let about = Arc::clone(&self.about);
        let now = self.seams.now();
        let ended = execution.ended(now, Status::Denied, sqlstate::DENIED, why);
        let ticket = self.submit(&[about.result(now, &ended)])?;
        self.to_upstream.wait_for(ticket);
        self.owed.push_back(Owed::Refused { code: sqlstate::DENIED, message: format!("denied by the gateway: {why}"), simple });
        self.unparsable(simple);
        Ok(())
    }
}

impl Execution {
    /// A result begins. Subjects that are in none of its columns are not in the evidence, which then says so.
    fn result_begins(&mut self, columns: Arc<Columns>, catalog: &super::Catalog) {
        let touches = catalog.touches_any(&self.statement.tables);
        if columns.strange {
            self.unresolved = Some("a column comes from a relation that the gateway does not know yet");
        } else if touches && columns.is_empty() {
            self.unresolved = Some("no column of the result names a subject");
        } else if touches && (columns.computed || catalog.count_touching(&self.statement.tables) > columns.relations()) {
            self.unresolved = Some("what is shown beside the named subjects may be of others");
        }
        self.categories.extend(columns.categories.iter().cloned());
        self.columns = Some(columns);
    }

    /// Data go in or out as a whole, without being looked at.
    fn transfer(&mut self, catalog: &super::Catalog) {
        if catalog.touches_any(&self.statement.tables) {
            self.unresolved = Some("COPY transfers rows without naming subjects");
        }
    }

    fn completed(&mut self, tag: &[u8]) {
        let tag = String::from_utf8_lossy(tag.strip_suffix(&[0]).unwrap_or(tag)).into_owned();
        if self.commands.len().saturating_add(tag.len()) < COMMANDS_BYTES {
            if !self.commands.is_empty() {
                self.commands.push_str("; ");
            }
            self.commands.push_str(&tag);
        }
    }

    fn take_page(&mut self) -> Vec<Arc<str>> {
        let subjects = self.page.take();
        if !subjects.is_empty() {
            self.pages = self.pages.saturating_add(1);
            self.subjects = self.subjects.saturating_add(subjects.len() as u64);
        }
        subjects
    }
}
