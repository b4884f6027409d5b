//! Who needs an object that cannot be read: found out afterwards, by reading what leads to it once more.

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;

use super::error::Unreadable;
use super::links::links;
use super::marks::{Marks, Place};
use super::walk::{Fault, Read, Stop, read_all};
use crate::object::{Node, ObjectKind, ObjectRef, SnapshotEntry, file_id_bytes, json};
use crate::tree::{ReadObjects, show_path};

/// Finds the snapshots that need the object, and one path. What cannot be read meanwhile is passed over.
pub(super) fn blame(
    objects: &dyn ReadObjects,
    marks: &Marks,
    snapshots: &[SnapshotEntry],
    fault: Fault,
    cancel: &CancellationToken,
) -> Unreadable {
    let Fault { object, problem, parent } = fault;
    let mut unreadable = Unreadable { object, problem, snapshots: Vec::new(), path: None };
    let blame = Blame { objects, marks, cancel };
    // A chunk is missed by a content. Others may need it, too; they are told of when this one is out of the way.
    let start = if object.kind == ObjectKind::Chunk { parent.unwrap_or(object) } else { object };
    // Cancelled: then it is told what is known.
    let Ok((nodes, path)) = blame.nodes_above(start) else { return unreadable };
    unreadable.path = path;
    let needs = |snapshot: &&SnapshotEntry| {
        parent == Some(snapshot.reference) || snapshot.root.is_some_and(|root| nodes.contains(&root))
    };
    unreadable.snapshots = snapshots.iter().filter(needs).map(|snapshot| snapshot.reference).collect();
    unreadable
}

struct Blame<'a> {
    objects: &'a dyn ReadObjects,
    marks: &'a Marks,
    cancel: &'a CancellationToken,
}

/// A node that leads to something that was looked for.
enum Hit {
    /// By the entry with this fileId.
    Entry(ObjectRef, String),
    /// By a node: child and parent.
    Child(ObjectRef, ObjectRef),
}

impl Blame<'_> {
    /// All nodes that lead to an object, itself among them if it is one, and the fileId of an entry that does.
    fn nodes_above(&self, object: ObjectRef) -> Result<(BTreeSet<ObjectRef>, Option<String>), Stop> {
        let filemetas: BTreeSet<ObjectRef> = match object.kind {
            ObjectKind::Content => self.filemetas_of(object)?.into_iter().collect(),
            _ => BTreeSet::from([object]),
        };
        let visit = |read: Read<'_>, hits: &mut Vec<Hit>| {
            let Some(node) = read.bytes.ok().and_then(|bytes| json::decode::<Node>(&bytes).ok()) else { return Ok(()) };
            match node {
                Node::Internal { children, .. } => {
                    hits.extend(children.into_iter().map(|child| Hit::Child(child, *read.object)));
                }
                Node::Leaf(leaf) => {
                    let needing = leaf.entries.into_iter().filter(|entry| filemetas.contains(&entry.filemeta));
                    hits.extend(needing.map(|entry| Hit::Entry(*read.object, entry.key)));
                }
            }
            Ok(())
        };
        let hits = self.read_all(ObjectKind::Node, visit)?;
        let (mut nodes, mut path, mut parents) = (BTreeSet::from([object]), None, Vec::new());
        for hit in hits {
            match hit {
                Hit::Entry(leaf, key) => {
                    nodes.insert(leaf);
                    path.get_or_insert_with(|| show_path(&file_id_bytes(&key)));
                }
                Hit::Child(child, parent) => parents.push((child, parent)),
            }
        }
        parents.sort_unstable();
        let mut new: Vec<ObjectRef> = nodes.iter().copied().collect();
        while let Some(child) = new.pop() {
            let from = parents.partition_point(|(other, _)| *other < child);
            for (_, parent) in parents[from..].iter().take_while(|(other, _)| *other == child) {
                if nodes.insert(*parent) {
                    new.push(*parent);
                }
            }
        }
        Ok((nodes, path))
    }

    fn filemetas_of(&self, content: ObjectRef) -> Result<Vec<ObjectRef>, Stop> {
        self.read_all(ObjectKind::Filemeta, |read, found| {
            if let Ok(bytes) = read.bytes {
                let _ = links(read.object, &bytes, &mut |link| found.extend((link == content).then_some(*read.object)));
            }
            Ok(())
        })
    }

    fn read_all<T: Send>(
        &self,
        kind: ObjectKind,
        visit: impl Fn(Read<'_>, &mut Vec<T>) -> Result<(), Stop> + Sync,
    ) -> Result<Vec<T>, Stop> {
        let places: Vec<Place> = self.marks.marked(kind);
        read_all(self.objects, self.marks, self.cancel, kind, places, visit)
    }
}
