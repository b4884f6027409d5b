//! All locks of a repository, for people.

use super::decide::{Kind, Standing};
use super::look::Seen;
use super::{EXCLUSIVE_KEY, LockRecord, Locks};
use crate::store::StoreError;

/// A lock that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundLock {
    /// Its key.
    pub key: String,
    /// Whether it is for one holder alone. Intents to take an exclusive lock are.
    pub kind: Kind,
    /// What it says; `None` if it cannot be read.
    pub lock: Option<LockRecord>,
    /// Whether it blocks others.
    pub standing: Standing,
}

impl Locks {
    /// All locks, the exclusive one first. Takes none.
    pub async fn list(&self) -> Result<Vec<FoundLock>, StoreError> {
        let seen = self.look_at_all().await?;
        Ok(seen.into_iter().filter(|seen| !is_released(seen)).map(FoundLock::from).collect())
    }

    pub(super) async fn look_at_all(&self) -> Result<Vec<Seen>, StoreError> {
        self.measure_skew().await;
        let mut seen = Vec::from_iter(self.look(EXCLUSIVE_KEY).await?);
        let mut shared = self.look_at_shared().await?;
        shared.sort_by(|a, b| a.key.cmp(&b.key));
        seen.append(&mut shared);
        Ok(seen)
    }
}

/// Whether it is there only because the store could not delete it.
pub(super) fn is_released(seen: &Seen) -> bool {
    seen.lock.as_ref().is_some_and(LockRecord::is_released)
}

impl From<Seen> for FoundLock {
    fn from(seen: Seen) -> Self {
        Self { kind: seen.kind(), key: seen.key, lock: seen.lock, standing: seen.standing }
    }
}
