//! Taking a lock, at once or after waiting for others.

use std::time::Duration;

use super::decide::Kind;
use super::error::LockError;
use super::lease::Lease;
use super::{Locks, exclusive, shared};

/// The first wait is up to this long, and each one up to twice as long as the one before.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);

impl Locks {
    /// Takes a lock for `operation` (`backup`, `prune`, …), or fails at once.
    ///
    /// If the future is dropped, what was written of the lock expires by itself.
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
            let taken = match kind {
                Kind::Shared => shared::take(self, operation).await,
                Kind::Exclusive => exclusive::take(self, operation).await,
            };
            let refusal = match taken {
                Ok(held) => return Ok(Lease::start(self.clone(), held, operation)),
                Err(LockError::Held(refusal)) => refusal,
                Err(error) => return Err(error),
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
}

/// From 0 to 1. Without random numbers, the middle.
pub(super) fn random() -> f64 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_or(0.5, |()| f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}
