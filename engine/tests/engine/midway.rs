//! What breaks off in the middle: its error says what was done by then, no more and no less.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloudstic_engine::clock::FixedClock;
use cloudstic_engine::copy::{CopyError, CopyReport, CopyState, copy};
use cloudstic_engine::forget::{ForgetError, ForgetRequest, GroupBy, Reason, Selection, Zone, forget};
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::midway::Midway;
use cloudstic_engine::object::ObjectRef;
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repository::{Repository, SnapshotSelection};
use cloudstic_engine::store::{LocalStore, MemoryStore, ObjectStore};
use cloudstic_engine::tag::{TagChange, TagError, TagRequest, tag};
use tokio_util::sync::CancellationToken;

use crate::breaking::Breaking;
use crate::memory::{Objects, load};
use crate::support::{BeforeCommit, Bench, copy_all, open, platform_key, with_snapshots};

/// The same objects in a store that breaks after so many changes.
struct Broken {
    store: Arc<MemoryStore>,
    repository: Arc<Repository>,
}

impl Broken {
    async fn after(changes: usize, is_readable: bool, objects: &Objects) -> Self {
        let store = Arc::new(MemoryStore::of(objects.clone()));
        let inner: Arc<dyn ObjectStore> = store.clone();
        let breaking =
            if is_readable { Breaking::readable(inner, changes) } else { Breaking::new(inner, changes, false) };
        let repository = Arc::new(Repository::open(breaking, vec![platform_key()]).await.unwrap());
        Self { store, repository }
    }

    async fn left(&self) -> BTreeSet<ObjectRef> {
        let store = Arc::new(MemoryStore::of(self.store.copy()));
        let repository = Arc::new(Repository::open(store, vec![platform_key()]).await.unwrap());
        repository.snapshots().await.unwrap().readable.into_iter().map(|entry| entry.reference).collect()
    }
}

