//! The stored form of a lock.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use serde::{Deserialize, Serialize};

use super::decide::Kind;
use super::host::Identity;
use super::{EXCLUSIVE_KEY, SHARED_PREFIX};
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
    /// Random: tells this lock from any other one. Only this project writes it and what follows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The boot of the holder's host.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub boot_id: String,
    /// When the holder's process started, in clock ticks since boot.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pid_start: u64,
    /// Among which processes the holder has its number. Only proof that a process is gone uses this and the next one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pid_namespace: u64,
    /// The holder's machine, whatever its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host_id: String,
    /// It lies among the shared locks and announces an exclusive one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_intent: bool,
}

/// The most bytes that a lock may decode to.
const PLAIN_MAX: usize = 64 << 10;

/// The `operation` of an exclusive lock that was given back where a store cannot delete on condition.
const RELEASED: &str = "released";

impl LockRecord {
    /// An exclusive lock of this process.
    pub(super) fn new(
        operation: &str,
        holder: &Identity,
        now: DateTime<Utc>,
        ttl: Duration,
    ) -> Result<Self, getrandom::Error> {
        let mut id = [0; 16];
        getrandom::fill(&mut id)?;
        let mut lock = Self {
            operation: operation.to_owned(),
            holder: format!("{} (pid {})", holder.host, holder.pid),
            acquired_at: Timestamp::nanoseconds(blurred(now, &id)).to_string(),
            expires_at: String::new(),
            is_shared: false,
            id: hex::encode(id),
            boot_id: holder.boot_id.clone(),
            pid_start: holder.pid_start,
            pid_namespace: holder.pid_namespace,
            host_id: holder.host_id.clone(),
            is_intent: false,
        };
        lock.extend(now, ttl);
        Ok(lock)
    }

    /// The same as a shared lock, or as an intent to take an exclusive one.
    pub(super) fn shared(self, kind: Kind) -> Self {
        Self { is_shared: true, is_intent: kind == Kind::Exclusive, ..self }
    }

    /// What stands for an exclusive lock that was given back, or was called dead. It is nobody's: its holder must not
    /// find it and take it for its own.
    pub(super) fn released(&self) -> Self {
        let long_ago = Timestamp::nanoseconds(DateTime::UNIX_EPOCH).to_string();
        Self { operation: RELEASED.to_owned(), expires_at: long_ago, id: String::new(), ..self.clone() }
    }

    /// Whether it only stands for one that was given back.
    pub(super) fn is_released(&self) -> bool {
        self.operation == RELEASED && self.expires() == Some(DateTime::UNIX_EPOCH)
    }

    /// Makes it live for another `ttl`.
    pub(super) fn extend(&mut self, now: DateTime<Utc>, ttl: Duration) {
        let expires = now + TimeDelta::from_std(ttl).unwrap_or_default();
        self.expires_at = Timestamp::nanoseconds(expires).to_string();
    }

    /// When it expires, if that can be read.
    pub fn expires(&self) -> Option<DateTime<Utc>> {
        DateTime::parse_from_rfc3339(&self.expires_at).ok().map(|expires| expires.with_timezone(&Utc))
    }

    /// The kind that it counts as.
    pub fn kind(&self) -> Kind {
        if self.is_shared && !self.is_intent { Kind::Shared } else { Kind::Exclusive }
    }

    /// The name of its holder's host.
    pub fn host(&self) -> Option<&str> {
        self.holder.rsplit_once(" (pid ").map(|(host, _)| host)
    }

