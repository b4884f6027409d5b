//! Every store keeps the contract, with what was found out of its service; and what a service only claims is found out.

use std::sync::Arc;
use std::time::Duration;

use cloudstic_cloud::BucketLocation;
use cloudstic_cloud::s3::{Conditions, S3Settings, S3Store};
use cloudstic_e2e::servers::ministack::Ministack;
use cloudstic_e2e::servers::rclone::RcloneS3;
use cloudstic_engine::store::{ObjectStore, StoreErrorKind, conformance};
use futures::TryStreamExt;
use hyper::Method;
use tokio::sync::Notify;

use super::server::{BUCKET, Believes, Fault, KEY_ID, MemoryS3, SECRET, Server};
use super::{ALL, keys, settings, store};

const PATIENCE: Duration = Duration::from_secs(60);

/// Tries a service, and holds a store that knows the result to the contract.
async fn probed(store: S3Store) -> Conditions {
    let found = store.probe(PATIENCE).await.unwrap();
    let store = store.with_conditions(found);
    let left: Vec<_> = store.list("").try_collect().await.unwrap();
    assert_eq!(left, [], "of the probe");
    conformance::check(&store).await;
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn where_conditions_are_met() {
    let server = Server::start(MemoryS3::new(Believes::All)).await;
    assert_eq!(probed(store(&server, Conditions::NONE).await).await, ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_deletes_know_no_conditions() {
    let server = Server::start(MemoryS3::new(Believes::Writes)).await;
    let found = probed(store(&server, Conditions::NONE).await).await;
    assert_eq!(found, Conditions { delete: false, ..ALL });
}

#[tokio::test(flavor = "multi_thread")]
async fn where_conditions_are_ignored_or_refused() {
    for believes in [Believes::Nothing, Believes::Refuses] {
        let server = Server::start(MemoryS3::new(believes)).await;
        assert_eq!(probed(store(&server, Conditions::NONE).await).await, Conditions::NONE, "{believes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_every_version_is_kept() {
    let memory = MemoryS3::with_versions(Believes::Refuses);
    let server = Server::start(memory.clone()).await;
    let settings = S3Settings { removes_versions: true, ..settings(&server) };
    let store = S3Store::connect(settings, Conditions::NONE).await.unwrap();
    assert_eq!(probed(store.clone()).await, Conditions::NONE);
    let keys: Vec<_> = store.list("").map_ok(|stat| stat.key).try_collect().await.unwrap();
    assert!(store.delete_many(&keys).await.unwrap().is_empty());
    assert_eq!(memory.states(), Vec::<String>::new(), "no version is left");
}

/// Versions are removed one after the other, whatever the service does with conditions on one.
#[tokio::test(flavor = "multi_thread")]
async fn where_versions_are_removed_no_delete_is_atomic() {
    let server = Server::start(MemoryS3::with_versions(Believes::All)).await;
    let settings = S3Settings { removes_versions: true, ..settings(&server) };
    let store = S3Store::connect(settings, Conditions::NONE).await.unwrap();
    assert_eq!(probed(store.clone()).await, ALL);
    let can = store.with_conditions(ALL).capabilities();
    assert!(can.atomic_create && can.conditional_replace && !can.conditional_delete);
}

/// Some take one write of an object a second. Whether they keep to conditions cannot be seen, so it is not believed.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_takes_few_writes_at_once_is_used_without_conditions() {
    let server = Server::start(MemoryS3::new(Believes::All)).await;
    let refuse = |requests: usize| {
        let refused = Fault::Refused(429, "TooManyRequests", None);
        (0..requests).for_each(|_| server.faults.add(Method::PUT, "probe/", refused.clone()));
    };
    refuse(3 * 20);
    assert_eq!(probed(store(&server, Conditions::NONE).await).await, Conditions::NONE);
    // One that is only busy for a moment is tried again.
    refuse(5);
    assert_eq!(store(&server, Conditions::NONE).await.probe(PATIENCE).await.unwrap(), ALL);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_takes_too_long_leaves_nothing() {
    let memory = MemoryS3::new(Believes::All);
    let server = Server::start(memory.clone()).await;
    server.faults.add(Method::PUT, "probe/", Fault::Silence(Arc::new(Notify::new())));
    let error = store(&server, Conditions::NONE).await.probe(Duration::from_secs(3)).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Transient);
    assert!(error.to_string().ends_with("it did not answer within 3 seconds"), "{error}");
    assert_eq!(memory.states(), Vec::<String>::new());
}

/// It looks at conditions, and then forgets them: with one client at a time one cannot tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_service_that_lies_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
    let server = Server::start(s3s_fs::FileSystem::new(folder.path()).unwrap()).await;
    let store = store(&server, Conditions::NONE).await;
    let found = store.probe(PATIENCE).await.unwrap();
    assert!(!(found.create && found.replace), "{found:?}");
    conformance::check(&store).await;
    assert!(folder.path().join(BUCKET).join("one/two/config").is_file(), "the name of an object");
}

#[tokio::test]
async fn a_service_that_cannot_be_asked_is_not_judged() {
    let server = Server::start(MemoryS3::new(Believes::All)).await;
    let settings = S3Settings { credentials: keys("wrong"), ..settings(&server) };
    let store = S3Store::connect(settings, Conditions::NONE).await.unwrap();
    assert_eq!(store.probe(PATIENCE).await.unwrap_err().kind, StoreErrorKind::Denied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_one_s_service_meets_conditions_in_races() {
    let service = Ministack::start();
    let location: BucketLocation = format!("{BUCKET}/one/two").parse().unwrap();
    let settings = S3Settings { endpoint: Some(service.url()), credentials: keys("any"), ..S3Settings::new(location) };
    let store = S3Store::connect(settings, Conditions::NONE).await.unwrap();
    assert_eq!(store.create_root().await.unwrap_err().kind, StoreErrorKind::Gone);
    service.make_bucket(BUCKET);
    let found = probed(store).await;
    assert!(found.create && found.replace, "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_one_s_service_that_ignores_conditions_is_not_believed() {
    let service = RcloneS3::start(KEY_ID, SECRET, BUCKET);
    service.make_folders(&format!("{BUCKET}/one/two"));
    let settings = |bucket: &str| {
        let location: BucketLocation = format!("{bucket}/one/two").parse().unwrap();
        S3Settings { endpoint: Some(service.url()), credentials: keys(SECRET), ..S3Settings::new(location) }
    };
    let elsewhere = S3Store::connect(settings("elsewhere"), Conditions::NONE).await.unwrap();
    assert_eq!(elsewhere.create_root().await.unwrap_err().kind, StoreErrorKind::Gone);
    let store = S3Store::connect(settings(BUCKET), Conditions::NONE).await.unwrap();
    assert_eq!(probed(store).await, Conditions::NONE);
}
