//! What a repair leaves alone: everything, unless it is asked to remove what is damaged.

use std::collections::BTreeSet;
use std::sync::Arc;

use cloudstic_engine::backup::{BackupRequest, backup};
use cloudstic_engine::check::{CheckReport, Fault, ReadData};
use cloudstic_engine::object::{ObjectKind, ObjectRef};
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repair::RepairReport;
use cloudstic_engine::repository::Repository;
use cloudstic_engine::store::MemoryStore;
use tokio_util::sync::CancellationToken;

use super::cells::{Cell, Harm, cells};
use super::known::Known;
use super::matrix::{golden_known, own_bench, own_known, repair_with};
use super::run;
use crate::memory::{Objects, load};
use crate::support::{Bench, platform_key};

async fn run_repair(repository: &Arc<Repository>, dry_run: bool) -> Result<RepairReport, String> {
    repair_with(repository, dry_run, true, true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_the_same_and_writes_nothing() {
    let known = own_known("own encrypted", vec![platform_key()]).await;
    let cell = Cell { key: known.some(ObjectKind::Filemeta, true)[0].clone(), other: None, harm: Harm::Flip(4) };
    let objects = cell.apply(&known);
    let store = Arc::new(MemoryStore::of(objects.clone()));
    let repository = Arc::new(Repository::open(store.clone(), known.credentials.clone()).await.unwrap());
    let dry = run_repair(&repository, true).await.unwrap();
    assert_eq!(store.copy(), objects);
    let wet = run_repair(&repository, false).await.unwrap();
    let lost = |report: &RepairReport| -> Vec<_> { report.snapshots.iter().map(|s| (s.old, s.lost.clone())).collect() };
    assert_eq!(lost(&dry), lost(&wet));
    assert!(dry.dry_run && !lost(&dry).is_empty());
    assert!(dry.snapshots.iter().all(|snapshot| snapshot.new.is_none() && !snapshot.removed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_of_a_sound_repository_writes_nothing() {
    for known in [golden_known("plain").await, own_known("own encrypted", vec![platform_key()]).await] {
        let store = Arc::new(MemoryStore::of(known.objects.clone()));
        let repository = Arc::new(Repository::open(store.clone(), known.credentials.clone()).await.unwrap());
        let report = run_repair(&repository, false).await.unwrap();
        assert_eq!((report.fault_count, store.copy()), (0, known.objects));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_being_asked_to_a_repair_removes_nothing_and_a_backup_after_it_is_whole() {
    let bench = own_bench(vec![platform_key()]).await;
    let known = Known::of("own encrypted", load(&bench.repository_path()), vec![platform_key()]).await;
    for cell in each_kind(&known) {
        let repaired = removes_nothing(&known, &cell).await;
        is_whole_after_a_backup(&known, &cell, repaired, &bench).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_being_asked_to_a_repair_removes_nothing_of_what_the_cli_wrote() {
    for name in ["plain", "nopack"] {
        let known = golden_known(name).await;
        for cell in each_kind(&known) {
            removes_nothing(&known, &cell).await;
        }
    }
}

/// Damage of every kind in every kind of object of which files consist, and in every pack.
fn each_kind(known: &Known) -> Vec<Cell> {
    let mut seen = BTreeSet::new();
    let mut each = cells(known);
    each.retain(|cell| {
        let (kind, _) = cell.key.split_once('/').unwrap_or_default();
        let is_data = kind == "packs" || ObjectKind::ALL.iter().any(|known| known.as_str() == kind);
        let is_packed = known.places.contains_key(&cell.key);
        let of_pack = (kind == "packs").then(|| cell.key.clone());
        is_data && seen.insert((kind.to_owned(), is_packed, of_pack, format!("{:?}", cell.harm)))
    });
    each
}

/// Repairs without removing anything, twice, and gives what is there then.
async fn removes_nothing(known: &Known, cell: &Cell) -> (Objects, RepairReport) {
    let name = cell.name();
    let objects = cell.apply(known);
    let store = Arc::new(MemoryStore::of(objects.clone()));
    let repository = Arc::new(Repository::open(store.clone(), known.credentials.clone()).await.unwrap());
    let report = repair_with(&repository, false, false, true).await.unwrap();
    assert_eq!(report.removed_objects, 0, "{name}");
    let after = store.copy();
    let kept = objects.iter().filter(|(key, _)| !key.starts_with("index/"));
    let gone: Vec<&String> = kept.filter(|(key, bytes)| after.get(*key) != Some(bytes)).map(|(key, _)| key).collect();
    let back: Vec<String> = report.snapshots.iter().filter_map(|repaired| repaired.new).map(|new| new.key()).collect();
    // A snapshot that cannot be read may be written again just as it was.
    assert!(gone.iter().all(|key| back.contains(key)), "{name}: {gone:?} are gone");
    for repaired in &report.snapshots {
        let is_nothing_left = repaired.kept == 0;
        assert!(repaired.new.is_some() || is_nothing_left, "{name}: {repaired:?}");
        let Some(new) = repaired.new else { continue };
        let fresh = known.open(after.clone()).await.unwrap();
        let found = run(&fresh, Some(&new.key()), ReadData::All).await.unwrap();
        assert!(loses_nothing(&found), "{name}: {new} in the place of {}: {:?}", repaired.old, found.faults);
    }
    let again = repair_with(&repository, false, false, true).await.unwrap();
    let names = |report: &RepairReport| report.snapshots.iter().filter_map(|told| told.new).collect::<Vec<_>>();
    let others = names(&report);
    assert!(names(&again).iter().all(|new| others.contains(new)), "{name}: {again:?}");
    let snapshots = |objects: &Objects| objects.keys().filter(|key| key.starts_with("snapshot/")).count();
    assert_eq!(snapshots(&store.copy()), snapshots(&after), "{name}");
    (store.copy(), report)
}

/// Whether there is no fault but of packs in which other things are damaged.
fn loses_nothing(found: &CheckReport) -> bool {
    let is_of_others = |fault: &Fault| fault.object.starts_with("packs/") && fault.lost == 0 && fault.harm.is_empty();
    found.damaged_snapshots == 0 && found.faults.iter().all(is_of_others)
}

/// What is lost is not taken for present by the next backup, in this process or another.
async fn is_whole_after_a_backup(
    known: &Known,
    cell: &Cell,
    (objects, report): (Objects, RepairReport),
    bench: &Bench,
) {
    let name = cell.name();
    let store = Arc::new(MemoryStore::of(objects));
    let repository = Arc::new(Repository::open(store.clone(), known.credentials.clone()).await.unwrap());
    let request = BackupRequest { cache: None, ..bench.request() };
    let done = backup(Arc::clone(&repository), request, Arc::new(Silent), CancellationToken::new()).await.unwrap();
    let new = done.snapshot.unwrap_or_else(|| panic!("{name}: {done:?}; {report:?}"));
    let fresh = known.open(store.copy()).await.unwrap();
    let found = run(&fresh, Some(&new.key()), ReadData::All).await.unwrap();
    assert!(loses_nothing(&found), "{name}: a backup after it: {:?}", found.faults);
    let is_new = |reference: &ObjectRef| *reference == new;
    let now = Known::of_those("backed up", store.copy(), known.credentials.clone(), is_new).await;
    let newest = known.files.values().max_by_key(|files| files.len()).unwrap();
    assert_eq!(now.files.get(&new), Some(newest), "{name}");
}
