//! A store around another one, for tests: a [`Hook`] decides what becomes of each request.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::{TryFutureExt, ready};
use futures::stream::{BoxStream, StreamExt};

use super::{
    Capabilities, ObjectStat, ObjectStore, StoreError, StoreErrorKind, StoreOperation, StoreResult, Version,
    delete_each,
};

/// What becomes of requests. Deletes of many objects come one by one.
pub trait Hook: fmt::Debug + Send + Sync {
    /// A request for an object is about to be sent; for no single one, the key is empty. What fails here is not sent.
    fn before(&self, operation: StoreOperation, key: &str) -> impl Future<Output = StoreResult<()>> + Send {
        let _ = (operation, key);
        ready(Ok(()))
    }

    /// A request, but for a listing; `done` sends it.
    fn request<T: Send>(
        &self,
        operation: StoreOperation,
        key: &str,
        done: impl Future<Output = StoreResult<T>> + Send,
    ) -> impl Future<Output = StoreResult<T>> + Send {
        async move {
            self.before(operation, key).await?;
            done.await
        }
    }

    /// What it gives for bytes that were read.
    fn bytes(&self, key: &str, read: StoreResult<Bytes>) -> StoreResult<Bytes> {
        let _ = key;
        read
    }

    /// What it gives for a listing.
    fn listing<'a>(
        &'a self,
        prefix: &'a str,
        listed: BoxStream<'a, StoreResult<ObjectStat>>,
    ) -> BoxStream<'a, StoreResult<ObjectStat>> {
        self.before(StoreOperation::List, prefix).map_ok(move |()| listed).try_flatten_stream().boxed()
    }

    /// A file is about to be sent.
    fn sends(&self, file: &mut File) {
        let _ = file;
    }
}

/// A store with a hook.
#[derive(Debug)]
pub struct HookedStore<H> {
    inner: Arc<dyn ObjectStore>,
    /// The hook.
    pub hook: H,
}

impl<H: Hook> HookedStore<H> {
    /// Puts a hook on a store.
    pub fn new(inner: Arc<dyn ObjectStore>, hook: H) -> Arc<Self> {
        Arc::new(Self { inner, hook })
    }
}

#[async_trait]
impl<H: Hook> ObjectStore for HookedStore<H> {
    async fn create_root(&self) -> StoreResult<()> {
        self.hook.request(StoreOperation::CreateRoot, "", self.inner.create_root()).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()> {
        self.hook.request(StoreOperation::Put, key, self.inner.put(key, bytes)).await
    }

    async fn put_file(&self, key: &str, mut file: File) -> StoreResult<()> {
        self.hook.sends(&mut file);
        self.hook.request(StoreOperation::Put, key, self.inner.put_file(key, file)).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> StoreResult<bool> {
        self.hook.request(StoreOperation::PutIfAbsent, key, self.inner.put_if_absent(key, bytes)).await
    }

    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, version: &Version) -> StoreResult<bool> {
        let done = self.inner.put_if_unchanged(key, bytes, version);
        self.hook.request(StoreOperation::PutIfUnchanged, key, done).await
    }

    async fn put_file_if_unchanged(
        &self,
        key: &str,
        mut file: File,
        version: Option<&Version>,
    ) -> StoreResult<Option<Version>> {
        self.hook.sends(&mut file);
        let done = self.inner.put_file_if_unchanged(key, file, version);
        self.hook.request(StoreOperation::PutIfUnchanged, key, done).await
    }

    async fn get(&self, key: &str) -> StoreResult<Bytes> {
        let read = self.hook.request(StoreOperation::Get, key, self.inner.get(key)).await;
        self.hook.bytes(key, read)
    }

    async fn get_versioned(&self, key: &str) -> StoreResult<(Bytes, Version)> {
        let (bytes, version) = self.hook.request(StoreOperation::Get, key, self.inner.get_versioned(key)).await?;
        Ok((self.hook.bytes(key, Ok(bytes))?, version))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
        let read = self.hook.request(StoreOperation::GetRange, key, self.inner.get_range(key, range)).await;
        self.hook.bytes(key, read)
    }

    async fn get_start(&self, key: &str, most: u64) -> StoreResult<(Bytes, ObjectStat, Version)> {
        let read = self.hook.request(StoreOperation::GetRange, key, self.inner.get_start(key, most)).await;
        let (bytes, stat, version) = read?;
        Ok((self.hook.bytes(key, Ok(bytes))?, stat, version))
    }

    async fn stat(&self, key: &str) -> StoreResult<ObjectStat> {
        self.hook.request(StoreOperation::Stat, key, self.inner.stat(key)).await
    }

    async fn stat_versioned(&self, key: &str) -> StoreResult<(ObjectStat, Version)> {
        self.hook.request(StoreOperation::Stat, key, self.inner.stat_versioned(key)).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.hook.request(StoreOperation::Delete, key, self.inner.delete(key)).await
    }

    async fn delete_many(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        Ok(delete_each(self, keys).await)
    }

    async fn delete_if_unchanged(&self, key: &str, version: &Version) -> StoreResult<bool> {
        self.hook.request(StoreOperation::Delete, key, self.inner.delete_if_unchanged(key, version)).await
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
        self.hook.listing(prefix, self.inner.list(prefix))
    }

    async fn now(&self) -> StoreResult<Option<SystemTime>> {
        self.hook.request(StoreOperation::Now, "", self.inner.now()).await
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

/// Keeps some objects from being removed, as object lock does.
#[derive(Debug)]
pub struct Retaining(pub Vec<String>);

impl Hook for Retaining {
    async fn before(&self, operation: StoreOperation, key: &str) -> StoreResult<()> {
        if operation != StoreOperation::Delete || !self.0.iter().any(|kept| kept == key) {
            return Ok(());
        }
        let (key, backend, detail) = (key.to_owned(), "memory".to_owned(), "until next year".to_owned());
        Err(StoreError { kind: StoreErrorKind::Retained, key, backend, detail })
    }
}
