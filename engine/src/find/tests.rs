#![allow(clippy::unwrap_used)]

mod memory;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::finding::Finding;
use crate::object::{EntryType, FileMeta};
use crate::progress::Silent;
use crate::tree::memory::{Memory, meta};
use crate::view::testing::{Cancelling, local, never, reads, snapshot};

fn entry((reference, snapshot): &(ObjectRef, Snapshot)) -> SnapshotEntry {
    SnapshotEntry::new(*reference, snapshot)
}

/// Newest first.
fn run(memory: &Memory, snapshots: &[&(ObjectRef, Snapshot)], criteria: &Criteria) -> FindReport {
    let filter = Filter::new(criteria).unwrap();
    let snapshots = snapshots.iter().map(|snapshot| entry(snapshot)).collect();
    search(memory, snapshots, &filter, Warnings::default(), &Silent, &never()).unwrap()
}

fn glob(pattern: &str) -> Criteria {
    Criteria { patterns: vec![pattern.to_owned()], ..Criteria::default() }
}

/// `path size runs`
fn lines(report: &FindReport) -> Vec<String> {
    let line = |it: Match| format!("{} {} {:?}", String::from_utf8_lossy(&it.path), it.info.size, it.snapshots);
    report.matches.iter().map(line).collect()
}

/// 3,000 files in 30 folders and some more.
fn many(memory: &mut Memory, more: &[(&str, &str)]) -> (ObjectRef, Snapshot) {
    for folder in 0..30 {
        memory.folder(format!("d{folder}").as_bytes(), 0o755);
        for file in 0..100 {
            memory.file(format!("d{folder}/{file}").as_bytes(), b"x");
        }
    }
    for (path, data) in more {
        memory.file(path.as_bytes(), data.as_bytes());
    }
    local(memory)
}

#[test]
fn each_entry_is_given_once_with_the_snapshots_that_have_it() {
    let mut memory = Memory::default();
    let first = many(&mut memory, &[("a.log", "1"), ("gone.log", "1")]);
    let second = many(&mut memory, &[("a.log", "22"), ("d3/b.log", "1")]);
    let third = many(&mut memory, &[("a.log", "1"), ("d3/b.log", "1")]);
    let report = run(&memory, &[&third, &second, &first], &glob("*.log"));
    assert_eq!(lines(&report), ["a.log 1 [0..1, 2..3]", "d3/b.log 1 [0..2]", "a.log 2 [1..2]", "gone.log 1 [2..3]"]);
    let found = report.matches.get(0).unwrap();
    assert_eq!((found.count(), found.newest(), found.oldest()), (2, 0, 2));
    assert_eq!(report.warning_count, 0);
}

#[test]
fn what_snapshots_share_is_read_once_and_only_what_fits_is_looked_at() {
    let mut memory = Memory::default();
    let first = many(&mut memory, &[("a.log", "1")]);
    let second = many(&mut memory, &[("a.log", "22")]);
    run(&memory, &[&first], &glob("*.log"));
    let one = reads(&memory);
    assert_eq!(one["filemeta"], 1);
    run(&memory, &[&second, &first, &second], &glob("*.log"));
    let both = reads(&memory);
    assert_eq!(both["filemeta"], 2);
    assert!(both["node"] <= one["node"] + 6, "{both:?} after {one:?}");
}

#[test]
fn what_is_asked_of_metadata_reads_each_filemeta_once() {
    let mut memory = Memory::default();
    let first = many(&mut memory, &[("large", "123456")]);
    let second = many(&mut memory, &[("large", "123456"), ("other", "1")]);
    let report = run(&memory, &[&second, &first], &Criteria { larger: Some(5), ..Criteria::default() });
    assert_eq!(lines(&report), ["large 6 [0..2]"]);
    assert_eq!(reads(&memory)["filemeta"], 3032);
}

#[test]
fn a_lost_node_hides_only_what_is_below_it() {
    let mut memory = Memory::default();
    let first = many(&mut memory, &[("a.log", "1")]);
    let second = many(&mut memory, &[("b.log", "1")]);
    memory.lose(second.1.root.unwrap());
    let report = run(&memory, &[&second, &first], &glob("*.log"));
    assert_eq!(lines(&report), ["a.log 1 [1..2]"]);
    assert_eq!(report.warning_count, 1);
    assert!(report.warnings[0].problem.contains("is missing; the entries below it are left out"));
}

