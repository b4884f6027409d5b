//! Snapshots of other sources, where a path is known only once the whole tree is.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use tokio_util::sync::CancellationToken;

use super::filter::Filter;
use super::matches::Matches;
use crate::object::{FileMeta, Hash, Hasher, ObjectKind, ObjectRef, SnapshotEntry};
use crate::source::Warning;
use crate::tree::{Cancelled, ReadObjects, Tree};
use crate::view::{EntryInfo, read_many};
use crate::warnings::Warnings;

/// Filemetas that are in memory at once.
const BATCH: usize = 512;

/// What was found in each tree, by its root.
#[derive(Default)]
pub(super) struct Trees(HashMap<ObjectRef, Vec<u32>>);

impl Trees {
    #[allow(clippy::too_many_arguments, reason = "one search has one caller")]
    pub(super) fn search(
        &mut self,
        objects: &dyn ReadObjects,
        snapshot: &SnapshotEntry,
        number: u32,
        filter: &Filter,
        matches: &mut Matches,
        warnings: &mut Warnings,
        cancel: &CancellationToken,
    ) -> Result<(), Cancelled> {
        let Some(root) = snapshot.root else { return Ok(()) };
        let found = match self.0.entry(root) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(one(objects, root, filter, matches, warnings, cancel)?),
        };
        found.iter().for_each(|&found| matches.mark(found, number));
        Ok(())
    }
}

fn one(
    objects: &dyn ReadObjects,
    root: ObjectRef,
    filter: &Filter,
    matches: &mut Matches,
    warnings: &mut Warnings,
    cancel: &CancellationToken,
) -> Result<Vec<u32>, Cancelled> {
    let tree = Tree::load(objects, Some(root), false, cancel)?;
    tree.problems().iter().for_each(|problem| warnings.push(problem.clone()));
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
                        let identity = identity(&path, &reference);
                        let number = matches.number(&identity);
                        found.push(number.unwrap_or_else(|| matches.add(identity, path, info)));
                    }
                }
                Err(why) => warnings.push(Warning { path: reference.to_string(), problem: format!("{why}; left out") }),
            }
        }
    }
}

/// One filemeta may be in several places, if a folder above it was renamed.
fn identity(path: &[u8], reference: &ObjectRef) -> Hash {
    let mut hasher = Hasher::new();
    hasher.update(reference.hash.as_bytes());
    hasher.update(path);
    hasher.finish()
}
