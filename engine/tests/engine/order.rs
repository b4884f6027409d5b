//! A backup may break off at any moment: what is in the store by then names nothing that is not there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use cloudstic_e2e::random;
use cloudstic_engine::backup::backup;
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::object::{Hash, ObjectKind, ObjectRef};
use cloudstic_engine::pack::PackMembers;
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repository::{ObjectWriter, Repository, Stored, Written};
use cloudstic_engine::store::hooked::{Hook, HookedStore};
use cloudstic_engine::store::{LocalStore, ObjectStore, StoreError, StoreErrorKind, StoreOperation, StoreResult};
use tokio_util::sync::CancellationToken;

use crate::support::{Bench, platform_key};

/// A slow store that writes down which objects were there when a write began.
#[derive(Debug, Default)]
struct Slow {
    /// Chunks by themselves fail.
    fail: bool,
    /// While the gate is locked, what begins like this stays on its way.
    gated: &'static str,
    gate: tokio::sync::RwLock<()>,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    there: BTreeSet<String>,
    before: HashMap<String, BTreeSet<String>>,
}

impl Hook for Slow {
    async fn request<T: Send>(
        &self,
        operation: StoreOperation,
        key: &str,
        done: impl Future<Output = StoreResult<T>> + Send,
    ) -> StoreResult<T> {
        if operation != StoreOperation::Put {
            return done.await;
        }
        {
            let mut log = self.log.lock().unwrap();
            let there = log.there.clone();
            log.before.insert(key.to_owned(), there);
        }
        if !self.gated.is_empty() && key.starts_with(self.gated) {
            drop(self.gate.read().await);
        }
        for _ in 0..500 {
            tokio::task::yield_now().await;
        }
        if self.fail && key.starts_with("chunk/") {
            let (key, backend, detail) = (key.to_owned(), "local".to_owned(), "no more".to_owned());
            return Err(StoreError { kind: StoreErrorKind::Denied, key, backend, detail });
        }
        let done = done.await;
        self.log.lock().unwrap().there.insert(key.to_owned());
        done
    }
}

