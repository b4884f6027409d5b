//! What is counted, held against what can be worked out by hand and what lies in the store.

use std::path::Path;
use std::sync::Arc;

use cloudstic_e2e::random;
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repository::{Repository, SnapshotFilter};
use cloudstic_engine::stats::{StatsReport, StatsRequest, Totals, stats};
use tokio_util::sync::CancellationToken;

use crate::support::{Bench, open, platform_key};

async fn run(repository: &Arc<Repository>, snapshots: &[&str]) -> StatsReport {
    let snapshots = snapshots.iter().map(|name| (*name).to_owned()).collect();
    let request = StatsRequest { snapshots, filter: SnapshotFilter::default(), lease: LeaseWatch::not_needed() };
    stats(Arc::clone(repository), request, Arc::new(Silent), CancellationToken::new()).await.unwrap()
}

fn sizes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

/// All objects that there are, by the catalog and the files: what all snapshots together need, if nothing is left over.
fn all_objects(repository: &Path) -> u64 {
    let catalog: serde_json::Value =
        serde_json::from_slice(&std::fs::read(repository.join("index/packs")).unwrap()).unwrap();
    let packed: u64 = catalog.as_object().unwrap().values().map(|entry| entry["l"].as_u64().unwrap()).sum();
    let single = ["chunk", "content", "filemeta", "node", "snapshot"].map(|kind| sizes(&repository.join(kind)));
    packed + single.iter().sum::<u64>()
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_those_worked_out_by_hand() {
    for credentials in [Vec::new(), vec![platform_key()]] {
        let bench = Bench::new(credentials).await;
        let path = bench.repository_path();
        bench.write("a", &random::bytes(1, 1000));
        bench.write("d/again", &random::bytes(1, 1000));
        bench.write("d/large", &random::bytes(2, 2_000_000));
        std::os::unix::fs::symlink("a", bench.source().join("link")).unwrap();
        bench.backup().await;
        let first = all_objects(&path);
        let one = run(&bench.repository, &[]).await;
        assert_eq!(one.snapshots.len(), 1);
        let stats = &one.snapshots[0];
        assert_eq!((stats.files, stats.folders, stats.others, stats.raw_bytes), (3, 1, 1, 2_002_000));
        assert_eq!((stats.stored_bytes, stats.unique_bytes), (first, first));
        assert_eq!((one.total.raw_bytes, one.total.distinct_bytes), (2_002_000, 2_001_000));
        assert_eq!(one.total.data_stored_bytes + one.total.metadata_stored_bytes, first);
        assert_eq!((one.repository.unreferenced_bytes, one.warning_count), (0, 0));

        std::fs::remove_file(bench.source().join("d/large")).unwrap();
        bench.write("b", &random::bytes(3, 700_000));
        bench.backup().await;
        let both = all_objects(&path);
        let two = run(&bench.repository, &[]).await;
        let (newer, older) = (&two.snapshots[0], &two.snapshots[1]);
        assert_eq!((newer.seq, newer.files, newer.raw_bytes), (2, 3, 702_000));
        assert_eq!((older.stored_bytes, newer.unique_bytes), (first, both - first));
        // Each has what both share and what it has alone.
        assert_eq!(newer.stored_bytes - newer.unique_bytes, older.stored_bytes - older.unique_bytes);
        // Noise does not compress, so what the older one alone needs is its large file, and a little.
        assert!((2_000_000..2_010_000).contains(&older.unique_bytes), "{older:?}");
        let expected =
            Totals { files: 6, folders: 2, others: 2, raw_bytes: 2_704_000, distinct_bytes: 2_701_000, ..two.total };
        assert_eq!(two.total, expected);
        let Totals { data_stored_bytes, metadata_stored_bytes, .. } = two.total;
        assert_eq!(data_stored_bytes + metadata_stored_bytes, both);
        assert_eq!(two.repository.packs, std::fs::read_dir(path.join("packs")).unwrap().count() as u64);
        assert_eq!(two.repository.pack_bytes, sizes(&path.join("packs")));
        assert_eq!(two.repository.catalog_bytes, std::fs::metadata(path.join("index/packs")).unwrap().len());

        // Of one that was asked for, what others need still counts.
        let latest = run(&bench.repository, &["latest"]).await;
        assert_eq!((latest.snapshots.len(), latest.snapshots[0].unique_bytes), (1, newer.unique_bytes));
        assert_eq!((latest.total.files, latest.repository), (3, two.repository));

        // What the older one alone needs is what is left over when it is gone.
        let own = std::fs::metadata(path.join(older.reference.to_string())).unwrap().len();
        std::fs::remove_file(path.join(older.reference.to_string())).unwrap();
        let left = run(&bench.repository, &[]).await;
        assert_eq!(left.repository.unreferenced_bytes, older.unique_bytes - own);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_files_share_are_estimated() {
    let bench = Bench::new(Vec::new()).await;
    // Three pieces of 8 MiB of zeros, all of them one chunk.
    std::fs::File::create(bench.source().join("zeros")).unwrap().set_len(3 << 23).unwrap();
    bench.backup().await;
    let counted = run(&bench.repository, &[]).await;
    assert_eq!((counted.total.raw_bytes, counted.total.distinct_bytes), (3 << 23, 1 << 23));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_told_and_the_rest_is_counted() {
    let bench = Bench::new(Vec::new()).await;
    bench.write("a", b"a");
    bench.backup().await;
    bench.write("b", b"b");
    bench.backup().await;
    let whole = run(&bench.repository, &[]).await;
    let newest = bench.repository_path().join(whole.snapshots[0].reference.to_string());
    std::fs::write(newest, b"no snapshot").unwrap();
    std::fs::remove_dir_all(bench.repository_path().join("index/snapshots")).ok();
    std::fs::remove_file(bench.repository_path().join("index/snapshots")).ok();
    let damaged = open(&bench.repository_path(), Vec::new()).await;
    let counted = run(&damaged, &[]).await;
    assert_eq!((counted.snapshots.len(), counted.warning_count, counted.total.files), (1, 1, 1));
    for pack in std::fs::read_dir(bench.repository_path().join("packs")).unwrap() {
        let pack = pack.unwrap().path();
        let bytes = std::fs::read(&pack).unwrap();
        std::fs::write(&pack, vec![0; bytes.len()]).unwrap();
    }
    let counted = run(&open(&bench.repository_path(), Vec::new()).await, &[]).await;
    assert_eq!((counted.total.files, counted.warning_count), (0, 2), "{:?}", counted.warnings);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cli_counts_the_same_files() {
    for name in ["plain", "nopack"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("golden");
        cloudstic_e2e::golden::copy(name, &path);
        let counted = run(&open(&path, Vec::new()).await, &[]).await;
        for (number, stats) in (1..=3).rev().zip(&counted.snapshots) {
            let listed = cloudstic_e2e::golden::expected(name, &format!("ls-{number}.json"));
            let metas = listed["RefToMeta"].as_object().unwrap().values();
            let files: Vec<_> = metas.filter(|meta| meta["type"] == "file").collect();
            assert_eq!((stats.seq, stats.files), (number, files.len() as u64), "{name}");
            assert_eq!(stats.raw_bytes, files.iter().map(|meta| meta["size"].as_u64().unwrap()).sum::<u64>());
        }
        assert_eq!(counted.warning_count, 0);
    }
}
