//! A store that fails as it is told to.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{Read, Seek};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::time::Instant;

use crate::store::{
    Capabilities, MemoryStore, ObjectStat, ObjectStore, StoreError, StoreErrorKind, StoreResult, Version, delete_each,
};

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    None,
    /// It fails before it reaches the store.
    Unsent(StoreErrorKind),
    /// It is done, and its answer lost.
    Unanswered(StoreErrorKind),
    /// It is never done.
    Hang,
    /// It is done and never answered.
    HangAfter,
    /// Half of the file is read, and then it is never done.
    HalfRead,
    /// A listing fails after so many objects.
    BreakAfter(usize),
    /// A listing goes silent after so many.
    HangList(usize),
}

#[derive(Debug, Clone)]
pub(super) struct Scripted {
    inner: Arc<MemoryStore>,
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    faults: VecDeque<Fault>,
    broken: bool,
    broken_keys: HashSet<String>,
    times: Vec<Instant>,
}

impl Scripted {
    /// Fails so, one after the other, and then not any more.
    pub(super) fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        let script = Script { faults: faults.into_iter().collect(), ..Script::default() };
        Self { inner: Arc::default(), script: Arc::new(Mutex::new(script)) }
    }

    pub(super) fn next(&self, fault: Fault) {
        self.script.lock().unwrap().faults.push_back(fault);
    }

    pub(super) fn break_off(&self) {
        self.script.lock().unwrap().broken = true;
    }

    pub(super) fn break_key(&self, key: &str) {
        self.script.lock().unwrap().broken_keys.insert(key.to_owned());
    }

    pub(super) fn repair(&self) {
        let mut script = self.script.lock().unwrap();
        script.broken = false;
        script.faults.clear();
    }

    /// When requests came.
    pub(super) fn times(&self) -> Vec<Instant> {
        self.script.lock().unwrap().times.clone()
    }

    fn fault(&self, key: &str) -> Fault {
        let mut script = self.script.lock().unwrap();
        script.times.push(Instant::now());
        let fault = script.faults.pop_front();
        let is_broken = script.broken || script.broken_keys.contains(key);
        fault.unwrap_or(if is_broken { Fault::Unsent(StoreErrorKind::Transient) } else { Fault::None })
    }

    fn error(&self, key: &str, kind: StoreErrorKind) -> StoreError {
        let detail = "the script says so".to_owned();
        StoreError { kind, key: key.to_owned(), backend: self.inner.describe(), detail }
    }

    async fn request<T>(&self, key: &str, done: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        match self.fault(key) {
            Fault::Unsent(kind) => Err(self.error(key, kind)),
            Fault::Unanswered(kind) => done.await.and(Err(self.error(key, kind))),
            Fault::Hang | Fault::HalfRead => std::future::pending().await,
            Fault::HangAfter => {
                let _ = done.await;
                std::future::pending().await
            }
            Fault::None | Fault::BreakAfter(_) | Fault::HangList(_) => done.await,
        }
    }
}

#[async_trait]
impl ObjectStore for Scripted {
    async fn create_root(&self) -> StoreResult<()> {
        self.request("", self.inner.create_root()).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()> {
        self.request(key, self.inner.put(key, bytes)).await
    }

    async fn put_file(&self, key: &str, mut file: File) -> StoreResult<()> {
        file.rewind().unwrap();
        if self.script.lock().unwrap().faults.front() == Some(&Fault::HalfRead) {
            file.read_exact(&mut [0; 4]).unwrap();
        }
        self.request(key, self.inner.put_file(key, file)).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> StoreResult<bool> {
        self.request(key, self.inner.put_if_absent(key, bytes)).await
    }

    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, version: &Version) -> StoreResult<bool> {
        self.request(key, self.inner.put_if_unchanged(key, bytes, version)).await
    }

    async fn put_file_if_unchanged(
        &self,
        key: &str,
        file: File,
        version: Option<&Version>,
    ) -> StoreResult<Option<Version>> {
        self.request(key, self.inner.put_file_if_unchanged(key, file, version)).await
    }

    async fn get(&self, key: &str) -> StoreResult<Bytes> {
        self.request(key, self.inner.get(key)).await
    }

    async fn get_versioned(&self, key: &str) -> StoreResult<(Bytes, Version)> {
        self.request(key, self.inner.get_versioned(key)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
        self.request(key, self.inner.get_range(key, range)).await
    }

    async fn get_start(&self, key: &str, most: u64) -> StoreResult<(Bytes, ObjectStat, Version)> {
        self.request(key, self.inner.get_start(key, most)).await
    }

    async fn stat(&self, key: &str) -> StoreResult<ObjectStat> {
        self.request(key, self.inner.stat(key)).await
    }

    async fn stat_versioned(&self, key: &str) -> StoreResult<(ObjectStat, Version)> {
        self.request(key, self.inner.stat_versioned(key)).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.request(key, self.inner.delete(key)).await
    }

    async fn delete_many(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        Ok(delete_each(self, keys).await)
    }

    async fn delete_if_unchanged(&self, key: &str, version: &Version) -> StoreResult<bool> {
        self.request(key, self.inner.delete_if_unchanged(key, version)).await
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
        let listed = self.inner.list(prefix);
        let failure = stream::iter([Err(self.error(prefix, StoreErrorKind::Transient))]);
        match self.fault(prefix) {
            Fault::None => listed,
            Fault::BreakAfter(count) => listed.take(count).chain(failure).boxed(),
            Fault::HangList(count) => listed.take(count).chain(stream::pending()).boxed(),
            _ => failure.boxed(),
        }
    }

    async fn now(&self) -> StoreResult<Option<SystemTime>> {
        self.request("", self.inner.now()).await
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}
