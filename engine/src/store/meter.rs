//! A layer that counts requests and bytes by operation. Under the layer of retries it counts every try.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::ready;
use futures::stream::{self, BoxStream, StreamExt};

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

    /// Whether it changes nothing.
    pub const fn is_read(self) -> bool {
        matches!(self, Self::Get | Self::GetRange | Self::Stat | Self::List | Self::Now)
    }

    /// Its name, as in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreateRoot => "create_root",
            Self::Put => "put",
            Self::PutIfAbsent => "put_if_absent",
            Self::PutIfUnchanged => "put_if_unchanged",
            Self::Get => "get",
            Self::GetRange => "get_range",
            Self::Stat => "stat",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Now => "now",
        }
    }
}

/// What was done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OperationCount {
    /// Requests that were begun; a listing is one, however many a backend needs for it.
    pub requests: u64,
    /// Those that were answered; that there is no such object is an answer.
    pub answered: u64,
    /// Those that failed, or were given up.
    pub failed: u64,
    /// Those that were another try of one that failed.
    pub retries: u64,
    /// Bytes sent or received.
    pub bytes: u64,
}

/// The counters of a [`MeteredStore`].
#[derive(Debug, Default)]
pub struct Meter([Counters; StoreOperation::ALL.len()]);

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    answered: AtomicU64,
    failed: AtomicU64,
    retries: AtomicU64,
    bytes: AtomicU64,
}

impl Meter {
    /// What was done of one operation.
    pub fn count(&self, operation: StoreOperation) -> OperationCount {
        let Counters { requests, answered, failed, retries, bytes } = self.of(operation);
        let [requests, answered, failed, retries, bytes] =
            [requests, answered, failed, retries, bytes].map(|counter| counter.load(Ordering::Relaxed));
        OperationCount { requests, answered, failed, retries, bytes }
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

    /// A request is tried again.
    pub(crate) fn retried(&self, operation: StoreOperation) {
        self.of(operation).retries.fetch_add(1, Ordering::Relaxed);
    }

    const fn of(&self, operation: StoreOperation) -> &Counters {
        &self.0[operation as usize]
    }

    fn begin(&self, operation: StoreOperation, sent: u64) -> Begun<'_> {
        let counters = self.of(operation);
        counters.requests.fetch_add(1, Ordering::Relaxed);
        counters.bytes.fetch_add(sent, Ordering::Relaxed);
        Begun { counters, is_answered: false, has_failed: false }
    }
}

/// A request under way; one that is dropped was given up.
struct Begun<'a> {
    counters: &'a Counters,
    is_answered: bool,
    has_failed: bool,
}

