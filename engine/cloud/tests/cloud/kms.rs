//! Key slots that AWS KMS opens.

use std::sync::Arc;

use aws_sdk_kms::Client;
use cloudstic_cloud::Network;
use cloudstic_cloud::kms::{KmsKey, KmsSettings};
use cloudstic_e2e::servers::ministack::Ministack;
use cloudstic_engine::repository::{Credential, InitOptions, Repository, RepositoryError};
use cloudstic_engine::store::{LocalStore, ObjectStore};

use super::keys;
use super::server::{Server, answer};

async fn new_key(service: &Ministack) -> String {
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(aws_config::BehaviorVersion::v2026_01_12())
        .credentials_provider(aws_credential_types::Credentials::new("test", "test", None, None, "test"))
        .region(aws_config::Region::new("eu-central-1"))
        .endpoint_url(service.url())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    let made = Client::from_conf(config).create_key().send().await.unwrap();
    made.key_metadata.unwrap().arn.unwrap()
}

async fn credential(url: String, key: &str) -> Credential {
    let settings = KmsSettings {
        key: key.to_owned(),
        endpoint: Some(url),
        region: Some("eu-central-1".to_owned()),
        profile: None,
        credentials: keys("test"),
        network: Network::default(),
    };
    Credential::KeyService(Arc::new(KmsKey::connect(&settings).await.unwrap()))
}

#[tokio::test]
async fn a_slot_opens_with_its_key_and_with_no_other() {
    let service = Ministack::start();
    let one = new_key(&service).await;
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(LocalStore::new(folder.path().join("repository")));
    let options = InitOptions { credentials: vec![credential(service.url(), &one).await], ..InitOptions::default() };
    let report = Repository::init(Arc::clone(&store), options).await.unwrap();
    assert_eq!((report.encrypted, report.slots), (true, vec!["kms-platform-default".to_owned()]));
    Repository::open(Arc::clone(&store), vec![credential(service.url(), &one).await]).await.unwrap();

    // ministack decrypts with every key, and gives something else; Amazon says so.
    for code in ["IncorrectKeyException", "InvalidCiphertextException"] {
        let refusal = format!(r#"{{"__type":"{code}","message":""}}"#);
        let refuses = Server::serve(move |_| std::future::ready(Ok(answer(400, refusal.clone())))).await;
        let wrong = Repository::open(Arc::clone(&store), vec![credential(refuses.url.clone(), &one).await]).await;
        assert!(matches!(wrong, Err(RepositoryError::WrongCredential { .. })), "{wrong:?}");
    }
    let slot: serde_json::Value =
        serde_json::from_slice(&store.get("keys/kms-platform-default").await.unwrap()).unwrap();
    assert!(slot["slot_type"] == "kms-platform" && slot.get("kdf_params").is_none(), "{slot}");
}

/// That the service fails is no proof that the key is wrong.
#[tokio::test]
async fn a_key_that_is_not_there_is_told_by_its_name() {
    let service = Ministack::start();
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(LocalStore::new(folder.path().join("repository")));
    let gone = "arn:aws:kms:eu-central-1:000000000000:key/00000000-0000-0000-0000-000000000000";
    let options = InitOptions { credentials: vec![credential(service.url(), gone).await], ..InitOptions::default() };
    let error = Repository::init(store, options).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Slot(_)) && error.to_string().contains(gone), "{error}");
}
