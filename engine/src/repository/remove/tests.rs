//! Removing is cut off at every moment, and what is left is looked at by others.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::*;
use crate::crypto::Sealer;
use crate::lock::{Kind, Locks};
use crate::object::{Hash, Latest, SourceInfo, json};
use crate::pack::CATALOG_KEY;
use crate::repository::index::{LATEST_KEY, SNAPSHOTS_KEY};
use crate::repository::{InitOptions, NewSnapshot, Written};
use crate::store::{MemoryStore, ObjectStore};

type Objects = BTreeMap<String, Bytes>;

/// Who wrote the snapshots.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Writer {
    /// This project: by themselves.
    Ours,
    /// The CLI: in packs, `index/latest` too.
    Cli,
    /// The CLI, and some of them lie there by themselves, too.
    Both,
}

const WRITERS: [Writer; 3] = [Writer::Ours, Writer::Cli, Writer::Both];

fn lease() -> LeaseWatch {
    LeaseWatch::not_needed()
}

async fn open(store: &MemoryStore) -> Arc<Repository> {
    Arc::new(Repository::open(Arc::new(store.another(5)), Vec::new()).await.unwrap())
}

fn holding(objects: &Objects) -> MemoryStore {
    let store = MemoryStore::default();
    store.objects().clone_from(objects);
    store
}

/// A repository with snapshots 1 to 5, and their names.
async fn repository(writer: Writer) -> (Objects, Vec<ObjectRef>) {
    let store = MemoryStore::default();
    Repository::init(Arc::new(store.another(1)), InitOptions::default()).await.unwrap();
    let ours = open(&store).await;
    let mut names = Vec::new();
    for n in 1..=5 {
        let new = NewSnapshot {
            created: DateTime::<Utc>::UNIX_EPOCH + Duration::from_secs(n * 86_400),
            source: SourceInfo { source_type: "local".to_owned(), ..SourceInfo::default() },
            ..NewSnapshot::default()
        };
        names.push(ours.commit::<RepositoryError>(Written::default(), new, &lease(), || Ok(())).await.unwrap().0);
    }
    if writer != Writer::Ours {
        pack_as_the_cli(&store, writer == Writer::Both);
    }
    let objects = store.objects().clone();
    (objects, names)
}

/// Puts all snapshots and the pointer into one pack without a footer.
fn pack_as_the_cli(store: &MemoryStore, keeps_some: bool) {
    let mut objects = store.objects();
    let (mut pack, mut members) = (Vec::new(), Vec::new());
    let is_packed = |key: &&String| key.starts_with("snapshot/") || *key == LATEST_KEY;
    for key in objects.keys().filter(is_packed).cloned().collect::<Vec<_>>() {
        let bytes = objects.remove(&key).unwrap();
        if keeps_some && (key == LATEST_KEY || members.len() % 2 == 0) {
            objects.insert(key.clone(), bytes.clone());
        }
        members.push((key, pack.len(), bytes.len()));
        pack.extend_from_slice(&bytes);
    }
    let name = Hash::of(&pack);
    let entry = |(key, offset, length)| format!(r#""{key}":{{"p":"packs/{name}","o":{offset},"l":{length}}}"#);
    let catalog = format!("{{{}}}", members.into_iter().map(entry).collect::<Vec<_>>().join(","));
    objects.insert(format!("packs/{name}"), pack.into());
    objects.insert(CATALOG_KEY.to_owned(), catalog.into());
}

/// What a program sees that opens the repository: the snapshots, all of which it can read, and `latest`.
async fn seen(store: &MemoryStore) -> (BTreeSet<ObjectRef>, Option<ObjectRef>) {
    let repository = open(store).await;
    let list = repository.proven_snapshots().await.unwrap();
    assert_eq!(list.unreadable, []);
    let names: BTreeSet<_> = list.readable.iter().map(|entry| entry.reference).collect();
    let pointer: Option<Latest> = repository.read_latest().await.unwrap();
    if let Some(Latest { latest_snapshot, .. }) = &pointer {
        assert!(names.contains(latest_snapshot), "the pointer names what is gone");
    }
    match repository.find_snapshot("latest").await {
        Ok((latest, _)) => {
            let highest = list.readable.iter().max_by_key(|entry| (entry.seq, entry.reference)).unwrap();
            assert_eq!(latest, highest.reference);
            (names, Some(latest))
        }
        Err(_) => {
            assert_eq!(names, BTreeSet::new());
            (names, None)
        }
    }
}

/// The indexes say just what is there.
async fn assert_settled(store: &MemoryStore, expected: &BTreeSet<ObjectRef>) {
    let (names, latest) = seen(store).await;
    assert_eq!(names, *expected);
    let repository = open(store).await;
    let index: BTreeSet<_> = repository.read_index().await.unwrap().iter().map(|entry| entry.reference).collect();
    assert_eq!(index, *expected);
    let pointer = repository.read_latest().await.unwrap().map(|latest| latest.latest_snapshot);
    assert_eq!(pointer, latest);
    let is_left = |key: &str| store.objects().contains_key(key) || catalog(store).contains(key);
    assert_eq!(is_left(LATEST_KEY), !expected.is_empty());
}

fn catalog(store: &MemoryStore) -> String {
    let objects = store.objects();
    objects.get(CATALOG_KEY).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).unwrap_or_default()
}

