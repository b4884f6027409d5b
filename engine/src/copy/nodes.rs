//! Walks the nodes of a snapshot, level by level, in the order in which they lie in the packs.
//!
//! The shape is not believed: a node is visited once, and nothing below the deepest level is followed.

use std::collections::HashSet;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::CopyError;
use crate::object::{LeafEntry, Node, ObjectKind, ObjectRef, json};
use crate::repository::{ObjectReader, ReadError, RepositoryError};
use crate::source::Warning;

/// Levels 0 to 6.
const LEVELS: usize = 7;

/// Takes what is found.
pub(super) trait Visit {
    /// A node, as it is stored.
    fn node(&mut self, _: &ObjectRef, _: &Bytes) -> Result<(), CopyError> {
        Ok(())
    }

    /// An entry.
    fn entry(&mut self, entry: LeafEntry) -> Result<(), CopyError>;

    /// A node that cannot be used. `Err` ends the walk.
    fn problem(&mut self, problem: Warning) -> Result<(), CopyError>;
}

pub(super) fn walk(
    objects: &ObjectReader,
    root: Option<ObjectRef>,
    cancel: &CancellationToken,
    visit: &mut dyn Visit,
) -> Result<(), CopyError> {
    let mut seen = HashSet::new();
    let mut level: Vec<ObjectRef> = root.into_iter().collect();
    for depth in 0..LEVELS {
        level.sort_by_cached_key(|node| objects.locality(node));
        let mut next = Vec::new();
        for node in level {
            if cancel.is_cancelled() {
                return Err(CopyError::Cancelled);
            }
            let read = if seen.insert(node.hash) { read(objects, &node)? } else { Err(format!("{node} comes twice")) };
            match read {
                Ok((bytes, parsed)) => {
                    visit.node(&node, &bytes)?;
                    match parsed {
                        Node::Internal { children, .. } if depth + 1 < LEVELS => next.extend(children),
                        Node::Internal { .. } => {
                            visit.problem(warning(&node, "it has nodes below the deepest level".to_owned()))?;
                        }
                        Node::Leaf(leaf) => leaf.entries.into_iter().try_for_each(|entry| visit.entry(entry))?,
                    }
                }
                Err(problem) => visit.problem(warning(&node, problem))?,
            }
        }
        level = next;
    }
    Ok(())
}

/// A node, or what is wrong with it.
fn read(objects: &ObjectReader, node: &ObjectRef) -> Result<Result<(Bytes, Node), String>, CopyError> {
    if node.kind != ObjectKind::Node {
        return Ok(Err(format!("{node} is in the place of a node")));
    }
    match objects.read(node) {
        Ok(bytes) => Ok(json::decode(&bytes).map(|parsed| (bytes, parsed)).map_err(|why| why.to_string())),
        Err(ReadError::Store(error)) => Err(RepositoryError::from(error).into()),
        Err(problem) => Ok(Err(problem.to_string())),
    }
}

fn warning(node: &ObjectRef, problem: String) -> Warning {
    Warning { path: node.to_string(), problem: format!("{problem}; the entries below it are not copied") }
}
