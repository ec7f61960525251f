//! What all requests share: the trail, the query engine, seams, and the state of this process. Turns the store's errors into problems.

use std::sync::Arc;

use axum::http::StatusCode;
use metrics_exporter_prometheus::PrometheusHandle;
use recall_search::engine::{Engine, SearchError, SqlError, WorkError};
use recall_search::view::{Meter, View};
use recall_store::batch::Encoder;
use recall_store::catalog::Kind;
use recall_store::seams::{Clock, Random};
use recall_store::trail::{CommitError, Outcome, Submission, SubmitError, Trail};
use tokio::sync::{Mutex, Semaphore, oneshot};

use crate::http::admit;
use crate::http::authenticate::Refused;
use crate::http::problem::Problem;
use crate::idempotency::UnderWay;
use crate::identity::{Identity, Sight};
use crate::ingest::receive;
use crate::integrity::Integrity;
use crate::record::Record;
use crate::tokens::Stored;

/// The application, as handlers get it.
pub type Shared = Arc<App>;

/// What all requests share.
pub struct App {
    pub trail: Arc<Trail>,
    pub engine: Engine,
    pub encoder: Encoder,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub metrics: PrometheusHandle,
    /// Administration is done one at a time: what it reads is still so when it writes.
    pub administration: Mutex<()>,
    /// Bytes of bodies that may be in memory.
    pub reading: Arc<Semaphore>,
    /// Requests under way.
    pub requests: Semaphore,
    /// Idempotency keys under way.
    pub under_way: UnderWay,
    /// Refused attempts.
    pub refused: Refused,
    /// What verification found.
    pub integrity: Integrity,
}

/// A reader's question under way, as `/metrics` counts it: from its view until the last thread that reads for it stops.
struct Reading;

impl Reading {
    fn begin() -> Self {
        metrics::gauge!("recall_questions_under_way").increment(1);
        Self
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        metrics::gauge!("recall_questions_under_way").decrement(1);
    }
}

impl App {
    /// Puts an application around an open trail.
    pub fn new(trail: Trail, engine: Engine, clock: Arc<dyn Clock>, random: Arc<dyn Random>, metrics: PrometheusHandle) -> Shared {
        let integrity = Integrity::load(&trail);
        Arc::new(Self {
            encoder: trail.encoder(),
            trail: Arc::new(trail),
            engine,
            clock,
            random,
            metrics,
            administration: Mutex::new(()),
            reading: receive::reading_budget(),
            requests: Semaphore::new(admit::REQUESTS),
            under_way: UnderWay::default(),
            refused: Refused::default(),
            integrity,
        })
    }

    /// Commits; durable when this returns. Outcomes come in the order of the events.
    pub async fn commit(&self, submission: Submission) -> Result<Vec<Outcome>, Problem> {
        let (sender, receiver) = oneshot::channel();
        self.trail.submit(submission, Box::new(move |result| drop(sender.send(result))))?;
        let result = receiver
            .await
            .map_err(|_| Problem::unavailable("the server is stopping: send again; ids make sure that nothing is stored twice"))?;
        Ok(result?)
    }

    /// What a reader may see of this moment. A reader who may see nothing is refused, and that is recorded.
    pub async fn view(&self, reader: &Identity, action: &str, question: &str) -> Result<View, Problem> {
        let phi = match reader.role.sight() {
            Ok(Sight::Phi) => Some(self.trail.phi_access()),
            Ok(Sight::Public) => None,
            Err(denied) => {
                self.record(Record::read(reader, action, question, 0).ended("denied", denied.0), Vec::new()).await?;
                return Err(denied.into());
            }
        };
        let trail = Arc::clone(&self.trail);
        Ok(View {
            snapshot: self.trail.snapshot(),
            phi,
            tokens: self.encoder.tokens().clone(),
            find_id: Arc::new(move |id| trail.find_id(id)),
            meter: Meter::with_guard(Reading::begin()),
        })
    }

    /// The token that is stored under `id`.
    pub fn stored_token(&self, id: &str) -> Result<Option<Stored>, Problem> {
        match self.trail.row(Kind::Token, id) {
            None => Ok(None),
            Some(bytes) => {
                Stored::read(&bytes).map(Some).ok_or_else(|| Problem::internal("a token's row cannot be read: see recall doctor"))
            }
        }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Busy => Self::busy(),
            SubmitError::ReadOnly(_) | SubmitError::Closed => Self::unavailable(error.to_string()),
        }
    }
}

impl From<CommitError> for Problem {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::DiskFull => Self::disk_full(),
            CommitError::Failed(_) => Self::internal(error.to_string()),
            CommitError::Unknown(_) | CommitError::Closed => Self::unavailable(error.to_string()).retry_after(1),
        }
    }
}

impl From<WorkError> for Problem {
    fn from(error: WorkError) -> Self {
        match error {
            WorkError::Read(_) | WorkError::Damaged { .. } => Self::internal(error.to_string()),
            _ => Self::bad_request(error.to_string()),
        }
    }
}

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Work(error) => error.into(),
            SearchError::NotAllowed(_) => Self::new(StatusCode::FORBIDDEN, error.to_string()),
            SearchError::Query(_) => Self::bad_request(format!("q: {error}")),
            SearchError::Limit | SearchError::Cursor => Self::bad_request(error.to_string()),
        }
    }
}

impl From<SqlError> for Problem {
    fn from(error: SqlError) -> Self {
        Self::bad_request(format!("sql: {error}"))
    }
}
