//! Copies between repositories: what comes out is what went in, whatever the keys are, and wherever it broke off.

mod damage;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cloudstic_e2e::golden;
use cloudstic_engine::backup::BackupRequest;
use cloudstic_engine::clock::FixedClock;
use cloudstic_engine::copy::{COPIED_FROM, CopyError, CopyReport, CopyRequest, CopyState, copy};
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::object::{ObjectRef, Snapshot};
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repository::{Credential, InitOptions, Repository, SnapshotFilter, SnapshotSelection};
use cloudstic_engine::store::{LocalStore, Meter, MeteredStore, ObjectStore};
use cloudstic_engine::tag::{TagChange, TagRequest, tag};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::breaking::Breaking;
use crate::state::{differences, state};
use crate::support::{Bench, PLATFORM_KEY, copy_all, open, platform_key, restore};

async fn run(from: &Arc<Repository>, to: &Arc<Repository>, request: CopyRequest) -> Result<CopyReport, CopyError> {
    copy(Arc::clone(from), Arc::clone(to), request, Arc::new(Silent), CancellationToken::new()).await
}

/// An empty repository.
async fn target(folder: &TempDir, name: &str, credentials: Vec<Credential>) -> (PathBuf, Arc<Repository>) {
    let path = folder.path().join(name);
    let options = InitOptions { credentials: credentials.clone(), ..InitOptions::default() };
    Repository::init(Arc::new(LocalStore::new(&path)), options).await.unwrap();
    let repository = open(&path, credentials).await;
    (path, repository)
}

async fn read(repository: &Arc<Repository>) -> Vec<(ObjectRef, Snapshot)> {
    let mut found = Vec::new();
    for entry in repository.snapshots().await.unwrap().readable {
        found.push(repository.find_snapshot(&entry.reference.to_string()).await.unwrap());
    }
    found.sort_by_key(|(_, snapshot)| snapshot.seq);
    found
}

fn states(report: &CopyReport) -> Vec<CopyState> {
    report.snapshots.iter().map(|copy| copy.state).collect()
}

/// Three snapshots of a tree with everything in it, with files on both sides of every limit.
async fn source(credentials: Vec<Credential>) -> Bench {
    let mut bench = Bench::new(credentials).await;
    bench.options.excludes = vec!["*.no".to_owned()];
    cloudstic_e2e::tree::full(&bench.source());
    let mut request = bench.request();
    request.tags = vec!["first".to_owned(), "tag".to_owned()];
    bench.run(request).await.unwrap();
    cloudstic_e2e::tree::change(&bench.source());
    bench.backup().await;
    // The same tree once more.
    bench.backup().await;
    bench
}

async fn assert_same_restore(one: &Arc<Repository>, other: &Arc<Repository>) {
    let (ours, theirs) = (read(one).await, read(other).await);
    assert_eq!(ours.len(), theirs.len());
    for ((first, _), (second, _)) in ours.iter().zip(&theirs) {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        for (repository, snapshot, target) in [(one, first, &a), (other, second, &b)] {
            let report = restore(repository, &snapshot.to_string(), target).await.unwrap();
            assert_eq!(report.warning_count, 0, "{:?}", report.warnings);
        }
        assert_eq!(differences(&state(&a), &state(&b)), Vec::<String>::new());
    }
}

