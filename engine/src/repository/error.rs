//! What can go wrong with a repository.

use crate::crypto::{OpenError, SlotError};
use crate::lock::LockLost;
use crate::object::ObjectRef;
use crate::store::StoreError;

/// An object that cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// It is nowhere: in no pack, and not by itself.
    #[error("{0} is missing")]
    Missing(ObjectRef),
    /// Its bytes are not what its name says.
    #[error("{object} is damaged: {problem}")]
    Damaged {
        /// The object.
        object: ObjectRef,
        /// How it shows.
        problem: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What can go wrong with a repository as a whole.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The lock under which it was written to was lost.
    #[error(transparent)]
    LockLost(#[from] LockLost),
    /// There is no marker.
    #[error("{store} holds no repository: check the place, or make one with `cloudsticctl init`")]
    NotInitialised {
        /// The store.
        store: String,
    },
    /// It is another one, or half of it is gone.
    #[error(
        "{store} no longer holds the repository that was opened there ({problem}), so nothing is written to it: see \
         that its disk is mounted and its folder in place, and try again"
    )]
    NotTheSame {
        /// The store.
        store: String,
        /// What shows it.
        problem: String,
    },
    /// There is a marker already.
    #[error("{store} holds a repository already: use it as it is, or choose another place")]
    AlreadyInitialised {
        /// The store.
        store: String,
    },
    /// There is no marker, but there are objects.
    #[error(
        "{store} has no `config`, but it has {found}: put `config` back from a copy of the repository; if an `init` was \
         cut off there, empty the place first"
    )]
    MarkerMissing {
        /// The store.
        store: String,
        /// One of the objects.
        found: String,
    },
    /// No slot opens.
    #[error("no key slot of {store} opens with the given {given}: it is the wrong one, or the slot is damaged")]
    WrongCredential {
        /// The store.
        store: String,
        /// `password`, …
        given: String,
    },
    /// A credential is needed.
    #[error("{store} is encrypted: configure a credential for one of its key slots ({slots})")]
    NoCredential {
        /// The store.
        store: String,
        /// Their names.
        slots: String,
    },
    /// The format is newer than this program.
    #[error("{store} has version {version} of the repository format, and this program knows version 1: update it")]
    UnknownVersion {
        /// The store.
        store: String,
        /// Its version.
        version: u32,
    },
    /// Keyed chunk boundaries need a key.
    #[error("keyed chunk boundaries need an encrypted repository: give a credential, or do without them")]
    KeyedWithoutKey,
    /// No snapshot of that name, or several.
    #[error("{0}")]
    NoSuchSnapshot(String),
    /// There are snapshots, and each is damaged.
    #[error(
        "none of the repository's snapshots can be read ({count}): {first}; put them back from a copy of the repository"
    )]
    NoneReadable {
        /// How many there are.
        count: usize,
        /// What is wrong with the first.
        first: String,
    },
    /// `config`, a key slot or an index is not what it should be.
    #[error("{key} is damaged: {problem}")]
    Malformed {
        /// The key.
        key: String,
        /// How.
        problem: String,
    },
    /// The credential itself, or a slot.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// An object.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An object cannot be sealed.
    #[error("an object cannot be sealed: {0}")]
    Seal(#[from] OpenError),
    /// The system failed.
    #[error("{0}")]
    System(String),
}

impl RepositoryError {
    pub(super) fn malformed(key: &str, problem: impl std::fmt::Display) -> Self {
        Self::Malformed { key: key.to_owned(), problem: problem.to_string() }
    }
}

impl From<tokio::task::JoinError> for RepositoryError {
    fn from(cause: tokio::task::JoinError) -> Self {
        Self::System(format!("a worker failed: {cause}"))
    }
}
