//! A prune that is stopped right before it deletes, for so long that its lock expires and others back up: its deletes
//! arrive all the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::bench::{Bench, backup_with, open, prune_as, request};
use super::stores::Stopping;
use crate::lock::LeaseWatch;
use crate::progress::Silent;
use crate::prune::{PruneRequest, prune};
use crate::store::{MemoryStore, ObjectStore};

/// Lets a prune run to where it would delete for the first time, and no further. Gives all keys that it was about to
/// delete in this round.
pub(super) async fn prune_until_it_deletes(bench: &Bench, request: PruneRequest) -> Vec<String> {
    let before: Vec<String> = bench.store.objects().keys().cloned().collect();
    let store = Stopping::new(bench.client());
    let mut deletes = store.hook.deletes.subscribe();
    let pruning = tokio::spawn(prune_as(store, request));
    deletes.wait_for(|deletes| !deletes.is_empty()).await.unwrap();
    pruning.abort();
    assert!(pruning.await.is_err());
    // Not only what it has begun with: whatever a whole prune deletes.
    let copy = Bench::from(&bench.store.objects(), MemoryStore::default());
    copy.prune(super::bench::request()).await.unwrap();
    before.into_iter().filter(|key| copy.object(key).is_none()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_backed_up_meanwhile_is_whole_on_every_kind_of_store() {
    for store in [MemoryStore::default, MemoryStore::not_atomic] {
        for encrypted in [false, true] {
            let (bench, old) = Bench::ours(store(), encrypted).await;
            // Known to a process that goes on with it.
            let kept = bench.open().await;
            kept.snapshots().await.unwrap();
            let late = prune_until_it_deletes(&bench, request()).await;
            assert!(["packs/", "chunk/"].iter().all(|sort| late.iter().any(|key| key.starts_with(sort))), "{late:?}");
            // The same files give the same bytes, so they would have the same names.
            backup_with(kept, old.path()).await;
            let needed = bench.whole().await;
            for key in &late {
                bench.client().delete(key).await.unwrap();
            }
            assert_eq!(bench.whole().await, needed);
            bench.prune(request()).await.unwrap();
            assert_eq!(bench.whole().await, needed);
            bench.assert_nothing_is_left_over().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_finds_it_gone_already_does_not_write_it_under_its_key_again() {
    let (bench, old) = Bench::ours(MemoryStore::not_atomic(), false).await;
    let late = prune_until_it_deletes(&bench, request()).await;
    for _ in 0..2 {
        // The second time, the same request arrives again.
        for key in &late {
            bench.client().delete(key).await.unwrap();
        }
        bench.backup_of(old.path()).await;
        bench.whole().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_store_can_what_was_written_again_is_not_deleted() {
    let (bench, _) = Bench::ours(MemoryStore::default(), true).await;
    let told = bench.prune(PruneRequest { dry_run: true, ..request() }).await.unwrap();
    let before = bench.store.objects().clone();
    let store = Stopping::new(bench.client());
    let mut deletes = store.hook.deletes.subscribe();
    let pruning = tokio::spawn(prune_as(Arc::clone(&store) as Arc<dyn ObjectStore>, request()));
    deletes.wait_for(|deletes| !deletes.is_empty()).await.unwrap();
    let going = store.hook.deletes.borrow().clone();
    let copy = Bench::from(&bench.store.objects(), MemoryStore::default());
    copy.prune(request()).await.unwrap();
    let is_going = |key: &&String| copy.object(key).is_none();
    let of = |kind: &str| before.keys().filter(is_going).find(|key| key.starts_with(kind)).unwrap().clone();
    let again = [of("packs/"), of("chunk/")];
    // Another program knows nothing of lists. Encrypted anew, its bytes are others.
    again.iter().for_each(|key| _ = bench.store.objects().insert(key.clone(), "others".into()));
    store.hook.gate.send_replace(true);
    let done = pruning.await.unwrap().unwrap();
    let is_left = |key: &String| bench.object(key).is_some();
    assert!(again.iter().all(is_left));
    assert!(going.iter().chain(&*deletes.borrow()).all(|key| again.contains(key) || !is_left(key)));

    let kept: u64 = again.iter().map(|key| before[key].len() as u64).sum();
    assert_eq!((done.deleted_bytes, done.freed_bytes), (told.deleted_bytes - kept, told.freed_bytes - kept));
    assert_eq!(done.packs_deleted + done.packs_rewritten + 1, told.packs_deleted + told.packs_rewritten);
    assert_eq!(done.packs_after, bench.keys("packs/").len() as u64);
    assert_eq!(done.removed_objects + 1, told.removed_objects);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_goes_with_the_prune_after_the_last_one_that_deleted() {
    let (bench, _) = Bench::ours(MemoryStore::default(), false).await;
    bench.prune(request()).await.unwrap();
    assert!(bench.object("index/doomed").is_some());
    bench.prune(request()).await.unwrap();
    assert!(bench.object("index/doomed").is_none());
    let all = bench.store.objects().clone();
    bench.prune(request()).await.unwrap();
    assert_eq!(*bench.store.objects(), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_knew_a_snapshot_brings_it_back_if_it_was_lost_and_not_if_it_was_forgotten() {
    for is_forgotten in [false, true] {
        let bench = Bench::golden("plain").await;
        let kept = open(Arc::new(bench.client())).await;
        let last = bench.snapshots().await[0];
        kept.snapshots().await.unwrap();
        if is_forgotten {
            let another = bench.open().await;
            another.remove_snapshots(&BTreeSet::from([last]), &LeaseWatch::not_needed()).await.unwrap();
        } else {
            // As a program does that overwrites the indexes: nothing says any more what is in the packs.
            bench.client().delete("index/snapshots").await.unwrap();
        }
        bench.put_catalog(&crate::pack::Catalog::default());
        bench.write("file", b"bytes");
        backup_with(Arc::clone(&kept), bench.tree.path()).await;
        assert_eq!(bench.snapshots().await.contains(&last), !is_forgotten);
        let needed = bench.whole().await;
        prune(kept, request(), Arc::new(Silent), CancellationToken::new()).await.unwrap();
        assert_eq!(bench.whole().await, needed);
        assert_eq!(bench.snapshots().await.contains(&last), !is_forgotten);
    }
}
