//! A store that answers some reads as a failing disk does: with an error that says nothing of the bytes, or with others.

use std::fs::File;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use cloudstic_engine::store::{
    Capabilities, ObjectStat, ObjectStore, StoreError, StoreErrorKind, StoreResult, Version,
};
use futures::stream::BoxStream;

use crate::memory::{Memory, Objects};

/// Which reads are hit; those of indexes, of the marker and of key slots are not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hit {
    /// All of this object.
    Always(String),
    /// The one with this number, from 0.
    Once(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Error,
    /// One bit is another.
    Flipped,
}

#[derive(Debug)]
pub(crate) struct Flaky {
    inner: Memory,
    hit: Hit,
    answer: Answer,
    reads: AtomicUsize,
}

impl Flaky {
    pub(crate) fn new(objects: Objects, hit: Hit, answer: Answer) -> Self {
        Self { inner: Memory::of(objects), hit, answer, reads: AtomicUsize::new(0) }
    }

    pub(crate) fn objects(&self) -> Objects {
        self.inner.objects()
    }

    /// How many reads there were.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    fn answer(&self, key: &str, right: StoreResult<Bytes>) -> StoreResult<Bytes> {
        let is_data = ["chunk/", "content/", "filemeta/", "node/", "snapshot/", "packs/"];
        if !is_data.iter().any(|kind| key.starts_with(kind)) {
            return right;
        }
        let number = self.reads.fetch_add(1, Ordering::SeqCst);
        let is_hit = match &self.hit {
            Hit::Always(hit) => hit == key,
            Hit::Once(hit) => *hit == number,
        };
        match (is_hit, self.answer) {
            (false, _) => right,
            (true, Answer::Error) => {
                let (key, backend) = (key.to_owned(), self.describe());
                Err(StoreError { kind: StoreErrorKind::Other, key, backend, detail: "input/output error".to_owned() })
            }
            (true, Answer::Flipped) => right.map(|bytes| {
                let mut bytes = bytes.to_vec();
                let middle = bytes.len() / 2;
                if let Some(byte) = bytes.get_mut(middle) {
                    *byte ^= 0x10;
                }
                bytes.into()
            }),
        }
    }
}

#[async_trait]
impl ObjectStore for Flaky {
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
        self.answer(key, self.inner.get(key).await)
    }

    async fn get_versioned(&self, key: &str) -> StoreResult<(Bytes, Version)> {
        let (bytes, version) = self.inner.get_versioned(key).await?;
        Ok((self.answer(key, Ok(bytes))?, version))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
        self.answer(key, self.inner.get_range(key, range).await)
    }

    async fn get_start(&self, key: &str, most: u64) -> StoreResult<(Bytes, ObjectStat, Version)> {
        let (bytes, stat, version) = self.inner.get_start(key, most).await?;
        Ok((self.answer(key, Ok(bytes))?, stat, version))
    }

    async fn stat(&self, key: &str) -> StoreResult<ObjectStat> {
        self.inner.stat(key).await
    }

    async fn stat_versioned(&self, key: &str) -> StoreResult<(ObjectStat, Version)> {
        self.inner.stat_versioned(key).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.inner.delete(key).await
    }

    async fn delete_many(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        self.inner.delete_many(keys).await
    }

    async fn delete_if_unchanged(&self, key: &str, version: &Version) -> StoreResult<bool> {
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
        "flaky".to_owned()
    }
}
