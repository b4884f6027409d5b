//! When the threads of a check wait, and when they end; and how they share their work.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::CheckError;
use crate::lock::LeaseWatch;
use crate::workers;

/// What the threads of a check ask before each piece of work. While it is in doubt whether the lock still holds, as after
/// a suspend, they wait: a prune may have begun, and what it swept must not pass for damage.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    cancel: CancellationToken,
    lease: LeaseWatch,
    runtime: Handle,
}

/// Threads that read at once.
const THREADS: usize = 4;

impl Stop {
    /// To be made on a thread of the runtime.
    pub(crate) fn new(cancel: CancellationToken, lease: LeaseWatch) -> Self {
        Self { cancel, lease, runtime: Handle::current() }
    }

    /// Whether to go on.
    pub(crate) fn check(&self) -> Result<(), CheckError> {
        if self.lease.check().is_err() {
            self.runtime.block_on(self.lease.confirm())?;
        }
        if self.cancel.is_cancelled() { Err(CheckError::Cancelled) } else { Ok(()) }
    }

    /// Does `work` for each item on several threads, in batches and about in order, and hands what comes of it to `take`
    /// on this one. The first error ends it.
    pub(crate) fn each<T: Sync, R: Send>(
        &self,
        items: &[T],
        batch: usize,
        work: impl Fn(&T) -> Result<R, CheckError> + Sync,
        mut take: impl FnMut(&T, R),
    ) -> Result<(), CheckError> {
        let batches: Vec<&[T]> = items.chunks(batch).collect();
        let threads = workers::count(THREADS).min(batches.len());
        let (sender, receiver) = crossbeam_channel::bounded(2 * threads.max(1));
        let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
        let mut failure = None;
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let (sender, next, failed, batches, work) = (sender.clone(), &next, &failed, &batches, &work);
                workers::spawn(scope, move || {
                    while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let done = self.batch(batch, failed, work);
                        if sender.send((*batch, done)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for (items, done) in receiver {
                match done {
                    Ok(results) => items.iter().zip(results).for_each(|(item, result)| take(item, result)),
                    Err(why) => {
                        failed.store(true, Ordering::Relaxed);
                        failure.get_or_insert(why);
                    }
                }
            }
        });
        failure.map_or(Ok(()), Err)
    }

    fn batch<T, R>(
        &self,
        items: &[T],
        failed: &AtomicBool,
        work: &impl Fn(&T) -> Result<R, CheckError>,
    ) -> Result<Vec<R>, CheckError> {
        let mut results = Vec::with_capacity(items.len());
        for item in items {
            if failed.load(Ordering::Relaxed) {
                return Err(CheckError::Cancelled);
            }
            self.check()?;
            results.push(work(item)?);
        }
        Ok(results)
    }
}
