//! The contract of [`ObjectStore`], as checks that every backend runs: for tests of this crate, and of those that have
//! the feature `testing`.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use futures::future::join_all;
use futures::stream::TryStreamExt;

use super::{ObjectStore, StoreErrorKind, Version};

/// Checks an empty store. What is wrong is a panic.
pub async fn check(store: &dyn ObjectStore) {
    store.create_root().await.unwrap();
    objects_come_back(store).await;
    absence_is_told(store).await;
    ranges_are_exact(store).await;
    listings_are_complete(store).await;
    many_are_removed_at_once(store).await;
    changes_are_noticed(store).await;
    changes_are_noticed_without_reading(store).await;
    the_clock_goes_forward(store).await;
    if store.capabilities().atomic_create {
        one_of_many_creators_wins(store).await;
    }
    if store.capabilities().conditional_replace {
        one_of_many_replacers_wins(store).await;
    }
    if store.capabilities().conditional_delete {
        a_removal_and_a_replacement_never_both_win(store).await;
    }
}

async fn objects_come_back(store: &dyn ObjectStore) {
    for bytes in [Bytes::new(), Bytes::from_static(b"one"), Bytes::from(vec![7; 1 << 20])] {
        store.put("chunk/a", bytes.clone()).await.unwrap();
        assert_eq!(store.get("chunk/a").await.unwrap(), bytes);
        let stat = store.stat("chunk/a").await.unwrap();
        assert_eq!((stat.key.as_str(), stat.size), ("chunk/a", bytes.len() as u64));
    }
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, b"from a file").unwrap();
    store.put_file("chunk/a", file).await.unwrap();
    assert_eq!(store.get("chunk/a").await.unwrap(), "from a file");
    store.put("config", Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!(store.get("config").await.unwrap(), "{}");
}

async fn absence_is_told(store: &dyn ObjectStore) {
    store.delete("chunk/none").await.unwrap();
    for result in [
        store.get("chunk/none").await.map(drop),
        store.get_range("nowhere/none", 0..1).await.map(drop),
        store.stat("chunk/none").await.map(drop),
    ] {
        let error = result.unwrap_err();
        assert!(error.is_not_found() && error.to_string().contains("/none"), "{error}");
    }
    assert!(store.put_if_absent("chunk/b", Bytes::from_static(b"first")).await.unwrap());
    assert!(!store.put_if_absent("chunk/b", Bytes::from_static(b"second")).await.unwrap());
    assert_eq!(store.get("chunk/b").await.unwrap(), "first");
    store.delete("chunk/b").await.unwrap();
    assert!(store.get("chunk/b").await.unwrap_err().is_not_found());
}

async fn many_are_removed_at_once(store: &dyn ObjectStore) {
    let mut keys: Vec<_> = (0..25).map(|n| format!("chunk/many-{n}")).collect();
    join_all(keys.iter().map(|key| store.put(key, Bytes::from_static(b"x")))).await;
    let stays = keys.pop().unwrap();
    keys.push("chunk/many-none".to_owned());
    assert!(store.delete_many(&keys).await.unwrap().is_empty());
    assert!(store.delete_many(&[]).await.unwrap().is_empty());
    let listed: Vec<_> = store.list("chunk/").try_collect().await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|stat| stat.key).filter(|key| key.contains("many")).collect();
    assert_eq!(listed, [stays.as_str()]);
    store.delete(&stays).await.unwrap();
}

async fn changes_are_noticed(store: &dyn ObjectStore) {
    let key = "index/versions";
    assert!(store.get_versioned(key).await.unwrap_err().is_not_found());
    store.put(key, Bytes::from_static(b"one")).await.unwrap();
    let (bytes, one) = store.get_versioned(key).await.unwrap();
    assert_eq!(bytes, "one");
    assert!(store.put_if_unchanged(key, Bytes::from_static(b"two"), &one).await.unwrap());
    assert!(!store.put_if_unchanged(key, Bytes::from_static(b"three"), &one).await.unwrap());
    assert!(!store.delete_if_unchanged(key, &one).await.unwrap());
    let (bytes, two) = store.get_versioned(key).await.unwrap();
    assert_eq!(bytes, "two");
    assert!(store.delete_if_unchanged(key, &two).await.unwrap());
    assert!(!store.delete_if_unchanged(key, &two).await.unwrap());
    assert!(!store.put_if_unchanged(key, Bytes::from_static(b"four"), &two).await.unwrap());
    assert!(store.get(key).await.unwrap_err().is_not_found());
    assert!(!store.delete_if_unchanged("nowhere/none", &Version::new("x")).await.unwrap());
}

fn file(text: &str) -> std::fs::File {
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    file
}

