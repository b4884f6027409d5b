//! Objects that lie in two packs.

use super::bench::{Bench, request};
use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::pack::{Location, PackBuilder, heal_all};
use crate::prune::PruneRequest;
use crate::store::{MemoryStore, ObjectStore};

/// A chunk that is needed, and another pack that has it, too, and beside it only what nobody needs: as two backups at once
/// write it.
async fn with_a_second_copy(encrypted: bool) -> (Bench, ObjectRef, Location, Hash) {
    let (bench, _) = Bench::ours(MemoryStore::default(), encrypted).await;
    bench.write("compressible", "a line of text\n".repeat(60_000).as_bytes());
    bench.backup().await;
    let mut chunks = bench.whole().await.into_iter().filter(|object| object.kind == ObjectKind::Chunk);
    let catalog = bench.catalog();
    let (chunk, place) = chunks.find_map(|chunk| Some((chunk, catalog.find(&chunk)?))).unwrap();
    let Location { pack, offset, length } = place;
    let sealed = bench.object(&format!("packs/{pack}")).unwrap().slice(offset as usize..(offset + length) as usize);
    let repository = bench.open().await;
    let mut builder = PackBuilder::default();
    let garbage = ObjectRef::new(ObjectKind::Filemeta, Hash::of(b"garbage"));
    builder.add(garbage, &repository.sealer().seal(b"garbage").unwrap());
    builder.add(chunk, &sealed);
    let second = builder.finish(repository.sealer()).unwrap();
    let name = second.members.pack;
    bench.client().put(&format!("packs/{name}"), second.bytes).await.unwrap();
    (bench, chunk, place, name)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_good_one_stays_where_the_catalog_names_a_bad_one() {
    for encrypted in [false, true] {
        for max_waste_percent in [100, 0] {
            let (bench, chunk, place, _) = with_a_second_copy(encrypted).await;
            let needed = bench.whole().await;
            bench.damage_at(&place);
            let request = PruneRequest { max_waste_percent, ..request() };
            let told = bench.prune(PruneRequest { dry_run: true, ..request.clone() }).await.unwrap();
            let report = bench.prune(request).await.unwrap();
            assert_eq!(report, told);
            assert_eq!((report.warning_count, &report.warnings[0].path), (1, &chunk.key()), "{:?}", report.warnings);
            assert_eq!(bench.whole().await, needed);
            assert_eq!(bench.prune(super::bench::request()).await.unwrap().warning_count, 0);
            assert_eq!(bench.whole().await, needed);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_one_goes_where_the_first_one_is_good() {
    let (bench, _, place, second) = with_a_second_copy(true).await;
    let report = bench.prune(request()).await.unwrap();
    assert_eq!(report.warning_count, 0);
    assert!(
        bench.object(&format!("packs/{second}")).is_none() && bench.object(&format!("packs/{}", place.pack)).is_some()
    );
    bench.assert_nothing_is_left_over().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_both_are_bad_both_stay_and_are_told() {
    let (bench, chunk, place, second) = with_a_second_copy(true).await;
    bench.damage_at(&place);
    // It lies behind the other member there.
    let repository = bench.open().await;
    let footers = heal_all(&**repository.store(), repository.sealer(), Default::default()).await.unwrap().catalog;
    let garbage = ObjectRef::new(ObjectKind::Filemeta, Hash::of(b"garbage"));
    let before = footers.find(&garbage).unwrap();
    assert_eq!(before.pack, second);
    bench.damage_at(&Location { pack: second, offset: before.length, length: place.length });
    for max_waste_percent in [0, 100] {
        // Where the first one is to be copied, it ends there.
        let report =
            bench.prune(PruneRequest { max_waste_percent, max_repack_bytes: Some(0), ..request() }).await.unwrap();
        assert_eq!((report.warning_count, &report.warnings[0].path), (1, &chunk.key()), "{:?}", report.warnings);
        assert!([place.pack, second].iter().all(|pack| bench.object(&format!("packs/{pack}")).is_some()));
    }
}
