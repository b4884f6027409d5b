//! Every kind of damage in every kind of object is found and named by a check, and a repair brings the repository back to
//! a sound one, without any loss but of what needed the object.
//!
//! All in memory; what the oracle says of a repaired repository is asked for many of them, of some after a prune.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloudstic_e2e::{golden, oracle, random};
use cloudstic_engine::check::ReadData;
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::progress::Silent;
use cloudstic_engine::prune::{MAX_WASTE_PERCENT, PruneRequest, prune};
use cloudstic_engine::repair::{RepairReport, RepairRequest, repair};
use cloudstic_engine::repository::{Credential, Repository};
use cloudstic_engine::store::MemoryStore;
use tokio_util::sync::CancellationToken;

use super::cells::{Cell, cells};
use super::judge::{judge_check, judge_files};
use super::known::Known;
use super::run;
use crate::memory::{Objects, load};
use crate::support::{Bench, PLATFORM_KEY, platform_key};

pub(super) async fn golden_known(name: &'static str) -> Known {
    let folder = tempfile::tempdir().unwrap();
    golden::copy(name, folder.path());
    // Opens at once, other than a password.
    let credentials = if name == "encrypted" { vec![platform_key()] } else { Vec::new() };
    Known::of(name, load(folder.path()), credentials).await
}

/// A repository of ours with two snapshots, and its source.
pub(super) async fn own_bench(credentials: Vec<Credential>) -> Bench {
    let bench = Bench::new(credentials).await;
    for n in 0..60 {
        bench.write(&format!("d{}/e/f{n}", n % 5), format!("content {n}").as_bytes());
    }
    bench.write("large", &random::bytes(1, 700_000));
    bench.write("tail", &random::bytes(2, 1_200_000));
    bench.backup().await;
    bench.write("d1/e/f1", b"changed");
    bench.write("other/g", b"new");
    bench.backup().await;
    bench
}

pub(super) async fn own_known(name: &'static str, credentials: Vec<Credential>) -> Known {
    let bench = own_bench(credentials.clone()).await;
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

/// Who else looks at what is repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Nobody,
    Oracle,
    /// After a prune.
    Pruned,
}

impl After {
    fn of(number: usize) -> Self {
        match number % 4 {
            1 => Self::Oracle,
            3 => Self::Pruned,
            _ => Self::Nobody,
        }
    }
}

async fn judge_all(known: Known) {
    let cells = cells(&known);
    let (known, cells, next) = (Arc::new(known), Arc::new(cells), Arc::new(AtomicUsize::new(0)));
    assert!(cells.len() > 20, "{}", cells.len());
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let (known, cells, next) = (Arc::clone(&known), Arc::clone(&cells), Arc::clone(&next));
            tokio::spawn(async move {
                let (mut wrong, mut done) = (Vec::new(), Vec::new());
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(cell) = cells.get(number) else { break };
                    let after = After::of(number);
                    match judge(&known, cell, after).await {
                        Ok(objects) => done.extend(objects.map(|objects| (number, after, objects))),
                        Err(problem) => wrong.push(format!("{}: {problem}", cell.name())),
                    }
                }
                let asked = Arc::clone(&known);
                let said = tokio::task::spawn_blocking(move || ask_oracle(&asked, done)).await.unwrap();
                let said = said.into_iter();
                wrong.extend(said.map(|(number, after, text)| format!("{} ({after:?}): {text}", cells[number].name())));
                wrong
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

/// What the oracle says of those that it finds not to be sound.
fn ask_oracle(known: &Known, done: Vec<(usize, After, Objects)>) -> Vec<(usize, After, String)> {
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (number, _, objects) in &done {
        paths.push(folder.path().join(number.to_string()));
        write(objects, &paths[paths.len() - 1]);
    }
    let credential: &[&str] = if known.credentials.is_empty() { &[] } else { &["--platform-key", PLATFORM_KEY] };
    let unsound = oracle::unsound(&paths, credential);
    unsound.into_iter().map(|(place, text)| (done[place].0, done[place].1, text)).collect()
}

/// What is there in the end, if somebody else is to look at it.
async fn judge(known: &Known, cell: &Cell, after: After) -> Result<Option<Objects>, String> {
    let objects = cell.apply(known);
    let is_of_keys = cell.key == "config" || cell.key.starts_with("keys/");
    let store = Arc::new(MemoryStore::of(objects));
    let repository = match Repository::open(store.clone(), known.credentials.clone()).await {
        Ok(repository) => Arc::new(repository),
        // Without a marker or a key there is nothing to be repaired, and that is said.
        Err(_) if is_of_keys => return Ok(None),
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
        return told.then_some(None).ok_or_else(|| "not told to be beyond repair".to_owned());
    }
    // As a new process sees it.
    let fresh = known.open(store.copy()).await.map_err(|why| why.to_string())?;
    let again = run(&fresh, None, ReadData::All).await.map_err(|why| why.to_string())?;
    if again.fault_count > 0 {
        return Err(format!("faults after the repair: {:?}\n{repaired:?}\nbefore: {:?}", again.faults, found.faults));
    }
    judge_files(known, cell, &repaired, store.copy(), &needed).await?;
    if after == After::Pruned {
        prune_all(known, &store).await?;
        judge_files(known, cell, &repaired, store.copy(), &needed).await.map_err(|why| format!("pruned: {why}"))?;
    }
    Ok((after != After::Nobody).then(|| store.copy()))
}

async fn prune_all(known: &Known, store: &Arc<MemoryStore>) -> Result<(), String> {
    let repository = Repository::open(store.clone(), known.credentials.clone()).await.map_err(|why| why.to_string())?;
    let request = PruneRequest {
        dry_run: false,
        max_waste_percent: MAX_WASTE_PERCENT,
        max_repack_bytes: None,
        despite_unknown: false,
        without: Default::default(),
        lease: LeaseWatch::not_needed(),
    };
    let done = prune(Arc::new(repository), request, Arc::new(Silent), CancellationToken::new()).await;
    done.map_err(|why| format!("the prune failed: {why}"))?;
    Ok(())
}

pub(crate) async fn repair_with(
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

fn write(objects: &Objects, folder: &Path) {
    for (key, bytes) in objects {
        let path = folder.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}
