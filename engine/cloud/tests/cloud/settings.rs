//! What settings do to requests.

use bytes::Bytes;
use cloudstic_cloud::s3::{Encryption, S3Settings, S3Store, StorageClass};
use cloudstic_engine::store::ObjectStore;

use super::server::{Believes, MemoryS3, Server};
use super::{ALL, settings};

#[tokio::test]
async fn only_what_is_large_goes_to_a_storage_class_and_all_is_encrypted() {
    let memory = MemoryS3::new(Believes::All);
    let server = Server::start(memory.clone()).await;
    let key = Some("arn:aws:kms:eu-central-1:1:key/x".to_owned());
    let settings = S3Settings {
        storage_class: Some(StorageClass::StandardIa),
        encryption: Some(Encryption::Kms { key }),
        ..settings(&server)
    };
    let store = S3Store::connect(settings, ALL).await.unwrap();
    for (key, class) in [("packs/a", Some("STANDARD_IA")), ("chunk/a", Some("STANDARD_IA")), ("config", None)] {
        store.put(key, Bytes::from_static(b"x")).await.unwrap();
        let (written_class, encryption) = memory.written(&format!("one/two/{key}"));
        assert_eq!(written_class.as_deref(), class, "{key}");
        assert_eq!(encryption.as_deref(), Some("aws:kms arn:aws:kms:eu-central-1:1:key/x"));
    }
}

#[tokio::test]
async fn other_services_get_checksums_only_if_they_want_them() {
    let server = Server::start(MemoryS3::new(Believes::All)).await;
    for (checksums, expected) in [(None, false), (Some(false), false), (Some(true), true)] {
        let settings = S3Settings { checksums, ..settings(&server) };
        let store = S3Store::connect(settings, ALL).await.unwrap();
        store.put("config", Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(store.get("config").await.unwrap(), "x");
        assert_eq!(server.take_asked().iter().map(|asked| asked.has_checksum).collect::<Vec<_>>(), [expected; 2]);
    }
}

#[test]
fn a_class_that_has_to_be_thawed_is_refused() {
    for (text, is_good) in [("STANDARD_IA", true), ("GLACIER_IR", true), ("GLACIER", false), ("standard", false)] {
        assert_eq!(text.parse::<StorageClass>().is_ok(), is_good, "{text}");
    }
}
