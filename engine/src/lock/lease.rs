//! A held lock that keeps itself alive, and says when it is lost.
//!
//! A task of its own refreshes it. The one invariant: [`LeaseWatch::check`] passes only while the lock is surely ours, so
//! that it fails by itself when the task cannot run, or the host slept, and passes again only after a refresh has proved
//! that nobody was there in between.

use std::future::pending;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::error::{LockLost, LostReason};
use super::held::{Held, Ids, Trouble};
use super::{LockClock, LockRecord, Locks};
use crate::store::{StoreError, StoreErrorKind, StoreResult};

/// A lock that is refreshed until it is released, lost or dropped. Dropping it gives it back, too, in the background.
#[derive(Debug)]
pub struct Lease {
    watch: LeaseWatch,
    stop: CancellationToken,
    keeper: Option<JoinHandle<StoreResult<()>>>,
}

/// What those who work under a lease ask: whether it still holds.
#[derive(Debug, Clone)]
pub struct LeaseWatch(Option<Arc<State>>);

#[derive(Debug)]
struct State {
    operation: String,
    ids: Ids,
    clock: Arc<dyn LockClock>,
    /// By the clock's boottime, in nanoseconds.
    sure_until: AtomicU64,
    lost: OnceLock<LockLost>,
    /// See [`LockLost::left`].
    left: OnceLock<String>,
    lost_token: CancellationToken,
    /// Somebody wants to know now.
    hurry: Notify,
    /// What the keeper did, for those who wait for it.
    progress: watch::Sender<Refreshes>,
}

/// The refreshes of a lease, by number.
#[derive(Debug, Clone, Copy, Default)]
struct Refreshes {
    begun: u64,
    /// The last one that succeeded.
    done: u64,
}

impl Lease {
    pub(super) fn start(locks: Locks, held: Held, operation: &str) -> Self {
        let state = Arc::new(State {
            operation: operation.to_owned(),
            ids: held.ids(),
            clock: Arc::clone(&locks.clock),
            sure_until: AtomicU64::new(nanoseconds(held.sure_until())),
            lost: OnceLock::new(),
            left: OnceLock::new(),
            lost_token: CancellationToken::new(),
            hurry: Notify::new(),
            progress: watch::Sender::new(Refreshes::default()),
        });
        let stop = CancellationToken::new();
        let keeper = tokio::spawn(keep(locks, held, Arc::clone(&state), stop.clone()));
        Self { watch: LeaseWatch(Some(state)), stop, keeper: Some(keeper) }
    }

    /// For those who work under it.
    pub fn watch(&self) -> LeaseWatch {
        self.watch.clone()
    }

    /// See [`LeaseWatch::check`].
    pub fn check(&self) -> Result<(), LockLost> {
        self.watch.check()
    }

    /// Does `work` under this lease, and gives it back. When the lease is lost, the token that the work was given is
    /// cancelled, the work is waited for, and its failure is that. Work that succeeds although the lease was lost has
    /// asked [`LeaseWatch::confirm`] in time.
    pub async fn during<T, E: From<LockLost>, F: Future<Output = Result<T, E>>>(
        self,
        cancel: &CancellationToken,
        work: impl FnOnce(LeaseWatch, CancellationToken) -> F,
    ) -> Result<T, E> {
        let (watch, cancel) = (self.watch(), cancel.child_token());
        let mut work = pin!(work(watch.clone(), cancel.clone()));
        let done = tokio::select! {
            done = &mut work => done,
            _ = watch.lost() => {
                cancel.cancel();
                work.await
            }
        };
        if done.is_err() {
            // What fails while the lock is in doubt, after a suspend say, may fail because others were there meanwhile.
            let _ = watch.confirm().await;
        }
        let done = match (done, watch.reason()) {
            (Err(_), Some(lost)) => Err(lost.into()),
            (done, _) => done,
        };
        if let Err(error) = self.release().await {
            tracing::warn!(%error, "a repository lock could not be removed; it expires by itself");
        }
        done
    }

