//! What time it is: the system's answer, or in tests one that is made up.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::SystemTime;

/// Tells the time.
pub trait Clock: Send + Sync + Debug {
    /// Now.
    fn now(&self) -> SystemTime;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A clock that somebody else sets.
#[derive(Debug, Clone, Copy)]
pub struct FixedClock(pub SystemTime);

impl Clock for FixedClock {
    fn now(&self) -> SystemTime {
        self.0
    }
}

/// The system's clock, to be shared.
pub fn system() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}
