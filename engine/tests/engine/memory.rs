//! A store in memory that starts as a copy of others' objects, for tests that need many slightly different ones.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use cloudstic_engine::store::{
    Capabilities, ObjectStat, ObjectStore, StoreError, StoreErrorKind, StoreResult, Version, delete_each,
};
use futures::stream::{self, BoxStream, StreamExt};

pub(crate) type Objects = BTreeMap<String, Bytes>;

#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Objects>);

impl Memory {
    pub(crate) fn of(objects: Objects) -> Self {
        Self(Mutex::new(objects))
    }

    pub(crate) fn objects(&self) -> Objects {
        self.0.lock().unwrap().clone()
    }

    fn error(&self, key: &str, kind: StoreErrorKind) -> StoreError {
        StoreError { kind, key: key.to_owned(), backend: self.describe(), detail: "it ends too early".to_owned() }
    }
}

/// All objects of a local store.
pub(crate) fn load(folder: &Path) -> Objects {
    let mut objects = Objects::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in std::fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let key = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                objects.insert(key, std::fs::read(path).unwrap().into());
            }
        }
    }
    objects
}

#[async_trait]
impl ObjectStore for Memory {
    async fn create_root(&self) -> StoreResult<()> {
        Ok(())
    }

    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()> {
        self.0.lock().unwrap().insert(key.to_owned(), bytes);
        Ok(())
    }

    async fn put_file(&self, key: &str, mut file: File) -> StoreResult<()> {
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).unwrap();
        self.put(key, bytes.into()).await
    }

    async fn put_file_if_unchanged(
        &self,
        key: &str,
        mut file: File,
        version: Option<&Version>,
    ) -> StoreResult<Option<Version>> {
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).unwrap();
        let bytes = Bytes::from(bytes);
        let written = Version::of(&bytes);
        let is_written = match version {
            Some(version) => self.put_if_unchanged(key, bytes, version).await?,
            None => self.put_if_absent(key, bytes).await?,
        };
        Ok(is_written.then_some(written))
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> StoreResult<bool> {
        let mut objects = self.0.lock().unwrap();
        let is_new = !objects.contains_key(key);
        objects.entry(key.to_owned()).or_insert(bytes);
        Ok(is_new)
    }

    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, version: &Version) -> StoreResult<bool> {
        let mut objects = self.0.lock().unwrap();
        let is_unchanged = objects.get(key).is_some_and(|bytes| Version::of(bytes) == *version);
        if is_unchanged {
            objects.insert(key.to_owned(), bytes);
        }
        Ok(is_unchanged)
    }

    async fn get(&self, key: &str) -> StoreResult<Bytes> {
        let found = self.0.lock().unwrap().get(key).cloned();
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
        let (_, version) = self.get_versioned(key).await?;
        Ok((self.stat(key).await?, version))
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.0.lock().unwrap().remove(key);
        Ok(())
    }

    async fn delete_many(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        Ok(delete_each(self, keys).await)
    }

    async fn delete_if_unchanged(&self, key: &str, version: &Version) -> StoreResult<bool> {
        let mut objects = self.0.lock().unwrap();
        let is_unchanged = objects.get(key).is_some_and(|bytes| Version::of(bytes) == *version);
        if is_unchanged {
            objects.remove(key);
        }
        Ok(is_unchanged)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
        let stat = |(key, bytes): (String, Bytes)| {
            Ok(ObjectStat { key, size: bytes.len() as u64, modified: SystemTime::UNIX_EPOCH })
        };
        let found = self.objects().into_iter().filter(|(key, _)| key.starts_with(prefix));
        stream::iter(found.map(stat).collect::<Vec<_>>()).boxed()
    }

    async fn now(&self) -> StoreResult<Option<SystemTime>> {
        Ok(None)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { atomic_create: true, conditional_replace: true, conditional_delete: true, concurrency: 4 }
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}
