//! Some threads for many things.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

use crate::tree::Cancelled;
use crate::workers;

/// Does `work` for each item, `batch` of them at a time on each of a few threads, and gives what came of it to `take`,
/// which may end it.
pub(crate) fn each<T: Sync, R: Send, E: Send + From<Cancelled>>(
    items: &[T],
    batch: usize,
    cancel: &CancellationToken,
    work: impl Fn(&T) -> Result<R, E> + Sync,
    mut take: impl FnMut(&T, R) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    let batches: Vec<&[T]> = items.chunks(batch).collect();
    let next = AtomicUsize::new(0);
    let threads = workers::count(4).min(batches.len());
    let (sender, receiver) = crossbeam_channel::bounded(2 * threads.max(1));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next, batches, work) = (sender.clone(), &next, &batches, &work);
            workers::spawn(scope, move || {
                while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let stopped = || if cancel.is_cancelled() { Err(E::from(Cancelled)) } else { Ok(()) };
                    let one = |item| stopped().and_then(|()| work(item)).map(|done| (item, done));
                    let done: Result<Vec<_>, _> = batch.iter().map(one).collect();
                    let failed = done.is_err();
                    if sender.send(done).is_err() || failed {
                        return;
                    }
                }
            });
        }
        drop(sender);
        // When this ends early, the receiver goes, and with it whoever sends to it.
        for done in receiver {
            for (item, done) in done? {
                if take(item, done)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    })
}
