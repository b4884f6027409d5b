#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::testing::{local, never, reads, snapshot, view};
use crate::object::{EntryType, FileMeta, ObjectRef};
use crate::tree::Tree;

use crate::tree::memory::{Memory, meta};

/// 2,000 files in 20 folders.
fn many() -> Memory {
    let mut memory = Memory::default();
    for folder in 0..20 {
        memory.folder(format!("d{folder}").as_bytes(), 0o755);
        for file in 0..100 {
            memory.file(format!("d{folder}/{file}").as_bytes(), b"x");
        }
    }
    memory
}

#[test]
fn a_path_is_found_by_reading_one_way_down_the_tree() {
    let mut memory = many();
    memory.file(b"d7/not \xff utf-8", b"y");
    let snapshot = local(&mut memory);
    let memory = Arc::new(memory);
    let view = view(&memory, &snapshot);
    for path in [&b"d7/12"[..], b"/d7//12/", b"d7/not \xff utf-8", b"d3"] {
        let found = view.entry(path, &never()).unwrap().unwrap();
        assert_eq!(found.meta.name_bytes().unwrap(), path.split(|&b| b == b'/').rfind(|it| !it.is_empty()).unwrap());
        let reads = reads(&memory);
        assert!(reads["node"] <= 5 && reads["filemeta"] == 1, "{reads:?}");
    }
    assert!(view.entry(b"d7/nothing", &never()).unwrap().is_none());
    assert!(view.entry(b"/", &never()).unwrap().is_none());
}

#[test]
fn in_doubt_the_whole_tree_decides() {
    let mut memory = many();
    // Its fileId is not its path, as in a cloud source.
    memory.add(FileMeta { file_id: "0123".to_owned(), ..meta(b"d7/cloud") });
    // Its fileId is a path, but not its own.
    let liar = FileMeta { file_id: "d7/liar".to_owned(), ..meta(b"d8/other") };
    memory.add(liar);
    let cloud = memory.root();
    let shot = snapshot(&mut memory, cloud, "local");
    let memory = Arc::new(memory);
    let view = view(&memory, &shot);
    let id = |path: &[u8]| view.entry(path, &never()).unwrap().map(|found| found.meta.file_id);
    assert_eq!(id(b"d7/cloud").as_deref(), Some("0123"));
    assert_eq!(id(b"d8/other").as_deref(), Some("d7/liar"));
    assert_eq!(id(b"d7/liar"), None);
    assert_eq!(id(b"d9/5").as_deref(), Some("d9/5"));
    assert_eq!(id(b"0123"), None);
    reads(&memory);
    assert_eq!(view.entry(b"d7", &never()).unwrap().unwrap().meta.entry_type, EntryType::Folder);
    assert!(reads(&memory).values().sum::<u32>() < 10, "the tree is loaded once");
}

/// What lies in a folder by the whole tree.
fn children(tree: &Tree, folder: &[u8]) -> Vec<(Vec<u8>, String)> {
    let parent = if folder.is_empty() { None } else { tree.find(folder) };
    let children = tree.entries().filter(|entry| entry.parent == parent);
    children.map(|entry| (tree.path(entry.id), format!("filemeta/{}", entry.filemeta))).collect()
}

fn listed(view: &super::SnapshotView, path: &[u8]) -> Option<Vec<(Vec<u8>, String)>> {
    let listed = view.list(path, &never()).unwrap()?;
    assert!(listed.warnings.is_empty(), "{:?}", listed.warnings);
    Some(listed.entries.into_iter().map(|(path, info)| (path, info.reference.to_string())).collect())
}

#[test]
fn a_folder_is_listed_without_the_rest_and_as_the_tree_has_it() {
    let mut memory = many();
    memory.folder(b"d7/deep", 0o755);
    memory.folder(b"d7/deep/\xff", 0o755);
    memory.file(b"d7/deep/\xff/f", b"z");
    memory.file(b"top.txt", b"z");
    memory.symlink(b"d7/link", "x");
    let snapshot = local(&mut memory);
    let memory = Arc::new(memory);
    let view = view(&memory, &snapshot);
    for folder in [&b""[..], b"d7", b"d7/deep", b"d7/deep/\xff", b"d19"] {
        let found = listed(&view, folder).unwrap();
        let reads = reads(&memory);
        assert!(reads["node"] <= 40 && reads["filemeta"] as usize <= found.len() + 1, "{folder:?}: {reads:?}");
        let tree = Tree::load(&*memory, snapshot.1.root, true, &never()).unwrap();
        self::reads(&memory);
        assert_eq!(found, children(&tree, folder), "{folder:?}");
    }
    assert_eq!(listed(&view, b"/top.txt").unwrap()[0].0, b"top.txt");
    // Whether there is anything, the tree has to tell.
    assert_eq!(listed(&view, b"nothing"), None);
}

#[test]
fn a_folder_of_a_tree_with_another_routing_is_left_to_the_tree() {
    let mut memory = many();
    let root = memory.root();
    let shot = snapshot(&mut memory, root, "local");
    let view = view(&Arc::new(memory), &shot);
    assert_eq!((listed(&view, b""), listed(&view, b"d7")), (None, None));
}

#[test]
fn what_of_a_folder_is_lost_is_told() {
    let mut memory = many();
    let lost: ObjectRef = memory.entries.iter().find(|entry| entry.key == "d7/12").unwrap().filemeta;
    let shot = local(&mut memory);
    memory.lose(lost);
    let view = view(&Arc::new(memory), &shot);
    let found = view.list(b"d7", &never()).unwrap().unwrap();
    assert_eq!((found.entries.len(), found.warnings.len()), (99, 1));
    assert_eq!(found.warnings[0].path, "d7/12");
}

#[tokio::test]
async fn work_that_nobody_waits_for_any_more_is_cancelled() {
    let (begins, begun) = tokio::sync::oneshot::channel();
    let (ends, ended) = tokio::sync::oneshot::channel();
    let mut work = Box::pin(super::blocking(never(), move |cancel| {
        begins.send(()).unwrap();
        futures::executor::block_on(cancel.cancelled());
        ends.send(()).unwrap();
        Err::<(), _>(crate::tree::Cancelled)
    }));
    tokio::select! {
        _ = &mut work => unreachable!("it waits"),
        begun = begun => begun.unwrap(),
    }
    drop(work);
    ended.await.unwrap();
}
