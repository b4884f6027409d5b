//! The repository locks that jobs hold, and those that are there.
//!
//! The one invariant: a job's lock has a store of its own, so that what the job reads and writes cannot keep it from
//! being refreshed; and while the job has it, it is known here whose it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cloudstic_engine::lock::{
    FoundLock, Kind, Lease, LeaseWatch, LockError, LockLost, LockRecord, Locks, LostReason, Standing,
};
use cloudstic_engine::progress::Phase;
use cloudstic_engine::repository::Repository;
use cloudstic_engine::store::StoreErrorKind;
use cloudstic_proto::v1;
use tokio_util::sync::CancellationToken;

use super::Engine;
use crate::config::RepositoryConfig;
use crate::failure::Failure;
use crate::supervisor::{JobContext, JobError, JobId, LogLevel};

/// What lock a job takes.
pub(super) struct Wanted<'a> {
    /// The repository's name.
    pub(super) name: &'a str,
    pub(super) repository: &'a Arc<Repository>,
    pub(super) kind: Kind,
    /// As the lock says it: `backup`, `restore`, …
    pub(super) operation: &'static str,
    /// How long to wait for others, if not as long as the configuration says.
    pub(super) wait: Option<prost_types::Duration>,
    /// Whether the job could do without, where nobody can write: a restore proves all that it reads.
    pub(super) only_reads: bool,
}

/// Which job holds which lock. A lease knows its locks, which change when it is renewed.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<BTreeMap<JobId, LeaseWatch>>);

impl Held {
    fn job(&self, lock: &LockRecord) -> Option<JobId> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().find(|(_, lease)| lease.owns(lock)).map(|(job, _)| *job)
    }
}

/// A job has a lock for as long as this lives, however the job ends.
struct Holding<'a> {
    engine: &'a Engine,
    repository: &'a str,
    kind: Kind,
    job: JobId,
}

impl<'a> Holding<'a> {
    fn new(engine: &'a Engine, wanted: &Wanted<'a>, job: JobId, lease: &Lease) -> Self {
        engine.metrics.lock_taken(wanted.name, wanted.kind);
        engine.held.0.lock().unwrap_or_else(PoisonError::into_inner).insert(job, lease.watch());
        Self { engine, repository: wanted.name, kind: wanted.kind, job }
    }
}

impl Drop for Holding<'_> {
    fn drop(&mut self) {
        self.engine.held.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.job);
        self.engine.metrics.lock_given_back(self.repository, self.kind);
    }
}

impl Engine {
    /// Does the work of a job under a lock, and gives it back. If the lock is lost, the work is cancelled and the job
    /// fails, unless it was done and confirmed by then.
    pub(super) async fn under_lock<T, E, F>(
        &self,
        wanted: Wanted<'_>,
        context: &JobContext,
        work: impl FnOnce(LeaseWatch, CancellationToken) -> F,
    ) -> Result<T, JobError>
    where
        E: Into<Failure> + From<LockLost>,
        F: Future<Output = Result<T, E>>,
    {
        let Wanted { name, repository, only_reads, .. } = wanted;
        let configured = self.open.configured(name)?;
        context.progress.phase(Phase::Locking);
        let begun = tokio::time::Instant::now();
        let taken = tokio::select! {
            biased;
            () = context.cancel.cancelled() => return Err(JobError::Cancelled),
            taken = self.acquire(&wanted, configured, context) => taken,
        };
        let done = match taken {
            Ok(lease) => {
                self.metrics.lock_waited(name, begun.elapsed());
                let _holding = Holding::new(self, &wanted, context.id, &lease);
                let watch = lease.watch();
                let done = lease.during(&context.cancel, work).await;
                if watch.reason().is_some_and(|lost| !matches!(lost.reason, LostReason::Released)) {
                    self.metrics.lock_lost(name);
                }
                done
            }
            Err(LockError::Store(error)) if only_reads && is_read_only(error.kind) => {
                let without = format!("goes on without a lock, so a prune may interfere: {error}");
                context.log.add(LogLevel::Warning, without);
                work(LeaseWatch::not_needed(), context.cancel.clone()).await
            }
            Err(refused) => {
                let failure = Failure::from(refused);
                self.metrics.lock_refused(name, failure.reason);
                return self.judged(name, repository, Err(failure));
            }
        };
        self.judged(name, repository, done)
    }

    async fn acquire(
        &self,
        wanted: &Wanted<'_>,
        configured: &RepositoryConfig,
        context: &JobContext,
    ) -> Result<Lease, LockError> {
        let Wanted { name, repository, kind, operation, wait, .. } = wanted;
        let wait = match wait {
            // Negative is none.
            Some(wait) => Duration::try_from(*wait).unwrap_or_default(),
            None => configured.lock_wait,
        };
        let locks = self.locks(name, configured, repository);
        let taken = match locks.acquire(*kind, operation).await {
            Err(LockError::Held(refusal)) if !wait.is_zero() => {
                context.log.add(LogLevel::Info, format!("waits for a lock: {refusal}"));
                locks.acquire_with(*kind, operation, wait).await
            }
            at_once => at_once,
        };
        if let Some(skew) = locks.skew() {
            self.metrics.clock_skew(name, skew.as_seconds_f64());
        }
        taken
    }

    /// All locks of a repository.
    pub(super) async fn locks_of(&self, name: &str) -> Result<Vec<v1::Lock>, Failure> {
        let repository = self.open.get(name).await?;
        let found = self.locks(name, self.open.configured(name)?, &repository).list().await?;
        Ok(found.into_iter().map(|lock| self.described(lock)).collect())
    }

    /// Removes them all.
    pub(super) async fn break_locks_of(&self, name: &str) -> Result<Vec<v1::Lock>, Failure> {
        let repository = self.open.get(name).await?;
        let broken = self.locks(name, self.open.configured(name)?, &repository).break_all().await?;
        for FoundLock { key, lock, .. } in &broken {
            let holder = lock.as_ref().map(|lock| lock.holder.as_str());
            let operation = lock.as_ref().map(|lock| lock.operation.as_str());
            tracing::warn!(repository = name, key, holder, operation, "a repository lock was broken");
        }
        Ok(broken.into_iter().map(|lock| self.described(lock)).collect())
    }

    fn locks(&self, name: &str, configured: &RepositoryConfig, repository: &Arc<Repository>) -> Locks {
        Locks::new(self.open.store(name, configured), repository.sealer().clone())
    }

    fn described(&self, FoundLock { key, kind, lock, standing }: FoundLock) -> v1::Lock {
        let stale = match standing {
            Standing::Live => String::new(),
            Standing::Stale(why) => why.to_string(),
        };
        let shared = kind == Kind::Shared;
        let Some(lock) = lock else { return v1::Lock { key, shared, stale, ..v1::Lock::default() } };
        v1::Lock {
            key,
            shared,
            stale,
            job_id: self.held.job(&lock).map(|job| job.to_string()).unwrap_or_default(),
            operation: lock.operation,
            holder: lock.holder,
            acquired_at: lock.acquired_at,
            expires_at: lock.expires_at,
        }
    }
}

/// Whether this is how a store fails that can be read and not written.
const fn is_read_only(kind: StoreErrorKind) -> bool {
    matches!(kind, StoreErrorKind::Denied | StoreErrorKind::Full)
}
