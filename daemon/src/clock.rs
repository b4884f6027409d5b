//! The time of day, as something that tests can set.

use std::fmt;
use std::time::SystemTime;

/// Tells the time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Now.
    fn now(&self) -> SystemTime;
}

/// The clock of this host.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A clock that moves on by one second each time it is asked.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct SteppingClock(std::sync::atomic::AtomicU64);

#[cfg(test)]
impl Clock for SteppingClock {
    fn now(&self) -> SystemTime {
        let seconds = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000 + seconds)
    }
}
