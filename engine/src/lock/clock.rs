//! The clocks of a lock: one for how long ago something was, which goes on while the host sleeps, and one for what
//! time it is.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rustix::time::{ClockId, clock_gettime};

/// Tells the time, and waits.
#[async_trait]
pub trait LockClock: Send + Sync + Debug {
    /// Since some fixed moment; goes on through suspend, and is never set.
    fn boottime(&self) -> Duration;

    /// The time of day, which may be wrong, and may be set.
    fn wall(&self) -> DateTime<Utc>;

    /// Returns once [`LockClock::boottime`] has reached `deadline`; soon after a resume if that was in the suspend.
    async fn sleep_until(&self, deadline: Duration);
}

/// The system's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLockClock;

/// Timers stand still during a suspend, so that a long sleep is made of short ones.
const SLICE: Duration = Duration::from_secs(1);

#[async_trait]
impl LockClock for SystemLockClock {
    fn boottime(&self) -> Duration {
        let now = clock_gettime(ClockId::Boottime);
        Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
    }

    fn wall(&self) -> DateTime<Utc> {
        Utc::now()
    }

    async fn sleep_until(&self, deadline: Duration) {
        while let Some(left) = deadline.checked_sub(self.boottime()).filter(|left| !left.is_zero()) {
            tokio::time::sleep(left.min(SLICE)).await;
        }
    }
}