/// The repository of a bench behind such a store.
async fn slow(bench: &Bench, fail: bool, gated: &'static str) -> (Arc<HookedStore<Slow>>, Arc<Repository>) {
    let inner: Arc<dyn ObjectStore> = Arc::new(LocalStore::new(bench.repository_path()));
    let store = HookedStore::new(inner, Slow { fail, gated, ..Slow::default() });
    let repository = Repository::open(store.clone(), vec![platform_key()]).await.unwrap();
    (store, Arc::new(repository))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_is_not_stored_before_its_chunks() {
    let bench = Bench::new(vec![platform_key()]).await;
    bench.write("before", b"small");
    bench.backup().await;
    bench.write("large", &random::bytes(1, 3_000_000));
    let (_, repository) = slow(&bench, true, "").await;
    let failed = backup(repository, bench.request(), Arc::new(Silent), CancellationToken::new()).await;
    assert!(failed.unwrap_err().to_string().contains("no more"));
    // Nothing but chunks may have come to it.
    bench.verify();
}

/// In which pack each object is.
fn packed(written: &Written) -> BTreeMap<ObjectRef, String> {
    let members = |pack: &PackMembers| {
        let name = format!("packs/{}", pack.pack);
        pack.members.iter().map(|member| (member.object, name.clone())).collect::<Vec<_>>()
    };
    written.packs.iter().flat_map(members).collect()
}

/// Panics unless each content is there, and came after its chunks or with them.
fn assert_order(slow: &Slow, packed: &BTreeMap<ObjectRef, String>, files: &[(ObjectRef, Vec<ObjectRef>)]) {
    let parcel = |object: &ObjectRef| packed.get(object).cloned().unwrap_or_else(|| object.key());
    let log = slow.log.lock().unwrap();
    for (content, chunks) in files {
        let home = parcel(content);
        for chunk in chunks.iter().map(parcel) {
            assert!(chunk == home || log.before[&home].contains(&chunk), "{home} came before {chunk}");
        }
        assert!(log.there.contains(&home));
    }
}

/// How many random chunks of 100 KiB fill a pack.
const IN_A_PACK: u64 = 82;

fn write_small_chunk(writer: &ObjectWriter, seed: u64) -> ObjectRef {
    let (chunk, data) = random_object(ObjectKind::Chunk, seed, 100 << 10);
    writer.write(chunk, &data).unwrap();
    chunk
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_waits_for_large_chunks_that_its_contents_name() {
    let bench = Bench::new(vec![platform_key()]).await;
    let (store, repository) = slow(&bench, false, "chunk/").await;
    let closed = store.hook.gate.write().await;
    let writer = repository.writer(repository.existing().await.unwrap(), LeaseWatch::not_needed());
    let watched = store.clone();
    let fill = move || {
        let (large, data) = random_object(ObjectKind::Chunk, 0, 600 << 10);
        writer.write(large, &data).unwrap();
        let (content, data) = random_object(ObjectKind::Content, 1, 2000);
        writer.write_after(&[large], content, &data).unwrap();
        for seed in 0..IN_A_PACK {
            write_small_chunk(&writer, 10 + seed);
        }
        // The pack is full. Whatever begins after it, begins soon.
        let (last, data) = random_object(ObjectKind::Chunk, 2, 600 << 10);
        writer.write(last, &data).unwrap();
        while !watched.hook.log.lock().unwrap().before.contains_key(&last.key()) {
            std::thread::yield_now();
        }
        (writer, content, large)
    };
    let (writer, content, large) = tokio::task::spawn_blocking(fill).await.unwrap();
    drop(closed);
    let written = tokio::task::spawn_blocking(move || writer.finish().unwrap()).await.unwrap();
    assert_order(&store.hook, &packed(&written), &[(content, vec![large])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_waits_for_a_pack_that_is_on_its_way() {
    let bench = Bench::new(vec![platform_key()]).await;
    let (store, repository) = slow(&bench, false, "packs/").await;
    let closed = store.hook.gate.write().await;
    let writer = repository.writer(repository.existing().await.unwrap(), LeaseWatch::not_needed());
    let fill = move || {
        let small = write_small_chunk(&writer, 0);
        for seed in 0..IN_A_PACK {
            write_small_chunk(&writer, 10 + seed);
        }
        let (content, data) = random_object(ObjectKind::Content, 1, 2000);
        writer.write_after(&[small], content, &data).unwrap();
        for seed in 0..IN_A_PACK {
            write_small_chunk(&writer, 1000 + seed);
        }
        (writer, content, small)
    };
    let (writer, content, small) = tokio::task::spawn_blocking(fill).await.unwrap();
    drop(closed);
    let written = tokio::task::spawn_blocking(move || writer.finish().unwrap()).await.unwrap();
    assert_order(&store.hook, &packed(&written), &[(content, vec![small])]);
}

const THREADS: u64 = 4;
const FILES: u64 = 60;

/// Writes an object of random bytes.
fn random_object(kind: ObjectKind, seed: u64, size: usize) -> (ObjectRef, Vec<u8>) {
    let data = random::bytes(seed, size);
    (ObjectRef::new(kind, Hash::of(&data)), data)
}

/// Writes files whose chunks are large, small, or shared with other threads at that moment, and gives the chunks of each.
fn write_files(writer: &ObjectWriter, thread: u64) -> Vec<(ObjectRef, Vec<ObjectRef>)> {
    let write_file = |n: u64| {
        let own = 1000 * (thread + 1) + 3 * n;
        let shared = 1_000_000 + n;
        // Some are too large for a pack.
        let chunks = match n % 4 {
            0 => vec![(own, 600 << 10), (shared, 60 << 10)],
            1 => vec![(shared, 700 << 10), (own, 30 << 10)],
            2 => vec![(own, 200 << 10), (shared, 200 << 10)],
            _ => vec![(shared, 100 << 10)],
        };
        let chunks: Vec<_> = chunks
            .into_iter()
            .map(|(seed, size)| {
                let (chunk, data) = random_object(ObjectKind::Chunk, seed, size);
                writer.write(chunk, &data).unwrap();
                chunk
            })
            .collect();
        let size = if n.is_multiple_of(20) { 600 << 10 } else { 2000 };
        let (content, data) = random_object(ObjectKind::Content, own + 1, size);
        writer.write_after(&chunks, content, &data).unwrap();
        (content, chunks)
    };
    (0..FILES).map(write_file).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_several_threads_write_comes_after_what_it_names() {
    let bench = Bench::new(vec![platform_key()]).await;
    let (store, repository) = slow(&bench, false, "").await;
    let writer = repository.writer(repository.existing().await.unwrap(), LeaseWatch::not_needed());
    let (files, written) = tokio::task::spawn_blocking(move || {
        let files: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|thread| {
                    scope.spawn({
                        let writer = &writer;
                        move || write_files(writer, thread)
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        (files, writer.finish().unwrap())
    })
    .await
    .unwrap();
    assert!(written.packs.len() > 2);
    let packed = packed(&written);
    assert_order(&store.hook, &packed, &files);
    let alone = files.iter().filter(|(content, _)| !packed.contains_key(content)).count() as u64;
    assert_eq!(alone, THREADS * FILES / 20);
    // Contents and their small chunks are read together, unless another thread's pack had the chunk already.
    let with_small: Vec<_> = files.iter().filter(|(content, _)| packed.contains_key(content)).collect();
    let together = with_small.iter().filter(|(content, chunks)| {
        chunks.iter().filter(|chunk| packed.contains_key(chunk)).all(|chunk| packed[chunk] == packed[content])
    });
    assert!(together.count() * 5 > with_small.len(), "{}", with_small.len());
}

/// The last pack is filled by the contents that were held back, and there are more of them.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_back_until_the_end_and_fills_a_pack_is_all_there() {
    let bench = Bench::new(vec![platform_key()]).await;
    let (store, repository) = slow(&bench, false, "packs/").await;
    let closed = store.hook.gate.write().await;
    let writer = repository.writer(repository.existing().await.unwrap(), LeaseWatch::not_needed());
    let fill = move || {
        let chunk = |seed| {
            let (chunk, data) = random_object(ObjectKind::Chunk, seed, 100 << 10);
            let Stored::Now(size) = writer.write(chunk, &data).unwrap() else { panic!("{chunk} was there") };
            (chunk, size)
        };
        let chunks = |seeds: std::ops::Range<u64>| {
            for seed in seeds {
                chunk(seed);
            }
        };
        let (first, size) = chunk(0);
        let in_a_pack = (8_u64 << 20).div_ceil(size);
        chunks(1..in_a_pack);
        // The first pack is full and on its way; one more would fill the second one.
        let (second, _) = chunk(1000);
        let contents = [1, 2, 3].map(|n| {
            let (content, data) = random_object(ObjectKind::Content, 2000 + n, 100 << 10);
            writer.write_after(&[first, second], content, &data).unwrap();
            content
        });
        chunks(1002..1000 + in_a_pack);
        (writer, contents)
    };
    let (writer, contents) = tokio::task::spawn_blocking(fill).await.unwrap();
    drop(closed);
    let written = tokio::task::spawn_blocking(move || writer.finish().unwrap()).await.unwrap();
    let there = &store.hook.log.lock().unwrap().there;
    for content in contents {
        let holds = |pack: &&PackMembers| pack.members.iter().any(|member| member.object == content);
        let pack = written.packs.iter().find(holds).unwrap_or_else(|| panic!("{content} is in no pack"));
        assert!(there.contains(&format!("packs/{}", pack.pack)));
    }
    assert_eq!((written.packs.len(), there.len()), (3, 3));
}
