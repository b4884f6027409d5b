//! What the original CLI wrote is read as it recorded it.

use std::collections::BTreeMap;

use cloudstic_e2e::golden;
use cloudstic_engine::object::{Hash, ObjectKind, ObjectRef};
use cloudstic_engine::repository::{Credential, RepositoryError};
use cloudstic_engine::store::LocalStore;

use crate::support::{open, platform_key};

fn credentials() -> Vec<Credential> {
    let keys = golden::expected("encrypted", "keys.json");
    let words = keys["recovery_mnemonic"].as_str().unwrap().to_owned();
    vec![Credential::Password("golden-password".into()), platform_key(), Credential::RecoveryWords(words.into())]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_decodes_to_what_was_recorded() {
    for name in ["plain", "encrypted", "nopack"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("repository");
        golden::copy(name, &path);
        let repository = open(&path, credentials()).await;
        let reader = repository.reader().await.unwrap();
        let lines = std::fs::read_to_string(golden::folder(name).join("expected/objects.jsonl")).unwrap();
        let expected: BTreeMap<String, String> = lines
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|o| (o["key"].as_str().unwrap().to_owned(), o["sha256"].as_str().unwrap().to_owned()))
            .collect();
        let read = tokio::task::spawn_blocking(move || {
            let objects = expected.into_iter().filter_map(|(key, hash)| Some((key.parse::<ObjectRef>().ok()?, hash)));
            let mut count = 0;
            for (object, hash) in objects {
                assert_eq!(Hash::of(&reader.read(&object).unwrap()).to_string(), hash, "{object}");
                count += 1;
            }
            assert!(reader.detours().is_empty());
            count
        });
        assert!(read.await.unwrap() > 100, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_credential_opens_and_a_wrong_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repository");
    golden::copy("encrypted", &path);
    for credential in credentials() {
        let repository = open(&path, vec![credential]).await;
        assert_eq!(repository.snapshots().await.unwrap().readable.len(), 3);
    }
    let open = |credentials| {
        cloudstic_engine::repository::Repository::open(std::sync::Arc::new(LocalStore::new(&path)), credentials)
    };
    let wrong = open(vec![Credential::Password("wrong".into())]).await.unwrap_err();
    assert!(matches!(wrong, RepositoryError::WrongCredential { .. }), "{wrong}");
    let none = open(Vec::new()).await.unwrap_err();
    assert!(none.to_string().contains("password-default"), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_are_those_of_the_list_newest_first() {
    for name in ["plain", "encrypted", "nopack"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("repository");
        golden::copy(name, &path);
        // The snapshot catalog is only a cache.
        for with_index in [true, false] {
            if !with_index {
                std::fs::remove_file(path.join("index/snapshots")).unwrap();
            }
            let repository = open(&path, credentials()).await;
            let found: Vec<_> = repository.snapshots().await.unwrap().readable;
            let list = golden::expected(name, "list.json");
            let expected: Vec<_> =
                list["Snapshots"].as_array().unwrap().iter().map(|s| s["Ref"].as_str().unwrap()).collect();
            assert_eq!(found.iter().map(|s| s.reference.key()).collect::<Vec<_>>(), expected);
            let (latest, _) = repository.find_snapshot("latest").await.unwrap();
            assert_eq!((latest.key().as_str(), latest.kind), (expected[0], ObjectKind::Snapshot));
            let short = &expected[1]["snapshot/".len()..][..8];
            assert_eq!(repository.find_snapshot(short).await.unwrap().0.key(), expected[1]);
            assert!(repository.find_snapshot("").await.is_err());
            assert!(repository.find_snapshot("zz").await.is_err());
        }
    }
}
