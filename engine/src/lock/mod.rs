//! Repository locks (format, section 9): who may do what at the same time.
//!
//! Several shared holders may work at once; an exclusive one works alone. A lock is a small object that its holder
//! rewrites every [`REFRESH`]; one that was not rewritten for [`TTL`] is dead and blocks nobody.

mod record;
mod shared;

use std::time::Duration;

pub use record::LockRecord;
pub use shared::{LockError, SharedLock, while_shared};

/// How long a lock lives after it was last written.
pub const TTL: Duration = Duration::from_secs(60);

/// How often a holder rewrites its lock.
pub const REFRESH: Duration = Duration::from_secs(30);

/// The key of the exclusive lock.
pub const EXCLUSIVE_KEY: &str = "index/lock.exclusive";

/// What the keys of shared locks begin with; the rest is `acquired_at`.
pub const SHARED_PREFIX: &str = "index/lock.shared/";
