//! The daemon's memory: the jobs and their logs, in `state.redb`, and beside it what they found.
//!
//! The one invariant: when a call that writes returns, what it wrote survives `kill -9`; and a job that has ended is never
//! written over. One thread owns all write transactions (`writer`); reads go beside it.

mod findings;
mod lock;
mod reads;
mod tables;
mod writer;

#[cfg(test)]
mod tests;

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cloudstic_proto::v1;
use redb::{Database, ReadableDatabase};

pub use findings::{FindingsFolder, FindingsLog, FindingsReader};
pub use lock::StateLock;
pub use tables::LOG_LINES_KEPT;

use crate::supervisor::{Ended, JobId};
use reads::Mark;
use writer::Writer;

/// The name of the file.
const FILE: &str = "state.redb";
/// How much of the database redb may keep in memory, in bytes.
const CACHE_BYTES: usize = 8 << 20;

/// The open state. Cheap to clone.
#[derive(Debug, Clone)]
pub struct State {
    db: Arc<Database>,
    writer: Writer,
    findings: Arc<FindingsFolder>,
    _lock: Arc<StateLock>,
}

/// What the last daemon left.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The newest job that is known.
    pub last_id: Option<JobId>,
    /// Jobs that had not ended, and are `interrupted` now.
    pub interrupted: Vec<v1::Job>,
}

/// Lines of a job's log that are to be stored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewLines {
    /// The number of the first one, counting from 0.
    pub first: u64,
    /// One after the other.
    pub lines: Vec<v1::LogLine>,
}

/// What can go wrong with the state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another daemon.
    #[error(
        "{path} is in use by a cloudsticd that runs already (pid {pid}): stop it, or give this one another state_dir"
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The other one, as far as it said.
        pid: String,
    },
    /// The folder or the file.
    #[error(
        "the state in {path} cannot be opened: {cause}; see that the daemon's user may write there, or set daemon.state_dir"
    )]
    Open {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        cause: String,
    },
    /// The file is not what was written.
    #[error(
        "{path} is damaged ({cause}): move it away and start again; only the history of jobs is lost with it, no backup"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How it shows.
        cause: String,
    },
    /// A newer daemon's.
    #[error("{path} was written by a newer cloudsticd (schema {found}): use that one, or move the file away")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u64,
    },
    /// Reading or writing.
    #[error("the state cannot be read or written: {0}: see that its disk is not full or failing")]
    Storage(String),
    /// A bug: nothing may follow a terminal state.
    #[error("job {0} has ended already")]
    AlreadyEnded(JobId),
    /// The writer is gone.
    #[error("the state is closed: the daemon is stopping")]
    Closed,
}

impl StateError {
    fn damaged(cause: impl std::fmt::Display) -> Self {
        Self::Damaged { path: FILE.into(), cause: cause.to_string() }
    }
}

impl<E: Into<redb::Error>> From<E> for StateError {
    fn from(error: E) -> Self {
        use redb::Error;
        match error.into() {
            Error::Io(cause) if matches!(cause.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
                Self::damaged(cause)
            }
            error @ (Error::Corrupted(_)
            | Error::UpgradeRequired(_)
            | Error::TableTypeMismatch { .. }
            | Error::TableIsMultimap(_)
            | Error::TypeDefinitionChanged { .. }
            | Error::TableDoesNotExist(_)) => Self::damaged(error),
            error => Self::Storage(error.to_string()),
        }
    }
}

