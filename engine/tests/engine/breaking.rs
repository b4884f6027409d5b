//! A store that breaks off after so many changes, as a crash of the machine or of the network would, or that can only be read
//! from then on.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use cloudstic_engine::store::{
    Capabilities, ObjectStat, ObjectStore, StoreError, StoreErrorKind, StoreResult, Version, delete_each,
};
use futures::stream::{self, BoxStream, StreamExt};

/// Lets `left` changes through; then nothing more, reads neither.
#[derive(Debug)]
pub(crate) struct Breaking {
    inner: Arc<dyn ObjectStore>,
    left: AtomicUsize,
    /// Whether the change that breaks it is made, and only its answer is lost.
    answer_lost: bool,
    /// Whether it can still be read then.
    is_readable: bool,
}

impl Breaking {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, left: usize, answer_lost: bool) -> Arc<Self> {
        Arc::new(Self { inner, left: AtomicUsize::new(left), answer_lost, is_readable: false })
    }

    /// One that can be read after it has let `left` changes through.
    pub(crate) fn readable(inner: Arc<dyn ObjectStore>, left: usize) -> Arc<Self> {
        Arc::new(Self { inner, left: AtomicUsize::new(left), answer_lost: false, is_readable: true })
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

    async fn change<T>(&self, key: &str, change: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        if self.is_broken() {
            return Err(self.error(key));
        }
        let is_last = self.left.fetch_sub(1, Ordering::SeqCst) == 1;
        if is_last && self.answer_lost {
            change.await?;
        } else if !is_last {
            return change.await;
        }
        Err(self.error(key))
    }
}

#[async_trait]
impl ObjectStore for Breaking {
    async fn create_root(&self) -> StoreResult<()> {
        self.inner.create_root().await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()> {
        self.change(key, self.inner.put(key, bytes)).await
    }

    async fn put_file(&self, key: &str, file: File) -> StoreResult<()> {
        self.change(key, self.inner.put_file(key, file)).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> StoreResult<bool> {
        self.change(key, self.inner.put_if_absent(key, bytes)).await
    }

    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, version: &Version) -> StoreResult<bool> {
        self.change(key, self.inner.put_if_unchanged(key, bytes, version)).await
    }

    async fn put_file_if_unchanged(
        &self,
        key: &str,
        file: File,
        version: Option<&Version>,
    ) -> StoreResult<Option<Version>> {
        self.change(key, self.inner.put_file_if_unchanged(key, file, version)).await
    }

    async fn get(&self, key: &str) -> StoreResult<Bytes> {
        self.read(key)?;
        self.inner.get(key).await
    }

    async fn get_versioned(&self, key: &str) -> StoreResult<(Bytes, Version)> {
        self.read(key)?;
        self.inner.get_versioned(key).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
        self.read(key)?;
        self.inner.get_range(key, range).await
    }

    async fn get_start(&self, key: &str, most: u64) -> StoreResult<(Bytes, ObjectStat, Version)> {
        self.read(key)?;
        self.inner.get_start(key, most).await
    }

    async fn stat(&self, key: &str) -> StoreResult<ObjectStat> {
        self.read(key)?;
        self.inner.stat(key).await
    }

    async fn stat_versioned(&self, key: &str) -> StoreResult<(ObjectStat, Version)> {
        self.read(key)?;
        self.inner.stat_versioned(key).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.change(key, self.inner.delete(key)).await
    }

    async fn delete_many(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        Ok(delete_each(self, keys).await)
    }

    async fn delete_if_unchanged(&self, key: &str, version: &Version) -> StoreResult<bool> {
        self.change(key, self.inner.delete_if_unchanged(key, version)).await
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
        match self.read(prefix) {
            Ok(()) => self.inner.list(prefix),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn now(&self) -> StoreResult<Option<SystemTime>> {
        self.inner.now().await
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}
