//! How many requests each operation may make: a remote store takes some 50 ms for each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use cloudstic_e2e::random;
use cloudstic_engine::dump::{DumpRequest, dump_path};
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repository::Repository;
use cloudstic_engine::restore::{ArchiveRequest, archive};
use cloudstic_engine::store::hooked::HookedStore;
use cloudstic_engine::store::{LocalStore, Meter, MeteredStore, StoreOperation};
use cloudstic_engine::tree::Tree;
use cloudstic_engine::view::SnapshotView;
use sha2::Digest;
use tokio_util::sync::CancellationToken;

use crate::memory::load;
use crate::recording::{Asked, Recording};
use crate::support::{Bench, platform_key, restore};

/// A repository that was just opened, with a meter that begins at nothing.
async fn opened(bench: &Bench) -> (Arc<Repository>, Before) {
    let store = MeteredStore::new(Arc::new(LocalStore::new(bench.repository_path())));
    let meter = store.meter();
    let repository = Repository::open(Arc::new(store), vec![platform_key()]).await.unwrap();
    // The marker, the list of the slots, and the only one.
    assert_eq!(meter.requests(), 3);
    (Arc::new(repository), Before { meter, requests: 3 })
}

struct Before {
    meter: Arc<Meter>,
    requests: u64,
}

impl Before {
    #[track_caller]
    fn at_most(&mut self, most: u64) {
        let made = self.meter.requests() - std::mem::replace(&mut self.requests, self.meter.requests());
        let counts: Vec<_> =
            StoreOperation::ALL.map(|operation| (operation, self.meter.count(operation).requests)).into();
        assert!(made <= most, "{made} requests; all so far: {counts:?}");
    }
}

