//! Backup: walk, compare, read, store, commit.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::cache::StatCache;
use crate::object::ObjectRef;
use crate::progress::Progress;
use crate::repository::{Repository, RepositoryError};
use crate::source::{Source, SourceError, Warning};

/// What to back up and how.
#[derive(Clone)]
pub struct BackupRequest {
    /// The tree.
    pub source: Arc<dyn Source>,
    /// The stat cache, if there is one.
    pub cache: Option<Arc<StatCache>>,
    /// Tags of the snapshot.
    pub tags: Vec<String>,
    /// Walk and compare, write nothing.
    pub dry_run: bool,
    /// Read every file, whatever cache and previous snapshot say.
    pub read_all: bool,
}

/// What a backup did.
#[derive(Debug, Clone, Default)]
pub struct BackupReport {
    /// The snapshot; `None` on a dry run.
    pub snapshot: Option<ObjectRef>,
    /// Its root.
    pub root: Option<ObjectRef>,
    /// Its number.
    pub seq: u64,
    /// Files and whatever is no folder.
    pub files: Counts,
    /// Folders.
    pub folders: Counts,
    /// Bytes of all files in the tree.
    pub total_bytes: u64,
    /// Bytes that were read.
    pub read_bytes: u64,
    /// New bytes, before compression.
    pub added_bytes: u64,
    /// New bytes in the store.
    pub stored_bytes: u64,
    /// The first 1,000 warnings.
    pub warnings: Vec<Warning>,
    /// How many there were; more than none means `partial`.
    pub warning_count: u64,
}

/// How the tree differs from the previous snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not there before.
    pub new: u64,
    /// Different.
    pub changed: u64,
    /// The same.
    pub unmodified: u64,
    /// Not there any more.
    pub removed: u64,
}

/// Backs up a source into a repository as a new snapshot.
pub async fn backup(
    _repository: Arc<Repository>,
    _request: BackupRequest,
    _progress: Arc<dyn Progress>,
    _cancel: CancellationToken,
) -> Result<BackupReport, BackupError> {
    unimplemented!()
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Cancelled.
    #[error("the backup was cancelled; nothing of it is in the repository's snapshots")]
    Cancelled,
}
