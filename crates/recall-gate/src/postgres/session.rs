//! One session between a client and upstream, as a machine without sockets: bytes go in, bytes come out, and none leaves before the record
//! that it depends on is durable.
//!
//! Owns the order of things. What the client sends is in `requests`, what upstream answers in `answers`; how bytes are moved is in `pump`.
//!
//! - Nothing that may change data goes upstream before its `db.request` is durable; what is proven to change nothing may go at once.
//! - No answer to a statement goes to the client before its `db.request` is durable; no row before the `db.subjects` that names whose it is.
//! - A record that can't be written ends the session, and what waited for it is dropped.

mod answers;
mod requests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use recall_log::event::{Event, Op, Status};
use recall_log::time::Timestamp;

use super::analysis::Strings;
use super::catalog::Catalog;
use super::events::{About, Asked, Ended};
use super::evidence::{Columns, Page};
use super::knowledge::Knowledge;
use super::names::{Act, Names};
use super::outbox::{Outbox, Ticket};
use super::reply::{self, Complaint, sqlstate};
use super::statement::{Portal, Statement};
use super::wire::{Inbox, WireError};
use crate::record::{RecordError, Recorder};
use crate::seams::Seams;

/// Bytes of rows that are held until their subjects are recorded; a page is closed when more wait.
const PAGE_BYTES: usize = 256 << 10;
/// Bytes that wait for the client before no more is read from upstream.
const CLIENT_BYTES: usize = 1 << 20;
/// Bytes that wait for upstream before no more is read from the client.
const UPSTREAM_BYTES: usize = 1 << 20;
/// Categories of health information that one record names, in bytes.
const CATEGORIES_BYTES: usize = 400;
/// Messages under way before no more is read from the client.
const UNDER_WAY: usize = 10_000;

/// What the recorder said, told across threads.
#[derive(Default)]
pub struct Durable(Mutex<Told>);

#[derive(Default)]
struct Told {
    upto: Ticket,
    failed: Option<RecordError>,
    waker: Option<Waker>,
}

impl Durable {
    fn told(&self, change: impl FnOnce(&mut Told)) {
        let waker = {
            let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut told);
            told.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Wakes `waker` when there is news.
    pub fn watch(&self, waker: &Waker) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !told.waker.as_ref().is_some_and(|held| held.will_wake(waker)) {
            told.waker = Some(waker.clone());
        }
    }

    /// Up to which ticket all is durable.
    pub fn upto(&self) -> Result<Ticket, RecordError> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.failed.clone().map_or(Ok(told.upto), Err)
    }
}

/// Why a session is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Over {
    /// The client said so, or has gone.
    #[error("the client ended the session")]
    Client,
    /// Upstream has gone.
    #[error("the upstream server ended the session")]
    Upstream,
    /// The client sent what is no protocol.
    #[error("the client broke the protocol: {0}")]
    ClientProtocol(WireError),
    /// Upstream sent what is no protocol.
    #[error("the upstream server broke the protocol: {0}")]
    UpstreamProtocol(WireError),
    /// A record could not be written.
    #[error("a record could not be written: {0}")]
    Record(#[from] RecordError),
    /// Texts are not sent as UTF-8 any more, so that they would be misread.
    #[error("the session's client_encoding is not UTF8")]
    Encoding,
    /// The gateway stops.
    #[error("the gateway is stopping")]
    Shutdown,
}

/// A statement that is being executed.
pub(super) struct Execution {
    request_id: String,
    ticket: Ticket,
    started: Timestamp,
    statement: Arc<Statement>,
    portal: Option<Arc<Portal>>,
    /// What the current result returns, in a simple query.
    columns: Option<Arc<Columns>>,
    page: Page,
    pages: u64,
    subjects: u64,
    unresolved: Option<&'static str>,
    categories: BTreeSet<Arc<str>>,
    answered: bool,
    rows: u64,
    bytes: u64,
    commands: String,
    failed: Option<String>,
}

