//! Repositories in memory to prune.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use cloudstic_e2e::{golden, random};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::backup::{BackupRequest, backup};
use crate::lock::LeaseWatch;
use crate::object::{Content, ObjectKind, ObjectRef};
use crate::pack::{CATALOG_KEY, Catalog, Location, heal_all, stored};
use crate::progress::Silent;
use crate::prune::{MAX_WASTE_PERCENT, PruneError, PruneReport, PruneRequest, prune};
use crate::reach::{Alone, Reach};
use crate::repair::{RepairError, RepairReport, RepairRequest, repair};
use crate::repository::{Credential, InitOptions, Repository, RepositoryError};
use crate::source::local::{LocalOptions, LocalSource};
use crate::store::{MemoryStore, ObjectStore};

pub(super) type Objects = BTreeMap<String, Bytes>;

/// A store with a repository, and a tree to back up.
pub(super) struct Bench {
    pub(super) store: MemoryStore,
    pub(super) tree: TempDir,
}

pub(super) fn key() -> Credential {
    Credential::PlatformKey("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff".into())
}

pub(super) async fn open(store: Arc<dyn ObjectStore>) -> Arc<Repository> {
    Arc::new(Repository::open(store, vec![key()]).await.unwrap())
}

pub(super) fn request() -> PruneRequest {
    PruneRequest {
        dry_run: false,
        max_waste_percent: MAX_WASTE_PERCENT,
        max_repack_bytes: None,
        despite_unknown: false,
        without: Default::default(),
        lease: LeaseWatch::not_needed(),
    }
}

/// Prunes with a repository that was just opened.
pub(super) async fn prune_as(store: Arc<dyn ObjectStore>, request: PruneRequest) -> Result<PruneReport, PruneError> {
    prune(open(store).await, request, Arc::new(Silent), CancellationToken::new()).await
}

impl Bench {
    /// An empty repository of our own.
    pub(super) async fn new(store: MemoryStore, encrypted: bool) -> Self {
        let credentials = if encrypted { vec![key()] } else { Vec::new() };
        let options = InitOptions { credentials, ..InitOptions::default() };
        Repository::init(Arc::new(store.another(1)), options).await.unwrap();
        Self { store, tree: tempfile::tempdir().unwrap() }
    }

    /// One of ours with the layout that a prune has most to do with: two snapshots, the older of which is removed, with
    /// small files, a large one, and objects that both need. Gives the tree of the older one, too.
    pub(super) async fn ours(store: MemoryStore, encrypted: bool) -> (Self, TempDir) {
        let bench = Self::new(store, encrypted).await;
        let old = tempfile::tempdir().unwrap();
        for folder in [bench.tree.path(), old.path()] {
            for n in 0..12u64 {
                std::fs::write(folder.join(format!("both-{n}")), random::bytes(n, 700)).unwrap();
            }
        }
        for n in 0..20u64 {
            std::fs::write(old.path().join(format!("old-{n}")), random::bytes(100 + n, 900)).unwrap();
        }
        std::fs::write(old.path().join("large"), random::bytes(7, 1_300_000)).unwrap();
        let first = bench.backup_of(old.path()).await;
        std::fs::write(bench.tree.path().join("new"), random::bytes(8, 1_300_000)).unwrap();
        bench.backup().await;
        bench.forget(first).await;
        (bench, old)
    }

    /// A repository of the CLI without its two oldest snapshots.
    pub(super) async fn golden(name: &str) -> Self {
        Self::golden_without(name, 0..2).await
    }

    /// A repository of the CLI without some of its three snapshots.
    pub(super) async fn golden_without(name: &str, removed: std::ops::Range<usize>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        golden::copy(name, folder.path());
        let bench = Self { store: MemoryStore::default(), tree: tempfile::tempdir().unwrap() };
        load(&bench.store, folder.path(), folder.path());
        for snapshot in &bench.snapshots().await[removed] {
            bench.forget(*snapshot).await;
        }
        bench
    }

    /// The same in its own store.
    pub(super) fn from(objects: &Objects, store: MemoryStore) -> Self {
        store.objects().clone_from(objects);
        Self { store, tree: tempfile::tempdir().unwrap() }
    }

    pub(super) fn client(&self) -> MemoryStore {
        self.store.another(3)
    }

