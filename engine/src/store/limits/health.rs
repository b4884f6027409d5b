//! Whether a store is there at all: what all requests to it together have seen.
//!
//! A request that fails while others are answered is in trouble by itself, and given up after some tries. If nothing is
//! answered any more in the middle of work, requests go on for the time of an outage, and then all fail with one clear
//! error: those that wait and those that come. From then on one request at a time finds out whether the store is back.
//! Where nothing was in the middle of work, some tries have to do: somebody may be waiting to hear that it does not work.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::store::{StoreError, StoreErrorKind};

/// How often somebody may find out whether a store is back that was given up.
const PROBE: Duration = Duration::from_secs(30);

/// After so much time without a request nothing is in the middle of work.
const IDLE: Duration = Duration::from_secs(600);

/// How long a store has to be silent until that is worth a word.
const TELL: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When it last answered.
    answered: Option<Instant>,
    failing: Option<Failing>,
    /// Given up: what to tell, and when somebody may try again.
    gone: Option<(StoreError, Instant)>,
}

/// Since it last answered it has only failed.
#[derive(Debug)]
struct Failing {
    since: Instant,
    is_told: bool,
    /// It was in the middle of work.
    was_busy: bool,
}

impl Health {
    /// Whether a request may be made; if not, why.
    pub(super) fn admit(&self) -> Result<(), StoreError> {
        let mut state = self.lock();
        let now = Instant::now();
        match &mut state.gone {
            Some((error, next)) if now < *next => Err(error.clone()),
            Some((_, next)) => {
                *next = now + PROBE;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The store has answered something.
    pub(super) fn answered(&self, store: &str) {
        let mut state = self.lock();
        let now = Instant::now();
        if let Some(Failing { since, is_told: true, .. }) = state.failing.take() {
            let seconds = (now - since).as_secs();
            tracing::info!(store, seconds, "the store answers again");
        }
        state.answered = Some(now);
        state.gone = None;
    }

    /// It has not; `first` is when this request failed for the first time. Gives what to do.
    pub(super) fn failed(&self, error: &StoreError, first: Instant, outage: Duration) -> Outlook {
        let mut state = self.lock();
        let now = Instant::now();
        let answered = state.answered;
        let was_busy = answered.is_some_and(|answered| now - answered < IDLE);
        let failing = state.failing.get_or_insert(Failing { since: now, is_told: false, was_busy });
        let (since, was_busy) = (failing.since, failing.was_busy);
        if !failing.is_told && now - since >= TELL {
            failing.is_told = true;
            tracing::warn!(%error, "the store does not answer; what it was asked for is tried again");
        }
        let was_answered = answered.is_some_and(|answered| answered > first);
        if state.gone.is_some() || (was_busy && now - since >= outage) {
            let error = unreachable(error, now - since);
            state.gone = Some((error.clone(), now + PROBE));
            return Outlook::Gone(error);
        }
        match was_busy && !was_answered {
            true => Outlook::Outage { left: outage - (now - since) },
            false => Outlook::Single,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a failure means.
#[derive(Debug)]
pub(super) enum Outlook {
    /// This request has its own trouble, or nothing was in the middle of work.
    Single,
    /// Nothing is answered, and that may still go on for so long.
    Outage { left: Duration },
    /// Nothing was answered for too long.
    Gone(StoreError),
}

fn unreachable(cause: &StoreError, time: Duration) -> StoreError {
    let time = match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds / 60),
    };
    StoreError {
        kind: StoreErrorKind::Transient,
        key: String::new(),
        backend: cause.backend.clone(),
        detail: format!(
            "it could not be reached for {time} ({}): see that its server and the network work, and run this again",
            cause.detail
        ),
    }
}
