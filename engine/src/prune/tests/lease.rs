//! A prune whose lock is lost.

use std::sync::Arc;

use super::bench::{Bench, prune_as, request};
use super::stores::Stopping;
use crate::crypto::Sealer;
use crate::lock::{Kind, Lease, Locks};
use crate::prune::{PruneError, PruneRequest};
use crate::store::MemoryStore;

async fn lock(bench: &Bench) -> Lease {
    Locks::new(Arc::new(bench.client()), Sealer::new(None)).acquire(Kind::Exclusive, "prune").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_lock_it_changes_nothing() {
    let (bench, _) = Bench::ours(MemoryStore::default(), false).await;
    let lease = lock(&bench).await;
    let request = PruneRequest { lease: lease.watch(), ..request() };
    lease.release().await.unwrap();
    let before = bench.store.objects().clone();
    let done = bench.prune(request).await;
    assert!(matches!(done, Err(PruneError::LockLost(_))), "{done:?}");
    assert_eq!(*bench.store.objects(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_its_lock_is_lost_it_deletes_nothing_more() {
    let bench = Bench::golden("nopack").await;
    let needed = bench.whole().await;
    let lease = lock(&bench).await;
    let request = PruneRequest { lease: lease.watch(), ..request() };
    let store = Stopping::new(bench.client());
    let mut deletes = store.hook.deletes.subscribe();
    let pruning = tokio::spawn(prune_as(store.clone(), request));
    deletes.wait_for(|deletes| !deletes.is_empty()).await.unwrap();
    lease.release().await.unwrap();
    store.hook.gate.send_replace(true);
    let done = pruning.await.unwrap();
    assert!(matches!(done, Err(PruneError::LockLost(_))), "{done:?}");
    let at_once = crate::store::ObjectStore::capabilities(&bench.store).concurrency;
    assert!(deletes.borrow().len() <= at_once, "{:?}", deletes.borrow());
    assert_eq!(bench.whole().await, needed);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_new_catalog_is_not_written_over_another_one() {
    let (bench, _) = Bench::ours(MemoryStore::default(), false).await;
    let whole = bench.open().await.whole_catalog().await.unwrap();
    let other = bench.open().await;
    bench.put_catalog(&crate::pack::Catalog::default());
    let lease = crate::lock::LeaseWatch::not_needed();
    assert!(!other.sweep_catalog(whole, |catalog| catalog, &lease).await.unwrap());
    assert_eq!(bench.object(crate::pack::CATALOG_KEY).unwrap(), "{}");
}
