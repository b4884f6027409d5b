//! A report says what was done, and a dry run what would be.

use cloudstic_e2e::random;

use super::bench::{Bench, request};
use crate::prune::{PruneReport, PruneRequest};
use crate::store::MemoryStore;

/// Bytes of everything but indexes.
fn size(bench: &Bench) -> u64 {
    let objects = bench.store.objects();
    objects.iter().filter(|(key, _)| !key.starts_with("index/")).map(|(_, bytes)| bytes.len() as u64).sum()
}

async fn prune_as_told(bench: &Bench, request: PruneRequest) -> PruneReport {
    let before = bench.store.objects().clone();
    let told = bench.prune(PruneRequest { dry_run: true, ..request.clone() }).await.unwrap();
    assert_eq!(*bench.store.objects(), before, "a dry run changes nothing");
    let was = size(bench);
    let done = bench.prune(request).await.unwrap();
    assert_eq!(done, told);
    assert_eq!(was - size(bench), done.freed_bytes);
    assert_eq!(done.packs_after, bench.keys("packs/").len() as u64);
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_to_the_byte_what_is_freed() {
    for encrypted in [false, true] {
        let (bench, _) = Bench::ours(MemoryStore::default(), encrypted).await;
        let done = prune_as_told(&bench, request()).await;
        assert!(done.packs_rewritten > 0 && done.packs_written > 0 && done.removed_objects > 40, "{done:?}");
        assert!(done.freed_bytes > 1_300_000 && done.warnings.is_empty(), "{done:?}");
        let again = prune_as_told(&bench, request()).await;
        assert_eq!((again.freed_bytes, again.removed_objects, again.packs_rewritten), (0, 0, 0));
        assert_eq!(again.needed_objects, done.needed_objects);
    }
    for name in ["plain", "encrypted", "nopack"] {
        let bench = Bench::golden(name).await;
        let needed = bench.whole().await;
        let done = prune_as_told(&bench, PruneRequest { max_waste_percent: 0, ..request() }).await;
        assert!(done.freed_bytes > 0 && done.removed_objects > 20, "{name}: {done:?}");
        assert_eq!((done.packs_rewritten > 0, bench.whole().await == needed), (name != "nopack", true), "{name}");
        bench.assert_nothing_is_left_over().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_copied_beyond_the_limit() {
    let (bench, _) = Bench::ours(MemoryStore::default(), false).await;
    let done = prune_as_told(&bench, PruneRequest { max_repack_bytes: Some(0), ..request() }).await;
    assert_eq!((done.packs_rewritten, done.written_bytes), (0, 0));
    assert!(done.unused_bytes > 10_000, "{done:?}");
    let done = prune_as_told(&bench, request()).await;
    assert!(done.packs_rewritten > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_without_snapshots_becomes_empty() {
    let bench = Bench::golden("plain").await;
    let last = bench.snapshots().await[0];
    bench.forget(last).await;
    prune_as_told(&bench, request()).await;
    assert!(["packs/", "chunk/", "content/", "node/"].iter().all(|prefix| bench.keys(prefix).is_empty()));
    assert_eq!(bench.object("index/packs").unwrap(), "{}");
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshots_and_the_pointer_leave_the_packs_of_the_cli() {
    // Each of its packs has an old pointer that is waste.
    let bench = Bench::golden_without("encrypted", 1..3).await;
    let snapshots = bench.snapshots().await;
    assert!(bench.keys("snapshot/").is_empty() && bench.object("index/latest").is_none());
    bench.prune(PruneRequest { max_waste_percent: 0, ..request() }).await.unwrap();
    assert_eq!(bench.keys("snapshot/"), [snapshots[0].key()]);
    assert_eq!(bench.snapshots().await, snapshots);
    let repository = bench.open().await;
    assert_eq!(repository.find_snapshot("latest").await.unwrap().0, snapshots[0]);
    let names = bench.object("index/packs").unwrap();
    assert!(!String::from_utf8_lossy(&names).contains("latest"));
}

/// Two snapshots, of which the older one is removed; its pack of data stays, but for a few bytes: the content of a large
/// file that only it needs.
async fn with_a_large_file_gone() -> Bench {
    let bench = Bench::new(MemoryStore::default(), true).await;
    for n in 0..12u64 {
        bench.write(&format!("small-{n}"), &random::bytes(n, 3000));
    }
    bench.write("large", &random::bytes(50, 1_300_000));
    let first = bench.backup().await;
    std::fs::remove_file(bench.tree.path().join("large")).unwrap();
    bench.backup().await;
    bench.forget(first).await;
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_that_nobody_needs_does_not_outlive_its_chunks() {
    let bench = with_a_large_file_gone().await;
    let request = PruneRequest { max_waste_percent: 100, ..request() };
    let done = prune_as_told(&bench, request).await;
    assert!(done.freed_bytes > 1_300_000 && done.packs_rewritten == 1, "{done:?}");
    bench.assert_nothing_is_left_over().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_room_to_rewrite_its_pack_a_content_keeps_its_chunks_until_there_is() {
    let bench = with_a_large_file_gone().await;
    let chunks = bench.keys("chunk/");
    let tight = PruneRequest { max_repack_bytes: Some(0), ..request() };
    for _ in 0..2 {
        let done = prune_as_told(&bench, tight.clone()).await;
        assert_eq!(done.packs_rewritten, 0);
        assert_eq!(bench.keys("chunk/"), chunks);
        bench.assert_contents_have_their_chunks().await;
    }
    prune_as_told(&bench, request()).await;
    assert!(bench.keys("chunk/").is_empty());
    bench.assert_nothing_is_left_over().await;
}
