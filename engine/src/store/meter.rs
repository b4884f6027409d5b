//! A layer that counts requests and bytes by operation.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use super::{Capabilities, ObjectStat, ObjectStore, StoreError, StoreResult, Version};

/// The operations of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreOperation {
    /// [`ObjectStore::create_root`].
    CreateRoot,
    /// [`ObjectStore::put`].
    Put,
    /// [`ObjectStore::put_if_absent`].
    PutIfAbsent,
    /// [`ObjectStore::put_if_unchanged`] and [`ObjectStore::put_file_if_unchanged`].
    PutIfUnchanged,
    /// [`ObjectStore::get`] and [`ObjectStore::get_versioned`].
    Get,
    /// [`ObjectStore::get_range`] and [`ObjectStore::get_start`].
    GetRange,
    /// [`ObjectStore::stat`] and [`ObjectStore::stat_versioned`].
    Stat,
    /// [`ObjectStore::delete`], [`ObjectStore::delete_many`] and [`ObjectStore::delete_if_unchanged`].
    Delete,
    /// [`ObjectStore::list`].
    List,
    /// [`ObjectStore::now`].
    Now,
}

impl StoreOperation {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::CreateRoot,
        Self::Put,
        Self::PutIfAbsent,
        Self::PutIfUnchanged,
        Self::Get,
        Self::GetRange,
        Self::Stat,
        Self::Delete,
        Self::List,
        Self::Now,
    ];
}

/// What was done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OperationCount {
    /// Requests, failed ones too.
    pub requests: u64,
    /// Bytes sent or received.
    pub bytes: u64,
}

/// The counters of a [`MeteredStore`].
#[derive(Debug, Default)]
pub struct Meter([(AtomicU64, AtomicU64); StoreOperation::ALL.len()]);

impl Meter {
    /// What was done of one operation.
    pub fn count(&self, operation: StoreOperation) -> OperationCount {
        let (requests, bytes) = &self.0[operation as usize];
        OperationCount { requests: requests.load(Ordering::Relaxed), bytes: bytes.load(Ordering::Relaxed) }
    }

    /// All requests so far.
    pub fn requests(&self) -> u64 {
        StoreOperation::ALL.into_iter().map(|operation| self.count(operation).requests).sum()
    }

    /// The bytes that were sent so far.
    pub fn sent(&self) -> u64 {
        let puts = [StoreOperation::Put, StoreOperation::PutIfAbsent, StoreOperation::PutIfUnchanged];
        puts.into_iter().map(|operation| self.count(operation).bytes).sum()
    }

    /// The bytes that were received so far.
    pub fn received(&self) -> u64 {
        self.count(StoreOperation::Get).bytes + self.count(StoreOperation::GetRange).bytes
    }

    fn add(&self, operation: StoreOperation, sent: u64) {
        let (requests, bytes) = &self.0[operation as usize];
        requests.fetch_add(1, Ordering::Relaxed);
        bytes.fetch_add(sent, Ordering::Relaxed);
    }

    fn add_received(&self, operation: StoreOperation, bytes: &Bytes) {
        self.0[operation as usize].1.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
}

/// Counts what goes through it.
#[derive(Debug)]
pub struct MeteredStore {
    inner: Arc<dyn ObjectStore>,
    meter: Arc<Meter>,
}

impl MeteredStore {
    /// Puts new counters around a store.
    pub fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self::with(inner, Arc::default())
    }

    /// Puts counters around a store that go on from what they have counted.
    pub fn with(inner: Arc<dyn ObjectStore>, meter: Arc<Meter>) -> Self {
        Self { inner, meter }
    }

    /// The counters.
    pub fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }
}

#[async_trait]
impl ObjectStore for MeteredStore {
    async fn create_root(&self) -> StoreResult<()> {
        self.meter.add(StoreOperation::CreateRoot, 0);
        self.inner.create_root().await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()> {
        self.meter.add(StoreOperation::Put, bytes.len() as u64);
        self.inner.put(key, bytes).await
    }

    async fn put_file(&self, key: &str, file: File) -> StoreResult<()> {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        self.meter.add(StoreOperation::Put, length);
        self.inner.put_file(key, file).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> StoreResult<bool> {
        self.meter.add(StoreOperation::PutIfAbsent, bytes.len() as u64);
        self.inner.put_if_absent(key, bytes).await
    }

    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, version: &Version) -> StoreResult<bool> {
        self.meter.add(StoreOperation::PutIfUnchanged, bytes.len() as u64);
        self.inner.put_if_unchanged(key, bytes, version).await
    }

    async fn put_file_if_unchanged(
        &self,
        key: &str,
        file: File,
        version: Option<&Version>,
    ) -> StoreResult<Option<Version>> {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        self.meter.add(StoreOperation::PutIfUnchanged, length);
        self.inner.put_file_if_unchanged(key, file, version).await
    }

    async fn get(&self, key: &str) -> StoreResult<Bytes> {
        self.meter.add(StoreOperation::Get, 0);
        self.inner.get(key).await.inspect(|bytes| self.meter.add_received(StoreOperation::Get, bytes))
    }

    async fn get_versioned(&self, key: &str) -> StoreResult<(Bytes, Version)> {
        self.meter.add(StoreOperation::Get, 0);
        self.inner.get_versioned(key).await.inspect(|(bytes, _)| self.meter.add_received(StoreOperation::Get, bytes))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
        self.meter.add(StoreOperation::GetRange, 0);
        self.inner.get_range(key, range).await.inspect(|bytes| self.meter.add_received(StoreOperation::GetRange, bytes))
    }

    async fn get_start(&self, key: &str, most: u64) -> StoreResult<(Bytes, ObjectStat, Version)> {
        self.meter.add(StoreOperation::GetRange, 0);
        let got = self.inner.get_start(key, most).await;
        got.inspect(|(bytes, ..)| self.meter.add_received(StoreOperation::GetRange, bytes))
    }

    async fn stat(&self, key: &str) -> StoreResult<ObjectStat> {
        self.meter.add(StoreOperation::Stat, 0);
        self.inner.stat(key).await
    }

    async fn stat_versioned(&self, key: &str) -> StoreResult<(ObjectStat, Version)> {
        self.meter.add(StoreOperation::Stat, 0);
        self.inner.stat_versioned(key).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.meter.add(StoreOperation::Delete, 0);
        self.inner.delete(key).await
    }

    async fn delete_many(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        self.meter.add(StoreOperation::Delete, 0);
        self.inner.delete_many(keys).await
    }

    async fn delete_if_unchanged(&self, key: &str, version: &Version) -> StoreResult<bool> {
        self.meter.add(StoreOperation::Delete, 0);
        self.inner.delete_if_unchanged(key, version).await
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
        self.meter.add(StoreOperation::List, 0);
        self.inner.list(prefix)
    }

    async fn now(&self) -> StoreResult<Option<SystemTime>> {
        self.meter.add(StoreOperation::Now, 0);
        self.inner.now().await
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}
