//! What others do to the stored catalog between our look and our write.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::object::{ObjectKind, ObjectRef};
use crate::pack::Member;
use crate::repository::InitOptions;
use crate::store::{MemoryStore, ObjectStore};

async fn open(store: &MemoryStore) -> Repository {
    Repository::open(Arc::new(store.another(7)), Vec::new()).await.unwrap()
}

async fn two(store: &MemoryStore) -> (Repository, Repository) {
    Repository::init(Arc::new(store.another(7)), InitOptions::default()).await.unwrap();
    (open(store).await, open(store).await)
}

/// A pack as the CLI writes it: nothing in it says what it has.
async fn store_pack(store: &MemoryStore, text: &str) -> PackMembers {
    let (pack, object) = (Hash::of(text.as_bytes()), ObjectRef::new(ObjectKind::Filemeta, Hash::of(text.as_bytes())));
    store.put(&format!("packs/{pack}"), text.to_owned().into()).await.unwrap();
    PackMembers { pack, members: vec![Member { object, offset: 0, length: text.len() as u32 }] }
}

async fn has(repository: &Repository, packs: &[&PackMembers]) -> bool {
    let catalog = repository.refresh_catalog().await.unwrap();
    packs.iter().all(|pack| catalog.contains(&pack.members[0].object))
}

fn heals(repository: &Repository) -> u64 {
    repository.heals.load(Ordering::Relaxed)
}

const NO_LEASE: fn() -> LeaseWatch = LeaseWatch::not_needed;
const NOTHING: &BTreeSet<String> = &BTreeSet::new();

#[tokio::test]
async fn what_was_written_between_our_look_and_our_write_is_not_overwritten() {
    let store = MemoryStore::default();
    let (ours, cli) = two(&store).await;
    let (our_pack, cli_pack) = (store_pack(&store, "ours").await, store_pack(&store, "theirs").await);
    let mut slot = ours.catalog.lock().await;
    // It is missing, and there are packs without footers.
    let stale = LoadedCatalog {
        version: None,
        catalog: Arc::default(),
        differs: false,
        lost: false,
        lost_snapshots: Arc::default(),
    };
    *slot = Some(stale.clone());
    cli.catalog.lock().await.replace(stale.clone());
    cli.extend_catalog(vec![cli_pack.clone()], NOTHING, &NO_LEASE()).await.unwrap();
    assert!(!ours.write_catalog(&mut slot, stale, vec![our_pack.clone()], NOTHING).await.unwrap());
    drop(slot);
    // What was to be written is known still, though no footer says it.
    ours.extend_catalog(Vec::new(), NOTHING, &NO_LEASE()).await.unwrap();
    assert!(has(&open(&store).await, &[&our_pack, &cli_pack]).await);
}

#[tokio::test]
async fn a_pack_without_a_footer_that_somebody_forgets_is_named_again() {
    for store in [MemoryStore::default(), MemoryStore::not_atomic()] {
        let (ours, other) = two(&store).await;
        let pack = store_pack(&store, "theirs").await;
        let empty = LoadedCatalog {
            version: None,
            catalog: Arc::default(),
            differs: false,
            lost: false,
            lost_snapshots: Arc::default(),
        };
        ours.catalog.lock().await.replace(empty.clone());
        ours.extend_catalog(vec![pack.clone()], NOTHING, &NO_LEASE()).await.unwrap();
        let mut blind = Vec::new();
        stored::write(&Catalog::default(), &mut blind).unwrap();
        store.put(CATALOG_KEY, blind.into()).await.unwrap();
        assert!(!has(&other, &[&pack]).await);
        assert!(has(&ours, &[&pack]).await);
        assert_eq!(heals(&ours), 1);
        ours.extend_catalog(Vec::new(), NOTHING, &NO_LEASE()).await.unwrap();
        assert!(has(&other, &[&pack]).await && has(&open(&store).await, &[&pack]).await);
    }
}

#[tokio::test]
async fn a_snapshot_comes_along_with_its_pack_unless_it_was_removed() {
    for is_removed in [false, true] {
        let store = MemoryStore::default();
        let (ours, other) = two(&store).await;
        let mut pack = store_pack(&store, "data and a snapshot").await;
        let snapshot = ObjectRef::new(ObjectKind::Snapshot, Hash::of(b"snapshot"));
        pack.members.push(Member { object: snapshot, offset: 5, length: 5 });
        // It is cut in two, and this has nothing else in it.
        let mut alone = store_pack(&store, "another snapshot").await;
        let second = ObjectRef::new(ObjectKind::Snapshot, Hash::of(b"second"));
        alone.members[0].object = second;
        let mut named = Vec::new();
        stored::write(&Catalog::default().with(vec![pack.clone(), alone.clone()]), &mut named).unwrap();
        store.put(CATALOG_KEY, named.into()).await.unwrap();
        assert!(has(&ours, &[&pack, &alone]).await);
        if is_removed {
            let removed = Doomed::default().with_forgotten(vec![(snapshot, pack.pack)]);
            other.doom(&removed, &NO_LEASE()).await.unwrap();
        }
        let mut blind = Vec::new();
        stored::write(&Catalog::default(), &mut blind).unwrap();
        store.put(CATALOG_KEY, blind.into()).await.unwrap();
        let whole = ours.whole_catalog().await.unwrap();
        assert_eq!(whole.catalog.contains(&snapshot), !is_removed);
        assert!(ours.remembers_more_than_is_stored());
        assert!(whole.catalog.contains(&second) && whole.catalog.contains(&pack.members[0].object));
        ours.extend_catalog(Vec::new(), NOTHING, &NO_LEASE()).await.unwrap();
        assert!(!ours.remembers_more_than_is_stored());
        let stored = open(&store).await.catalog().await.unwrap();
        assert_eq!((stored.contains(&snapshot), stored.contains(&second)), (!is_removed, true));
    }
}

#[tokio::test]
async fn backups_that_run_beside_this_one_are_no_heals() {
    let store = MemoryStore::default();
    let (ours, _) = two(&store).await;
    ours.refresh_catalog().await.unwrap();
    let mut in_flight = crate::pack::PackBuilder::default();
    let bytes = b"in flight";
    in_flight.add(ObjectRef::new(ObjectKind::Filemeta, Hash::of(bytes)), &ours.sealer.seal(bytes).unwrap());
    let in_flight = in_flight.finish(&ours.sealer).unwrap();
    store.put(&format!("packs/{}", in_flight.members.pack), in_flight.bytes).await.unwrap();
    let pack = store_pack(&store, "ours").await;
    ours.extend_catalog(vec![pack.clone()], NOTHING, &NO_LEASE()).await.unwrap();
    ours.catalog_now().await.unwrap();
    assert!(has(&ours, &[&pack, &in_flight.members]).await);
    assert_eq!(heals(&ours), 0);
}

#[tokio::test]
async fn without_its_lock_a_backup_leaves_the_catalog_alone() {
    let store = MemoryStore::default();
    let (ours, _) = two(&store).await;
    let locks = crate::lock::Locks::new(Arc::new(store.another(9)), ours.sealer.clone());
    let lease = locks.acquire(crate::lock::Kind::Shared, "backup").await.unwrap();
    let watch = lease.watch();
    lease.release().await.unwrap();
    ours.refresh_catalog().await.unwrap();
    let pack = store_pack(&store, "ours").await;
    let refused = ours.extend_catalog(vec![pack], NOTHING, &watch).await;
    assert!(matches!(refused, Err(RepositoryError::LockLost(_))));
    assert!(!store.objects().contains_key(CATALOG_KEY));
}
