#![allow(clippy::unwrap_used, clippy::panic)]

mod moves;
mod random;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::object::{EntryType, Extra, FileMeta, Kind, Node, ObjectKind, Posix, json};
use crate::progress::Silent;
use crate::tree::memory::{Memory, meta};
use crate::view::testing::{Cancelling, local, never, reads, snapshot, view};

fn request() -> DiffRequest {
    DiffRequest::default()
}

fn run(memory: &Arc<Memory>, before: &(ObjectRef, Snapshot), after: &(ObjectRef, Snapshot)) -> DiffReport {
    run_with(memory, before, after, &request()).unwrap()
}

fn run_with(
    memory: &Arc<Memory>,
    before: &(ObjectRef, Snapshot),
    after: &(ObjectRef, Snapshot),
    request: &DiffRequest,
) -> Result<DiffReport, QueryError> {
    let objects: Arc<dyn ReadObjects> = Arc::<Memory>::clone(memory);
    compare(&objects, before.clone(), after.clone(), request, &Silent, &never())
}

/// `M a/b [mode,mtime]`, `R a -> b (3 below)`
fn lines(report: &DiffReport) -> Vec<String> {
    let line = |change: Change| {
        let letter = match change.kind {
            ChangeKind::Removed => 'D',
            ChangeKind::Added => 'A',
            ChangeKind::Type | ChangeKind::Content | ChangeKind::Metadata => 'M',
            ChangeKind::Moved => 'R',
        };
        let mut line = format!("{letter} ");
        if let Some(from) = &change.from {
            line += &format!("{} -> ", String::from_utf8_lossy(from));
        }
        line += &String::from_utf8_lossy(&change.path);
        if !change.fields.is_empty() {
            line += &format!(" {:?}", change.fields);
        }
        let below = change.below.files + change.below.folders + change.below.others;
        if below > 0 {
            line += &format!(" (+{below})");
        }
        line
    };
    report.changes.iter().map(line).collect()
}

/// 20,000 files in 200 folders, one of them with this content.
fn many(memory: &mut Memory, content: &[u8]) -> (ObjectRef, Snapshot) {
    for folder in 0..200 {
        memory.folder(format!("d{folder}").as_bytes(), 0o755);
        for file in 0..100 {
            let content = if (folder, file) == (77, 7) { content } else { b"same" };
            memory.file(format!("d{folder}/{file}").as_bytes(), content);
        }
    }
    local(memory)
}

#[test]
fn one_changed_file_of_twenty_thousand_reads_two_ways_down_and_two_filemetas() {
    let mut memory = Memory::default();
    let before = many(&mut memory, b"old");
    let after = many(&mut memory, b"new!");
    let memory = Arc::new(memory);
    let report = run(&memory, &before, &after);
    assert_eq!(lines(&report), ["M d77/7 [Content]"]);
    assert_eq!((report.totals.modified.bytes, report.totals.modified_bytes_before), (4, 3));
    let read = reads(&memory);
    assert_eq!(read.get("filemeta"), Some(&2));
    assert!((4..=10).contains(&read["node"]), "{read:?}");
    assert_eq!(read.len(), 2, "{read:?}");

    assert!(run(&memory, &after, &after).changes.is_empty());
    assert!(reads(&memory).is_empty(), "the same root is not even read");
}

#[test]
fn a_comparison_that_is_cancelled_stops_soon() {
    let mut memory = Memory::default();
    let after = many(&mut memory, b"same");
    let before = snapshot(&mut memory, None, "local");
    // While nodes are read, and while filemetas are.
    for left in [100, 3000] {
        let cancel = never();
        let objects = Arc::new(Cancelling::new(std::mem::take(&mut memory), left, &cancel));
        let shared: Arc<dyn ReadObjects> = Arc::<Cancelling>::clone(&objects);
        let compared = compare(&shared, before.clone(), after.clone(), &request(), &Silent, &cancel);
        assert!(matches!(compared, Err(QueryError::Cancelled)));
        drop(shared);
        memory = Arc::into_inner(objects).unwrap().memory;
        let read: u32 = reads(&memory).values().sum();
        assert!((left as u32..left as u32 + 200).contains(&read), "{read} of more than 20,000 objects were read");
    }
}

#[test]
fn a_hundred_new_files_in_one_folder_read_little_more_than_themselves() {
    let mut memory = Memory::default();
    let before = many(&mut memory, b"same");
    for file in 0..100 {
        memory.file(format!("d5/new {file}").as_bytes(), format!("{file}").as_bytes());
    }
    let after = many(&mut memory, b"same");
    let memory = Arc::new(memory);
    assert_eq!(run(&memory, &before, &after).totals.added.files, 100);
    let read = reads(&memory);
    // Entries of one folder lie in one part of the tree.
    assert!(read["filemeta"] == 100 && read["node"] < 100, "{read:?}");
}

