//! What all requests share: the trail, the query engine, seams, and the state of this process. Turns the store's errors into problems.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use recall_search::engine::{Engine, View};
use recall_store::batch::{Batch, Encoder};
use recall_store::catalog::{Kind, RowChange};
use recall_store::seams::{Clock, Random};
use recall_store::trail::{Class, CommitError, Outcome, Submission, SubmitError, Trail};
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
    pub trail: Trail,
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

impl App {
    /// Puts an application around an open trail.
    pub fn new(trail: Trail, engine: Engine, clock: Arc<dyn Clock>, random: Arc<dyn Random>, metrics: PrometheusHandle) -> Shared {
        let integrity = Integrity::load(&trail);
        Arc::new(Self {
            encoder: trail.encoder(),
            trail,
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
    pub async fn commit(&self, batches: Vec<Batch>, rows: Vec<RowChange>, class: Class) -> Result<Vec<Outcome>, Problem> {
        let (sender, receiver) = oneshot::channel();
        let submission = Submission { batches, rows, class };
        self.trail.submit(submission, Box::new(move |result| drop(sender.send(result))))?;
        let result = receiver.await.map_err(|_| Problem::unavailable("the server is stopping: send again; ids make sure that nothing is stored twice"))?;
        Ok(result?)
    }

    /// What a reader may see of this moment. A reader who may see nothing is refused, and that is recorded.
    pub async fn view(&self, reader: &Identity, action: &str, question: &str) -> Result<View, Problem> {
        match reader.role.sight() {
            Ok(Sight::Phi) => Ok(View { phi: Some(self.trail.phi_access()) }),
            Ok(Sight::Public) => Ok(View { phi: None }),
            Err(denied) => {
                self.record(Record::read(reader, action, question, 0).ended("denied", denied.0), Vec::new()).await?;
                Err(denied.into())
            }
        }
    }

    /// A row of the catalog.
    pub fn row(&self, kind: Kind, name: &str) -> Result<Option<Vec<u8>>, Problem> {
        Ok(self.trail.row(kind, name))
    }

    /// The token that is stored under `id`.
    pub fn stored_token(&self, id: &str) -> Result<Option<Stored>, Problem> {
        match self.row(Kind::Token, id)? {
            None => Ok(None),
            Some(bytes) => Stored::read(&bytes).map(Some).ok_or_else(|| Problem::internal("a token's row cannot be read: see recall doctor")),
        }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Busy => Self::busy(),
            SubmitError::ReadOnly => Self::unavailable("the trail is a restored copy behind a published checkpoint and is read-only: see recall recover"),
            SubmitError::Closed => Self::unavailable("the server is stopping: send again later"),
        }
    }
}
