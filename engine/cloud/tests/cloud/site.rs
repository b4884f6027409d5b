//! A service, a line to it on which things can go wrong, and folders to back up and to restore to.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cloudstic_cloud::s3::S3Settings;
use cloudstic_e2e::oracle::assert_sound;
use cloudstic_engine::backup::{BackupError, BackupRequest, backup};
use cloudstic_engine::cache::StatCache;
use cloudstic_engine::clock::SystemClock;
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repository::Repository;
use cloudstic_engine::restore::{Overwrite, RestoreRequest, restore};
use cloudstic_engine::source::local::{LocalOptions, LocalSource};
use cloudstic_engine::store::ObjectStore;
use cloudstic_engine::store::limits::{LimitedStore, StoreLimits};
use futures::stream::{self, StreamExt, TryStreamExt};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::server::Server;
use super::services::Service;
use super::settings_at;

pub(crate) struct Site {
    folder: TempDir,
    pub(crate) service: Service,
    pub(crate) line: Server,
}

impl Site {
    pub(crate) async fn new(service: Service) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let line = Server::before(&service.url).await;
        Self { folder, service, line }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// For the way by the line.
    pub(crate) fn settings(&self) -> S3Settings {
        settings_at(&self.line.url)
    }

    /// A store at the other end of the line, with the layer of retries, which loses no time between its tries.
    pub(crate) async fn store(&self) -> Arc<dyn ObjectStore> {
        self.store_with(self.settings()).await
    }

    /// The same with other settings.
    pub(crate) async fn store_with(&self, settings: S3Settings) -> Arc<dyn ObjectStore> {
        patient(Arc::new(self.service.store_with(settings).await))
    }

    /// Panics unless a folder is sound that has all objects, fetched straight from the service.
    pub(crate) async fn is_sound(&self) {
        let store = self.service.store().await;
        let folder = tempfile::tempdir().unwrap();
        let fetch = |key: String| {
            let (store, path) = (&store, folder.path().join(&key));
            async move {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, store.get(&key).await.unwrap()).unwrap();
            }
        };
        let keys: Vec<_> = store.list("").map_ok(|stat| stat.key).try_collect().await.unwrap();
        stream::iter(keys).map(fetch).buffer_unordered(16).collect::<()>().await;
        assert_sound(folder.path(), &[]);
    }
}

/// A store that tries very often, and loses no time in between.
pub(crate) fn patient(store: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
    let limits = StoreLimits {
        tries: 50,
        backoff: Duration::from_millis(1),
        longest_backoff: Duration::from_millis(1),
        request: Duration::from_secs(5),
        slowest: 1 << 20,
        ..StoreLimits::default()
    };
    Arc::new(LimitedStore::new(store, limits, Arc::default()))
}

pub(crate) async fn back_up(repository: &Arc<Repository>, source: &Path) -> Result<(), BackupError> {
    back_up_with(None, repository, source).await
}

/// The same as a daemon does it, which remembers the files.
pub(crate) async fn back_up_with(
    cache: Option<&Arc<StatCache>>,
    repository: &Arc<Repository>,
    source: &Path,
) -> Result<(), BackupError> {
    let request = BackupRequest {
        source: Arc::new(LocalSource::new(source.to_owned(), LocalOptions::default()).unwrap()),
        cache: cache.cloned(),
        tags: Vec::new(),
        dry_run: false,
        read_all: false,
        clock: Arc::new(SystemClock),
        lease: LeaseWatch::not_needed(),
    };
    backup(Arc::clone(repository), request, Arc::new(Silent), CancellationToken::new()).await.map(drop)
}

pub(crate) async fn bring_back(repository: &Arc<Repository>, snapshot: &str, target: &Path) {
    let request = RestoreRequest {
        snapshot: snapshot.to_owned(),
        paths: Vec::new(),
        target: target.to_owned(),
        overwrite: Overwrite::default(),
        dry_run: false,
        identity: None,
        lease: LeaseWatch::not_needed(),
    };
    let restored = restore(Arc::clone(repository), request, Arc::new(Silent), CancellationToken::new());
    let warnings = restored.await.unwrap().warnings;
    assert!(warnings.is_empty(), "{warnings:?}");
}
