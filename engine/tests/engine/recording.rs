//! A store that writes down what it is asked for.

use std::sync::{Arc, Mutex};

use cloudstic_engine::store::hooked::{Hook, HookedStore};
use cloudstic_engine::store::{ObjectStat, ObjectStore, StoreOperation, StoreResult};
use futures::stream::BoxStream;

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

    fn asked(&self, operation: StoreOperation, key: &str) {
        self.0.lock().unwrap().push((operation, key.to_owned()));
    }
}

impl Hook for Recording {
    async fn request<T: Send>(
        &self,
        operation: StoreOperation,
        key: &str,
        done: impl Future<Output = StoreResult<T>> + Send,
    ) -> StoreResult<T> {
        self.asked(operation, key);
        done.await
    }

    fn listing<'a>(
        &'a self,
        prefix: &str,
        listed: BoxStream<'a, StoreResult<ObjectStat>>,
    ) -> BoxStream<'a, StoreResult<ObjectStat>> {
        self.asked(StoreOperation::List, prefix);
        listed
    }
}
