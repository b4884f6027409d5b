//! What follows from what was seen: pure functions, shared by the code and by the model that proves it.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{REFRESH, TTL};

/// The two kinds of lock. An intent, which announces an exclusive one, counts as exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Any number at once.
    Shared,
    /// Alone.
    Exclusive,
}

/// Whether a lock blocks others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It does.
    Live,
    /// It does not, for this reason.
    Stale(Stale),
}

/// Why a lock blocks nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Stale {
    /// Its holder did not rewrite it in time.
    #[error("it has expired")]
    Expired,
    /// Its holder ran on this host and does not run any more.
    #[error("its process on this host is gone")]
    ProcessGone,
    /// Its holder ran on this host before it was started again.
    #[error("this host was started again since")]
    Rebooted,
}

/// What can be told of a lock's holder from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// It runs elsewhere, or runs here and is there.
    NotKnownDead,
    /// It ran on this very host and is dead.
    Dead(Stale),
}

/// What to do about a lock that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: the two do not conflict.
    Ignore,
    /// Not to take one's own.
    Refuse,
    /// To see to it that its holder, should it come back, finds it gone.
    Retire,
}

/// Whether a lock blocks others. One without a readable expiry does, unless its holder is known to be dead.
pub(super) fn standing(expires: Option<DateTime<Utc>>, holder: Holder, now: DateTime<Utc>) -> Standing {
    match holder {
        Holder::Dead(why) => Standing::Stale(why),
        Holder::NotKnownDead if expires.is_some_and(|expires| expires < now) => Standing::Stale(Stale::Expired),
        Holder::NotKnownDead => Standing::Live,
    }
}

/// What a taker of `wanted` does about a lock of kind `found`.
pub(super) fn verdict(wanted: Kind, found: Kind, standing: Standing) -> Verdict {
    match (wanted, found, standing) {
        (Kind::Shared, Kind::Shared, _) => Verdict::Ignore,
        (_, _, Standing::Live) => Verdict::Refuse,
        (_, _, Standing::Stale(_)) => Verdict::Retire,
    }
}

/// How a lock under a key of its own is refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refresh {
    /// It is written again, with a later expiry.
    Rewrite,
    /// A new one is taken beside it.
    Renew,
}

/// A lock is rewritten only while nobody can have called it dead, and only if no earlier write of it may still be on
/// its way: that one would undo the new one when it arrives.
pub(super) fn refresh(is_sure: bool, no_write_under_way: bool) -> Refresh {
    if is_sure && no_write_under_way { Refresh::Rewrite } else { Refresh::Renew }
}

/// Whether an old lock that is still there, seen after a new one was established, shows that nobody held a conflicting
/// one in between. It does not if a write of the holder's own may have put it back.
pub(super) fn old_lock_is_proof(is_sure: bool, no_write_under_way: bool, writes_are_conditional: bool) -> bool {
    is_sure || no_write_under_way || writes_are_conditional
}

/// The times of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a lock lives after it was written.
    pub ttl: Duration,
    /// How long before that its holder stops being sure of it. The clocks of two hosts, corrected by the store's where
    /// it tells, must not differ by more.
    pub margin: Duration,
    /// How often it is rewritten.
    pub refresh: Duration,
    /// The least time between two tries.
    pub retry: Duration,
    /// How long one try may take.
    pub patience: Duration,
    /// After how many failures in a row it counts as lost.
    pub failures: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self::scaled(TTL)
    }
}

impl Timing {
    /// The documented times, scaled to another life time. Three tries fit in between the refresh and the margin.
    pub fn scaled(ttl: Duration) -> Self {
        let part = |of: u32| ttl / of;
        let refresh = ttl.mul_f64(REFRESH.as_secs_f64() / TTL.as_secs_f64());
        Self { ttl, margin: part(6), refresh, retry: part(60), patience: part(12), failures: 3 }
    }

    /// Until when the holder of a lock whose writing began at `started` is sure of it.
    pub(super) fn sure_until(&self, started: Duration) -> Duration {
        started + self.ttl.saturating_sub(self.margin)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn only_what_is_past_its_expiry_has_expired() {
        let at = DateTime::<Utc>::UNIX_EPOCH;
        let later = at + TimeDelta::nanoseconds(1);
        assert_eq!(standing(Some(at), Holder::NotKnownDead, at), Standing::Live);
        assert_eq!(standing(Some(at), Holder::NotKnownDead, later), Standing::Stale(Stale::Expired));
        assert_eq!(standing(None, Holder::NotKnownDead, DateTime::<Utc>::MAX_UTC), Standing::Live);
        let dead = Holder::Dead(Stale::ProcessGone);
        assert_eq!(standing(None, dead, at), Standing::Stale(Stale::ProcessGone));
    }

    #[test]
    fn all_tries_of_a_refresh_end_before_its_lock_is_in_doubt() {
        let timing = Timing::default();
        let tries = timing.patience * timing.failures + timing.retry * (timing.failures - 1);
        assert!(timing.refresh + tries < timing.ttl - timing.margin, "{timing:?}");
        assert_eq!((timing.ttl, timing.refresh), (TTL, REFRESH));
        assert!(timing.margin >= super::super::SKEW_WARNING);
    }
}
