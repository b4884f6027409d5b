//! A new tree of what can be read of an old one.
//!
//! Files that are whole must not be lost because a folder above them is: where a folder's own metadata are lost, they are
//! taken from another snapshot that has the folder, or made anew from what its children say of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::check::{Below, CheckError, NO_PARENT, TOP, Trees, id_hash, tree_problems};
use crate::hamt::TreeBuilder;
use crate::object::{
    EntryType, Extra, FileMeta, FileName, Hash, LeafEntry, Node, ObjectKind, ObjectRef, Posix, Snapshot, file_id_bytes,
    json, path_key,
};
use crate::repository::{ObjectWriter, RepositoryError};

use super::RepairError;
use super::snapshots::REPAIRED;

/// The mode of a folder that is made anew: its owner's alone, for nobody knows who else had been let in.
const MODE: u32 = 0o700;

/// What goes into a new tree.
pub(super) struct Plan<'a> {
    trees: Trees<'a>,
    root: ObjectRef,
    /// Whether fileIds are paths.
    is_path: bool,
    /// Filemetas that are kept, by number.
    kept: HashSet<u32>,
    /// Folders that are kept or made, by the hashes of their fileIds.
    folders: HashSet<u64>,
    /// Folders that are taken from other snapshots.
    borrowed: Vec<FileMeta>,
    /// Folders that are made anew.
    made: Vec<FileMeta>,
}

impl<'a> Plan<'a> {
    /// Everything below `root` but what is `lost` and what does not fit; and folders in the place of those that are
    /// missing. `time` is that of the snapshot, in seconds since 1970. Blocking.
    pub(super) fn new(
        trees: Trees<'a>,
        root: ObjectRef,
        source_type: &str,
        lost: &BTreeMap<u32, Vec<u32>>,
        time: i64,
    ) -> Result<Self, RepairError> {
        let misfits = tree_problems(trees.graph, trees.entries, root).into_iter();
        let misfits: HashSet<u32> = misfits.filter(|(_, why)| *why != NO_PARENT).map(|(number, _)| number).collect();
        let mut kept = HashSet::new();
        trees.graph.walk(root, |_, below| {
            if let Below::Entries(items) = below {
                let is_good = |item: &&u32| {
                    !lost.contains_key(item) && !misfits.contains(item) && trees.entries.facts(**item).is_read()
                };
                kept.extend(items.iter().filter(is_good));
            }
        });
        let facts = |number: &u32| trees.entries.facts(*number);
        let folders = kept.iter().map(facts).filter(|facts| facts.is_folder()).map(|facts| facts.key).collect();
        let is_path = matches!(source_type, "local" | "sftp");
        let mut plan = Self { trees, root, is_path, kept, folders, borrowed: Vec::new(), made: Vec::new() };
        plan.fill_in(time)?;
        Ok(plan)
    }

    /// How many entries it has.
    pub(super) fn len(&self) -> u64 {
        self.kept.len() as u64 + self.remade()
    }

    /// How many folders of them were not there as they are.
    pub(super) fn remade(&self) -> u64 {
        (self.borrowed.len() + self.made.len()) as u64
    }

    /// Finds a folder for every parent that is not there, and for its parents.
    fn fill_in(&mut self, time: i64) -> Result<(), RepairError> {
        let Trees { reader, entries, stop, .. } = self.trees;
        let mut missing: BTreeMap<u64, String> = BTreeMap::new();
        for number in &self.kept {
            let facts = entries.facts(*number);
            if facts.parent == TOP || self.folders.contains(&facts.parent) || missing.contains_key(&facts.parent) {
                continue;
            }
            stop.check()?;
            let meta: FileMeta = reader.read_json(&entries.numbers.object(*number)).map_err(CheckError::from)?;
            missing.insert(facts.parent, self.parent_of(&meta));
        }
        let substitutes = self.substitutes(&missing);
        while let Some((key, id)) = missing.pop_first() {
            let borrowed = match substitutes.get(&key) {
                Some(number) => reader.read_json::<FileMeta>(&entries.numbers.object(*number)).ok(),
                // A folder above one that was just found: it is there nowhere else, or it would be there in that tree.
                None => None,
            };
            self.folders.insert(key);
            let meta = match borrowed {
                Some(meta) => {
                    self.borrowed.push(meta.clone());
                    meta
                }
                None => {
                    let meta = self.make(&id, time);
                    self.made.push(meta.clone());
                    meta
                }
            };
            let parent = self.parent_of(&meta);
            let parent_key = id_hash(entries.hasher(), &parent);
            if !parent.is_empty() && !self.folders.contains(&parent_key) {
                missing.insert(parent_key, parent);
            }
        }
        Ok(())
    }

    /// Folders of other trees with these fileIds, and with those of the folders above.
    fn substitutes(&self, missing: &BTreeMap<u64, String>) -> HashMap<u64, u32> {
        let entries = self.trees.entries;
        let mut wanted: HashSet<u64> = missing.keys().copied().collect();
        for id in missing.values().filter(|_| self.is_path) {
            let above = id.match_indices('/').map(|(at, _)| id_hash(entries.hasher(), &id[..at]));
            wanted.extend(above);
        }
        if wanted.is_empty() {
            return HashMap::new();
        }
        let mut found: BTreeMap<u64, BTreeSet<(ObjectRef, u32)>> = BTreeMap::new();
        for root in self.originals() {
            self.trees.graph.walk(root, |_, below| {
                let Below::Entries(items) = below else { return };
                for number in items {
                    let facts = entries.facts(*number);
                    if facts.is_read() && facts.is_folder() && wanted.contains(&facts.key) {
                        found.entry(facts.key).or_default().insert((entries.numbers.object(*number), *number));
                    }
                }
            });
        }
        // Always the same one, so that a second repair makes the very same snapshot.
        found.into_iter().filter_map(|(key, found)| Some((key, found.first()?.1))).collect()
    }