async fn forget_those(repository: &Arc<Repository>, named: &[ObjectRef]) -> Result<(), ForgetError> {
    let request = ForgetRequest {
        selection: Selection::Named(named.iter().map(ToString::to_string).collect()),
        group_by: GroupBy::default(),
        remove_last: false,
        dry_run: false,
        clock: Arc::new(FixedClock(std::time::SystemTime::now())),
        zone: Zone::system(),
        lease: LeaseWatch::not_needed(),
    };
    forget(Arc::clone(repository), request, Arc::new(Silent), CancellationToken::new()).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forget_that_breaks_off_says_which_snapshots_are_gone() {
    let (bench, made) = with_snapshots(5).await;
    let objects = load(&bench.repository_path());
    let (mut with_some, mut with_none) = (0, 0);
    for changes in 1.. {
        let broken = Broken::after(changes, true, &objects).await;
        let Err(error) = forget_those(&broken.repository, &made[..4]).await else { break };
        let left = broken.left().await;
        let gone: BTreeSet<_> = made.iter().filter(|made| !left.contains(made)).copied().collect();
        let (error, done) = error.into_done();
        assert!(matches!(error, ForgetError::Repository(_)), "{error}");
        let Some(done) = done else {
            assert!(gone.is_empty(), "broken off after {changes} changes: nothing tells that {gone:?} are gone");
            with_none += 1;
            continue;
        };
        assert_eq!((done.removed, done.kept), (gone.len() as u64, 4 - gone.len() as u64));
        for verdict in done.groups.iter().flat_map(|group| &group.verdicts) {
            let is_gone = gone.contains(&verdict.snapshot.reference);
            assert_eq!(verdict.reasons(), if is_gone { &[][..] } else { &[Reason::NotRemoved] });
        }
        with_some += 1;
    }
    assert!(with_some >= 3 && with_none >= 2, "{with_some} {with_none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_look_at_after_it_broke_off_is_said_to_be_unknown() {
    let (bench, made) = with_snapshots(4).await;
    let objects = load(&bench.repository_path());
    let mut unsure = 0;
    for changes in 1.. {
        let broken = Broken::after(changes, false, &objects).await;
        let Err(error) = forget_those(&broken.repository, &made[..3]).await else { break };
        unsure += usize::from(matches!(error, ForgetError::Unsure(_)));
        assert!(broken.left().await.len() == 4 || error.to_string().contains("it is not known which"), "{error}");
    }
    assert!(unsure >= 3, "{unsure}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_tags_that_breaks_off_says_which_snapshots_have_them() {
    let (bench, made) = with_snapshots(3).await;
    let objects = load(&bench.repository_path());
    let (mut twice, mut once, mut none) = (0, 0, 0);
    for changes in 1.. {
        let broken = Broken::after(changes, true, &objects).await;
        let request = TagRequest {
            selection: SnapshotSelection::Named(made.iter().map(ToString::to_string).collect()),
            change: TagChange::Add(vec!["new".to_owned()]),
            dry_run: false,
            lease: LeaseWatch::not_needed(),
        };
        let repository = Arc::clone(&broken.repository);
        let Err(error) = tag(repository, request, Arc::new(Silent), CancellationToken::new()).await else { break };
        let left = broken.left().await;
        let there: BTreeSet<_> = left.iter().filter(|left| !made.contains(left)).copied().collect();
        let (error, done) = error.into_done();
        assert!(matches!(error, TagError::Repository(_)), "{error}");
        let Some(done) = done else {
            assert!(there.is_empty(), "broken off after {changes} changes: nothing tells of {there:?}");
            none += 1;
            continue;
        };
        let changed: BTreeSet<_> = done.changed.iter().filter_map(|changed| changed.new).collect();
        assert_eq!(changed, there);
        let old: BTreeSet<_> =
            done.changed.iter().map(|changed| changed.old).filter(|old| left.contains(old)).collect();
        let warned: BTreeSet<_> = done.warnings.iter().map(|warning| warning.path.parse().unwrap()).collect();
        assert_eq!(warned, old);
        assert_eq!(done.warning_count, old.len() as u64);
        twice += usize::from(!old.is_empty());
        once += usize::from(old.len() < changed.len());
    }
    assert!(twice >= 3 && once >= 1 && none >= 1, "{twice} {once} {none}");
}

/// Holds a copy that ended early against what is in its target.
async fn assert_copied(done: &CopyReport, target: &Broken, sources: &[ObjectRef]) {
    let left = target.left().await;
    assert!(done.snapshots.iter().all(|copy| copy.state == CopyState::Copied && copy.seq > 0));
    let told: Vec<_> = done.snapshots.iter().map(|copy| copy.source).collect();
    assert_eq!(told, sources[..told.len()]);
    let copies: BTreeSet<_> = done.snapshots.iter().filter_map(|copy| copy.copy).collect();
    assert!(!copies.is_empty() && copies.is_subset(&left));
    // One whose commit broke off may be there, and is not told.
    assert!(left.len() - copies.len() <= 1);
    assert!(done.files > 0 && done.added_bytes > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_breaks_off_says_which_snapshots_are_there() {
    let (bench, made) = with_snapshots(3).await;
    let empty = Bench::new(vec![platform_key()]).await;
    let objects = load(&empty.repository_path());
    let mut told = BTreeSet::new();
    for changes in 1.. {
        let target = Broken::after(changes, true, &objects).await;
        let from = open(&bench.repository_path(), vec![platform_key()]).await;
        let to = Arc::clone(&target.repository);
        let Err(error) = copy(from, to, copy_all(), Arc::new(Silent), CancellationToken::new()).await else { break };
        match error.into_done() {
            (CopyError::Repository(_), Some(done)) => {
                assert_copied(&done, &target, &made).await;
                told.insert(done.snapshots.len());
            }
            (CopyError::Repository(_), None) => assert!(target.left().await.len() <= 1),
            (other, _) => panic!("{other}"),
        }
    }
    assert_eq!(told, BTreeSet::from([1, 2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_cancelled_says_which_snapshots_are_there() {
    let (bench, made) = with_snapshots(3).await;
    let empty = Bench::new(vec![platform_key()]).await;
    let target = Broken::after(usize::MAX, true, &load(&empty.repository_path())).await;
    let from = Arc::new(LocalStore::new(bench.repository_path()));
    let from = Arc::new(Repository::open(from, vec![platform_key()]).await.unwrap());
    let (commits, cancel) = (AtomicUsize::new(0), CancellationToken::new());
    let canceller = cancel.clone();
    // When the second snapshot is about to be committed.
    let progress = Arc::new(BeforeCommit(move || {
        if commits.fetch_add(1, Ordering::SeqCst) == 1 {
            canceller.cancel();
        }
    }));
    let error = copy(from, Arc::clone(&target.repository), copy_all(), progress, cancel).await.unwrap_err();
    assert!(error.to_string().starts_with("the copy was cancelled"), "{error}");
    let (error, done) = error.into_done();
    assert!(matches!(error, CopyError::Cancelled), "{error}");
    let done = done.unwrap();
    assert_eq!(done.snapshots.len(), 1);
    assert_copied(&done, &target, &made).await;
}
