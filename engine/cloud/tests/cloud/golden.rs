//! Repositories that the CLI wrote open, list and restore at every service as they do in a folder.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use cloudstic_cloud::s3::{Conditions, S3Settings, S3Store};
use cloudstic_e2e::golden;
use cloudstic_e2e::oracle::assert_same_tree;
use cloudstic_engine::repository::{Credential, Repository};
use cloudstic_engine::store::{LocalStore, ObjectStore};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::b2;
use super::server::{BUCKET, Believes, MemoryS3, Server};
use super::services::Service;
use super::settings_at;
use super::site::{bring_back, patient};

const NAMES: [&str; 3] = ["plain", "nopack", "encrypted"];

async fn open(store: Arc<dyn ObjectStore>, name: &str) -> Arc<Repository> {
    let password = (name == "encrypted").then(|| Credential::Password("golden-password".into()));
    Arc::new(Repository::open(store, password.into_iter().collect()).await.unwrap())
}

/// Copies a repository into an empty place, and holds it against the one in the folder.
async fn comes_back(name: &str, remote: S3Store) {
    let remote = patient(Arc::new(remote));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    golden::copy(name, &path("local"));
    let mut keys = files(&path("local"));
    let put = |key: &String| {
        let (key, bytes) = (key.clone(), fs::read(path("local").join(key)).unwrap());
        let remote = &remote;
        async move { remote.put(&key, bytes.into()).await.unwrap() }
    };
    stream::iter(&keys).map(put).buffer_unordered(16).collect::<()>().await;
    let mut found: Vec<_> = remote.list("").map_ok(|stat| stat.key).try_collect().await.unwrap();
    keys.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, keys, "{name}");
    let stores: [(_, Arc<dyn ObjectStore>); 2] =
        [("here", Arc::new(LocalStore::new(path("local")))), ("there", Arc::clone(&remote))];
    let mut listed = Vec::new();
    for (target, store) in stores {
        let repository = open(store, name).await;
        let snapshots = repository.snapshots().await.unwrap();
        assert_eq!(snapshots.readable.len(), 3, "{name}");
        bring_back(&repository, "latest", &path(target)).await;
        listed.push(format!("{snapshots:?}"));
    }
    assert_eq!(listed[0], listed[1], "{name}");
    assert_same_tree(&path("here"), &path("there"));
}

/// All files below a folder, by their paths in it.
fn files(root: &Path) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found
}

/// Each in a folder of its own.
async fn all_come_back(service: Service) {
    for name in NAMES {
        let location = format!("{BUCKET}/golden/{name}").parse().unwrap();
        let settings = S3Settings { location, ..settings_at(&service.url) };
        comes_back(name, service.store_with(settings).await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn where_conditions_are_met() {
    all_come_back(Service::memory().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn at_another_one_s_service() {
    all_come_back(Service::ministack()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn at_another_one_s_service_without_conditions() {
    all_come_back(Service::rclone()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn where_objects_are_files() {
    all_come_back(Service::files().await).await;
}

/// By B2's own door: its service tells where the buckets are, which keep every version.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_b2() {
    let buckets = Server::start(MemoryS3::with_versions(Believes::Refuses)).await;
    let (service, _) = b2::service(&buckets.url, "").await;
    for name in NAMES {
        let found = b2::settings(&service, &format!("{BUCKET}/{name}")).find().await.unwrap();
        comes_back(name, S3Store::connect(found, Conditions::NONE).await.unwrap()).await;
    }
}
