//! Threads for blocking and CPU work, apart from the async runtime's own.

use std::thread::{Scope, ScopedJoinHandle};

use tokio::runtime::Handle;

/// How many threads: one for each core, at most `most`.
pub(crate) fn count(most: usize) -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(most)
}

/// Starts a thread that can reach the runtime of its parent, if that has one: a store's requests run there.
pub(crate) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    let runtime = Handle::try_current().ok();
    scope.spawn(move || {
        let _guard = runtime.as_ref().map(Handle::enter);
        work()
    })
}
