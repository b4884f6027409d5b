//! A store that breaks off after so many changes, as a crash of the machine or of the network would, or that can only be read
//! from then on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloudstic_engine::store::hooked::{Hook, HookedStore};
use cloudstic_engine::store::{ObjectStat, ObjectStore, StoreError, StoreErrorKind, StoreOperation, StoreResult};
use futures::stream::{self, BoxStream, StreamExt};

/// Lets `left` changes through; then nothing more, reads neither.
#[derive(Debug)]
pub(crate) struct Breaking {
    left: AtomicUsize,
    /// Whether the change that breaks it is made, and only its answer is lost.
    answer_lost: bool,
    /// Whether it can still be read then.
    is_readable: bool,
}

impl Breaking {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, left: usize, answer_lost: bool) -> Arc<HookedStore<Self>> {
        HookedStore::new(inner, Self { left: AtomicUsize::new(left), answer_lost, is_readable: false })
    }

    /// One that can be read after it has let `left` changes through.
    pub(crate) fn readable(inner: Arc<dyn ObjectStore>, left: usize) -> Arc<HookedStore<Self>> {
        HookedStore::new(inner, Self { left: AtomicUsize::new(left), answer_lost: false, is_readable: true })
    }

    /// Whether it has broken off.
    pub(crate) fn is_broken(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    fn error(&self, key: &str) -> StoreError {
        let (key, backend) = (key.to_owned(), "breaking".to_owned());
        StoreError { kind: StoreErrorKind::Transient, key, backend, detail: "it broke off".to_owned() }
    }

    fn read(&self, key: &str) -> StoreResult<()> {
        if self.is_broken() && !self.is_readable { Err(self.error(key)) } else { Ok(()) }
    }
}

impl Hook for Breaking {
    async fn request<T: Send>(
        &self,
        operation: StoreOperation,
        key: &str,
        done: impl Future<Output = StoreResult<T>> + Send,
    ) -> StoreResult<T> {
        if operation.is_read() {
            self.read(key)?;
            return done.await;
        }
        if operation == StoreOperation::CreateRoot {
            return done.await;
        }
        if self.is_broken() {
            return Err(self.error(key));
        }
        let is_last = self.left.fetch_sub(1, Ordering::SeqCst) == 1;
        if is_last && self.answer_lost {
            done.await?;
        } else if !is_last {
            return done.await;
        }
        Err(self.error(key))
    }

    fn listing<'a>(
        &'a self,
        prefix: &str,
        listed: BoxStream<'a, StoreResult<ObjectStat>>,
    ) -> BoxStream<'a, StoreResult<ObjectStat>> {
        match self.read(prefix) {
            Ok(()) => listed,
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }
}
