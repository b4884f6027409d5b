//! Repository locks (format, section 9): who may do what at the same time.
//!
//! Any number of shared holders work at once; an exclusive one works alone. A lock is a small object that its holder
//! rewrites every [`REFRESH`]; one that was not rewritten for [`TTL`] is dead and blocks nobody.
//!
//! The one invariant: **never an exclusive holder together with another holder**, where a holder is somebody whose
//! [`Lease::check`] passes. Why it holds:
//!
//! 1. *Of two takers that overlap, one sees the other.* Each writes first and looks afterwards: a shared taker looks for
//!    an exclusive lock, an exclusive one for shared locks, so whoever wrote later sees the other one's lock. Two exclusive
//!    takers contend for one key, which the store gives to one of them; where it cannot, each writes an intent under a
//!    key of its own and keeps it for as long as it holds, and they see one another like the others.
//! 2. *A holder stops believing before anybody may call it dead.* It is sure of its lock from before it was written until
//!    [`Timing::margin`] before it expires, on a clock that goes on through suspend. The margin is what clocks may differ.
//! 3. *Who was overtaken notices.* A taker removes each dead lock that it passes by before it holds, and a lock that died
//!    is never rewritten under its key: its holder writes a new one, looks as a taker does, and then finds its old lock
//!    gone if anybody was there in between. The exclusive key is only ever changed on condition of what was read.
//! 4. *A write that arrives late changes nothing.* After a write whose fate is unknown its key is not used again.
//!
//! The model in `model/` checks this against every interleaving, with the decisions of `decide.rs`. What no lease can
//! prevent is a write that was begun in time and reaches the store after another holder came: see [`LeaseWatch::confirm`].

mod break_locks;
mod claim;
mod clock;
mod decide;
mod error;
mod exclusive;
mod fixed;
mod held;
mod host;
mod lease;
mod list;
mod look;
mod record;
mod shared;
mod skew;
mod wait;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;

pub use clock::{LockClock, SystemLockClock};
pub use decide::{Kind, Stale, Standing, Timing};
pub use error::{LockError, LockLost, LostReason, Refusal};
pub use lease::{Lease, LeaseWatch};
pub use list::FoundLock;
pub use record::LockRecord;

use crate::crypto::Sealer;
use crate::store::ObjectStore;
use host::{Host, ThisHost};

/// How long a lock lives after it was last written.
pub const TTL: Duration = Duration::from_secs(60);

/// How often a holder rewrites its lock.
pub const REFRESH: Duration = Duration::from_secs(30);

/// A clock that differs from the store's by more than this deserves a warning.
pub const SKEW_WARNING: Duration = Duration::from_secs(10);

/// The key of the exclusive lock.
pub const EXCLUSIVE_KEY: &str = "index/lock.exclusive";

/// What the keys of shared locks begin with; the rest is `acquired_at`.
pub const SHARED_PREFIX: &str = "index/lock.shared/";

/// The locks of one repository.
///
/// Give it a store with a connection of its own, so that the traffic of a job cannot keep its lock from being refreshed.
#[derive(Clone)]
pub struct Locks {
    store: Arc<dyn ObjectStore>,
    sealer: Sealer,
    clock: Arc<dyn LockClock>,
    host: Arc<dyn Host>,
    timing: Timing,
    /// How far the store's clock is ahead of ours, when it was last asked.
    skew: Arc<Mutex<Option<TimeDelta>>>,
    random: Arc<dyn Fn() -> f64 + Send + Sync>,
}

impl Locks {
    /// The locks in this store; `sealer` opens those that the CLI wrote.
    pub fn new(store: Arc<dyn ObjectStore>, sealer: Sealer) -> Self {
        Self {
            store,
            sealer,
            clock: Arc::new(SystemLockClock),
            host: Arc::new(ThisHost::new()),
            timing: Timing::default(),
            skew: Arc::default(),
            random: Arc::new(wait::random),
        }
    }

    /// With other times than the documented ones. All clients of a repository must use the same.
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// With another clock than the system's.
    pub fn with_clock(mut self, clock: Arc<dyn LockClock>) -> Self {
        self.clock = clock;
        self
    }

    /// With other random numbers, from 0 to 1, for the time between two tries.
    pub fn with_random(mut self, random: Arc<dyn Fn() -> f64 + Send + Sync>) -> Self {
        self.random = random;
        self
    }

    /// Whether the store itself gives the exclusive key to one taker only.
    fn has_one_winner(&self) -> bool {
        let capabilities = self.store.capabilities();
        capabilities.atomic_create && capabilities.conditional_replace
    }
}

impl fmt::Debug for Locks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locks").field("store", &self.store).field("timing", &self.timing).finish_non_exhaustive()
    }
}
