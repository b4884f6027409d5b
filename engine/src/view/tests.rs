#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::testing::{local, never, reads, snapshot, view};
use crate::object::{EntryType, FileMeta};
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
