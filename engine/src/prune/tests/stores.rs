//! Stores that fail and wait.

use std::fs::File;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;

use crate::store::{
    Capabilities, MemoryStore, ObjectStat, ObjectStore, StoreError, StoreErrorKind, StoreResult, Version,
};

/// A store whose client dies after so many changes, or stops before it deletes.
#[derive(Debug)]
pub(super) struct Frail {
    inner: MemoryStore,
    changes_left: AtomicUsize,
    dead: AtomicBool,
    /// Deletes wait until this is open.
    pub(super) gate: watch::Sender<bool>,
    /// What it was asked to delete.
    pub(super) deletes: watch::Sender<Vec<String>>,
    /// What it was asked to write, in order.
    pub(super) puts: Mutex<Vec<String>>,
}

impl Frail {
    pub(super) fn dies_after(inner: MemoryStore, changes: usize) -> Self {
        Self {
            inner,
            changes_left: AtomicUsize::new(changes),
            dead: AtomicBool::new(false),
            gate: watch::Sender::new(true),
            deletes: watch::Sender::default(),
            puts: Mutex::default(),
        }
    }

    /// Stops before each delete until the gate is opened.
    pub(super) fn stops(inner: MemoryStore) -> Self {
        let store = Self::dies_after(inner, usize::MAX);
        store.gate.send_replace(false);
        store
    }

    fn lives(&self, key: &str) -> StoreResult<()> {
        if !self.dead.load(Ordering::SeqCst) {
            return Ok(());
        }
        let (key, backend) = (key.to_owned(), "memory".to_owned());
        Err(StoreError { kind: StoreErrorKind::Other, key, backend, detail: "dead".to_owned() })
    }

    fn change(&self, key: &str) -> StoreResult<()> {
        let less = |left: usize| left.checked_sub(1);
        if self.changes_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_err() {
            self.dead.store(true, Ordering::SeqCst);
        }
        self.lives(key)
    }

    fn put_begins(&self, key: &str) -> StoreResult<()> {
        self.puts.lock().unwrap().push(key.to_owned());
        self.change(key)
    }

    async fn delete_begins(&self, key: &str) -> StoreResult<()> {
        self.deletes.send_modify(|deletes| deletes.push(key.to_owned()));
        self.gate.subscribe().wait_for(|open| *open).await.unwrap();
        self.change(key)
    }
}

#[async_trait]
impl ObjectStore for Frail {
    async fn create_root(&self) -> StoreResult<()> {
        self.inner.create_root().await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()> {
        self.put_begins(key)?;
        self.inner.put(key, bytes).await
    }

    async fn put_file(&self, key: &str, file: File) -> StoreResult<()> {
        self.put_begins(key)?;
        self.inner.put_file(key, file).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> StoreResult<bool> {
        self.put_begins(key)?;
        self.inner.put_if_absent(key, bytes).await
    }

    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, version: &Version) -> StoreResult<bool> {
        self.put_begins(key)?;
        self.inner.put_if_unchanged(key, bytes, version).await
    }

    async fn put_file_if_unchanged(&self, key: &str, file: File, version: Option<&Version>) -> StoreResult<bool> {
        self.put_begins(key)?;
        self.inner.put_file_if_unchanged(key, file, version).await
    }

    async fn get(&self, key: &str) -> StoreResult<Bytes> {
        self.lives(key)?;
        self.inner.get(key).await
    }

    async fn get_versioned(&self, key: &str) -> StoreResult<(Bytes, Version)> {
        self.lives(key)?;
        self.inner.get_versioned(key).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
        self.lives(key)?;
        self.inner.get_range(key, range).await
    }

    async fn stat(&self, key: &str) -> StoreResult<ObjectStat> {
        self.lives(key)?;
        self.inner.stat(key).await
    }

    async fn stat_versioned(&self, key: &str) -> StoreResult<(ObjectStat, Version)> {
        self.lives(key)?;
        self.inner.stat_versioned(key).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.delete_begins(key).await?;
        self.inner.delete(key).await
    }

    async fn delete_if_unchanged(&self, key: &str, version: &Version) -> StoreResult<bool> {
        self.delete_begins(key).await?;
        self.inner.delete_if_unchanged(key, version).await
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
        match self.lives(prefix) {
            Ok(()) => self.inner.list(prefix),
            Err(dead) => stream::iter([Err(dead)]).boxed(),
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
