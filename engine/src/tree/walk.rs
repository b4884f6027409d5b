//! Walks the HAMT of a snapshot (format, section 7) and gives every leaf entry, in an order that is the same each time.
//!
//! The shape is not believed: a node is visited once however many point to it, and nothing below the deepest level is
//! followed, so the work is bounded by what is stored. A loop cannot exist, as a node's name is the hash of what is in it.

use std::collections::HashSet;

use tokio_util::sync::CancellationToken;

use super::Cancelled;
use super::objects::{ReadObjects, read_json};
use super::problems::Problems;
use crate::object::{LeafEntry, Node, ObjectKind, ObjectRef};

/// Levels 0 to 6.
const LEVELS: usize = 7;

/// Visits every entry; what cannot be read becomes a problem.
pub(super) fn walk(
    objects: &dyn ReadObjects,
    root: Option<ObjectRef>,
    cancel: &CancellationToken,
    problems: &mut Problems,
    visit: &mut dyn FnMut(&LeafEntry),
) -> Result<(), Cancelled> {
    let mut seen = HashSet::new();
    let mut level: Vec<ObjectRef> = root.into_iter().collect();
    for depth in 0..LEVELS {
        level.sort_by_cached_key(|node| objects.locality(node));
        objects.expect(&mut level.iter().copied());
        let mut next = Vec::new();
        for node in level {
            if cancel.is_cancelled() {
                return Err(Cancelled);
            }
            if let Err(why) = visit_node(objects, &node, &mut seen, &mut next, visit) {
                problems.push(node.to_string(), format!("{why}; the entries below it are left out"));
            } else if depth + 1 == LEVELS && !next.is_empty() {
                let count = next.len();
                next.clear();
                problems.push(node.to_string(), format!("has {count} nodes below the deepest level; left out"));
            }
        }
        level = next;
    }
    Ok(())
}

fn visit_node(
    objects: &dyn ReadObjects,
    node: &ObjectRef,
    seen: &mut HashSet<crate::object::Hash>,
    next: &mut Vec<ObjectRef>,
    visit: &mut dyn FnMut(&LeafEntry),
) -> Result<(), String> {
    if node.kind != ObjectKind::Node {
        return Err(format!("{node} is in the place of a node"));
    }
    if !seen.insert(node.hash) {
        return Err(format!("{node} is in the tree twice"));
    }
    match read_json(objects, node).map_err(|why| why.to_string())? {
        Node::Internal { children, .. } => next.extend(children),
        Node::Leaf(leaf) => leaf.entries.iter().for_each(visit),
    }
    Ok(())
}
