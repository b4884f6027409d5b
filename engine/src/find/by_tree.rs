//! Snapshots of other sources, where a path is known only once the whole tree is.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Search;
use super::known::{Filemetas, Known};
use super::matches::Found;
use crate::object::{FileMeta, Hash, Hasher, ObjectKind, ObjectRef, SnapshotEntry};
use crate::source::Warning;
use crate::tree::{Cancelled, ReadObjects, Tree};
use crate::view::{EntryInfo, read_many};

/// Filemetas that are in memory at once.
const BATCH: usize = 512;

/// What was found in each tree, by its root.
pub(super) struct Trees {
    by_root: HashMap<ObjectRef, Vec<u32>>,
    /// The first place of each filemeta that was found.
    first: Filemetas,
    /// Further ones: a filemeta is in several places if a folder above it was renamed.
    others: HashMap<Hash, u32>,
}

impl Trees {
    pub(super) fn new(objects: &dyn ReadObjects) -> Self {
        Self { by_root: HashMap::new(), first: Filemetas::new(objects), others: HashMap::new() }
    }

    pub(super) fn search(
        &mut self,
        search: &mut Search<'_>,
        snapshot: &SnapshotEntry,
        number: u32,
    ) -> Result<(), Cancelled> {
        let Some(root) = snapshot.root else { return Ok(()) };
        if !self.by_root.contains_key(&root) {
            let found = self.one(search, root, number)?;
            self.by_root.insert(root, found);
        }
        let found = self.by_root.get(&root).map_or(&[][..], Vec::as_slice);
        found.iter().for_each(|&found| search.found.mark(found, number));
        Ok(())
    }

    fn one(&mut self, search: &mut Search<'_>, root: ObjectRef, number: u32) -> Result<Vec<u32>, Cancelled> {
        let Search { objects, filter, cancel, .. } = *search;
        let tree = Tree::load(objects, Some(root), false, cancel)?;
        tree.problems().iter().for_each(|problem| search.warnings.push(problem.clone()));
        let mut found = Vec::new();
        let paths = tree.entries().map(|entry| (tree.path(entry.id), entry.filemeta));
        let mut fitting = paths
            .filter(|(path, _)| filter.takes_path(path))
            .map(|(path, filemeta)| (path, ObjectRef::new(ObjectKind::Filemeta, *filemeta)));
        loop {
            let batch: Vec<(Vec<u8>, ObjectRef)> = fitting.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(found);
            }
            let wanted: Vec<ObjectRef> = batch.iter().map(|(_, reference)| *reference).collect();
            for ((path, reference), read) in batch.into_iter().zip(read_many::<FileMeta>(objects, &wanted, cancel)?) {
                match read {
                    Ok(meta) => {
                        let info = EntryInfo::new(reference, &meta);
                        if filter.takes(&info) {
                            found.push(self.number(&mut search.found, &path, &info, number));
                        }
                    }
                    Err(why) => {
                        let problem = format!("{why}; left out");
                        search.warnings.push(Warning { path: reference.to_string(), problem });
                    }
                }
            }
        }
    }

    /// The number of an entry that a snapshot has.
    fn number(&mut self, found: &mut Found, path: &[u8], info: &EntryInfo, snapshot: u32) -> u32 {
        match self.first.get(&info.reference) {
            Known::Found(number) if found.path(number) == path => number,
            Known::Found(_) => match self.others.entry(identity(path, &info.reference)) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => *new.insert(found.add(path, info, snapshot)),
            },
            Known::Nothing | Known::Rejected => {
                let number = found.add(path, info, snapshot);
                self.first.set(&info.reference, Known::Found(number));
                number
            }
        }
    }
}

fn identity(path: &[u8], reference: &ObjectRef) -> Hash {
    let mut hasher = Hasher::new();
    hasher.update(reference.hash.as_bytes());
    hasher.update(path);
    hasher.finish()
}
