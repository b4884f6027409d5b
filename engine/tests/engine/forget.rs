//! Forgetting and tagging in repositories of the CLI and in our own, judged by another reader of the format.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cloudstic_e2e::{golden, oracle};
use cloudstic_engine::clock::FixedClock;
use cloudstic_engine::forget::{
    Cause, Fate, ForgetError, ForgetReport, ForgetRequest, GroupBy, Policy, Reason, Selection, Zone, forget,
};
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::object::{ObjectRef, SnapshotEntry, SourceInfo};
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repository::{Repository, RepositoryError, SnapshotFilter, SnapshotSelection};
use cloudstic_engine::tag::{TagChange, TagReport, TagRequest, tag};
use tokio_util::sync::CancellationToken;

use crate::support::{Bench, PLATFORM_KEY, open, platform_key, restore};

const GOLDEN: [&str; 3] = ["plain", "encrypted", "nopack"];
const CREDENTIAL: [&str; 2] = ["--platform-key", PLATFORM_KEY];

fn request(selection: Selection) -> ForgetRequest {
    ForgetRequest {
        selection,
        group_by: GroupBy::default(),
        remove_last: false,
        dry_run: false,
        // Later than any snapshot.
        clock: Arc::new(FixedClock(SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000))),
        zone: Zone::system(),
        lease: LeaseWatch::not_needed(),
    }
}

fn keep_last(last: u32) -> ForgetRequest {
    request(Selection::Policy { filter: SnapshotFilter::default(), policy: Policy { last, ..Policy::default() } })
}

fn named(names: &[&str]) -> ForgetRequest {
    request(Selection::Named(names.iter().map(|name| (*name).to_owned()).collect()))
}

async fn run(repository: &Arc<Repository>, request: ForgetRequest) -> Result<ForgetReport, ForgetError> {
    forget(Arc::clone(repository), request, Arc::new(Silent), CancellationToken::new()).await
}

async fn change(
    repository: &Arc<Repository>,
    selection: SnapshotSelection,
    change: TagChange,
    dry_run: bool,
) -> TagReport {
    let request = TagRequest { selection, change, dry_run, lease: LeaseWatch::not_needed() };
    tag(Arc::clone(repository), request, Arc::new(Silent), CancellationToken::new()).await.unwrap()
}

/// The snapshots of a golden repository, oldest first.
fn recorded(name: &str) -> Vec<String> {
    let list = golden::expected(name, "list.json");
    list["Snapshots"].as_array().unwrap().iter().rev().map(|s| s["Ref"].as_str().unwrap().to_owned()).collect()
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()).into_iter().map(|(path, bytes)| (format!("{name}/{path}"), bytes)));
        } else {
            found.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
    found
}

/// What the oracle says of the repository that another program finds there.
fn verified(path: &Path) -> serde_json::Value {
    let args = ["verify", path.to_str().unwrap(), "--json"];
    serde_json::from_str(&oracle::oracle(args.into_iter().chain(CREDENTIAL)).ok().text()).unwrap()
}