/// What upstream owes an answer to, in the order of its answers.
pub(super) enum Owed {
    /// A simple query, up to its ReadyForQuery.
    Query(Box<Execution>),
    /// A fast-path call, up to its ReadyForQuery.
    Function(Box<Execution>),
    /// A simple query that is not understood, which upstream only parses, up to its ReadyForQuery.
    Probe(Box<Execution>),
    /// Parse.
    Parse(Act),
    /// Bind.
    Bind(Act),
    /// Describe; of a portal whose description the gateway alone asked for it is swallowed.
    Describe { portal: Option<Arc<Portal>>, statement: Option<Arc<Statement>>, of_statement: bool, swallow: bool },
    /// Execute.
    Execute(Box<Execution>),
    /// Close.
    Close(Act),
    /// What stands in the place of a refused message: its syntax error becomes this refusal.
    Refused { code: &'static str, message: String, simple: bool },
    /// The client ended its COPY.
    CopyEnd,
    /// Sync.
    Sync,
}

impl Owed {
    fn act(&self) -> Option<&Act> {
        match self {
            Self::Parse(act) | Self::Bind(act) | Self::Close(act) => Some(act),
            _ => None,
        }
    }
}

/// A session.
pub struct Session {
    about: Arc<About>,
    seams: Seams,
    knowledge: Arc<Knowledge>,
    /// What is known as of the last statement that began outside a transaction.
    catalog: Arc<Catalog>,
    /// Definitions may have changed since.
    outdated: bool,
    recorder: Arc<dyn Recorder>,
    durable: Arc<Durable>,
    /// Bytes from the client.
    pub client: Inbox,
    /// Bytes from upstream.
    pub upstream: Inbox,
    to_client: Outbox,
    to_upstream: Outbox,
    names: Names,
    owed: VecDeque<Owed>,
    submitted: Ticket,
    /// The server's state as of its last ReadyForQuery.
    transaction: u8,
    /// The client is sending COPY data: Sync and Flush count for nothing.
    copying: bool,
    /// It has sent some.
    copied: bool,
    /// Syncs that the client sent between the command and its first data.
    swallowed: u32,
    /// A COPY from the client is under way, and upstream has not said whether it takes the data: nothing more is passed on.
    stalled: bool,
    /// Upstream drops what it gets until Sync.
    skipping: bool,
    /// Definitions may have changed in this transaction.
    defined: bool,
    /// The client said goodbye: it is over when upstream has done what was asked before.
    leaving: bool,
    /// How upstream reads strings, as of what it has said.
    strings: Strings,
}

impl Session {
    /// A session whose login is done on both sides; `begun` are the bytes that tell the client so. Its login is recorded first.
    pub fn begin(
        about: Arc<About>,
        seams: Seams,
        knowledge: Arc<Knowledge>,
        recorder: Arc<dyn Recorder>,
        begun: &[u8],
    ) -> Result<Self, Over> {
        let mut session = Self {
            about,
            seams,
            catalog: knowledge.now().0,
            outdated: true,
            knowledge,
            recorder,
            durable: Arc::default(),
            client: Inbox::default(),
            upstream: Inbox::default(),
            to_client: Outbox::default(),
            to_upstream: Outbox::default(),
            names: Names::default(),
            owed: VecDeque::new(),
            submitted: 0,
            transaction: b'I',
            copying: false,
            copied: false,
            swallowed: 0,
            stalled: false,
            skipping: false,
            defined: false,
            leaving: false,
            strings: Strings::default(),
        };
        let about = Arc::clone(&session.about);
        let ticket = session.submit(&[about.login(session.seams.now())])?;
        session.to_client.wait_for(ticket);
        session.to_client.tail().extend_from_slice(begun);
        let mut told = Inbox::default();
        told.tail().extend_from_slice(begun);
        while let Some(message) = told.peek().map_err(Over::UpstreamProtocol)? {
            let length = message.whole.len();
            if message.tag == b'S' {
                session.follow(message.body)?;
            }
            told.consume(length);
        }
        Ok(session)
    }

    /// Where news of records comes from.
    pub fn durable(&self) -> &Arc<Durable> {
        &self.durable
    }

    /// May more be read from the client?
    pub fn wants_client(&self) -> bool {
        !self.leaving && !self.stalled && self.to_upstream.waiting_bytes() < UPSTREAM_BYTES && self.owed.len() < UNDER_WAY
    }

    /// May more be read from upstream?
    pub fn wants_upstream(&self) -> bool {
        self.to_client.waiting_bytes() < CLIENT_BYTES
    }

