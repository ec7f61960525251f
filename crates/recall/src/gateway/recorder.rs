//! Where a gateway's records go: into the trail, as events of the source `urn:recall:gateway:NAME`, through the one committer.
//!
//! They are of the class `Gateway`: they have room in memory that no sender can take, so that a flood of ingest stops no statement, and none
//! of the reserve on a full disk, where statements fail. They carry no `seq`: a number would be given in the process that gives the index, so
//! that a gap could only show a commit that failed, and the statement failed with it. It must not know protocols nor what is recorded.

use recall_gate::record::{Done, RecordError, Recorder};
use recall_log::entry::Admission;
use recall_log::event::Event;
use recall_store::batch::{Batch, BatchError};
use recall_store::trail::{Class, CommitError, Outcome, Status, Submission, SubmitError};

use crate::app::Shared;
use crate::ingest::encode::new_id;
use crate::record::RESERVED_SOURCES;

/// Events of one batch, so that its columns stay within what one batch can hold though each event has a megabyte.
const BATCH_EVENTS: usize = 64;

/// Takes the records of one gateway.
pub struct GatewayRecorder {
    app: Shared,
    source: String,
}

impl GatewayRecorder {
    /// The recorder of the gateway of this name.
    pub fn new(app: Shared, gateway: &str) -> Self {
        Self { app, source: format!("{RESERVED_SOURCES}gateway:{gateway}") }
    }

    fn encode(&self, events: &[Event<'_>]) -> Result<Batch, BatchError> {
        let now = self.app.clock.now();
        let mut builder = self.app.encoder.batch()?;
        for event in events {
            let id = new_id(now, &*self.app.random);
            builder.push(event, &Admission { source: &self.source, id: &id, received_at: now })?;
        }
        builder.finish()
    }
}

impl Recorder for GatewayRecorder {
    fn record(&self, events: &[Event<'_>], done: Done) -> Result<(), RecordError> {
        let count = events.len();
        let batches: Result<Vec<Batch>, BatchError> = events.chunks(BATCH_EVENTS).map(|events| self.encode(events)).collect();
        // The error names a field or a size, never a value.
        let batches = batches.map_err(|error| RecordError::Unavailable(format!("a record could not be made: {error}")))?;
        let answer = move |result| done(durable(result, count));
        self.app.trail.submit(Submission::events(batches, Class::Gateway), Box::new(answer)).map_err(not_taken)
    }
}

/// What a gateway's client is told: no reason that names a place on this machine. That is in the log.
fn not_taken(error: SubmitError) -> RecordError {
    match error {
        SubmitError::Busy => RecordError::Busy,
        SubmitError::ReadOnly(_) => RecordError::Unavailable("it is read-only, see /readyz".into()),
        SubmitError::Closed => RecordError::Unavailable("the server is stopping".into()),
    }
}

fn durable(result: Result<Vec<Outcome>, CommitError>, count: usize) -> Result<(), RecordError> {
    let error = match result {
        Ok(outcomes) if outcomes.len() == count && outcomes.iter().all(|outcome| outcome.status == Status::Stored) => return Ok(()),
        Ok(_) => CommitError::Failed("records were taken for repeats".into()),
        Err(CommitError::DiskFull) => return Err(RecordError::DiskFull),
        Err(CommitError::Closed) => return Err(RecordError::Unavailable("the server is stopping".into())),
        Err(error) => error,
    };
    tracing::error!(%error, "records of a gateway were not stored, and what they were to record fails");
    Err(RecordError::Unavailable("a record could not be stored, see the server's log".into()))
}

#[cfg(test)]
mod tests;
