#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use super::memory::{Memory, meta};
use super::*;
use crate::object::{EntryType, Leaf, LeafEntry, Node, ObjectKind, json};
use crate::pack::{Catalog, Member, PackMembers};

fn load(memory: &mut Memory) -> Tree {
    let root = memory.root();
    Tree::load(memory, root, true, &CancellationToken::new()).unwrap()
}

fn paths(tree: &Tree) -> Vec<String> {
    tree.entries().map(|entry| String::from_utf8(tree.path(entry.id)).unwrap()).collect()
}

fn only_problem(tree: &Tree) -> (&str, &str) {
    assert_eq!(tree.problem_count(), 1, "{:?}", tree.problems());
    (&tree.problems()[0].path, &tree.problems()[0].problem)
}

#[test]
fn a_filemeta_has_the_same_name_whether_the_catalog_knows_it_or_not() {
    let mut memory = Memory::default();
    let filemetas: Vec<ObjectRef> = (0..100).map(|i| memory.folder(format!("{i:03}").as_bytes(), 0o700)).collect();
    let member = |(at, filemeta): (u32, &ObjectRef)| Member { object: *filemeta, offset: at, length: 1 };
    let members = (0..).zip(&filemetas).filter(|(at, _)| at % 3 > 0).map(member).collect();
    memory.catalog = Arc::new(Catalog::default().with(vec![PackMembers { pack: Hash::of(b"pack"), members }]));
    let tree = load(&mut memory);
    let found: Vec<_> = tree.entries().map(|entry| ObjectRef::new(ObjectKind::Filemeta, *entry.filemeta)).collect();
    assert_eq!(found, filemetas);
    assert!(tree.entries().all(|entry| tree.read_filemeta(&memory, entry.id).is_ok()));
}

#[test]
fn entries_come_in_path_order_whatever_the_order_of_the_tree() {
    let mut memory = Memory::default();
    for path in ["b", "a", "a/z"] {
        memory.folder(path.as_bytes(), 0o755);
    }
    for path in ["a.txt", "a/z/1", "a/b", "b/x", "a/z-1", "c"] {
        memory.file(path.as_bytes(), path.as_bytes());
    }
    for i in 0..200 {
        memory.file(format!("b/{i:03}").as_bytes(), b"");
    }
    let tree = load(&mut memory);
    let expected = ["a", "a/b", "a/z", "a/z/1", "a/z-1", "a.txt", "b", "b/000", "b/001"];
    assert_eq!(paths(&tree)[..9], expected);
    assert_eq!((tree.len(), tree.problem_count()), (209, 0));
    for entry in tree.entries() {
        assert_eq!(tree.find(&tree.path(entry.id)), Some(entry.id));
    }
    assert_eq!(tree.subtree(tree.find(b"/a/z/").unwrap()), 2..4);
    assert_eq!((tree.find(b"a/nothing"), tree.find(b"c/x"), tree.find(b"")), (None, None, None));
}

#[test]
fn a_record_stays_small() {
    assert_eq!(size_of::<Record>(), 72);
}

#[test]
fn names_that_are_none_are_left_out_with_all_below() {
    let too_long = "n".repeat(256);
    for name in ["", ".", "..", "a/b", "/etc/passwd", "nul\0nul", &too_long] {
        let mut memory = Memory::default();
        let mut folder = meta(b"bad");
        (folder.name, folder.entry_type) = (name.to_owned(), EntryType::Folder);
        let filemeta = memory.add(folder);
        memory.file(b"bad/below", b"x");
        memory.file(b"good", b"x");
        let tree = load(&mut memory);
        assert_eq!(paths(&tree), ["good"], "{name:?}");
        let (path, problem) = only_problem(&tree);
        assert_eq!(path, "bad");
        assert!(problem.starts_with(&format!("{filemeta}: its name")), "{problem}");
        assert!(problem.ends_with("left out, with 1 entry below it"), "{problem}");
    }
}

#[test]
fn a_file_or_a_link_cannot_be_a_parent() {
    let mut memory = Memory::default();
    memory.symlink(b"d", "/tmp");
    memory.folder(b"d/sub", 0o755);
    memory.file(b"d/sub/f", b"x");
    let tree = load(&mut memory);
    assert_eq!(paths(&tree), ["d"]);
    assert_eq!(only_problem(&tree).0, "d/sub");
    assert!(only_problem(&tree).1.contains("its parent is not a folder; left out, with 1 entry below it"));
}

