#![allow(clippy::unwrap_used)]

use super::*;
use crate::pack::{DOOMED_KEY, Doomed};
use crate::repository::{Credential, InitOptions};
use crate::store::{MemoryStore, ObjectStore};

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

async fn repository() -> Arc<Repository> {
    let store: Arc<dyn ObjectStore> = Arc::new(MemoryStore::default());
    let credentials = vec![Credential::PlatformKey(KEY.into())];
    let options = InitOptions { credentials: credentials.clone(), ..InitOptions::default() };
    Repository::init(Arc::clone(&store), options).await.unwrap();
    Arc::new(Repository::open(store, credentials).await.unwrap())
}

async fn show(repository: &Arc<Repository>, key: &str, stored: bool, show_secrets: bool) -> Result<Shown, CatError> {
    let request = CatRequest { key: key.to_owned(), stored, show_secrets };
    cat(Arc::clone(repository), request, CancellationToken::new()).await
}

#[tokio::test]
async fn the_wrapped_key_of_a_slot_is_for_who_may_see_secrets() {
    let repository = repository().await;
    let slot = "keys/platform-default";
    let hidden = show(&repository, slot, false, false).await.unwrap();
    let hidden: serde_json::Value = serde_json::from_slice(&hidden.bytes).unwrap();
    assert_eq!((&hidden["wrapped_key"], &hidden["slot_type"]), (&"(hidden)".into(), &"platform".into()));
    assert!(matches!(show(&repository, slot, true, false).await, Err(CatError::Secret(_))));
    let stored = repository.store().get(slot).await.unwrap();
    for as_stored in [true, false] {
        assert_eq!(show(&repository, slot, as_stored, true).await.unwrap().bytes, stored);
    }
}

#[tokio::test]
async fn what_is_damaged_can_still_be_had_as_it_is_stored() {
    let repository = repository().await;
    let node = ObjectRef::new(ObjectKind::Node, Hash::of(b"{}"));
    let wrong = Bytes::from(repository.sealer().seal(b"{ }").unwrap());
    repository.store().put(&node.key(), wrong.clone()).await.unwrap();
    let why = show(&repository, &node.key(), false, false).await.unwrap_err();
    assert!(matches!(why, CatError::Read(ReadError::Damaged { object, .. }) if object == node), "{why}");
    let shown = show(&repository, &node.key(), true, false).await.unwrap();
    assert_eq!((shown.bytes, shown.proven, shown.json), (wrong, false, false));

    repository.store().put(&node.key(), repository.sealer().seal(b"{}").unwrap().into()).await.unwrap();
    let shown = show(&repository, &node.key(), false, false).await.unwrap();
    assert_eq!((&shown.bytes[..], shown.proven, shown.json), (&b"{}"[..], true, true));

    repository.store().put("index/snapshots", "nonsense".into()).await.unwrap();
    assert!(matches!(show(&repository, "index/snapshots", false, false).await, Err(CatError::Damaged { .. })));
    assert_eq!(show(&repository, "index/snapshots", true, false).await.unwrap().bytes, "nonsense");
}

#[tokio::test]
async fn what_no_writer_relies_on_can_be_seen() {
    let repository = repository().await;
    let text = Doomed::needless(vec![Hash::of(b"pack")], Vec::new()).encode();
    let sealed = Bytes::from(repository.sealer().seal(&text).unwrap());
    repository.store().put(DOOMED_KEY, sealed.clone()).await.unwrap();
    let shown = show(&repository, "index/doomed", false, false).await.unwrap();
    assert_eq!((&shown.bytes[..], shown.proven, shown.json), (&text[..], false, true));
    assert_eq!(show(&repository, "index/doomed", true, false).await.unwrap().bytes, sealed);
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_missing() {
    let repository = repository().await;
    let node = ObjectRef::new(ObjectKind::Node, Hash::of(b"nothing")).key();
    for key in [node.as_str(), "index/latest", "keys/nobody", "index/lock.exclusive"] {
        for stored in [true, false] {
            let why = show(&repository, key, stored, true).await.unwrap_err().to_string();
            assert!(why.contains(key), "{why}");
        }
    }
    assert!(matches!(show(&repository, "latest", false, false).await, Err(CatError::Repository(_))));
    assert!(matches!(show(&repository, "etc/passwd", false, false).await, Err(CatError::Key(_))));
}
