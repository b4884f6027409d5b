//! The stored form of a lock.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{EXCLUSIVE_KEY, SHARED_PREFIX, TTL};
use crate::crypto::Sealer;
use crate::object::{Timestamp, json};

/// A lock as it is stored: plain JSON, with the fields of the documented form first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockRecord {
    /// What the holder does: `backup`, `prune`, …
    pub operation: String,
    /// `<hostname> (pid <pid>)`.
    pub holder: String,
    /// When it was taken; never changes. As text, because what other programs wrote may be no time.
    pub acquired_at: String,
    /// When it dies unless it is rewritten.
    pub expires_at: String,
    /// Shared or exclusive.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_shared: bool,
    /// Random: tells this lock from any other one. Only this project writes it, and the next two.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The boot of the holder's host.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot_id: String,
    /// When the holder's process started, in clock ticks since boot.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pid_start: u64,
}

/// The most bytes that a lock may decode to.
const PLAIN_MAX: usize = 64 << 10;

impl LockRecord {
    /// A lock of this process.
    pub fn new(operation: &str, is_shared: bool, now: DateTime<Utc>) -> Result<Self, getrandom::Error> {
        let mut id = [0; 16];
        getrandom::fill(&mut id)?;
        let mut lock = Self {
            operation: operation.to_owned(),
            holder: format!("{} (pid {})", host_name(), std::process::id()),
            acquired_at: Timestamp::nanoseconds(now).to_string(),
            expires_at: String::new(),
            is_shared,
            id: hex::encode(id),
            boot_id: boot_id(),
            pid_start: process_start(),
        };
        lock.extend(now);
        Ok(lock)
    }

    /// Makes it live for another [`TTL`].
    pub fn extend(&mut self, now: DateTime<Utc>) {
        let expires = now + TimeDelta::from_std(TTL).unwrap_or_default();
        self.expires_at = Timestamp::nanoseconds(expires).to_string();
    }

    /// Whether it blocks others. One whose expiry cannot be read does.
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        DateTime::parse_from_rfc3339(&self.expires_at).map_or(true, |expires| expires > now)
    }

    /// Its key.
    pub fn key(&self) -> String {
        if self.is_shared { format!("{SHARED_PREFIX}{}", self.acquired_at) } else { EXCLUSIVE_KEY.to_owned() }
    }

    /// The bytes to store: plain, as documented.
    pub fn encode(&self) -> Vec<u8> {
        json::encode(self)
    }

    /// Reads a stored lock: plain JSON, or sealed as the CLI writes it. `None` if it is neither.
    pub fn decode(sealer: &Sealer, stored: &[u8]) -> Option<Self> {
        match json::decode(stored) {
            Ok(lock) => Some(lock),
            Err(_) => json::decode(&sealer.open(stored, PLAIN_MAX).ok()?).ok(),
        }
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// The name of this host.
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What tells this boot of the host from any other one; empty where the system does not say.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Field 22 of `/proc/self/stat`; 0 where the system does not say.
fn process_start() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field, the program's name, may hold spaces and brackets: count from its end.
    let start = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19));
    start.and_then(|start| start.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn golden(path: &str) -> Vec<u8> {
        std::fs::read(format!("{}/../tests/fixtures/golden/locks/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn locks_of_the_cli_are_read_sealed_and_plain() {
        let sealer = Sealer::new(None);
        let shared = golden("objects-plain/backup-lock.shared/2026-11-21T03:59:41.364347158Z");
        for bytes in [shared, golden("objects-plain/backup-lock.decoded.json")] {
            let lock = LockRecord::decode(&sealer, &bytes).unwrap();
            assert_eq!((lock.operation.as_str(), lock.holder.as_str()), ("backup", "vm (pid 23386)"));
            assert_eq!(lock.key(), "index/lock.shared/2026-11-21T03:59:41.364347158Z");
            assert!(lock.is_live("2026-11-21T04:00:41Z".parse().unwrap()));
            assert!(!lock.is_live("2026-11-21T04:00:41.364347159Z".parse().unwrap()));
            assert_eq!(lock.encode(), golden("objects-plain/backup-lock.decoded.json"));
        }
        let exclusive = LockRecord::decode(&sealer, &golden("objects-plain/prune-lock.exclusive")).unwrap();
        assert_eq!((exclusive.key(), exclusive.is_shared), (EXCLUSIVE_KEY.to_owned(), false));
    }

    #[test]
    fn a_lock_without_a_readable_expiry_counts_as_live() {
        let mut lock = LockRecord::new("backup", true, Utc::now()).unwrap();
        lock.expires_at = "some day".to_owned();
        assert!(lock.is_live(DateTime::<Utc>::MAX_UTC));
    }
}
