//! The errors of the engine's operations.

use cloudstic_engine::backup::BackupError;
use cloudstic_engine::cat::CatError;
use cloudstic_engine::check::CheckError;
use cloudstic_engine::copy::CopyError;
use cloudstic_engine::forget::ForgetError;
use cloudstic_engine::keys::KeyError;
use cloudstic_engine::prune::PruneError;
use cloudstic_engine::repair::RepairError;
use cloudstic_engine::repository::ReadError;
use cloudstic_engine::restore::RestoreError;
use cloudstic_engine::stats::StatsError;
use cloudstic_engine::tag::TagError;
use cloudstic_engine::tree;
use cloudstic_engine::view::QueryError;
use cloudstic_proto::Reason;

use super::Failure;

impl From<CopyError> for Failure {
    fn from(error: CopyError) -> Self {
        let reason = match error {
            CopyError::Repository(repository) => return repository.into(),
            CopyError::LockLost(lost) => return lost.into(),
            CopyError::Same { .. } => Reason::BadRequest,
            CopyError::AllDamaged { .. } => Reason::Damaged,
            CopyError::System(_) => Reason::Internal,
            CopyError::Cancelled => Reason::Cancelled,
            CopyError::Midway { error, .. } => return Self::from(*error),
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
            RestoreError::Lost { .. } => Reason::Damaged,
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
        let message = error.to_string();
        let reason = match error {
            ForgetError::Repository(repository) => return repository.into(),
            ForgetError::LockLost(lost) => return lost.into(),
            ForgetError::NothingToKeep | ForgetError::LastOfGroup { .. } => Reason::BadRequest,
            ForgetError::Unreadable(_) => Reason::Damaged,
            ForgetError::Cancelled => Reason::Cancelled,
            ForgetError::Unsure(error) => Self::from(error).reason,
            ForgetError::Midway { error, .. } => return error.into(),
        };
        Self::new(reason, message)
    }
}

impl From<TagError> for Failure {
    fn from(error: TagError) -> Self {
        let message = error.to_string();
        let reason = match error {
            TagError::Repository(repository) => return repository.into(),
            TagError::LockLost(lost) => return lost.into(),
            TagError::NothingChosen | TagError::NoTags | TagError::BadTag(_) => Reason::BadRequest,
            TagError::Cancelled => Reason::Cancelled,
            TagError::Unsure(error) => Self::from(error).reason,
            TagError::Midway { error, .. } => return error.into(),
        };
        Self::new(reason, message)
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
            RepairError::Midway { error, .. } => Self::from(*error),
        }
    }
}

impl From<tree::Cancelled> for Failure {
    fn from(_: tree::Cancelled) -> Self {
        Self::new(Reason::Cancelled, "the caller went away, or the daemon is stopping")
    }
}