    /// Gives the lock back. If that fails, it expires by itself.
    pub async fn release(mut self) -> StoreResult<()> {
        self.end();
        match self.keeper.take() {
            Some(keeper) => keeper.await.unwrap_or(Ok(())),
            None => Ok(()),
        }
    }

    fn end(&self) {
        self.stop.cancel();
        if let Some(state) = &self.watch.0 {
            state.lose(LostReason::Released, false);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.end();
    }
}

impl LeaseWatch {
    /// For work that needs no lock, such as a dry run: always passes.
    pub fn not_needed() -> Self {
        Self(None)
    }

    /// Whether the lock is surely held at this moment. Cheap: to be asked before every write, and right before what
    /// cannot be undone. Fails with [`LostReason::InDoubt`] after a suspend, until it is known.
    pub fn check(&self) -> Result<(), LockLost> {
        let Some(state) = &self.0 else { return Ok(()) };
        match state.lost.get() {
            Some(lost) => Err(lost.clone()),
            None if state.is_sure() => Ok(()),
            None => Err(state.loss(LostReason::InDoubt)),
        }
    }

    /// The same, but finds out what is in doubt, however long the store takes.
    ///
    /// To be asked right *after* what cannot be undone, too: a process that was stopped between its check and its write
    /// may have written without a lock. If this fails then, what was written must be removed again.
    pub async fn confirm(&self) -> Result<(), LockLost> {
        let Some(state) = &self.0 else { return Ok(()) };
        self.refreshed(state, 0).await
    }

    /// Asks the store, even when nothing is in doubt: fails if somebody has broken the lock by now, of which
    /// [`LeaseWatch::confirm`] knows only after the next refresh. A few requests: to be asked once, before what cannot
    /// be undone.
    pub async fn prove(&self) -> Result<(), LockLost> {
        let Some(state) = &self.0 else { return Ok(()) };
        // One under way may have looked at the lock before it was broken.
        let next = state.progress.borrow().begun + 1;
        self.refreshed(state, next).await
    }

    /// Waits until the lock is surely held, by a refresh of this number or a later one.
    async fn refreshed(&self, state: &State, number: u64) -> Result<(), LockLost> {
        let mut progress = state.progress.subscribe();
        loop {
            match self.check() {
                Ok(()) if progress.borrow_and_update().done >= number => return Ok(()),
                Ok(()) | Err(LockLost { reason: LostReason::InDoubt, .. }) => state.hurry.notify_one(),
                lost => return lost,
            }
            if progress.changed().await.is_err() {
                return Err(state.loss(LostReason::InDoubt));
            }
        }
    }

    /// Whether a lock that was found is one of this lease, in whatever form and under whatever key it lives by now.
    pub fn owns(&self, lock: &LockRecord) -> bool {
        self.0.as_ref().is_some_and(|state| state.ids.contain(lock))
    }

    /// Waits until the lock is lost: the moment to cancel the work. Never ends for one that is only in doubt, or was
    /// given back.
    pub async fn lost(&self) -> LockLost {
        if let Some(state) = &self.0 {
            state.lost_token.cancelled().await;
        }
        match self.reason() {
            Some(lost) => lost,
            None => pending().await,
        }
    }

    /// Why it was lost or given back, if it was.
    pub fn reason(&self) -> Option<LockLost> {
        let state = self.0.as_ref()?;
        state.lost.get().map(|lost| LockLost { left: state.left.get().cloned(), ..lost.clone() })
    }

    /// Notes that a snapshot may be left that was written when the lock was lost: whoever is told of the loss is told of
    /// that, too. Gives what to tell.
    pub(crate) fn leaves(&self, snapshot: String, lost: LockLost) -> LockLost {
        if let Some(state) = &self.0 {
            // Only the first one: there is one commit under a lease.
            let _ = state.left.set(snapshot.clone());
        }
        LockLost { left: Some(snapshot), ..lost }
    }
}

impl State {
    fn is_sure(&self) -> bool {
        nanoseconds(self.clock.boottime()) < self.sure_until.load(Ordering::Acquire)
    }