    /// The trees of all snapshots but those that a repair has made of others that are still there: folders that it made are
    /// not what they were.
    fn originals(&self) -> BTreeSet<ObjectRef> {
        let snapshots = self.trees.snapshots;
        let is_made = |snapshot: &Snapshot| {
            let old = snapshot.meta.get(REPAIRED).and_then(|old| old.parse().ok());
            old.is_some_and(|old: ObjectRef| snapshots.contains_key(&old))
        };
        snapshots.values().filter(|snapshot| !is_made(snapshot)).filter_map(|snapshot| snapshot.root).collect()
    }

    /// The fileId of the parent that a filemeta names.
    fn parent_of(&self, meta: &FileMeta) -> String {
        let parent = meta.parent().unwrap_or_default();
        match parent.parse::<ObjectRef>() {
            Ok(old) if old.kind == ObjectKind::Filemeta => {
                self.trees.reader.read_json::<FileMeta>(&old).map(|old| old.file_id).unwrap_or_default()
            }
            _ => parent.to_owned(),
        }
    }

    fn make(&self, id: &str, time: i64) -> FileMeta {
        let (parent, name) = match id.rsplit_once('/') {
            Some((parent, name)) if self.is_path => (Some(parent.to_owned()), file_id_bytes(name).into_owned()),
            _ if self.is_path => (None, file_id_bytes(id).into_owned()),
            _ => (None, format!("recovered-{:.12}", Hash::of(id.as_bytes())).into_bytes()),
        };
        let FileName { text, base64 } = FileName::from_bytes(&name);
        FileMeta {
            version: u32::from(!self.is_path),
            file_id: id.to_owned(),
            name: text,
            entry_type: EntryType::Folder,
            parents: parent.map(|parent| vec![parent]),
            paths: Vec::new(),
            content_hash: String::new(),
            content_ref: String::new(),
            size: 0,
            mtime: time,
            owner: String::new(),
            extra: Extra::from_posix(Posix { name_b64: base64, ..Posix::default() }),
            mode: MODE,
            uid: 0,
            gid: 0,
            btime: 0,
            flags: 0,
            xattrs: BTreeMap::new(),
        }
    }

    /// Writes the tree, and gives its root.
    pub(super) fn write(&self, writer: &ObjectWriter) -> Result<Option<ObjectRef>, RepairError> {
        let mut builder = TreeBuilder::new();
        let mut add = |id: &str, parent: &str, filemeta: Hash| {
            builder.add(id, path_key(parent, id), filemeta).map_err(|cause| system(&cause))
        };
        for meta in self.borrowed.iter().chain(&self.made) {
            let bytes = json::encode(meta);
            let filemeta = ObjectRef::new(ObjectKind::Filemeta, Hash::of(&bytes));
            writer.write(filemeta, &bytes)?;
            add(&meta.file_id, &self.parent_of(meta), filemeta.hash)?;
        }
        let Trees { reader, stop, graph, entries, .. } = self.trees;
        let mut leaves = Vec::new();
        graph.walk(self.root, |node, below| {
            if matches!(below, Below::Entries(_)) {
                leaves.push(graph.nodes.object(node));
            }
        });
        leaves.sort_by_cached_key(|leaf| reader.locality(leaf));
        let mut failure = None;
        let mut seen: HashSet<u32> = HashSet::new();
        stop.each(
            &leaves,
            8,
            |leaf| {
                let Node::Leaf(leaf) = reader.read_json(leaf)? else { return Ok(Vec::new()) };
                let keep = |entry: &LeafEntry| {
                    entries.numbers.find(&entry.filemeta.hash).is_some_and(|number| self.kept.contains(&number))
                };
                let with_key = |entry: LeafEntry| {
                    let key = match entry.path_key {
                        Some(key) => key,
                        // Old writers left it out.
                        None => path_key(&self.parent_of(&reader.read_json(&entry.filemeta)?), &entry.key),
                    };
                    Ok::<_, CheckError>((entry.key, key, entry.filemeta.hash))
                };
                leaf.entries.into_iter().filter(keep).map(with_key).collect()
            },
            |_, found| {
                for (id, key, filemeta) in found {
                    let is_new = entries.numbers.find(&filemeta).is_some_and(|number| seen.insert(number));
                    if let Some(Err(why)) = is_new.then(|| builder.add(&id, key, filemeta)) {
                        failure.get_or_insert(why);
                    }
                }
            },
        )?;
        if let Some(cause) = failure {
            return Err(system(&cause));
        }
        let threads = crate::workers::count(4);
        let root = builder.build(threads, |node, bytes| Ok::<_, Failed>(writer.write(node, &bytes).map(drop)?))?;
        Ok(root)
    }
}

/// What can fail while a tree is built.
enum Failed {
    Repository(RepositoryError),
    System(std::io::Error),
}

impl From<RepositoryError> for Failed {
    fn from(error: RepositoryError) -> Self {
        Self::Repository(error)
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self::System(error)
    }
}

impl From<Failed> for RepairError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Repository(error) => error.into(),
            Failed::System(cause) => system(&cause),
        }
    }
}

fn system(cause: &std::io::Error) -> RepairError {
    RepositoryError::System(format!("a temporary file cannot be used: {cause}")).into()
}
