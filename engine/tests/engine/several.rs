//! Several programs on one repository: what one has in memory does not hide what another has written since.

use std::path::Path;
use std::sync::Arc;

use cloudstic_e2e::golden;
use cloudstic_engine::repository::Repository;

use crate::support::{Bench, open, platform_key, restore};

/// Restores a snapshot by the beginning of its hash and gives the warnings that name objects.
async fn complaints(repository: &Arc<Repository>, hash: &str, target: &Path) -> Vec<String> {
    let report = restore(repository, &hash[..10], target).await.unwrap();
    assert!(report.files > 0);
    // An ordinary user is told that owners cannot be given.
    let problems = report.warnings.into_iter().map(|warning| format!("{}: {}", warning.path, warning.problem));
    problems.filter(|problem| problem.contains("missing") || problem.contains("damaged")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_another_daemon_wrote_is_restored_by_its_hash_without_false_damage() {
    let bench = Bench::new(vec![platform_key()]).await;
    bench.write("a", b"one");
    bench.backup().await;
    let other = open(&bench.repository_path(), vec![platform_key()]).await;
    assert_eq!(other.snapshots().await.unwrap().readable.len(), 1);
    bench.write("folder/b", b"two");
    let second = bench.backup().await.snapshot.unwrap().hash.to_string();
    assert_eq!(complaints(&other, &second, &bench.folder.path().join("restored")).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_what_was_written_since_the_catalog_was_read() {
    let bench = Bench::new(vec![platform_key()]).await;
    let other = open(&bench.repository_path(), vec![platform_key()]).await;
    assert!(other.snapshots().await.unwrap().readable.is_empty());
    bench.write("a", b"one");
    let root = bench.backup().await.root.unwrap();
    let reader = other.reader().await.unwrap();
    let found = tokio::task::spawn_blocking(move || reader.read(&root).map(|_| reader.detours()));
    assert_eq!(found.await.unwrap().unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_the_cli_wrote_meanwhile_is_found_though_its_packs_have_no_footers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repository");
    golden::copy("encrypted", &path);
    for young in ["index", "packs", "snapshot", "chunk", "content", "filemeta", "node"] {
        let _ = std::fs::remove_dir_all(path.join(young));
    }
    let repository = open(&path, vec![platform_key()]).await;
    assert!(repository.snapshots().await.unwrap().readable.is_empty());
    std::fs::remove_dir_all(&path).unwrap();
    golden::copy("encrypted", &path);
    let list = golden::expected("encrypted", "list.json");
    for snapshot in list["Snapshots"].as_array().unwrap() {
        let repository = &repository;
        let hash = snapshot["Ref"].as_str().unwrap().strip_prefix("snapshot/").unwrap();
        assert_eq!(complaints(repository, hash, &folder.path().join(hash)).await, [""; 0]);
    }
}