    fn loss(&self, reason: LostReason) -> LockLost {
        LockLost { operation: self.operation.clone(), reason, left: None }
    }

    /// Ends it, for the first reason that is given.
    fn lose(&self, reason: LostReason, tell: bool) {
        let is_first = self.lost.set(self.loss(reason)).is_ok();
        if is_first && tell {
            self.lost_token.cancel();
        }
        self.progress.send_modify(|_| {});
    }
}

/// Refreshes a lock until it is lost or no longer needed, and removes it.
async fn keep(locks: Locks, mut held: Held, state: Arc<State>, stop: CancellationToken) -> StoreResult<()> {
    let _end = KeeperEnd(Arc::clone(&state));
    // A refresh under way must not write the lock again after it was deleted, so it ends first.
    if let Some(reason) = refresh_until(&stop, &locks, &mut held, &state).await {
        tracing::error!(%reason, operation = state.operation, "a repository lock was lost");
        state.lose(reason, true);
    }
    // Of a lost one too, so that nothing blocks others for nothing.
    let deadline = locks.clock.boottime() + locks.timing.patience * locks.timing.failures;
    tokio::select! {
        removed = held.release(&locks) => removed,
        () = locks.clock.sleep_until(deadline) => Err(no_answer(&locks)),
    }
}

/// Why it was lost; `None` when it was stopped.
async fn refresh_until(stop: &CancellationToken, locks: &Locks, held: &mut Held, state: &State) -> Option<LostReason> {
    let timing = locks.timing;
    let (mut earliest, mut next) = (Duration::ZERO, locks.clock.boottime() + timing.refresh);
    let mut failures = 0;
    loop {
        let hurried = async {
            state.hurry.notified().await;
            locks.clock.sleep_until(earliest).await;
        };
        tokio::select! {
            () = stop.cancelled() => return None,
            () = hurried => {}
            () = locks.clock.sleep_until(next) => {}
        }
        let mut number = 0;
        state.progress.send_if_modified(|refreshes| {
            refreshes.begun += 1;
            number = refreshes.begun;
            false
        });
        let started = locks.clock.boottime();
        earliest = started + timing.retry;
        let refreshed = tokio::select! {
            refreshed = held.refresh(locks) => refreshed,
            () = locks.clock.sleep_until(started + timing.patience) => Err(Trouble::Failed(no_answer(locks))),
        };
        match refreshed {
            Ok(()) => {
                failures = 0;
                next = started + timing.refresh;
                state.sure_until.store(nanoseconds(held.sure_until()), Ordering::Release);
                state.progress.send_modify(|refreshes| refreshes.done = number);
            }
            Err(Trouble::Lost(reason)) => return Some(reason),
            Err(Trouble::Failed(error)) => {
                failures += 1;
                tracing::warn!(%error, failures, operation = state.operation, "a lock could not be refreshed");
                if failures >= timing.failures {
                    return Some(LostReason::NotRefreshed { failures, cause: error.to_string() });
                }
                next = started + timing.patience + timing.retry;
            }
        }
    }
}

/// Whoever waits for the keeper must not wait for one that is gone, whatever ended it.
struct KeeperEnd(Arc<State>);

impl Drop for KeeperEnd {
    fn drop(&mut self) {
        let cause = "what refreshes it has ended".to_owned();
        self.0.lose(LostReason::NotRefreshed { failures: 1, cause }, true);
    }
}

fn no_answer(locks: &Locks) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Transient,
        key: super::SHARED_PREFIX.to_owned(),
        backend: locks.store.describe(),
        detail: "no answer in time".to_owned(),
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