impl Begun<'_> {
    /// It has this result.
    fn ended<T>(mut self, result: StoreResult<T>) -> StoreResult<T> {
        self.is_answered = result.as_ref().err().is_none_or(StoreError::is_not_found);
        result
    }

    /// A listing goes on, fails, or is over. Whoever has seen enough of it has got an answer.
    fn listed<T>(&mut self, listed: Option<&StoreResult<T>>) {
        self.has_failed |= listed.is_some_and(Result::is_err);
        self.is_answered = !self.has_failed;
    }

    /// [`Begun::ended`] of one whose answer brings bytes.
    fn received<T>(self, result: StoreResult<T>, bytes: impl Fn(&T) -> &Bytes) -> StoreResult<T> {
        let counters = self.counters;
        self.ended(result).inspect(|answer| {
            counters.bytes.fetch_add(bytes(answer).len() as u64, Ordering::Relaxed);
        })
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let counter = if self.is_answered { &self.counters.answered } else { &self.counters.failed };
        counter.fetch_add(1, Ordering::Relaxed);
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
        let begun = self.meter.begin(StoreOperation::CreateRoot, 0);
        begun.ended(self.inner.create_root().await)
    }

    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()> {
        let begun = self.meter.begin(StoreOperation::Put, bytes.len() as u64);
        begun.ended(self.inner.put(key, bytes).await)
    }

    async fn put_file(&self, key: &str, file: File) -> StoreResult<()> {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let begun = self.meter.begin(StoreOperation::Put, length);
        begun.ended(self.inner.put_file(key, file).await)
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> StoreResult<bool> {
        let begun = self.meter.begin(StoreOperation::PutIfAbsent, bytes.len() as u64);
        begun.ended(self.inner.put_if_absent(key, bytes).await)
    }

    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, version: &Version) -> StoreResult<bool> {
        let begun = self.meter.begin(StoreOperation::PutIfUnchanged, bytes.len() as u64);
        begun.ended(self.inner.put_if_unchanged(key, bytes, version).await)
    }

    async fn put_file_if_unchanged(
        &self,
        key: &str,
        file: File,
        version: Option<&Version>,
    ) -> StoreResult<Option<Version>> {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let begun = self.meter.begin(StoreOperation::PutIfUnchanged, length);
        begun.ended(self.inner.put_file_if_unchanged(key, file, version).await)
    }

    async fn get(&self, key: &str) -> StoreResult<Bytes> {
        let begun = self.meter.begin(StoreOperation::Get, 0);
        begun.received(self.inner.get(key).await, |bytes| bytes)
    }

    async fn get_versioned(&self, key: &str) -> StoreResult<(Bytes, Version)> {
        let begun = self.meter.begin(StoreOperation::Get, 0);
        begun.received(self.inner.get_versioned(key).await, |(bytes, _)| bytes)
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
        let begun = self.meter.begin(StoreOperation::GetRange, 0);
        begun.received(self.inner.get_range(key, range).await, |bytes| bytes)
    }

    async fn get_start(&self, key: &str, most: u64) -> StoreResult<(Bytes, ObjectStat, Version)> {
        let begun = self.meter.begin(StoreOperation::GetRange, 0);
        begun.received(self.inner.get_start(key, most).await, |(bytes, ..)| bytes)
    }

    async fn stat(&self, key: &str) -> StoreResult<ObjectStat> {
        let begun = self.meter.begin(StoreOperation::Stat, 0);
        begun.ended(self.inner.stat(key).await)
    }

    async fn stat_versioned(&self, key: &str) -> StoreResult<(ObjectStat, Version)> {
        let begun = self.meter.begin(StoreOperation::Stat, 0);
        begun.ended(self.inner.stat_versioned(key).await)
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        let begun = self.meter.begin(StoreOperation::Delete, 0);
        begun.ended(self.inner.delete(key).await)
    }

    async fn delete_many(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        let begun = self.meter.begin(StoreOperation::Delete, 0);
        begun.ended(self.inner.delete_many(keys).await)
    }

    async fn delete_if_unchanged(&self, key: &str, version: &Version) -> StoreResult<bool> {
        let begun = self.meter.begin(StoreOperation::Delete, 0);
        begun.ended(self.inner.delete_if_unchanged(key, version).await)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
        let mut begun = self.meter.begin(StoreOperation::List, 0);
        let listed = self.inner.list(prefix).map(Some).chain(stream::once(ready(None)));
        listed
            .filter_map(move |listed| {
                begun.listed(listed.as_ref());
                ready(listed)
            })
            .boxed()
    }

    async fn now(&self) -> StoreResult<Option<SystemTime>> {
        let begun = self.meter.begin(StoreOperation::Now, 0);
        begun.ended(self.inner.now().await)
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use futures::stream::TryStreamExt;
    use tokio::time::timeout;

    use super::*;
    use crate::store::{MemoryStore, conformance};

    #[tokio::test(flavor = "multi_thread")]
    async fn keeps_the_contract() {
        conformance::check(&MeteredStore::new(Arc::new(MemoryStore::default()))).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_answered_is_told_from_what_failed_or_was_given_up() {
        let inner = Arc::new(MemoryStore::default());
        let store = MeteredStore::new(Arc::clone(&inner) as Arc<dyn ObjectStore>);
        let meter = store.meter();
        store.put("chunk/a", Bytes::from_static(b"1234")).await.unwrap();
        store.get("chunk/a").await.unwrap();
        store.get("chunk/none").await.unwrap_err();
        inner.line().break_off(true);
        store.get("chunk/a").await.unwrap_err();
        store.list("chunk/").try_collect::<Vec<_>>().await.unwrap_err();
        inner.line().break_off(false);
        inner.line().stall(true);
        timeout(Duration::from_secs(1), store.get("chunk/a")).await.unwrap_err();
        inner.line().stall(false);
        store.list("chunk/").try_collect::<Vec<_>>().await.unwrap();
        drop(store.list("chunk/"));
        let count = |operation| {
            let OperationCount { requests, answered, failed, retries: _, bytes } = meter.count(operation);
            [requests, answered, failed, bytes]
        };
        assert_eq!(count(StoreOperation::Put), [1, 1, 0, 4]);
        assert_eq!(count(StoreOperation::Get), [4, 2, 2, 4]);
        assert_eq!(count(StoreOperation::List), [3, 1, 2, 0]);
        assert_eq!((meter.requests(), meter.sent(), meter.received()), (8, 4, 4));
    }
}
