//! Packs of which neither the catalog nor a footer says what is in them.

use bytes::Bytes;
use cloudstic_e2e::random;

use super::bench::{self, Bench};
use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::pack::{DOOMED_KEY, Doomed, Location, Member, PackMembers};
use crate::prune::{PruneError, PruneRequest};
use crate::repair::RepairError;
use crate::repository::LATEST_KEY;
use crate::store::MemoryStore;

/// Beside them.
fn request() -> PruneRequest {
    PruneRequest { despite_unknown: true, ..bench::request() }
}

async fn pack_of(bench: &Bench, object: &ObjectRef) -> Hash {
    bench.open().await.catalog().await.unwrap().find(object).unwrap().pack
}

/// A repository of the CLI from which a snapshot was lost.
struct Lost {
    bench: Bench,
    snapshot: ObjectRef,
    /// Its packs; the last one has the snapshot.
    packs: Vec<Hash>,
    /// The data in the first one.
    places: Vec<(ObjectRef, Location)>,
}

/// As two backups at once do it: the one has written the catalog without what the other one had added. Then we have backed
/// up.
async fn lost(name: &str, is_in_two_packs: bool) -> Lost {
    let bench = Bench::golden_without(name, 0..0).await;
    let other = Bench::from(&bench.store.objects(), MemoryStore::default());
    for n in 0..5u64 {
        other.write(&format!("theirs-{n}"), &random::bytes(300 + n, 2000));
    }
    let snapshot = other.backup().await;
    // What the CLI would have packed, without a footer.
    let (before, catalog) = (bench.catalog(), other.catalog());
    let mut new: Vec<(ObjectRef, Location)> =
        catalog.located().filter(|(object, _)| !before.contains(object)).collect();
    new.sort_unstable_by_key(|(_, place)| (place.pack, place.offset));
    let mut bytes = Vec::new();
    for (_, place) in &mut new {
        let pack = other.object(&format!("packs/{}", place.pack)).unwrap();
        let from = std::mem::replace(&mut place.offset, bytes.len() as u64) as usize;
        bytes.extend_from_slice(&pack[from..from + place.length as usize]);
    }
    let mut parts = vec![bytes];
    if is_in_two_packs {
        parts.push(Vec::new());
    }
    parts.last_mut().unwrap().extend_from_slice(&other.object(&snapshot.key()).unwrap());
    let packs: Vec<Hash> = parts.iter().map(|bytes| Hash::of(bytes)).collect();
    new.iter_mut().for_each(|(_, place)| place.pack = packs[0]);
    for (pack, bytes) in packs.iter().zip(parts) {
        bench.store.objects().insert(format!("packs/{pack}"), bytes.into());
    }
    bench.write("ours", b"ours");
    bench.backup().await;
    assert!(!bench.snapshots().await.contains(&snapshot));
    Lost { bench, snapshot, packs, places: new }
}

