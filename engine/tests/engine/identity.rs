//! A backup never succeeds into a place that does not hold the repository that was opened.

use std::path::Path;
use std::sync::Arc;

use cloudstic_engine::backup::{BackupError, backup};
use cloudstic_engine::repository::{InitOptions, Repository, RepositoryError};
use cloudstic_engine::store::{LocalStore, ObjectStore, StoreError};
use tokio_util::sync::CancellationToken;

use crate::support::{BeforeCommit, Bench, open, platform_key};

fn is_gone(error: &BackupError) -> bool {
    error.to_string().contains("is not there: mount its disk")
}

async fn init(path: &Path) {
    let options = InitOptions { credentials: vec![platform_key()], ..InitOptions::default() };
    Repository::init(Arc::new(LocalStore::new(path)), options).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_was_moved_away_is_not_made_anew() {
    let bench = Bench::new(vec![platform_key()]).await;
    bench.write("a", b"one");
    bench.backup().await;
    let moved = bench.folder.path().join("moved");
    std::fs::rename(bench.repository_path(), &moved).unwrap();
    bench.write("a", b"two");
    let error = bench.run(bench.request()).await.unwrap_err();
    assert!(is_gone(&error), "{error}");
    assert!(!bench.repository_path().exists());

    std::fs::rename(&moved, bench.repository_path()).unwrap();
    assert_eq!(bench.backup().await.seq, 2);
    bench.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_made_anew_gets_no_snapshot_that_is_sealed_with_the_old_key() {
    let bench = Bench::new(vec![platform_key()]).await;
    bench.write("a", b"one");
    bench.backup().await;
    std::fs::remove_dir_all(bench.repository_path()).unwrap();
    init(&bench.repository_path()).await;
    let error = bench.run(bench.request()).await.unwrap_err();
    assert!(matches!(error, BackupError::Repository(RepositoryError::NotTheSame { .. })), "{error}");
    for key in ["index/packs", "index/latest", "snapshot"] {
        assert!(!bench.repository_path().join(key).exists(), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_committed_when_the_repository_goes_away_during_the_backup() {
    for is_replaced in [false, true] {
        let bench = Bench::new(vec![platform_key()]).await;
        bench.write("a", b"one");
        let (other, moved) = (bench.folder.path().join("other"), bench.folder.path().join("moved"));
        let mut renames = vec![(bench.repository_path(), moved.clone())];
        if is_replaced {
            init(&other).await;
            renames.push((other, bench.repository_path()));
        }
        let rename = move || renames.iter().for_each(|(from, to)| std::fs::rename(from, to).unwrap());
        let (repository, swap) = (Arc::clone(&bench.repository), Arc::new(BeforeCommit(rename)));
        let done = backup(repository, bench.request(), swap, CancellationToken::new()).await;
        let error = done.unwrap_err();
        if is_replaced {
            assert!(matches!(error, BackupError::Repository(RepositoryError::NotTheSame { .. })), "{error}");
            assert!(!bench.repository_path().join("index").exists());
        } else {
            assert!(is_gone(&error), "{error}");
            assert!(!bench.repository_path().exists());
        }
        assert!(!moved.join("snapshot").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marker_that_differs_or_is_gone_is_another_repository() {
    let bench = Bench::new(vec![platform_key()]).await;
    bench.repository.prove_identity().await.unwrap();
    for key in ["config", "keys/platform-default"] {
        let path = bench.repository_path().join(key);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&bytes[..], b"\n"].concat()).unwrap();
        let error = bench.repository.prove_identity().await.unwrap_err().to_string();
        assert!(error.contains(&format!("{key} differs")), "{error}");
        std::fs::remove_file(&path).unwrap();
        let error = bench.repository.prove_identity().await.unwrap_err().to_string();
        assert!(error.contains(&format!("{key} is missing")), "{error}");
        std::fs::write(&path, bytes).unwrap();
    }
    bench.repository.prove_identity().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_init_makes_the_folder_of_a_repository() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/repository");
    let store = LocalStore::new(&path);
    let bytes = || bytes::Bytes::from_static(b"x");
    let gone = |error: StoreError| assert!(error.is_gone() && !error.is_not_found(), "{error}");
    gone(store.put("config", bytes()).await.unwrap_err());
    gone(store.put("packs/a", bytes()).await.unwrap_err());
    gone(store.put_if_absent("keys/a/b", bytes()).await.unwrap_err());
    gone(store.get("config").await.unwrap_err());
    gone(store.stat("packs/a").await.unwrap_err());
    gone(futures::TryStreamExt::try_collect::<Vec<_>>(store.list("packs/")).await.unwrap_err());
    store.delete("packs/a").await.unwrap();
    assert!(!folder.path().join("a").exists());
    init(&path).await;
    open(&path, vec![platform_key()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_of_a_repository_is_not_taken_for_that_of_another_or_of_a_copy() {
    let bench = Bench::new(vec![platform_key()]).await;
    let other = Bench::new(vec![platform_key()]).await;
    let copy = bench.folder.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    std::fs::copy(bench.repository_path().join("config"), copy.join("config")).unwrap();
    std::fs::create_dir(copy.join("keys")).unwrap();
    for slot in std::fs::read_dir(bench.repository_path().join("keys")).unwrap().map(Result::unwrap) {
        std::fs::copy(slot.path(), copy.join("keys").join(slot.file_name())).unwrap();
    }
    let fingerprint = bench.repository.fingerprint();
    assert_eq!(open(&bench.repository_path(), vec![platform_key()]).await.fingerprint(), fingerprint);
    assert_ne!(other.repository.fingerprint(), fingerprint);
    assert_ne!(open(&copy, vec![platform_key()]).await.fingerprint(), fingerprint);
}