async fn list(path: &Path) -> Vec<String> {
    let repository = open(path, vec![platform_key()]).await;
    repository.snapshots().await.unwrap().readable.iter().map(|entry| entry.reference.key()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_of_the_clis_snapshots_what_the_cli_says_and_changes_nothing() {
    for name in GOLDEN {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("repository");
        golden::copy(name, &path);
        let repository = open(&path, vec![platform_key()]).await;
        let before = files(&path);
        let report = run(&repository, ForgetRequest { dry_run: true, ..keep_last(100) }).await.unwrap();
        let [group] = &report.groups[..] else { panic!("{:?}", report.groups) };
        assert_eq!(group.key.to_string(), "source:local, account:vm, path:/tmp/golden/work/small");
        let kept: Vec<_> = group.verdicts.iter().map(|v| (v.snapshot.reference.key(), v.reasons())).collect();
        let newest_first: Vec<_> = recorded(name).into_iter().rev().map(|key| (key, &[Reason::Last][..])).collect();
        assert_eq!(kept, newest_first);
        assert_eq!((report.kept, report.removed, report.warning_count), (3, 0, 0));

        let report = run(&repository, ForgetRequest { dry_run: true, ..keep_last(1) }).await.unwrap();
        assert_eq!((report.kept, report.removed), (1, 2));
        let gone: Vec<_> = report.groups[0].verdicts[1..].iter().map(|verdict| &verdict.fate).collect();
        assert_eq!(gone, [&Fate::Goes(Cause::NoRule); 2]);
        let report = run(&repository, ForgetRequest { dry_run: true, ..named(&["latest"]) }).await.unwrap();
        assert_eq!((report.kept, report.removed), (0, 1));
        assert_eq!(report.groups[0].verdicts[0].fate, Fate::Goes(Cause::Named));
        assert!(files(&path) == before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_from_the_clis_repositories_leaves_what_others_read() {
    for name in GOLDEN {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("repository");
        golden::copy(name, &path);
        let recorded = recorded(name);
        let repository = open(&path, vec![platform_key()]).await;
        let newest = recorded[2]["snapshot/".len()..][..10].to_owned();
        assert_eq!(run(&repository, named(&[&newest])).await.unwrap().removed, 1);
        assert_eq!(list(&path).await, [recorded[1].as_str(), &recorded[0]]);
        let report = verified(&path);
        assert_eq!(report["snapshots"].as_array().unwrap().len(), 2, "{report}");
        let (latest, _) = open(&path, vec![platform_key()]).await.find_snapshot("latest").await.unwrap();
        assert_eq!(latest.key(), recorded[1]);
        let notes = report["notes"].to_string();
        assert!(!notes.contains("index/"), "an index disagrees: {notes}");

        assert_eq!(run(&repository, keep_last(1)).await.unwrap().removed, 1);
        assert_eq!(list(&path).await, [recorded[1].as_str()]);
        assert!(!verified(&path)["notes"].to_string().contains("index/"));
        let target = folder.path().join("restored");
        let restored = restore(&repository, "latest", &target).await.unwrap();
        assert_eq!(restored.warning_count, 0, "{:?}", restored.warnings);

        let all = ForgetRequest { remove_last: true, ..named(&["latest"]) };
        assert_eq!(run(&repository, all).await.unwrap().removed, 1);
        assert_eq!(list(&path).await, [""; 0]);
        verified(&path);
        assert!(!path.join("index/latest").exists());
        let none = repository.find_snapshot("latest").await.unwrap_err();
        assert!(matches!(none, RepositoryError::NoSuchSnapshot(_)), "{none}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_of_the_clis_snapshots_change_and_nothing_else_of_them() {
    for name in GOLDEN {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("repository");
        golden::copy(name, &path);
        let repository = open(&path, vec![platform_key()]).await;
        let recorded = recorded(name);
        let tagged = || {
            SnapshotSelection::Matching(SnapshotFilter { tags: vec!["golden".to_owned()], ..SnapshotFilter::default() })
        };
        let before = files(&path);
        let add = || TagChange::Add(vec!["new".to_owned()]);
        assert_eq!(change(&repository, tagged(), add(), true).await.changed.len(), 1);
        let same = change(&repository, tagged(), TagChange::Add(vec!["second".to_owned()]), false).await;
        assert_eq!((same.changed.len(), same.unchanged), (0, 1));
        assert!(files(&path) == before, "there was nothing to change");

        let report = change(&repository, tagged(), add(), false).await;
        let [changed] = &report.changed[..] else { panic!("{report:?}") };
        assert_eq!((changed.old.key(), changed.after.join(",")), (recorded[1].clone(), "golden,second,new".to_owned()));
        let new = changed.new.unwrap().key();
        assert_eq!(list(&path).await, [recorded[2].as_str(), &new, &recorded[0]]);
        let latest = change(&repository, SnapshotSelection::Named(vec!["latest".to_owned()]), add(), false).await;
        let report = verified(&path);
        assert!(!report["notes"].to_string().contains("index/"), "{report}");
        let fresh = open(&path, vec![platform_key()]).await;
        assert_eq!(Some(fresh.find_snapshot("latest").await.unwrap().0), latest.changed[0].new);
        // With the old tags again it is the old snapshot, to the byte.
        let back = change(&repository, tagged(), TagChange::Remove(vec!["new".to_owned()]), false).await;
        assert_eq!(back.changed[0].new.map(|new| new.key()), Some(recorded[1].clone()));
    }
}

async fn three_backups(bench: &Bench) -> Vec<ObjectRef> {
    let mut made = Vec::new();
    for text in ["one", "two", "three"] {
        bench.write("file", text.as_bytes());
        made.push(bench.backup().await.snapshot.unwrap());
    }
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_snapshot_of_a_group_goes_only_if_that_is_asked_for() {
    let bench = Bench::new(vec![platform_key()]).await;
    let made = three_backups(&bench).await;
    let names: Vec<String> = made.iter().map(|snapshot| snapshot.hash.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let refused = run(&bench.repository, named(&names)).await.unwrap_err();
    assert!(matches!(&refused, ForgetError::LastOfGroup { snapshot, .. } if *snapshot == made[2]), "{refused}");
    let by_tag = |remove_last| {
        let policy = Policy { tags: vec!["nobody has this".to_owned()], ..Policy::default() };
        ForgetRequest { remove_last, ..request(Selection::Policy { filter: SnapshotFilter::default(), policy }) }
    };
    let report = run(&bench.repository, by_tag(false)).await.unwrap();
    assert_eq!((report.kept, report.removed), (1, 2));
    assert_eq!(report.groups[0].verdicts[0].reasons(), [Reason::LastOfGroup]);
    assert_eq!(list(&bench.repository_path()).await, [made[2].key()]);
    bench.verify();
    assert_eq!(run(&bench.repository, by_tag(true)).await.unwrap().removed, 1);
    assert_eq!(list(&bench.repository_path()).await, [""; 0]);
    bench.verify();
    // The next backup begins anew, and its data is still there.
    let next = bench.backup().await;
    assert_eq!((next.seq, next.warning_count), (1, 0));
    bench.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_cannot_be_read_goes_by_its_whole_name_only() {
    let bench = Bench::new(Vec::new()).await;
    let made = three_backups(&bench).await;
    std::fs::write(bench.repository_path().join(made[0].key()), b"nonsense").unwrap();
    let repository = open(&bench.repository_path(), Vec::new()).await;
    let report = run(&repository, keep_last(1)).await.unwrap();
    assert_eq!((report.kept, report.removed, report.warning_count), (1, 1, 1));
    assert_eq!(report.warnings[0].path, made[0].key());
    let hash = made[0].hash.to_string();
    let refused = run(&repository, named(&[&hash[..12]])).await.unwrap_err();
    assert!(matches!(refused, ForgetError::Unreadable(_)), "{refused}");
    let report = run(&repository, named(&[&hash])).await.unwrap();
    assert_eq!((report.removed, report.unreadable, report.warning_count), (1, vec![made[0]], 0));
    cloudstic_e2e::oracle::assert_sound(&bench.repository_path(), &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_removes_nothing() {
    let bench = Bench::new(Vec::new()).await;
    three_backups(&bench).await;
    for request in [keep_last(0), named(&[])] {
        let refused = run(&bench.repository, request).await.unwrap_err();
        assert!(matches!(refused, ForgetError::NothingToKeep), "{refused}");
    }
    let refused = run(&bench.repository, named(&["latest", "abcdef0"])).await.unwrap_err();
    assert!(matches!(refused, ForgetError::Repository(RepositoryError::NoSuchSnapshot(_))), "{refused}");
    let cancel = CancellationToken::new();
    cancel.cancel();
    let cancelled = forget(Arc::clone(&bench.repository), keep_last(1), Arc::new(Silent), cancel).await.unwrap_err();
    assert!(matches!(cancelled, ForgetError::Cancelled), "{cancelled}");
    assert_eq!(list(&bench.repository_path()).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_and_filters_keep_others_out_of_it() {
    let bench = Bench::new(Vec::new()).await;
    for (n, tags) in [&["a"][..], &["a", "b"], &["b", "a"], &[]].into_iter().enumerate() {
        bench.write("file", &[n as u8]);
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        bench.run(cloudstic_engine::backup::BackupRequest { tags, ..bench.request() }).await.unwrap();
    }
    let dry = |group_by, filter| {
        let policy = Policy { last: 1, ..Policy::default() };
        ForgetRequest { dry_run: true, group_by, ..request(Selection::Policy { filter, policy }) }
    };
    let by_tags = GroupBy { tags: true, ..GroupBy::NOTHING };
    let report = run(&bench.repository, dry(by_tags, SnapshotFilter::default())).await.unwrap();
    let groups: Vec<_> = report.groups.iter().map(|group| (group.key.to_string(), group.verdicts.len())).collect();
    assert_eq!(groups, [("tags:".to_owned(), 1), ("tags:a".to_owned(), 1), ("tags:a,b".to_owned(), 2)]);
    assert_eq!(report.removed, 1);
    let both = SnapshotFilter { tags: vec!["a".to_owned(), "b".to_owned()], ..SnapshotFilter::default() };
    let report = run(&bench.repository, dry(GroupBy::NOTHING, both)).await.unwrap();
    assert_eq!((report.groups[0].key.to_string().as_str(), report.kept, report.removed), ("all", 1, 1));
    let elsewhere = SnapshotFilter { paths: vec!["/elsewhere".to_owned()], ..SnapshotFilter::default() };
    let report = run(&bench.repository, dry(GroupBy::default(), elsewhere)).await.unwrap();
    assert_eq!((report.groups.len(), report.removed), (0, 0));
}

/// What the CLI printed of a forget: each group's title, and the rows of what it keeps, cell by cell.
fn recorded_groups(text: &str) -> Vec<(String, Vec<Vec<String>>)> {
    let mut groups: Vec<(String, Vec<Vec<String>>)> = Vec::new();
    let mut announced = 0;
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("Snapshots for ") {
            groups.push((title.trim_end_matches(':').to_owned(), Vec::new()));
        } else if let Some(count) = line.strip_prefix("keep ") {
            announced += count.split(' ').next().unwrap().parse::<usize>().unwrap();
        } else if let Some(row) = line.strip_prefix("| ").filter(|row| !row.starts_with("SEQ")) {
            let cells = row.trim_end_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
            groups.last_mut().unwrap().1.push(cells);
        }
    }
    assert_eq!(groups.iter().map(|(_, rows)| rows.len()).sum::<usize>(), announced);
    groups
}

#[test]
fn groups_and_reasons_are_those_that_the_cli_printed() {
    let text = std::fs::read_to_string(golden::folder("locks").join("expected/forget.txt")).unwrap();
    let runs: Vec<&str> = text.split("$ cloudstic ").skip(1).collect();
    assert_eq!(runs.len(), 4);
    for run in runs {
        assert!(run.starts_with("forget -keep-last 100 ") && run.contains("\nNo snapshots to remove\n"), "{run}");
        let recorded = recorded_groups(run);
        let known = recorded.iter().flat_map(|(_, rows)| rows).map(|row| {
            let [seq, created, hash, source, account, path, tags, _] = &row[..] else { panic!("{row:?}") };
            assert_eq!(tags, "");
            SnapshotEntry {
                reference: format!("snapshot/{hash}").parse().unwrap(),
                seq: seq.parse().unwrap(),
                created: created.parse().unwrap(),
                root: None,
                source: SourceInfo {
                    source_type: source.clone(),
                    account: account.clone(),
                    path: path.clone(),
                    ..SourceInfo::default()
                },
                tags: Vec::new(),
                change_token: String::new(),
                exclude_hash: String::new(),
            }
        });
        let policy = Policy { last: 100, ..Policy::default() };
        let judged = GroupBy::default().divide(known).into_iter().map(|(key, snapshots)| {
            let now = "2026-12-01T00:00:00Z".parse().unwrap();
            let rows = policy.judge(snapshots, now, &Zone::system()).into_iter().map(|verdict| {
                let reasons: Vec<_> = verdict.reasons().iter().map(|reason| reason.as_str()).collect();
                let SnapshotEntry { reference, seq, created, source, .. } = verdict.snapshot;
                let SourceInfo { source_type, account, path, .. } = source;
                let (hash, tags) = (reference.hash.to_string(), String::new());
                vec![seq.to_string(), created.to_string(), hash, source_type, account, path, tags, reasons.join(", ")]
            });
            (key.to_string(), rows.collect::<Vec<_>>())
        });
        // Of two of one second, the CLI shows any first.
        let sorted = |groups: Vec<(String, Vec<Vec<String>>)>| {
            let sort = |(title, mut rows): (String, Vec<Vec<String>>)| {
                rows.sort_by(|a, b| (&b[1], &b[0]).cmp(&(&a[1], &a[0])));
                (title, rows)
            };
            groups.into_iter().map(sort).collect::<Vec<_>>()
        };
        let judged: Vec<_> = judged.collect();
        assert_eq!(judged, sorted(judged.clone()), "ours are newest first");
        assert_eq!(judged, sorted(recorded));
    }
}