#[test]
fn a_missing_parent_and_a_loop_of_parents_end() {
    let mut memory = Memory::default();
    memory.file(b"nowhere/f", b"x");
    for (name, parent) in [("l1", "l3"), ("l2", "l1"), ("l3", "l2"), ("self", "self"), ("tail", "l1")] {
        let mut folder = meta(name.as_bytes());
        (folder.parents, folder.entry_type) = (Some(vec![parent.to_owned()]), EntryType::Folder);
        memory.add(folder);
    }
    memory.file(b"good", b"");
    let tree = load(&mut memory);
    assert_eq!(paths(&tree), ["good"]);
    let mut told: Vec<_> = tree.problems().iter().map(|w| w.problem.split_once(": ").unwrap().1).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "its parent is not in the snapshot; left out",
            "its parents form a loop; left out",
            "its parents form a loop; left out, with 3 entries below it",
        ]
    );
}

#[test]
fn of_two_entries_with_one_path_the_first_file_id_wins() {
    let mut memory = Memory::default();
    for id in ["id-2", "id-1", "id-3"] {
        let mut file = meta(b"same");
        (file.file_id, file.mtime) = (id.to_owned(), i64::from(id.as_bytes()[3]));
        memory.add(file);
    }
    let tree = load(&mut memory);
    assert_eq!(paths(&tree), ["same"]);
    assert_eq!(tree.get(EntryId(0)).mtime.0, i64::from(b'1'));
    assert_eq!(tree.problem_count(), 2);
    assert!(tree.problems()[0].problem.contains("another entry has its path"));
}

#[test]
fn one_file_id_used_twice_is_told() {
    let mut memory = Memory::default();
    memory.file(b"a", b"1");
    memory.file_with(b"a", b"2", |meta| meta.name = "b".to_owned());
    let tree = load(&mut memory);
    assert_eq!(tree.len(), 1);
    assert!(only_problem(&tree).1.contains("another entry has its fileId"));
}

#[test]
fn a_lost_filemeta_is_told_by_object_and_path() {
    let mut memory = Memory::default();
    let lost = memory.folder(b"docs", 0o755);
    memory.file(b"docs/a", b"1");
    memory.file(b"docs/b", b"2");
    memory.file(b"other", b"3");
    memory.lose(lost);
    let tree = load(&mut memory);
    assert_eq!(paths(&tree), ["other"]);
    let expected = format!("{lost} is missing; left out, with 2 entries below it");
    assert_eq!(only_problem(&tree), ("docs", expected.as_str()));
}

#[test]
fn a_damaged_node_loses_only_what_is_below_it() {
    let mut memory = Memory::default();
    for i in 0..64 {
        memory.file(format!("{i:02}").as_bytes(), b"");
    }
    let root = memory.root();
    let leaf = Node::Leaf(Leaf { entries: memory.entries[..32].to_vec() });
    let leaf = ObjectRef::new(ObjectKind::Node, Hash::of(&json::encode(&leaf)));
    memory.replace(leaf, "{}");
    let tree = Tree::load(&memory, root, true, &CancellationToken::new()).unwrap();
    assert_eq!(tree.len(), 32);
    assert!(only_problem(&tree).1.contains(&format!("{leaf} is damaged")));
}

#[test]
fn nodes_that_share_children_do_not_multiply_the_work() {
    let mut memory = Memory::default();
    memory.file(b"f", b"");
    let mut node = memory.put(ObjectKind::Node, json::encode(&Node::Leaf(Leaf { entries: memory.entries.clone() })));
    for _ in 0..6 {
        let children = vec![node; 32];
        node = memory.put(ObjectKind::Node, json::encode(&Node::Internal { bitmap: u32::MAX, children }));
    }
    let tree = Tree::load(&memory, Some(node), true, &CancellationToken::new()).unwrap();
    assert_eq!(paths(&tree), ["f"]);
    assert_eq!(tree.problem_count(), 6 * 31);
    assert!(memory.reads.lock().unwrap().values().all(|&reads| reads == 1));
}

#[test]
fn nothing_below_the_deepest_level_is_followed() {
    let mut memory = Memory::default();
    memory.file(b"f", b"");
    let mut node = memory.root().unwrap();
    for _ in 0..7 {
        node = memory.put(ObjectKind::Node, json::encode(&Node::Internal { bitmap: 1, children: vec![node] }));
    }
    let tree = Tree::load(&memory, Some(node), true, &CancellationToken::new()).unwrap();
    assert!(tree.is_empty());
    assert!(only_problem(&tree).1.contains("below the deepest level"));
}

