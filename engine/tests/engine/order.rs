//! What a snapshot does not need yet may break off at any moment: what is in the store by then names nothing that is not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cloudstic_e2e::random;
use cloudstic_engine::backup::backup;
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::object::{Hash, ObjectKind, ObjectRef};
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repository::Repository;
use cloudstic_engine::store::hooked::{Hook, HookedStore};
use cloudstic_engine::store::{LocalStore, ObjectStore, StoreError, StoreErrorKind, StoreOperation, StoreResult};
use tokio_util::sync::CancellationToken;

use crate::support::{Bench, platform_key};

/// Takes its time for chunks that lie by themselves, and writes down how many of them are there when something else comes.
#[derive(Debug, Default)]
struct SlowChunks {
    /// They fail, too.
    fail: bool,
    there: AtomicUsize,
    stored: Mutex<Vec<(String, usize)>>,
}

impl Hook for SlowChunks {
    async fn request<T: Send>(
        &self,
        operation: StoreOperation,
        key: &str,
        done: impl Future<Output = StoreResult<T>> + Send,
    ) -> StoreResult<T> {
        if operation == StoreOperation::Put && !key.starts_with("chunk/") {
            self.stored.lock().unwrap().push((key.to_owned(), self.there.load(Ordering::SeqCst)));
        }
        if operation != StoreOperation::Put || !key.starts_with("chunk/") {
            return done.await;
        }
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        if self.fail {
            let (key, backend, detail) = (key.to_owned(), "local".to_owned(), "no more".to_owned());
            return Err(StoreError { kind: StoreErrorKind::Denied, key, backend, detail });
        }
        let done = done.await;
        self.there.fetch_add(1, Ordering::SeqCst);
        done
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_is_not_stored_before_its_chunks() {
    let bench = Bench::new(vec![platform_key()]).await;
    bench.write("before", b"small");
    bench.backup().await;
    bench.write("large", &random::bytes(1, 3_000_000));
    let inner: Arc<dyn ObjectStore> = Arc::new(LocalStore::new(bench.repository_path()));
    let store = HookedStore::new(inner, SlowChunks { fail: true, ..SlowChunks::default() });
    let repository = Arc::new(Repository::open(store, vec![platform_key()]).await.unwrap());
    let failed = backup(repository, bench.request(), Arc::new(Silent), CancellationToken::new()).await;
    assert!(failed.unwrap_err().to_string().contains("no more"));
    // Nothing but chunks may have come to it.
    bench.verify();
}

/// Knows which packs are there when a content by itself comes.
#[derive(Debug, Default)]
struct SlowPacks {
    packs: AtomicUsize,
    contents: Mutex<Vec<usize>>,
}

impl Hook for SlowPacks {
    async fn request<T: Send>(
        &self,
        operation: StoreOperation,
        key: &str,
        done: impl Future<Output = StoreResult<T>> + Send,
    ) -> StoreResult<T> {
        if operation == StoreOperation::Put && key.starts_with("content/") {
            self.contents.lock().unwrap().push(self.packs.load(Ordering::SeqCst));
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let done = done.await;
        if operation == StoreOperation::Put && key.starts_with("packs/") {
            self.packs.fetch_add(1, Ordering::SeqCst);
        }
        done
    }
}

/// One of two has taken the pack in which the chunk of both is, and is about to send it.
#[tokio::test(flavor = "multi_thread")]
async fn contents_of_two_threads_wait_for_the_chunk_that_they_share() {
    let bench = Bench::new(vec![platform_key()]).await;
    for round in 0..20 {
        let inner: Arc<dyn ObjectStore> = Arc::new(LocalStore::new(bench.repository_path()));
        let store = HookedStore::new(inner, SlowPacks::default());
        let repository = Arc::new(Repository::open(store.clone(), vec![platform_key()]).await.unwrap());
        let writer = repository.writer(repository.existing().await.unwrap(), LeaseWatch::not_needed());
        let write = move || {
            let store_file = |n| {
                let chunk = random::bytes(3 * round, 100 << 10);
                writer.write(ObjectRef::new(ObjectKind::Chunk, Hash::of(&chunk)), &chunk).unwrap();
                let content = random::bytes(3 * round + n, 600 << 10);
                writer.write_after_chunks(ObjectRef::new(ObjectKind::Content, Hash::of(&content)), &content).unwrap();
            };
            std::thread::scope(|scope| [1, 2].map(|n| scope.spawn(move || store_file(n))).map(|it| it.join().unwrap()));
            writer.finish().unwrap()
        };
        assert_eq!(tokio::task::spawn_blocking(write).await.unwrap().packs.len(), 1);
        assert_eq!(*store.hook.contents.lock().unwrap(), [1, 1], "round {round}");
    }
}

/// Contents of very many chunks do not wait until the end: there would be too many of them.
#[tokio::test(flavor = "multi_thread")]
async fn contents_that_take_much_room_wait_only_for_the_chunks_before_them() {
    let bench = Bench::new(vec![platform_key()]).await;
    let inner: Arc<dyn ObjectStore> = Arc::new(LocalStore::new(bench.repository_path()));
    let store = HookedStore::new(inner, SlowChunks::default());
    let repository = Arc::new(Repository::open(store.clone(), vec![platform_key()]).await.unwrap());
    let writer = repository.writer(repository.existing().await.unwrap(), LeaseWatch::not_needed());
    let written = tokio::task::spawn_blocking(move || {
        let object = |kind, seed, size| {
            let data = random::bytes(seed, size);
            (ObjectRef::new(kind, Hash::of(&data)), data)
        };
        for seed in 0..4 {
            let (chunk, data) = object(ObjectKind::Chunk, seed, 600 << 10);
            writer.write(chunk, &data).unwrap();
            let (content, data) = object(ObjectKind::Content, 100 + seed, 200 << 10);
            writer.write_after_chunks(content, &data).unwrap();
        }
        // The last content still waits. The next one is too large for a pack.
        let (chunk, data) = object(ObjectKind::Chunk, 9, 600 << 10);
        writer.write(chunk, &data).unwrap();
        let (content, data) = object(ObjectKind::Content, 109, 600 << 10);
        writer.write_after_chunks(content, &data).unwrap();
        writer.finish().unwrap()
    });
    assert_eq!(written.await.unwrap().packs.len(), 2);
    let stored = store.hook.stored.lock().unwrap();
    let there: Vec<_> = stored.iter().map(|(key, there)| (key.split('/').next().unwrap(), *there)).collect();
    assert!(matches!(there[..], [("packs", 3..), ("packs", 5), ("content", 5)]), "{stored:?}");
}
