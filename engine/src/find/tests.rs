#![allow(clippy::unwrap_used)]

mod memory;

use super::*;
use crate::object::{EntryType, FileMeta};
use crate::progress::Silent;
use crate::tree::memory::{Memory, meta};
use crate::view::testing::{local, never, reads, snapshot};

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

/// Cancels when it is asked for the filemeta with this number, and counts on.
struct Cancels {
    memory: Memory,
    left: std::sync::atomic::AtomicUsize,
    cancel: CancellationToken,
}

impl ReadObjects for Cancels {
    fn read(&self, object: &ObjectRef) -> Result<bytes::Bytes, crate::repository::ReadError> {
        if self.left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 1 {
            self.cancel.cancel();
        }
        self.memory.read(object)
    }

    fn locality(&self, object: &ObjectRef) -> (u32, u64) {
        self.memory.locality(object)
    }

    fn catalog(&self) -> Arc<crate::pack::Catalog> {
        self.memory.catalog()
    }

    fn name_contents(&self) -> Arc<dyn crate::tree::NameContents> {
        self.memory.name_contents()
    }
}

#[test]
fn a_search_that_is_cancelled_stops_soon() {
    for source in ["local", "gdrive"] {
        let mut memory = Memory::default();
        let (reference, mut shot) = many(&mut memory, &[]);
        source.clone_into(&mut shot.source.source_type);
        let cancel = never();
        let objects = Cancels { memory, left: 500.into(), cancel: cancel.clone() };
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
