//! The way to a service.

use bytes::Bytes;
use cloudstic_cloud::Network;
use cloudstic_cloud::s3::{Conditions, S3Settings, S3Store};
use cloudstic_e2e::servers::rclone::RcloneS3;
use cloudstic_engine::store::{ObjectStore, Retry, StoreErrorKind};

use super::server::{BUCKET, Believes, KEY_ID, MemoryS3, SECRET, Server};
use super::{ALL, settings, settings_at};

#[tokio::test]
async fn a_proxy_is_gone_through() {
    let server = Server::start(MemoryS3::new(Believes::All)).await;
    let network = Network::default().with_proxy(&server.url).unwrap();
    let endpoint = Some("http://nowhere.invalid".to_owned());
    let settings = S3Settings { network, endpoint, ..settings(&server) };
    let store = S3Store::connect(settings, ALL).await.unwrap();
    store.put("config", Bytes::from_static(b"x")).await.unwrap();
    let asked = server.take_asked();
    assert!(asked[0].target.starts_with("http://nowhere.invalid/backups/one/two/config"), "{asked:?}");
}

#[tokio::test]
async fn a_certificate_is_trusted_if_the_settings_say_so_and_else_there_is_no_second_try() {
    let (service, certificate) = RcloneS3::start_with_tls(KEY_ID, SECRET, BUCKET);
    let settings = settings_at(&service.tls_url());
    let store = S3Store::connect(settings.clone(), Conditions::NONE).await.unwrap();
    let error = store.get("config").await.unwrap_err();
    assert_eq!((error.kind, error.retry()), (StoreErrorKind::Untrusted, Retry::Never), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    let network = Network::default().with_authorities(&certificate).unwrap();
    let store = S3Store::connect(S3Settings { network, ..settings }, Conditions::NONE).await.unwrap();
    store.put("config", Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(store.get("config").await.unwrap(), "x");
}

#[tokio::test]
async fn who_does_not_answer_may_answer_later() {
    let server = Server::start(MemoryS3::new(Believes::All)).await;
    let settings = settings(&server);
    drop(server);
    let store = S3Store::connect(settings, ALL).await.unwrap();
    assert_eq!(store.get("config").await.unwrap_err().kind, StoreErrorKind::Transient);
}

#[tokio::test]
async fn what_an_answer_says_of_the_time_is_the_store_s_time() {
    let server = Server::start(MemoryS3::new(Believes::All)).await;
    let store = S3Store::connect(settings(&server), ALL).await.unwrap();
    let told = store.now().await.unwrap().unwrap();
    let off = std::time::SystemTime::now().duration_since(told).unwrap_or_default();
    assert!(off < std::time::Duration::from_secs(10), "{off:?}");
}