/// Two snapshots of a hundred small files: four packs.
async fn bench() -> Bench {
    let bench = Bench::new(vec![platform_key()]).await;
    for n in 0..100 {
        bench.write(&format!("d{}/f{n}", n % 7), format!("content {n}").as_bytes());
    }
    bench.backup().await;
    bench.write("d1/f1", b"changed");
    bench.backup().await;
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_reads_the_catalog_and_the_index_and_then_only_looks_whether_they_are_the_same() {
    let bench = bench().await;
    let (repository, mut before) = opened(&bench).await;
    repository.snapshots_and_missing().await.unwrap();
    before.at_most(4);
    repository.snapshots_and_missing().await.unwrap();
    before.at_most(3);
    repository.prove_identity().await.unwrap();
    before.at_most(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_reads_the_catalog_the_snapshot_and_packs_whole() {
    let bench = bench().await;
    let (repository, mut before) = opened(&bench).await;
    for most in [16, 13] {
        let (_, snapshot) = repository.find_snapshot("latest").await.unwrap();
        let reader = repository.reader().await.unwrap();
        let load = move || Tree::load(&reader, snapshot.root, true, &CancellationToken::new());
        let tree = tokio::task::spawn_blocking(load).await.unwrap().unwrap();
        assert_eq!(tree.entries().count(), 107);
        before.at_most(most);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_reads_packs_whole() {
    let bench = bench().await;
    let (repository, mut before) = opened(&bench).await;
    for (most, name) in [(20, "first"), (17, "second")] {
        let report = restore(&repository, "latest", &bench.folder.path().join(name)).await.unwrap();
        assert_eq!(report.files, 100);
        before.at_most(most);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_costs_no_more_than_a_restore() {
    let bench = bench().await;
    let (repository, mut before) = opened(&bench).await;
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let request = ArchiveRequest {
        snapshot: "latest".to_owned(),
        paths: Vec::new(),
        dry_run: false,
        lease: LeaseWatch::not_needed(),
    };
    let making = tokio::spawn(archive(repository, request, sender, Arc::new(Silent), CancellationToken::new()));
    while receiver.recv().await.is_some() {}
    assert_eq!(making.await.unwrap().unwrap().files, 100);
    before.at_most(20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_an_open_snapshot_costs_its_own_data_and_little_else() {
    let bench = bench().await;
    let (repository, mut before) = opened(&bench).await;
    let view = Arc::new(SnapshotView::open(&repository, "latest").await.unwrap());
    before.at_most(12);
    for (most, path) in [(6, "d1/f1"), (3, "d2/f2"), (2, "d2/f2")] {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let request = DumpRequest { path: path.as_bytes().to_vec(), ..DumpRequest::default() };
        let dumping = tokio::spawn(dump_path(Arc::clone(&view), request, sender, CancellationToken::new()));
        while receiver.recv().await.is_some() {}
        assert!(dumping.await.unwrap().unwrap() > 0);
        before.at_most(most);
    }
    let folder = Arc::clone(&view);
    let listed = tokio::task::spawn_blocking(move || folder.list(b"d3", &CancellationToken::new())).await.unwrap();
    assert_eq!(listed.unwrap().unwrap().entries.len(), 14);
    before.at_most(2);
}

/// The same repository, opened anew, and what is asked of its store from then on.
async fn recorded(bench: Bench) -> (Bench, Arc<HookedStore<Recording>>) {
    let store = Recording::new(Arc::new(LocalStore::new(bench.repository_path())));
    let repository = Repository::open(store.clone(), vec![platform_key()]).await.unwrap();
    store.hook.take();
    (Bench { repository: Arc::new(repository), ..bench }, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_what_has_not_changed_costs_ten_requests_and_the_first_one_two_more() {
    let (bench, store) = recorded(bench().await).await;
    for most in [12, 10] {
        bench.backup().await;
        let asked = store.hook.take();
        assert!(asked.len() <= most, "{}: {asked:?}", asked.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_new_chunks_costs_them_its_packs_and_fifteen_requests() {
    let (bench, store) = recorded(bench().await).await;
    for (run, (files, most)) in [(60, 15), (60, 13), (1, 13)].into_iter().enumerate() {
        for n in 0..files {
            bench.write(&format!("large/{run}-{n}"), &random::bytes(run as u64 * 1000 + n, 700_000));
        }
        let before = stored(&bench);
        bench.backup().await;
        let asked = store.hook.take();
        let new = stored(&bench).difference(&before).count();
        assert!(new as u64 > files && asked.len() <= new + most, "{} for {new}: {:?}", asked.len(), others(&asked));
    }
}

/// Where more lie by themselves than one request lists, they are not listed for a few.
#[tokio::test(flavor = "multi_thread")]
async fn a_few_new_chunks_among_many_are_asked_for_one_by_one() {
    let bench = bench().await;
    for n in 0..1001 {
        let hash = hex::encode(sha2::Sha256::digest(n.to_string()));
        bench.repository.store().put(&format!("chunk/{hash}"), Bytes::from_static(b"old")).await.unwrap();
    }
    let (bench, store) = recorded(bench).await;
    for (run, listings) in [(0, 1), (1, 0)] {
        for n in 0..3 {
            bench.write(&format!("large/{run}-{n}"), &random::bytes(run * 1000 + n, 700_000));
        }
        bench.backup().await;
        let asked = store.hook.take();
        let count = |wanted| count_chunks(&asked, wanted);
        let (asked_for, stored) = (count(StoreOperation::Stat), count(StoreOperation::Put));
        assert!(
            count(StoreOperation::List) == listings && (3..=6).contains(&stored) && asked_for >= stored,
            "{asked:?}"
        );
    }
    for n in 0..70 {
        bench.write(&format!("large/many-{n}"), &random::bytes(5000 + n, 700_000));
    }
    let before = stored(&bench);
    bench.backup().await;
    let asked = store.hook.take();
    let new = stored(&bench).difference(&before).count();
    let count = |wanted| count_chunks(&asked, wanted);
    assert_eq!((count(StoreOperation::List), count(StoreOperation::Stat)), (1, 64));
    assert!(new > 64 && asked.len() <= new + 64 + 15, "{} for {new}", asked.len());
}

/// The chunks and packs that there are.
fn stored(bench: &Bench) -> BTreeSet<String> {
    load(&bench.repository_path()).into_keys().filter(|key| is_data(key)).collect()
}

fn count_chunks(asked: &[Asked], wanted: StoreOperation) -> usize {
    asked.iter().filter(|(what, key)| *what == wanted && key.starts_with("chunk/")).count()
}

fn is_put(operation: StoreOperation) -> bool {
    matches!(operation, StoreOperation::Put | StoreOperation::PutIfAbsent | StoreOperation::PutIfUnchanged)
}

fn is_data(key: &str) -> bool {
    key.starts_with("chunk/") || key.starts_with("packs/")
}

fn others(asked: &[Asked]) -> Vec<&Asked> {
    asked.iter().filter(|(what, key)| !is_put(*what) || !is_data(key)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_reads_no_pack_and_no_chunk_whole_twice() {
    let bench = bench().await;
    for n in 0..10 {
        bench.write(&format!("large/{n}"), &random::bytes(n, 3_000_000));
    }
    bench.backup().await;
    let (bench, store) = recorded(bench).await;
    let report = bench.restore("latest", &bench.folder.path().join("target")).await.unwrap();
    assert_eq!(report.files, 110);
    let mut read: Vec<_> = store.hook.take();
    read.retain(|(_, key)| key.starts_with("packs/") || key.starts_with("chunk/"));
    let ranges = read.iter().filter(|(what, _)| *what == StoreOperation::GetRange).count();
    read.retain(|(what, _)| *what == StoreOperation::Get);
    read.sort_unstable_by(|(_, one), (_, other)| one.cmp(other));
    let twice: Vec<_> = read.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(
        read.len() > 20 && twice.is_empty() && ranges <= 12,
        "{} reads, {ranges} ranges, twice: {twice:?}",
        read.len()
    );
}

/// What a snapshot needs lies in as many packs as there were backups, here and there.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_of_what_many_backups_have_written_reads_each_pack_once() {
    let bench = Bench::new(vec![platform_key()]).await;
    for run in 0..20_u64 {
        for n in 0..600_u64 {
            if run == 0 || (n * 7919 + run * 104_729) % 11 == 0 {
                bench.write(&format!("d{}/f{n}", n % 13), &random::bytes(run * 1000 + n, 3000));
            }
        }
        bench.backup().await;
    }
    let (bench, store) = recorded(bench).await;
    let report = bench.restore("latest", &bench.folder.path().join("target")).await.unwrap();
    assert_eq!(report.files, 600);
    let mut reads = BTreeMap::<String, (u32, u32)>::new();
    for (operation, key) in store.hook.take().into_iter().filter(|(_, key)| key.starts_with("packs/")) {
        let (whole, ranges) = reads.entry(key).or_default();
        match operation {
            StoreOperation::Get => *whole += 1,
            _ => *ranges += 1,
        }
    }
    reads.remove("packs/");
    assert!(reads.len() > 20 && reads.values().all(|(whole, _)| *whole <= 1), "{} packs: {reads:#?}", reads.len());
    // On the way down to the folders it is not known how much of a pack is needed.
    let ranges: u32 = reads.values().filter(|(whole, _)| *whole > 0).map(|(_, ranges)| ranges).sum();
    assert!(ranges <= 7, "{reads:#?}");
}
