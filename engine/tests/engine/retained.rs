//! A store that keeps some objects for as long as somebody has set (object lock): that is said, and the rest is done.

use std::collections::BTreeSet;
use std::sync::Arc;

use cloudstic_engine::clock::FixedClock;
use cloudstic_engine::forget::{ForgetReport, ForgetRequest, GroupBy, Reason, Selection, Zone, forget};
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::object::ObjectRef;
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repository::{Repository, SnapshotSelection};
use cloudstic_engine::store::hooked::{HookedStore, Retaining};
use cloudstic_engine::store::{LocalStore, ObjectStore};
use cloudstic_engine::tag::{TagChange, TagRequest, tag};
use tokio_util::sync::CancellationToken;

use crate::check::matrix::repair_with;
use crate::memory::load;
use crate::support::{Bench, platform_key, with_snapshots};

/// The same repository in a store that retains these.
async fn retaining(bench: &Bench, keys: Vec<String>) -> Arc<Repository> {
    let local = Arc::new(LocalStore::new(bench.repository_path()));
    Arc::new(Repository::open(HookedStore::new(local, Retaining(keys)), vec![platform_key()]).await.unwrap())
}

async fn there(bench: &Bench) -> (BTreeSet<ObjectRef>, ObjectRef) {
    let repository = retaining(bench, Vec::new()).await;
    let names = repository.snapshots().await.unwrap().readable.into_iter().map(|entry| entry.reference).collect();
    (names, repository.find_snapshot("latest").await.unwrap().0)
}

async fn forget_those(repository: &Arc<Repository>, named: &[ObjectRef]) -> ForgetReport {
    let request = ForgetRequest {
        selection: Selection::Named(named.iter().map(ToString::to_string).collect()),
        group_by: GroupBy::default(),
        remove_last: true,
        dry_run: false,
        clock: Arc::new(FixedClock(std::time::SystemTime::UNIX_EPOCH)),
        zone: Zone::system(),
        lease: LeaseWatch::not_needed(),
    };
    forget(Arc::clone(repository), request, Arc::new(Silent), CancellationToken::new()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_retained_stays_listed_and_the_others_go() {
    for kept in 0..4 {
        let (bench, made) = with_snapshots(4).await;
        let repository = retaining(&bench, vec![made[kept].key()]).await;
        let report = forget_those(&repository, &made).await;
        assert_eq!((report.removed, report.kept, report.warning_count), (3, 1, 1));
        assert_eq!(report.warnings[0].path, made[kept].key());
        assert!(report.warnings[0].problem.contains("until next year"), "{:?}", report.warnings);
        let stays = report.groups.iter().flat_map(|group| &group.verdicts).filter(|verdict| verdict.stays());
        assert!(stays.map(|verdict| verdict.reasons()).eq([&[Reason::NotRemoved][..]]));
        assert_eq!(there(&bench).await, ([made[kept]].into(), made[kept]));
        assert_eq!(repository.find_snapshot("latest").await.unwrap().0, made[kept]);
        // When its time is over, it goes like any other.
        let report = forget_those(&retaining(&bench, Vec::new()).await, &made[kept..=kept]).await;
        assert_eq!((report.removed, report.warning_count), (1, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_retained_is_there_with_its_old_tags_and_with_the_new_ones() {
    let (bench, made) = with_snapshots(2).await;
    let request = TagRequest {
        selection: SnapshotSelection::Named(made.iter().map(ToString::to_string).collect()),
        change: TagChange::Add(vec!["new".to_owned()]),
        dry_run: false,
        lease: LeaseWatch::not_needed(),
    };
    let repository = retaining(&bench, vec![made[0].key()]).await;
    let report = tag(repository, request, Arc::new(Silent), CancellationToken::new()).await.unwrap();
    assert_eq!((report.changed.len(), report.warning_count), (2, 1));
    assert_eq!(report.warnings[0].path, made[0].key());
    let (names, latest) = there(&bench).await;
    let new = |old| report.changed.iter().find(|changed| changed.old == old).and_then(|changed| changed.new).unwrap();
    assert_eq!((names, latest), ([made[0], new(made[0]), new(made[1])].into(), new(made[1])));
}

/// The packs that each of two backups has made.
async fn two_backups() -> (Bench, Vec<ObjectRef>, [Vec<String>; 2]) {
    let bench = Bench::new(vec![platform_key()]).await;
    let (mut made, mut packs) = (Vec::new(), [Vec::new(), Vec::new()]);
    for n in 0..2 {
        bench.write("file", &[n as u8; 2000]);
        made.push(bench.backup().await.snapshot.unwrap());
        let all = load(&bench.repository_path()).into_keys().filter(|key| key.starts_with("packs/"));
        packs[n] = all.filter(|key| !packs[0].contains(key)).collect();
    }
    (bench, made, packs)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_that_is_retained_is_named_and_the_other_one_goes() {
    let (bench, made, packs) = two_backups().await;
    let store = LocalStore::new(bench.repository_path());
    for pack in packs.iter().flatten() {
        store.delete(pack).await.unwrap();
    }
    let repository = retaining(&bench, vec![made[0].key()]).await;
    let report = repair_with(&repository, false, true, true).await.unwrap();
    let beyond: Vec<&str> = report.beyond_repair.iter().map(|fault| fault.object.as_str()).collect();
    assert_eq!(beyond, [made[0].key()], "{report:?}");
    let removed: Vec<ObjectRef> =
        report.snapshots.iter().filter(|snapshot| snapshot.removed).map(|snapshot| snapshot.old).collect();
    assert_eq!(removed, [made[1]]);
    assert!(store.get(&made[0].key()).await.is_ok() && store.get(&made[1].key()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_pack_that_is_retained_is_named_and_the_other_one_goes() {
    let (bench, _, packs) = two_backups().await;
    let store = LocalStore::new(bench.repository_path());
    let damaged = [&packs[0][0], &packs[1][0]];
    for key in damaged {
        let mut bytes = store.get(key).await.unwrap().to_vec();
        bytes[20..40].fill(0);
        store.put(key, bytes.into()).await.unwrap();
    }
    let repository = retaining(&bench, vec![damaged[0].clone()]).await;
    let report = repair_with(&repository, false, true, true).await.unwrap();
    assert!(report.beyond_repair.iter().any(|fault| fault.object == *damaged[0]), "{report:?}");
    assert!(report.removed_objects > 0 && report.damaged_objects > 0, "{report:?}");
    assert!(store.get(damaged[0]).await.is_ok() && store.get(damaged[1]).await.is_err());
}
