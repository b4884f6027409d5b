//! A lock that is held, as a value. Nothing refreshes it by itself: that is the lease's work.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::claim::Claim;
use super::error::{LockError, LostReason};
use super::fixed::Fixed;
use super::{LockRecord, Locks};
use crate::store::{StoreError, StoreResult};

/// A lock that is held: a claim if it is shared, the exclusive key if it is exclusive, and both where the store cannot
/// tell who of two takers was first.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) claim: Option<Claim>,
    pub(super) fixed: Option<Fixed>,
}

/// The ids of all locks that one holder ever wrote, known before each is written. Its clones are the same list.
#[derive(Debug, Clone, Default)]
pub(super) struct Ids(Arc<Mutex<Vec<String>>>);

impl Ids {
    pub(super) fn add(&self, lock: &LockRecord) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(lock.id.clone());
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn contain(&self, lock: &LockRecord) -> bool {
        let ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !lock.id.is_empty() && ids.contains(&lock.id)
    }
}

/// Why a refresh did not succeed.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is not ours any more.
    Lost(LostReason),
    /// It may be; this time the store failed.
    Failed(StoreError),
}

impl Held {
    /// The ids of all its locks, now and later.
    pub(super) fn ids(&self) -> Ids {
        let ids = self.claim.as_ref().map(|claim| claim.ids.clone()).unwrap_or_default();
        self.fixed.iter().for_each(|fixed| ids.add(&fixed.lock));
        ids
    }

    /// Until when it is surely ours, by [`super::LockClock::boottime`]. What makes its owner the only one counts.
    pub(super) fn sure_until(&self) -> Duration {
        let fixed = self.fixed.as_ref().map(|fixed| fixed.sure_until);
        self.claim.as_ref().map(|claim| claim.sure_until).or(fixed).unwrap_or_default()
    }

    pub(super) fn is_sure(&self, locks: &Locks) -> bool {
        locks.clock.boottime() < self.sure_until()
    }

    /// Makes it live on, if it is still ours. May be dropped at any moment, and called again.
    pub(super) async fn refresh(&mut self, locks: &Locks) -> Result<(), Trouble> {
        locks.measure_skew().await;
        let mut own: Vec<_> = self.fixed.iter().map(|fixed| fixed.lock.id.clone()).collect();
        if let Some(claim) = &mut self.claim {
            claim.refresh(locks, &own).await?;
            own.append(&mut claim.ids.all());
        }
        match &mut self.fixed {
            Some(fixed) => fixed.refresh(locks, &own).await,
            None => Ok(()),
        }
    }

    /// Gives it back. What announces it goes last, as it came first.
    pub(super) async fn release(&self, locks: &Locks) -> StoreResult<()> {
        let fixed = match &self.fixed {
            Some(fixed) => fixed.withdraw(locks).await,
            None => Ok(()),
        };
        let claim = match &self.claim {
            Some(claim) => claim.withdraw(locks).await,
            None => Ok(()),
        };
        fixed.and(claim)
    }
}

impl From<LostReason> for Trouble {
    fn from(reason: LostReason) -> Self {
        Self::Lost(reason)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

impl From<LockError> for Trouble {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held(refusal) => Self::Lost(LostReason::Overtaken(refusal)),
            LockError::Store(error) => Self::Failed(error),
            LockError::System(cause) => Self::Lost(LostReason::NotRefreshed { failures: 1, cause }),
        }
    }
}
