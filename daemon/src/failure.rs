//! The one place where errors become what a client sees: a stable [`Reason`], a gRPC code and a line for people.
//!
//! The one invariant: every error of the engine has its arm here, so that a new one does not compile until somebody has
//! decided what it means to a client.

use cloudstic_engine::backup::BackupError;
use cloudstic_engine::cat::CatError;
use cloudstic_engine::check::CheckError;
use cloudstic_engine::copy::CopyError;
use cloudstic_engine::crypto::SlotError;
use cloudstic_engine::forget::ForgetError;
use cloudstic_engine::keys::KeyError;
use cloudstic_engine::lock::{LockError, LockLost};
use cloudstic_engine::prune::PruneError;
use cloudstic_engine::repair::RepairError;
use cloudstic_engine::repository::{ReadError, RepositoryError};
use cloudstic_engine::restore::RestoreError;
use cloudstic_engine::source::SourceError;
use cloudstic_engine::stats::StatsError;
use cloudstic_engine::store::{StoreError, StoreErrorKind};
use cloudstic_engine::tag::TagError;
use cloudstic_engine::tree;
use cloudstic_engine::view::QueryError;
use cloudstic_proto::{REASON_KEY, Reason, v1};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

/// A failure as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// For programs.
    pub reason: Reason,
    /// For people: what failed, on what, and what to do.
    pub message: String,
}

impl Failure {
    /// A failure of that sort.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// A request that makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, message)
    }

    /// A bug of this program.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Reason::Internal, message)
    }

    /// The daemon takes nothing new.
    pub fn shutting_down() -> Self {
        Self::new(Reason::ShuttingDown, "the daemon is stopping: try again when it runs again")
    }

    /// No repository of that name.
    pub fn no_such_repository(name: &str) -> Self {
        Self::new(Reason::NoSuchRepository, format!("no repository {name:?} is configured: see `cloudsticctl status`"))
    }

    /// The same as a job stores it.
    pub fn to_message(&self) -> v1::Failure {
        v1::Failure { reason: self.reason.as_str().to_owned(), message: self.message.clone() }
    }

    /// What a job stored.
    pub fn from_message(failure: &v1::Failure) -> Self {
        Self { reason: failure.reason.parse().unwrap_or(Reason::Internal), message: failure.message.clone() }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let mut metadata = MetadataMap::new();
        metadata.insert(REASON_KEY, MetadataValue::from_static(failure.reason.as_str()));
        Self::with_metadata(code(failure.reason), shortened(failure.message), metadata)
    }
}

/// A status travels in HTTP headers, which clients bound to 16 KiB; a letter may take 9 bytes there.
fn shortened(mut message: String) -> String {
    const LONGEST: usize = 1500;
    if message.chars().count() > LONGEST {
        message = message.chars().take(LONGEST).chain(['…']).collect();
    }
    message
}