impl State {
    /// Takes the folder for this process (made with mode 0700 if it is not there), opens the state, and ends what the
    /// last daemon left unended. The oldest ended jobs beyond `keep_jobs` are forgotten from now on.
    pub fn open(folder: &Path, keep_jobs: usize, now: SystemTime) -> Result<(Self, Recovered), StateError> {
        let lock = StateLock::take(folder)?;
        let path = folder.join(FILE);
        let failed = |cause: String| StateError::Open { path: path.clone(), cause };
        let placed = |error| match error {
            StateError::Damaged { cause, .. } => StateError::Damaged { path: path.clone(), cause },
            other => other,
        };
        let opened = unpanicked(|| Ok(Database::builder().set_cache_size(CACHE_BYTES).create(&path)?));
        let db = opened.map_err(|error| match error {
            StateError::Storage(cause) => failed(cause),
            other => placed(other),
        })?;
        // It tells the names of files that others may not be allowed to see, and the folder may be open to them.
        let private = std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600));
        private.map_err(|error| failed(error.to_string()))?;
        let (db, recovered) = unpanicked(move || {
            tables::prepare(&db, &folder.join(FILE))?;
            let recovered = recover(&db, keep_jobs, now)?;
            Ok((db, recovered))
        })
        .map_err(placed)?;
        let db = Arc::new(db);
        let findings = Arc::new(FindingsFolder::new(folder));
        findings.keep(&tables::ids(&db.begin_read().map_err(StateError::from)?)?);
        let writer =
            Writer::start(db.clone(), keep_jobs, findings.clone()).map_err(|error| failed(error.to_string()))?;
        Ok((Self { db, writer, findings, _lock: Arc::new(lock) }, recovered))
    }

    /// Stores a job as it is now, with lines of its log.
    pub async fn save(&self, id: JobId, job: v1::Job, lines: NewLines) -> Result<(), StateError> {
        self.writer.save(id, job, lines).await
    }

    /// Stores lines of a job's log some time soon; a failure shows at the job's next [`State::save`].
    pub fn append(&self, id: JobId, lines: NewLines) {
        self.writer.append(id, lines);
    }

    /// A job.
    pub async fn job(&self, id: JobId) -> Result<Option<v1::Job>, StateError> {
        self.read(move |read| tables::job(&read, id)).await
    }

    /// The newest jobs first, at most `limit`, only those that `wanted` takes.
    pub async fn newest(
        &self,
        limit: usize,
        wanted: impl FnMut(&v1::Job) -> bool + Send + 'static,
    ) -> Result<Vec<v1::Job>, StateError> {
        self.read(move |read| tables::newest(&read, limit, wanted)).await
    }

    /// The stored log of a job.
    pub async fn log(&self, id: JobId) -> Result<Vec<v1::LogLine>, StateError> {
        self.read(move |read| tables::log(&read, id)).await
    }

    /// Where a job can put what it finds.
    pub fn findings_log(&self, id: JobId) -> FindingsLog {
        self.findings.log(id)
    }

    /// What a job has found; `None` if nothing was kept.
    pub async fn findings(&self, id: JobId) -> Result<Option<FindingsReader>, StateError> {
        let folder = Arc::clone(&self.findings);
        let opened = tokio::task::spawn_blocking(move || folder.read(id)).await;
        let opened = opened.map_err(|error| StateError::Storage(error.to_string()))?;
        opened.map_err(|error| StateError::Storage(error.to_string()))
    }

    /// Remembers where the next check that reads a part of a repository's data goes on; the repository is told by its
    /// fingerprint.
    pub async fn read_up_to(&self, repository: &str, next: u64) -> Result<(), StateError> {
        self.writer.remember(Mark::Next(repository.to_owned(), next)).await
    }

    /// Where that is; 0 at first.
    pub async fn next_read(&self, repository: &str) -> Result<u64, StateError> {
        let repository = repository.to_owned();
        self.read(move |read| reads::next(&read, &repository)).await
    }

    /// Remembers that all of a repository was found whole, to the second; it is told by its fingerprint.
    pub async fn checked_whole(&self, repository: &str, now: SystemTime) -> Result<(), StateError> {
        let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.writer.remember(Mark::Whole(repository.to_owned(), second)).await
    }

    /// When that was last of one that lies in this store or did once, and which one it was; `None` if it never was.
    pub async fn last_whole(&self, store: &str) -> Result<Option<(String, SystemTime)>, StateError> {
        let store = store.to_owned();
        let last = self.read(move |read| reads::whole(&read, &store)).await?;
        let at = |second| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(second));
        Ok(last.and_then(|(repository, second)| Some((repository, at(second)?))))
    }

    /// Waits until everything is written, and lets no more be written.
    pub async fn close(&self) {
        self.writer.close().await;
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(redb::ReadTransaction) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let db = self.db.clone();
        let answer = tokio::task::spawn_blocking(move || query(db.begin_read()?)).await;
        answer.map_err(|error| StateError::Storage(error.to_string()))?
    }
}

/// A damaged file may make the database panic.
fn unpanicked<T>(work: impl FnOnce() -> Result<T, StateError>) -> Result<T, StateError> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(StateError::damaged("reading it panics")))
}

fn recover(db: &Database, keep_jobs: usize, now: SystemTime) -> Result<Recovered, StateError> {
    let jobs = tables::newest(&db.begin_read()?, usize::MAX, |_| true)?;
    let last_id = jobs.first().and_then(|job| job.id.parse().ok());
    let left = jobs.into_iter().filter_map(|job| Ended::left_behind(job, now));
    let interrupted: Vec<v1::Job> = left.map(|ended| ended.job().clone()).collect();

    let write = db.begin_write()?;
    for job in &interrupted {
        let Ok(id) = job.id.parse() else { continue };
        tables::put_job(&write, id, job)?;
        let message = "the daemon ended before the job did".to_owned();
        tables::add_line(&write, id, v1::LogLine { time: Some(now.into()), level: "error".into(), message })?;
    }
    tables::prune(&write, keep_jobs)?;
    write.commit()?;
    Ok(Recovered { last_id, interrupted })
}
