//! The layer of retries, deadlines and rate limits, between a backend and all others.
//!
//! The one invariant: what it tries again has the effect of one try. Reads change nothing, writes without a condition and
//! removals have the same effect twice, and for the others see [`again`]. Which errors are worth another try the error
//! says; how long, [`StoreLimits`] and [`health`].
//!
//! Keys of locks go around the rate limit: a lock that cannot be refreshed because of a job's own bytes would end it. And
//! what changes them is tried only once: a lock's holder must know of each write whose fate is not known, for it may still
//! arrive after another one.

mod again;
mod health;
mod listing;
mod pace;
mod remove;
mod settings;
#[cfg(test)]
mod tests;
mod tries;

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use super::{Capabilities, Meter, ObjectStat, ObjectStore, StoreError, StoreOperation, StoreResult, Version};
use health::Health;
pub use pace::{LocalTimeOfDay, Pace, TimeOfDay};
pub use settings::{RateSchedule, RateSpan, StoreLimits};

/// What keys of locks begin with.
const LOCKS: &str = "index/lock.";

/// How large an object is taken to be whose size nobody knows before it is read, in bytes; for its deadline.
const UNKNOWN: u64 = 16 << 20;

/// How often it is tried to connect at first: somebody may be waiting to hear that it does not work.
const CONNECTS: u32 = 4;

/// Numbers from 0 to 1.
type Random = dyn Fn() -> f64 + Send + Sync;

/// Tries again what fails and may succeed, gives up what takes too long, and keeps to a pace.
pub struct LimitedStore {
    inner: Arc<dyn ObjectStore>,
    limits: StoreLimits,
    pace: Arc<Pace>,
    health: Health,
    meter: Arc<Meter>,
    name: String,
    random: Arc<Random>,
}

impl LimitedStore {
    /// Puts limits around a store. `pace` may be shared with others that use the same line.
    pub fn new(inner: Arc<dyn ObjectStore>, limits: StoreLimits, pace: Arc<Pace>) -> Self {
        let name = inner.describe();
        let (health, meter) = (Health::default(), Arc::default());
        Self { inner, limits, pace, health, meter, name, random: Arc::new(random) }
    }

    /// Counts also in `meter` what it tries again.
    pub fn counting_retries(mut self, meter: Arc<Meter>) -> Self {
        self.meter = meter;
        self
    }

    /// With other random numbers, from 0 to 1, for the waits between tries.
    pub fn with_random(mut self, random: Arc<Random>) -> Self {
        self.random = random;
        self
    }

    /// Makes a store that has to be connected, tried a few times as requests are, and puts limits around it.
    pub async fn connect<S: ObjectStore + 'static, F: Future<Output = StoreResult<S>>>(
        limits: StoreLimits,
        pace: Arc<Pace>,
        connect: impl Fn() -> F,
    ) -> StoreResult<Self> {
        let mut failures = 0;
        loop {
            match connect().await {
                Ok(store) => {
                    let store = Self::new(Arc::new(store), limits, pace);
                    store.health.answered(&store.name);
                    return Ok(store);
                }
                Err(error) if error.retry() == super::Retry::Never || failures + 1 >= CONNECTS => return Err(error),
                Err(error) => {
                    failures += 1;
                    tracing::debug!(%error, failures, "it is tried again to connect");
                    tokio::time::sleep(limits.longest_wait(failures).mul_f64(random())).await;
                }
            }
        }
    }

    async fn may_send(&self, key: &str, bytes: u64) {
        if !key.starts_with(LOCKS) {
            self.pace.send(bytes).await;
        }
    }

    /// For an answer of known size.
    async fn may_receive(&self, key: &str, bytes: u64) {
        if !key.starts_with(LOCKS) {
            self.pace.receive(bytes).await;
        }
    }

    fn received(&self, key: &str, bytes: &Bytes) {
        if !key.starts_with(LOCKS) {
            self.pace.received(bytes.len() as u64);
        }
    }
}

impl fmt::Debug for LimitedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitedStore").field("inner", &self.inner).field("limits", &self.limits).finish_non_exhaustive()
    }
}

fn random() -> f64 {
    // Without random numbers everybody waits the longest time.
    getrandom::u32().map_or(1.0, |number| f64::from(number) / f64::from(u32::MAX))
}

fn length(file: &File) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.len())
}

