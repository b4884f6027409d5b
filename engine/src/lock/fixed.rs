//! A lock under the one key that all exclusive takers share. Where the store has conditional writes, it is what makes a
//! holder the only one; elsewhere it only tells others, and the intent beside it counts.

use std::time::Duration;

use super::claim::too_slow;
use super::decide::{Kind, Standing};
use super::error::{LockError, LostReason};
use super::held::Trouble;
use super::look::{Seen, refused};
use super::record::LockRecord;
use super::{EXCLUSIVE_KEY, Locks};
use crate::store::StoreResult;

/// The exclusive key, when it is ours.
#[derive(Debug)]
pub(super) struct Fixed {
    pub(super) lock: LockRecord,
    pub(super) sure_until: Duration,
}

/// How often it is tried to take the key while others take it and give it back.
const TRIES: usize = 5;

impl Fixed {
    /// Takes the key if nobody has it. Whether that makes its owner a holder is for the caller to find out.
    pub(super) async fn take(locks: &Locks, operation: &str) -> Result<Self, LockError> {
        let started = locks.clock.boottime();
        let lock = locks.new_lock(operation)?;
        let fixed = Self { sure_until: locks.timing.sure_until(started), lock };
        let taken = fixed.contend(locks).await;
        if matches!(taken, Err(LockError::Store(_))) {
            // It may have been written all the same.
            let _ = fixed.withdraw(locks).await;
        }
        taken.map(|()| fixed)
    }

    async fn contend(&self, locks: &Locks) -> Result<(), LockError> {
        let mut found = locks.look(EXCLUSIVE_KEY).await?;
        for _ in 0..TRIES {
            let bytes = self.lock.encode().into();
            let won = match &found {
                None => locks.store.put_if_absent(EXCLUSIVE_KEY, bytes).await?,
                Some(seen) if seen.standing == Standing::Live => return Err(refused(seen)),
                Some(seen) => locks.store.put_if_unchanged(EXCLUSIVE_KEY, bytes, &seen.version).await?,
            };
            let now_there = locks.look(EXCLUSIVE_KEY).await?;
            // A request that was sent twice meets its own first try and calls that a defeat, so what is there counts;
            // it is ours if we won, unless somebody removed it by force.
            if now_there.as_ref().is_some_and(|seen| self.owns(seen)) {
                return Ok(());
            }
            tracing::debug!(won, "the exclusive lock was contended");
            found = now_there;
        }
        match found {
            Some(seen) => Err(refused(&seen)),
            None => Err(too_slow(locks, EXCLUSIVE_KEY).into()),
        }
    }

    pub(super) fn is_sure(&self, locks: &Locks) -> bool {
        locks.clock.boottime() < self.sure_until
    }

    /// Gives the key back, if it is still ours.
    pub(super) async fn withdraw(&self, locks: &Locks) -> StoreResult<()> {
        match locks.look(EXCLUSIVE_KEY).await? {
            Some(seen) if !self.owns(&seen) => Ok(()),
            Some(seen) if locks.store.capabilities().conditional_replace => locks.retire(&seen).await.map(drop),
            Some(seen) => locks.store.delete(&seen.key).await,
            None => Ok(()),
        }
    }

    /// Makes it live on. A conditional write succeeds only if nobody removed or replaced the lock since it was read,
    /// which every taker does that passes by it when it is dead.
    pub(super) async fn refresh(&mut self, locks: &Locks, own: &[String]) -> Result<(), Trouble> {
        let started = locks.clock.boottime();
        let seen = match locks.look(EXCLUSIVE_KEY).await? {
            Some(seen) if self.owns(&seen) => seen,
            other => return Err(taken(other)),
        };
        let mut lock = self.lock.clone();
        lock.extend(locks.now(), locks.timing.ttl);
        if locks.store.capabilities().conditional_replace {
            if !locks.store.put_if_unchanged(EXCLUSIVE_KEY, lock.encode().into(), &seen.version).await? {
                match locks.look(EXCLUSIVE_KEY).await? {
                    Some(seen) if seen.lock.as_ref() == Some(&lock) => {}
                    other => return Err(taken(other)),
                }
            }
        } else {
            locks.store.put(EXCLUSIVE_KEY, lock.encode().into()).await?;
        }
        if !self.is_sure(locks) {
            // Shared takers of this project would have removed it. Others may not.
            locks.make_way(Kind::Exclusive, own).await?;
        }
        self.lock = lock;
        self.sure_until = locks.timing.sure_until(started);
        Ok(())
    }

    fn owns(&self, seen: &Seen) -> bool {
        seen.lock.as_ref().is_some_and(|lock| lock.id == self.lock.id)
    }
}

/// The key is not ours any more.
fn taken(by: Option<Seen>) -> Trouble {
    match by {
        Some(seen) if seen.standing == Standing::Live => Trouble::from(refused(&seen)),
        _ => LostReason::Gone.into(),
    }
}
