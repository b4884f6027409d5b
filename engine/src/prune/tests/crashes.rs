//! A prune that dies after any change: nothing is lost, and the next one removes the rest.

use super::bench::{Bench, Objects, request};
use crate::prune::PruneRequest;
use crate::store::MemoryStore;

/// Lets a prune die after each number of changes. Gives how many it makes.
async fn die_everywhere(objects: &Objects, store: fn() -> MemoryStore, request: &PruneRequest) -> u64 {
    let needed = Bench::from(objects, store()).whole().await;
    for changes in 0.. {
        let bench = Bench::from(objects, store());
        let pruned = bench.prune_and_die(changes, request.clone()).await;
        assert_eq!(bench.whole().await, needed, "after {changes} changes");
        bench.assert_contents_have_their_chunks().await;
        if pruned.is_ok() {
            bench.assert_nothing_is_left_over().await;
            return changes;
        }
        // Nor does a second one that dies soon.
        let again = bench.prune_and_die(changes % 5, request.clone()).await;
        bench.prune(request.clone()).await.unwrap();
        assert_eq!(bench.whole().await, needed, "after {changes} changes and {again:?}");
        bench.assert_nothing_is_left_over().await;
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_repositories_of_the_cli() {
    for (name, removed, at_least) in
        [("plain", 0..2, 5), ("encrypted", 0..2, 5), ("encrypted", 1..3, 5), ("nopack", 0..2, 20)]
    {
        let bench = Bench::golden_without(name, removed).await;
        let objects = bench.store.objects().clone();
        // So that every pack with any waste is rewritten.
        let request = PruneRequest { max_waste_percent: 0, ..request() };
        let changes = die_everywhere(&objects, MemoryStore::default, &request).await;
        assert!(changes >= at_least, "{name}: {changes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_our_own_on_every_kind_of_store() {
    for (store, encrypted) in [
        (MemoryStore::default as fn() -> MemoryStore, false),
        (MemoryStore::not_atomic, true),
        (MemoryStore::without_conditional_delete, false),
    ] {
        let (bench, _old) = Bench::ours(store(), encrypted).await;
        let objects = bench.store.objects().clone();
        let changes = die_everywhere(&objects, store, &request()).await;
        assert!(changes >= 6, "{changes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_backs_up_after_it_died_finds_or_writes_all_that_it_needs() {
    let (bench, old) = Bench::ours(MemoryStore::default(), false).await;
    let objects = bench.store.objects().clone();
    for changes in 0.. {
        let bench = Bench::from(&objects, MemoryStore::default());
        let pruned = bench.prune_and_die(changes, request()).await;
        bench.backup_of(old.path()).await;
        let needed = bench.whole().await;
        bench.prune(request()).await.unwrap();
        assert_eq!(bench.whole().await, needed, "after {changes} changes");
        bench.assert_nothing_is_left_over().await;
        if pruned.is_ok() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_in_between_brings_nothing_back_and_loses_nothing() {
    for name in ["plain", "encrypted"] {
        let bench = Bench::golden_without(name, 0..0).await;
        let snapshots = bench.snapshots().await;
        bench.remove(bench.client(), &snapshots[..2]).await.unwrap();
        let objects = bench.store.objects().clone();
        let needed = bench.whole().await;
        let request = PruneRequest { max_waste_percent: 0, ..request() };
        for changes in 0.. {
            let bench = Bench::from(&objects, MemoryStore::default());
            let pruned = bench.prune_and_die(changes, request.clone()).await;
            if changes % 2 == 0 {
                // So that it has something to do.
                bench.store.objects().insert("index/latest".to_owned(), "damaged".into());
            }
            bench.repair(false).await;
            assert_eq!(bench.snapshots().await, snapshots[2..], "{name}, after {changes} changes");
            let report = bench.prune(request.clone()).await.unwrap();
            assert_eq!((report.unknown_packs, bench.whole().await), (0, needed.clone()), "{name}, {changes}");
            bench.assert_nothing_is_left_over().await;
            if pruned.is_ok() {
                assert!(changes > 5);
                break;
            }
        }
    }
}
