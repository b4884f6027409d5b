//! What a report has no room for is told, path by path.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::{Arc, Mutex};

use cloudstic_engine::check::{CheckReport, ReadData};
use cloudstic_engine::finding::{Finding, Lost};
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::object::ObjectRef;
use cloudstic_engine::progress::{Phase, Progress};
use cloudstic_engine::repair::{KEPT, RepairRequest, repair};
use cloudstic_engine::source::Warning;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::run_told;
use crate::support::{Bench, open};

/// Keeps everything that it is told.
#[derive(Debug, Default)]
pub(crate) struct Listener(Mutex<Told>);

#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    faults: Vec<String>,
    remarks: u64,
    snapshots: Vec<ObjectRef>,
    lost: Vec<(Option<String>, String, Range<u32>)>,
}

impl Progress for Listener {
    fn phase(&self, _: Phase) {}
    fn expect(&self, _: u64, _: u64) {}
    fn advance(&self, _: u64, _: u64) {}
    fn path(&self, _: &str) {}
    fn warning(&self, _: &Warning) {}
    fn finding(&self, finding: &Finding<'_>) {
        let mut told = self.0.lock().unwrap();
        match finding {
            Finding::Fault { object, .. } => told.faults.push((*object).to_owned()),
            Finding::Remark(_) => told.remarks += 1,
            Finding::Snapshot { reference, .. } => told.snapshots.push(*reference),
            Finding::Lost(Lost { path, object, snapshots }) => {
                told.lost.push((path.map(str::to_owned), (*object).to_owned(), snapshots.clone()));
            }
        }
    }
}

impl Listener {
    pub(crate) fn told(&self) -> Told {
        self.0.lock().unwrap().clone()
    }
}

impl Told {
    /// The paths that each object takes from each snapshot, and whether more is lost there.
    fn losses(&self) -> BTreeMap<(String, ObjectRef), (Vec<String>, bool)> {
        let mut losses: BTreeMap<_, (Vec<String>, bool)> = BTreeMap::new();
        for (path, object, snapshots) in &self.lost {
            assert!(!snapshots.is_empty());
            for number in snapshots.clone() {
                let (paths, unknown) = losses.entry((object.clone(), self.snapshots[number as usize])).or_default();
                paths.extend(path.clone());
                *unknown |= path.is_none();
            }
        }
        losses.values_mut().for_each(|(paths, _)| paths.sort());
        losses
    }

    /// That what was told is what the report has the beginning of.
    #[track_caller]
    pub(crate) fn assert_agrees(&self, report: &CheckReport) {
        assert_eq!((self.faults.len() as u64, self.remarks), (report.fault_count, report.remark_count));
        let losses = self.losses();
        let damaged: BTreeSet<ObjectRef> = losses.keys().map(|(_, snapshot)| *snapshot).collect();
        assert_eq!(damaged.len() as u64, report.damaged_snapshots);
        // Several faults may be about one object.
        let mut counts: BTreeMap<(String, ObjectRef), (u64, bool)> = BTreeMap::new();
        for fault in &report.faults {
            assert!(self.faults.contains(&fault.object), "{}", fault.object);
            assert_eq!(fault.harm.len() as u64, fault.snapshots, "no test has so many snapshots");
            for harm in &fault.harm {
                let key = (fault.object.clone(), harm.snapshot);
                let told = &losses[&key].0;
                assert!(harm.paths.iter().all(|path| told.contains(path)), "{harm:?}: {told:?}");
                let (count, unknown) = counts.entry(key).or_default();
                *count += harm.path_count;
                *unknown |= harm.unknown;
            }
        }
        let told = losses.into_iter().map(|(key, (paths, unknown))| (key, (paths.len() as u64, unknown)));
        assert_eq!(counts, told.collect());
    }
}

/// The pack in which the contents of small files are.
fn pack_of_contents(bench: &Bench) -> String {
    let catalog = std::fs::read(bench.repository_path().join("index/packs")).unwrap();
    let catalog: BTreeMap<String, Value> = serde_json::from_slice(&catalog).unwrap();
    let packs: BTreeSet<String> = catalog
        .iter()
        .filter(|(key, _)| key.starts_with("content/"))
        .map(|(_, entry)| entry["p"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(packs.len(), 1);
    packs.into_iter().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_pack_every_lost_path_is_told_once_for_all_its_snapshots() {
    const FILES: usize = 1200;
    let bench = Bench::new(Vec::new()).await;
    let path = |n: usize| format!("d{}/f{n}", n % 7);
    for n in 0..FILES {
        bench.write(&path(n), format!("content {n}").as_bytes());
    }
    bench.backup().await;
    let pack = pack_of_contents(&bench);
    bench.write(&path(3), b"changed");
    bench.backup().await;
    std::fs::remove_file(bench.source().join(path(5))).unwrap();
    bench.backup().await;
    std::fs::remove_file(bench.repository_path().join(&pack)).unwrap();

    let repository = open(&bench.repository_path(), Vec::new()).await;
    let (report, told) = run_told(&repository, None, ReadData::No).await.unwrap();
    assert_eq!((report.fault_count, report.damaged_snapshots), (1, 3));
    let harm = &report.faults[0].harm;
    assert!(harm.iter().all(|harm| harm.paths.len() == 10 && harm.paths[0] == "d0/f0"), "{harm:?}");
    let all: BTreeSet<String> = (0..FILES).map(path).collect();
    let without = |gone: &[usize]| {
        all.iter().filter(|path| !gone.iter().any(|n| **path == format!("d{}/f{n}", n % 7))).cloned().collect()
    };
    let by_age: [BTreeSet<String>; 3] = [without(&[3, 5]), without(&[3]), all.clone()];
    let losses = told.losses();
    for (snapshot, expected) in told.snapshots.iter().zip(&by_age) {
        let (paths, unknown) = &losses[&(pack.clone(), *snapshot)];
        assert_eq!((paths.iter().cloned().collect::<BTreeSet<_>>(), *unknown), (expected.clone(), false));
    }
    assert_eq!(told.lost.len(), FILES, "a path is told once, not once for each snapshot");
    assert!(told.lost.iter().is_sorted_by_key(|(path, ..)| path), "all of them end with the oldest snapshot");

    let request =
        RepairRequest { read_data: false, forget_damaged: false, dry_run: true, lease: LeaseWatch::not_needed() };
    let listener = Arc::new(Listener::default());
    let report = repair(repository, request, listener.clone(), CancellationToken::new()).await.unwrap();
    let told = listener.told();
    assert_eq!(told.lost.len(), FILES);
    assert!(told.losses() == losses, "the repair loses what the check has found");
    let counts: Vec<u64> = report.snapshots.iter().map(|snapshot| snapshot.lost_count).collect();
    assert_eq!(counts.iter().sum::<u64>() as usize, 3 * FILES - 3);
    for repaired in &report.snapshots {
        let first = losses[&(pack.clone(), repaired.old)].0.iter().take(KEPT);
        assert!(first.eq(repaired.lost.iter().map(|lost| &lost.path)), "{} has others", repaired.old);
        assert!(repaired.lost.iter().all(|lost| lost.object == pack));
    }
}
