//! Files that change, fail or vanish while they are backed up: what is stored is sound, what is not is told, and the
//! next backup makes it good.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use cloudstic_e2e::random;
use cloudstic_engine::backup::{BackupReport, BackupRequest};
use cloudstic_engine::object::Hash;

use crate::fake::{Event, Fake};
use crate::support::{Bench, platform_key};

/// Sizes whose bytes are stored inside the content object, and in chunks.
const SIZES: [usize; 2] = [3000, 1_700_000];

/// A backup of a fake source, after which the repository is sound.
async fn backup(bench: &Bench, source: &Fake) -> BackupReport {
    let source = Arc::new(source.clone());
    let request = BackupRequest { source: source.clone(), clock: source, ..bench.request() };
    let report = bench.run(request).await.unwrap();
    bench.verify();
    report
}

/// Files by path: their sizes and the hashes of their bytes.
type Files = BTreeMap<String, (usize, Hash)>;

/// What the latest snapshot restores to.
async fn restored(bench: &Bench) -> Files {
    let target = tempfile::tempdir().unwrap();
    let report = bench.restore("latest", target.path()).await.unwrap();
    assert_eq!(report.warnings, []);
    let mut files = BTreeMap::new();
    let mut folders = vec![target.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(target.path()).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                folders.push(path);
            } else {
                let data = fs::read(path).unwrap();
                files.insert(name, (data.len(), Hash::of(&data)));
            }
        }
    }
    files
}

/// The paths of a report's warnings; fails unless all of them say `problem`.
fn warned<'a>(report: &'a BackupReport, problem: &str) -> Vec<&'a str> {
    for warning in &report.warnings {
        assert!(warning.problem.contains(problem), "{warning:?}");
        assert!(!warning.problem.starts_with(&warning.path), "the path comes twice: {warning:?}");
    }
    report.warnings.iter().map(|warning| warning.path.as_str()).collect()
}

