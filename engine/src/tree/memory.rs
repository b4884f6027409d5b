//! A repository in memory, for tests: good trees, and every bad one that a hostile writer could make.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::{NameContents, ReadObjects};
use crate::object::{
    Content, EntryType, Extra, FileMeta, FileName, Hash, Kind, Leaf, LeafEntry, Node, ObjectKind, ObjectRef, Posix,
    file_id_component, json,
};
use crate::pack::Catalog;
use crate::repository::{ObjectWriter, ReadError, RepositoryError};
use crate::store::{StoreError, StoreErrorKind};

/// Writes a tree for tests that need a large one: these entries, 32 a leaf. Gives its root.
pub(crate) fn write_tree(
    writer: &ObjectWriter,
    entries: impl Iterator<Item = Result<(String, FileMeta), RepositoryError>>,
) -> Result<ObjectRef, RepositoryError> {
    let put = |kind, bytes: Vec<u8>| {
        let object = ObjectRef::new(kind, Hash::of(&bytes));
        writer.write(object, &bytes).map(|_| object)
    };
    let (mut leaf, mut level) = (Vec::new(), Vec::new());
    for entry in entries {
        let (key, meta) = entry?;
        let filemeta = put(ObjectKind::Filemeta, json::encode(&meta))?;
        leaf.push(LeafEntry { path_key: Some(Hash::of(key.as_bytes())), key, filemeta });
        if leaf.len() == 32 {
            let leaf = Node::Leaf(Leaf { entries: std::mem::take(&mut leaf) });
            level.push(put(ObjectKind::Node, json::encode(&leaf))?);
        }
    }
    while level.len() > 1 {
        let above = level.chunks(32).map(|children| {
            let node = Node::Internal { bitmap: u32::MAX, children: children.to_vec() };
            put(ObjectKind::Node, json::encode(&node))
        });
        level = above.collect::<Result<_, _>>()?;
    }
    Ok(level[0])
}

#[derive(Default)]
pub(crate) struct Memory {
    objects: HashMap<ObjectRef, Bytes>,
    /// Says where some of them lie; what it says is not used.
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) entries: Vec<LeafEntry>,
    /// From now on the store fails for everything but the tree.
    pub(crate) store_fails: bool,
    pub(crate) reads: Mutex<HashMap<ObjectRef, u32>>,
}

impl ReadObjects for Memory {
    fn read(&self, object: &ObjectRef) -> Result<Bytes, ReadError> {
        *self.reads.lock().unwrap().entry(*object).or_default() += 1;
        if self.store_fails && matches!(object.kind, ObjectKind::Content | ObjectKind::Chunk) {
            let (key, backend, detail) = (object.key(), "memory".to_owned(), "gone".to_owned());
            return Err(StoreError { kind: StoreErrorKind::Transient, key, backend, detail }.into());
        }
        let bytes = self.objects.get(object).ok_or(ReadError::Missing(*object))?;
        if object.kind != ObjectKind::Content && Hash::of(bytes) != object.hash {
            return Err(ReadError::Damaged { object: *object, problem: "its bytes have another hash".to_owned() });
        }
        Ok(bytes.clone())
    }

    fn locality(&self, object: &ObjectRef) -> (u32, u64) {
        (0, u64::from(object.hash.as_bytes()[0]))
    }

    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog)
    }

    fn name_contents(&self) -> Arc<dyn NameContents> {
        Arc::new(Unencrypted)
    }
}

#[derive(Debug)]
struct Unencrypted;

impl NameContents for Unencrypted {
    fn content_ref(&self, content_hash: &Hash) -> ObjectRef {
        ObjectRef::new(ObjectKind::Content, *content_hash)
    }
}

impl Memory {
    pub(crate) fn put(&mut self, kind: ObjectKind, bytes: impl Into<Bytes>) -> ObjectRef {
        let bytes = bytes.into();
        let object = ObjectRef::new(kind, Hash::of(&bytes));
        self.objects.insert(object, bytes);
        object
    }

    pub(crate) fn replace(&mut self, object: ObjectRef, bytes: impl Into<Bytes>) {
        self.objects.insert(object, bytes.into());
    }

