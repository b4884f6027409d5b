//! Every kind of damage in every kind of object is found and named by a check, and a repair brings the repository back to
//! a sound one, without any loss but of what needed the object.
//!
//! All in memory; what the oracle says of a repaired repository is asked for some of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloudstic_e2e::{golden, oracle, random};
use cloudstic_engine::check::{CheckReport, ReadData};
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::object::{ObjectKind, ObjectRef};
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repair::{RepairReport, RepairRequest, repair};
use cloudstic_engine::repository::{Credential, Repository};
use tokio_util::sync::CancellationToken;

use super::cells::{Cell, Harm, cells};
use super::known::Known;
use super::run;
use crate::memory::{Memory, Objects, load};
use crate::support::{Bench, PLATFORM_KEY, platform_key};

async fn golden_known(name: &'static str) -> Known {
    let folder = tempfile::tempdir().unwrap();
    golden::copy(name, folder.path());
    // Opens at once, other than a password.
    let credentials = if name == "encrypted" { vec![platform_key()] } else { Vec::new() };
    Known::of(name, load(folder.path()), credentials).await
}

async fn own_known(name: &'static str, credentials: Vec<Credential>) -> Known {
    let bench = Bench::new(credentials.clone()).await;
    for n in 0..60 {
        bench.write(&format!("d{}/e/f{n}", n % 5), format!("content {n}").as_bytes());
    }
    bench.write("large", &random::bytes(1, 700_000));
    bench.write("tail", &random::bytes(2, 1_200_000));
    bench.backup().await;
    bench.write("d1/e/f1", b"changed");
    bench.write("other/g", b"new");
    bench.backup().await;
    Known::of(name, load(&bench.repository_path()), credentials).await
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_of_repositories_of_the_cli_is_found_named_and_repaired() {
    for name in ["plain", "encrypted", "nopack"] {
        judge_all(golden_known(name).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_of_our_repositories_is_found_named_and_repaired() {
    judge_all(own_known("own plain", Vec::new()).await).await;
    judge_all(own_known("own encrypted", vec![platform_key()]).await).await;
}

async fn judge_all(known: Known) {
    let cells = cells(&known);
    let (known, cells, next) = (Arc::new(known), Arc::new(cells), Arc::new(AtomicUsize::new(0)));
    assert!(cells.len() > 40, "{}", cells.len());
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let (known, cells, next) = (Arc::clone(&known), Arc::clone(&cells), Arc::clone(&next));
            tokio::spawn(async move {
                let mut wrong = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(cell) = cells.get(number) else { return wrong };
                    // What nobody needs stays in a pack of ours until it is pruned, and the oracle looks at that, too.
                    let is_clean = !known.name.starts_with("own") || !cell.key.starts_with("chunk/");
                    if let Err(problem) = judge(&known, cell, is_clean && number % 7 == 3).await {
                        wrong.push(format!("{:?} of {} (with {:?}): {problem}", cell.harm, cell.key, cell.other));
                    }
                }
            })
        })
        .collect();
    let mut wrong = Vec::new();
    for worker in workers {
        wrong.extend(worker.await.unwrap());
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{}: {} of {}:\n{}", known.name, wrong.len(), cells.len(), wrong.join("\n"));
}

async fn judge(known: &Known, cell: &Cell, ask_oracle: bool) -> Result<(), String> {
    let objects = cell.apply(known);
    let is_of_keys = cell.key == "config" || cell.key.starts_with("keys/");
    let store = Arc::new(Memory::of(objects));
    let repository = match Repository::open(store.clone(), known.credentials.clone()).await {
        Ok(repository) => Arc::new(repository),
        // Without a marker or a key there is nothing to be repaired, and that is said.
        Err(_) if is_of_keys => return Ok(()),
        Err(why) => return Err(format!("it does not open: {why}")),
    };
    // The depth that can see it: all but files' data is proven without reading these.
    let is_deep = ["chunk/", "content/", "packs/", "index/packs"].iter().any(|kind| cell.key.starts_with(kind));
    let depth = if is_deep { ReadData::All } else { ReadData::No };
    let found = run(&repository, None, depth).await.map_err(|why| format!("the check failed: {why}"))?;
    let needed = judge_check(known, cell, &found)?;
    let repaired = repair_with(&repository, false, true, is_deep).await?;
    if is_of_keys {
        let told = found.fault_count == 0
            || repaired.beyond_repair.iter().any(|fault| fault.object.starts_with(&cell.key[..4]));
        return told.then_some(()).ok_or_else(|| "not told to be beyond repair".to_owned());
    }
    // As a new process sees it.
    let fresh = known.open(store.objects()).await.map_err(|why| why.to_string())?;
    let again = run(&fresh, None, ReadData::All).await.map_err(|why| why.to_string())?;
    if again.fault_count > 0 {
        return Err(format!("faults after the repair: {:?}\n{repaired:?}\nbefore: {:?}", again.faults, found.faults));
    }
    judge_files(known, cell, &repaired, store.objects(), &needed).await?;
    if ask_oracle {
        let folder = tempfile::tempdir().unwrap();
        write(&store.objects(), folder.path());
        let mut args = vec!["verify".to_owned(), folder.path().to_str().unwrap().to_owned()];
        if !known.credentials.is_empty() {
            args.extend(["--platform-key".to_owned(), PLATFORM_KEY.to_owned()]);
        }
        let ran = tokio::task::spawn_blocking(move || oracle::oracle(args)).await.unwrap();
        if ran.code != 0 {
            return Err(format!("the oracle says: {}", ran.text()));
        }
    }
    Ok(())
}

/// What needs what was hit, after a look at whether the check has named it and whom it hurts.
fn judge_check(
    known: &Known,
    cell: &Cell,
    found: &CheckReport,
) -> Result<BTreeMap<ObjectRef, BTreeSet<String>>, String> {
    let keys: Vec<&str> = [Some(cell.key.as_str()), cell.other.as_deref()].into_iter().flatten().collect();
    let mut needed: BTreeMap<ObjectRef, BTreeSet<String>> = BTreeMap::new();
    let hit = cell.members(known).unwrap_or_else(|| keys.iter().map(|key| (*key).to_owned()).collect());
    for key in &hit {
        for (snapshot, paths) in known.needing(key) {
            needed.entry(snapshot).or_default().extend(paths);
        }
    }
    let packs: Vec<&str> = keys.iter().filter_map(|key| known.places.get(*key)).map(|place| place.0.as_str()).collect();
    let is_hit = |text: &str| {
        let members =
            known.places.iter().filter(|(_, place)| keys.contains(&place.0.as_str())).map(|(key, _)| key.as_str());
        keys.iter().copied().chain(packs.iter().copied()).chain(members).any(|key| text.contains(key))
    };
    // A flipped digit of an index shows where it is not what it says.
    let is_index = cell.key.starts_with("index/");
    let named = found.faults.iter().any(|fault| is_index || is_hit(&format!("{} {}", fault.object, fault.problem)))
        || found.remarks.iter().any(|remark| is_hit(&remark.object));
    if !named && !is_harmless(known, cell) {
        return Err(format!("it is not named: {:?} {:?}", found.faults, found.remarks));
    }
    for harm in found.faults.iter().flat_map(|fault| &fault.harm) {
        let Some(paths) = needed.get(&harm.snapshot).filter(|_| !is_index) else {
            if is_index {
                continue;
            }
            return Err(format!("{} is not hurt by it", harm.snapshot));
        };
        if let Some(path) = harm.paths.iter().find(|path| !paths.iter().any(|needed| shown(needed) == **path)) {
            return Err(format!("{path} of {} is not hurt by it", harm.snapshot));
        }
        if harm.path_count > paths.len() as u64 {
            return Err(format!("{} paths of {} are not hurt by it", harm.path_count, harm.snapshot));
        }
    }
    let is_lost = found.damaged_snapshots > 0;
    for (snapshot, paths) in needed.iter().filter(|_| is_lost) {
        let of_snapshot = found.faults.iter().flat_map(|fault| &fault.harm).filter(|harm| harm.snapshot == *snapshot);
        let (mut count, mut unknown) = (0, false);
        for harm in of_snapshot {
            count += harm.path_count;
            unknown |= harm.unknown;
        }
        // What lies in the place of a pack of ours knows by its footer what is in it.
        let is_found = known.name.starts_with("own") && cell.key.starts_with("packs/") && cell.harm == Harm::Swap;
        if count < paths.len() as u64 && !unknown && !is_found {
            return Err(format!("{count} of {} paths of {snapshot} are named: {:?}", paths.len(), found.faults));
        }
    }
    Ok(needed)
}

fn shown(path: &str) -> String {
    path.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// Whether what was hit has no meaning: the label of a slot, the time of the marker, a bit of a frame.
fn is_harmless(known: &Known, cell: &Cell) -> bool {
    let is_of_people = cell.key == "config" || cell.key.starts_with("keys/");
    let is_flip = matches!(cell.harm, Harm::Flip(_));
    // Where nothing is encrypted, frames have bits without a meaning; what they hold is proven all the same.
    let is_frame = known.credentials.is_empty() && is_flip;
    // Footers know where an object lies that the catalog does not name, and what they know is as good.
    let is_known_elsewhere = known.name.starts_with("own") && known.places.contains_key(&cell.key);
    (is_of_people && (is_flip || cell.harm == Harm::Delete)) || is_frame || is_known_elsewhere
}

async fn run_repair(repository: &Arc<Repository>, dry_run: bool) -> Result<RepairReport, String> {
    repair_with(repository, dry_run, true, true).await
}

async fn repair_with(
    repository: &Arc<Repository>,
    dry_run: bool,
    forget_damaged: bool,
    read_data: bool,
) -> Result<RepairReport, String> {
    let request = RepairRequest { read_data, forget_damaged, dry_run, lease: LeaseWatch::not_needed() };
    repair(Arc::clone(repository), request, Arc::new(Silent), CancellationToken::new())
        .await
        .map_err(|why| format!("the repair failed: {why}"))
}

/// Whether every file is there that does not need what was hit, and those that are not are told.
async fn judge_files(
    known: &Known,
    cell: &Cell,
    repaired: &RepairReport,
    objects: Objects,
    needed: &BTreeMap<ObjectRef, BTreeSet<String>>,
) -> Result<(), String> {
    let now = Known::of("repaired", objects, known.credentials.clone()).await;
    for (old, files) in &known.files {
        let told = repaired.snapshots.iter().find(|snapshot| snapshot.old == *old);
        let new = told.map_or(Some(*old), |told| told.new);
        let Some(new) = new else {
            let is_whole = cell.key == old.key() || cell.other.as_deref() == Some(&old.key());
            let is_root = needed.get(old).is_some_and(|paths| paths.len() == files.len());
            if is_whole || is_root {
                continue;
            }
            return Err(format!("{old} is lost: {told:?}"));
        };
        let Some(found) = now.files.get(&new) else { return Err(format!("{new} in the place of {old} is not there")) };
        let lost = needed.get(old).cloned().unwrap_or_default();
        for (path, hash) in files {
            match found.get(path) {
                Some(other) if other == hash => {}
                Some(_) => return Err(format!("{path} of {old} is another file now")),
                None if !lost.contains(path) => return Err(format!("{path} of {old} is lost without need: {told:?}")),
                None => {
                    let told =
                        told.is_some_and(|told| told.unknown || told.lost.iter().any(|lost| lost.path == shown(path)));
                    if !told {
                        return Err(format!("{path} of {old} is lost, and that is not told: {repaired:?}"));
                    }
                }
            }
        }
        if let Some(path) = found.keys().find(|path| !files.contains_key(*path)) {
            return Err(format!("{path} was not in {old}"));
        }
    }
    Ok(())
}

fn write(objects: &Objects, folder: &Path) {
    for (key, bytes) in objects {
        let path = folder.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_the_same_and_writes_nothing() {
    let known = own_known("own encrypted", vec![platform_key()]).await;
    let cell = Cell { key: known.some(ObjectKind::Filemeta, true)[0].clone(), other: None, harm: Harm::Flip(4) };
    let objects = cell.apply(&known);
    let store = Arc::new(Memory::of(objects.clone()));
    let repository = Arc::new(Repository::open(store.clone(), known.credentials.clone()).await.unwrap());
    let dry = run_repair(&repository, true).await.unwrap();
    assert_eq!(store.objects(), objects);
    let wet = run_repair(&repository, false).await.unwrap();
    let lost = |report: &RepairReport| -> Vec<_> { report.snapshots.iter().map(|s| (s.old, s.lost.clone())).collect() };
    assert_eq!(lost(&dry), lost(&wet));
    assert!(dry.dry_run && !lost(&dry).is_empty());
    assert!(dry.snapshots.iter().all(|snapshot| snapshot.new.is_none() && !snapshot.removed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_of_a_sound_repository_writes_nothing() {
    for known in [golden_known("plain").await, own_known("own encrypted", vec![platform_key()]).await] {
        let store = Arc::new(Memory::of(known.objects.clone()));
        let repository = Arc::new(Repository::open(store.clone(), known.credentials.clone()).await.unwrap());
        let report = run_repair(&repository, false).await.unwrap();
        assert_eq!((report.fault_count, store.objects()), (0, known.objects));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_being_asked_to_a_repair_removes_nothing_and_does_its_work_once() {
    let known = own_known("own encrypted", vec![platform_key()]).await;
    let packed = [ObjectKind::Filemeta, ObjectKind::Content].map(|kind| known.some(kind, true)[0].clone());
    for key in packed.into_iter().chain([known.some(ObjectKind::Chunk, false)[0].clone()]) {
        removes_nothing(&known, &Cell { key, other: None, harm: Harm::Flip(4) }).await;
    }
}

async fn removes_nothing(known: &Known, cell: &Cell) {
    let objects = cell.apply(known);
    let store = Arc::new(Memory::of(objects.clone()));
    let repository = Arc::new(Repository::open(store.clone(), known.credentials.clone()).await.unwrap());
    let report = repair_with(&repository, false, false, true).await.unwrap();
    assert!(report.damaged_objects > 0 && report.removed_objects == 0);
    let after = store.objects();
    let is_index = |key: &String| key.starts_with("index/");
    assert!(objects.iter().filter(|(key, _)| !is_index(key)).all(|(key, bytes)| after.get(key) == Some(bytes)));
    let (old, new) = (report.snapshots[0].old, report.snapshots[0].new.unwrap());
    assert!(after.contains_key(&old.key()) && after.contains_key(&new.key()));
    // What is lost is not taken for present by the next backup.
    let lost: ObjectRef = cell.key.parse().unwrap();
    for repository in [Arc::clone(&repository), known.open(after.clone()).await.unwrap()] {
        let existing = repository.existing().await.unwrap();
        let is_there = tokio::task::spawn_blocking(move || existing.contains(&lost).unwrap()).await.unwrap();
        assert!(!is_there, "{lost}");
    }

    let again = repair_with(&repository, false, false, true).await.unwrap();
    let names = |report: &RepairReport| report.snapshots.iter().map(|snapshot| snapshot.new).collect::<Vec<_>>();
    assert_eq!(names(&again), names(&report));
    let snapshots = |objects: &Objects| objects.keys().filter(|key| key.starts_with("snapshot/")).count();
    assert_eq!(snapshots(&store.objects()), snapshots(&after));
}
