//! Backup: walk, compare, read, store, commit.
//!
//! A thread walks the source and compares every entry with what is known of it; workers read what is new or changed,
//! cut, hash, compress and encrypt it, and hand it to the store; the tree is built from all entries when the walk is
//! over. The one invariant: the snapshot is written last, when everything that it refers to is in the store for good.

mod compare;
mod entry;
mod file;
mod folder;
mod links;
mod pipeline;
mod report;
mod run;

use std::sync::Arc;
use std::time::SystemTime;

use chrono::DateTime;
use tokio_util::sync::CancellationToken;

use crate::cache::{CacheUpdate, CachedSource, SourceKey, StatCache};
use crate::clock::Clock;
use crate::lock::{LeaseWatch, LockLost};
use crate::object::SnapshotEntry;
use crate::progress::{Phase, Progress};
use crate::repository::{Existing, NewSnapshot, ReadError, Repository, RepositoryError, Written};
use crate::source::{Source, SourceError};
use compare::Previous;
use pipeline::Pipeline;
use run::Outcome;

pub use report::{BackupReport, Counts};

/// What to back up, and how.
#[derive(Clone)]
pub struct BackupRequest {
    /// The tree.
    pub source: Arc<dyn Source>,
    /// The stat cache, if there is one.
    pub cache: Option<Arc<StatCache>>,
    /// Tags of the snapshot.
    pub tags: Vec<String>,
    /// Walk and compare, but write nothing.
    pub dry_run: bool,
    /// Read every file again, whatever the cache and the previous snapshot say.
    pub read_all: bool,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// A shared lock; [`LeaseWatch::not_needed`] for a dry run.
    pub lease: LeaseWatch,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The repository lock was lost.
    #[error(transparent)]
    LockLost(#[from] LockLost),
    /// The source as a whole.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The system: threads, temporary files.
    #[error("the backup cannot work: {0}")]
    System(#[from] std::io::Error),
    /// Cancelled.
    #[error("the backup was cancelled; it has left no snapshot")]
    Cancelled,
}

/// Backs up a source into a repository as a new snapshot. Entries that cannot be read are warnings of the report, and
/// make the backup a partial one.
///
/// # Errors
/// When there is no snapshot at all: the source's root or the repository cannot be used, or `cancel` was called.
pub async fn backup(
    repository: Arc<Repository>,
    request: BackupRequest,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<BackupReport, BackupError> {
    progress.phase(Phase::Opening);
    request.lease.confirm().await?;
    let existing = repository.existing().await?;
    let followed = repository.find_previous(request.source.info()).await?;
    if let Some(cache) = request.cache.as_ref().filter(|_| existing.has_lost_packs()) {
        // What any source's records rely on may be among what is gone.
        tracing::warn!(
            "packs are missing that the repository needs: every source is compared with what is really there"
        );
        cache.clear();
    }
    let marker = repository.marker();
    let key = SourceKey::new(&repository.store().describe(), marker, request.source.info());
    let previous = find_previous(&repository, &request, key, followed.as_ref(), &existing, &cancel).await?;
    let writer = (!request.dry_run).then(|| repository.writer(existing, request.lease.clone()));
    progress.phase(Phase::Reading);

    let pipeline = Pipeline::new(&repository, &request, previous, writer, key, Arc::clone(&progress), cancel.clone())?;
    let outcome = tokio::task::spawn_blocking(move || pipeline.run()).await.map_err(std::io::Error::other)??;
    progress.phase(Phase::Finishing);
    let Outcome { mut report, written, update } = outcome;
    if !request.dry_run {
        commit(&repository, &request, &mut report, written, update, &cancel).await?;
    }
    Ok(report)
}

/// What to compare with: the stat cache, if it describes the snapshot that this backup follows on; else that snapshot.
async fn find_previous(
    repository: &Arc<Repository>,
    request: &BackupRequest,
    key: SourceKey,
    followed: Option<&SnapshotEntry>,
    existing: &Existing,
    cancel: &CancellationToken,
) -> Result<Previous, BackupError> {
    let Some(followed) = followed.filter(|_| !request.read_all) else { return Ok(Previous::nothing()) };
    if let Some(cache) = &request.cache {
        match cache.view(key) {
            Ok(Some(view)) if view.source().snapshot == followed.reference => {
                return Ok(Previous::cache(view, followed.root, existing.clone()));
            }
            Ok(_) => {}
            Err(problem) => tracing::warn!(%problem, "the stat cache cannot be read; comparing with the snapshot"),
        }
    }
    let reader = repository.reader().await?;
    let (root, cancel) = (followed.root, cancel.clone());
    let existing = existing.clone();
    let load = move || Previous::tree(&reader, root, existing, &cancel);
    tokio::task::spawn_blocking(load).await.map_err(std::io::Error::other)?.map_err(|_| BackupError::Cancelled)
}

async fn commit(
    repository: &Arc<Repository>,
    request: &BackupRequest,
    report: &mut BackupReport,
    written: Written,
    update: Option<CacheUpdate>,
    cancel: &CancellationToken,
) -> Result<(), BackupError> {
    let new = NewSnapshot {
        created: DateTime::from(request.clock.now()),
        root: report.root,
        source: request.source.info().clone(),
        tags: request.tags.clone(),
        exclude_hash: request.source.exclude_hash(),
        ..NewSnapshot::default()
    };
    let may_commit = || if cancel.is_cancelled() { Err(BackupError::Cancelled) } else { Ok(()) };
    let (reference, snapshot) = repository.commit(written, new, &request.lease, may_commit).await?;
    report.snapshot = Some(reference);
    report.seq = snapshot.seq;
    if let (Some(cache), Some(update)) = (request.cache.clone(), update) {
        let source = CachedSource {
            snapshot: reference,
            files: report.files.present(),
            folders: report.folders.present(),
            bytes: report.total_bytes,
        };
        let applied = tokio::task::spawn_blocking(move || update.commit(&cache, &source)).await;
        if let Err(problem) =
            applied.map_err(|cause| cause.to_string()).and_then(|done| done.map_err(|e| e.to_string()))
        {
            tracing::warn!(%problem, "the stat cache could not be written; the next backup compares with the snapshot");
        }
    }
    Ok(())
}

impl From<ReadError> for BackupError {
    fn from(error: ReadError) -> Self {
        Self::Repository(error.into())
    }
}

/// Whether any change after `seen_at` moves the change time. That is stamped by the kernel at every change, of bytes or
/// of metadata, and no program can set it, but two changes in one tick of the kernel's clock have the same: 20 ms is a
/// tick, generously; two seconds where the times have no fractions. The modification time tells nothing more, as
/// programs set it to whatever they like, also to the future.
fn is_settled(stat: &crate::source::Stat, seen_at: SystemTime) -> bool {
    let coarse = stat.ctime.1 == 0;
    let tick = if coarse { 2_000_000_000 } else { 20_000_000 };
    let changed = i128::from(stat.ctime.0) * 1_000_000_000 + i128::from(stat.ctime.1);
    let seen = match seen_at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    };
    changed + tick < seen
}
