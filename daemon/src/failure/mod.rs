//! The one place where errors become what a client sees: a stable [`Reason`], a gRPC code and a line for people.
//!
//! The one invariant: every error of the engine has its arm in `operations` or `repository`, so that a new one does not
//! compile until somebody has decided what it means to a client.

mod operations;
mod repository;

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

#[cfg(test)]
mod tests {
    use cloudstic_engine::backup::BackupError;
    use cloudstic_engine::forget::ForgetError;
    use cloudstic_engine::lock::{LockLost, LostReason};
    use cloudstic_engine::repository::RepositoryError;
    use cloudstic_engine::restore::RestoreError;
    use cloudstic_engine::store::{StoreError, StoreErrorKind};

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
    fn what_nobody_knows_is_told_with_the_reason_of_what_failed() {
        let lost = LockLost { operation: "forget".to_owned(), reason: LostReason::Gone, left: None };
        let failure = Failure::from(ForgetError::Unsure(RepositoryError::LockLost(lost)));
        assert_eq!(failure.reason, Reason::LockLost);
        assert!(failure.message.contains("it is not known which snapshots were removed"), "{failure}");
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