/// Which to remove of five: some in the middle, the last ones, all.
fn choices(names: &[ObjectRef]) -> [BTreeSet<ObjectRef>; 3] {
    let pick = |numbers: &[usize]| numbers.iter().map(|n| names[n - 1]).collect();
    [pick(&[2, 3]), pick(&[1, 4, 5]), pick(&[1, 2, 3, 4, 5])]
}

#[tokio::test]
async fn removing_that_dies_after_any_change_leaves_whole_snapshots_and_ends_with_the_next_try() {
    for writer in WRITERS {
        let (objects, names) = repository(writer).await;
        let all: BTreeSet<_> = names.iter().copied().collect();
        for removed in choices(&names) {
            let rest: BTreeSet<_> = all.difference(&removed).copied().collect();
            let mut died = 0;
            loop {
                let store = holding(&objects);
                let line = Arc::new(store.another(2));
                let dying = Arc::new(Repository::open(line.clone(), Vec::new()).await.unwrap());
                line.line().break_after(died);
                let done = dying.remove_snapshots(&removed, &lease()).await;
                let (names, _) = seen(&store).await;
                assert!(names.is_superset(&rest) && names.is_subset(&all), "{writer:?}, after {died} changes");
                if done.is_ok() {
                    assert_settled(&store, &rest).await;
                    break;
                }
                // The same process may try again when the line is back, or another one.
                line.line().break_after(u64::MAX);
                line.line().break_off(false);
                let next = if died % 2 == 0 { dying } else { open(&store).await };
                assert_eq!(next.snapshots().await.unwrap().readable.len(), names.len());
                next.remove_snapshots(&removed, &lease()).await.unwrap();
                assert_settled(&store, &rest).await;
                died += 1;
            }
            assert!(died >= 3, "{writer:?}: {died}");
        }
    }
}

#[tokio::test]
async fn replacing_that_dies_after_any_change_leaves_the_old_or_the_new_one_or_both() {
    for writer in WRITERS {
        let (objects, names) = repository(writer).await;
        let olds = [names[1], names[4]];
        let mut replacements = Vec::new();
        for old in olds {
            let (_, snapshot) = open(&holding(&objects)).await.find_snapshot(&old.key()).await.unwrap();
            // The time and the number stay, whatever is asked for.
            let new = Snapshot { tags: vec!["kept".to_owned()], seq: 77, ..snapshot };
            replacements.push(Replacement { old, new });
        }
        let calm = open(&holding(&objects)).await;
        let (news, _) = calm.replace_snapshots(replacements.clone(), &lease()).await.unwrap();
        let mut died = 0;
        loop {
            let store = holding(&objects);
            let line = Arc::new(store.another(2));
            let dying = Arc::new(Repository::open(line.clone(), Vec::new()).await.unwrap());
            line.line().break_after(died);
            let done = dying.replace_snapshots(replacements.clone(), &lease()).await;
            let (left, _) = seen(&store).await;
            assert!([0, 2, 3].iter().all(|n| left.contains(&names[*n])));
            assert!(olds.iter().zip(&news).all(|(old, new)| left.contains(old) || left.contains(new)));
            line.line().break_after(u64::MAX);
            line.line().break_off(false);
            if done.is_err() {
                let mut still = replacements.clone();
                still.retain(|replacement| left.contains(&replacement.old));
                let next = open(&store).await;
                next.replace_snapshots(still, &lease()).await.unwrap();
                // If the old ones were gone already, only the indexes are left to be put right.
                next.remove_snapshots(&olds.into(), &lease()).await.unwrap();
            }
            assert_settled(&store, &[names[0], names[2], names[3], news[0], news[1]].into()).await;
            let (latest, snapshot) = dying.find_snapshot("latest").await.unwrap();
            assert_eq!((latest, snapshot.seq, snapshot.tags), (news[1], 5, vec!["kept".to_owned()]));
            assert_eq!(snapshot.created.as_str(), "1970-01-06T00:00:00Z");
            if done.is_ok() {
                break;
            }
            died += 1;
        }
        assert!(died >= 5, "{writer:?}: {died}");
    }
}

