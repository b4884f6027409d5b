//! Restore: the entries of a snapshot, written to a folder or as a ZIP stream.
//!
//! The one invariant: nothing wrong is ever given as if it were right. A file gets its name in the target, and an
//! archive its central directory, only when the size and the SHA-256 of all bytes were proven. What cannot be restored
//! is a warning that names the object, and the rest goes on.

mod archive;
mod content;
mod feed;
mod folder;
mod gate;
mod identity;
mod plan;
mod tally;
#[cfg(test)]
mod testing;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use crate::lock::{LeaseWatch, LockLost};
use crate::object::{ObjectRef, Snapshot};
use crate::progress::{Phase, Progress};
use crate::repository::{Repository, RepositoryError};
use crate::source::Warning;
use crate::tree::{ReadObjects, Tree};

use gate::Gate;
use plan::Plan;
use tally::Tally;

/// What to restore to a folder.
#[derive(Debug, Clone)]
pub struct RestoreRequest {
    /// `latest`, a reference, a hash or the beginning of one.
    pub snapshot: String,
    /// Paths inside the snapshot, `/`-separated bytes; empty for everything.
    pub paths: Vec<Vec<u8>>,
    /// The folder; made if it is not there.
    pub target: PathBuf,
    /// What to do with what exists.
    pub overwrite: Overwrite,
    /// Report what would be written.
    pub dry_run: bool,
    /// Whose rights to write with; `None` for those of this process.
    pub identity: Option<Identity>,
    /// A shared lock, also of a dry run.
    pub lease: LeaseWatch,
}

/// A user, whose rights the kernel enforces on the threads that write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
}

/// What to do with existing files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// Keep them.
    Never,
    /// Replace those that differ in type, size or modification time.
    #[default]
    IfChanged,
    /// Replace them.
    Always,
}

/// What a restore did.
#[derive(Debug, Clone, Default)]
pub struct RestoreReport {
    /// The snapshot.
    pub snapshot: Option<ObjectRef>,
    /// Ordinary files, hard links among them.
    pub files: u64,
    /// Folders that were made or got their attributes.
    pub folders: u64,
    /// Links and special files.
    pub others: u64,
    /// Bytes of files; a hard link has none of its own.
    pub bytes: u64,
    /// Left alone, as the request's [`Overwrite`] says.
    pub skipped: u64,
    /// The first warnings.
    pub warnings: Vec<Warning>,
    /// All of them; more than none means `partial`.
    pub warning_count: u64,
}

