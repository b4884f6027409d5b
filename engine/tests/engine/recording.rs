//! A store that writes down what it is asked for.

use std::sync::{Arc, Mutex};

use cloudstic_engine::store::hooked::{Hook, HookedStore};
use cloudstic_engine::store::{ObjectStore, StoreOperation, StoreResult};

/// What was asked, and of which object.
pub(crate) type Asked = (StoreOperation, String);

#[derive(Debug, Default)]
pub(crate) struct Recording(Mutex<Vec<Asked>>);

impl Recording {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Arc<HookedStore<Self>> {
        HookedStore::new(inner, Self::default())
    }

    /// What was asked since the last time.
    pub(crate) fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Hook for Recording {
    async fn before(&self, operation: StoreOperation, key: &str) -> StoreResult<()> {
        self.0.lock().unwrap().push((operation, key.to_owned()));
        Ok(())
    }
}
