//! A store that breaks off after so many changes, as a crash of the machine or of the network would, or that can only be read
//! from then on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloudstic_engine::store::hooked::{Hook, HookedStore};
use cloudstic_engine::store::{ObjectStore, StoreError, StoreErrorKind, StoreOperation, StoreResult};

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
}

impl Hook for Breaking {
    async fn before(&self, operation: StoreOperation, key: &str) -> StoreResult<()> {
        let is_answered = !self.is_broken() || self.is_readable && operation.is_read();
        if is_answered { Ok(()) } else { Err(self.error(key)) }
    }

    async fn request<T: Send>(
        &self,
        operation: StoreOperation,
        key: &str,
        done: impl Future<Output = StoreResult<T>> + Send,
    ) -> StoreResult<T> {
        if operation == StoreOperation::CreateRoot {
            return done.await;
        }
        self.before(operation, key).await?;
        if operation.is_read() {
            return done.await;
        }
        // Several may come at once.
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(2..) => return done.await,
            Ok(_) if self.answer_lost => drop(done.await?),
            Ok(_) | Err(_) => {}
        }
        Err(self.error(key))
    }
}
