//! Locks on a real repository, judged by another reader of the format.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cloudstic_engine::backup::{BackupError, BackupRequest, backup};
use cloudstic_engine::clock::Clock;
use cloudstic_engine::lock::{Kind, LeaseWatch, LockLost, LockRecord, Locks, LostReason, Timing};
use cloudstic_engine::progress::Silent;
use tokio_util::sync::CancellationToken;

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
async fn a_lock_costs_few_requests() {
    let bench = Bench::new(Vec::new()).await;
    let locks = Locks::new(Arc::clone(bench.repository.store()), bench.repository.sealer().clone());
    // The store's time, a look, the lock, another look; and it goes. An exclusive one looks at its own key, too: before
    // and after it was written, and before it goes.
    for (kind, requests) in [(Kind::Shared, 5), (Kind::Exclusive, 8)] {
        let before = bench.meter.requests();
        locks.acquire(kind, "test").await.unwrap().release().await.unwrap();
        assert_eq!(bench.meter.requests() - before, requests, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_refused_says_who_is_in_the_way() {
    let bench = Bench::new(Vec::new()).await;
    let locks = Locks::new(Arc::clone(bench.repository.store()), bench.repository.sealer().clone());
    let _prune = locks.acquire(Kind::Exclusive, "prune").await.unwrap();
    let refused = locks.acquire(Kind::Shared, "backup").await.unwrap_err().to_string();
    let prune = locks.list().await.unwrap().remove(0).lock.unwrap();
    let LockRecord { holder, acquired_at, expires_at, .. } = &prune;
    assert!(holder.ends_with(&format!(" (pid {})", std::process::id())), "{holder}");
    let said = format!(
        "repository is exclusively locked by {holder} (operation: prune, acquired: {acquired_at}, expires: {expires_at})"
    );
    assert_eq!(refused, said);
    assert_eq!(locks.break_all().await.unwrap().len(), 1);
    locks.acquire(Kind::Shared, "backup").await.unwrap().release().await.unwrap();
}

/// What time it is, and the moment at which the lock is broken: when the backup is about to commit.
#[derive(Debug)]
struct Breaks {
    runtime: tokio::runtime::Handle,
    locks: Locks,
    watch: LeaseWatch,
}

impl Clock for Breaks {
    fn now(&self) -> SystemTime {
        tokio::task::block_in_place(|| {
            self.runtime.block_on(async {
                if self.watch.reason().is_none() {
                    assert_eq!(self.locks.break_all().await.unwrap().len(), 1);
                    self.watch.lost().await;
                }
            });
        });
        SystemTime::now()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_whose_lock_is_broken_commits_nothing() {
    let bench = Bench::new(Vec::new()).await;
    bench.write("file", b"data");
    // A try may take long where there is much to do: then the lock would be lost for another reason.
    let timing = Timing { patience: Duration::from_secs(3), ..Timing::scaled(Duration::from_secs(6)) };
    let locks = Locks::new(Arc::clone(bench.repository.store()), bench.repository.sealer().clone()).with_timing(timing);
    let lease = locks.acquire(Kind::Shared, "backup").await.unwrap();
    let clock = Breaks { runtime: tokio::runtime::Handle::current(), locks: locks.clone(), watch: lease.watch() };
    let request = BackupRequest { clock: Arc::new(clock), ..bench.request() };
    let cancel = CancellationToken::new();
    let lost = lease.during(&cancel, |lease, cancel| {
        let request = BackupRequest { lease, ..request };
        backup(Arc::clone(&bench.repository), request, Arc::new(Silent), cancel)
    });
    let lost = lost.await.unwrap_err();
    assert!(matches!(&lost, BackupError::LockLost(LockLost { reason: LostReason::Gone, .. })), "{lost}");
    assert!(std::fs::read_dir(bench.repository_path().join("snapshot")).map_or(0, Iterator::count) == 0);
    assert_eq!(locks.list().await.unwrap(), []);
    bench.backup().await;
    cloudstic_e2e::oracle::assert_sound(&bench.repository_path(), &[]);
}