/// The gRPC code of a reason, for clients that know nothing of reasons.
const fn code(reason: Reason) -> Code {
    match reason {
        Reason::Locked | Reason::LockLost | Reason::ProfileBusy => Code::Aborted,
        Reason::WrongCredential | Reason::NoCredential | Reason::NotInitialised => Code::FailedPrecondition,
        Reason::SourceUnreadable | Reason::TargetUnwritable => Code::FailedPrecondition,
        Reason::AlreadyInitialised => Code::AlreadyExists,
        Reason::NoSuchSnapshot | Reason::NoSuchPath | Reason::NoSuchRepository => Code::NotFound,
        Reason::NoSuchProfile | Reason::NoSuchJob => Code::NotFound,
        Reason::PermissionDenied => Code::PermissionDenied,
        Reason::BadRequest => Code::InvalidArgument,
        Reason::StoreFull => Code::ResourceExhausted,
        Reason::StoreFailed | Reason::ShuttingDown => Code::Unavailable,
        Reason::Damaged => Code::DataLoss,
        Reason::Cancelled => Code::Cancelled,
        Reason::Internal => Code::Internal,
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let reason = match error.kind {
            StoreErrorKind::NotFound | StoreErrorKind::Corrupt => Reason::Damaged,
            StoreErrorKind::Full => Reason::StoreFull,
            StoreErrorKind::Gone => Reason::NotInitialised,
            StoreErrorKind::Denied | StoreErrorKind::Throttled | StoreErrorKind::Transient => Reason::StoreFailed,
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
            SlotError::System(_) => Reason::Internal,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<CopyError> for Failure {
    fn from(error: CopyError) -> Self {
        let reason = match error {
            CopyError::Repository(repository) => return repository.into(),
            CopyError::LockLost(lost) => return lost.into(),
            CopyError::Same { .. } => Reason::BadRequest,
            CopyError::AllDamaged { .. } => Reason::Damaged,
            CopyError::System(_) => Reason::Internal,
            CopyError::Cancelled => Reason::Cancelled,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<StatsError> for Failure {
    fn from(error: StatsError) -> Self {
        let reason = match error {
            StatsError::Repository(repository) => return repository.into(),
            StatsError::LockLost(lost) => return lost.into(),
            StatsError::System(_) => Reason::Internal,
            StatsError::Cancelled => Reason::Cancelled,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        let reason = match error {
            KeyError::Repository(repository) => return repository.into(),
            KeyError::LockLost(lost) => return lost.into(),
            KeyError::NotEncrypted { .. } | KeyError::NoSuchSlot { .. } | KeyError::Ambiguous { .. } => {
                Reason::BadRequest
            }
            KeyError::SlotExists { .. } | KeyError::BadLabel { .. } | KeyError::BadSecret(_) => Reason::BadRequest,
            KeyError::Foreign { .. } | KeyError::LastSlot { .. } | KeyError::LastConfigured { .. } => {
                Reason::BadRequest
            }
            KeyError::Changed { .. } | KeyError::NotProven { .. } | KeyError::Unknown { .. } => Reason::StoreFailed,
            KeyError::Cancelled => Reason::Cancelled,
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

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Repository(repository) => repository.into(),
            BackupError::Source(source) => source.into(),
            BackupError::LockLost(lost) => lost.into(),
            BackupError::System(_) => Self::new(Reason::Internal, error.to_string()),
            BackupError::Cancelled => Self::new(Reason::Cancelled, error.to_string()),
        }
    }
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        let reason = match error {
            RestoreError::Repository(repository) => return repository.into(),
            RestoreError::LockLost(lost) => return lost.into(),
            RestoreError::NoSuchPath { .. } => Reason::NoSuchPath,
            RestoreError::Target { .. } => {
                let message = format!("{error}; see to its rights and its room, or restore to another folder");
                return Self::new(Reason::TargetUnwritable, message);
            }
            RestoreError::OutputClosed | RestoreError::Cancelled => Reason::Cancelled,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        let reason = match error {
            QueryError::Repository(repository) => return repository.into(),
            QueryError::Read(read) => return read.into(),
            QueryError::Cancelled | QueryError::OutputClosed => return tree::Cancelled.into(),
            QueryError::NoSuchPath { .. } => Reason::NoSuchPath,
            QueryError::NotAFile { .. } | QueryError::BadPattern { .. } => Reason::BadRequest,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<CatError> for Failure {
    fn from(error: CatError) -> Self {
        let reason = match error {
            CatError::Repository(repository) => return repository.into(),
            // Whoever asks for an object by name may have mistyped it.
            CatError::Read(ReadError::Missing(_)) | CatError::Missing(_) => Reason::NoSuchPath,
            CatError::Read(read) => return read.into(),
            CatError::Store(store) => return store.into(),
            CatError::Cancelled => return tree::Cancelled.into(),
            CatError::Key(_) => Reason::BadRequest,
            CatError::Damaged { .. } => Reason::Damaged,
            CatError::Secret(_) => Reason::PermissionDenied,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<ForgetError> for Failure {
    fn from(error: ForgetError) -> Self {
        let reason = match error {
            ForgetError::Repository(repository) => return repository.into(),
            ForgetError::LockLost(lost) => return lost.into(),
            ForgetError::NothingToKeep | ForgetError::LastOfGroup { .. } => Reason::BadRequest,
            ForgetError::Unreadable(_) => Reason::Damaged,
            ForgetError::Cancelled => Reason::Cancelled,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<TagError> for Failure {
    fn from(error: TagError) -> Self {
        let reason = match error {
            TagError::Repository(repository) => return repository.into(),
            TagError::LockLost(lost) => return lost.into(),
            TagError::NothingChosen | TagError::NoTags | TagError::BadTag(_) => Reason::BadRequest,
            TagError::Cancelled => Reason::Cancelled,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<PruneError> for Failure {
    fn from(error: PruneError) -> Self {
        let reason = match error {
            PruneError::Repository(repository) => return repository.into(),
            PruneError::LockLost(lost) => return lost.into(),
            PruneError::Snapshot { .. } | PruneError::Lost { .. } | PruneError::Unreadable(_) => Reason::Damaged,
            PruneError::Unknown { .. } | PruneError::Misplaced { .. } | PruneError::Member(_) => Reason::Damaged,
            // It has the lock for itself, so nobody should have.
            PruneError::Changed => Reason::StoreFailed,
            PruneError::Cancelled => Reason::Cancelled,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<CheckError> for Failure {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Repository(repository) => repository.into(),
            CheckError::LockLost(lost) => lost.into(),
            CheckError::Cancelled => Self::new(Reason::Cancelled, error.to_string()),
        }
    }
}

impl From<RepairError> for Failure {
    fn from(error: RepairError) -> Self {
        match error {
            RepairError::Check(check) => check.into(),
            RepairError::Unsteady(_) => Self::new(Reason::StoreFailed, error.to_string()),
            RepairError::Cancelled => Self::new(Reason::Cancelled, error.to_string()),
        }
    }
}

impl From<tree::Cancelled> for Failure {
    fn from(_: tree::Cancelled) -> Self {
        Self::new(Reason::Cancelled, "the caller went away, or the daemon is stopping")
    }
}

#[cfg(test)]
mod tests {
    use cloudstic_engine::lock::LostReason;

    use super::*;

    #[test]
    fn a_lost_lock_is_told_from_one_that_was_not_had() {
        let lost = LockLost { operation: "backup".to_owned(), reason: LostReason::Gone, left: None };
        for failure in [
            Failure::from(lost.clone()),
            Failure::from(BackupError::LockLost(lost.clone())),
            Failure::from(RestoreError::LockLost(lost.clone())),
            Failure::from(RepositoryError::LockLost(lost)),
        ] {
            assert_eq!(failure.reason, Reason::LockLost, "{failure}");
        }
    }

    #[test]
    fn a_status_carries_the_reason_for_programs() {
        for reason in Reason::ALL {
            let status = Status::from(Failure::new(*reason, "why"));
            let text = status.metadata().get(REASON_KEY).and_then(|value| value.to_str().ok());
            assert_eq!(text, Some(reason.as_str()));
            assert_ne!(status.code(), Code::Ok);
            assert_ne!(status.code(), Code::Unknown);
        }
    }

    #[test]
    fn a_full_store_under_layers_of_errors_is_still_a_full_store() {
        let store = StoreError {
            kind: StoreErrorKind::Full,
            key: "packs/x".into(),
            backend: "local:/srv".into(),
            detail: "no space".into(),
        };
        let failure = Failure::from(BackupError::Repository(RepositoryError::Store(store)));
        assert_eq!(failure.reason, Reason::StoreFull);
        assert!(failure.message.contains("local:/srv"));
    }

    #[test]
    fn a_long_message_does_not_break_the_headers() {
        let status = Status::from(Failure::internal("ä".repeat(100_000)));
        assert!(status.message().ends_with("ä…") && status.message().chars().count() < 2000);
    }

    #[test]
    fn a_failure_survives_being_stored_with_its_job() {
        let failure = Failure::new(Reason::Damaged, "chunk/… is damaged");
        assert_eq!(Failure::from_message(&failure.to_message()), failure);
    }
}
