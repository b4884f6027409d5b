//! A sound repository, and all that is known of it: who needs what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cloudstic_engine::object::{Content, FileMeta, Node, ObjectKind, ObjectRef, Snapshot};
use cloudstic_engine::repository::{Credential, ObjectReader, Repository, RepositoryError};
use cloudstic_engine::store::MemoryStore;
use serde_json::Value;

use crate::memory::Objects;

/// What is known of a sound repository.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) objects: Objects,
    pub(crate) credentials: Vec<Credential>,
    /// Where the catalog says that each packed object lies: pack, first byte, length.
    pub(crate) places: BTreeMap<String, (String, usize, usize)>,
    /// Each snapshot's files: path, and hash of the bytes ("" for folders).
    pub(crate) files: BTreeMap<ObjectRef, BTreeMap<String, String>>,
    /// The paths of each snapshot that need an object; a node's are all below it.
    needs: BTreeMap<String, BTreeMap<ObjectRef, BTreeSet<String>>>,
}

impl Known {
    pub(crate) async fn of(name: &'static str, objects: Objects, credentials: Vec<Credential>) -> Self {
        Self::of_those(name, objects, credentials, |_| true).await
    }

    /// The same of some snapshots, where others are not sound.
    pub(crate) async fn of_those(
        name: &'static str,
        objects: Objects,
        credentials: Vec<Credential>,
        is_meant: impl Fn(&ObjectRef) -> bool,
    ) -> Self {
        let repository = open(objects.clone(), credentials.clone()).await.unwrap();
        let reader = repository.reader().await.unwrap();
        let mut list = repository.snapshots().await.unwrap().readable;
        list.retain(|entry| is_meant(&entry.reference));
        let mut known = Self {
            name,
            places: places(&objects),
            objects,
            credentials,
            files: BTreeMap::new(),
            needs: BTreeMap::new(),
        };
        tokio::task::spawn_blocking(move || {
            for entry in &list {
                known.add(&reader, entry.reference);
            }
            known
        })
        .await
        .unwrap()
    }

    fn add(&mut self, reader: &ObjectReader, reference: ObjectRef) {
        let snapshot: Snapshot = reader.read_json(&reference).unwrap();
        self.files.entry(reference).or_default();
        if let Some(root) = snapshot.root {
            let paths = self.add_node(reader, reference, root);
            self.need(&reference, reference, paths);
        }
    }

    fn add_node(&mut self, reader: &ObjectReader, snapshot: ObjectRef, node: ObjectRef) -> BTreeSet<String> {
        let paths: BTreeSet<String> = match reader.read_json(&node).unwrap() {
            Node::Internal { children, .. } => {
                children.into_iter().flat_map(|child| self.add_node(reader, snapshot, child)).collect()
            }
            Node::Leaf(leaf) => leaf
                .entries
                .into_iter()
                .map(|entry| {
                    self.add_entry(reader, snapshot, &entry.key, entry.filemeta);
                    entry.key
                })
                .collect(),
        };
        self.need(&node, snapshot, paths.clone());
        paths
    }

    fn add_entry(&mut self, reader: &ObjectReader, snapshot: ObjectRef, path: &str, filemeta: ObjectRef) {
        let meta: FileMeta = reader.read_json(&filemeta).unwrap();
        let path = BTreeSet::from([path.to_owned()]);
        let hash = if meta.kind().is_none() { meta.content_hash.clone() } else { String::new() };
        self.files.get_mut(&snapshot).unwrap().insert(meta.file_id.clone(), hash);
        self.need(&filemeta, snapshot, path.clone());
        if let Some(content) = meta.content() {
            self.need(&content, snapshot, path.clone());
            for chunk in reader.read_json::<Content>(&content).unwrap().chunks {
                self.need(&chunk, snapshot, path.clone());
            }
        }
    }

    fn need(&mut self, object: &ObjectRef, snapshot: ObjectRef, paths: BTreeSet<String>) {
        self.needs.entry(object.key()).or_default().entry(snapshot).or_default().extend(paths);
    }

    /// The paths of each snapshot that need what has this key: an object, or a pack with all that is in it.
    pub(crate) fn needing(&self, key: &str) -> BTreeMap<ObjectRef, BTreeSet<String>> {
        let members = self.places.iter().filter(|(_, (pack, ..))| pack == key).map(|(object, _)| object.as_str());
        let mut all: BTreeMap<ObjectRef, BTreeSet<String>> = BTreeMap::new();
        for object in members.chain([key]) {
            for (snapshot, paths) in self.needs.get(object).into_iter().flatten() {
                all.entry(*snapshot).or_default().extend(paths.iter().cloned());
            }
        }
        all
    }

    /// Some objects of a kind that are needed, in packs or by themselves.
    pub(crate) fn some(&self, kind: ObjectKind, packed: bool) -> Vec<String> {
        let prefix = format!("{}/", kind.as_str());
        let of_kind = self.needs.keys().filter(|key| key.starts_with(&prefix));
        of_kind.filter(|key| self.places.contains_key(*key) == packed).cloned().collect()
    }

    pub(crate) async fn open(&self, objects: Objects) -> Result<Arc<Repository>, RepositoryError> {
        open(objects, self.credentials.clone()).await
    }
}

pub(crate) async fn open(objects: Objects, credentials: Vec<Credential>) -> Result<Arc<Repository>, RepositoryError> {
    Ok(Arc::new(Repository::open(Arc::new(MemoryStore::of(objects)), credentials).await?))
}

fn places(objects: &Objects) -> BTreeMap<String, (String, usize, usize)> {
    let Some(catalog) = objects.get("index/packs") else { return BTreeMap::new() };
    let catalog: BTreeMap<String, Value> = serde_json::from_slice(catalog).unwrap();
    let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    let place = |entry: Value| (entry["p"].as_str().unwrap().to_owned(), number(&entry["o"]), number(&entry["l"]));
    catalog.into_iter().map(|(key, entry)| (key, place(entry))).collect()
}
