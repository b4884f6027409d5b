//! A store in memory, for tests.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

use super::{Capabilities, ObjectStat, ObjectStore, StoreError, StoreErrorKind, StoreResult};

#[derive(Debug, Default)]
pub(crate) struct MemoryStore(Mutex<BTreeMap<String, Bytes>>);

impl MemoryStore {
    pub(crate) fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, key: &str, kind: StoreErrorKind) -> StoreError {
        StoreError { kind, key: key.to_owned(), backend: self.describe(), detail: "it ends too early".to_owned() }
    }
}

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()> {
        self.objects().insert(key.to_owned(), bytes);
        Ok(())
    }

    async fn put_file(&self, key: &str, mut file: File) -> StoreResult<()> {
        let mut bytes = Vec::new();
        let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
        read.map_err(|_| self.error(key, StoreErrorKind::Other))?;
        self.put(key, bytes.into()).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> StoreResult<bool> {
        let mut objects = self.objects();
        if objects.contains_key(key) {
            return Ok(false);
        }
        objects.insert(key.to_owned(), bytes);
        Ok(true)
    }

    async fn get(&self, key: &str) -> StoreResult<Bytes> {
        self.objects().get(key).cloned().ok_or_else(|| self.error(key, StoreErrorKind::NotFound))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
        let bytes = self.get(key).await?;
        if range.end > bytes.len() as u64 {
            return Err(self.error(key, StoreErrorKind::Corrupt));
        }
        Ok(bytes.slice(range.start as usize..range.end as usize))
    }

    async fn stat(&self, key: &str) -> StoreResult<ObjectStat> {
        let size = self.get(key).await?.len() as u64;
        Ok(ObjectStat { key: key.to_owned(), size, modified: SystemTime::UNIX_EPOCH })
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.objects().remove(key);
        Ok(())
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
        let found: Vec<_> = self
            .objects()
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(key, bytes)| {
                Ok(ObjectStat { key: key.clone(), size: bytes.len() as u64, modified: SystemTime::UNIX_EPOCH })
            })
            .collect();
        stream::iter(found).boxed()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { atomic_create: true, concurrency: 4 }
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    super::conformance::check(&MemoryStore::default()).await;
}