async fn changes_are_noticed_without_reading(store: &dyn ObjectStore) {
    let key = "index/files";
    assert!(store.stat_versioned(key).await.unwrap_err().is_not_found());
    assert_eq!(store.put_file_if_unchanged(key, file("none"), Some(&Version::new("x"))).await.unwrap(), None);
    let written = store.put_file_if_unchanged(key, file("one"), None).await.unwrap().unwrap();
    assert_eq!(store.put_file_if_unchanged(key, file("none"), None).await.unwrap(), None);
    let (stat, one) = store.stat_versioned(key).await.unwrap();
    assert_eq!(written, one);
    assert_eq!((stat.key.as_str(), stat.size), (key, 3));
    assert_eq!(store.stat_versioned(key).await.unwrap().1, one);
    let written = store.put_file_if_unchanged(key, file("two"), Some(&one)).await.unwrap().unwrap();
    assert_eq!(store.stat_versioned(key).await.unwrap().1, written);
    assert_eq!(store.put_file_if_unchanged(key, file("none"), Some(&one)).await.unwrap(), None);
    let (_, two) = store.get_versioned(key).await.unwrap();
    assert!(store.put_file_if_unchanged(key, file("three"), Some(&two)).await.unwrap().is_some());
    assert_eq!(store.get(key).await.unwrap(), "three");
    if store.capabilities().conditional_replace {
        let (_, version) = store.stat_versioned(key).await.unwrap();
        let won = join_all((0..20).map(|_| store.put_file_if_unchanged(key, file("x"), Some(&version)))).await;
        assert_eq!(won.into_iter().filter(|won| won.as_ref().unwrap().is_some()).count(), 1);
    }
    store.delete(key).await.unwrap();
}

async fn the_clock_goes_forward(store: &dyn ObjectStore) {
    if let Some(first) = store.now().await.unwrap() {
        assert!(store.now().await.unwrap().unwrap() >= first);
    }
    assert!(store.list("").try_collect::<Vec<_>>().await.unwrap().iter().all(|stat| !stat.key.contains("clock")));
}

async fn ranges_are_exact(store: &dyn ObjectStore) {
    store.put("packs/p", Bytes::from_static(b"0123456789")).await.unwrap();
    assert_eq!(store.get_range("packs/p", 2..5).await.unwrap(), "234");
    assert_eq!(store.get_range("packs/p", 0..10).await.unwrap(), "0123456789");
    assert_eq!(store.get_range("packs/p", 8..11).await.unwrap_err().kind, StoreErrorKind::Corrupt);
    for (most, wanted) in [(3, "012"), (10, "0123456789"), (11, "0123456789")] {
        let (bytes, stat, version) = store.get_start("packs/p", most).await.unwrap();
        assert_eq!((&bytes[..], stat.key.as_str(), stat.size), (wanted.as_bytes(), "packs/p", 10));
        assert_eq!(store.stat_versioned("packs/p").await.unwrap().1, version);
    }
    store.put("packs/empty", Bytes::new()).await.unwrap();
    let (bytes, stat, _) = store.get_start("packs/empty", 5).await.unwrap();
    assert_eq!((bytes.len(), stat.size), (0, 0));
    store.delete("packs/empty").await.unwrap();
    assert!(store.get_start("packs/empty", 5).await.unwrap_err().is_not_found());
}

async fn listings_are_complete(store: &dyn ObjectStore) {
    let names: Vec<_> = (0..25).map(|n| format!("index/lock.shared/{n:02}")).collect();
    join_all(names.iter().map(|name| store.put(name, Bytes::from_static(b"xy")))).await;
    let mut listed: Vec<_> = store.list("index/").try_collect().await.unwrap();
    listed.sort_by(|a, b| a.key.cmp(&b.key));
    assert!(listed.iter().all(|stat| stat.size == 2));
    assert_eq!(listed.into_iter().map(|stat| stat.key).collect::<Vec<_>>(), names);
    assert_eq!(store.list("snapshot/").try_collect::<Vec<_>>().await.unwrap(), []);
    assert!(store.list("").try_collect::<Vec<_>>().await.unwrap().iter().any(|stat| stat.key == "config"));
}

async fn one_of_many_creators_wins(store: &dyn ObjectStore) {
    for round in 0..20 {
        let key = format!("index/race-{round}");
        let tries = (0..20).map(|n| store.put_if_absent(&key, Bytes::from(format!("writer {n}"))));
        let won: Vec<_> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "round {round}");
        let winner = won.iter().position(|won| *won).unwrap();
        assert_eq!(store.get(&key).await.unwrap(), format!("writer {winner}"));
    }
}

async fn one_of_many_replacers_wins(store: &dyn ObjectStore) {
    let key = "index/replaced";
    store.put(key, Bytes::from_static(b"nobody")).await.unwrap();
    for round in 0..20 {
        let (_, version) = store.get_versioned(key).await.unwrap();
        let tries =
            (0..20).map(|n| store.put_if_unchanged(key, Bytes::from(format!("round {round} writer {n}")), &version));
        let won: Vec<_> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "round {round}");
        let winner = won.iter().position(|won| *won).unwrap();
        assert_eq!(store.get(key).await.unwrap(), format!("round {round} writer {winner}"));
    }
}

async fn a_removal_and_a_replacement_never_both_win(store: &dyn ObjectStore) {
    let key = "index/contested";
    for round in 0..20 {
        store.put(key, Bytes::from(format!("round {round}"))).await.unwrap();
        let (_, version) = store.get_versioned(key).await.unwrap();
        let replace = store.put_if_unchanged(key, Bytes::from_static(b"new"), &version);
        let (replaced, removed) = futures::join!(replace, store.delete_if_unchanged(key, &version));
        let (replaced, removed) = (replaced.unwrap(), removed.unwrap());
        assert!(replaced != removed, "round {round}: replaced {replaced}, removed {removed}");
        assert_eq!(store.get(key).await.is_ok(), replaced);
    }
}
