//! What can keep anybody from knowing what snapshots need.

use std::fmt;

use crate::object::ObjectRef;
use crate::repository::{ReadError, RepositoryError};

/// Why it is not known what snapshots need.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// An object that they need is damaged or nowhere.
    #[error(transparent)]
    Unreadable(Box<Unreadable>),
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The repository or its store.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// An object that some snapshot needs and that cannot be read.
#[derive(Debug, Clone)]
pub struct Unreadable {
    /// The object.
    pub object: ObjectRef,
    /// What is wrong with it.
    pub problem: ReadError,
    /// Snapshots that need it, as far as that was found out.
    pub snapshots: Vec<ObjectRef>,
    /// The fileId of an entry that needs it (of a local source: its path), fit to show.
    pub path: Option<String>,
}

/// Snapshots that a message names.
const NAMED: usize = 3;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.problem)?;
        let named: Vec<String> = self.snapshots.iter().take(NAMED).map(ToString::to_string).collect();
        match (&self.path, named.is_empty()) {
            (Some(path), true) => write!(f, "; {path} needs it")?,
            (Some(path), false) => write!(f, "; {path} in {} needs it", named.join(", "))?,
            (None, true) => {}
            (None, false) => write!(f, "; {} needs it", named.join(", "))?,
        }
        match self.snapshots.len().saturating_sub(NAMED) {
            0 => Ok(()),
            others => write!(f, ", and so do {others} more"),
        }
    }
}

impl std::error::Error for Unreadable {}

impl From<tokio::task::JoinError> for ReachError {
    fn from(cause: tokio::task::JoinError) -> Self {
        Self::Repository(cause.into())
    }
}
