//! How far this host's clock is from the store's, which all of a repository's clients share.

use std::sync::PoisonError;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Locks, SKEW_WARNING};

impl Locks {
    /// How far the store's clock was ahead of this host's when it was last asked; `None` if it was not, or does not
    /// tell.
    pub fn skew(&self) -> Option<TimeDelta> {
        *self.skew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the store for its time. If it does not answer, what it said last stays true.
    pub(super) async fn measure_skew(&self) {
        let before = self.clock.wall();
        let Ok(told) = self.store.now().await else { return };
        let after = self.clock.wall();
        let skew = told.map(|told| DateTime::<Utc>::from(told) - (before + (after - before) / 2));
        let last = std::mem::replace(&mut *self.skew.lock().unwrap_or_else(PoisonError::into_inner), skew);
        if is_large(skew) && !is_large(last) {
            let seconds = skew.unwrap_or_default().num_seconds();
            tracing::warn!(
                store = self.store.describe(),
                seconds,
                "the store's clock differs from this host's: locks are judged by the store's; set this host's clock"
            );
        }
    }
}

fn is_large(skew: Option<TimeDelta>) -> bool {
    skew.is_some_and(|skew| skew.abs().to_std().is_ok_and(|skew| skew > SKEW_WARNING))
}