fn files<const N: usize>(files: [(&str, &Vec<u8>); N]) -> Files {
    files.into_iter().map(|(name, data)| (name.to_owned(), (data.len(), Hash::of(data)))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_once_is_stored_as_it_is_now_without_a_warning() {
    for size in SIZES {
        let (bench, source) = (Bench::new(vec![platform_key()]).await, Fake::new());
        let (old, new) = (random::bytes(1, size), random::bytes(2, size));
        source.file("file", &old, vec![Event::Change(new.clone())]);
        let report = backup(&bench, &source).await;
        assert_eq!((report.warnings.as_slice(), report.files.new), (&[][..], 1));
        assert_eq!(restored(&bench).await, files([("file", &new)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_twice_is_stored_as_it_was_read_with_a_warning_and_read_again_next_time() {
    for size in SIZES {
        let (bench, source) = (Bench::new(Vec::new()).await, Fake::new());
        let versions = [1, 2, 3].map(|seed| random::bytes(seed, size));
        let events = versions[1..].iter().cloned().map(Event::Change).collect();
        source.file("file", &versions[0], events);
        let report = backup(&bench, &source).await;
        assert_eq!(warned(&report, "changed while it was read"), ["file"]);
        let stored = restored(&bench).await;
        let seen = [&versions[1][..size / 2], &versions[2][size / 2..]].concat();
        assert_eq!(stored, files([("file", &seen)]));
        // Long after: the times of the file alone would say that it is as it was stored.
        source.pass(Duration::from_secs(60));
        let report = backup(&bench, &source).await;
        assert_eq!(report.warnings, []);
        assert_eq!(restored(&bench).await, files([("file", &versions[2])]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_outgrows_its_content_object_while_it_is_read_is_stored_in_chunks() {
    let (bench, source) = (Bench::new(vec![platform_key()]).await, Fake::new());
    let long = random::bytes(1, 700_000);
    source.file("once", &long[..500_000], vec![Event::Change(long.clone())]);
    let longer = random::bytes(1, 900_000);
    let grow = vec![Event::Change(long.clone()), Event::Change(longer.clone())];
    source.file("twice", &longer[..524_288], grow);
    let shrink = vec![Event::Change(long[..400_000].to_vec())];
    source.file("shorter", &long, shrink);
    let report = backup(&bench, &source).await;
    assert_eq!(warned(&report, "changed while it was read"), ["twice"]);
    let expected = files([("once", &long), ("shorter", &long[..400_000].to_vec()), ("twice", &longer)]);
    assert_eq!(restored(&bench).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_or_vanishes_is_left_out_with_a_warning_and_the_rest_is_stored() {
    let (bench, source) = (Bench::new(vec![platform_key()]).await, Fake::new());
    let data = SIZES.map(|size| random::bytes(1, size));
    source.folder("folder");
    source.file("folder/good", &data[0], vec![]);
    source.file("folder/broken", &data[0], vec![Event::Fail]);
    source.file("folder/large and broken", &data[1], vec![Event::Fail]);
    source.file("gone", &data[0], vec![Event::Vanish]);
    let report = backup(&bench, &source).await;
    let mut paths: Vec<_> = report.warnings.iter().map(|warning| warning.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["folder/broken", "folder/large and broken", "gone"]);
    assert_eq!(restored(&bench).await, files([("folder/good", &data[0])]));
    // The disk has recovered; nothing else is different.
    let report = backup(&bench, &source).await;
    assert_eq!((report.warnings.as_slice(), report.files.new), (&[][..], 2));
    let all = [("folder/good", &data[0]), ("folder/broken", &data[0]), ("folder/large and broken", &data[1])];
    assert_eq!(restored(&bench).await, files(all));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_a_folder_that_vanishes_can_be_restored() {
    for cache in [true, false] {
        let (mut bench, source) = (Bench::new(Vec::new()).await, Fake::new());
        bench.cache = bench.cache.filter(|_| cache);
        let data = random::bytes(1, 3000);
        source.folder("folder");
        source.folder("folder/below");
        source.file("folder/below/file", &data, vec![]);
        source.lose("folder");
        for _ in 0..2 {
            let report = backup(&bench, &source).await;
            assert_eq!(warned(&report, "vanished"), ["folder"]);
            assert_eq!(restored(&bench).await, files([("folder/below/file", &data)]));
            // The second time with another entry: what was known of the first does not help.
            source.pass(Duration::from_secs(60));
            source.file("folder/below/file", &data, vec![]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_first_name_of_a_file_cannot_be_stored_the_next_one_is_the_first() {
    for (size, cache) in [(SIZES[0], true), (SIZES[1], true), (SIZES[0], false)] {
        // How many of the names fail.
        for lost in 1..=3 {
            let (mut bench, source) = (Bench::new(vec![platform_key()]).await, Fake::new());
            bench.cache = bench.cache.filter(|_| cache);
            let data = random::bytes(1, size);
            let names = ["a", "b", "c", "d"];
            let events = |at: usize| if at < lost { vec![Event::Fail] } else { vec![] };
            source.file(names[0], &data, events(0));
            for (at, name) in names.iter().enumerate().skip(1) {
                source.link(name, names[0], events(at));
            }
            let report = backup(&bench, &source).await;
            let warned = warned(&report, "cannot be read").len();
            assert!((1..=lost).contains(&warned), "{:?}", report.warnings);
            let stored = restored(&bench).await;
            assert_eq!(stored.len() + warned, names.len(), "{:?}", stored.keys());
            assert!(stored.contains_key("d") && stored.values().all(|(_, hash)| *hash == Hash::of(&data)));
            if lost == 1 {
                assert_eq!(links(&bench, "b").await, 3, "the names that are left are one file");
            }
            // All can be read again, and are one file again, as if nothing had been.
            source.calm();
            let report = backup(&bench, &source).await;
            assert_eq!(report.warnings, []);
            assert_eq!(restored(&bench).await, files(names.map(|name| (name, &data))));
            assert_eq!(links(&bench, "a").await, 4);
        }
    }
}

/// How many names a restored file has.
async fn links(bench: &Bench, name: &str) -> u64 {
    let target = tempfile::tempdir().unwrap();
    bench.restore("latest", target.path()).await.unwrap();
    fs::metadata(target.path().join(name)).unwrap().nlink()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_the_same_tick_of_the_clock_is_seen_by_the_next_backup() {
    for size in SIZES {
        let versions = [1, 2, 3].map(|seed| random::bytes(seed, size));
        let unseen = || Event::ChangeUnseen(versions[2].clone());
        // At the first look, and at the second one, after a change while it was read.
        for events in [vec![unseen()], vec![Event::Change(versions[1].clone()), unseen()]] {
            let (bench, source) = (Bench::new(Vec::new()).await, Fake::new());
            let first = if events.len() == 1 { &versions[0] } else { &versions[1] };
            source.file("file", &versions[0], events);
            assert_eq!(backup(&bench, &source).await.warnings, []);
            assert_eq!(restored(&bench).await, files([("file", first)]));
            source.pass(Duration::from_secs(60));
            backup(&bench, &source).await;
            assert_eq!(restored(&bench).await, files([("file", &versions[2])]), "the second version was lost");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_changed_for_long_is_not_read_again() {
    let (bench, source) = (Bench::new(Vec::new()).await, Fake::new());
    source.file("old", b"old", vec![]);
    source.pass(Duration::from_secs(1));
    source.file("new", b"new", vec![]);
    backup(&bench, &source).await;
    assert_eq!(source.take_opened(), ["new", "old"]);
    source.pass(Duration::from_secs(1));
    // What was new the first time might have changed again in the same tick; now it is known not to have.
    for read in [vec!["new"], vec![]] {
        backup(&bench, &source).await;
        assert_eq!(source.take_opened(), read);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_snapshot_lacks_is_told_by_every_backup_that_lacks_it_still() {
    for cache in [true, false] {
        let (mut bench, source) = (Bench::new(vec![platform_key()]).await, Fake::new());
        bench.cache = bench.cache.filter(|_| cache);
        source.folder("folder");
        source.folder("lost");
        source.lose("lost");
        source.file("folder/good", b"good", vec![]);
        source.file("folder/small", &random::bytes(1, SIZES[0]), vec![]);
        source.file("large", &random::bytes(2, SIZES[1]), vec![]);
        source.link("second", "large", vec![]);
        let murky = ["folder", "folder/small", "large", "second"];
        murky.into_iter().for_each(|path| source.hide_attribute(path));
        source.pass(Duration::from_secs(60));
        let mut roots = Vec::new();
        for opened in [vec!["folder/good", "folder/small", "large"], vec![], vec![]] {
            let report = backup(&bench, &source).await;
            let mut told: Vec<_> = report.warnings.iter().map(|warning| warning.path.as_str()).collect();
            told.sort_unstable();
            assert_eq!(told, ["folder", "folder/small", "large", "lost", "second"], "with a cache: {cache}");
            assert_eq!(source.take_opened(), opened, "with a cache: {cache}");
            roots.push(report.root);
        }
        assert!(roots[0] == roots[1] && roots[1] == roots[2], "{roots:?}");
        source.calm();
        for _ in 0..2 {
            assert_eq!(backup(&bench, &source).await.warnings, []);
            assert_eq!(source.take_opened(), Vec::<String>::new());
        }
    }
}
