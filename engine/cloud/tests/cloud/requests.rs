//! Requests are money: how many each call makes.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use cloudstic_cloud::s3::S3Store;
use cloudstic_e2e::{random, tree};
use cloudstic_engine::cache::StatCache;
use cloudstic_engine::repository::{InitOptions, Repository};
use cloudstic_engine::store::ObjectStore;
use futures::TryStreamExt;
use sha2::{Digest, Sha256};

use super::server::{Believes, MemoryS3, Server};
use super::services::Service;
use super::site::{Site, back_up_with};
use super::{ALL, store};

async fn hashes(store: &S3Store) -> usize {
    let mut found: Vec<_> = store.list("packs/").map_ok(|stat| stat.key).try_collect().await.unwrap();
    let all = found.len();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), all, "each is listed once");
    all
}

fn names(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("one/two/packs/{}", hex::encode(Sha256::digest(number.to_le_bytes()))))
}

#[tokio::test]
async fn a_call_makes_one_request() {
    let server = Server::start(MemoryS3::new(Believes::All)).await;
    let store = store(&server, ALL).await;
    let asked = || server.take_asked().len();
    let bytes = Bytes::from_static(b"0123456789");
    store.put("packs/a", bytes.clone()).await.unwrap();
    assert_eq!(asked(), 1, "put");
    store.get("packs/a").await.unwrap();
    assert_eq!(asked(), 1, "get");
    store.get_range("packs/a", 2..5).await.unwrap();
    assert_eq!(asked(), 1, "get_range");
    let (_, version) = store.stat_versioned("packs/a").await.unwrap();
    assert!(store.stat("packs/none").await.is_err());
    assert_eq!(asked(), 2, "stat");
    assert!(store.put_if_unchanged("packs/a", bytes.clone(), &version).await.unwrap());
    assert!(!store.put_if_absent("packs/a", bytes).await.unwrap());
    assert_eq!(asked(), 2, "conditional writes");
    assert!(store.delete_if_unchanged("packs/a", &version).await.unwrap());
    store.delete("packs/a").await.unwrap();
    assert_eq!(asked(), 2, "delete");
    store.now().await.unwrap().unwrap();
    assert_eq!(asked(), 0, "the time was heard a moment ago");
}

#[tokio::test]
async fn a_short_listing_is_one_request_and_a_long_one_hardly_more_than_its_pages() {
    let memory = MemoryS3::new(Believes::All);
    let server = Server::start(memory.clone()).await;
    let store = store(&server, ALL).await;
    memory.set_page(100);
    for (count, least, most) in [(0, 1, 1), (100, 1, 1), (250, 3, 3), (5000, 50, 66), (20_000, 200, 220)] {
        memory.fill(names(count));
        server.take_asked();
        assert_eq!(hashes(&store).await, count);
        let asked = server.take_asked();
        assert!((least..=most).contains(&asked.len()), "{count}: {}", asked.len());
        let places = asked.iter().filter(|asked| asked.target.contains("start-after")).count();
        assert_eq!(places > 0, count >= 5000, "{count}: {places} places");
    }
}

#[tokio::test]
async fn other_things_in_the_bucket_are_no_objects() {
    let memory = MemoryS3::new(Believes::All);
    let server = Server::start(memory.clone()).await;
    let store = store(&server, ALL).await;
    let others =
        ["one/two/", "one/two/packs/", "one/two/packs/a.tmp", "one/twofold/packs/a", "packs/a", "one/two/packs/a"];
    memory.fill(others.into_iter().map(str::to_owned));
    for prefix in ["", "packs/"] {
        let found: Vec<_> = store.list(prefix).map_ok(|stat| stat.key).try_collect().await.unwrap();
        assert_eq!(found, ["packs/a"]);
    }
}

#[tokio::test]
async fn many_deletes_are_one_request_for_a_thousand_where_the_service_takes_them() {
    let memory = MemoryS3::new(Believes::All);
    let server = Server::start(memory.clone()).await;
    let store = store(&server, ALL).await;
    let keys: Vec<_> = names(2500).map(|name| name["one/two/".len()..].to_owned()).collect();
    memory.fill(names(2500));
    assert!(store.delete_many(&keys).await.unwrap().is_empty());
    assert_eq!((server.take_asked().len(), memory.states().len()), (3, 0));

    memory.refuse_batches();
    for requests in [31, 30] {
        memory.fill(names(30));
        assert!(store.delete_many(&keys[..30]).await.unwrap().is_empty());
        assert_eq!((server.take_asked().len(), memory.states().len()), (requests, 0), "it is asked once");
    }
}

/// All that a process asks for from when it opens the repository, as the service is asked for it.
#[tokio::test(flavor = "multi_thread")]
async fn operations_ask_a_service_no_oftener_than_they_may() {
    let site = Site::new(Service::memory().await).await;
    let straight: Arc<dyn ObjectStore> = Arc::new(site.service.store_with(site.settings()).await);
    let source = site.path("source");
    tree::plain(&source);
    let cache = Arc::new(StatCache::open(&site.path("cache.redb")).unwrap());
    let cache = Some(&cache);
    Repository::init(Arc::clone(&straight), InitOptions::default()).await.unwrap();
    let open = async || Arc::new(Repository::open(Arc::clone(&straight), Vec::new()).await.unwrap());
    let asked = || site.line.take_asked();
    let objects = async || -> BTreeSet<String> {
        let all = site.service.store().await;
        let keys: Vec<String> = all.list("").map_ok(|stat| stat.key).try_collect().await.unwrap();
        keys.into_iter().filter(|key| key.starts_with("chunk/") || key.starts_with("packs/")).collect()
    };
    back_up_with(cache, &open().await, &source).await.unwrap();
    asked();
    let repository = open().await;
    // The marker: it says that there are no key slots.
    assert_eq!(asked().len(), 1);
    // Two for contents that are too large for packs: which there are, and whether a prune was about to delete any.
    for most in [11 + 2, 9 + 2] {
        back_up_with(cache, &repository, &source).await.unwrap();
        let asked = asked();
        assert!(asked.len() <= most, "{}: {asked:?}", asked.len());
    }
    let mut before = objects().await;
    for (run, most) in [13, 13].into_iter().enumerate() {
        for n in 0..30 {
            tree::write(&source, format!("large/{run}-{n}"), &random::bytes(run as u64 * 1000 + n, 700_000));
        }
        back_up_with(cache, &repository, &source).await.unwrap();
        let (asked, after) = (asked(), objects().await);
        let new = after.difference(&before).count();
        assert!(new > 30 && asked.len() <= new + most, "{} for {new}: {asked:?}", asked.len());
        before = after;
    }
    let repository = open().await;
    asked();
    for most in [4, 3] {
        repository.snapshots_and_missing().await.unwrap();
        let asked = asked();
        assert!(asked.len() <= most, "{asked:?}");
    }
}
