//! A store whose client stops.

use std::sync::Arc;

use tokio::sync::watch;

use crate::store::hooked::{Hook, HookedStore};
use crate::store::{MemoryStore, StoreOperation, StoreResult};

/// Stops a client before it deletes.
#[derive(Debug)]
pub(super) struct Stopping {
    /// Deletes wait until this is open.
    pub(super) gate: watch::Sender<bool>,
    /// What it was asked to delete.
    pub(super) deletes: watch::Sender<Vec<String>>,
}

impl Stopping {
    pub(super) fn new(inner: MemoryStore) -> Arc<HookedStore<Self>> {
        let hook = Self { gate: watch::Sender::new(false), deletes: watch::Sender::default() };
        HookedStore::new(Arc::new(inner), hook)
    }
}

impl Hook for Stopping {
    async fn before(&self, operation: StoreOperation, key: &str) -> StoreResult<()> {
        if operation == StoreOperation::Delete {
            self.deletes.send_modify(|deletes| deletes.push(key.to_owned()));
            self.gate.subscribe().wait_for(|open| *open).await.unwrap();
        }
        Ok(())
    }
}
