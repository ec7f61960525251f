//! Why demo or benchmark cannot go on: one sentence for whoever started it.

/// One sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Stuck(pub String);

impl Stuck {
    /// Something of the machine failed while doing `what`.
    #[must_use]
    pub fn io(what: &str, error: &std::io::Error) -> Self {
        Self(format!("{what}: {error}"))
    }

    /// Anything else failed while doing `what`.
    pub fn at<E: std::fmt::Display>(what: &str) -> impl Fn(E) -> Self {
        move |error| Self(format!("{what}: {error}"))
    }
}
