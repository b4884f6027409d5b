//! Snapshots whose fileIds are paths: the leaves of the tree of nodes have all that patterns need, so a node says the same
//! in whichever snapshot it is, and only the filemetas of entries whose path fits are read.

use std::collections::HashMap;

use super::Search;
use super::known::{Filemetas, Known};
use super::matches::Found;
use crate::object::{FileMeta, Hash, Leaf, Node, ObjectKind, ObjectRef, SnapshotEntry, file_id_bytes};
use crate::source::Warning;
use crate::tree::{Cancelled, ReadObjects, show_file_id};
use crate::view::{EntryInfo, path_of, read_many};

/// Levels 0 to 6.
const LEVELS: usize = 7;
/// Nodes that are in memory at once.
const BATCH: usize = 256;

/// All nodes that were read, and below which of them something was found.
pub(super) struct Nodes {
    /// The number of a node in `kept`; `None` if nothing is below it.
    known: HashMap<Hash, Option<u32>>,
    kept: Vec<Kept>,
    filemetas: Filemetas,
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
    pub(super) fn new(objects: &dyn ReadObjects) -> Self {
        Self { known: HashMap::new(), kept: Vec::new(), filemetas: Filemetas::new(objects) }
    }

    pub(super) fn search(
        &mut self,
        search: &mut Search<'_>,
        snapshot: &SnapshotEntry,
        number: u32,
    ) -> Result<(), Cancelled> {
        let Some(root) = snapshot.root else { return Ok(()) };
        let fresh = self.read(search, root, number)?;
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
        self.mark(root, number, &mut search.found);
        Ok(())
    }

    /// Reads the nodes that are new, level by level.
    fn read(&mut self, search: &mut Search<'_>, root: ObjectRef, number: u32) -> Result<Vec<(Hash, Fresh)>, Cancelled> {
        let Search { objects, cancel, .. } = *search;
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
                    search.warnings.push(Warning { path: node.to_string(), problem });
                }
                for (node, found) in self.filtered(search, leaves, number)? {
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
        search: &mut Search<'_>,
        leaves: Vec<(Hash, Leaf)>,
        number: u32,
    ) -> Result<Vec<FoundBelow>, Cancelled> {
        let Search { objects, filter, cancel, .. } = *search;
        let mut fitting: Vec<(Hash, Vec<ObjectRef>)> = Vec::with_capacity(leaves.len());
        for (node, leaf) in leaves {
            let mut filemetas = Vec::new();
            for entry in leaf.entries.into_iter().filter(|entry| filter.takes_path(&file_id_bytes(&entry.key))) {
                if entry.filemeta.kind == ObjectKind::Filemeta {
                    filemetas.push(entry.filemeta);
                    continue;
                }
                let problem = format!("{} is in the place of a filemeta; left out", entry.filemeta);
                search.warnings.push(Warning { path: entry.filemeta.to_string(), problem });
            }
            fitting.push((node, filemetas));
        }
        let wanted: Vec<ObjectRef> = fitting
            .iter()
            .flat_map(|(_, filemetas)| filemetas)
            .filter(|filemeta| self.filemetas.get(filemeta) == Known::Nothing)
            .copied()
            .collect();
        for (reference, read) in wanted.iter().zip(read_many::<FileMeta>(objects, &wanted, cancel)?) {
            if self.filemetas.get(reference) != Known::Nothing {
                // It was wanted twice.
                continue;
            }
            let taken = match read {
                Err(why) => Err(why.to_string()),
                Ok(meta) => match path_of(&meta) {
                    Some(path) => {
                        let info = EntryInfo::new(*reference, &meta);
                        let takes = filter.takes_path(&path) && filter.takes(&info);
                        Ok(takes.then(|| search.found.add(&path, &info, number)))
                    }
                    None => Err(format!(
                        "{reference}: {} is not where its name says",
                        show_file_id(meta.file_id.as_bytes())
                    )),
                },
            };
            self.filemetas.set(
                reference,
                taken.as_ref().map_or(Known::Rejected, |taken| taken.map_or(Known::Rejected, Known::Found)),
            );
            if let Err(problem) = taken {
                search.warnings.push(Warning { path: reference.to_string(), problem: format!("{problem}; left out") });
            }
        }
        let mut number = |filemeta: &ObjectRef| match self.filemetas.get(filemeta) {
            Known::Found(number) => Some(number),
            _ => None,
        };
        Ok(fitting
            .into_iter()
            .map(|(node, filemetas)| (node, filemetas.iter().filter_map(&mut number).collect()))
            .collect())
    }

    /// Notes a snapshot with all that is found below its root.
    fn mark(&mut self, root: ObjectRef, snapshot: u32, all: &mut Found) {
        let mut stack: Vec<u32> = self.known.get(&root.hash).copied().flatten().into_iter().collect();
        while let Some(at) = stack.pop() {
            let Some(Kept { what, visited }) = self.kept.get_mut(at as usize) else { continue };
            if std::mem::replace(visited, snapshot + 1) == snapshot + 1 {
                continue;
            }
            match what {
                What::Leaf(found) => found.iter().for_each(|&number| all.mark(number, snapshot)),
                What::Internal(children) => stack.extend(children.iter()),
            }
        }
    }
}
