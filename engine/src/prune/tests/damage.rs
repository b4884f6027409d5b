//! What cannot be read ends a prune before anything is deleted.

use super::bench::{Bench, request};
use crate::object::{ObjectKind, ObjectRef};
use crate::pack::Location;
use crate::prune::{PruneError, PruneRequest};
use crate::store::{MemoryStore, ObjectStore};

async fn location(bench: &Bench, object: &ObjectRef) -> Option<Location> {
    bench.open().await.catalog().await.unwrap().find(object)
}

/// Makes an object unreadable wherever it is.
async fn damage(bench: &Bench, object: &ObjectRef) {
    let place = location(bench, object).await;
    let mut objects = bench.store.objects();
    match place {
        Some(Location { pack, offset, .. }) => {
            let key = format!("packs/{pack}");
            let mut bytes = objects[&key].to_vec();
            bytes[offset as usize + 6] ^= 1;
            objects.insert(key, bytes.into());
        }
        None => drop(objects.remove(&object.key())),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sort_of_object_that_a_snapshot_needs() {
    let kinds = [ObjectKind::Node, ObjectKind::Filemeta, ObjectKind::Content, ObjectKind::Chunk];
    for kind in kinds {
        let (bench, _) = Bench::ours(MemoryStore::default(), true).await;
        let object = *bench.whole().await.iter().find(|object| object.kind == kind).unwrap();
        damage(&bench, &object).await;
        let before = bench.store.objects().clone();
        for dry_run in [true, false] {
            match bench.prune(PruneRequest { dry_run, ..request() }).await {
                Err(PruneError::Unreadable(unreadable)) => {
                    assert_eq!(unreadable.object, object);
                    assert_eq!(unreadable.snapshots, bench.snapshots().await);
                }
                other => panic!("{kind:?}: {other:?}"),
            }
        }
        assert_eq!(*bench.store.objects(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot() {
    let (bench, _) = Bench::ours(MemoryStore::default(), true).await;
    let snapshot = bench.snapshots().await[0];
    bench.backup().await;
    bench.store.objects().insert(snapshot.key(), "damaged".into());
    let before = bench.store.objects().clone();
    let told = bench.prune(request()).await.unwrap_err();
    assert!(matches!(&told, PruneError::Snapshot { key, count: 1, .. } if *key == snapshot.key()), "{told}");
    assert_eq!(*bench.store.objects(), before);
}

/// Lost with its pack, or by itself: that nobody can say what it needs does not make that needless.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_gone_and_named() {
    let (ours, _) = Bench::ours(MemoryStore::default(), true).await;
    let cli = Bench::golden("plain").await;
    for (bench, in_pack) in [(ours, false), (cli, true)] {
        // So that the indexes name all that there are.
        bench.backup().await;
        let snapshot = bench.snapshots().await[0];
        let key = match location(&bench, &snapshot).await {
            Some(Location { pack, .. }) if in_pack => format!("packs/{pack}"),
            _ => snapshot.key(),
        };
        assert!(bench.store.objects().remove(&key).is_some());
        let before = bench.store.objects().clone();
        let told = bench.prune(request()).await.unwrap_err();
        assert!(matches!(&told, PruneError::Lost { key, .. } if *key == snapshot.key()), "{told}");
        assert_eq!(*bench.store.objects(), before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_good_only_where_the_catalog_does_not_say() {
    let (bench, _) = Bench::ours(MemoryStore::default(), true).await;
    let object = *bench.whole().await.iter().find(|object| object.kind == ObjectKind::Filemeta).unwrap();
    let Location { pack, offset, length } = location(&bench, &object).await.unwrap();
    let copy = bench.object(&format!("packs/{pack}")).unwrap().slice(offset as usize..(offset + length) as usize);
    damage(&bench, &object).await;
    bench.client().put(&object.key(), copy).await.unwrap();
    let before = bench.store.objects().clone();
    let told = bench.prune(request()).await.unwrap_err();
    assert!(matches!(&told, PruneError::Misplaced { object: found } if *found == object.key()), "{told}");
    assert_eq!(*bench.store.objects(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_was_to_be_copied() {
    let bench = Bench::golden("encrypted").await;
    let mut chunk = None;
    for object in bench.whole().await.into_iter().filter(|object| object.kind == ObjectKind::Chunk) {
        chunk = chunk.or(location(&bench, &object).await.map(|_| object));
    }
    let chunk = chunk.unwrap();
    damage(&bench, &chunk).await;
    let before = bench.store.objects().clone();
    let told = bench.prune(PruneRequest { max_waste_percent: 0, ..request() }).await.unwrap_err();
    assert!(matches!(&told, PruneError::Member(problem) if problem.to_string().contains(&chunk.key())), "{told}");
    assert!(before.keys().all(|key| bench.object(key) == before.get(key).cloned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_by_itself_takes_the_place_of_a_bad_one_in_a_pack() {
    for max_waste_percent in [100, 0] {
        let bench = Bench::golden("encrypted").await;
        let needed = bench.whole().await;
        let mut packed = Vec::new();
        for object in needed.iter().filter(|object| object.kind == ObjectKind::Chunk) {
            packed.extend(location(&bench, object).await.map(|location| (*object, location)));
        }
        let (chunk, Location { pack, offset, length }) = packed[0];
        let whole = bench.object(&format!("packs/{pack}")).unwrap();
        let copy = whole.slice(offset as usize..(offset + length) as usize);
        bench.client().put(&chunk.key(), copy.clone()).await.unwrap();
        damage(&bench, &chunk).await;
        let request = PruneRequest { max_waste_percent, ..request() };
        let told = bench.prune(PruneRequest { dry_run: true, ..request.clone() }).await.unwrap();
        let report = bench.prune(request.clone()).await.unwrap();
        assert_eq!((&report, report.warnings.len()), (&told, 1));
        assert_eq!((&report.warnings[0].path, bench.object(&chunk.key())), (&chunk.key(), Some(copy)));
        assert_eq!((location(&bench, &chunk).await, bench.whole().await), (None, needed));
        assert!(bench.prune(request).await.unwrap().warnings.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_copies_stay_where_neither_is_good() {
    let bench = Bench::golden("encrypted").await;
    let needed = bench.whole().await;
    let mut chunks = needed.iter().filter(|object| object.kind == ObjectKind::Chunk);
    let catalog = bench.catalog();
    let chunk = chunks.find(|chunk| catalog.contains(chunk)).unwrap();
    damage(&bench, chunk).await;
    bench.store.objects().insert(chunk.key(), "damaged".into());
    let report = bench.prune(PruneRequest { max_repack_bytes: Some(0), ..request() }).await.unwrap();
    assert!(report.warnings.len() == 1 && bench.object(&chunk.key()).is_some(), "{report:?}");
    assert!(location(&bench, chunk).await.is_some());
}
