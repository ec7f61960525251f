//! The engine: answers questions over views, within limits.
//!
//! Made once and shared; a view is handed in with each question. It must be called on a Tokio runtime.

mod cost;
mod page;
mod sandbox;
mod sql;

use std::time::Duration;

use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use recall_store::seal::Mac;
use recall_store::secret::Key32;
use recall_store::snapshot::ReadError;

use crate::cursor::Cursors;
use crate::turns::Turns;
use crate::values::NotJson;

pub use page::{FoundEvent, MAX_PAGE, SearchError, SearchPage, SearchRequest};
pub use sql::{SqlAnswer, SqlColumn, SqlError};

/// What a question may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a search may take.
    pub search_time: Duration,
    /// How many events are counted; more are told as "at least".
    pub count_cap: u64,
    /// Rows read in order to count, where cheap columns decide.
    pub count_rows: u64,
    /// Rows read in order to count, where the bytes of events must be read.
    pub count_content_rows: u64,
    /// Bytes of a page of events; what is beyond is on the next.
    pub page_bytes: usize,
    /// How long an SQL statement may take.
    pub sql_time: Duration,
    /// Bytes that one SQL statement may hold.
    pub sql_memory_bytes: usize,
    /// Rows of an answer; what is beyond is cut, and the answer says so.
    pub sql_rows: usize,
    /// Bytes of an answer, likewise.
    pub sql_answer_bytes: usize,
    /// Threads that read one table of a statement.
    pub sql_partitions: usize,
    /// SQL statements at a time.
    pub sql_statements: usize,
    /// Searches at a time.
    pub searches: usize,
    /// How long a question waits for its turn.
    pub wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            search_time: Duration::from_secs(30),
            count_cap: 10_000,
            count_rows: 1 << 20,
            count_content_rows: 1 << 15,
            page_bytes: 32 << 20,
            sql_time: Duration::from_secs(30),
            sql_memory_bytes: 128 << 20,
            sql_rows: 10_000,
            sql_answer_bytes: 32 << 20,
            sql_partitions: 2,
            // With four tables in each statement, these need 48 threads.
            sql_statements: 4,
            searches: 16,
            wait: Duration::from_secs(5),
        }
    }
}

/// Answers questions.
pub struct Engine {
    limits: Limits,
    cursors: Cursors,
    sandbox: sandbox::Sandbox,
    statements: Turns,
    searches: Turns,
}

/// The engine could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the query engine could not be started: {0}")]
pub struct EngineError(String);

impl Engine {
    /// An engine that authenticates cursors under `cursor_key`; with another key, cursors handed out before are refused.
    ///
    /// # Errors
    /// Where the limits fit no engine.
    pub fn new(limits: Limits, cursor_key: &Key32) -> Result<Self, EngineError> {
        let sandbox = sandbox::Sandbox::new(&limits).map_err(|error| EngineError(error.strip_backtrace()))?;
        let (statements, searches) = (Turns::new(limits.sql_statements), Turns::new(limits.searches));
        Ok(Self { limits, cursors: Cursors(Mac::new(cursor_key)), sandbox, statements, searches })
    }
}

/// Why an engine's work failed, told without a value from data or statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// It asked for more memory than there is.
    #[error("the question needs more memory than is allowed; narrow it, or ask for fewer columns")]
    Memory,
    /// It took too long.
    #[error("the question took too long; narrow it by time, patient or user")]
    Time,
    /// Others have all there is to have.
    #[error("other questions are being answered; ask again after Retry-After seconds")]
    Busy,
    /// A division by zero.
    #[error("a division by zero; guard it with NULLIF(divisor, 0)")]
    DivisionByZero,
    /// A number or text beyond its type.
    #[error("a result does not fit its type")]
    Overflow,
    /// A text that can't be read as the type wanted.
    #[error("a value could not be converted; use TRY_CAST to get NULL in its place")]
    Conversion,
    /// Stored events could not be read: the text names the place.
    #[error("{0}")]
    Read(String),
    /// The only events asked for are among these, which could not be read.
    #[error("events {first} to {last} could not be read: {what}")]
    #[allow(missing_docs)]
    Damaged { first: u64, last: u64, what: String },
    /// Anything else.
    #[error("the question could not be computed; simplify it")]
    Other,
}

impl WorkError {
    /// The class of an engine's error. Its own text may carry values, and is dropped.
    pub(crate) fn of(error: &DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Self::Memory,
            DataFusionError::External(inner) => Self::external(inner.as_ref()),
            DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
                ArrowError::DivideByZero => Self::DivisionByZero,
                ArrowError::ArithmeticOverflow(_) | ArrowError::OffsetOverflowError(_) => Self::Overflow,
                ArrowError::CastError(_) | ArrowError::ParseError(_) => Self::Conversion,
                ArrowError::ExternalError(inner) => Self::external(inner.as_ref()),
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }

    fn external(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Self {
        if let Some(ReadError::Compute(_)) = error.downcast_ref::<ReadError>() {
            return Self::Other;
        }
        if let Some(error) = error.downcast_ref::<ReadError>() {
            return Self::Read(error.to_string());
        }
        if let Some(error) = error.downcast_ref::<NotJson>() {
            return Self::Read(error.to_string());
        }
        error.downcast_ref::<DataFusionError>().map_or(Self::Other, Self::of)
    }
}

#[cfg(test)]
mod tests;
