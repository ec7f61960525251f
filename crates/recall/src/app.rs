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

use crate::http::admit::Lanes;
use crate::http::authenticate::Refused;
use crate::http::problem::Problem;
use crate::idempotency::UnderWay;
use crate::identity::{Identity, Sight};
use crate::ingest::receive;
use crate::integrity::Integrity;
use crate::record::Record;
use crate::router::Door;
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
    pub administration: Arc<Mutex<()>>,
    /// Bytes of bodies that may be in memory.
    pub reading: Arc<Semaphore>,
    /// Requests under way.
    pub lanes: Lanes,
    /// Backups, rotations and shreddings: one at a time.
    pub long_work: Arc<Semaphore>,
    /// Idempotency keys under way.
    pub under_way: UnderWay,
    /// Refused attempts.
    pub refused: Refused,
    /// What verification found.
    pub integrity: Integrity,
    /// A trail that can't be written is read by whoever holds its folder and its root key: no record of it can be made.
    pub unrecorded: bool,
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
    pub fn new(
        trail: Trail,
        engine: Engine,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        metrics: PrometheusHandle,
        door: Door,
    ) -> Shared {
        let unrecorded = door == Door::Machine && trail.read_only().is_some();
        let integrity = Integrity::load(&trail);
        Arc::new(Self {
            encoder: trail.encoder(),
            trail: Arc::new(trail),
            engine,
            clock,
            random,
            metrics,
            administration: Arc::default(),
            reading: receive::reading_budget(),
            lanes: Lanes::default(),
            long_work: Arc::new(Semaphore::new(1)),
            under_way: UnderWay::default(),
            refused: Refused::default(),
            integrity,
            unrecorded,
        })
    }

    /// Commits; durable when this returns. Outcomes come in the order of the events.
    pub async fn commit(&self, submission: Submission) -> Result<Vec<Outcome>, Problem> {
        let (sender, receiver) = oneshot::channel();
        self.trail.submit(submission, Box::new(move |result| drop(sender.send(result))))?;
        let result = receiver.await.map_err(|_| {
            Problem::unavailable("the server is stopping: send again; ids make sure that nothing is stored twice").retry_after(1)
        })?;
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

    /// Does work that may take long, one at a time. It goes on to its end, and is recorded if it fails, though whoever asked has gone.
    pub async fn long_work<T: Send + 'static>(
        self: &Arc<Self>,
        record: impl Fn() -> Record + Send + 'static,
        work: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = Arc::clone(&self.long_work).try_acquire_owned().map_err(|_| {
            Problem::new(StatusCode::CONFLICT, "a backup, a shredding or a rotation is under way: ask again when it has ended")
                .retry_after(60)
        })?;
        let app = Arc::clone(self);
        let task = tokio::spawn(async move {
            let _one_at_a_time = permit;
            match work.await {
                Ok(done) => Ok(done),
                Err(problem) => Err(app.not_done(record(), problem).await),
            }
        });
        task.await.map_err(|_| Problem::internal("the work broke off: see recall doctor"))?
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
            SubmitError::ReadOnly(_) => Self::unavailable(error.to_string()),
            SubmitError::Closed => Self::unavailable(error.to_string()).retry_after(1),
        }
    }
}

impl From<CommitError> for Problem {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::DiskFull => Self::disk_full(),
            CommitError::Failed(_) => Self::internal(error.to_string()),
            CommitError::Repeats(_) | CommitError::Unknown(_) | CommitError::Closed => Self::unavailable(error.to_string()).retry_after(1),
        }
    }
}

impl From<WorkError> for Problem {
    fn from(error: WorkError) -> Self {
        match error {
            WorkError::Read(_) | WorkError::Damaged { .. } => Self::internal(error.to_string()),
            WorkError::Busy => Self::unavailable(error.to_string()).retry_after(1),
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
            SearchError::Limit | SearchError::Time(_) | SearchError::Cursor => Self::bad_request(error.to_string()),
        }
    }
}

impl From<SqlError> for Problem {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::NotAllowed(_) => Self::new(StatusCode::FORBIDDEN, format!("sql: {error}")),
            SqlError::Work(error @ WorkError::Busy) => error.into(),
            _ => Self::bad_request(format!("sql: {error}")),
        }
    }
}

#[cfg(test)]
mod tests;
