//! A repository and a source in a temporary folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cloudstic_engine::backup::{BackupError, BackupReport, BackupRequest, backup};
use cloudstic_engine::cache::StatCache;
use cloudstic_engine::clock::FixedClock;
use cloudstic_engine::copy::CopyRequest;
use cloudstic_engine::finding::Finding;
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::object::ObjectRef;
use cloudstic_engine::progress::{Phase, Progress, Silent};
use cloudstic_engine::repository::{Credential, InitOptions, Repository, SnapshotFilter, SnapshotSelection};
use cloudstic_engine::restore::{Overwrite, RestoreError, RestoreReport, RestoreRequest};
use cloudstic_engine::source::Warning;
use cloudstic_engine::source::local::{LocalOptions, LocalSource};
use cloudstic_engine::store::{LocalStore, Meter, MeteredStore, ObjectStore};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(crate) const PLATFORM_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

pub(crate) fn platform_key() -> Credential {
    Credential::PlatformKey(PLATFORM_KEY.into())
}

pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) repository: Arc<Repository>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) cache: Option<Arc<StatCache>>,
    pub(crate) options: LocalOptions,
}

impl Bench {
    /// An empty repository and an empty source.
    pub(crate) async fn new(credentials: Vec<Credential>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = MeteredStore::new(Arc::new(LocalStore::new(folder.path().join("repository"))));
        let meter = store.meter();
        let store: Arc<dyn ObjectStore> = Arc::new(store);
        let options = InitOptions { credentials: credentials.clone(), ..InitOptions::default() };
        Repository::init(Arc::clone(&store), options).await.unwrap();
        let repository = Arc::new(Repository::open(store, credentials).await.unwrap());
        let cache = Some(Arc::new(StatCache::open(&folder.path().join("cache.redb")).unwrap()));
        std::fs::create_dir(folder.path().join("source")).unwrap();
        Self { folder, repository, meter, cache, options: LocalOptions::default() }
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    pub(crate) fn repository_path(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    pub(crate) fn write(&self, path: &str, data: &[u8]) {
        let path = self.source().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, data).unwrap();
    }

    pub(crate) fn request(&self) -> BackupRequest {
        BackupRequest {
            source: Arc::new(LocalSource::new(self.source(), self.options.clone()).unwrap()),
            cache: self.cache.clone(),
            tags: Vec::new(),
            dry_run: false,
            read_all: false,
            // Long after the last change of any file, so that no change can hide in the same tick.
            clock: Arc::new(FixedClock(SystemTime::now() + Duration::from_secs(3600))),
            lease: LeaseWatch::not_needed(),
        }
    }

    pub(crate) async fn run(&self, request: BackupRequest) -> Result<BackupReport, BackupError> {
        backup(Arc::clone(&self.repository), request, Arc::new(Silent), CancellationToken::new()).await
    }

    pub(crate) async fn backup(&self) -> BackupReport {
        self.run(self.request()).await.unwrap()
    }

    pub(crate) async fn restore(&self, snapshot: &str, target: &Path) -> Result<RestoreReport, RestoreError> {
        restore(&self.repository, snapshot, target).await
    }

    pub(crate) fn verify(&self) {
        cloudstic_e2e::oracle::assert_sound(&self.repository_path(), &["--platform-key", PLATFORM_KEY]);
    }
}

/// A copy of all snapshots, without locks.
pub(crate) fn copy_all() -> CopyRequest {
    CopyRequest {
        selection: SnapshotSelection::Matching(SnapshotFilter::default()),
        partial: false,
        dry_run: false,
        from: LeaseWatch::not_needed(),
        to: LeaseWatch::not_needed(),
    }
}

/// Does something each time that everything is read, and only the commit is left.
pub(crate) struct BeforeCommit<F>(pub(crate) F);

impl<F: Fn() + Send + Sync> Progress for BeforeCommit<F> {
    fn phase(&self, phase: Phase) {
        if phase == Phase::Finishing {
            self.0();
        }
    }

    fn expect(&self, _: u64, _: u64) {}
    fn advance(&self, _: u64, _: u64) {}
    fn path(&self, _: &str) {}
    fn warning(&self, _: &Warning) {}
    fn finding(&self, _: &Finding<'_>) {}
}

pub(crate) async fn open(path: &Path, credentials: Vec<Credential>) -> Arc<Repository> {
    Arc::new(Repository::open(Arc::new(LocalStore::new(path)), credentials).await.unwrap())
}

/// Restores all of a snapshot.
pub(crate) async fn restore(
    repository: &Arc<Repository>,
    snapshot: &str,
    target: &Path,
) -> Result<RestoreReport, RestoreError> {
    let request = RestoreRequest {
        snapshot: snapshot.to_owned(),
        paths: Vec::new(),
        target: target.to_owned(),
        overwrite: Overwrite::default(),
        dry_run: false,
        identity: None,
        lease: LeaseWatch::not_needed(),
    };
    let (repository, progress) = (Arc::clone(repository), Arc::new(Silent));
    cloudstic_engine::restore::restore(repository, request, progress, CancellationToken::new()).await
}

/// A repository with so many snapshots, and their names, oldest first.
pub(crate) async fn with_snapshots(count: u8) -> (Bench, Vec<ObjectRef>) {
    let bench = Bench::new(vec![platform_key()]).await;
    let mut made = Vec::new();
    for n in 0..count {
        bench.write("file", &[n]);
        made.push(bench.backup().await.snapshot.unwrap());
    }
    (bench, made)
}
