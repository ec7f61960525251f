//! How a command ends when it does not end well: one line and an exit code. Knows no command.

/// Why a command failed. The message is one sentence: thing, cause and remedy; never content of events.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command ran and the answer is no: tampering found, nothing matched. Exit code 1.
    #[error("{0}")]
    CheckFailed(String),
    /// What was asked is wrong or not allowed. Exit code 2.
    #[error("{0}")]
    WrongRequest(String),
    /// The trail, a file or a service could not be reached or did not do its work. Exit code 3.
    #[error("{0}")]
    Unreachable(String),
}

impl Failure {
    /// A check that failed.
    pub fn check(message: impl Into<String>) -> Self {
        Self::CheckFailed(message.into())
    }

    /// A request that is wrong.
    pub fn wrong(message: impl Into<String>) -> Self {
        Self::WrongRequest(message.into())
    }

    /// Something that could not be reached.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::Unreachable(message.into())
    }

    /// The same, and one more thing to know.
    pub fn and(self, more: &str) -> Self {
        match self {
            Self::CheckFailed(message) => Self::CheckFailed(format!("{message}; {more}")),
            Self::WrongRequest(message) => Self::WrongRequest(format!("{message}; {more}")),
            Self::Unreachable(message) => Self::Unreachable(format!("{message}; {more}")),
        }
    }

    /// The exit code of the process.
    pub fn code(&self) -> u8 {
        match self {
            Self::CheckFailed(_) => 1,
            Self::WrongRequest(_) => 2,
            Self::Unreachable(_) => 3,
        }
    }
}
