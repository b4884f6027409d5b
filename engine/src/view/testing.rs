//! Snapshots of a repository in memory.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::SnapshotView;
use crate::hamt::TreeBuilder;
use crate::object::{LeafEntry, ObjectKind, ObjectRef, Snapshot, SourceInfo, json, path_key};
use crate::pack::Catalog;
use crate::repository::ReadError;
use crate::tree::memory::Memory;
use crate::tree::{NameContents, ReadObjects};

/// A snapshot with this root, as a source of this type makes it.
pub(crate) fn snapshot(memory: &mut Memory, root: Option<ObjectRef>, source: &str) -> (ObjectRef, Snapshot) {
    let snapshot = Snapshot {
        version: 1,
        created: "2026-01-02T03:04:05Z".parse().unwrap(),
        root,
        seq: 1,
        source: SourceInfo { source_type: source.to_owned(), ..SourceInfo::default() },
        meta: BTreeMap::new(),
        tags: Vec::new(),
        change_token: String::new(),
        exclude_hash: String::new(),
    };
    (memory.put(ObjectKind::Snapshot, json::encode(&snapshot)), snapshot)
}

/// Takes the entries so far, and stores them as the tree that the format wants: of paths, so the parent of each follows
/// from its fileId.
pub(crate) fn canonical(memory: &mut Memory) -> Option<ObjectRef> {
    let mut builder = TreeBuilder::new();
    for LeafEntry { key, filemeta, .. } in std::mem::take(&mut memory.entries) {
        let parent = key.rsplit_once('/').map_or("", |(parent, _)| parent);
        builder.add(&key, path_key(parent, &key), filemeta.hash).unwrap();
    }
    let nodes = Mutex::new(Vec::new());
    let root = builder.build(1, |reference, bytes| {
        nodes.lock().unwrap().push((reference, bytes));
        Ok::<_, std::io::Error>(())
    });
    for (reference, bytes) in nodes.into_inner().unwrap() {
        assert_eq!(memory.put(ObjectKind::Node, bytes), reference);
    }
    root.unwrap()
}

/// A snapshot of the entries so far, which are taken.
pub(crate) fn local(memory: &mut Memory) -> (ObjectRef, Snapshot) {
    let root = canonical(memory);
    snapshot(memory, root, "local")
}

/// A view of a snapshot.
pub(crate) fn view(memory: &Arc<Memory>, (reference, snapshot): &(ObjectRef, Snapshot)) -> SnapshotView {
    let objects: Arc<dyn ReadObjects> = Arc::<Memory>::clone(memory);
    SnapshotView::new(objects, *reference, snapshot.clone())
}

/// A token that nobody cancels.
pub(crate) fn never() -> CancellationToken {
    CancellationToken::new()
}

/// How many objects were read since this was last asked.
pub(crate) fn reads(memory: &Memory) -> BTreeMap<&'static str, u32> {
    let mut by_kind = BTreeMap::new();
    for (object, count) in memory.reads.lock().unwrap().drain() {
        *by_kind.entry(object.kind.as_str()).or_default() += count;
    }
    by_kind
}

/// Cancels when so many objects were read, and gives more to whoever goes on all the same.
pub(crate) struct Cancelling {
    pub(crate) memory: Memory,
    left: AtomicUsize,
    cancel: CancellationToken,
}

impl Cancelling {
    pub(crate) fn new(memory: Memory, left: usize, cancel: &CancellationToken) -> Self {
        Self { memory, left: left.into(), cancel: cancel.clone() }
    }
}

impl ReadObjects for Cancelling {
    fn read(&self, object: &ObjectRef) -> Result<Bytes, ReadError> {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.cancel.cancel();
        }
        self.memory.read(object)
    }

    fn locality(&self, object: &ObjectRef) -> (u32, u64) {
        self.memory.locality(object)
    }

    fn catalog(&self) -> Arc<Catalog> {
        self.memory.catalog()
    }

    fn name_contents(&self) -> Arc<dyn NameContents> {
        self.memory.name_contents()
    }
}
