//! Why a prune ended.

use crate::lock::LockLost;
use crate::object::ObjectRef;
use crate::reach::{ReachError, Unreadable};
use crate::repository::{ReadError, RepositoryError};
use crate::store::StoreError;

/// Why a prune ended before its time. Nothing that a snapshot needs was deleted.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// A snapshot cannot be read, so nobody knows what it needs.
    #[error(
        "nothing was deleted, because it is not known what {key} needs ({problem}){}: remove it with \
         `cloudsticctl forget`, or see what `cloudsticctl repair` can save", others(*count)
    )]
    Snapshot {
        /// Its key.
        key: String,
        /// What is wrong with it.
        problem: String,
        /// How many such snapshots there are.
        count: usize,
    },
    /// A snapshot is named by an index, and is nowhere.
    #[error(
        "nothing was deleted, because {key} is missing{}, which an index names: put it back from a copy of the repository, \
         or see what `cloudsticctl repair` can save; after that, or after a backup, indexes name it no more", others(*count)
    )]
    Lost {
        /// Its key.
        key: String,
        /// How many such snapshots there are.
        count: usize,
    },
    /// Of packs nobody knows what is in them: maybe a lost snapshot, and nobody knows what that needs.
    #[error(
        "nothing was deleted, because neither the pack catalog nor a footer says what is in {first}{}: a program that was cut \
         off has left it, or one that overwrote the catalog has lost a snapshot in it; `cloudsticctl repair` looks into it, \
         and brings a snapshot back; with --despite-unknown-packs, a prune leaves it alone, and deletes what only a lost \
         snapshot would need", in_others(*count)
    )]
    Unknown {
        /// The key of one of them.
        first: String,
        /// How many there are.
        count: usize,
    },
    /// An object that a snapshot needs cannot be read, so nobody knows what it leads to.
    #[error(
        "nothing was deleted, because {0}: `cloudsticctl check` finds all that is damaged, and `cloudsticctl repair \
         --forget-damaged` puts snapshots without it in the place of those that need it"
    )]
    Unreadable(Box<Unreadable>),
    /// An object was only found in another place than the catalog says. A prune would remove that copy.
    #[error(
        "nothing was deleted, because {object} is not what it should be where the pack catalog says, and only another copy \
         of it is good: `cloudsticctl repair` makes the catalog name that one"
    )]
    Misplaced {
        /// The object.
        object: String,
    },
    /// A member of a pack that was to be copied is damaged.
    #[error("nothing was deleted, because {0}: `cloudsticctl check --read-data` finds all that is damaged")]
    Member(ReadError),
    /// Somebody wrote the pack catalog meanwhile.
    #[error("nothing was deleted, because another program has written the pack catalog meanwhile; prune again")]
    Changed,
    /// The lock was lost.
    #[error(transparent)]
    LockLost(LockLost),
    /// It was cancelled.
    #[error("the prune was cancelled; nothing that a snapshot needs was deleted, and the next one goes on")]
    Cancelled,
    /// The repository or its store.
    #[error(transparent)]
    Repository(RepositoryError),
}

fn others(count: usize) -> String {
    if count > 1 { format!(", nor what {} other snapshots need", count - 1) } else { String::new() }
}

fn in_others(count: usize) -> String {
    if count > 1 { format!(", nor in {} other packs", count - 1) } else { String::new() }
}

impl PruneError {
    /// What came of reading an object that is proven, not followed.
    pub(super) fn of_member(object: ObjectRef, error: ReadError) -> Self {
        match error {
            ReadError::Store(error) if error.is_not_found() => Self::Member(ReadError::Missing(object)),
            ReadError::Store(error) => error.into(),
            error => Self::Member(error),
        }
    }
}

impl From<ReachError> for PruneError {
    fn from(error: ReachError) -> Self {
        match error {
            ReachError::Unreadable(unreadable) => Self::Unreadable(unreadable),
            ReachError::Cancelled => Self::Cancelled,
            ReachError::Repository(error) => error.into(),
        }
    }
}

impl From<RepositoryError> for PruneError {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::LockLost(lost) => Self::LockLost(lost),
            error => Self::Repository(error),
        }
    }
}

impl From<StoreError> for PruneError {
    fn from(error: StoreError) -> Self {
        Self::Repository(error.into())
    }
}

impl From<LockLost> for PruneError {
    fn from(lost: LockLost) -> Self {
        Self::LockLost(lost)
    }
}

impl From<tokio::task::JoinError> for PruneError {
    fn from(cause: tokio::task::JoinError) -> Self {
        Self::Repository(cause.into())
    }
}
