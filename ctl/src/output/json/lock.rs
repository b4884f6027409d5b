//! Locks.

use cloudstic_proto::v1;
use serde::Serialize;

use super::filled;

/// `lock list`
#[derive(Serialize)]
pub(crate) struct Locks<'a> {
    repository: &'a str,
    locks: Vec<Lock<'a>>,
}

/// `break-lock`
#[derive(Serialize)]
pub(crate) struct BrokenLocks<'a> {
    repository: &'a str,
    removed: Vec<Lock<'a>>,
    cancelled_jobs: &'a [String],
}

#[derive(Serialize)]
struct Lock<'a> {
    key: &'a str,
    shared: bool,
    operation: Option<&'a str>,
    holder: Option<&'a str>,
    acquired_at: Option<&'a str>,
    expires_at: Option<&'a str>,
    stale: Option<&'a str>,
    job_id: Option<&'a str>,
}

impl<'a> Locks<'a> {
    pub(crate) fn new(repository: &'a str, locks: &'a [v1::Lock]) -> Self {
        Self { repository, locks: locks.iter().map(Lock::from).collect() }
    }
}

impl<'a> BrokenLocks<'a> {
    pub(crate) fn new(repository: &'a str, response: &'a v1::BreakLocksResponse) -> Self {
        let v1::BreakLocksResponse { removed, cancelled_jobs } = response;
        Self { repository, removed: removed.iter().map(Lock::from).collect(), cancelled_jobs }
    }
}

impl<'a> From<&'a v1::Lock> for Lock<'a> {
    fn from(lock: &'a v1::Lock) -> Self {
        Self {
            key: &lock.key,
            shared: lock.shared,
            operation: filled(&lock.operation),
            holder: filled(&lock.holder),
            acquired_at: filled(&lock.acquired_at),
            expires_at: filled(&lock.expires_at),
            stale: filled(&lock.stale),
            job_id: filled(&lock.job_id),
        }
    }
}
