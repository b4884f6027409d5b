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
use crate::metrics::Metrics;
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

/// Which job holds which lock of which repository. A lease knows its locks, which change when it is renewed.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<BTreeMap<(JobId, String), LeaseWatch>>);

impl Held {
    fn job(&self, lock: &LockRecord) -> Option<JobId> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().find(|(_, lease)| lease.owns(lock)).map(|((job, _), _)| *job)
    }
}

/// A job, or a call that is none, has a lock for as long as this lives, however it ends.
struct Holding {
    held: Arc<Held>,
    metrics: Arc<Metrics>,
    repository: String,
    kind: Kind,
    job: Option<JobId>,
}

impl Holding {
    fn new(engine: &Engine, wanted: &Wanted<'_>, job: Option<JobId>, lease: &Lease) -> Self {
        engine.metrics.lock_taken(wanted.name, wanted.kind);
        if let Some(job) = job {
            let mut held = engine.held.0.lock().unwrap_or_else(PoisonError::into_inner);
            held.insert((job, wanted.name.to_owned()), lease.watch());
        }
        let (held, metrics) = (Arc::clone(&engine.held), Arc::clone(&engine.metrics));
        Self { held, metrics, repository: wanted.name.to_owned(), kind: wanted.kind, job }
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.metrics.lock_given_back(&self.repository, self.kind);
        if let Some(job) = self.job {
            let key = (job, std::mem::take(&mut self.repository));
            self.held.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        }
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
        let taken = self.take(&wanted, context).await?;
        let done = self.during(taken, &wanted, context.id, &context.cancel, work).await;
        self.judged(wanted.name, wanted.repository, done)
    }

    /// The same, but without a lock if it is a dry run, which changes nothing.
    pub(super) async fn under_lock_unless<T, E, F>(
        &self,
        dry_run: bool,
        wanted: Wanted<'_>,
        context: &JobContext,
        work: impl FnOnce(LeaseWatch, CancellationToken) -> F,
    ) -> Result<T, JobError>
    where
        E: Into<Failure> + From<LockLost>,
        F: Future<Output = Result<T, E>>,
    {
        if !dry_run {
            return self.under_lock(wanted, context, work).await;
        }
        let done = work(LeaseWatch::not_needed(), context.cancel.clone()).await;
        self.judged(wanted.name, wanted.repository, done)
    }