    /// Bytes that may go to the client now.
    pub fn for_client(&mut self) -> Result<&[u8], Over> {
        Ok(self.to_client.ready(self.durable.upto()?))
    }

    /// So many of them went.
    pub fn client_took(&mut self, count: usize) {
        self.to_client.sent(count);
    }

    /// Bytes that may go upstream now.
    pub fn for_upstream(&mut self) -> Result<&[u8], Over> {
        Ok(self.to_upstream.ready(self.durable.upto()?))
    }

    /// So many of them went.
    pub fn upstream_took(&mut self, count: usize) {
        self.to_upstream.sent(count);
    }

    /// Nothing waits for the client any more.
    pub fn is_drained(&self) -> bool {
        self.to_client.waiting_bytes() == 0
    }

    /// Rows are held whose page is not closed.
    pub fn holds_rows(&self) -> bool {
        self.to_client.held_bytes() > 0
    }

    /// Closes the page of the rows that are held, because more are long in coming.
    pub fn close_page(&mut self) -> Result<(), Over> {
        let Some(Owed::Query(execution) | Owed::Execute(execution)) = self.owed.front_mut() else { return Ok(()) };
        let mut execution = std::mem::replace(execution, Box::new(Execution::nothing()));
        let closed = self.record_page(&mut execution);
        if let Some(Owed::Query(place) | Owed::Execute(place)) = self.owed.front_mut() {
            *place = execution;
        }
        closed
    }

    /// The session is over. Records what is still under way as unknown and the end of the session, and tells the client why.
    pub fn end(&mut self, why: &Over) {
        let about = Arc::clone(&self.about);
        let now = self.seams.now();
        let owed = std::mem::take(&mut self.owed);
        let reason = why.to_string();
        let mut events = Vec::new();
        for owed in &owed {
            if let Owed::Query(execution) | Owed::Function(execution) | Owed::Execute(execution) | Owed::Probe(execution) = owed {
                let ended = execution.ended(now, Status::Unknown, "", "the session ended before the result was known");
                events.push(about.result(now, &ended));
            }
        }
        events.push(about.logout(now, &reason));
        // Nobody waits for it any more; what it says is that things ended, not that they happened.
        if self.submit(&events).is_err() {
            tracing::warn!(session = about.session_id, "the end of a session could not be recorded");
        }
        let durable = self.durable.upto().unwrap_or(0);
        self.to_client.drop_waiting(durable);
        self.to_upstream.drop_waiting(durable);
        let (code, message, hint) = match why {
            Over::Client => return,
            Over::Upstream => (sqlstate::UPSTREAM, "the server behind the gateway ended the session", "connect again"),
            Over::ClientProtocol(_) => (sqlstate::PROTOCOL, "the gateway does not understand what the client sent", ""),
            Over::UpstreamProtocol(_) => (sqlstate::PROTOCOL, "the gateway does not understand what the server sent", ""),
            Over::Record(RecordError::DiskFull) => {
                (sqlstate::DISK_FULL, NO_RECORD, "the disk of the audit trail is full: ask its operator to make room")
            }
            Over::Record(_) => (sqlstate::RECORD, NO_RECORD, "ask the operator of the audit trail; the command recall doctor tells why"),
            Over::Encoding => (sqlstate::UNSUPPORTED, "this gateway reads UTF8 alone: leave client_encoding as it is", ""),
            Over::Shutdown => (sqlstate::SHUTDOWN, "the gateway is stopping", "connect again"),
        };
        reply::error(self.to_client.tail(), Complaint { severity: "FATAL", code, message, hint });
    }

    /// What is left for the client after the end, whatever it waits for: nothing but the reason.
    pub fn farewell(&mut self) -> Vec<u8> {
        self.to_client.ready(Ticket::MAX).to_vec()
    }

