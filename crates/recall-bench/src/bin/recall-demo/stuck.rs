//! Why the demo cannot go on: as opposed to a claim that does not hold, which is told and counted.

/// One sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Stuck(pub String);

impl Stuck {
    /// Something of the machine failed.
    pub fn io(what: &str, error: &std::io::Error) -> Self {
        Self(format!("{what}: {error}"))
    }
}