    /// The same under the locks of two repositories. What fails may be the fault of either.
    pub(super) async fn under_two_locks<T, E, F>(
        &self,
        [first, second]: [Wanted<'_>; 2],
        context: &JobContext,
        work: impl FnOnce([LeaseWatch; 2], CancellationToken) -> F,
    ) -> Result<T, JobError>
    where
        E: Into<Failure> + From<LockLost>,
        F: Future<Output = Result<T, E>>,
    {
        let of_first = self.take(&first, context).await?;
        let of_second = match self.take(&second, context).await {
            Ok(taken) => taken,
            Err(refused) => {
                if let Some(lease) = of_first {
                    // Before the job is told to have ended. If it fails, the lock expires by itself.
                    let _ = lease.release().await;
                }
                return Err(refused);
            }
        };
        let done = self.during(of_first, &first, context.id, &context.cancel, async |one: LeaseWatch, cancel| {
            self.during(of_second, &second, context.id, &cancel, |two, cancel| work([one, two], cancel)).await
        });
        let done = done.await.map_err(Into::<Failure>::into);
        if let Err(failure) = &done {
            self.open.failed(second.name, second.repository, failure);
        }
        self.judged(first.name, first.repository, done)
    }

    /// Takes a lock for a call that is no job. It holds until what this gives is dropped.
    pub(super) async fn lease_for_call(&self, wanted: &Wanted<'_>) -> Result<(Lease, impl Send + use<>), Failure> {
        let configured = self.open.configured(wanted.name)?;
        let locks = self.locks(wanted.name, configured, wanted.repository).await?;
        match self.acquire(&locks, wanted, configured, |_| {}).await {
            Ok(lease) => {
                let holding = Holding::new(self, wanted, None, &lease);
                Ok((lease, holding))
            }
            Err(refused) => {
                let failure = Failure::from(refused);
                self.metrics.lock_refused(wanted.name, failure.reason);
                Err(failure)
            }
        }
    }

    /// Takes the lock of a job; nothing where it can do without.
    async fn take(&self, wanted: &Wanted<'_>, context: &JobContext) -> Result<Option<Lease>, JobError> {
        let Wanted { name, repository, only_reads, .. } = *wanted;
        let configured = self.open.configured(name)?;
        context.progress.phase(Phase::Locking);
        let begun = tokio::time::Instant::now();
        let acquiring = async {
            let locks = self.locks(name, configured, repository).await?;
            let waits = |waits| context.log.add(LogLevel::Info, waits);
            Ok(self.acquire(&locks, wanted, configured, waits).await)
        };
        let taken: Result<_, Failure> = tokio::select! {
            biased;
            () = context.cancel.cancelled() => return Err(JobError::Cancelled),
            taken = acquiring => taken,
        };
        let taken = match taken {
            Ok(taken) => taken,
            Err(failure) => {
                self.metrics.lock_refused(name, failure.reason);
                return self.judged(name, repository, Err(failure));
            }
        };
        match taken {
            Ok(lease) => {
                self.metrics.lock_waited(name, begun.elapsed());
                Ok(Some(lease))
            }
            Err(LockError::Store(error)) if only_reads && is_read_only(error.kind) => {
                let without = format!("goes on without a lock, so a prune may interfere: {error}");
                context.log.add(LogLevel::Warning, without);
                Ok(None)
            }
            Err(refused) => {
                let failure = Failure::from(refused);
                self.metrics.lock_refused(name, failure.reason);
                self.judged(name, repository, Err(failure))
            }
        }
    }

    /// Works under a lock that was taken, if one was, and gives it back.
    async fn during<T, E, F>(
        &self,
        taken: Option<Lease>,
        wanted: &Wanted<'_>,
        job: JobId,
        cancel: &CancellationToken,
        work: impl FnOnce(LeaseWatch, CancellationToken) -> F,
    ) -> Result<T, E>
    where
        E: From<LockLost>,
        F: Future<Output = Result<T, E>>,
    {
        let Some(lease) = taken else { return work(LeaseWatch::not_needed(), cancel.clone()).await };
        let _holding = Holding::new(self, wanted, Some(job), &lease);
        let watch = lease.watch();
        let done = lease.during(cancel, work).await;
        if watch.reason().is_some_and(|lost| !matches!(lost.reason, LostReason::Released)) {
            self.metrics.lock_lost(wanted.name);
        }
        done
    }

    async fn acquire(
        &self,
        locks: &Locks,
        wanted: &Wanted<'_>,
        configured: &RepositoryConfig,
        waits: impl FnOnce(String),
    ) -> Result<Lease, LockError> {
        let Wanted { name, kind, operation, wait, .. } = wanted;
        let wait = match wait {
            // Negative is none.
            Some(wait) => Duration::try_from(*wait).unwrap_or_default(),
            None => configured.lock_wait,
        };
        let taken = match locks.acquire(*kind, operation).await {
            Err(LockError::Held(refusal)) if !wait.is_zero() => {
                waits(format!("waits for a lock: {refusal}"));
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
        let found = self.locks(name, self.open.configured(name)?, &repository).await?.list().await?;
        Ok(found.into_iter().map(|lock| self.described(lock)).collect())
    }

    /// Removes them all.
    pub(super) async fn break_locks_of(&self, name: &str) -> Result<Vec<v1::Lock>, Failure> {
        let repository = self.open.get(name).await?;
        let broken = self.locks(name, self.open.configured(name)?, &repository).await?.break_all().await?;
        for FoundLock { key, lock, .. } in &broken {
            let holder = lock.as_ref().map(|lock| lock.holder.as_str());
            let operation = lock.as_ref().map(|lock| lock.operation.as_str());
            tracing::warn!(repository = name, key, holder, operation, "a repository lock was broken");
        }
        Ok(broken.into_iter().map(|lock| self.described(lock)).collect())
    }

    async fn locks(
        &self,
        name: &str,
        configured: &RepositoryConfig,
        repository: &Arc<Repository>,
    ) -> Result<Locks, Failure> {
        Ok(Locks::new(self.open.store(name, configured).await?, repository.sealer().clone()))
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
