#![allow(clippy::unwrap_used)]

use super::*;

pub(in crate::pack) fn pack(name: &str, members: &[(&str, ObjectKind, u32)]) -> PackMembers {
    let member = |(name, kind, offset): &(&str, ObjectKind, u32)| {
        let object = ObjectRef::new(*kind, Hash::of(name.as_bytes()));
        Member { object, offset: *offset, length: 5 }
    };
    PackMembers { pack: Hash::of(name.as_bytes()), members: members.iter().map(member).collect() }
}

#[test]
fn an_object_stays_where_it_was_first() {
    let first = pack("z", &[("b", ObjectKind::Node, 9), ("a", ObjectKind::Chunk, 3)]);
    let object = first.members[1].object;
    let catalog = Catalog::default().with(vec![first]);
    let catalog = catalog.with(vec![pack("a", &[("a", ObjectKind::Chunk, 0), ("c", ObjectKind::Chunk, 1)])]);
    assert_eq!(catalog.len(), 3);
    assert_eq!(catalog.find(&object), Some(Location { pack: Hash::of(b"z"), offset: 3, length: 5 }));
    assert_eq!(catalog.objects(ObjectKind::Chunk).count(), 2);
}

#[test]
fn a_swept_catalog_names_what_is_kept_where_it_lies_now() {
    let old = [
        pack("p", &[("a", ObjectKind::Chunk, 0), ("b", ObjectKind::Node, 5), ("c", ObjectKind::Chunk, 10)]),
        pack("q", &[("d", ObjectKind::Chunk, 0), ("e", ObjectKind::Snapshot, 5)]),
        pack("r", &[("f", ObjectKind::Chunk, 7)]),
    ];
    let mut builder = Builder::from(Catalog::default().with(old.to_vec()));
    for (key, name) in [("index/latest", b"q"), ("other", b"r")] {
        builder.add_pointer(key, Location { pack: Hash::of(name), offset: 10, length: 1 });
    }
    let catalog = builder.build();
    let hash = |text: &str| Hash::of(text.as_bytes());
    let mut rewritten = vec![hash("p"), hash("q")];
    rewritten.sort_unstable();
    let placed = catalog.placed_in(&rewritten, |_, _| true);
    assert_eq!(placed.len(), 5);
    assert!(placed.is_sorted());
    let kept = ["c", "b", "d", "f"].map(hash);
    let keeps: Vec<(ObjectKind, u32)> = catalog
        .located()
        .filter(|(object, _)| kept.contains(&object.hash))
        .map(|(object, _)| (object.kind, catalog.number(&object).unwrap()))
        .collect();
    let keep = |kind, number| keeps.contains(&(kind, number));
    let moved: Vec<Placed> = placed.into_iter().filter(|placed| keep(placed.kind, placed.number)).collect();
    let order: Vec<Hash> = moved.iter().map(|placed| *catalog.hash_at(placed.kind, placed.number).unwrap()).collect();
    let swept = catalog.swept(keep, [(hash("new"), &*moved)], |pack| *pack == hash("r"));
    let mut packs = swept.packs().to_vec();
    packs.sort_unstable();
    let mut expected = vec![hash("r"), hash("new")];
    expected.sort_unstable();
    assert_eq!(packs, expected);
    assert_eq!(swept.located().count(), 4);
    for (object, Location { pack, offset, length }) in swept.located() {
        match order.iter().position(|hash| *hash == object.hash) {
            Some(at) => assert_eq!((pack, offset, length), (hash("new"), at as u64 * 5, 5)),
            None => assert_eq!((pack, offset), (hash("r"), 7)),
        }
    }
    assert!(swept.pointer("index/latest").is_none() && swept.pointer("other").is_some());
}

#[test]
fn entries_of_lost_packs_can_be_dropped() {
    let packs = vec![pack("p", &[("a", ObjectKind::Chunk, 0)]), pack("q", &[("b", ObjectKind::Node, 9)])];
    let catalog = Catalog::default().with(packs);
    assert_eq!(catalog.clone().retain_packs(|_| true).1, 0);
    let (rest, dropped) = catalog.retain_packs(|pack| *pack == Hash::of(b"q"));
    assert_eq!((rest.len(), dropped), (1, 1));
    assert_eq!(rest.objects(ObjectKind::Node).count(), 1);
}