#[test]
fn an_entry_that_lies_about_its_path_is_left_out() {
    let mut memory = Memory::default();
    memory.file(b"good.log", b"1");
    memory.add(FileMeta { file_id: "liar.log".to_owned(), ..meta(b"other") });
    memory.add(meta(b"../../etc/x.log"));
    let shot = local(&mut memory);
    let report = run(&memory, &[&shot], &glob("*.log"));
    assert_eq!(lines(&report), ["good.log 1 [0..1]"]);
    assert_eq!(report.warning_count, 2, "{:?}", report.warnings);
}

#[test]
fn where_ids_are_no_paths_the_tree_is_asked_for_them() {
    let mut memory = Memory::default();
    let folder = FileMeta { file_id: "1".into(), name: "docs".into(), entry_type: EntryType::Folder, ..meta(b"x") };
    memory.add(folder);
    memory.file_with(b"x", b"12", |meta| {
        (meta.file_id, meta.name, meta.parents) = ("2".into(), "a.log".into(), Some(vec!["1".into()]));
    });
    let root = memory.root();
    let shot = snapshot(&mut memory, root, "gdrive");
    let report = run(&memory, &[&shot, &shot], &glob("docs/*.log"));
    assert_eq!(lines(&report), ["docs/a.log 2 [0..2]"]);
    assert!(lines(&run(&memory, &[&shot], &Criteria { larger: Some(2), ..glob("*.log") })).is_empty());
}

#[test]
fn a_search_that_is_cancelled_stops_soon() {
    for source in ["local", "gdrive"] {
        let mut memory = Memory::default();
        let (reference, mut shot) = many(&mut memory, &[]);
        source.clone_into(&mut shot.source.source_type);
        let cancel = never();
        let objects = Cancelling::new(memory, 500, &cancel);
        let filter = Filter::new(&Criteria::default()).unwrap();
        let snapshots = vec![entry(&(reference, shot))];
        let found = search(&objects, snapshots, &filter, Warnings::default(), &Silent, &cancel);
        assert!(matches!(found, Err(QueryError::Cancelled)));
        let read: u32 = reads(&objects.memory).values().sum();
        assert!((500..700).contains(&read), "{source}: {read} of some 3,200 objects were read");
    }
    // One that has nothing to read, neither.
    let mut memory = Memory::default();
    let shot = local(&mut memory);
    let cancel = never();
    cancel.cancel();
    let filter = Filter::new(&Criteria::default()).unwrap();
    let found = search(&memory, vec![entry(&shot)], &filter, Warnings::default(), &Silent, &cancel);
    assert!(matches!(found, Err(QueryError::Cancelled)));
}

/// What was told: the snapshots, and how many objects.
#[derive(Default)]
struct Listener {
    snapshots: Mutex<Vec<(u64, u64)>>,
    objects: AtomicU64,
}

impl Progress for Listener {
    fn phase(&self, _: Phase) {}
    fn expect(&self, _: u64, _: u64) {}
    fn path(&self, _: &str) {}
    fn warning(&self, _: &Warning) {}
    fn finding(&self, _: &Finding<'_>) {}

    fn advance(&self, objects: u64, bytes: u64) {
        assert!(bytes > 0);
        self.objects.fetch_add(objects, Ordering::SeqCst);
    }

    fn snapshot(&self, number: u64, of: u64) {
        self.snapshots.lock().unwrap().push((number, of));
    }
}

#[test]
fn every_object_and_every_snapshot_is_told() {
    let mut memory = Memory::default();
    let first = many(&mut memory, &[("a.log", "1")]);
    let second = many(&mut memory, &[("a.log", "22")]);
    let listener = Arc::<Listener>::default();
    let objects = Told::new(memory, listener.clone());
    let filter = Filter::new(&Criteria::default()).unwrap();
    let snapshots = vec![entry(&second), entry(&first)];
    search(&objects, snapshots, &filter, Warnings::default(), &*listener, &never()).unwrap();
    assert_eq!(*listener.snapshots.lock().unwrap(), [(1, 2), (2, 2)]);
    let read: u32 = reads(objects.inner()).values().sum();
    assert_eq!(listener.objects.load(Ordering::SeqCst), u64::from(read));
}
