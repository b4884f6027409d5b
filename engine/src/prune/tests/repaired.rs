//! What a repair has found damaged, and what it must not find again.

use cloudstic_e2e::random;

use super::bench::{Bench, backup_with, request};
use crate::object::{ObjectKind, ObjectRef};
use crate::pack::{DOOMED_KEY, Doomed};
use crate::prune::PruneError;
use crate::store::{MemoryStore, ObjectStore};

async fn listed(bench: &Bench) -> Doomed {
    let repository = bench.open().await;
    Doomed::read(&**repository.store(), repository.sealer()).await.unwrap().0
}

/// One of ours whose only large chunk is damaged, which a repair has told, and left.
async fn with_a_damaged_chunk() -> (Bench, ObjectRef) {
    let (bench, _) = Bench::ours(MemoryStore::default(), true).await;
    bench.prune(request()).await.unwrap();
    bench.prune(request()).await.unwrap();
    assert!(bench.object(DOOMED_KEY).is_none());
    let key = bench.keys("chunk/")[0].clone();
    let chunk: ObjectRef = key.parse().unwrap();
    let mut bytes = bench.object(&key).unwrap().to_vec();
    bytes[1000] ^= 1;
    bench.store.objects().insert(key, bytes.into());
    let report = bench.repair(true).await;
    assert!(report.damaged_objects > 0 && listed(&bench).await.has(&chunk), "{report:?}");
    (bench, chunk)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_stays_listed_until_it_is_gone() {
    let (bench, chunk) = with_a_damaged_chunk().await;
    for _ in 0..2 {
        // The snapshot needs it still.
        let refused = bench.prune(request()).await.unwrap_err();
        assert!(matches!(refused, PruneError::Unreadable(_)), "{refused}");
        assert!(listed(&bench).await.has(&chunk));
    }
    // A backup stores it anew, so the old snapshot is whole again, too.
    std::fs::write(bench.tree.path().join("again"), std::fs::read(bench.tree.path().join("new")).unwrap()).unwrap();
    bench.backup().await;
    let needed = bench.whole().await;
    assert!(needed.contains(&chunk) && bench.catalog().contains(&chunk));
    for _ in 0..3 {
        bench.prune(request()).await.unwrap();
    }
    // What stays listed is the pack with the list of chunks that was no good without it: its footer names that one, too.
    assert!(bench.object(&chunk.key()).is_none() && !listed(&bench).await.has(&chunk));
    assert_eq!(bench.whole().await, needed);
    bench.assert_nothing_is_left_over().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_does_not_grow_with_every_prune() {
    let (bench, _) = Bench::ours(MemoryStore::default(), false).await;
    let mut last = bench.snapshots().await[0];
    for round in 0..3u64 {
        let before: Vec<String> = bench.store.objects().keys().cloned().collect();
        bench.prune(request()).await.unwrap();
        let list = listed(&bench).await;
        let text = String::from_utf8(list.encode()).unwrap();
        let gone = before.iter().filter(|key| key.starts_with("packs/") && bench.object(key).is_none()).count();
        assert!(gone > 0 && text.matches("packs/").count() == gone, "{text}");
        bench.write("new", &random::bytes(200 + round, 1_300_000));
        let next = bench.backup().await;
        bench.forget(last).await;
        last = next;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_pack_whose_names_were_lost_gives_what_is_good_in_it_and_no_more() {
    for is_alone in [false, true] {
        gives_what_is_good(is_alone).await;
    }
}

/// `is_alone`: of contents, the pack has only the damaged one.
async fn gives_what_is_good(is_alone: bool) {
    let (bench, _) = Bench::ours(MemoryStore::default(), true).await;
    bench.prune(request()).await.unwrap();
    let contents: Vec<ObjectRef> =
        bench.whole().await.into_iter().filter(|object| object.kind == ObjectKind::Content).collect();
    let catalog = bench.catalog();
    let pack_of = |content: &ObjectRef| catalog.find(content).map(|place| place.pack);
    let company = |bad: &ObjectRef| contents.iter().filter(|other| pack_of(other) == pack_of(bad)).count();
    let bad = *contents.iter().find(|bad| (company(bad) == 1) == is_alone).unwrap();
    let place = catalog.find(&bad).unwrap();
    bench.damage_at(&place);
    bench.repair(true).await;
    assert!(listed(&bench).await.is_damaged(&place.pack));
    let good: Vec<ObjectRef> =
        bench.catalog().objects(ObjectKind::Content).filter(|content| contents.contains(content)).collect();
    assert!(good.len() > 5 && !good.contains(&bad));
    // As a program does that overwrites the catalog.
    bench.put_catalog(&bench.catalog().retain_packs(|pack| *pack != place.pack).0);
    bench.repair(true).await;
    let found = bench.catalog();
    assert!(good.iter().all(|content| found.contains(content)) && !found.contains(&bad));
    let reader = bench.open().await.reader().await.unwrap();
    let reading = move || good.iter().all(|content| reader.read(content).is_ok());
    assert!(tokio::task::spawn_blocking(reading).await.unwrap());
    // What is bad is stored anew.
    bench.backup().await;
    assert!(bench.catalog().find(&bad).unwrap().pack != place.pack);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_prune_is_about_to_delete_is_not_named_again() {
    for encrypted in [false, true] {
        let (bench, old) = Bench::ours(MemoryStore::not_atomic(), encrypted).await;
        let late = super::late::prune_until_it_deletes(&bench, request()).await;
        // So that there is something to repair.
        bench.store.objects().insert("index/latest".to_owned(), "damaged".into());
        bench.repair(true).await;
        backup_with(bench.open().await, old.path()).await;
        let needed = bench.whole().await;
        for key in &late {
            bench.client().delete(key).await.unwrap();
        }
        assert_eq!(bench.whole().await, needed);
    }
}
