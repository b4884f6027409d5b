//! Restore: the entries of a snapshot, written to a folder or as a ZIP stream.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::object::ObjectRef;
use crate::progress::Progress;
use crate::repository::{Repository, RepositoryError};
use crate::source::Warning;

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
    /// Ordinary files.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Links and special files.
    pub others: u64,
    /// Bytes of files.
    pub bytes: u64,
    /// Left alone.
    pub skipped: u64,
    /// The first warnings.
    pub warnings: Vec<Warning>,
    /// All of them; more than none means `partial`.
    pub warning_count: u64,
}

/// Restores to a folder.
pub async fn restore(
    _repository: Arc<Repository>,
    _request: RestoreRequest,
    _progress: Arc<dyn Progress>,
    _cancel: CancellationToken,
) -> Result<RestoreReport, RestoreError> {
    unimplemented!()
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
}

/// Restores as a ZIP stream, sent in pieces of at most 256 KiB. When it ends with an error, the archive has no central
/// directory, so that no program takes it for a whole one.
pub async fn archive(
    _repository: Arc<Repository>,
    _request: ArchiveRequest,
    _output: tokio::sync::mpsc::Sender<bytes::Bytes>,
    _progress: Arc<dyn Progress>,
    _cancel: CancellationToken,
) -> Result<RestoreReport, RestoreError> {
    unimplemented!()
}

/// Why nothing, or not all, was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// No such path.
    #[error("{path} is not in {snapshot}: see `cloudsticctl ls`")]
    NoSuchPath {
        /// The path.
        path: String,
        /// The snapshot.
        snapshot: String,
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