    pub(super) async fn open(&self) -> Arc<Repository> {
        open(Arc::new(self.client())).await
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.tree.path().join(name), bytes).unwrap();
    }

    pub(super) async fn backup(&self) -> ObjectRef {
        self.backup_of(self.tree.path()).await
    }

    pub(super) async fn backup_of(&self, tree: &Path) -> ObjectRef {
        backup_with(self.open().await, tree).await
    }

    /// All snapshots, oldest first.
    pub(super) async fn snapshots(&self) -> Vec<ObjectRef> {
        let list = self.open().await.snapshots().await.unwrap();
        assert!(list.unreadable.is_empty());
        list.readable.iter().rev().map(|entry| entry.reference).collect()
    }

    /// Removes a snapshot, packed or not.
    pub(super) async fn forget(&self, snapshot: ObjectRef) {
        self.client().delete(&snapshot.key()).await.unwrap();
        // It would still name the snapshot.
        self.client().delete("index/snapshots").await.unwrap();
        let Some(bytes) = self.object(CATALOG_KEY) else { return };
        let mut entries: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&bytes).unwrap();
        if entries.remove(&snapshot.key()).is_some() {
            let catalog = stored::parse(&serde_json::to_vec(&entries).unwrap()).unwrap();
            self.put_catalog(&catalog);
        }
    }

    pub(super) fn put_catalog(&self, catalog: &Catalog) {
        let mut bytes = Vec::new();
        stored::write(catalog, &mut bytes).unwrap();
        self.store.objects().insert(CATALOG_KEY.to_owned(), bytes.into());
    }

    pub(super) fn object(&self, key: &str) -> Option<Bytes> {
        self.store.objects().get(key).cloned()
    }

    pub(super) fn keys(&self, prefix: &str) -> Vec<String> {
        self.store.objects().keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    pub(super) async fn prune(&self, request: PruneRequest) -> Result<PruneReport, PruneError> {
        prune_as(Arc::new(self.client()), request).await
    }

    /// Repairs with a repository that was just opened, and removes nothing.
    pub(super) async fn repair(&self, read_data: bool) -> RepairReport {
        let request =
            RepairRequest { read_data, forget_damaged: false, dry_run: false, lease: LeaseWatch::not_needed() };
        repair(self.open().await, request, Arc::new(Silent), CancellationToken::new()).await.unwrap()
    }

    /// The same on some line to the store.
    pub(super) async fn repair_on(
        &self,
        store: MemoryStore,
        forget_damaged: bool,
    ) -> Result<RepairReport, RepairError> {
        let request =
            RepairRequest { read_data: false, forget_damaged, dry_run: false, lease: LeaseWatch::not_needed() };
        repair(open(Arc::new(store)).await, request, Arc::new(Silent), CancellationToken::new()).await
    }

    /// The same by a process that dies after so many changes. Gives whether it came to its end.
    pub(super) async fn repair_and_die(&self, changes: u64) -> Result<RepairReport, RepairError> {
        let store = self.client();
        store.line().break_after(changes);
        let request =
            RepairRequest { read_data: false, forget_damaged: false, dry_run: false, lease: LeaseWatch::not_needed() };
        let repository = open(Arc::new(store)).await;
        repair(repository, request, Arc::new(Silent), CancellationToken::new()).await
    }

    /// Removes snapshots as a forget does.
    pub(super) async fn remove(&self, store: MemoryStore, snapshots: &[ObjectRef]) -> Result<(), RepositoryError> {
        let repository = open(Arc::new(store)).await;
        repository.remove_snapshots(&snapshots.iter().copied().collect(), &LeaseWatch::not_needed()).await.map(drop)
    }

    /// The catalog as it is stored.
    pub(super) fn catalog(&self) -> Catalog {
        self.object(CATALOG_KEY).map(|bytes| stored::parse(&bytes).unwrap()).unwrap_or_default()
    }

    /// Flips a bit of an object in a pack.
    pub(super) fn damage_at(&self, place: &Location) {
        let key = format!("packs/{}", place.pack);
        let mut objects = self.store.objects();
        let mut bytes = objects[&key].to_vec();
        bytes[(place.offset + place.length / 2) as usize] ^= 1;
        objects.insert(key, bytes.into());
    }

    /// The same by a process that dies after so many changes.
    pub(super) async fn prune_and_die(&self, changes: u64, request: PruneRequest) -> Result<PruneReport, PruneError> {
        let store = self.client();
        store.line().break_after(changes);
        prune_as(Arc::new(store), request).await
    }

    async fn reach(&self) -> (Arc<Repository>, Reach) {
        let repository = self.open().await;
        let list = repository.snapshots().await.unwrap();
        assert!(list.unreadable.is_empty(), "{list:?}");
        let cancel = CancellationToken::new();
        let reach = Reach::of(&repository, list.readable, Arc::new(Silent), cancel).await.unwrap();
        (repository, reach)
    }

    /// All objects that the snapshots need, each read and proven where the catalog says that it is.
    pub(super) async fn whole(&self) -> BTreeSet<ObjectRef> {
        let (repository, reach) = self.reach().await;
        let reader = repository.reader().await.unwrap();
        let reading = tokio::task::spawn_blocking(move || {
            let needed: BTreeSet<ObjectRef> = reach.objects().map(|(object, _)| object).collect();
            needed.iter().for_each(|object| drop(reader.read(object).unwrap()));
            assert!(reader.detours().is_empty(), "{:?}", reader.detours());
            // Whether a snapshot is in a pack or not is all one.
            needed.into_iter().filter(|object| object.kind.is_data()).collect()
        });
        reading.await.unwrap()
    }

    /// Every content that is anywhere, needed or not, has its chunks.
    pub(super) async fn assert_contents_have_their_chunks(&self) {
        let repository = self.open().await;
        let footers = heal_all(&**repository.store(), repository.sealer(), Default::default()).await.unwrap().catalog;
        let alone = Alone::list(&**repository.store()).await.unwrap();
        let mut catalog = Catalog::default();
        if let Some(bytes) = self.object(CATALOG_KEY) {
            let exists = self.keys("packs/");
            catalog = stored::parse(&bytes).unwrap();
            catalog = catalog.retain_packs(|pack| exists.contains(&format!("packs/{pack}"))).0;
        }
        let has =
            |object: &ObjectRef| catalog.contains(object) || footers.contains(object) || alone.number(object).is_some();
        let kind = ObjectKind::Content;
        let mut contents: BTreeSet<ObjectRef> = catalog.objects(kind).chain(footers.objects(kind)).collect();
        contents.extend(alone.objects(kind).map(|(content, _)| content));
        let known = repository.known_reader(footers.clone());
        let named = repository.known_reader(catalog.clone().into());
        let reading = tokio::task::spawn_blocking(move || {
            let read = |content: &ObjectRef| {
                let read = named.read_json::<Content>(content).or_else(|_| known.read_json::<Content>(content));
                (*content, read.unwrap().chunks)
            };
            contents.iter().map(read).collect::<Vec<_>>()
        });
        for (content, chunks) in reading.await.unwrap() {
            assert!(chunks.iter().all(has), "{content} lacks a chunk");
        }
    }

    /// Nothing is there that nobody needs, but for the waste that may be in packs.
    pub(super) async fn assert_nothing_is_left_over(&self) {
        let (repository, reach) = self.reach().await;
        let catalog = reach.catalog();
        for kind in ObjectKind::ALL.into_iter().filter(|kind| *kind != ObjectKind::Content) {
            assert!(catalog.objects(kind).all(|object| reach.needs(&object)), "{kind:?}");
        }
        self.assert_contents_have_their_chunks().await;
        let alone = Alone::list(&**repository.store()).await.unwrap();
        for kind in ObjectKind::ALL {
            assert!(alone.objects(kind).all(|(object, _)| reach.needs(&object) && !catalog.contains(&object)));
        }
        let named: BTreeSet<String> = catalog.packs().iter().map(|pack| format!("packs/{pack}")).collect();
        assert_eq!(named, self.keys("packs/").into_iter().collect());
        let stored = self.object(CATALOG_KEY).map(|bytes| stored::parse(&bytes).unwrap()).unwrap_or_default();
        assert_eq!(stored.len(), catalog.len());
    }
}

pub(super) async fn backup_with(repository: Arc<Repository>, tree: &Path) -> ObjectRef {
    let request = BackupRequest {
        source: Arc::new(LocalSource::new(tree.to_owned(), LocalOptions::default()).unwrap()),
        cache: None,
        tags: Vec::new(),
        dry_run: false,
        read_all: false,
        clock: crate::clock::system(),
        lease: LeaseWatch::not_needed(),
    };
    let report = backup(repository, request, Arc::new(Silent), CancellationToken::new()).await.unwrap();
    assert_eq!(report.warning_count, 0, "{:?}", report.warnings);
    report.snapshot.unwrap()
}

fn load(store: &MemoryStore, root: &Path, folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            load(store, root, &path);
        } else {
            let key = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            store.objects().insert(key, std::fs::read(&path).unwrap().into());
        }
    }
}