#[test]
fn what_of_an_entry_differs_is_told() {
    let mut memory = Memory::default();
    let posix = |change: fn(&mut Posix)| {
        let mut posix = Posix::default();
        change(&mut posix);
        Extra::from_posix(posix)
    };
    type Change = (&'static str, Box<dyn Fn(&mut FileMeta)>, Field);
    let changes: Vec<Change> = vec![
        ("mode", Box::new(|m| m.mode = 0o600), Field::Mode),
        ("uid", Box::new(|m| m.uid = 5), Field::Owner),
        ("owner", Box::new(|m| m.owner = "ada".into()), Field::Owner),
        ("mtime", Box::new(|m| m.mtime += 1), Field::Mtime),
        ("nsec", Box::new(move |m| m.extra = posix(|p| p.mtime_nsec = 1)), Field::Mtime),
        ("btime", Box::new(|m| m.btime = 1), Field::Btime),
        ("flags", Box::new(|m| m.flags = 0x10), Field::Flags),
        ("xattrs", Box::new(|m| _ = m.xattrs.insert("user.a".into(), "eA==".into())), Field::Xattrs),
        ("hardlink", Box::new(move |m| m.extra = posix(|p| p.hardlink = Some("mode".into()))), Field::Hardlink),
        ("sparse", Box::new(move |m| m.extra = posix(|p| p.sparse = true)), Field::Sparse),
        ("target", Box::new(move |m| m.extra = posix(|p| p.target = Some("x".into()))), Field::Target),
        ("device", Box::new(move |m| m.extra = posix(|p| p.rdev_major = Some(1))), Field::Device),
        ("version", Box::new(|m| m.version = 1), Field::Other),
        ("type", Box::new(|m| m.entry_type = EntryType::Folder), Field::Type),
        ("kind", Box::new(move |m| m.extra = posix(|p| p.kind = Some(Kind::Fifo))), Field::Type),
    ];
    for (path, ..) in &changes {
        memory.add(meta(path.as_bytes()));
    }
    let before = local(&mut memory);
    for (path, change, _) in &changes {
        let mut meta = meta(path.as_bytes());
        change(&mut meta);
        memory.add(meta);
    }
    let after = local(&mut memory);
    let report = run(&Arc::new(memory), &before, &after);
    let found: BTreeMap<_, _> =
        report.changes.iter().map(|c| (String::from_utf8_lossy(&c.path).into_owned(), c)).collect();
    assert_eq!(found.len(), changes.len());
    for (path, _, field) in changes {
        assert_eq!(found[path].fields, [field], "{path}");
        let kind = if field == Field::Type { ChangeKind::Type } else { ChangeKind::Metadata };
        assert_eq!(found[path].kind, kind, "{path}");
    }
    assert_eq!(report.totals.metadata.files, 13);
}

/// Builds the two states of a test.
fn states(before: impl Fn(&mut Memory), after: impl Fn(&mut Memory)) -> (Arc<Memory>, [(ObjectRef, Snapshot); 2]) {
    let mut memory = Memory::default();
    before(&mut memory);
    let first = local(&mut memory);
    after(&mut memory);
    let second = local(&mut memory);
    (Arc::new(memory), [first, second])
}

fn files(memory: &mut Memory, files: &[(&str, &str)]) {
    let mut folders: Vec<&str> = files.iter().filter_map(|(path, _)| Some(path.rsplit_once('/')?.0)).collect();
    folders.sort_unstable();
    folders.dedup();
    for folder in folders {
        memory.folder(folder.as_bytes(), 0o755);
    }
    for (path, data) in files {
        memory.file(path.as_bytes(), data.as_bytes());
    }
}

#[test]
fn only_what_is_at_some_paths() {
    let (memory, [before, after]) = states(
        |m| files(m, &[("a/1", "x"), ("ab", "x"), ("c", "x")]),
        |m| files(m, &[("a/1", "y"), ("ab", "y"), ("c", "x")]),
    );
    let at = |path: &str| {
        let request = DiffRequest { paths: vec![path.as_bytes().to_vec()], ..request() };
        run_with(&memory, &before, &after, &request).map(|report| lines(&report).len()).map_err(|why| why.to_string())
    };
    assert_eq!((at("a"), at("/a/1/"), at("c"), at("/")), (Ok(1), Ok(1), Ok(0), Ok(2)));
    assert!(at("nothing").unwrap_err().contains("nothing is not in snapshot/"));
}

#[test]
fn what_cannot_be_read_is_told_and_hides_nothing_else() {
    let mut memory = Memory::default();
    let before = many(&mut memory, b"old");
    memory.file(b"d3/added", b"new");
    let after = many(&mut memory, b"new!");
    let leaf = leaf_of(&memory, before.1.root, "d77/7");
    memory.lose(leaf);
    let memory = Arc::new(memory);
    let report = run(&memory, &before, &after);
    assert_eq!(lines(&report), ["A d3/added"]);
    assert_eq!(report.warning_count, 1);
    assert_eq!(report.warnings[0].path, leaf.to_string());
    assert!(report.warnings[0].problem.contains("is missing; the entries below it are not compared"));
}

/// The leaf that has an entry.
fn leaf_of(memory: &Memory, root: Option<ObjectRef>, key: &str) -> ObjectRef {
    let mut level: Vec<ObjectRef> = root.into_iter().collect();
    while let Some(node) = level.pop() {
        match crate::tree::read_json(memory, &node).unwrap() {
            Node::Leaf(leaf) if leaf.entries.iter().any(|entry| entry.key == key) => return node,
            Node::Leaf(_) => {}
            Node::Internal { children, .. } => level.extend(children),
        }
    }
    panic!("{key} is nowhere")
}

#[test]
fn a_damaged_filemeta_is_told_by_its_path() {
    let mut memory = Memory::default();
    files(&mut memory, &[("a", "1"), ("b", "1")]);
    let before = local(&mut memory);
    files(&mut memory, &[("a", "2"), ("b", "2")]);
    let lost = memory.entries[0].filemeta;
    let after = local(&mut memory);
    memory.lose(lost);
    let report = run(&Arc::new(memory), &before, &after);
    assert_eq!(lines(&report), ["M b [Content]"]);
    assert_eq!((report.warning_count, report.warnings[0].path.as_str()), (1, "a"));
}

#[test]
fn shapes_that_no_careful_writer_makes_are_compared_all_the_same() {
    let mut memory = Memory::default();
    for n in 0..100 {
        memory.file(format!("f{n}").as_bytes(), b"same");
    }
    memory.file(b"only before", b"1");
    let entries = memory.entries.clone();
    let before = local(&mut memory);
    // The same entries and another one, in leaves without routing under a node whose bitmap is wrong.
    memory.entries = entries;
    memory.entries.retain(|entry| entry.key != "only before");
    memory.file(b"only after", b"2");
    let root = memory.root();
    let after = snapshot(&mut memory, root, "local");
    let memory = Arc::new(memory);
    assert_eq!(lines(&run(&memory, &before, &after)), ["A only after", "D only before"]);
    assert_eq!(lines(&run(&memory, &after, &before)), ["D only after", "A only before"]);
}

#[test]
fn nodes_that_are_there_twice_do_not_multiply_the_work() {
    let mut memory = Memory::default();
    memory.file(b"f", b"1");
    let mut node = canonical_leaf(&mut memory);
    for _ in 0..6 {
        let children = vec![node; 32];
        node = memory.put(ObjectKind::Node, json::encode(&Node::Internal { bitmap: u32::MAX, children }));
    }
    let before = snapshot(&mut memory, Some(node), "local");
    memory.file(b"g", b"1");
    let after = local(&mut memory);
    let memory = Arc::new(memory);
    let report = run(&memory, &before, &after);
    assert!(report.warning_count > 0);
    assert!(reads(&memory)["node"] < 300);
}

fn canonical_leaf(memory: &mut Memory) -> ObjectRef {
    crate::view::testing::canonical(memory).unwrap()
}

/// Entries whose fileIds are no paths: `(id, parent, name, data)`.
fn cloud(memory: &mut Memory, entries: &[(&str, &str, &str, Option<&str>)]) -> (ObjectRef, Snapshot) {
    for (id, parent, name, data) in entries {
        let place = |meta: &mut FileMeta| {
            (*id).clone_into(&mut meta.file_id);
            (*name).clone_into(&mut meta.name);
            meta.parents = (!parent.is_empty()).then(|| vec![(*parent).to_owned()]);
        };
        match data {
            Some(data) => _ = memory.file_with(b"x", data.as_bytes(), place),
            None => {
                let mut folder = FileMeta { entry_type: EntryType::Folder, ..meta(b"x") };
                place(&mut folder);
                memory.add(folder);
            }
        }
    }
    let root = memory.root();
    memory.entries.clear();
    snapshot(memory, root, "gdrive")
}

#[test]
fn where_ids_are_no_paths_the_tree_gives_them_and_a_move_keeps_its_id() {
    let mut memory = Memory::default();
    let before = cloud(&mut memory, &[("1", "", "docs", None), ("2", "1", "a", Some("x")), ("3", "1", "b", Some("y"))]);
    let after = cloud(&mut memory, &[("1", "", "docs", None), ("2", "1", "c", Some("x")), ("3", "1", "b", Some("z"))]);
    let report = run(&Arc::new(memory), &before, &after);
    assert_eq!(lines(&report), ["M docs/b [Content]", "R docs/a -> docs/c [Path]"]);
}