    pub(crate) fn lose(&mut self, object: ObjectRef) {
        assert!(self.objects.remove(&object).is_some(), "{object} was there");
    }

    /// All objects, and how many bytes each has.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (ObjectRef, u64)> + '_ {
        self.objects.iter().map(|(object, bytes)| (*object, bytes.len() as u64))
    }

    pub(crate) fn content_reads(&self) -> usize {
        self.reads.lock().unwrap().keys().filter(|object| object.kind == ObjectKind::Content).count()
    }

    /// Adds an entry as it is.
    pub(crate) fn add(&mut self, meta: FileMeta) -> ObjectRef {
        let filemeta = self.put(ObjectKind::Filemeta, json::encode(&meta));
        self.entries.push(LeafEntry { key: meta.file_id, path_key: None, filemeta });
        filemeta
    }

    pub(crate) fn folder(&mut self, path: &[u8], mode: u32) -> ObjectRef {
        self.add(FileMeta { entry_type: EntryType::Folder, mode, ..meta(path) })
    }

    pub(crate) fn file(&mut self, path: &[u8], data: &[u8]) -> FileMeta {
        self.file_with(path, data, |_| ())
    }

    /// Adds a file; `change` has the last word on its metadata.
    pub(crate) fn file_with(&mut self, path: &[u8], data: &[u8], change: impl FnOnce(&mut FileMeta)) -> FileMeta {
        let content = if data.len() <= 1000 {
            Content::inline(data)
        } else {
            let chunks = data.chunks(300_000).map(|chunk| self.put(ObjectKind::Chunk, chunk.to_vec())).collect();
            Content::chunked(data.len() as u64, chunks)
        };
        let hash = Hash::of(data);
        self.objects.insert(ObjectRef::new(ObjectKind::Content, hash), json::encode(&content).into());
        let mut meta = meta(path);
        (meta.content_hash, meta.size, meta.mode) = (hash.to_string(), data.len() as u64, 0o644);
        change(&mut meta);
        self.add(meta.clone());
        meta
    }

    pub(crate) fn special(&mut self, path: &[u8], posix: Posix) -> ObjectRef {
        self.add(FileMeta { mode: 0o640, extra: Extra::from_posix(posix), ..meta(path) })
    }

    pub(crate) fn symlink(&mut self, path: &[u8], target: &str) -> ObjectRef {
        self.special(path, Posix { kind: Some(Kind::Symlink), target: Some(target.to_owned()), ..Posix::default() })
    }

    /// Stores the entries so far as a tree of leaves of 32 under one inner node.
    pub(crate) fn root(&mut self) -> Option<ObjectRef> {
        self.entries.sort_by(|a, b| a.key.cmp(&b.key));
        let leaves = self.entries.chunks(32).map(|entries| Node::Leaf(Leaf { entries: entries.to_vec() }));
        let leaves: Vec<Vec<u8>> = leaves.map(|leaf| json::encode(&leaf)).collect();
        let children = leaves.into_iter().map(|leaf| self.put(ObjectKind::Node, leaf)).collect();
        Some(self.put(ObjectKind::Node, json::encode(&Node::Internal { bitmap: u32::MAX, children })))
    }
}

/// The metadata of a file at a path, with its parent and nothing else.
pub(crate) fn meta(path: &[u8]) -> FileMeta {
    let id = |path: &[u8]| path.split(|&b| b == b'/').map(file_id_component).collect::<Vec<_>>().join("/");
    let slash = path.iter().rposition(|&byte| byte == b'/');
    let name = FileName::from_bytes(&path[slash.map_or(0, |at| at + 1)..]);
    FileMeta {
        version: 0,
        file_id: id(path),
        name: name.text,
        entry_type: EntryType::File,
        parents: slash.map(|at| vec![id(&path[..at])]),
        paths: Vec::new(),
        content_hash: String::new(),
        content_ref: String::new(),
        size: 0,
        mtime: 1_700_000_000,
        owner: String::new(),
        extra: Extra::from_posix(Posix { name_b64: name.base64, ..Posix::default() }),
        mode: 0,
        uid: 0,
        gid: 0,
        btime: 0,
        flags: 0,
        xattrs: BTreeMap::new(),
    }
}
