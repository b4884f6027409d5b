//! A store whose client stops.

use std::fs::File;
use std::ops::Range;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::sync::watch;

use crate::store::{
    Capabilities, MemoryStore, ObjectStat, ObjectStore, StoreError, StoreErrorKind, StoreResult, Version, delete_each,
};

/// A store whose client stops before it deletes.
#[derive(Debug)]
pub(super) struct Stopping {
    inner: MemoryStore,
    /// Deletes wait until this is open.
    pub(super) gate: watch::Sender<bool>,
    /// What it was asked to delete.
    pub(super) deletes: watch::Sender<Vec<String>>,
    /// What it does not delete, as object lock does.
    pub(super) retained: Option<String>,
}

impl Stopping {
    pub(super) fn new(inner: MemoryStore) -> Self {
        Self { inner, gate: watch::Sender::new(false), deletes: watch::Sender::default(), retained: None }
    }

    /// One that goes on at once, and keeps what has this key.
    pub(super) fn retaining(inner: MemoryStore, key: &str) -> Self {
        Self { gate: watch::Sender::new(true), retained: Some(key.to_owned()), ..Self::new(inner) }
    }

    async fn delete_begins(&self, key: &str) -> StoreResult<()> {
        self.deletes.send_modify(|deletes| deletes.push(key.to_owned()));
        self.gate.subscribe().wait_for(|open| *open).await.unwrap();
        if self.retained.as_deref() != Some(key) {
            return Ok(());
        }
        let (backend, detail) = (self.describe(), "until next year".to_owned());
        Err(StoreError { kind: StoreErrorKind::Retained, key: key.to_owned(), backend, detail })
    }
}

#[async_trait]
impl ObjectStore for Stopping {
    async fn create_root(&self) -> StoreResult<()> {
        self.inner.create_root().await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()> {
        self.inner.put(key, bytes).await
    }

    async fn put_file(&self, key: &str, file: File) -> StoreResult<()> {
        self.inner.put_file(key, file).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> StoreResult<bool> {
        self.inner.put_if_absent(key, bytes).await
    }

    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, version: &Version) -> StoreResult<bool> {
        self.inner.put_if_unchanged(key, bytes, version).await
    }

    async fn put_file_if_unchanged(
        &self,
        key: &str,
        file: File,
        version: Option<&Version>,
    ) -> StoreResult<Option<Version>> {
        self.inner.put_file_if_unchanged(key, file, version).await
    }

    async fn get(&self, key: &str) -> StoreResult<Bytes> {
        self.inner.get(key).await
    }

    async fn get_versioned(&self, key: &str) -> StoreResult<(Bytes, Version)> {
        self.inner.get_versioned(key).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
        self.inner.get_range(key, range).await
    }

    async fn get_start(&self, key: &str, most: u64) -> StoreResult<(Bytes, ObjectStat, Version)> {
        self.inner.get_start(key, most).await
    }

    async fn stat(&self, key: &str) -> StoreResult<ObjectStat> {
        self.inner.stat(key).await
    }

    async fn stat_versioned(&self, key: &str) -> StoreResult<(ObjectStat, Version)> {
        self.inner.stat_versioned(key).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.delete_begins(key).await?;
        self.inner.delete(key).await
    }

    async fn delete_many(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        Ok(delete_each(self, keys).await)
    }

    async fn delete_if_unchanged(&self, key: &str, version: &Version) -> StoreResult<bool> {
        self.delete_begins(key).await?;
        self.inner.delete_if_unchanged(key, version).await
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
        self.inner.list(prefix)
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
