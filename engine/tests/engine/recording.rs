//! A store that writes down what it is asked for.

use std::fs::File;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use cloudstic_engine::store::{Capabilities, ObjectStat, ObjectStore, StoreError, StoreResult, Version};
use futures::stream::BoxStream;

/// What was asked, and of which object.
pub(crate) type Asked = (&'static str, String);

#[derive(Debug)]
pub(crate) struct Recording {
    inner: Arc<dyn ObjectStore>,
    asked: Mutex<Vec<Asked>>,
}

impl Recording {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, asked: Mutex::default() }
    }

    /// What was asked since the last time.
    pub(crate) fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn asked(&self, what: &'static str, key: &str) -> &dyn ObjectStore {
        self.asked.lock().unwrap().push((what, key.to_owned()));
        &*self.inner
    }
}

#[async_trait]
impl ObjectStore for Recording {
    async fn create_root(&self) -> StoreResult<()> {
        self.asked("create", "").create_root().await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()> {
        self.asked("put", key).put(key, bytes).await
    }

    async fn put_file(&self, key: &str, file: File) -> StoreResult<()> {
        self.asked("put", key).put_file(key, file).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> StoreResult<bool> {
        self.asked("put", key).put_if_absent(key, bytes).await
    }

    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, version: &Version) -> StoreResult<bool> {
        self.asked("put", key).put_if_unchanged(key, bytes, version).await
    }

    async fn put_file_if_unchanged(
        &self,
        key: &str,
        file: File,
        version: Option<&Version>,
    ) -> StoreResult<Option<Version>> {
        self.asked("put", key).put_file_if_unchanged(key, file, version).await
    }

    async fn get(&self, key: &str) -> StoreResult<Bytes> {
        self.asked("get", key).get(key).await
    }

    async fn get_versioned(&self, key: &str) -> StoreResult<(Bytes, Version)> {
        self.asked("get", key).get_versioned(key).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
        self.asked("range", key).get_range(key, range).await
    }

    async fn get_start(&self, key: &str, most: u64) -> StoreResult<(Bytes, ObjectStat, Version)> {
        self.asked("start", key).get_start(key, most).await
    }

    async fn stat(&self, key: &str) -> StoreResult<ObjectStat> {
        self.asked("stat", key).stat(key).await
    }

    async fn stat_versioned(&self, key: &str) -> StoreResult<(ObjectStat, Version)> {
        self.asked("stat", key).stat_versioned(key).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.asked("delete", key).delete(key).await
    }

    async fn delete_many(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        self.asked("delete", keys.first().map_or("", String::as_str)).delete_many(keys).await
    }

    async fn delete_if_unchanged(&self, key: &str, version: &Version) -> StoreResult<bool> {
        self.asked("delete", key).delete_if_unchanged(key, version).await
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
        self.asked("list", prefix).list(prefix)
    }

    async fn now(&self) -> StoreResult<Option<SystemTime>> {
        self.asked("now", "").now().await
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}
