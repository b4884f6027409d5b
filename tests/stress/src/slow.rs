//! The stores that the processes work on, each process with its own.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use cloudstic_engine::repository::{Credential, InitOptions, Repository, RepositoryError};
use cloudstic_engine::store::{
    Capabilities, LocalStore, ObjectStat, ObjectStore, StoreError, StoreErrorKind, StoreResult, Version, delete_each,
};
use futures::stream::BoxStream;

use crate::StoreKind;

const PLATFORM_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Where the repository of a run lies.
pub(crate) fn store(kind: StoreKind, folder: &Path) -> Arc<dyn ObjectStore> {
    let local = LocalStore::new(folder.join("repository"));
    match kind {
        StoreKind::Local => Arc::new(local),
        StoreKind::Plain => Arc::new(Plain(local)),
    }
}

/// What opens it: one of the kinds is encrypted, the other is not.
pub(crate) fn credentials(kind: StoreKind) -> Vec<Credential> {
    match kind {
        StoreKind::Local => vec![Credential::PlatformKey(PLATFORM_KEY.into())],
        StoreKind::Plain => Vec::new(),
    }
}

/// The same, as the oracle takes it.
pub(crate) fn oracle_credentials(kind: StoreKind) -> &'static [&'static str] {
    match kind {
        StoreKind::Local => &["--platform-key", PLATFORM_KEY],
        StoreKind::Plain => &[],
    }
}

/// Makes the repository of a run.
pub(crate) async fn init(kind: StoreKind, folder: &Path) -> Result<(), RepositoryError> {
    let options = InitOptions { credentials: credentials(kind), ..InitOptions::default() };
    Repository::init(store(kind, folder), options).await.map(drop)
}

/// Opens it.
pub(crate) async fn open(kind: StoreKind, folder: &Path) -> Result<Arc<Repository>, RepositoryError> {
    Ok(Arc::new(Repository::open(store(kind, folder), credentials(kind)).await?))
}

/// A store that takes its time, and looks before it writes where others are atomic.
#[derive(Debug)]
struct Plain(LocalStore);

impl Plain {
    async fn delay(&self) {
        tokio::time::sleep(Duration::from_micros(fastrand::u64(0..4000))).await;
    }

    async fn is(&self, key: &str, version: &Version) -> StoreResult<bool> {
        match self.0.get_versioned(key).await {
            Ok((_, found)) => Ok(found == *version),
            Err(error) if error.kind == StoreErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl ObjectStore for Plain {
    async fn create_root(&self) -> StoreResult<()> {
        self.0.create_root().await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()> {
        self.delay().await;
        self.0.put(key, bytes).await
    }

    async fn put_file(&self, key: &str, file: File) -> StoreResult<()> {
        self.delay().await;
        self.0.put_file(key, file).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> StoreResult<bool> {
        if self.0.stat(key).await.is_ok() {
            return Ok(false);
        }
        self.delay().await;
        self.0.put(key, bytes).await?;
        Ok(true)
    }

    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, version: &Version) -> StoreResult<bool> {
        if !self.is(key, version).await? {
            return Ok(false);
        }
        self.delay().await;
        self.0.put(key, bytes).await?;
        Ok(true)
    }

    async fn put_file_if_unchanged(
        &self,
        key: &str,
        file: File,
        version: Option<&Version>,
    ) -> StoreResult<Option<Version>> {
        let found = match self.0.stat_versioned(key).await {
            Ok((_, found)) => Some(found),
            Err(error) if error.kind == StoreErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if found.as_ref() != version {
            return Ok(None);
        }
        self.delay().await;
        self.0.put_file(key, file).await?;
        Ok(Some(self.0.stat_versioned(key).await?.1))
    }

    async fn get(&self, key: &str) -> StoreResult<Bytes> {
        self.delay().await;
        self.0.get(key).await
    }

    async fn get_versioned(&self, key: &str) -> StoreResult<(Bytes, Version)> {
        self.delay().await;
        self.0.get_versioned(key).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
        self.delay().await;
        self.0.get_range(key, range).await
    }

    async fn get_start(&self, key: &str, most: u64) -> StoreResult<(Bytes, ObjectStat, Version)> {
        self.delay().await;
        self.0.get_start(key, most).await
    }

    async fn stat(&self, key: &str) -> StoreResult<ObjectStat> {
        self.delay().await;
        self.0.stat(key).await
    }

    async fn stat_versioned(&self, key: &str) -> StoreResult<(ObjectStat, Version)> {
        self.delay().await;
        self.0.stat_versioned(key).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.delay().await;
        self.0.delete(key).await
    }

    async fn delete_many(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        Ok(delete_each(self, keys).await)
    }

    async fn delete_if_unchanged(&self, key: &str, version: &Version) -> StoreResult<bool> {
        if !self.is(key, version).await? {
            return Ok(false);
        }
        self.delay().await;
        self.0.delete(key).await?;
        Ok(true)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
        self.0.list(prefix)
    }

    async fn now(&self) -> StoreResult<Option<SystemTime>> {
        Ok(None)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            atomic_create: false,
            conditional_replace: false,
            conditional_delete: false,
            ..self.0.capabilities()
        }
    }

    fn describe(&self) -> String {
        format!("plain:{}", self.0.describe())
    }
}