/// Restores to a folder, with everything the source gave but birth times, which cannot be set.
///
/// Owners other than the user itself, and some flags and attributes, only root can give, and some file systems have no
/// attributes: what could not be given is one warning for each of these kinds, not one for each entry. A full or read-only target ends the restore.
pub async fn restore(
    repository: Arc<Repository>,
    request: RestoreRequest,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<RestoreReport, RestoreError> {
    progress.phase(Phase::Opening);
    let lease = request.lease.clone();
    lease.confirm().await?;
    let (reference, snapshot) = repository.find_snapshot(&request.snapshot).await?;
    let objects = repository.reader().await?;
    let restored = blocking(cancel, move |cancel| {
        restore_tree(&objects, (reference, &snapshot), &request, progress.as_ref(), cancel)
    });
    still_under(lease, restored.await).await
}

fn restore_tree(
    objects: &dyn ReadObjects,
    (reference, snapshot): (ObjectRef, &Snapshot),
    request: &RestoreRequest,
    progress: &dyn Progress,
    cancel: &CancellationToken,
) -> Result<RestoreReport, RestoreError> {
    let tree = load(objects, snapshot, progress, cancel)?;
    let plan = Plan::new(&tree, &request.paths, (reference, snapshot))?;
    let tally = Tally::new(progress, cancel);
    plan.tell_problems(&tree, &tally);
    folder::restore(&folder::Job {
        objects,
        tree: &tree,
        plan: &plan,
        tally: &tally,
        gate: &Gate::new(&request.lease),
        target: &request.target,
        overwrite: request.overwrite,
        dry_run: request.dry_run,
        identity: request.identity.as_ref(),
        present: Mutex::new(HashSet::new()),
        sealed: Mutex::new(Vec::new()),
    });
    tally.warn_all(objects.detours());
    tally.finish(reference, &request.target.display().to_string())
}

/// What to restore as a ZIP stream.
#[derive(Debug, Clone)]
pub struct ArchiveRequest {
    /// As in [`RestoreRequest`].
    pub snapshot: String,
    /// As in [`RestoreRequest`].
    pub paths: Vec<Vec<u8>>,
    /// Report what would be written.
    pub dry_run: bool,
    /// A shared lock, also of a dry run.
    pub lease: LeaseWatch,
}

/// Restores as a ZIP stream, sent in pieces of at most 256 KiB. When it ends with an error, the archive has no central
/// directory, so that no program takes it for a whole one.
///
/// A file of up to 8 MiB is proven before any of it is sent; if it is damaged, it is left out with a warning. Of a
/// larger one each chunk is proven before it is sent, but what is sent cannot be taken back: damage behind its first
/// 8 MiB ends the archive with an error that names the object. Special files, which an archive cannot hold, are
/// warnings; hard links become files of their own; owners, extended attributes and flags are not in it.
pub async fn archive(
    repository: Arc<Repository>,
    request: ArchiveRequest,
    output: tokio::sync::mpsc::Sender<bytes::Bytes>,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<RestoreReport, RestoreError> {
    progress.phase(Phase::Opening);
    let lease = request.lease.clone();
    lease.confirm().await?;
    let (reference, snapshot) = repository.find_snapshot(&request.snapshot).await?;
    let objects = repository.reader().await?;
    let archived = blocking(cancel, move |cancel| {
        archive_tree(&objects, (reference, &snapshot), &request, output, progress.as_ref(), cancel)
    });
    still_under(lease, archived.await).await
}

/// What a prune swept after the lock was lost must not pass for damage. A restore that missed nothing needs no lock any
/// more: all of it is proven.
async fn still_under(
    lease: LeaseWatch,
    done: Result<RestoreReport, RestoreError>,
) -> Result<RestoreReport, RestoreError> {
    if !done.as_ref().is_ok_and(|report| report.warning_count == 0) {
        lease.confirm().await?;
    }
    done
}

fn archive_tree(
    objects: &dyn ReadObjects,
    (reference, snapshot): (ObjectRef, &Snapshot),
    request: &ArchiveRequest,
    output: tokio::sync::mpsc::Sender<bytes::Bytes>,
    progress: &dyn Progress,
    cancel: &CancellationToken,
) -> Result<RestoreReport, RestoreError> {
    let tree = load(objects, snapshot, progress, cancel)?;
    let plan = Plan::new(&tree, &request.paths, (reference, snapshot))?;
    let tally = Tally::new(progress, cancel);
    plan.tell_problems(&tree, &tally);
    archive::archive(objects, &tree, &plan, &tally, &Gate::new(&request.lease), (!request.dry_run).then_some(output));
    tally.warn_all(objects.detours());
    tally.finish(reference, "/")
}

fn load(
    objects: &dyn ReadObjects,
    snapshot: &Snapshot,
    progress: &dyn Progress,
    cancel: &CancellationToken,
) -> Result<Tree, RestoreError> {
    progress.phase(Phase::Listing);
    let collects_modes = matches!(snapshot.source.source_type.as_str(), "local" | "sftp");
    Tree::load(objects, snapshot.root, collects_modes, cancel).map_err(|_| RestoreError::Cancelled)
}

/// Runs work that blocks, away from the async threads. If nobody waits for it any more, it is cancelled.
async fn blocking<T: Send + 'static>(
    cancel: CancellationToken,
    work: impl FnOnce(&CancellationToken) -> Result<T, RestoreError> + Send + 'static,
) -> Result<T, RestoreError> {
    let cancel = cancel.child_token();
    let _guard = cancel.clone().drop_guard();
    match tokio::task::spawn_blocking(move || work(&cancel)).await {
        Ok(done) => done,
        Err(why) if why.is_panic() => std::panic::resume_unwind(why.into_panic()),
        Err(_) => Err(RestoreError::Cancelled),
    }
}

/// Why nothing, or not all, was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The repository lock was lost.
    #[error(transparent)]
    LockLost(#[from] LockLost),
    /// No such path.
    #[error("{path} is not in {snapshot}: see `cloudsticctl ls`")]
    NoSuchPath {
        /// The path.
        path: String,
        /// The snapshot.
        snapshot: String,
    },
    /// A path that is damaged, or below what is.
    #[error("{path} of {snapshot} is lost: {problem}; `cloudsticctl check` names all that is")]
    Lost {
        /// The path.
        path: String,
        /// The snapshot.
        snapshot: String,
        /// What is wrong.
        problem: String,
    },
    /// The target folder.
    #[error("{path} cannot be written: {cause}")]
    Target {
        /// The folder.
        path: String,
        /// What the system says.
        cause: std::io::Error,
    },
    /// Whoever reads the archive went away.
    #[error("the reader of the archive went away")]
    OutputClosed,
    /// Cancelled.
    #[error("the restore was cancelled; what it has written by then stays")]
    Cancelled,
}
