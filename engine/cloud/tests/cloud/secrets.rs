//! No credential is in what anybody prints.

use bytes::Bytes;
use cloudstic_cloud::AwsCredentials;
use cloudstic_cloud::b2::B2Settings;
use cloudstic_cloud::s3::{S3Settings, S3Store};
use cloudstic_engine::store::{ObjectStore, StoreErrorKind};
use secrecy::SecretString;

use super::server::{Believes, MemoryS3, Server, answer};
use super::{ALL, settings};

const SECRETS: [&str; 3] = ["AKIDSECRETID", "hunter2-secret", "hunter2-token"];

#[tokio::test]
async fn neither_settings_nor_stores_nor_errors_show_them() {
    let server = Server::start(MemoryS3::new(Believes::All)).await;
    let [id, secret, token] = SECRETS.map(SecretString::from);
    let credentials = AwsCredentials::Keys { id, secret, session_token: Some(token) };
    let settings = S3Settings { credentials, ..settings(&server) };
    let mut shown = format!("{settings:?}");
    let store = S3Store::connect(settings, ALL).await.unwrap();
    let error = store.put("config", Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Denied);
    shown += &format!("{store:?} {error:?} {error} {}", store.describe());
    let error = store.stat("config").await.unwrap_err();
    shown += &format!("{error:?} {error}");

    let service = Server::serve(|_| async { Ok(answer(401, r#"{"code":"unauthorized","message":"no"}"#)) }).await;
    let b2 = B2Settings {
        location: "bucket".parse().unwrap(),
        key_id: SecretString::from(SECRETS[0]),
        key: SecretString::from(SECRETS[1]),
        network: Default::default(),
        service: Some(service.url.clone()),
    };
    let error = b2.find().await.unwrap_err();
    shown += &format!("{b2:?} {error:?} {error}");
    assert!(shown.contains("unauthorized"), "{shown}");
    for secret in SECRETS.into_iter().chain(["hunter2"]) {
        assert!(!shown.contains(secret), "{shown}");
    }
}
