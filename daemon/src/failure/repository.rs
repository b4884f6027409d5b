//! The errors of what all operations work with: stores, repositories, locks and sources.

use cloudstic_engine::crypto::SlotError;
use cloudstic_engine::lock::{LockError, LockLost};
use cloudstic_engine::repository::{ReadError, RepositoryError};
use cloudstic_engine::source::SourceError;
use cloudstic_engine::store::{StoreError, StoreErrorKind};
use cloudstic_proto::Reason;

use super::Failure;

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let reason = match error.kind {
            StoreErrorKind::NotFound | StoreErrorKind::Corrupt => Reason::Damaged,
            StoreErrorKind::Full => Reason::StoreFull,
            StoreErrorKind::Gone => Reason::NotInitialised,
            StoreErrorKind::Denied | StoreErrorKind::Untrusted | StoreErrorKind::Retained => Reason::StoreFailed,
            StoreErrorKind::Throttled { .. } | StoreErrorKind::Transient => Reason::StoreFailed,
            StoreErrorKind::Other => Reason::StoreFailed,
            StoreErrorKind::InvalidKey => Reason::Internal,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Store(store) => store.into(),
            ReadError::Missing(_) | ReadError::Damaged { .. } => Self::new(Reason::Damaged, error.to_string()),
        }
    }
}

impl From<RepositoryError> for Failure {
    fn from(error: RepositoryError) -> Self {
        let reason = match error {
            RepositoryError::Read(read) => return read.into(),
            RepositoryError::Store(store) => return store.into(),
            RepositoryError::Slot(slot) => return slot.into(),
            RepositoryError::LockLost(lost) => return lost.into(),
            RepositoryError::NotInitialised { .. } => Reason::NotInitialised,
            // The next job opens what is there by then.
            RepositoryError::NotTheSame { .. } => Reason::StoreFailed,
            RepositoryError::AlreadyInitialised { .. } => Reason::AlreadyInitialised,
            RepositoryError::WrongCredential { .. } => {
                let message = format!("{error}; see what the configuration gives for it");
                return Self::new(Reason::WrongCredential, message);
            }
            RepositoryError::NoCredential { .. } => Reason::NoCredential,
            RepositoryError::NoSuchSnapshot { .. } => Reason::NoSuchSnapshot,
            RepositoryError::NoneReadable { .. } => Reason::Damaged,
            RepositoryError::Malformed { .. } | RepositoryError::MarkerMissing { .. } => Reason::Damaged,
            RepositoryError::UnknownVersion { .. } | RepositoryError::KeyedWithoutKey => Reason::BadRequest,
            RepositoryError::Seal(_) | RepositoryError::System(_) => Reason::Internal,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<SlotError> for Failure {
    fn from(error: SlotError) -> Self {
        let reason = match error {
            SlotError::BadCredential(_) => Reason::WrongCredential,
            SlotError::Malformed { .. } => Reason::Damaged,
            SlotError::Service(_) => Reason::NoCredential,
            SlotError::System(_) => Reason::Internal,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        let reason = match error {
            LockError::Store(store) => return store.into(),
            LockError::Held(_) => Reason::Locked,
            LockError::System(_) => Reason::Internal,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<LockLost> for Failure {
    fn from(lost: LockLost) -> Self {
        Self::new(Reason::LockLost, lost.to_string())
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        if let SourceError::Io { .. } = &error {
            let message = format!("{error}; see that the daemon's user may read it");
            return Self::new(Reason::SourceUnreadable, message);
        }
        let reason = match error {
            SourceError::BadPattern { .. } => Reason::BadRequest,
            SourceError::NoSuchRoot { .. } | SourceError::NotAFolder { .. } | SourceError::Io { .. } => {
                Reason::SourceUnreadable
            }
            SourceError::Vanished { .. } | SourceError::Replaced { .. } => Reason::SourceUnreadable,
        };
        Self::new(reason, error.to_string())
    }
}
