//! Nothing is read for a restore while it is not certain that its lock still holds, as after a suspend: a prune may have
//! begun meanwhile. If the lock turns out to be lost, whoever holds it for the restore cancels that.

use tokio::runtime::Handle;

use crate::lock::LeaseWatch;

pub(super) struct Gate {
    lease: LeaseWatch,
    /// None outside a runtime, where there is no lease either.
    runtime: Option<Handle>,
}

impl Gate {
    /// To be made on a thread of the runtime; works on any other one.
    pub(super) fn new(lease: &LeaseWatch) -> Self {
        Self { lease: lease.clone(), runtime: Handle::try_current().ok() }
    }

    /// Returns at once while all is well. Blocks: for worker threads only.
    pub(super) fn wait(&self) {
        if let (Err(_), Some(runtime)) = (self.lease.check(), &self.runtime) {
            // The lease's own loss cancels the work; here it only ends the wait.
            let _ = runtime.block_on(self.lease.confirm());
        }
    }
}
