//! One way down the HAMT (format, section 7) to the entry at a path.

use super::Resolved;
use super::paths::{file_id, path_of};
use crate::object::{FileMeta, Hash, LeafEntry, Node, ObjectKind, ObjectRef, path_key, routing};
use crate::repository::ReadError;
use crate::tree::{ReadObjects, read_json};

/// Levels 0 to 6.
const LEVELS: u32 = 7;

/// What was found.
pub(super) struct Found {
    pub(super) resolved: Resolved,
    /// Its path, without slashes that say nothing.
    pub(super) path: Vec<u8>,
    /// Whether entries are routed by their folders in this tree, as all but old writers do.
    pub(super) by_folder: bool,
}

/// The entry at a path, where fileIds are paths. `None` also if the tree has an unusual shape, or what is found does not
/// agree with the path: then the whole tree has to be asked.
pub(super) fn entry(
    objects: &dyn ReadObjects,
    root: Option<ObjectRef>,
    path: &[u8],
) -> Result<Option<Found>, ReadError> {
    let Some((parent, id)) = file_id(path) else { return Ok(None) };
    let ways = [path_key(&parent, &id), Hash::of(id.as_bytes())];
    for way in ways {
        let Some(entry) = descend(objects, root, routing(&way), &id)? else { continue };
        let reference = entry.filemeta;
        if reference.kind != ObjectKind::Filemeta {
            return Ok(None);
        }
        let meta: FileMeta = read_json(objects, &reference)?;
        let wanted = path.split(|&byte| byte == b'/').filter(|component| !component.is_empty());
        let agrees = |found: &Vec<u8>| meta.file_id == id && found.split(|&byte| byte == b'/').eq(wanted);
        let Some(path) = path_of(&meta).filter(agrees) else { return Ok(None) };
        let by_folder = entry.path_key == Some(ways[0]);
        return Ok(Some(Found { resolved: Resolved { reference, meta }, path, by_folder }));
    }
    Ok(None)
}

fn descend(
    objects: &dyn ReadObjects,
    root: Option<ObjectRef>,
    routing: u32,
    id: &str,
) -> Result<Option<LeafEntry>, ReadError> {
    let Some(mut at) = root else { return Ok(None) };
    for level in 0..LEVELS {
        if at.kind != ObjectKind::Node {
            return Ok(None);
        }
        let (bitmap, children) = match read_json(objects, &at)? {
            Node::Leaf(leaf) => {
                return Ok(leaf.entries.into_iter().find(|entry| entry.key == id));
            }
            Node::Internal { bitmap, children } => (bitmap, children),
        };
        let Some(slot) = slot(routing, level) else { return Ok(None) };
        if bitmap & 1 << slot == 0 || bitmap.count_ones() as usize != children.len() {
            return Ok(None);
        }
        at = children[(bitmap & ((1 << slot) - 1)).count_ones() as usize];
    }
    Ok(None)
}

/// Which slot of a node at a level an entry belongs to; `None` at the deepest level, where nodes have no slots.
const fn slot(routing: u32, level: u32) -> Option<u32> {
    if level >= LEVELS - 1 { None } else { Some(routing >> (32 - 5 * (level + 1)) & 31) }
}
