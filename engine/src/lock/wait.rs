//! Taking a lock, at once or after waiting for others.

use std::time::Duration;

use tokio::sync::oneshot;

use super::decide::Kind;
use super::error::LockError;
use super::lease::Lease;
use super::{Locks, exclusive, shared};

/// The first wait is up to this long, and each one up to twice as long as the one before.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);

impl Locks {
    /// Takes a lock for `operation` (`backup`, `prune`, …), or fails at once. May be dropped at any moment: what was
    /// taken is given back.
    pub async fn acquire(&self, kind: Kind, operation: &str) -> Result<Lease, LockError> {
        self.acquire_with(kind, operation, Duration::ZERO).await
    }

    /// The same, and tries again for up to `wait` while somebody else is in the way. Two who wait for one another's
    /// sake try at random times, so that one of them gets in.
    pub async fn acquire_with(&self, kind: Kind, operation: &str, wait: Duration) -> Result<Lease, LockError> {
        let deadline = self.clock.boottime() + wait;
        let mut longest = FIRST;
        loop {
            self.measure_skew().await;
            let refusal = match self.take(kind, operation).await {
                Err(LockError::Held(refusal)) => refusal,
                over => return over,
            };
            let now = self.clock.boottime();
            if now >= deadline {
                return Err(LockError::Held(refusal));
            }
            let pause = longest.mul_f64((self.random)().clamp(0.0, 1.0));
            tracing::debug!(%refusal, ?pause, "waiting for a repository lock");
            self.clock.sleep_until((now + pause).min(deadline)).await;
            longest = (longest * 2).min(LONGEST);
        }
    }

    /// Tries once, in a task of its own, so that nothing is left half done when nobody waits for it any more: then the
    /// lease is dropped.
    async fn take(&self, kind: Kind, operation: &str) -> Result<Lease, LockError> {
        let (sender, receiver) = oneshot::channel();
        let (locks, operation) = (self.clone(), operation.to_owned());
        tokio::spawn(async move {
            let taken = match kind {
                Kind::Shared => shared::take(&locks, &operation).await,
                Kind::Exclusive => exclusive::take(&locks, &operation).await,
            };
            drop(sender.send(taken.map(|held| Lease::start(locks, held, &operation))));
        });
        let gone = |_| Err(LockError::System("the task that takes a lock ended before it had one".to_owned()));
        receiver.await.unwrap_or_else(gone)
    }
}

/// From 0 to 1. Without random numbers, the middle.
pub(super) fn random() -> f64 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_or(0.5, |()| f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}