#[async_trait]
impl ObjectStore for LimitedStore {
    async fn create_root(&self) -> StoreResult<()> {
        self.tried(StoreOperation::CreateRoot, "", 0, |_| self.inner.create_root()).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()> {
        let size = bytes.len() as u64;
        self.may_send(key, size).await;
        self.changed(StoreOperation::Put, key, size, |_| self.inner.put(key, bytes.clone())).await
    }

    async fn put_file(&self, key: &str, file: File) -> StoreResult<()> {
        let (file, size) = (&file, length(&file));
        self.may_send(key, size).await;
        self.changed(StoreOperation::Put, key, size, |_| async move {
            self.inner.put_file(key, self.reopen(key, file)?).await
        })
        .await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> StoreResult<bool> {
        let (bytes, size) = (&bytes, bytes.len() as u64);
        self.may_send(key, size).await;
        self.changed(StoreOperation::PutIfAbsent, key, size, |again| async move {
            Ok(self.inner.put_if_absent(key, bytes.clone()).await? || (again && self.has(key, bytes).await?))
        })
        .await
    }

    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, version: &Version) -> StoreResult<bool> {
        let (bytes, size) = (&bytes, bytes.len() as u64);
        self.may_send(key, size).await;
        self.changed(StoreOperation::PutIfUnchanged, key, size, |again| async move {
            let won = self.inner.put_if_unchanged(key, bytes.clone(), version).await?;
            Ok(won || (again && self.has(key, bytes).await?))
        })
        .await
    }

    async fn put_file_if_unchanged(
        &self,
        key: &str,
        file: File,
        version: Option<&Version>,
    ) -> StoreResult<Option<Version>> {
        let (file, size) = (&file, length(&file));
        self.may_send(key, size).await;
        self.changed(StoreOperation::PutIfUnchanged, key, size, |again| async move {
            match self.inner.put_file_if_unchanged(key, self.reopen(key, file)?, version).await? {
                None if again => self.has_file(key, self.reopen(key, file)?).await,
                written => Ok(written),
            }
        })
        .await
    }

    async fn get(&self, key: &str) -> StoreResult<Bytes> {
        self.may_receive(key, 0).await;
        let got = self.tried(StoreOperation::Get, key, UNKNOWN, |_| self.inner.get(key)).await;
        got.inspect(|bytes| self.received(key, bytes))
    }

    async fn get_versioned(&self, key: &str) -> StoreResult<(Bytes, Version)> {
        self.may_receive(key, 0).await;
        let got = self.tried(StoreOperation::Get, key, UNKNOWN, |_| self.inner.get_versioned(key)).await;
        got.inspect(|(bytes, _)| self.received(key, bytes))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
        let size = range.end.saturating_sub(range.start);
        self.may_receive(key, size).await;
        self.tried(StoreOperation::GetRange, key, size, |_| self.inner.get_range(key, range.clone())).await
    }

    async fn get_start(&self, key: &str, most: u64) -> StoreResult<(Bytes, ObjectStat, Version)> {
        self.may_receive(key, 0).await;
        let got = self.tried(StoreOperation::GetRange, key, most, |_| self.inner.get_start(key, most)).await;
        got.inspect(|(bytes, ..)| self.received(key, bytes))
    }

    async fn stat(&self, key: &str) -> StoreResult<ObjectStat> {
        self.tried(StoreOperation::Stat, key, 0, |_| self.inner.stat(key)).await
    }

    async fn stat_versioned(&self, key: &str) -> StoreResult<(ObjectStat, Version)> {
        self.tried(StoreOperation::Stat, key, UNKNOWN, |_| self.inner.stat_versioned(key)).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.changed(StoreOperation::Delete, key, 0, |_| self.inner.delete(key)).await
    }

    async fn delete_many(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        self.remove(keys).await
    }

    async fn delete_if_unchanged(&self, key: &str, version: &Version) -> StoreResult<bool> {
        self.changed(StoreOperation::Delete, key, 0, |again| async move {
            let deleted = self.inner.delete_if_unchanged(key, version).await?;
            Ok(deleted || (again && self.is_absent(key).await?))
        })
        .await
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
        listing::list(self, prefix)
    }

    async fn now(&self) -> StoreResult<Option<SystemTime>> {
        self.tried(StoreOperation::Now, "", 0, |_| self.inner.now()).await
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}
