//! Operations that end before their time, with some of their work done for good.
//!
//! The one invariant: what an error says was done is done. What nobody knows is said to be unknown.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::object::ObjectRef;
use crate::repository::{Repository, RepositoryError};

/// An error of an operation that may have done something for good before it.
pub trait Midway: Sized {
    /// What the operation tells when it comes to its end.
    type Report;

    /// The error by itself, and what had been done for good by then; `None` if that is nothing.
    fn into_done(self) -> (Self, Option<Self::Report>);
}

/// The snapshots that are there after one of this repository's changes has failed; `None` if that cannot be known.
pub(crate) async fn left(repository: &Arc<Repository>) -> Option<BTreeSet<ObjectRef>> {
    // An empty list of what is not this repository any more would say that all was removed.
    repository.prove_identity().await.ok()?;
    let list = repository.snapshots().await.ok()?;
    let readable = list.readable.iter().map(|entry| entry.reference);
    let unreadable = list.unreadable.iter().filter_map(|warning| warning.path.parse().ok());
    Some(readable.chain(unreadable).collect())
}

/// Whether an error says that it came before anything was done.
pub(crate) const fn is_before_all(error: &RepositoryError) -> bool {
    matches!(error, RepositoryError::NotTheSame { .. } | RepositoryError::NotInitialised { .. })
}
