#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use super::*;
use crate::object::{Content, Hash, Snapshot, SourceInfo, Timestamp, json};
use crate::pack::{Member, PackMembers};
use crate::progress::Silent;
use crate::repository::ReadError;
use crate::tree::memory::Memory;

fn snapshot(memory: &mut Memory, seq: u64) -> SnapshotEntry {
    let snapshot = Snapshot {
        version: 1,
        created: "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap(),
        root: memory.root(),
        seq,
        source: SourceInfo::default(),
        meta: Default::default(),
        tags: Vec::new(),
        change_token: String::new(),
        exclude_hash: String::new(),
    };
    let reference = ObjectRef::new(ObjectKind::Snapshot, Hash::of(&json::encode(&snapshot)));
    SnapshotEntry::new(reference, &snapshot)
}

/// Two snapshots that share most, and what is left of a third one.
fn three() -> (Memory, Vec<SnapshotEntry>, BTreeSet<ObjectRef>) {
    let mut memory = Memory::default();
    memory.folder(b"d", 0o755);
    for n in 0..200u32 {
        memory.file(format!("d/{n:03}").as_bytes(), format!("{n}").as_bytes());
    }
    let large: Vec<u8> = (0..400_000u32).map(|n| (n / 70_000) as u8).collect();
    memory.file(b"d/large", &large);
    memory.symlink(b"d/link", "large");
    let first = snapshot(&mut memory, 1);
    memory.entries.retain(|entry| entry.key != "d/007");
    memory.file(b"d/new", b"new");
    let second = snapshot(&mut memory, 2);
    let needed = memory.objects().map(|(object, _)| object).collect();
    memory.entries.truncate(50);
    memory.file(b"gone", &vec![9; 5000]);
    snapshot(&mut memory, 3);
    (memory, vec![first, second], needed)
}

fn mark(memory: &Memory, snapshots: &[SnapshotEntry]) -> Result<Reach, ReachError> {
    let packed = |object: &ObjectRef| memory.catalog.contains(object);
    let alone = memory.objects().filter(|(object, _)| !packed(object)).collect();
    Reach::mark(memory, alone, snapshots, &Silent, &CancellationToken::new())
}

fn unreadable(memory: &Memory, snapshots: &[SnapshotEntry]) -> Unreadable {
    match mark(memory, snapshots) {
        Err(ReachError::Unreadable(unreadable)) => *unreadable,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_snapshots_need_is_found_and_nothing_else_packed_or_not() {
    let (mut memory, snapshots, needed) = three();
    for every in [usize::MAX, 1, 3] {
        let objects: BTreeSet<ObjectRef> = memory.objects().map(|(object, _)| object).collect();
        let member = |(offset, object): (u32, ObjectRef)| Member { object, offset, length: 1 };
        let members = (0..).zip(objects.iter().copied().step_by(every)).skip(usize::from(every == usize::MAX));
        let pack = PackMembers { pack: Hash::of(b"pack"), members: members.map(member).collect() };
        memory.catalog = Arc::new(Catalog::default().with(vec![pack]));
        memory.reads.lock().unwrap().clear();
        let reach = mark(&memory, &snapshots).unwrap();
        let found: BTreeSet<ObjectRef> = reach.objects().map(|(object, _)| object).collect();
        assert_eq!(found, needed);
        assert_eq!(reach.count(), needed.len() as u64);
        assert!(objects.iter().all(|object| reach.needs(object) == needed.contains(object)));
        let reads = memory.reads.lock().unwrap();
        assert!(reads.values().all(|reads| *reads == 1) && reads.keys().all(|object| object.kind != ObjectKind::Chunk));
    }
}

#[test]
fn of_an_object_in_a_pack_and_by_itself_the_one_in_the_pack_is_needed() {
    let (mut memory, snapshots, needed) = three();
    let object = *needed.iter().find(|object| object.kind == ObjectKind::Content).unwrap();
    let members = vec![Member { object, offset: 0, length: 77 }];
    memory.catalog = Arc::new(Catalog::default().with(vec![PackMembers { pack: Hash::of(b"pack"), members }]));
    let alone = memory.objects().collect();
    let reach = Reach::mark(&memory, alone, &snapshots, &Silent, &CancellationToken::new()).unwrap();
    assert!(reach.needs(&object) && reach.needs_packed(object.kind, 0));
    assert!(!reach.needs_alone(object.kind, reach.alone().number(&object).unwrap()));
    assert!(reach.objects().any(|found| found == (object, 77)));
}

#[test]
fn whatever_is_missing_is_named_with_its_path_and_the_snapshots_that_need_it() {
    let (_, snapshots, needed) = three();
    for &object in &needed {
        let (mut memory, _, _) = three();
        memory.lose(object);
        let found = unreadable(&memory, &snapshots);
        assert_eq!(found.object, object);
        assert!(matches!(found.problem, ReadError::Missing(missing) if missing == object));
        assert!(!found.snapshots.is_empty(), "{found}");
        assert_eq!(found.path.is_some(), object.kind != ObjectKind::Node, "{found}");
    }
}

#[test]
fn damage_names_every_snapshot_that_it_hurts() {
    let (mut memory, snapshots, _) = three();
    let large = ObjectRef::new(ObjectKind::Content, Hash::of(b"new"));
    memory.replace(large, b"{\"type\":\"content\",\"size\":3}".to_vec());
    let found = unreadable(&memory, &snapshots);
    assert_eq!((found.object, found.path.as_deref()), (large, Some("d/new")));
    assert_eq!(found.snapshots, [snapshots[1].reference]);
    assert!(found.to_string().contains("it has none of its 3 bytes"), "{found}");

    let (mut memory, snapshots, _) = three();
    let both = ObjectRef::new(ObjectKind::Content, Hash::of(b"11"));
    memory.replace(both, json::encode(&Content::chunked(2, vec![snapshots[0].reference])));
    let found = unreadable(&memory, &snapshots);
    assert_eq!(found.snapshots, [snapshots[0].reference, snapshots[1].reference]);
    assert_eq!(found.path.as_deref(), Some("d/011"));
}

#[test]
fn a_store_that_fails_is_no_damage() {
    let (mut memory, snapshots, _) = three();
    memory.store_fails = true;
    assert!(matches!(mark(&memory, &snapshots), Err(ReachError::Repository(_))));
}

#[test]
fn a_cancelled_one_gives_nothing() {
    let (memory, snapshots, _) = three();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let done = Reach::mark(&memory, memory.objects().collect(), &snapshots, &Silent, &cancel);
    assert!(matches!(done, Err(ReachError::Cancelled)));
}
