//! Whole backups and restores, by way of the layer of retries, to services at which things go wrong: they end right, or
//! with an error that says why, and the repository is sound.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cloudstic_cloud::s3::{Conditions, S3Settings, S3Store};
use cloudstic_e2e::oracle::{assert_same_tree, assert_sound};
use cloudstic_e2e::{golden, tree};
use cloudstic_engine::backup::{BackupError, BackupRequest, backup};
use cloudstic_engine::clock::SystemClock;
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repository::{InitOptions, Repository};
use cloudstic_engine::restore::{Overwrite, RestoreRequest, restore};
use cloudstic_engine::source::local::{LocalOptions, LocalSource};
use cloudstic_engine::store::ObjectStore;
use cloudstic_engine::store::limits::{LimitedStore, StoreLimits};
use hyper::Method;
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::server::{Believes, Fault, MemoryS3, Server};
use super::{ALL, settings};

/// Where [`settings`] has the repository.
const PREFIX: &str = "one/two/";

/// A service, and folders to back up and to restore to.
struct Site {
    folder: TempDir,
    memory: MemoryS3,
    server: Server,
}

impl Site {
    async fn new(memory: MemoryS3) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(memory.clone()).await;
        Self { folder, memory, server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A store that loses no time between its tries.
    async fn store(&self, settings: S3Settings, conditions: Conditions, tries: u32) -> Arc<dyn ObjectStore> {
        let limits = StoreLimits {
            tries,
            backoff: Duration::from_millis(1),
            longest_backoff: Duration::from_millis(1),
            ..StoreLimits::default()
        };
        let store = S3Store::connect(settings, conditions).await.unwrap();
        Arc::new(LimitedStore::new(Arc::new(store), limits, Arc::default()))
    }

    /// What a folder says that has all objects.
    fn is_sound(&self) {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in self.memory.objects(PREFIX) {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        assert_sound(folder.path(), &[]);
    }
}

async fn back_up(repository: &Arc<Repository>, source: &Path) -> Result<(), BackupError> {
    let request = BackupRequest {
        source: Arc::new(LocalSource::new(source.to_owned(), LocalOptions::default()).unwrap()),
        cache: None,
        tags: Vec::new(),
        dry_run: false,
        read_all: false,
        clock: Arc::new(SystemClock),
        lease: LeaseWatch::not_needed(),
    };
    backup(Arc::clone(repository), request, Arc::new(Silent), CancellationToken::new()).await.map(drop)
}

async fn bring_back(repository: &Arc<Repository>, snapshot: &str, target: &Path) {
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

/// Two backups of a tree that changes, and a restore.
async fn full_round(site: &Site, store: &Arc<dyn ObjectStore>) {
    let (source, target) = (site.path("source"), site.path("target"));
    tree::full(&source);
    Repository::init(Arc::clone(store), InitOptions::default()).await.unwrap();
    let repository = Arc::new(Repository::open(Arc::clone(store), Vec::new()).await.unwrap());
    back_up(&repository, &source).await.unwrap();
    tree::change(&source);
    back_up(&repository, &source).await.unwrap();
    bring_back(&repository, "latest", &target).await;
    assert_same_tree(&source, &target);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn backups_survive_what_passes() {
    for (memory, conditions) in
        [(MemoryS3::new(Believes::All), ALL), (MemoryS3::new(Believes::Refuses), Conditions::NONE)]
    {
        let site = Site::new(memory).await;
        let store = site.store(settings(&site.server), conditions, 50).await;
        site.server.faults.again(
            3,
            vec![
                Fault::Reset,
                Fault::AnswerLost,
                Fault::CutOff,
                Fault::Refused(500, "InternalError", None),
                Fault::Refused(503, "SlowDown", Some("0")),
                Fault::Refused(429, "TooManyRequests", Some("0")),
                Fault::Refused(502, "", None),
            ],
        );
        full_round(&site, &store).await;
        let requests = site.server.faults.stop();
        assert!(requests > 100, "{requests}");
        site.is_sound();
    }
}

/// A connection that goes on and says nothing. Who waits for it gives up after a moment, here.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn questions_that_are_never_answered_are_asked_again() {
    let site = Site::new(MemoryS3::new(Believes::All)).await;
    let whole = site.store(settings(&site.server), ALL, 50).await;
    full_round(&site, &whole).await;
    let short = S3Settings { stall: Duration::from_millis(300), ..settings(&site.server) };
    let store = site.store(short, ALL, 50).await;
    let repository = Arc::new(Repository::open(Arc::clone(&store), Vec::new()).await.unwrap());
    site.server.faults.again(5, vec![Fault::Silence(Arc::new(Notify::new()))]);
    bring_back(&repository, "latest", &site.path("again")).await;
    assert!(site.server.faults.stop() > 5);
    assert_same_tree(&site.path("source"), &site.path("again"));
}

/// Temporary credentials end while a backup is under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_whose_credentials_end_says_so_and_the_next_one_goes_on() {
    let site = Site::new(MemoryS3::new(Believes::All)).await;
    let store = site.store(settings(&site.server), ALL, 50).await;
    full_round(&site, &store).await;
    let repository = Arc::new(Repository::open(Arc::clone(&store), Vec::new()).await.unwrap());
    tree::write(&site.path("source"), "new.bin", &cloudstic_e2e::random::bytes(5, 5_000_000));
    site.server.faults.add(Method::PUT, "chunk/", Fault::Refused(400, "ExpiredToken", None));
    site.server.take_asked();
    let said = back_up(&repository, &site.path("source")).await.unwrap_err().to_string();
    assert!(said.contains("the session token has expired: give a new one"), "{said}");
    let asked = site.server.take_asked();
    let snapshots = asked.iter().filter(|asked| asked.method == Method::PUT && asked.target.contains("snapshot/"));
    assert_eq!(snapshots.count(), 0, "{asked:?}");
    site.is_sound();
    let repository = Arc::new(Repository::open(store, Vec::new()).await.unwrap());
    back_up(&repository, &site.path("source")).await.unwrap();
    bring_back(&repository, "latest", &site.path("again")).await;
    assert_same_tree(&site.path("source"), &site.path("again"));
    site.is_sound();
}

/// What the CLI wrote, in a bucket of a service that keeps every version, and in one that has conditions.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn repositories_of_another_program_open_in_buckets() {
    for (name, memory, versions) in
        [("plain", MemoryS3::new(Believes::All), false), ("nopack", MemoryS3::with_versions(Believes::Refuses), true)]
    {
        let site = Site::new(memory).await;
        let local = site.path("local");
        golden::copy(name, &local);
        for (key, bytes) in files(&local) {
            site.memory.put(&format!("{PREFIX}{key}"), bytes.into());
        }
        let settings = S3Settings { removes_versions: versions, ..settings(&site.server) };
        let remote = site.store(settings, if versions { Conditions::NONE } else { ALL }, 3).await;
        let here = Arc::new(cloudstic_engine::store::LocalStore::new(&local)) as Arc<dyn ObjectStore>;
        let mut listed = Vec::new();
        for (store, target) in [(here, "from here"), (remote, "from there")] {
            let repository = Arc::new(Repository::open(store, Vec::new()).await.unwrap());
            let snapshots = repository.snapshots().await.unwrap();
            bring_back(&repository, "latest", &site.path(target)).await;
            listed.push(format!("{snapshots:?}"));
        }
        assert_eq!(listed[0], listed[1]);
        assert_same_tree(&site.path("from here"), &site.path("from there"));
    }
}

/// All files below a folder, by their paths in it.
fn files(root: &Path) -> Vec<(String, Vec<u8>)> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let key = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.push((key, fs::read(path).unwrap()));
            }
        }
    }
    found
}
