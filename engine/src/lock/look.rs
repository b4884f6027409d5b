//! Seeing who else is there, and making way.

use chrono::{DateTime, Utc};
use futures::stream::TryStreamExt;

use super::decide::{self, Kind, Standing, Verdict};
use super::error::{LockError, Refusal};
use super::record::LockRecord;
use super::{EXCLUSIVE_KEY, Locks, SHARED_PREFIX, host};
use crate::store::{StoreResult, Version};

/// A lock as it was found.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) key: String,
    /// `None` if it is there and cannot be read. Then it counts as live.
    pub(super) lock: Option<LockRecord>,
    pub(super) version: Version,
    pub(super) standing: Standing,
}

impl Seen {
    /// Its place decides, so that no lock can pass as harmless; among the shared ones, intents say what they are.
    pub(super) fn kind(&self) -> Kind {
        match &self.lock {
            _ if self.key == EXCLUSIVE_KEY => Kind::Exclusive,
            Some(lock) if lock.is_intent => Kind::Exclusive,
            _ => Kind::Shared,
        }
    }

    pub(super) fn is_one_of(&self, ids: &[String]) -> bool {
        self.lock.as_ref().is_some_and(|lock| !lock.id.is_empty() && ids.contains(&lock.id))
    }
}

/// How often a lock that changes under our eyes is looked at again before whoever changes it counts as in the way.
const LOOKS: usize = 5;

impl Locks {
    /// Refuses if somebody else's lock conflicts. Changes nothing; gives the dead ones that conflict.
    pub(super) async fn conflicts(&self, wanted: Kind, own: &[String]) -> Result<Vec<Seen>, LockError> {
        let mut seen = Vec::new();
        // Whoever takes an exclusive lock without the store's help announces it among the shared ones, and removes the
        // announcement last: so those are looked at first.
        if wanted == Kind::Exclusive || !self.has_one_winner() {
            seen.extend(self.look_at_shared().await?);
        }
        if wanted == Kind::Shared || !self.has_one_winner() {
            seen.extend(self.look(EXCLUSIVE_KEY).await?);
        }
        seen.retain(|seen| !seen.is_one_of(own));
        seen.retain(|seen| decide::verdict(wanted, seen.kind(), seen.standing) != Verdict::Ignore);
        match seen.iter().find(|seen| decide::verdict(wanted, seen.kind(), seen.standing) == Verdict::Refuse) {
            Some(in_the_way) => Err(refused(in_the_way)),
            None => Ok(seen),
        }
    }

    /// The same, and removes the dead locks that conflict: a holder that comes back from a suspend must not find its lock
    /// as if nobody had been there. To be done after one's own lock is written and before it is relied upon.
    pub(super) async fn make_way(&self, wanted: Kind, own: &[String]) -> Result<(), LockError> {
        let mut changing = None;
        for _ in 0..LOOKS {
            changing = None;
            for dead in self.conflicts(wanted, own).await? {
                if !self.retire(&dead).await? {
                    changing = Some(dead);
                }
            }
            if changing.is_none() {
                return Ok(());
            }
        }
        changing.map_or(Ok(()), |changing| Err(refused(&changing)))
    }

    /// Removes a dead lock as it was seen; `false` if it has changed since.
    pub(super) async fn retire(&self, seen: &Seen) -> StoreResult<bool> {
        let capabilities = self.store.capabilities();
        if capabilities.conditional_delete {
            return self.store.delete_if_unchanged(&seen.key, &seen.version).await;
        }
        if seen.key != EXCLUSIVE_KEY {
            // A lock that died is never alive again under its key, so this can only hit the dead.
            return self.store.delete(&seen.key).await.map(|()| true);
        }
        // This key may be somebody else's at any time, so that where the store has no conditions it is left alone; there,
        // nobody relies on it.
        match &seen.lock {
            _ if !capabilities.conditional_replace => Ok(true),
            Some(lock) if lock.is_released() => Ok(true),
            Some(lock) => self.store.put_if_unchanged(&seen.key, lock.released().encode().into(), &seen.version).await,
            None => Ok(false),
        }
    }

    /// The lock under this key.
    pub(super) async fn look(&self, key: &str) -> StoreResult<Option<Seen>> {
        match self.store.get_versioned(key).await {
            Ok((bytes, version)) => {
                let lock = LockRecord::decode(&self.sealer, &bytes);
                let standing = lock.as_ref().map_or(Standing::Live, |lock| self.standing(lock));
                Ok(Some(Seen { key: key.to_owned(), lock, version, standing }))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All shared locks and intents.
    pub(super) async fn look_at_shared(&self) -> StoreResult<Vec<Seen>> {
        let listed: Vec<_> = self.store.list(SHARED_PREFIX).try_collect().await?;
        let mut seen = Vec::new();
        for stat in listed {
            seen.extend(self.look(&stat.key).await?);
        }
        Ok(seen)
    }

    fn standing(&self, lock: &LockRecord) -> Standing {
        let now = self.now();
        let holder = host::holder(self.host.as_ref(), lock, self.timing.ttl, now);
        decide::standing(lock.expires(), holder, now)
    }

    /// What time it is, by the store's clock if that is known.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.wall() + self.skew().unwrap_or_default()
    }

    /// A lock of this process for `operation`.
    pub(super) fn new_lock(&self, operation: &str) -> Result<LockRecord, LockError> {
        LockRecord::new(operation, self.host.identity(), self.now(), self.timing.ttl)
            .map_err(|cause| LockError::System(format!("a lock cannot be made: {cause}")))
    }
}

pub(super) fn refused(seen: &Seen) -> LockError {
    LockError::Held(Box::new(Refusal { kind: seen.kind(), lock: seen.lock.clone(), key: seen.key.clone() }))
}