#[tokio::test]
async fn what_a_process_knows_of_packs_does_not_bring_back_what_another_one_removed() {
    let (objects, names) = repository(Writer::Cli).await;
    let store = holding(&objects);
    let knowing = open(&store).await;
    assert_eq!(knowing.snapshots().await.unwrap().readable.len(), 5);
    let all = names.iter().copied().collect();
    open(&store).await.remove_snapshots(&all, &lease()).await.unwrap();
    assert!(knowing.snapshots().await.unwrap().readable.is_empty());
    knowing.extend_catalog(Vec::new(), &BTreeSet::new(), &lease()).await.unwrap();
    assert_settled(&store, &BTreeSet::new()).await;
}

#[tokio::test]
async fn one_that_cannot_be_read_can_be_removed_and_stays_otherwise() {
    let (mut objects, names) = repository(Writer::Ours).await;
    objects.insert(names[4].key(), Bytes::from_static(b"nonsense"));
    let store = holding(&objects);
    let repository = open(&store).await;
    repository.remove_snapshots(&[names[0]].into(), &lease()).await.unwrap();
    let list = repository.snapshots().await.unwrap();
    assert_eq!((list.readable.len(), list.unreadable.len()), (3, 1));
    assert_eq!(repository.read_latest().await.unwrap().unwrap().latest_snapshot, names[3]);
    repository.remove_snapshots(&[names[4]].into(), &lease()).await.unwrap();
    assert_settled(&store, &names[1..4].iter().copied().collect()).await;
    assert_eq!(repository.damage(), []);
}

#[tokio::test]
async fn an_index_that_lies_does_not_choose_the_latest() {
    let (objects, names) = repository(Writer::Ours).await;
    let store = holding(&objects);
    let mut lies = open(&store).await.read_index().await.unwrap();
    lies.iter_mut().for_each(|entry| entry.seq = 10 - entry.seq);
    store.put(SNAPSHOTS_KEY, Sealer::new(None).seal(&json::encode(&lies)).unwrap().into()).await.unwrap();
    open(&store).await.remove_snapshots(&[names[4]].into(), &lease()).await.unwrap();
    assert_settled(&store, &names[..4].iter().copied().collect()).await;
    assert_eq!(seen(&store).await.1, Some(names[3]));
}

#[tokio::test(start_paused = true)]
async fn a_lost_lock_stops_it_before_anything_more_is_changed() {
    for writer in WRITERS {
        let (objects, names) = repository(writer).await;
        let all: BTreeSet<_> = names.iter().copied().collect();
        let mut stopped = 0;
        // At every request that might be the last before the lock is lost.
        for moment in 0.. {
            let store = holding(&objects);
            let slow = Arc::new(store.another(3));
            let repository = Arc::new(Repository::open(slow.clone(), Vec::new()).await.unwrap());
            let locks = Locks::new(Arc::new(store.another(9)), Sealer::new(None));
            let lease = locks.acquire(Kind::Exclusive, "forget").await.unwrap();
            let watch = lease.watch();
            // Reading waits on a thread, and made-up time stands still for that.
            repository.proven_snapshots().await.unwrap();
            slow.line().set_latency(Duration::from_secs(1));
            let lose = async {
                tokio::time::sleep(Duration::from_secs(moment)).await;
                lease.release().await.unwrap();
                // One request may be under way.
                slow.line().break_after(1);
            };
            let (done, ()) = tokio::join!(repository.remove_snapshots(&all, &watch), lose);
            slow.line().set_latency(Duration::ZERO);
            seen(&store).await;
            match done {
                Err(RepositoryError::LockLost(_)) => stopped += 1,
                Err(other) => panic!("{writer:?}: went on after {moment} s: {other}"),
                Ok(_) => break,
            }
        }
        assert!(stopped > 5, "{writer:?}: {stopped}");
    }
}