    /// Submits records; what waits for the ticket leaves when they are durable.
    fn submit(&mut self, events: &[Event<'_>]) -> Result<Ticket, RecordError> {
        let ticket = self.submitted.saturating_add(1);
        let durable = Arc::clone(&self.durable);
        self.recorder.record(
            events,
            Box::new(move |result| {
                durable.told(|told| match result {
                    Ok(()) => told.upto = told.upto.max(ticket),
                    Err(error) => told.failed = Some(error),
                });
            }),
        )?;
        self.submitted = ticket;
        Ok(ticket)
    }

    /// Records that a statement is asked for. What is denied is recorded too, by the same event with its outcome.
    fn execution(&mut self, statement: &Arc<Statement>, portal: Option<Arc<Portal>>) -> Result<Box<Execution>, RecordError> {
        self.look();
        let about = Arc::clone(&self.about);
        let now = self.seams.now();
        let request_id = self.seams.id();
        let asked = Asked {
            request_id: &request_id,
            text: &statement.text,
            redactions: &statement.redactions,
            parameters: portal.as_ref().map_or(&[], |portal| portal.parameters.as_slice()),
            tables: &statement.tables,
            command: &statement.command,
            op: statement.op,
            fingerprint: &statement.fingerprint,
            understood: statement.understood && !portal.as_ref().is_some_and(|portal| portal.doubtful),
            transaction: self.transaction,
        };
        let ticket = self.submit(&about.request(now, &asked))?;
        let unresolved = match portal.as_ref().is_some_and(|portal| portal.doubtful) {
            true => Some("its name may stand for another statement"),
            false => self.unresolved(statement),
        };
        Ok(Box::new(Execution {
            request_id,
            ticket,
            started: now,
            statement: Arc::clone(statement),
            portal,
            unresolved,
            ..Execution::nothing()
        }))
    }

    /// Takes what is known now, unless a transaction is open: it sees what it saw. While requests are under way their end is not known.
    fn look(&mut self) {
        let (catalog, known) = self.knowledge.now();
        if self.transaction == b'I' && self.owed.is_empty() {
            self.catalog = catalog;
            self.defined = false;
            self.outdated = !known;
        } else {
            self.outdated = !known || self.defined || (!Arc::ptr_eq(&self.catalog, &catalog) && *self.catalog != *catalog);
        }
    }

    /// May the statement run before its record is durable? Its text must prove that it changes nothing, and what it reads must run nothing.
    fn is_proven(&self, statement: &Statement, portal: Option<&Portal>) -> bool {
        !portal.is_some_and(|portal| portal.doubtful) && statement.read_only && !self.outdated && self.catalog.are_quiet(&statement.tables)
    }

    /// Why the subjects of a statement can't all be in its result, as far as that is known before it.
    fn unresolved(&self, statement: &Statement) -> Option<&'static str> {
        if self.catalog.is_empty() {
            return None;
        }
        if statement.opaque {
            return Some("the statement runs what cannot be seen");
        }
        if self.outdated {
            return Some("definitions have changed since the gateway last read them");
        }
        (self.catalog.touches_any(&statement.tables) && statement.op != Op::Read)
            .then_some("the protocol does not show whose rows were changed")
    }
}

/// Categories in one text, as many as a record has room for.
fn joined(categories: &BTreeSet<Arc<str>>) -> String {
    let mut text = String::new();
    for category in categories {
        if text.len().saturating_add(category.len()) > CATEGORIES_BYTES {
            text.push('…');
            break;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(category);
    }
    text
}

const NO_RECORD: &str = "the audit trail cannot record this, so nothing is passed on";

impl Execution {
    /// Stands for an execution that was taken out for a moment.
    fn nothing() -> Self {
        Self {
            request_id: String::new(),
            ticket: 0,
            started: Timestamp::from_micros(0),
            statement: Statement::unknown("", b""),
            portal: None,
            columns: None,
            page: Page::default(),
            pages: 0,
            subjects: 0,
            unresolved: None,
            categories: BTreeSet::new(),
            answered: false,
            rows: 0,
            bytes: 0,
            commands: String::new(),
            failed: None,
        }
    }

    fn ended<'a>(&'a self, now: Timestamp, status: Status, code: &'a str, reason: &'a str) -> Ended<'a> {
        Ended {
            request_id: &self.request_id,
            status,
            code,
            reason,
            command: &self.commands,
            rows: self.rows,
            bytes: self.bytes,
            duration_us: u64::try_from(now.micros().saturating_sub(self.started.micros())).unwrap_or(0),
            subjects: self.subjects,
            unresolved: self.unresolved,
            categories: joined(&self.categories),
        }
    }
}
