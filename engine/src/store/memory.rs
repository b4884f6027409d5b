//! A store in memory, for tests: with or without atomic operations, and with lines to it that are slow, broken or
//! stalled.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;

use super::{Capabilities, ObjectStat, ObjectStore, StoreError, StoreErrorKind, StoreResult, Version, delete_each};

/// What a store can do that can do everything.
const ALL: Capabilities =
    Capabilities { atomic_create: true, conditional_replace: true, conditional_delete: true, concurrency: 4 };

/// One client's line to objects in memory.
#[derive(Debug)]
pub struct MemoryStore {
    objects: Arc<Mutex<BTreeMap<String, Bytes>>>,
    capabilities: Capabilities,
    line: Arc<Line>,
}

/// What happens to requests on the way. A request that its caller gave up goes on, as on a real network.
#[derive(Debug)]
pub struct Line {
    /// Each way takes up to this long, in nanoseconds, by tokio's clock.
    latency: AtomicU64,
    random: AtomicU64,
    stalled: watch::Sender<bool>,
    broken: AtomicBool,
    answers_lost: AtomicBool,
    /// How many changes still go through before the line breaks.
    changes: AtomicU64,
    /// What cannot be read as a whole.
    unreadable: Mutex<Option<String>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with(ALL)
    }
}

impl MemoryStore {
    /// An empty one that can do this.
    pub fn with(capabilities: Capabilities) -> Self {
        Self { objects: Arc::default(), capabilities, line: Arc::new(Line::new(1)) }
    }

    /// One that holds these, and can do everything.
    pub fn of(objects: BTreeMap<String, Bytes>) -> Self {
        Self { objects: Arc::new(Mutex::new(objects)), ..Self::default() }
    }

    /// One that overwrites blindly: it looks first and then writes.
    pub fn not_atomic() -> Self {
        let none = Capabilities { atomic_create: false, conditional_replace: false, conditional_delete: false, ..ALL };
        Self::with(none)
    }

    /// One that replaces conditionally, and does not delete so.
    pub fn without_conditional_delete() -> Self {
        Self::with(Capabilities { conditional_delete: false, ..ALL })
    }

    /// Another client's line to the same objects.
    pub fn another(&self, seed: u64) -> Self {
        Self {
            objects: Arc::clone(&self.objects),
            capabilities: self.capabilities,
            line: Arc::new(Line::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)),
        }
    }

    /// What is in it. Nothing is done to it as long as the guard lives.
    pub fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        lock(&self.objects)
    }

    /// A copy of what is in it.
    pub fn copy(&self) -> BTreeMap<String, Bytes> {
        self.objects().clone()
    }

    /// The line of this client.
    pub fn line(&self) -> &Line {
        &self.line
    }

    fn error(&self, key: &str, kind: StoreErrorKind) -> StoreError {
        StoreError { kind, key: key.to_owned(), backend: self.describe(), detail: "it ends too early".to_owned() }
    }

    fn read(&self, key: &str, mut file: File) -> StoreResult<Bytes> {
        let mut bytes = Vec::new();
        let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
        read.map(|_| bytes.into()).map_err(|_| self.error(key, StoreErrorKind::Other))
    }

    /// Does `work` at one moment, somewhere between the request and the answer.
    async fn request<T: Send + 'static>(
        &self,
        key: &str,
        work: impl FnOnce(&mut BTreeMap<String, Bytes>) -> T + Send + 'static,
    ) -> StoreResult<T> {
        let (line, objects) = (Arc::clone(&self.line), Arc::clone(&self.objects));
        let there_and_back = async move {
            line.travel().await;
            let result = work(&mut lock(&objects));
            line.travel().await;
            result
        };
        if self.line.broken.load(Ordering::Relaxed) {
            return Err(self.error(key, StoreErrorKind::Transient));
        }
        let result = if self.line.is_quick() {
            there_and_back.await
        } else {
            let answer = tokio::spawn(there_and_back).await;
            answer.map_err(|_| self.error(key, StoreErrorKind::Other))?
        };
        match self.line.answers_lost.load(Ordering::Relaxed) {
            true => Err(self.error(key, StoreErrorKind::Transient)),
            false => Ok(result),
        }
    }

    /// Writes where it is still as `expected`; in two steps if this store is not atomic.
    async fn change(
        &self,
        key: &str,
        atomic: bool,
        expected: Option<Version>,
        new: Option<Bytes>,
    ) -> StoreResult<bool> {
        self.line.count_change();
        let name = key.to_owned();
        let is_as_expected = move |objects: &BTreeMap<String, Bytes>| objects.get(&name).map(Version::of) == expected;
        let name = key.to_owned();
        let write = move |objects: &mut BTreeMap<String, Bytes>| match new {
            Some(bytes) => drop(objects.insert(name, bytes)),
            None => drop(objects.remove(&name)),
        };
        if atomic {
            let both = move |objects: &mut BTreeMap<String, Bytes>| is_as_expected(objects).then(|| write(objects));
            return Ok(self.request(key, both).await?.is_some());
        }
        let expected = self.request(key, move |objects| is_as_expected(objects)).await?;
        if expected {
            self.request(key, write).await?;
        }
        Ok(expected)
    }
}

