//! A lock under a key that nobody else uses: a shared lock, or an intent to take an exclusive one.

use std::time::Duration;

use super::Locks;
use super::decide::{self, Kind, Refresh};
use super::error::{LockError, LostReason};
use super::held::{Ids, Trouble};
use super::record::LockRecord;
use crate::store::{StoreError, StoreErrorKind, StoreResult};

/// A lock among the shared ones that is ours.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) lock: LockRecord,
    pub(super) sure_until: Duration,
    /// Every write of the key has ended, and was known to have ended while the lock was sure.
    is_quiet: bool,
    /// The ids of all locks that this claim ever wrote.
    pub(super) ids: Ids,
    /// Keys where a lock of this claim may still be, beside its own.
    left: Vec<String>,
}

impl Claim {
    /// Writes it. Whether it holds is for the caller to find out.
    pub(super) async fn place(locks: &Locks, kind: Kind, operation: &str) -> Result<Self, LockError> {
        let started = locks.clock.boottime();
        let lock = locks.new_lock(operation)?.shared(kind);
        let sure_until = locks.timing.sure_until(started);
        let ids = Ids::default();
        ids.add(&lock);
        let claim = Self { ids, lock, sure_until, is_quiet: true, left: Vec::new() };
        if let Err(error) = locks.store.put(&claim.lock.key(), claim.lock.encode().into()).await {
            // It may have been written all the same.
            let _ = claim.withdraw(locks).await;
            return Err(error.into());
        }
        Ok(claim)
    }

    pub(super) fn is_sure(&self, locks: &Locks) -> bool {
        locks.clock.boottime() < self.sure_until
    }

    /// Removes it, and what is left of earlier ones.
    pub(super) async fn withdraw(&self, locks: &Locks) -> StoreResult<()> {
        let mut left = Ok(());
        for key in &self.left {
            left = left.and(locks.store.delete(key).await);
        }
        left.and(locks.store.delete(&self.lock.key()).await)
    }

    /// Makes it live on. May be dropped at any moment. `own` are the ids of its holder's other locks.
    pub(super) async fn refresh(&mut self, locks: &Locks, own: &[String]) -> Result<(), Trouble> {
        if decide::refresh(self.is_sure(locks), self.is_quiet) == Refresh::Rewrite {
            self.rewrite(locks).await?;
            if self.is_quiet {
                return Ok(());
            }
        }
        self.renew(locks, own).await
    }

    async fn rewrite(&mut self, locks: &Locks) -> Result<(), Trouble> {
        let started = locks.clock.boottime();
        let key = self.lock.key();
        let Some(seen) = locks.look(&key).await? else { return Err(LostReason::Gone.into()) };
        if !seen.is_one_of(&self.ids.all()) {
            return Err(LostReason::Gone.into());
        }
        let mut lock = self.lock.clone();
        lock.extend(locks.now(), locks.timing.ttl);
        self.is_quiet = false;
        if locks.store.capabilities().conditional_replace {
            let replaced = locks.store.put_if_unchanged(&key, lock.encode().into(), &seen.version).await?;
            // A request that was sent twice meets its own first try.
            if !replaced && locks.look(&key).await?.and_then(|seen| seen.lock).as_ref() != Some(&lock) {
                return Err(LostReason::Gone.into());
            }
        } else {
            locks.store.put(&key, lock.encode().into()).await?;
        }
        // What arrived later than this may have put back a lock that somebody had called dead and removed.
        if self.is_sure(locks) {
            self.is_quiet = true;
            self.sure_until = locks.timing.sure_until(started);
            self.lock = lock;
        }
        Ok(())
    }

    /// Takes a new lock as any taker does, and then looks whether the old one was there all the time.
    async fn renew(&mut self, locks: &Locks, own: &[String]) -> Result<(), Trouble> {
        let started = locks.clock.boottime();
        let kind = self.lock.kind();
        let lock = locks.new_lock(&self.lock.operation)?.shared(kind);
        let (key, old_key) = (lock.key(), self.lock.key());
        self.ids.add(&lock);
        self.left.push(key.clone());
        locks.store.put(&key, lock.encode().into()).await?;
        locks.make_way(kind, &[&self.ids.all(), own].concat()).await?;
        let old = locks.look(&old_key).await?;
        if !old.is_some_and(|old| old.is_one_of(&self.ids.all())) {
            return Err(LostReason::Gone.into());
        }
        let conditional = locks.store.capabilities().conditional_replace;
        if !decide::old_lock_is_proof(self.is_sure(locks), self.is_quiet, conditional) {
            return Err(LostReason::Expired.into());
        }
        let sure_until = locks.timing.sure_until(started);
        if locks.clock.boottime() >= sure_until {
            return Err(too_slow(locks, &key).into());
        }
        (self.lock, self.sure_until, self.is_quiet) = (lock, sure_until, true);
        self.left.retain(|left| *left != key);
        self.left.push(old_key.clone());
        if locks.store.delete(&old_key).await.is_ok() {
            self.left.retain(|left| *left != old_key);
        }
        Ok(())
    }
}

/// A lock that was refused and could not be given back: what the caller is told is the refusal.
pub(super) fn not_removed(error: &StoreError) {
    tracing::warn!(%error, "a lock that was refused could not be removed; it expires by itself");
}

/// A lock that took longer to write than it lives.
pub(super) fn too_slow(locks: &Locks, key: &str) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Transient,
        key: key.to_owned(),
        backend: locks.store.describe(),
        detail: "the store answers so slowly that a lock expires before it is taken".to_owned(),
    }
}
