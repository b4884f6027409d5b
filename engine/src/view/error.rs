//! Why a question about snapshots has no answer.

use crate::repository::{ReadError, RepositoryError};
use crate::tree::Cancelled;

/// Why a question about snapshots has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// An object.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No such path.
    #[error("{path} is not in {snapshot}: see `cloudsticctl ls`")]
    NoSuchPath {
        /// The path.
        path: String,
        /// The snapshots that were looked at.
        snapshot: String,
    },
    /// What is at the path has no bytes of its own.
    #[error("{path} is {what}")]
    NotAFile {
        /// The path.
        path: String,
        /// What it is, and what to do instead.
        what: String,
    },
    /// A pattern cannot be understood.
    #[error("the pattern {pattern:?} cannot be understood: {problem}")]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// Why.
        problem: String,
    },
    /// Whoever reads the output went away.
    #[error("the reader went away")]
    OutputClosed,
    /// Cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl From<Cancelled> for QueryError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}
