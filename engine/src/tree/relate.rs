//! Which entry is whose parent, and which is another name of which.

use std::collections::BTreeMap;

use super::load::{Draft, TOP, id_hash};
use super::objects::{ReadObjects, read_json};
use super::record::Record;
use crate::object::{FileMeta, Hash, ObjectKind, ObjectRef};

/// Entries by the hash of their fileId.
pub(super) struct Index {
    ids: Vec<u64>,
    /// The entries, sorted by that.
    sorted: Vec<u32>,
}

impl Index {
    /// Takes the hashes; of entries with one fileId all but the first become bad.
    pub(super) fn new(draft: &mut Draft) -> Self {
        let ids = std::mem::take(&mut draft.ids);
        let mut sorted: Vec<u32> = (0..ids.len() as u32).collect();
        sorted.sort_unstable_by_key(|&at| (ids[at as usize], at));
        sorted.dedup_by(|later, first| {
            let same = ids[*later as usize] == ids[*first as usize];
            if same {
                draft.bad.insert(*later, "another entry has its fileId".to_owned());
            }
            same
        });
        Self { ids, sorted }
    }

    fn find(&self, id: u64) -> Option<u32> {
        let at = self.sorted.binary_search_by_key(&id, |&at| self.ids[at as usize]).ok()?;
        Some(self.sorted[at])
    }
}

/// Finds the parent of each entry; one that has none, or one that is no folder, becomes bad.
pub(super) fn resolve_parents(draft: &mut Draft, index: &Index, objects: &dyn ReadObjects) {
    let old_parents = std::mem::take(&mut draft.old_parents);
    let by_filemeta: BTreeMap<Hash, u32> =
        if old_parents.is_empty() { BTreeMap::new() } else { draft.filemetas.iter().copied().zip(0..).collect() };
    for at in 0..draft.records.len() as u32 {
        let id = draft.records[at as usize].take_parent_id();
        if id == TOP {
            continue;
        }
        let old = || {
            let filemeta = old_parents.get(&at)?;
            by_filemeta.get(filemeta).copied().or_else(|| {
                // The folder has changed since the child was stored: its fileId leads to what it is now.
                let reference = ObjectRef::new(ObjectKind::Filemeta, *filemeta);
                let meta: FileMeta = read_json(objects, &reference).ok()?;
                index.find(id_hash(&draft.hasher, &meta.file_id))
            })
        };
        match index.find(id).or_else(old) {
            None => _ = draft.bad.entry(at).or_insert_with(|| "its parent is not in the snapshot".to_owned()),
            Some(parent) => {
                draft.records[at as usize].parent = parent;
                if !draft.records[parent as usize].is_folder() && !draft.bad.contains_key(&parent) {
                    draft.bad.entry(at).or_insert_with(|| "its parent is not a folder".to_owned());
                }
            }
        }
    }
}

/// Second names whose first name is in the tree and has the same content; the others are files of their own.
pub(super) fn resolve_hardlinks(draft: &Draft, index: &Index) -> Vec<(u32, u32)> {
    let is_second = |at: u32| draft.hardlinks.binary_search_by_key(&at, |&(second, _)| second).is_ok();
    let same = |a: &Record, b: &Record| {
        !a.is_folder() && !b.is_folder() && a.kind() == b.kind() && a.content_hash == b.content_hash && a.size == b.size
    };
    let pairs = draft.hardlinks.iter().filter_map(|&(second, id)| Some((second, index.find(id)?)));
    pairs
        .filter(|&(second, first)| !is_second(first) && !draft.bad.contains_key(&first) && second != first)
        .filter(|&(second, first)| same(&draft.records[second as usize], &draft.records[first as usize]))
        .collect()
}
