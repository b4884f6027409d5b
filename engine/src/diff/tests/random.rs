//! Pairs of random trees.

use proptest::prelude::*;

use super::*;
use crate::view::path_order;

type Listing = BTreeMap<Vec<u8>, crate::object::Hash>;

fn listing(memory: &Arc<Memory>, snapshot: &(ObjectRef, Snapshot)) -> Listing {
    let tree = view(memory, snapshot).tree(&never()).unwrap();
    assert_eq!(tree.problem_count(), 0, "{:?}", tree.problems());
    tree.entries().map(|entry| (tree.path(entry.id), *entry.filemeta)).collect()
}

/// Applies a diff to a listing.
fn apply(mut listing: Listing, report: &DiffReport) -> Listing {
    let after = |change: &Change| change.after.as_ref().unwrap().reference.hash;
    for change in report.changes.iter() {
        match change.kind {
            ChangeKind::Removed => _ = listing.remove(&change.path).unwrap(),
            ChangeKind::Added => assert_eq!(listing.insert(change.path.clone(), after(&change)), None),
            _ => assert_ne!(listing.insert(change.path.clone(), after(&change)), Some(after(&change))),
        }
    }
    listing
}

/// A small tree: folders `0` to `3`, in them files with small contents, some below a second folder.
fn small() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
    proptest::collection::vec((0u8..4, 0u8..12, 0u8..5), 0..60)
}

fn build(memory: &mut Memory, tree: &[(u8, u8, u8)], canonical: bool) -> (ObjectRef, Snapshot) {
    let mut all: BTreeMap<String, Option<String>> = BTreeMap::new();
    for (folder, name, content) in tree {
        let folder = if name % 3 == 0 { format!("{folder}/sub") } else { folder.to_string() };
        all.insert(folder.split('/').next().unwrap().to_owned(), None);
        all.insert(folder.clone(), None);
        all.insert(format!("{folder}/f{name}"), Some("c".repeat(usize::from(*content))));
    }
    for (path, data) in &all {
        match data {
            None => _ = memory.folder(path.as_bytes(), 0o755),
            Some(data) => _ = memory.file(path.as_bytes(), data.as_bytes()),
        }
    }
    if canonical {
        return local(memory);
    }
    let root = memory.root();
    memory.entries.clear();
    snapshot(memory, root, "local")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_diff_makes_the_second_listing_of_the_first(a in small(), b in small(), odd in any::<[bool; 2]>()) {
        let mut memory = Memory::default();
        let before = build(&mut memory, &a, odd[0]);
        let after = build(&mut memory, &b, odd[1]);
        let memory = Arc::new(memory);
        let flat = run_with(&memory, &before, &after, &DiffRequest { no_renames: true, ..request() }).unwrap();
        prop_assert_eq!(flat.warning_count, 0, "{:?}", flat.warnings);
        let (first, second) = (listing(&memory, &before), listing(&memory, &after));
        prop_assert_eq!(apply(first.clone(), &flat), second.clone());
        prop_assert!(flat.changes.iter().is_sorted_by(|a, b| path_order(&a.path, &b.path).is_lt()));

        // With renames the same entries are accounted for.
        let report = run(&memory, &before, &after);
        let gone: u64 = report.totals.removed.files + report.totals.moved.files;
        prop_assert_eq!(gone, flat.totals.removed.files);
        let come: u64 = report.totals.added.files + report.totals.moved.files;
        prop_assert_eq!(come, flat.totals.added.files);
        prop_assert!(run(&memory, &before, &before).changes.is_empty());
    }
}
