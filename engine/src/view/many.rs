//! Many objects at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::object::ObjectRef;
use crate::repository::ReadError;
use crate::tree::{Cancelled, ReadObjects, read_json};
use crate::workers;

/// What a thread takes at once.
const BATCH: usize = 16;
/// Threads at most.
const THREADS: usize = 4;

/// Reads and parses objects, a few at once, in the order in which they lie in the packs. What each gave stands in the
/// order of `wanted`.
pub(crate) fn read_many<T: DeserializeOwned + Send>(
    objects: &dyn ReadObjects,
    wanted: &[ObjectRef],
    cancel: &CancellationToken,
) -> Result<Vec<Result<T, ReadError>>, Cancelled> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by_cached_key(|&at| objects.locality(&wanted[at]));
    let batches: Vec<&[usize]> = order.chunks(BATCH).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut read = Vec::new();
        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
            if cancel.is_cancelled() {
                break;
            }
            read.extend(batch.iter().map(|&at| (at, read_json::<T>(objects, &wanted[at]))));
        }
        read
    };
    let mut read = std::thread::scope(|scope| {
        let threads = workers::count(THREADS).min(batches.len());
        let others: Vec<_> = (1..threads).map(|_| workers::spawn(scope, work)).collect();
        let mut read = work();
        for other in others {
            read.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        read
    });
    if cancel.is_cancelled() {
        return Err(Cancelled);
    }
    read.sort_unstable_by_key(|(at, _)| *at);
    Ok(read.into_iter().map(|(_, read)| read).collect())
}