#[test]
fn old_parents_are_filemeta_references_even_to_what_a_folder_was() {
    let mut memory = Memory::default();
    let mut before = meta(b"d");
    (before.entry_type, before.mtime) = (EntryType::Folder, 5);
    let before = memory.put(ObjectKind::Filemeta, json::encode(&before));
    let now = memory.folder(b"d", 0o755);
    for (path, parent) in [(b"d/1", now), (b"d/2", before)] {
        memory.file_with(path, b"", |meta| meta.parents = Some(vec![parent.to_string()]));
    }
    assert_eq!(paths(&load(&mut memory)), ["d", "d/1", "d/2"]);
}

#[test]
fn a_hard_link_needs_a_first_name_with_the_same_data() {
    let mut memory = Memory::default();
    let second = |first: &'static str| move |meta: &mut FileMeta| hardlink(meta, first);
    memory.file(b"a", b"data");
    memory.file_with(b"b", b"data", second("a"));
    memory.file_with(b"c", b"other", second("a"));
    memory.file_with(b"d", b"data", second("b"));
    memory.file_with(b"e", b"data", second("gone"));
    memory.file_with(b"f", b"data", second("f"));
    let tree = load(&mut memory);
    let links: Vec<_> = tree.entries().map(|entry| entry.hardlink).collect();
    assert_eq!(links, [None, Some(EntryId(0)), None, None, None, None]);
}

fn hardlink(meta: &mut FileMeta, first: &str) {
    meta.extra.posix = Some(Box::new(crate::object::Posix { hardlink: Some(first.to_owned()), ..Default::default() }));
}

#[test]
fn a_content_has_the_name_that_its_filemeta_says_and_not_only_the_usual_one() {
    let mut memory = Memory::default();
    let other = Hash::of(b"another name");
    memory.folder(b"d", 0o755);
    memory.file(b"c", b"c");
    memory.file_with(b"d/b", b"b", |meta| meta.content_ref = other.to_string());
    memory.file_with(b"a", b"a", |meta| meta.content_hash = "no hash".to_owned());
    let tree = load(&mut memory);
    assert_eq!(paths(&tree), ["a", "c", "d", "d/b"]);
    let content = |hash| Some(ObjectRef::new(ObjectKind::Content, hash));
    let found: Vec<_> = tree.entries().map(|entry| tree.content(entry.id)).collect();
    assert_eq!(found, [None, content(Hash::of(b"c")), None, content(other)]);
}

#[test]
fn a_missing_mode_is_zero_only_where_modes_were_collected() {
    let mut memory = Memory::default();
    memory.file_with(b"a", b"", |meta| meta.mode = 0);
    let root = memory.root();
    let mode = |memory: &Memory, root, collects| {
        Tree::load(memory, root, collects, &CancellationToken::new()).unwrap().get(EntryId(0)).mode
    };
    assert_eq!(mode(&memory, root, true), None);
    memory.file(b"b", b"");
    let root = memory.root();
    assert_eq!(mode(&memory, root, true), Some(0));
    assert_eq!(mode(&memory, root, false), None);
}

#[test]
fn an_empty_tree_and_a_cancelled_load() {
    let memory = Memory::default();
    assert!(Tree::load(&memory, None, true, &CancellationToken::new()).unwrap().is_empty());
    let mut memory = Memory::default();
    memory.file(b"a", b"");
    let root = memory.root();
    let cancel = CancellationToken::new();
    cancel.cancel();
    assert_eq!(Tree::load(&memory, root, true, &cancel).unwrap_err(), Cancelled);
}

#[test]
fn objects_in_the_wrong_place_are_told() {
    let mut memory = Memory::default();
    let chunk = memory.put(ObjectKind::Chunk, "x");
    memory.entries.push(LeafEntry { key: "a".to_owned(), path_key: None, filemeta: chunk });
    let tree = load(&mut memory);
    assert!(only_problem(&tree).1.contains("in the place of a filemeta"));
    let tree = Tree::load(&memory, Some(chunk), true, &CancellationToken::new()).unwrap();
    assert!(only_problem(&tree).1.contains("in the place of a node"));
}
