//! What lies directly in one folder, without the whole tree: the routing of entries begins with the hash of their folder
//! (format, section 7), so those of one folder lie in one part of the tree of nodes, beside few others.

use tokio_util::sync::CancellationToken;

use super::paths::path_of;
use super::{EntryInfo, read_many};
use crate::object::{FileMeta, Hash, LeafEntry, Node, ObjectKind, ObjectRef, file_id_bytes, routing};
use crate::source::Warning;
use crate::tree::{Cancelled, ReadObjects, show_path};

/// Levels 0 to 6.
const LEVELS: u32 = 7;
/// The bits of a routing that are the folder's.
const FOLDER_BITS: u32 = 0xffff_0000;
/// Objects that are in memory at once.
const BATCH: usize = 512;

/// Entries of a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// Each with its whole path, in the order of these.
    pub entries: Vec<(Vec<u8>, EntryInfo)>,
    /// What could not be read, and is left out.
    pub warnings: Vec<Warning>,
}

/// What lies directly in the folder with this fileId; `""` is the root. `None` if the tree has an unusual shape, so that
/// something of the folder may lie elsewhere.
pub(super) fn folder(
    objects: &dyn ReadObjects,
    root: Option<ObjectRef>,
    id: &str,
    cancel: &CancellationToken,
) -> Result<Option<Listed>, Cancelled> {
    let mut listed = Listed::default();
    let wanted = routing(&Hash::of(id.as_bytes())) & FOLDER_BITS;
    let mut found = Vec::new();
    let mut level: Vec<ObjectRef> = root.into_iter().collect();
    for depth in 0..LEVELS {
        let mut next = Vec::new();
        for batch in level.chunks(BATCH) {
            for (node, read) in batch.iter().zip(read_many::<Node>(objects, batch, cancel)?) {
                match read {
                    _ if node.kind != ObjectKind::Node => return Ok(None),
                    Ok(Node::Leaf(leaf)) => {
                        for entry in leaf.entries {
                            if entry.path_key.is_none() {
                                return Ok(None);
                            }
                            if entry.routing() & FOLDER_BITS == wanted {
                                found.push(entry);
                            }
                        }
                    }
                    Ok(Node::Internal { bitmap, children }) => match below(bitmap, &children, wanted, depth) {
                        Some(children) => next.extend(children),
                        None => return Ok(None),
                    },
                    Err(why) => {
                        let problem = format!("{why}; the entries below it are left out");
                        listed.warnings.push(Warning { path: node.to_string(), problem });
                    }
                }
            }
        }
        level = next;
    }
    // Others share these bits by chance; where fileIds are paths, they tell.
    found.retain(|entry| entry.key.rsplit_once('/').map_or("", |(parent, _)| parent) == id);
    for batch in found.chunks(BATCH) {
        read_entries(objects, batch, id, &mut listed, cancel)?;
    }
    listed.entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(Some(listed))
}

/// The children of a node that entries of the folder can be below.
fn below(bitmap: u32, children: &[ObjectRef], wanted: u32, depth: u32) -> Option<Vec<ObjectRef>> {
    if bitmap.count_ones() as usize != children.len() || depth + 1 >= LEVELS {
        return None;
    }
    let shift = 32 - 5 * (depth + 1);
    let (mask, wanted) = (FOLDER_BITS >> shift & 31, wanted >> shift & 31);
    let slots = (0..32).filter(|slot| bitmap & 1 << slot != 0);
    Some(slots.zip(children).filter(|(slot, _)| slot & mask == wanted).map(|(_, child)| *child).collect())
}

fn read_entries(
    objects: &dyn ReadObjects,
    entries: &[LeafEntry],
    id: &str,
    listed: &mut Listed,
    cancel: &CancellationToken,
) -> Result<(), Cancelled> {
    let wanted: Vec<ObjectRef> = entries.iter().map(|entry| entry.filemeta).collect();
    for (entry, read) in entries.iter().zip(read_many::<FileMeta>(objects, &wanted, cancel)?) {
        let reference = entry.filemeta;
        let problem = match read {
            _ if reference.kind != ObjectKind::Filemeta => format!("{reference} is in the place of a filemeta"),
            Err(why) => why.to_string(),
            Ok(meta) => match path_of(&meta).filter(|_| meta.file_id == entry.key) {
                Some(path) => {
                    debug_assert_eq!(meta.parent().unwrap_or_default(), id);
                    listed.entries.push((path, EntryInfo::new(reference, &meta)));
                    continue;
                }
                None => format!("{reference}: it is not where its name says"),
            },
        };
        let path = show_path(&file_id_bytes(&entry.key));
        listed.warnings.push(Warning { path, problem: format!("{problem}; left out") });
    }
    Ok(())
}