fn same_but_for_meta(one: &Snapshot, other: &Snapshot) {
    let bare = |snapshot: &Snapshot| Snapshot { root: None, meta: BTreeMap::new(), ..snapshot.clone() };
    assert_eq!(bare(one), bare(other));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_copy_in_other_keys_and_back_is_the_same_tree() {
    let bench = source(Vec::new()).await;
    let (sealed_path, sealed) = target(&bench.folder, "sealed", vec![platform_key()]).await;
    let (plain_path, plain) = target(&bench.folder, "plain", Vec::new()).await;
    let first = run(&bench.repository, &sealed, copy_all()).await.unwrap();
    assert_eq!(states(&first), [CopyState::Copied; 3]);
    assert_eq!(first.warning_count, 0);
    assert!(first.files > 0 && first.read_bytes > 0 && first.added_bytes > 0 && first.stored_bytes > 0);
    run(&sealed, &plain, copy_all()).await.unwrap();
    cloudstic_e2e::oracle::assert_sound(&sealed_path, &["--platform-key", PLATFORM_KEY]);
    cloudstic_e2e::oracle::assert_sound(&plain_path, &[]);

    let (originals, in_sealed, in_plain) = (read(&bench.repository).await, read(&sealed).await, read(&plain).await);
    for ((original, sealed), plain) in originals.iter().zip(&in_sealed).zip(&in_plain) {
        same_but_for_meta(&original.1, &sealed.1);
        same_but_for_meta(&original.1, &plain.1);
        // Back without keys, every name is the old one.
        assert_eq!(original.1.root, plain.1.root);
        assert_ne!(original.1.root, sealed.1.root);
        for copy in [sealed, plain] {
            assert_eq!(copy.1.meta[COPIED_FROM], original.0.to_string());
        }
    }
    assert_same_restore(&bench.repository, &sealed).await;
    assert_same_restore(&bench.repository, &plain).await;

    // Wherever it comes from, it is there already.
    for (from, to) in [(&bench.repository, &plain), (&plain, &sealed), (&plain, &bench.repository)] {
        assert_eq!(states(&run(from, to, copy_all()).await.unwrap()), [CopyState::Present; 3]);
    }
    let same = run(&plain, &plain, copy_all()).await.unwrap_err();
    assert!(matches!(same, CopyError::Same { .. }), "{same}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_every_object_stays_and_a_backup_follows_on_the_copy() {
    let bench = source(Vec::new()).await;
    let (path, plain) = target(&bench.folder, "plain", Vec::new()).await;
    let dry = run(&bench.repository, &plain, CopyRequest { dry_run: true, ..copy_all() }).await.unwrap();
    assert_eq!(states(&dry), [CopyState::WouldCopy; 3]);
    assert!(read(&plain).await.is_empty() && !path.join("packs").exists());
    let done = run(&bench.repository, &plain, copy_all()).await.unwrap();
    assert_eq!((dry.files, dry.read_bytes), (done.files, done.read_bytes));
    for (original, copied) in read(&bench.repository).await.iter().zip(&read(&plain).await) {
        assert_eq!(original.1.root, copied.1.root);
    }
    cloudstic_e2e::oracle::assert_sound(&path, &[]);
    let follows = Bench { repository: plain, cache: None, ..bench };
    let report = follows.backup().await;
    assert_eq!((report.files.new, report.files.changed, report.seq), (0, 0, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_asked_for_is_copied() {
    let bench = source(vec![platform_key()]).await;
    let (_, plain) = target(&bench.folder, "plain", Vec::new()).await;
    let tagged = SnapshotFilter { tags: vec!["tag".to_owned()], ..SnapshotFilter::default() };
    let one =
        run(&bench.repository, &plain, CopyRequest { selection: SnapshotSelection::Matching(tagged), ..copy_all() })
            .await
            .unwrap();
    assert_eq!(states(&one), [CopyState::Copied]);
    let names = || SnapshotSelection::Named(vec!["latest".to_owned(), "latest".to_owned()]);
    let latest = run(&bench.repository, &plain, CopyRequest { selection: names(), ..copy_all() }).await.unwrap();
    assert_eq!(states(&latest), [CopyState::Copied]);
    assert_eq!(latest.snapshots[0].seq, 2);
    let (latest, _) = bench.repository.find_snapshot("latest").await.unwrap();
    assert_eq!(read(&plain).await[1].1.meta[COPIED_FROM], latest.to_string());
    let none = CopyRequest { selection: SnapshotSelection::Named(vec!["ffffff".to_owned()]), ..copy_all() };
    assert!(run(&bench.repository, &plain, none).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_it_breaks_off_the_next_copy_goes_on() {
    let bench = Bench::new(Vec::new()).await;
    for n in 0..8u8 {
        bench.write(&format!("d{}/small-{n}", n % 3), &vec![n; 3000]);
    }
    let noise = |seed| cloudstic_e2e::random::bytes(seed, 1_600_000);
    bench.write("large-1", &noise(1));
    bench.write("large-2", &noise(2));
    bench.backup().await;
    bench.write("d1/new", b"new");
    bench.backup().await;
    let mut whole = false;
    for changes in 1.. {
        if whole {
            break;
        }
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = target(&folder, "sealed", vec![platform_key()]).await;
        let local: Arc<dyn ObjectStore> = Arc::new(LocalStore::new(&path));
        let breaking: Arc<dyn ObjectStore> = Breaking::new(local, changes, changes % 2 == 0);
        let cut = Arc::new(Repository::open(breaking, vec![platform_key()]).await.unwrap());
        whole = run(&bench.repository, &cut, copy_all()).await.is_ok();
        let again = open(&path, vec![platform_key()]).await;
        run(&bench.repository, &again, copy_all()).await.unwrap();
        assert_eq!(read(&again).await.len(), 2, "broken off after {changes} changes");
        assert_same_restore(&bench.repository, &again).await;
        cloudstic_e2e::oracle::oracle(["verify", path.to_str().unwrap(), "--platform-key", PLATFORM_KEY]).ok();
    }
}

/// The repository of a bench, with a count of what is read from it.
async fn metered(path: &Path) -> (Arc<Repository>, Arc<Meter>) {
    let store = MeteredStore::new(Arc::new(LocalStore::new(path)));
    let meter = store.meter();
    (Arc::new(Repository::open(Arc::new(store), Vec::new()).await.unwrap()), meter)
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_the_target_has_are_not_read_again() {
    let bench = Bench::new(Vec::new()).await;
    bench.write("large-1", &cloudstic_e2e::random::bytes(1, 3_000_000));
    bench.write("large-2", &cloudstic_e2e::random::bytes(2, 3_000_000));
    bench.backup().await;
    let (path, sealed) = target(&bench.folder, "sealed", vec![platform_key()]).await;
    run(&bench.repository, &sealed, copy_all()).await.unwrap();
    // As it would be if the first copy had been cut off before its commit.
    for entry in ["snapshot", "index"] {
        std::fs::remove_dir_all(path.join(entry)).unwrap();
    }
    let (source, meter) = metered(&bench.repository_path()).await;
    let again = run(&source, &open(&path, vec![platform_key()]).await, copy_all()).await.unwrap();
    assert_eq!((again.files, states(&again)), (0, vec![CopyState::Copied]));
    assert!(meter.received() < 100_000, "{} bytes were read", meter.received());

    // One chunk is missing: its file is read, and the other is not.
    let chunk = std::fs::read_dir(path.join("chunk")).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(chunk).unwrap();
    for entry in ["snapshot", "index"] {
        std::fs::remove_dir_all(path.join(entry)).unwrap();
    }
    let (source, _) = metered(&bench.repository_path()).await;
    let again = run(&source, &open(&path, vec![platform_key()]).await, copy_all()).await.unwrap();
    assert_eq!((again.files, again.read_bytes), (1, 3_000_000));
    cloudstic_e2e::oracle::assert_sound(&path, &["--platform-key", PLATFORM_KEY]);
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_of_the_cli_are_copied_whole() {
    let password = || vec![Credential::Password("golden-password".into())];
    for (name, credentials, to) in [
        ("plain", Vec::new(), vec![platform_key()]),
        ("encrypted", password(), Vec::new()),
        ("nopack", Vec::new(), Vec::new()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("golden");
        golden::copy(name, &path);
        let from = open(&path, credentials).await;
        let (copied, there) = target(&folder, "copy", to).await;
        let done = run(&from, &there, copy_all()).await.unwrap();
        assert_eq!((states(&done), done.warning_count), (vec![CopyState::Copied; 3], 0), "{name}");
        cloudstic_e2e::oracle::oracle(["verify", copied.to_str().unwrap(), "--platform-key", PLATFORM_KEY]).ok();
        assert_same_restore(&from, &there).await;
        let roots =
            |snapshots: Vec<(ObjectRef, Snapshot)>| snapshots.into_iter().map(|(_, it)| it.root).collect::<Vec<_>>();
        if name == "nopack" {
            assert_eq!(roots(read(&from).await), roots(read(&there).await));
        }
    }
}

/// Changes the tags of all snapshots that have one.
async fn retag(repository: &Arc<Repository>, has: &str, add: &str) {
    let filter = SnapshotFilter { tags: vec![has.to_owned()], ..SnapshotFilter::default() };
    let (selection, change) = (SnapshotSelection::Matching(filter), TagChange::Add(vec![add.to_owned()]));
    let request = TagRequest { selection, change, dry_run: false, lease: LeaseWatch::not_needed() };
    let report = tag(Arc::clone(repository), request, Arc::new(Silent), CancellationToken::new()).await.unwrap();
    assert_eq!(report.changed.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_whose_tags_were_changed_is_not_copied_again_and_its_copy_keeps_its_own() {
    let bench = source(Vec::new()).await;
    let (_, sealed) = target(&bench.folder, "sealed", vec![platform_key()]).await;
    let (_, plain) = target(&bench.folder, "plain", Vec::new()).await;
    run(&bench.repository, &sealed, copy_all()).await.unwrap();
    retag(&bench.repository, "first", "ours").await;
    // To one that has none, with the new tags; to the other not at all.
    assert_eq!(states(&run(&bench.repository, &plain, copy_all()).await.unwrap()), [CopyState::Copied; 3]);
    let again = run(&bench.repository, &sealed, copy_all()).await.unwrap();
    assert_eq!(states(&again), [CopyState::Present; 3]);
    assert_eq!(again.snapshots.iter().map(|copy| copy.other_tags).collect::<Vec<_>>(), [true, false, false]);
    retag(&sealed, "first", "theirs").await;
    for (from, to) in [(&bench.repository, &sealed), (&sealed, &bench.repository), (&plain, &sealed), (&sealed, &plain)]
    {
        assert_eq!(states(&run(from, to, copy_all()).await.unwrap()), [CopyState::Present; 3]);
    }
    let tags = |snapshots: Vec<(ObjectRef, Snapshot)>| snapshots[0].1.tags.join(",");
    assert_eq!(tags(read(&bench.repository).await), "first,tag,ours");
    assert_eq!(tags(read(&plain).await), "first,tag,ours");
    assert_eq!(tags(read(&sealed).await), "first,tag,theirs");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_snapshot_that_is_copied_later_does_not_become_the_latest() {
    let bench = Bench::new(Vec::new()).await;
    let mut made = Vec::new();
    for day in 1..=3 {
        bench.write("day", day.to_string().as_bytes());
        let clock = FixedClock(SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400));
        let request = BackupRequest { clock: Arc::new(clock), ..bench.request() };
        made.push(bench.run(request).await.unwrap().snapshot.unwrap().to_string());
    }
    let (path, sealed) = target(&bench.folder, "sealed", vec![platform_key()]).await;
    let named = |name: &str| CopyRequest { selection: SnapshotSelection::Named(vec![name.to_owned()]), ..copy_all() };
    run(&bench.repository, &sealed, named(&made[1])).await.unwrap();
    for (name, latest) in [(&made[0], 2), (&made[2], 3)] {
        run(&bench.repository, &sealed, named(name)).await.unwrap();
        // Also to who opens it anew, and goes by what is stored.
        for repository in [&sealed, &open(&path, vec![platform_key()]).await] {
            let (_, snapshot) = repository.find_snapshot("latest").await.unwrap();
            assert_eq!(snapshot.created.as_str(), format!("1970-01-0{}T00:00:00Z", latest + 1));
        }
        cloudstic_e2e::oracle::assert_sound(&path, &["--platform-key", PLATFORM_KEY]);
    }
}
