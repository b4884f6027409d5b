//! One request, tried again and again.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::health::Outlook;
use super::{LOCKS, LimitedStore};
use crate::store::{Retry, StoreError, StoreErrorKind, StoreOperation, StoreResult};

/// What became of one request so far.
#[derive(Debug)]
pub(super) struct Tries {
    operation: StoreOperation,
    /// Bytes that each try sends.
    sends: u64,
    failures: u32,
    first_failure: Option<Instant>,
}

impl Tries {
    pub(super) fn new(operation: StoreOperation) -> Self {
        Self { operation, sends: 0, failures: 0, first_failure: None }
    }

    /// Each try of which sends so many bytes.
    fn sending(self, sends: u64) -> Self {
        Self { sends, ..self }
    }

    /// It has got on, so that what failed before does not count any more.
    pub(super) fn got_on(&mut self) {
        *self = Self::new(self.operation).sending(self.sends);
    }
}

impl LimitedStore {
    /// [`LimitedStore::tried`] for what changes something.
    pub(super) async fn changed<T, F: Future<Output = StoreResult<T>>>(
        &self,
        operation: StoreOperation,
        key: &str,
        bytes: u64,
        once: impl Fn(bool) -> F,
    ) -> StoreResult<T> {
        if !key.starts_with(LOCKS) {
            return self.tried(operation, key, bytes, once).await;
        }
        let deadline = self.limits.deadline(bytes);
        timeout(deadline, once(false)).await.unwrap_or_else(|_| Err(self.no_answer(key, deadline)))
    }

    /// Does `once` until it succeeds, or fails for good. Each try may take as long as so many bytes need; `once` is told
    /// whether an earlier one may have reached the store. May be dropped at any moment.
    pub(super) async fn tried<T, F: Future<Output = StoreResult<T>>>(
        &self,
        operation: StoreOperation,
        key: &str,
        bytes: u64,
        once: impl Fn(bool) -> F,
    ) -> StoreResult<T> {
        let sends = if operation.is_read() { 0 } else { bytes };
        let mut tries = Tries::new(operation).sending(sends);
        loop {
            self.health.admit()?;
            let deadline = self.limits.deadline(bytes);
            let done = match timeout(deadline, once(tries.failures > 0)).await {
                Ok(done) => done,
                Err(_) => Err(self.no_answer(key, deadline)),
            };
            match done {
                Ok(done) => {
                    self.health.answered(&self.name);
                    return Ok(done);
                }
                Err(error) => self.endure(&mut tries, error).await?,
            }
        }
    }

    /// Waits before the next try; fails if there is none.
    pub(super) async fn endure(&self, tries: &mut Tries, error: StoreError) -> StoreResult<()> {
        if error.retry() == Retry::Never {
            if !matches!(error.kind, StoreErrorKind::Untrusted | StoreErrorKind::InvalidKey) {
                self.health.answered(&self.name);
            }
            return Err(error);
        }
        tries.failures += 1;
        let first = *tries.first_failure.get_or_insert_with(Instant::now);
        let longest = self.limits.longest_wait(tries.failures);
        let jitter = longest.mul_f64((self.random)().clamp(0.0, 1.0));
        let wait = if let StoreErrorKind::Throttled { retry_after } = error.kind {
            // It answers; it wants less.
            self.health.answered(&self.name);
            let wait = retry_after.map_or(jitter, |asked| asked.saturating_add(jitter));
            if first.elapsed().saturating_add(wait) > self.limits.outage {
                return Err(error);
            }
            wait
        } else {
            match self.health.failed(&error, first, self.limits.outage) {
                Outlook::Gone(unreachable) => return Err(unreachable),
                Outlook::Outage { left } => jitter.min(left),
                Outlook::Single if tries.failures >= self.limits.tries.max(1) => return Err(error),
                Outlook::Single => jitter,
            }
        };
        tracing::debug!(%error, failures = tries.failures, ?wait, "tried again");
        tokio::time::sleep(wait).await;
        self.pace.sent_again(tries.sends);
        self.meter.retried(tries.operation);
        Ok(())
    }

    pub(super) fn no_answer(&self, key: &str, deadline: Duration) -> StoreError {
        let detail = format!(
            "no answer within {} seconds: try again when the line and the store are less busy",
            deadline.as_secs()
        );
        StoreError { kind: StoreErrorKind::Transient, key: key.to_owned(), backend: self.inner.describe(), detail }
    }
}
