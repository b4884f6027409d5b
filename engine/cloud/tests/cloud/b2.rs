//! Backblaze B2, which names the place of an account's buckets.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cloudstic_cloud::SetupError;
use cloudstic_cloud::b2::B2Settings;
use cloudstic_cloud::s3::{Conditions, S3Store};
use cloudstic_engine::store::ObjectStore;
use secrecy::SecretString;

use super::server::{BUCKET, Believes, KEY_ID, MemoryS3, SECRET, Server, answer};

/// One that answers like `b2_authorize_account`, and remembers who asked.
pub(crate) async fn service(s3_url: &str, restriction: &str) -> (Server, Arc<Mutex<Vec<String>>>) {
    let text = format!(
        r#"{{"accountId":"0123","apiInfo":{{"storageApi":{{"apiUrl":"https://api004.backblazeb2.com",{restriction}
        "s3ApiUrl":"{s3_url}","recommendedPartSize":100000000}}}},"authorizationToken":"4_x"}}"#
    );
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let server = Server::serve(move |request| {
        let authorization = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        seen.lock().unwrap().push(format!("{} {}", request.uri(), authorization.unwrap_or_default()));
        let text = text.clone();
        async move { Ok(answer(200, text)) }
    });
    (server.await, asked)
}

pub(crate) fn settings(service: &Server, location: &str) -> B2Settings {
    B2Settings {
        location: location.parse().unwrap(),
        key_id: SecretString::from(KEY_ID),
        key: SecretString::from(SECRET),
        network: Default::default(),
        service: Some(service.url.clone()),
    }
}

#[tokio::test]
async fn the_place_of_the_buckets_is_asked_for_and_objects_have_the_documented_names() {
    let memory = MemoryS3::with_versions(Believes::Refuses);
    let s3 = Server::start(memory.clone()).await;
    let (service, asked) = service(&s3.url, r#""bucketName":null,"namePrefix":null,"#).await;
    let found = settings(&service, &format!("{BUCKET}/pre/fix")).find().await.unwrap();
    let basic = "Basic QUtJREVYQU1QTEU6aHVudGVyMmh1bnRlcjJodW50ZXIy";
    assert_eq!(*asked.lock().unwrap(), [format!("/b2api/v3/b2_authorize_account {basic}")]);
    let store = S3Store::connect(found, Conditions::NONE).await.unwrap();
    assert_eq!(store.describe(), "b2:backups/pre/fix");
    store.put("keys/password-default", Bytes::from_static(b"1")).await.unwrap();
    store.put("keys/password-default", Bytes::from_static(b"2")).await.unwrap();
    assert_eq!(memory.states(), ["pre/fix/keys/password-default"; 2]);
    s3.take_asked();
    store.delete("keys/password-default").await.unwrap();
    assert_eq!((memory.states().len(), s3.take_asked().len()), (0, 3), "a listing, the old one, the last one");
    store.put("packs/a", Bytes::from_static(b"1")).await.unwrap();
    s3.take_asked();
    store.delete("packs/a").await.unwrap();
    assert_eq!((memory.states().len(), s3.take_asked().len()), (0, 2), "a listing, and a delete");
}

#[tokio::test]
async fn a_region_of_backblaze_is_read_from_the_place() {
    let (service, _) = service("https://s3.us-west-004.backblazeb2.com", "").await;
    let found = settings(&service, "bucket").find().await.unwrap();
    assert_eq!(found.region.as_deref(), Some("us-west-004"));
    assert_eq!(found.endpoint.as_deref(), Some("https://s3.us-west-004.backblazeb2.com"));
}

#[tokio::test]
async fn a_key_for_something_else_is_told_before_anything_is_tried() {
    let (service, _) = service("https://s3.x.example", r#""bucketName":"other","namePrefix":"a/","#).await;
    let error = settings(&service, "bucket").find().await.unwrap_err();
    assert!(matches!(&error, SetupError::OtherBucket { allowed, .. } if allowed == "other/a/"), "{error}");
    assert!(settings(&service, "other/a").find().await.is_ok());
    assert!(settings(&service, "other/b").find().await.is_err());
}

#[tokio::test]
async fn a_wrong_key_is_no_failure_of_the_network() {
    let refused = r#"{"status":401,"code":"unauthorized","message":"invalid application key"}"#;
    for (status, body, is_denied) in [(401, refused, true), (403, "", true), (503, "", false), (200, "{}", false)] {
        let server = Server::serve(move |_| async move { Ok(answer(status, body)) }).await;
        let error = settings(&server, "bucket").find().await.unwrap_err();
        assert_eq!(matches!(error, SetupError::Denied { .. }), is_denied, "{status}: {error}");
        assert!(is_denied || matches!(error, SetupError::Unreachable { .. }), "{status}: {error}");
    }
}
