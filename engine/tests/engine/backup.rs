//! Backups of real folders.

use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime};

use cloudstic_e2e::{oracle, random, tree};
use cloudstic_engine::backup::Counts;
use cloudstic_engine::store::StoreOperation;

use crate::support::{Bench, platform_key};

#[tokio::test(flavor = "multi_thread")]
async fn the_root_of_a_plain_tree_is_the_one_that_the_files_alone_give() {
    let bench = Bench::new(Vec::new()).await;
    tree::plain(&bench.source());
    let report = bench.backup().await;
    assert_eq!(report.warnings, []);
    let expected = oracle::oracle(["root", bench.source().to_str().unwrap()]).ok().text();
    assert_eq!(report.root.unwrap().key(), expected.trim());
    bench.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_with_everything_in_it_is_stored_soundly() {
    let bench = Bench::new(vec![platform_key()]).await;
    tree::full(&bench.source());
    let first = bench.backup().await;
    assert_eq!(first.warnings, []);
    tree::change(&bench.source());
    let second = bench.backup().await;
    assert!(second.files.changed > 0 && second.files.new > 0 && second.files.removed > 0, "{:?}", second.files);
    bench.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_tree_is_neither_read_nor_written_again() {
    let mut bench = Bench::new(vec![platform_key()]).await;
    tree::full(&bench.source());
    let first = bench.backup().await;
    for cache in [bench.cache.clone(), None] {
        bench.cache = cache;
        let before = bench.meter.requests();
        let packs = bench.meter.count(StoreOperation::Put).requests;
        let again = bench.backup().await;
        assert_eq!((again.read_bytes, again.added_bytes, again.root), (0, 0, first.root));
        let same = Counts { unmodified: first.files.new, ..Counts::default() };
        assert_eq!((again.files, again.folders.unmodified), (same, first.folders.new));
        // Snapshot, latest, snapshot catalog.
        assert_eq!(bench.meter.count(StoreOperation::Put).requests - packs, 3);
        // And two for contents that lie by themselves, because their base64 is too large for a pack, one for the list of
        // what a prune was about to delete, and two that prove before the commit that the repository is still there.
        let requests = bench.meter.requests() - before;
        assert!(bench.cache.is_none() || requests <= 13, "{requests} requests");
    }
    bench.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_from_the_future_is_not_read_by_every_backup() {
    let mut bench = Bench::new(vec![platform_key()]).await;
    bench.write("future", &random::bytes(3, 700_000));
    let file = std::fs::File::options().write(true).open(bench.source().join("future")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(1 << 29)).unwrap();
    let first = bench.backup().await;
    for cache in [bench.cache.clone(), None] {
        bench.cache = cache;
        let again = bench.backup().await;
        assert_eq!((again.read_bytes, again.root), (0, first.root));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_and_without_the_cache_the_root_is_the_same() {
    let mut bench = Bench::new(Vec::new()).await;
    tree::full(&bench.source());
    bench.backup().await;
    tree::change(&bench.source());
    let cached = bench.backup().await;
    bench.cache = None;
    assert_eq!(bench.backup().await.root, cached.root);
    let mut request = bench.request();
    request.read_all = true;
    assert_eq!(bench.run(request).await.unwrap().root, cached.root);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_writes_nothing_and_says_what_would_be_read() {
    let bench = Bench::new(vec![platform_key()]).await;
    bench.write("a/large", &random::bytes(5, 3_000_000));
    bench.write("small", b"12345");
    let mut request = bench.request();
    request.dry_run = true;
    let report = bench.run(request).await.unwrap();
    assert_eq!((report.files.new, report.folders.new, report.read_bytes), (2, 1, 3_000_005));
    assert_eq!(report.snapshot, None);
    assert!(bench.repository.snapshots().await.unwrap().readable.is_empty());
    assert_eq!(bench.meter.count(StoreOperation::Put).requests, 0, "init makes its objects only if they are absent");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_is_a_snapshot_without_a_root() {
    let bench = Bench::new(Vec::new()).await;
    let report = bench.backup().await;
    assert_eq!((report.root, report.seq), (None, 1));
    assert_eq!(bench.backup().await.seq, 2);
    bench.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_of_two_equal_files_costs_no_data() {
    let bench = Bench::new(vec![platform_key()]).await;
    let data = random::bytes(7, 4_000_000);
    bench.write("one", &data);
    let first = bench.backup().await;
    bench.write("two", &data);
    let second = bench.backup().await;
    assert!(first.stored_bytes > 4_000_000 && second.stored_bytes < 4_000, "{}", second.stored_bytes);
    bench.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_holes_is_stored_as_its_copy_without() {
    for credentials in [Vec::new(), vec![platform_key()]] {
        let bench = Bench::new(credentials).await;
        bench.write("sparse", b"begins");
        let path = bench.source().join("sparse");
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(90_000_001).unwrap();
        file.write_all_at(&random::bytes(1, 3_000_000), 41_234_567).unwrap();
        let first = bench.backup().await;
        assert_eq!((first.total_bytes, first.warnings.len()), (90_000_001, 0));
        // Not as a copy, which may keep the holes.
        bench.write("dense", &std::fs::read(&path).unwrap());
        let second = bench.backup().await;
        assert!(second.added_bytes < 10_000, "{}", second.added_bytes);
        bench.verify();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_files_are_stored_so_that_every_reader_gets_them_back() {
    let bench = Bench::new(Vec::new()).await;
    let noise = random::bytes(11, 700_000);
    let magic = |magic: &[u8]| [magic, &noise].concat();
    bench.write("a.gz", &magic(&[0x1f, 0x8b]));
    bench.write("a.zst", &magic(&[0x28, 0xb5, 0x2f, 0xfd]));
    bench.backup().await;
    // Strict: an object that the CLI could not read is a note, and fails.
    bench.verify();
}