/// The snapshot with all that it needs in one pack.
async fn with_a_lost_snapshot(name: &str) -> (Bench, ObjectRef, Hash) {
    let Lost { bench, snapshot, packs, .. } = lost(name, false).await;
    (bench, snapshot, packs[0])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_snapshot_of_which_some_is_damaged_comes_back_and_what_it_lacks_is_told() {
    for name in ["plain", "encrypted"] {
        let Lost { bench, snapshot, packs, places } = lost(name, false).await;
        let key = format!("packs/{}", packs[0]);
        let (_, place) = places.iter().find(|(object, _)| object.kind == ObjectKind::Content).unwrap();
        bench.damage_at(place);
        let report = bench.repair(false).await;
        let told = report.snapshots.iter().find(|told| told.old == snapshot).unwrap();
        assert!(told.lost_count == 1 && told.new.is_some(), "{name}: {report:?}");
        assert!(bench.snapshots().await.contains(&snapshot), "{name}");
        // It is not known any more what it needs.
        assert!(bench.prune(request()).await.is_err() && bench.object(&key).is_some(), "{name}");
        let new = told.new.unwrap();
        bench.repair_on(bench.client(), true).await.unwrap();
        let left = bench.snapshots().await;
        assert!(left.contains(&new) && !left.contains(&snapshot), "{name}");
        let needed = bench.whole().await;
        bench.prune(request()).await.unwrap();
        assert_eq!(bench.whole().await, needed, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_cannot_be_read_costs_a_lost_snapshot_nothing() {
    for name in ["plain", "encrypted"] {
        for (at, forget) in [(0, false), (0, true), (1, false), (1, true)] {
            let Lost { bench, snapshot, packs, .. } = lost(name, true).await;
            let keys: Vec<String> = packs.iter().map(|pack| format!("packs/{pack}")).collect();
            let (store, unreadable) = (bench.client(), &keys[at]);
            store.line().break_object(unreadable);
            // It ends there, or tells what it could not read.
            match bench.repair_on(store, forget).await {
                Ok(report) => {
                    assert!(report.beyond_repair.iter().any(|fault| fault.object == *unreadable), "{report:?}")
                }
                Err(error) => assert!(error.to_string().contains(unreadable), "{name}: {error}"),
            }
            // It may end because something is missing.
            let _ = bench.prune(request()).await;
            assert!(keys.iter().all(|key| bench.object(key).is_some()), "{name}, {forget}, without {unreadable}");
            bench.repair(false).await;
            assert!(bench.snapshots().await.contains(&snapshot), "{name}");
            let needed = bench.whole().await;
            bench.prune(request()).await.unwrap();
            assert_eq!(bench.whole().await, needed);
            assert!(bench.snapshots().await.contains(&snapshot));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_beside_a_lost_snapshot_until_a_repair_has_looked() {
    for name in ["plain", "encrypted"] {
        let (bench, last, pack) = with_a_lost_snapshot(name).await;
        let before = bench.store.objects().clone();
        for dry_run in [true, false] {
            let ended = bench.prune(PruneRequest { dry_run, ..bench::request() }).await.unwrap_err();
            let PruneError::Unknown { first, count: 1 } = &ended else { panic!("{ended}") };
            assert_eq!(*first, format!("packs/{pack}"));
            assert_eq!(*bench.store.objects(), before);
        }
        bench.repair(false).await;
        let needed = bench.whole().await;
        bench.prune(bench::request()).await.unwrap();
        assert_eq!(bench.whole().await, needed);
        assert!(bench.snapshots().await.contains(&last), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_snapshot_is_kept_and_a_repair_brings_it_back() {
    for name in ["plain", "encrypted"] {
        let (bench, last, pack) = with_a_lost_snapshot(name).await;
        let key = format!("packs/{pack}");
        let size = bench.object(&key).unwrap().len() as u64;
        let zero = PruneRequest { max_waste_percent: 0, ..request() };
        for dry_run in [true, false, false] {
            let report = bench.prune(PruneRequest { dry_run, ..zero.clone() }).await.unwrap();
            assert_eq!((report.unknown_packs, report.unknown_bytes), (1, size), "{name}");
        }
        assert!(bench.object(&key).is_some());
        bench.repair(false).await;
        assert!(bench.snapshots().await.contains(&last), "{name}");
        let needed = bench.whole().await;
        let report = bench.prune(zero).await.unwrap();
        assert_eq!(report.unknown_packs, 0);
        assert_eq!(bench.whole().await, needed);
        assert!(bench.snapshots().await.contains(&last));
        bench.assert_nothing_is_left_over().await;
        let index = bench.open().await.read_index().await.unwrap();
        assert_eq!(index.len(), 5, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_that_is_cut_off_anywhere_loses_nothing_of_it() {
    let (bench, last, _) = with_a_lost_snapshot("encrypted").await;
    let objects = bench.store.objects().clone();
    let mut told = 0;
    for changes in 0.. {
        let bench = Bench::from(&objects, MemoryStore::default());
        let end = bench.repair_and_die(changes).await;
        let is_done = end.is_ok();
        if let Err(RepairError::Midway { done, .. }) = end {
            // What it says is so.
            assert!(done.catalog.rewritten && bench.catalog().contains(&last), "{done:?}");
            told += 1;
        }
        bench.prune(request()).await.unwrap();
        bench.repair(false).await;
        assert!(bench.snapshots().await.contains(&last), "after {changes} changes");
        bench.whole().await;
        if is_done {
            assert!(told > 0 && changes > told);
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_with_nothing_in_it_goes_after_a_repair_has_looked() {
    for name in ["plain", "encrypted"] {
        let bench = Bench::golden(name).await;
        bench.backup().await;
        let bytes = random::bytes(5, 3000);
        let key = format!("packs/{}", Hash::of(&bytes));
        bench.store.objects().insert(key.clone(), bytes.into());
        assert_eq!(bench.prune(request()).await.unwrap().unknown_packs, 1);
        let needed = bench.whole().await;
        bench.repair(false).await;
        assert!(bench.object(&key).is_some(), "a repair removes nothing");
        assert_eq!(bench.prune(request()).await.unwrap().unknown_packs, 0);
        assert!(bench.object(&key).is_none(), "{name}");
        assert_eq!(bench.whole().await, needed);
        bench.assert_nothing_is_left_over().await;
    }
}

/// A repository of the CLI whose last snapshot lies in a pack with nothing else but the pointer, as a backup that finds
/// nothing new writes it.
async fn with_a_snapshot_in_its_own_pack(name: &str) -> (Bench, ObjectRef, String) {
    let bench = Bench::golden_without(name, 0..0).await;
    let last = bench.snapshots().await[2];
    let catalog = bench.catalog();
    let cut = |Location { pack, offset, length }: Location| {
        bench.object(&format!("packs/{pack}")).unwrap().slice(offset as usize..(offset + length) as usize)
    };
    let snapshot = cut(catalog.find(&last).unwrap());
    let latest = cut(catalog.pointer(LATEST_KEY).unwrap());
    let bytes = Bytes::from([&*snapshot, &latest].concat());
    let pack = Hash::of(&bytes);
    let key = format!("packs/{pack}");
    bench.store.objects().insert(key.clone(), bytes);
    let [length, rest] = [snapshot.len(), latest.len()].map(|length| length as u32);
    let members = vec![Member { object: last, offset: 0, length }];
    let place = Location { pack, offset: length.into(), length: rest.into() };
    let catalog = catalog.without(&[last.key()].into()).with(vec![PackMembers { pack, members }]);
    bench.put_catalog(&catalog.with_pointers([(LATEST_KEY.to_owned(), place)].into()));
    assert_eq!(bench.snapshots().await[2], last);
    (bench, last, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_forgotten_does_not_come_back_and_its_pack_goes() {
    for name in ["plain", "encrypted"] {
        for (repaired, lost) in [(false, false), (true, false), (true, true)] {
            let (bench, last, key) = with_a_snapshot_in_its_own_pack(name).await;
            bench.remove(bench.client(), &[last]).await.unwrap();
            let left = bench.snapshots().await;
            assert!(left.len() == 2 && bench.object(&key).is_some());
            if lost {
                // So that all packs of the CLI are looked into.
                bench.store.objects().remove("index/packs");
            }
            if repaired {
                let report = bench.repair(false).await;
                assert_eq!(bench.snapshots().await, left, "{name}: {report:?}");
            }
            let report = bench.prune(PruneRequest { max_waste_percent: 0, ..request() }).await.unwrap();
            assert!(report.unknown_packs == 0 && bench.object(&key).is_none(), "{name}: {report:?}");
            assert_eq!(bench.snapshots().await, left);
            bench.assert_nothing_is_left_over().await;
            // The list becomes empty again.
            bench.prune(request()).await.unwrap();
            assert!(bench.object(DOOMED_KEY).is_none(), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_was_forgotten_in_a_pack_that_stays_does_not_come_back() {
    let bench = Bench::golden_without("encrypted", 0..0).await;
    let snapshots = bench.snapshots().await;
    let pack = pack_of(&bench, &snapshots[0]).await;
    bench.remove(bench.client(), &snapshots[..1]).await.unwrap();
    for _ in 0..2 {
        bench.prune(PruneRequest { max_repack_bytes: Some(0), ..request() }).await.unwrap();
    }
    assert!(bench.object(&format!("packs/{pack}")).is_some());
    // Something else is lost, so that everything is looked into.
    let whole = bench.store.objects().clone();
    for damaged in ["index/packs", "index/latest"] {
        bench.store.objects().clone_from(&whole);
        bench.store.objects().insert(damaged.to_owned(), "damaged".into());
        let report = bench.repair(false).await;
        assert_eq!(bench.snapshots().await, snapshots[1..], "{damaged}: {report:?}");
        bench.whole().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forget_that_is_cut_off_anywhere_is_done_by_the_next_one() {
    let (bench, last, key) = with_a_snapshot_in_its_own_pack("encrypted").await;
    let objects = bench.store.objects().clone();
    for changes in 0.. {
        let bench = Bench::from(&objects, MemoryStore::default());
        let store = bench.client();
        store.line().break_after(changes);
        let is_done = bench.remove(store, &[last]).await.is_ok();
        let there = bench.snapshots().await;
        if there.contains(&last) {
            // It may stay as well: then a prune needs it.
            bench.prune(PruneRequest { max_repack_bytes: Some(0), ..request() }).await.unwrap();
            assert_eq!(bench.snapshots().await, there, "after {changes} changes");
            bench.whole().await;
        }
        bench.remove(bench.client(), &[last]).await.unwrap();
        bench.repair(false).await;
        assert_eq!(bench.snapshots().await.len(), 2, "after {changes} changes");
        bench.prune(PruneRequest { max_waste_percent: 0, ..request() }).await.unwrap();
        assert!(bench.object(&key).is_none(), "after {changes} changes");
        bench.assert_nothing_is_left_over().await;
        if is_done {
            assert!(changes > 2);
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_last_name_was_the_pointer_goes() {
    // The CLI has forgotten the snapshot, and our backup writes the pointer by itself.
    let (bench, last, key) = with_a_snapshot_in_its_own_pack("plain").await;
    bench.put_catalog(&bench.catalog().without(&[last.key()].into()));
    bench.store.objects().remove("index/snapshots");
    bench.backup().await;
    let report = bench.prune(request()).await.unwrap();
    assert!(report.unknown_packs == 0 && bench.object(&key).is_none(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_read_is_told_and_a_repair_replaces_it() {
    let bench = Bench::golden("encrypted").await;
    bench.backup().await;
    bench.store.objects().insert(DOOMED_KEY.to_owned(), "damaged".into());
    let needed = bench.whole().await;
    let report = bench.repair(false).await;
    assert!(report.fault_count == 1 && report.indexes && report.beyond_repair.is_empty(), "{report:?}");
    assert_eq!(bench.repair(false).await.fault_count, 0);
    assert_eq!(bench.whole().await, needed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_cannot_be_read_is_no_leave_to_delete_them() {
    let (bench, last, pack) = with_a_lost_snapshot("encrypted").await;
    bench.store.objects().insert(DOOMED_KEY.to_owned(), "damaged".into());
    let report = bench.prune(request()).await.unwrap();
    assert_eq!((report.unknown_packs, report.warning_count), (1, 1), "{:?}", report.warnings);
    assert!(bench.object(&format!("packs/{pack}")).is_some());
    let report = bench.prune(request()).await.unwrap();
    assert_eq!((report.unknown_packs, report.warning_count), (1, 0), "{:?}", report.warnings);
    bench.repair(false).await;
    assert!(bench.snapshots().await.contains(&last));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_pack_without_a_name_is_no_leave_to_delete_it_either() {
    let (bench, _, pack) = with_a_lost_snapshot("encrypted").await;
    let list = Doomed::damaged(vec![pack], Vec::new());
    let sealed = list.seal(bench.open().await.sealer()).unwrap();
    bench.store.objects().insert(DOOMED_KEY.to_owned(), sealed.into());
    // While another one may hold a snapshot that needs it.
    let bytes = random::bytes(5, 3000);
    bench.store.objects().insert(format!("packs/{}", Hash::of(&bytes)), bytes.into());
    assert_eq!(bench.prune(request()).await.unwrap().unknown_packs, 2);
    assert!(bench.object(&format!("packs/{pack}")).is_some());
}
