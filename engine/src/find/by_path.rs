//! Snapshots whose fileIds are paths: the leaves of the tree of nodes have all that patterns need, so a node says the same
//! in whichever snapshot it is, and only the filemetas of entries whose path fits are read.

use std::collections::{HashMap, HashSet};

use tokio_util::sync::CancellationToken;

use super::filter::Filter;
use super::matches::Matches;
use crate::object::{FileMeta, Hash, Leaf, Node, ObjectKind, ObjectRef, SnapshotEntry, file_id_bytes};
use crate::source::Warning;
use crate::tree::{Cancelled, ReadObjects, show_path};
use crate::view::{EntryInfo, path_of, read_many};
use crate::warnings::Warnings;

/// Levels 0 to 6.
const LEVELS: usize = 7;
/// Nodes that are in memory at once.
const BATCH: usize = 256;

/// All nodes that were read, and below which of them something was found.
#[derive(Default)]
pub(super) struct Nodes {
    /// The number of a node in `kept`; `None` if nothing is below it.
    known: HashMap<Hash, Option<u32>>,
    kept: Vec<Kept>,
    /// Filemetas that were read and not taken.
    rejected: HashSet<Hash>,
}

struct Kept {
    what: What,
    /// One more than the number of the snapshot that it was last visited for.
    visited: u32,
}

/// What of a node is needed.
enum What {
    /// Numbers of matches.
    Leaf(Box<[u32]>),
    /// Numbers of kept nodes.
    Internal(Box<[u32]>),
}

/// A leaf, and the numbers of the matches in it.
type FoundBelow = (Hash, Box<[u32]>);

/// A node of this snapshot that no earlier one had.
enum Fresh {
    Leaf(Box<[u32]>),
    Internal(Vec<ObjectRef>),
}

impl Nodes {
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
        let fresh = self.read(objects, root, filter, matches, warnings, cancel)?;
        // Children before their parents.
        for (node, fresh) in fresh.into_iter().rev() {
            let what = match fresh {
                Fresh::Leaf(found) if found.is_empty() => continue,
                Fresh::Leaf(found) => What::Leaf(found),
                Fresh::Internal(children) => {
                    let kept: Box<[u32]> = children.iter().filter_map(|child| *self.known.get(&child.hash)?).collect();
                    if kept.is_empty() {
                        continue;
                    }
                    What::Internal(kept)
                }
            };
            self.known.insert(node, Some(self.kept.len() as u32));
            self.kept.push(Kept { what, visited: 0 });
        }
        self.mark(root, number, matches);
        Ok(())
    }

    /// Reads the nodes that are new, level by level.
    fn read(
        &mut self,
        objects: &dyn ReadObjects,
        root: ObjectRef,
        filter: &Filter,
        matches: &mut Matches,
        warnings: &mut Warnings,
        cancel: &CancellationToken,
    ) -> Result<Vec<(Hash, Fresh)>, Cancelled> {
        let mut fresh = Vec::new();
        let mut level = vec![root];
        for depth in 0..LEVELS {
            level.retain(|node| {
                let is_new = node.kind != ObjectKind::Node || !self.known.contains_key(&node.hash);
                self.known.entry(node.hash).or_insert(None);
                is_new
            });
            level.sort_by_cached_key(|node| objects.locality(node));
            let mut next = Vec::new();
            for batch in level.chunks(BATCH) {
                let mut leaves = Vec::new();
                for (node, read) in batch.iter().zip(read_many::<Node>(objects, batch, cancel)?) {
                    let problem = match read {
                        _ if node.kind != ObjectKind::Node => format!("{node} is in the place of a node"),
                        Err(why) => why.to_string(),
                        Ok(Node::Leaf(leaf)) => {
                            leaves.push((node.hash, leaf));
                            continue;
                        }
                        Ok(Node::Internal { children, .. }) if depth + 1 < LEVELS || children.is_empty() => {
                            next.extend(&children);
                            fresh.push((node.hash, Fresh::Internal(children)));
                            continue;
                        }
                        Ok(Node::Internal { .. }) => format!("{node} has nodes below the deepest level"),
                    };
                    let problem = format!("{problem}; the entries below it are left out");
                    warnings.push(Warning { path: node.to_string(), problem });
                }
                for (node, found) in self.filtered(objects, leaves, filter, matches, warnings, cancel)? {
                    fresh.push((node, Fresh::Leaf(found)));
                }
            }
            level = next;
        }
        Ok(fresh)
    }

    /// What of some leaves is found.
    fn filtered(
        &mut self,
        objects: &dyn ReadObjects,
        leaves: Vec<(Hash, Leaf)>,
        filter: &Filter,
        matches: &mut Matches,
        warnings: &mut Warnings,
        cancel: &CancellationToken,
    ) -> Result<Vec<FoundBelow>, Cancelled> {
        let fitting: Vec<(Hash, Vec<ObjectRef>)> = leaves
            .into_iter()
            .map(|(node, leaf)| {
                let entries = leaf.entries.into_iter().filter(|entry| filter.takes_path(&file_id_bytes(&entry.key)));
                (node, entries.map(|entry| entry.filemeta).collect())
            })
            .collect();
        let is_new = |it: &&ObjectRef| matches.number(&it.hash).is_none() && !self.rejected.contains(&it.hash);
        let wanted: Vec<ObjectRef> =
            fitting.iter().flat_map(|(_, filemetas)| filemetas).filter(is_new).copied().collect();
        for (reference, read) in wanted.iter().zip(read_many::<FileMeta>(objects, &wanted, cancel)?) {
            let problem = match read {
                _ if reference.kind != ObjectKind::Filemeta => format!("{reference} is in the place of a filemeta"),
                Err(why) => why.to_string(),
                Ok(meta) => match path_of(&meta) {
                    Some(path) => {
                        let info = EntryInfo::new(*reference, &meta);
                        if filter.takes_path(&path) && filter.takes(&info) && matches.number(&reference.hash).is_none()
                        {
                            matches.add(reference.hash, path, info);
                        } else {
                            self.rejected.insert(reference.hash);
                        }
                        continue;
                    }
                    None => format!("{reference}: {} is not where its name says", show_path(meta.file_id.as_bytes())),
                },
            };
            self.rejected.insert(reference.hash);
            warnings.push(Warning { path: reference.to_string(), problem: format!("{problem}; left out") });
        }
        let number = |filemeta: &ObjectRef| matches.number(&filemeta.hash);
        Ok(fitting.into_iter().map(|(node, filemetas)| (node, filemetas.iter().filter_map(number).collect())).collect())
    }

    /// Notes a snapshot with all that is found below its root.
    fn mark(&mut self, root: ObjectRef, snapshot: u32, matches: &mut Matches) {
        let mut stack: Vec<u32> = self.known.get(&root.hash).copied().flatten().into_iter().collect();
        while let Some(at) = stack.pop() {
            let Some(Kept { what, visited }) = self.kept.get_mut(at as usize) else { continue };
            if std::mem::replace(visited, snapshot + 1) == snapshot + 1 {
                continue;
            }
            match what {
                What::Leaf(found) => found.iter().for_each(|&number| matches.mark(number, snapshot)),
                What::Internal(children) => stack.extend(children.iter()),
            }
        }
    }
}