    /// The number of its holder's process.
    pub fn pid(&self) -> Option<u32> {
        self.holder.rsplit_once(" (pid ")?.1.strip_suffix(')')?.parse().ok()
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

/// The key of a shared lock is the time it was taken at and nothing else, so that no two may be taken at one. Random
/// digits for what is below a millisecond see to that.
fn blurred(now: DateTime<Utc>, random: &[u8; 16]) -> DateTime<Utc> {
    let nanoseconds = u128::from_be_bytes(*random) % 1_000_000;
    let millisecond = now.timestamp_subsec_millis() * 1_000_000;
    now.with_nanosecond(millisecond + nanoseconds as u32).unwrap_or(now)
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::crypto::MasterKey;
    use crate::lock::TTL;
    use crate::lock::decide::{Holder, Standing, standing};
    use crate::lock::host::{Host, ThisHost};

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
            assert_eq!((lock.host(), lock.pid(), lock.kind()), (Some("vm"), Some(23386), Kind::Shared));
            assert_eq!(lock.key(), "index/lock.shared/2026-11-21T03:59:41.364347158Z");
            let at = |now: &str| standing(lock.expires(), Holder::NotKnownDead, now.parse().unwrap());
            assert_eq!(at("2026-11-21T04:00:41Z"), Standing::Live);
            assert_ne!(at("2026-11-21T04:00:41.364347159Z"), Standing::Live);
            assert_eq!(lock.encode(), golden("objects-plain/backup-lock.decoded.json"));
        }
        let exclusive = LockRecord::decode(&sealer, &golden("objects-plain/prune-lock.exclusive")).unwrap();
        assert_eq!((exclusive.key(), exclusive.kind()), (EXCLUSIVE_KEY.to_owned(), Kind::Exclusive));
    }

    #[test]
    fn a_lock_that_the_cli_sealed_with_a_key_is_read_and_counts_as_unreadable_without() {
        let keys = MasterKey::generate().unwrap().derive();
        let (sealer, plain) = (Sealer::new(Some(&keys)), golden("objects-encrypted/prune-lock.exclusive.decoded.json"));
        let sealed = sealer.seal(&plain).unwrap();
        assert_eq!(LockRecord::decode(&sealer, &sealed), LockRecord::decode(&sealer, &plain));
        assert_eq!(LockRecord::decode(&sealer, &plain).unwrap().operation, "prune");
        assert_eq!(LockRecord::decode(&Sealer::new(None), &sealed), None);
        let of_another_key = golden("objects-encrypted/prune-lock.exclusive");
        assert_eq!(LockRecord::decode(&sealer, &of_another_key), None);
    }

    /// A reader that knows the documented form and nothing else.
    #[derive(Deserialize)]
    struct Documented {
        operation: String,
        holder: String,
        acquired_at: String,
        expires_at: String,
        #[serde(default)]
        is_shared: bool,
    }

    #[test]
    fn a_reader_of_the_documented_form_accepts_our_locks() {
        let host = ThisHost::new();
        let now = Utc::now();
        let exclusive = LockRecord::new("prune", host.identity(), now, TTL).unwrap();
        for lock in [exclusive.clone(), exclusive.clone().shared(Kind::Shared), exclusive.shared(Kind::Exclusive)] {
            let text = String::from_utf8(lock.encode()).unwrap();
            let read: Documented = serde_json::from_str(&text).unwrap();
            assert_eq!((read.operation, read.holder), ("prune".to_owned(), lock.holder.clone()));
            let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
            assert_eq!((at(&read.expires_at), read.is_shared), (now + TTL, lock.is_shared));
            assert!((at(&read.acquired_at) - now).abs() < TimeDelta::milliseconds(1));
            let fields = ["operation", "holder", "acquired_at", "expires_at"].map(|field| text.find(field).unwrap());
            assert!(fields.is_sorted() && fields[3] < text.find("\"id\"").unwrap(), "{text}");
            assert!(text.contains(".") && lock.acquired_at.len() == "2026-11-21T03:59:41.364347158Z".len());
        }
    }

    #[test]
    fn two_locks_of_one_moment_have_two_keys() {
        let host = ThisHost::new();
        let lock = || LockRecord::new("backup", host.identity(), DateTime::UNIX_EPOCH, TTL).unwrap();
        assert_ne!(lock().shared(Kind::Shared).key(), lock().shared(Kind::Shared).key());
    }
}
