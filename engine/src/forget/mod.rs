//! Forget: removes snapshots, named ones or those that a policy does not keep. Their data stays until a prune.
//!
//! The one invariant: what is removed was decided from snapshots that were read and proven under the same lock, never
//! from an index; and a group loses its last snapshot only if that was asked for.

mod group;
mod plan;
mod policy;
mod span;
mod zone;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::lock::{LeaseWatch, LockLost};
use crate::midway::{self, Midway};
use crate::object::ObjectRef;
use crate::progress::{Phase, Progress};
use crate::repository::{Repository, RepositoryError, SnapshotFilter};
use crate::source::Warning;
use crate::warnings::Warnings;
use plan::Plan;

pub use group::{GroupBy, GroupKey};
pub use policy::{Cause, Fate, Policy, Reason, Verdict};
pub use span::{ParseSpanError, Span};
pub use zone::Zone;

/// What to forget.
#[derive(Debug, Clone)]
pub struct ForgetRequest {
    /// Which snapshots.
    pub selection: Selection,
    /// What a group is.
    pub group_by: GroupBy,
    /// Whether a group may lose its last snapshot.
    pub remove_last: bool,
    /// Only say what would be removed.
    pub dry_run: bool,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Whose days and weeks count.
    pub zone: Zone,
    /// An exclusive lock; [`LeaseWatch::not_needed`] for a dry run.
    pub lease: LeaseWatch,
}

/// Which snapshots to forget.
#[derive(Debug, Clone)]
pub enum Selection {
    /// These: `latest`, references, hashes, or beginnings of them. One that cannot be read only by its whole hash.
    Named(Vec<String>),
    /// Those that match, and that the policy does not keep. One that cannot be read is never among them.
    Policy {
        /// Of which snapshots.
        filter: SnapshotFilter,
        /// What stays.
        policy: Policy,
    },
}

/// What forget did, or would do.
#[derive(Debug, Clone, Default)]
pub struct ForgetReport {
    /// By group: with a policy, every snapshot that it was applied to; else those that were named.
    pub groups: Vec<ForgetGroup>,
    /// The snapshots that were named and cannot be read, so that nobody knows their groups.
    pub unreadable: Vec<ObjectRef>,
    /// How many stay, of those in `groups`.
    pub kept: u64,
    /// How many were removed; on a dry run, would be.
    pub removed: u64,
    /// The first [`crate::warnings::KEPT`] snapshots that stay because they cannot be read, or because the store retains them.
    pub warnings: Vec<Warning>,
    /// How many there are.
    pub warning_count: u64,
}

/// The snapshots of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgetGroup {
    /// What they have in common.
    pub key: GroupKey,
    /// What becomes of each, newest first.
    pub verdicts: Vec<Verdict>,
}

/// Why nothing was forgotten, or not all.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// The repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The repository lock was lost.
    #[error(transparent)]
    LockLost(#[from] LockLost),
    /// Neither names nor a policy.
    #[error("name the snapshots to forget, or say what to keep: a policy that keeps nothing is refused")]
    NothingToKeep,
    /// One that cannot be read, by a part of its name.
    #[error("{0} cannot be read, so nobody can say what it holds: to remove it all the same, give its whole hash")]
    Unreadable(ObjectRef),
    /// No snapshot of a group would be left.
    #[error(
        "nothing was removed: no snapshot of {group} would be left, and {snapshot} is the newest of them; \
         add --remove-last to remove it all the same"
    )]
    LastOfGroup {
        /// The group.
        group: Box<GroupKey>,
        /// Its newest snapshot.
        snapshot: ObjectRef,
    },
    /// Cancelled.
    #[error("forget was cancelled; nothing was removed")]
    Cancelled,
    /// The repository failed while snapshots were removed, and does not say which ones are left.
    #[error("{0}; it is not known which snapshots were removed before that: see `cloudsticctl list`")]
    Unsure(#[source] RepositoryError),
    /// It failed after some snapshots were removed.
    #[error("{error}")]
    Midway {
        /// What was done: of those that were to go, the ones that are still there stay, for [`Reason::NotRemoved`].
        done: Box<ForgetReport>,
        /// Why no more was.
        #[source]
        error: RepositoryError,
    },
}

/// Removes snapshots, or on a dry run says which ones. Snapshots that cannot be read, and were not named, stay and are
/// warnings; so are those that the store retains.
///
/// # Errors
/// Before anything is removed, if names or policy make no sense. If the repository fails or the lock is lost in the
/// middle, some may be gone already, and the error says which; all that are left are whole.
pub async fn forget(
    repository: Arc<Repository>,
    request: ForgetRequest,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<ForgetReport, ForgetError> {
    progress.phase(Phase::Listing);
    request.lease.confirm().await?;
    let snapshots = repository.proven_snapshots().await?;
    let mut plan = match &request.selection {
        Selection::Named(names) => {
            let mut named = Vec::with_capacity(names.len());
            for name in names {
                named.push((name.as_str(), repository.find_reference(name).await?));
            }
            Plan::named(&snapshots, &named, &request)?
        }
        Selection::Policy { filter, policy } => Plan::by_policy(&snapshots, filter, policy, &request)?,
    };
    let mut warnings = Warnings::default();
    for warning in snapshots.unreadable {
        if !plan.removed.iter().any(|removed| removed.key() == warning.path) {
            progress.warning(&warning);
            warnings.push(warning);
        }
    }
    if cancel.is_cancelled() {
        return Err(ForgetError::Cancelled);
    }
    if !request.dry_run {
        progress.phase(Phase::Finishing);
        let retained = match repository.remove_snapshots(&plan.removed, &request.lease).await {
            Ok(retained) => retained,
            Err(error) => return Err(stopped(&repository, plan, warnings, error).await),
        };
        plan.keep(&retained.iter().filter_map(|error| error.key.parse().ok()).collect());
        for warning in retained.into_iter().map(Warning::from) {
            progress.warning(&warning);
            warnings.push(warning);
        }
    }
    let (warnings, warning_count) = warnings.into_parts();
    Ok(ForgetReport { warnings, warning_count, ..plan.into_report() })
}

/// What it ends with when removing fails.
async fn stopped(
    repository: &Arc<Repository>,
    mut plan: Plan,
    warnings: Warnings,
    error: RepositoryError,
) -> ForgetError {
    if midway::is_before_all(&error) {
        return error.into();
    }
    let Some(left) = midway::left(repository).await else { return ForgetError::Unsure(error) };
    plan.keep(&left);
    if plan.removed.is_empty() {
        return error.into();
    }
    let (warnings, warning_count) = warnings.into_parts();
    ForgetError::Midway { done: ForgetReport { warnings, warning_count, ..plan.into_report() }.into(), error }
}

impl Midway for ForgetError {
    type Report = ForgetReport;

    fn into_done(self) -> (Self, Option<ForgetReport>) {
        match self {
            Self::Midway { done, error } => (error.into(), Some(*done)),
            error => (error, None),
        }
    }
}
