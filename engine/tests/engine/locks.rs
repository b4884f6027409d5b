//! Locks on a real repository, judged by another reader of the format.

use std::sync::Arc;
use std::time::Duration;

use cloudstic_engine::lock::{Kind, Locks};

use crate::support::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn the_oracle_accepts_our_locks() {
    let bench = Bench::new(Vec::new()).await;
    bench.write("file", b"data");
    bench.backup().await;
    let locks = Locks::new(Arc::clone(bench.repository.store()), bench.repository.sealer().clone());
    for kind in [Kind::Shared, Kind::Exclusive] {
        let lease = locks.acquire(kind, "backup").await.unwrap();
        cloudstic_e2e::oracle::assert_sound(&bench.repository_path(), &[]);
        lease.release().await.unwrap();
    }
    assert_eq!(locks.list().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_waits_for_nobody_and_names_who_is_in_the_way() {
    let bench = Bench::new(Vec::new()).await;
    bench.write("file", b"data");
    let locks = Locks::new(Arc::clone(bench.repository.store()), bench.repository.sealer().clone());
    let prune = locks.acquire(Kind::Exclusive, "prune").await.unwrap();
    let refused = bench.run(bench.request()).await.unwrap_err().to_string();
    assert!(
        refused.contains("repository is exclusively locked by") && refused.contains("operation: prune"),
        "{refused}"
    );
    let broken = locks.break_all().await.unwrap();
    assert_eq!(broken.len(), 1);
    bench.backup().await;
    let waits = locks.acquire_with(Kind::Exclusive, "prune", Duration::from_secs(60));
    waits.await.unwrap().release().await.unwrap();
    drop(prune);
}
