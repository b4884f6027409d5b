//! Diff, find, dump and cat give what the CLI recorded.

use std::collections::BTreeMap;
use std::sync::Arc;

use cloudstic_e2e::golden;
use cloudstic_engine::cat::{CatRequest, cat};
use cloudstic_engine::diff::{ChangeKind, DiffRequest, Field, diff};
use cloudstic_engine::dump::{DumpRequest, dump_path};
use cloudstic_engine::find::{Criteria, FindRequest, find};
use cloudstic_engine::object::{FileMeta, Hash, ObjectKind, ObjectRef, json};
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repository::{Credential, Repository};
use cloudstic_engine::view::{EntryInfo, SnapshotView};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::support::{open, platform_key};

const ALL: [&str; 3] = ["plain", "encrypted", "nopack"];

struct Golden {
    repository: Arc<Repository>,
    /// Oldest first.
    snapshots: Vec<String>,
    _folder: tempfile::TempDir,
}

async fn repository(name: &str) -> Golden {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repository");
    golden::copy(name, &path);
    let facts = golden::expected(name, "facts.json");
    let snapshots = facts["snapshots"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect();
    let credentials: Vec<Credential> = vec![platform_key()];
    Golden { repository: open(&path, credentials).await, snapshots, _folder: folder }
}

#[tokio::test(flavor = "multi_thread")]
async fn diffs_are_those_of_the_cli() {
    for name in ALL {
        let Golden { repository, snapshots, _folder } = repository(name).await;
        for (before, after) in [(1, 2), (2, 3)] {
            let request = DiffRequest {
                before: snapshots[before - 1].clone(),
                after: snapshots[after - 1].clone(),
                no_renames: true,
                ..DiffRequest::default()
            };
            let report = diff(Arc::clone(&repository), request, Arc::new(Silent), CancellationToken::new());
            let report = report.await.unwrap();
            assert_eq!(report.warning_count, 0, "{:?}", report.warnings);
            let expected = golden::expected(name, &format!("diff-{before}-{after}.json"));
            assert_eq!(expected["Ref1"], report.before.0.to_string());
            assert_eq!(expected["Ref2"], report.after.0.to_string());
            let expected = expected["Changes"].as_array().unwrap();
            assert_eq!(report.changes.len(), expected.len());
            let old = metas(name, before);
            for (ours, theirs) in report.changes.iter().zip(expected) {
                let path = theirs["Path"].as_str().unwrap();
                assert_eq!(String::from_utf8_lossy(&ours.path), path, "{name} {before} {after}");
                let was = old.get(path);
                let (entry, letter, fields, kind) = match (&ours.before, &ours.after) {
                    (None, Some(entry)) => (entry, "A", Vec::new(), ChangeKind::Added),
                    (Some(entry), None) => (entry, "D", Vec::new(), ChangeKind::Removed),
                    (Some(_), Some(entry)) => {
                        let fields = differing(was.unwrap(), &theirs["Meta"]);
                        let is_content = fields.contains(&Field::Content);
                        (entry, "M", fields, if is_content { ChangeKind::Content } else { ChangeKind::Metadata })
                    }
                    (None, None) => panic!("{path} is nothing"),
                };
                assert_eq!(
                    (letter, &ours.fields, ours.kind),
                    (theirs["Type"].as_str().unwrap(), &fields, kind),
                    "{path}"
                );
                assert_eq!(ours.before.is_some(), was.is_some(), "{path}");
                // All of its metadata: their hash is its name.
                let reference = |meta: &Value| {
                    let meta: FileMeta = serde_json::from_value(meta.clone()).unwrap();
                    (ObjectRef::new(ObjectKind::Filemeta, Hash::of(&json::encode(&meta))), meta)
                };
                let (expected, meta) = reference(&theirs["Meta"]);
                assert_eq!(*entry, EntryInfo::new(expected, &meta), "{path}");
                if let (Some(before), Some(was)) = (&ours.before, was) {
                    let (expected, meta) = reference(was);
                    assert_eq!(*before, EntryInfo::new(expected, &meta), "{path} as it was");
                }
            }
        }
    }
}

/// Every entry of a snapshot as the CLI listed it, by path: with a local source that is the fileId.
fn metas(name: &str, number: usize) -> BTreeMap<String, Value> {
    let listed = golden::expected(name, &format!("ls-{number}.json"));
    let metas = listed["RefToMeta"].as_object().unwrap().values();
    metas.map(|meta| (meta["fileId"].as_str().unwrap().to_owned(), meta.clone())).collect()
}

/// In what two filemetas of the CLI differ, told from their JSON alone.
fn differing(a: &Value, b: &Value) -> Vec<Field> {
    const FIELDS: [(Field, &[&str]); 8] = [
        (Field::Type, &["type"]),
        (Field::Content, &["content_hash", "size"]),
        (Field::Mode, &["mode"]),
        (Field::Owner, &["uid", "gid", "owner"]),
        (Field::Mtime, &["mtime"]),
        (Field::Btime, &["btime"]),
        (Field::Flags, &["flags"]),
        (Field::Xattrs, &["xattrs"]),
    ];
    let differs = |(_, keys): &(Field, &[&str])| keys.iter().any(|key| a[key] != b[key]);
    FIELDS.into_iter().filter(differs).map(|(field, _)| field).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_the_cli_shows_as_two_changes_was_renamed() {
    let Golden { repository, snapshots, _folder } = repository("plain").await;
    let request = DiffRequest { before: snapshots[0].clone(), after: snapshots[1].clone(), ..DiffRequest::default() };
    let report = diff(repository, request, Arc::new(Silent), CancellationToken::new()).await.unwrap();
    let moved: Vec<_> = report.changes.iter().filter(|change| change.kind == ChangeKind::Moved).collect();
    let [moved] = &moved[..] else { panic!("{moved:?}") };
    assert_eq!(moved.from.as_deref(), Some(&b"name with spaces.txt"[..]));
    assert_eq!(moved.path, b"renamed with spaces.txt");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_is_shown_as_it_was_recorded() {
    for name in ALL {
        let Golden { repository, _folder, .. } = repository(name).await;
        let lines = std::fs::read_to_string(golden::folder(name).join("expected/objects.jsonl")).unwrap();
        let mut count = 0;
        for line in lines.lines() {
            let object: Value = serde_json::from_str(line).unwrap();
            let key = object["key"].as_str().unwrap().to_owned();
            let request = CatRequest { key: key.clone(), stored: false, show_secrets: true };
            let shown = cat(Arc::clone(&repository), request, CancellationToken::new()).await.unwrap();
            assert_eq!((&shown.key, shown.json), (&key, !key.starts_with("chunk/")));
            assert_eq!(object["sha256"], Hash::of(&shown.bytes).to_string(), "{name}: {key}");
            count += 1;
        }
        assert!(count > 100);
        let physical = golden::expected(name, "physical-files.json");
        for file in physical.as_array().unwrap() {
            let key = file["key"].as_str().unwrap().to_owned();
            let request = CatRequest { key: key.clone(), stored: true, show_secrets: true };
            let shown = cat(Arc::clone(&repository), request, CancellationToken::new()).await.unwrap();
            assert_eq!(file["sha256"], Hash::of(&shown.bytes).to_string(), "{name}: {key} as stored");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_dumped_as_they_were() {
    for name in ALL {
        let Golden { repository, snapshots, _folder } = repository(name).await;
        for (number, snapshot) in (1..).zip(&snapshots) {
            let view = Arc::new(SnapshotView::open(&repository, snapshot).await.unwrap());
            let source = golden::expected(name, &format!("source-{number}.json"));
            let files = source.as_array().unwrap().iter().filter(|entry| entry["type"] != "dir");
            for file in files {
                let path = file["path"].as_str().unwrap();
                let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
                let request = DumpRequest { path: path.as_bytes().to_vec(), ..DumpRequest::default() };
                let dumping = tokio::spawn(dump_path(Arc::clone(&view), request, sender, CancellationToken::new()));
                let mut data = Vec::new();
                while let Some(piece) = receiver.recv().await {
                    data.extend_from_slice(&piece);
                }
                assert_eq!(dumping.await.unwrap().unwrap(), data.len() as u64);
                assert_eq!(file["sha256"], Hash::of(&data).to_string(), "{name}: {path} of {number}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_found_in_all_snapshots_that_have_them() {
    for name in ALL {
        let Golden { repository, _folder, .. } = repository(name).await;
        let find = |criteria: Criteria| {
            let request = FindRequest { criteria, ..FindRequest::default() };
            find(Arc::clone(&repository), request, Arc::new(Silent), CancellationToken::new())
        };
        let report = find(Criteria { larger: Some(9 << 20), ..Criteria::default() }).await.unwrap();
        let found: Vec<_> = report.matches.iter().map(|it| (it.newest(), it.oldest(), it.path)).collect();
        // Numbers count from the newest snapshot.
        assert_eq!(found, [(0, 1, b"random9m.bin".to_vec())], "exactly 9 MiB are not more than that");
        let patterns = vec!["one.bin".to_owned()];
        let report = find(Criteria { patterns, ..Criteria::default() }).await.unwrap();
        assert_eq!(report.matches.len(), 1);
        let found = report.matches.get(0).unwrap();
        assert_eq!((found.newest(), found.count()), (2, 1));
    }
}
