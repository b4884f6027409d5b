//! A repair on a store that does not answer as it should: what may be good is not removed, for an error of the system says
//! nothing of the bytes, and a wrong answer may be one of the memory or the network.

use std::sync::Arc;

use cloudstic_e2e::random;
use cloudstic_engine::check::ReadData;
use cloudstic_engine::object::ObjectKind;
use cloudstic_engine::repair::RepairReport;
use cloudstic_engine::repository::{Credential, Repository};
use cloudstic_engine::store::MemoryStore;
use cloudstic_engine::store::hooked::HookedStore;

use super::cells::{Cell, Harm};
use super::known::Known;
use super::matrix::{golden_known, repair_with};
use super::run;
use crate::flaky::{Answer, Flaky, Hit, flaky};
use crate::memory::{Objects, load};
use crate::support::{Bench, platform_key};

/// Few objects of every kind, so that every single read can be hit.
async fn small(credentials: Vec<Credential>) -> Known {
    let bench = Bench::new(credentials.clone()).await;
    for n in 0..4 {
        bench.write(&format!("d{}/f{n}", n % 2), format!("content {n}").as_bytes());
    }
    bench.write("large", &random::bytes(1, 700_000));
    bench.backup().await;
    bench.write("d1/f1", b"changed");
    bench.backup().await;
    Known::of("own small", load(&bench.repository_path()), credentials).await
}

async fn repaired_on(known: &Known, store: &Arc<HookedStore<Flaky>>) -> Result<RepairReport, String> {
    let repository = Repository::open(store.clone(), known.credentials.clone()).await;
    let repository = Arc::new(repository.map_err(|why| why.to_string())?);
    repair_with(&repository, false, true, true).await
}

/// What is there after another repair, on a store that is sound.
async fn repaired(known: &Known, objects: Objects) -> Known {
    let store = Arc::new(MemoryStore::of(objects));
    let repository = Arc::new(Repository::open(store.clone(), known.credentials.clone()).await.unwrap());
    repair_with(&repository, false, true, true).await.unwrap();
    let fresh = known.open(store.copy()).await.unwrap();
    let found = run(&fresh, None, ReadData::All).await.unwrap();
    assert_eq!(found.fault_count, 0, "{:?}", found.faults);
    Known::of("repaired", store.copy(), known.credentials.clone()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_removed_for_an_error_that_says_nothing_of_the_bytes() {
    for known in [golden_known("encrypted").await, golden_known("nopack").await, small(Vec::new()).await] {
        let mut keys: Vec<String> = known.objects.keys().filter(|key| key.starts_with("packs/")).cloned().collect();
        for kind in ObjectKind::ALL {
            keys.extend(known.some(kind, false).into_iter().take(1));
        }
        for key in keys {
            let (store, memory) = flaky(known.objects.clone(), Hit::Always(key.clone()), Answer::Error);
            let done = repaired_on(&known, &store).await;
            let after = memory.copy();
            let data = known.objects.iter().filter(|(key, _)| !key.starts_with("index/"));
            let gone: Vec<&String> =
                data.filter(|(key, bytes)| after.get(*key) != Some(bytes)).map(|(key, _)| key).collect();
            assert!(gone.is_empty(), "{} without {key}: {gone:?} are gone; {done:?}", known.name);
            if let Ok(report) = done {
                assert!(report.damaged_objects > 0 && report.removed_objects == 0, "{key}: {report:?}");
                assert!(report.snapshots.iter().all(|snapshot| !snapshot.removed), "{key}: {report:?}");
            }
            // All of it comes back with the disk.
            let now = repaired(&known, after).await;
            for (snapshot, files) in &known.files {
                assert_eq!(now.files.get(snapshot), Some(files), "{} without {key}: {snapshot}", known.name);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_read_wrongly_once_no_more_is_lost_than_what_is_damaged() {
    let known = small(vec![platform_key()]).await;
    let places = known.some(ObjectKind::Content, true);
    let damaged = places.iter().find(|key| known.needing(key).values().all(|paths| paths.len() == 1)).unwrap();
    let cell = Cell { key: damaged.clone(), other: None, harm: Harm::Flip(4) };
    let (objects, needed) = (cell.apply(&known), known.needing(damaged));
    for answer in [Answer::Error, Answer::Flipped] {
        for number in 0.. {
            let (store, memory) = flaky(objects.clone(), Hit::Once(number), answer);
            let done = repaired_on(&known, &store).await;
            if store.hook.reads() <= number {
                assert!(number > 20 && done.is_ok(), "{number} reads: {done:?}");
                break;
            }
            let now = repaired(&known, memory.copy()).await;
            for (snapshot, files) in &known.files {
                let mut files = files.clone();
                let is_kept = |found: &_| *found == files;
                if now.files.values().any(is_kept) {
                    continue;
                }
                for path in needed.get(snapshot).into_iter().flatten() {
                    files.remove(path);
                }
                let is_kept = now.files.values().any(|found| *found == files);
                assert!(is_kept, "read {number} ({answer:?}): {snapshot} is not there any more; {done:?}");
            }
        }
    }
}
