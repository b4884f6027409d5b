//! Indexes are caches: lost, lying or clobbered ones cost nothing; and packs that are gone are noticed.

use std::collections::BTreeSet;
use std::sync::Arc;

use cloudstic_e2e::oracle;
use cloudstic_engine::backup::backup;
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repository::{InitOptions, Repository, RepositoryError};
use cloudstic_engine::source::local::{LocalOptions, LocalSource};
use cloudstic_engine::store::LocalStore;
use tokio_util::sync::CancellationToken;

use crate::support::{Bench, open, platform_key, restore};

/// Backs up a folder of its own through each of the repositories at the same time.
async fn race(bench: &Bench, repositories: &[Arc<Repository>], round: usize) {
    let backups = repositories.iter().enumerate().map(|(n, repository)| {
        let path = bench.folder.path().join(format!("source-{n}"));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::write(path.join("file"), format!("round {round} of {n}")).unwrap();
        let source = Arc::new(LocalSource::new(path, LocalOptions::default()).unwrap());
        let mut request = bench.request();
        request.source = source;
        let repository = Arc::clone(repository);
        tokio::spawn(backup(repository, request, Arc::new(Silent), CancellationToken::new()))
    });
    for done in futures::future::join_all(backups).await {
        done.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_backups_of_one_process_lose_nothing_in_the_catalog_and_share_no_number() {
    let bench = Bench::new(vec![platform_key()]).await;
    let same: Vec<_> = (0..4).map(|_| Arc::clone(&bench.repository)).collect();
    for round in 0..5 {
        race(&bench, &same, round).await;
    }
    let snapshots = bench.repository.snapshots().await.unwrap().readable;
    let numbers: BTreeSet<_> = snapshots.iter().map(|snapshot| snapshot.seq).collect();
    assert_eq!((snapshots.len(), numbers), (20, (1..=20).collect()));
    bench.verify();
    let path = bench.repository_path();
    let seen_by_the_cli =
        ["verify", path.to_str().unwrap(), "--no-footers", "--platform-key", crate::support::PLATFORM_KEY];
    oracle::oracle(seen_by_the_cli).ok();
}

/// What one process knows of the repository another one does not: each has opened it for itself.
#[tokio::test(flavor = "multi_thread")]
async fn eight_processes_that_back_up_at_the_same_time_fifty_times_lose_nothing() {
    const PROCESSES: usize = 8;
    const ROUNDS: usize = 50;
    let bench = Bench::new(vec![platform_key()]).await;
    let mut several = Vec::new();
    for _ in 0..PROCESSES {
        several.push(open(&bench.repository_path(), vec![platform_key()]).await);
    }
    for round in 0..ROUNDS {
        race(&bench, &several, round).await;
    }
    let path = bench.repository_path();
    let seen_by_the_cli =
        ["verify", path.to_str().unwrap(), "--no-footers", "--platform-key", crate::support::PLATFORM_KEY];
    oracle::oracle(seen_by_the_cli).ok();

    let fresh = open(&bench.repository_path(), vec![platform_key()]).await;
    let mut found = BTreeSet::new();
    for snapshot in fresh.snapshots().await.unwrap().readable {
        let target = bench.folder.path().join("restored");
        let report = restore(&fresh, &snapshot.reference.hash.to_string(), &target).await.unwrap();
        assert_eq!(report.warning_count, 0, "{:?}", report.warnings);
        found.insert(std::fs::read_to_string(target.join("file")).unwrap());
        std::fs::remove_dir_all(target).unwrap();
    }
    let all = (0..ROUNDS).flat_map(|round| (0..PROCESSES).map(move |n| format!("round {round} of {n}")));
    assert_eq!(found, all.collect());
}

fn rewrite(bench: &Bench, key: &str, change: impl Fn(String) -> String) {
    let path = bench.repository_path().join(key);
    let stored = std::fs::read(&path).unwrap();
    let plain = zstd::stream::decode_all(stored.as_slice()).unwrap_or(stored);
    std::fs::write(path, change(String::from_utf8(plain).unwrap())).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_lies_about_a_root_does_not_become_the_next_snapshot() {
    let bench = Bench::new(Vec::new()).await;
    bench.write("a", b"kept");
    let first = bench.backup().await;
    let root = first.root.unwrap().hash.to_string();
    let lie = format!("{}{}", if root.starts_with('0') { '1' } else { '0' }, &root[1..]);
    rewrite(&bench, "index/snapshots", |text| text.replace(&root, &lie));
    let repository = open(&bench.repository_path(), Vec::new()).await;
    let bench = Bench { repository, ..bench };
    assert_eq!(bench.backup().await.root, first.root);
    bench.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_lies_about_numbers_does_not_make_an_old_snapshot_the_latest() {
    let bench = Bench::new(Vec::new()).await;
    bench.write("a", b"old");
    bench.backup().await;
    bench.write("a", b"newer");
    let newest = bench.backup().await.snapshot.unwrap();
    for (from, to) in [("\"seq\":1", "\"seq\":3"), ("\"seq\":2", "\"seq\":0")] {
        rewrite(&bench, "index/snapshots", |text| text.replace(from, to));
        let repository = open(&bench.repository_path(), Vec::new()).await;
        assert_eq!(repository.find_snapshot("latest").await.unwrap().0, newest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_whose_packs_are_gone_are_stored_again() {
    let bench = Bench::new(vec![platform_key()]).await;
    for n in 0..50 {
        bench.write(&format!("d{}/f{n}", n % 3), format!("content {n}").as_bytes());
    }
    bench.backup().await;
    for pack in std::fs::read_dir(bench.repository_path().join("packs")).unwrap() {
        std::fs::remove_file(pack.unwrap().path()).unwrap();
    }
    // Through the open repository, which has the catalog in memory, and through a new one.
    for repository in [Arc::clone(&bench.repository), open(&bench.repository_path(), vec![platform_key()]).await] {
        let report = backup(repository, bench.request(), Arc::new(Silent), CancellationToken::new()).await.unwrap();
        assert_eq!(report.files.present(), 50);
    }
    bench.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn init_does_not_destroy_the_keys_of_a_repository_that_lost_its_marker() {
    let bench = Bench::new(vec![platform_key()]).await;
    let slot = bench.repository_path().join("keys/platform-default");
    let before = std::fs::read(&slot).unwrap();
    std::fs::remove_file(bench.repository_path().join("config")).unwrap();
    let store = || Arc::new(LocalStore::new(bench.repository_path()));
    let options = InitOptions { credentials: vec![platform_key()], ..InitOptions::default() };
    let refused = Repository::init(store(), options).await.unwrap_err();
    assert!(matches!(refused, RepositoryError::MarkerMissing { .. }), "{refused}");
    assert_eq!(std::fs::read(&slot).unwrap(), before);
    let unopened = Repository::open(store(), vec![platform_key()]).await.unwrap_err();
    assert!(unopened.to_string().contains("from a copy"), "{unopened}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_keeps_nobody_from_the_others() {
    let bench = Bench::new(Vec::new()).await;
    bench.write("a", b"one");
    let first = bench.backup().await.snapshot.unwrap();
    bench.write("a", b"other");
    bench.backup().await;
    std::fs::write(bench.repository_path().join(first.key()), b"nonsense").unwrap();
    std::fs::remove_file(bench.repository_path().join("index/snapshots")).unwrap();
    let repository = open(&bench.repository_path(), Vec::new()).await;
    let list = repository.snapshots().await.unwrap();
    assert_eq!((list.readable.len(), list.unreadable.len()), (1, 1));
    assert_eq!(list.unreadable[0].path, first.key());
    assert!(repository.find_snapshot(&first.key()).await.is_err());
    let third = backup(repository, bench.request(), Arc::new(Silent), CancellationToken::new()).await.unwrap();
    assert_eq!(third.seq, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_does_not_need_the_snapshot_that_it_follows_on() {
    let bench = Bench::new(Vec::new()).await;
    bench.write("a", b"one");
    let first = bench.backup().await.snapshot.unwrap();
    std::fs::write(bench.repository_path().join(first.key()), b"nonsense").unwrap();
    // The index still names it.
    let repository = open(&bench.repository_path(), Vec::new()).await;
    let bench = Bench { repository, ..bench };
    assert_eq!(bench.backup().await.seq, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_that_cannot_be_read_are_not_taken_for_none() {
    let bench = Bench::new(Vec::new()).await;
    let mut good = Vec::new();
    for text in ["one", "two"] {
        bench.write("a", text.as_bytes());
        let path = bench.repository_path().join(bench.backup().await.snapshot.unwrap().key());
        good.push((path.clone(), std::fs::read(&path).unwrap()));
        std::fs::write(path, b"nonsense").unwrap();
    }
    std::fs::remove_file(bench.repository_path().join("index/snapshots")).unwrap();
    let repository = open(&bench.repository_path(), Vec::new()).await;
    let list = repository.snapshots().await.unwrap();
    assert_eq!((list.readable.len(), list.unreadable.len()), (0, 2));
    let error = repository.find_snapshot("latest").await.unwrap_err();
    assert!(matches!(error, RepositoryError::NoneReadable { count: 2, .. }), "{error}");

    // What is mended is not damaged any more.
    for (path, bytes) in good {
        std::fs::write(path, bytes).unwrap();
    }
    let list = repository.snapshots().await.unwrap();
    assert_eq!((list.readable.len(), list.unreadable.len()), (2, 0));
    assert_eq!(repository.reader().await.unwrap().detours(), []);
}
