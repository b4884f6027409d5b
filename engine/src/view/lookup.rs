//! One way down the HAMT (format, section 7) to the entry at a path.

use super::Resolved;
use super::paths::{file_id, path_of};
use crate::object::{FileMeta, Hash, Node, ObjectKind, ObjectRef, path_key, routing};
use crate::repository::ReadError;
use crate::tree::{ReadObjects, read_json};

/// Levels 0 to 6.
const LEVELS: u32 = 7;

/// The entry at a path, where fileIds are paths. `None` also if the tree has an unusual shape, or what is found does not
/// agree with the path: then the whole tree has to be asked.
pub(super) fn entry(
    objects: &dyn ReadObjects,
    root: Option<ObjectRef>,
    path: &[u8],
) -> Result<Option<Resolved>, ReadError> {
    let Some((parent, id)) = file_id(path) else { return Ok(None) };
    let ways = [path_key(&parent, &id), Hash::of(id.as_bytes())];
    for way in ways {
        let Some(reference) = descend(objects, root, routing(&way), &id)? else { continue };
        if reference.kind != ObjectKind::Filemeta {
            return Ok(None);
        }
        let meta: FileMeta = read_json(objects, &reference)?;
        let wanted = path.split(|&byte| byte == b'/').filter(|component| !component.is_empty());
        let agrees =
            meta.file_id == id && path_of(&meta).is_some_and(|found| found.split(|&byte| byte == b'/').eq(wanted));
        return Ok(agrees.then_some(Resolved { reference, meta }));
    }
    Ok(None)
}

fn descend(
    objects: &dyn ReadObjects,
    root: Option<ObjectRef>,
    routing: u32,
    id: &str,
) -> Result<Option<ObjectRef>, ReadError> {
    let Some(mut at) = root else { return Ok(None) };
    for level in 0..LEVELS {
        if at.kind != ObjectKind::Node {
            return Ok(None);
        }
        let (bitmap, children) = match read_json(objects, &at)? {
            Node::Leaf(leaf) => {
                return Ok(leaf.entries.into_iter().find(|entry| entry.key == id).map(|entry| entry.filemeta));
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