impl Line {
    fn new(seed: u64) -> Self {
        Self {
            latency: AtomicU64::new(0),
            random: AtomicU64::new(seed),
            stalled: watch::Sender::new(false),
            broken: AtomicBool::new(false),
            answers_lost: AtomicBool::new(false),
            changes: AtomicU64::new(u64::MAX),
            unreadable: Mutex::default(),
        }
    }

    /// Each way takes up to this long.
    pub fn set_latency(&self, latency: Duration) {
        self.latency.store(latency.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Requests under way and new ones wait.
    pub fn stall(&self, stalled: bool) {
        self.stalled.send_replace(stalled);
    }

    /// Requests fail before they reach the store.
    pub fn break_off(&self, broken: bool) {
        self.broken.store(broken, Ordering::Relaxed);
    }

    /// Requests reach the store, and their answers are lost.
    pub fn lose_answers(&self, lost: bool) {
        self.answers_lost.store(lost, Ordering::Relaxed);
    }

    /// So many changes reach the store, and then nothing does, as when the process dies there.
    pub fn break_after(&self, changes: u64) {
        self.changes.store(changes, Ordering::Relaxed);
    }

    /// This object cannot be read as a whole, as where a disk fails somewhere in its middle.
    pub fn break_object(&self, key: &str) {
        *self.unreadable.lock().unwrap_or_else(PoisonError::into_inner) = Some(key.to_owned());
    }

    fn count_change(&self) {
        let left = self.changes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if left.is_err() {
            self.break_off(true);
        }
    }

    fn is_quick(&self) -> bool {
        self.latency.load(Ordering::Relaxed) == 0 && !*self.stalled.borrow()
    }

    async fn travel(&self) {
        // No sender is ever dropped while this line is there.
        let _ = self.stalled.subscribe().wait_for(|stalled| !stalled).await;
        let latency = self.latency.load(Ordering::Relaxed);
        if latency > 0 {
            let mut random = self.random.load(Ordering::Relaxed);
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            self.random.store(random, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_nanos(random % latency)).await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn create_root(&self) -> StoreResult<()> {
        Ok(())
    }

    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()> {
        let name = key.to_owned();
        self.line.count_change();
        self.request(key, move |objects| drop(objects.insert(name, bytes))).await
    }

    async fn put_file(&self, key: &str, file: File) -> StoreResult<()> {
        self.put(key, self.read(key, file)?).await
    }

    async fn put_file_if_unchanged(
        &self,
        key: &str,
        file: File,
        version: Option<&Version>,
    ) -> StoreResult<Option<Version>> {
        let bytes = self.read(key, file)?;
        let written = Version::of(&bytes);
        let is_written = match version {
            Some(version) => self.put_if_unchanged(key, bytes, version).await?,
            None => self.put_if_absent(key, bytes).await?,
        };
        Ok(is_written.then_some(written))
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> StoreResult<bool> {
        self.change(key, self.capabilities.atomic_create, None, Some(bytes)).await
    }

    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, version: &Version) -> StoreResult<bool> {
        self.change(key, self.capabilities.conditional_replace, Some(version.clone()), Some(bytes)).await
    }

    async fn get(&self, key: &str) -> StoreResult<Bytes> {
        let is_unreadable = self.line.unreadable.lock().unwrap_or_else(PoisonError::into_inner).as_deref() == Some(key);
        if is_unreadable {
            return Err(self.error(key, StoreErrorKind::Other));
        }
        let name = key.to_owned();
        let found = self.request(key, move |objects| objects.get(&name).cloned()).await?;
        found.ok_or_else(|| self.error(key, StoreErrorKind::NotFound))
    }

    async fn get_versioned(&self, key: &str) -> StoreResult<(Bytes, Version)> {
        let bytes = self.get(key).await?;
        let version = Version::of(&bytes);
        Ok((bytes, version))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
        let bytes = self.get(key).await?;
        if range.end > bytes.len() as u64 {
            return Err(self.error(key, StoreErrorKind::Corrupt));
        }
        Ok(bytes.slice(range.start as usize..range.end as usize))
    }

    async fn get_start(&self, key: &str, most: u64) -> StoreResult<(Bytes, ObjectStat, Version)> {
        let (bytes, version) = self.get_versioned(key).await?;
        let stat = ObjectStat { key: key.to_owned(), size: bytes.len() as u64, modified: SystemTime::UNIX_EPOCH };
        Ok((bytes.slice(..bytes.len().min(most as usize)), stat, version))
    }

    async fn stat(&self, key: &str) -> StoreResult<ObjectStat> {
        let size = self.get(key).await?.len() as u64;
        Ok(ObjectStat { key: key.to_owned(), size, modified: SystemTime::UNIX_EPOCH })
    }

    async fn stat_versioned(&self, key: &str) -> StoreResult<(ObjectStat, Version)> {
        let (bytes, version) = self.get_versioned(key).await?;
        let size = bytes.len() as u64;
        Ok((ObjectStat { key: key.to_owned(), size, modified: SystemTime::UNIX_EPOCH }, version))
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        let name = key.to_owned();
        self.line.count_change();
        self.request(key, move |objects| drop(objects.remove(&name))).await
    }

    async fn delete_many(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        Ok(delete_each(self, keys).await)
    }

    async fn delete_if_unchanged(&self, key: &str, version: &Version) -> StoreResult<bool> {
        self.change(key, self.capabilities.conditional_delete, Some(version.clone()), None).await
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
        let begins = prefix.to_owned();
        let listed = self.request(prefix, move |objects| {
            let found = objects.iter().filter(|(key, _)| key.starts_with(&begins));
            let stat = |(key, bytes): (&String, &Bytes)| ObjectStat {
                key: key.clone(),
                size: bytes.len() as u64,
                modified: SystemTime::UNIX_EPOCH,
            };
            found.map(stat).collect::<Vec<_>>()
        });
        stream::once(listed)
            .flat_map(|listed| match listed {
                Ok(stats) => stream::iter(stats.into_iter().map(Ok)).boxed(),
                Err(error) => stream::iter([Err(error)]).boxed(),
            })
            .boxed()
    }

    async fn now(&self) -> StoreResult<Option<SystemTime>> {
        Ok(None)
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}

#[cfg(test)]
#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let kinds = [MemoryStore::default(), MemoryStore::not_atomic(), MemoryStore::without_conditional_delete()];
    for store in kinds {
        super::conformance::check(&store).await;
    }
}
