//! Gives each entry that differs its path: where it does not follow from the fileId, the whole tree has to be loaded.

use std::collections::HashMap;

use tokio_util::sync::CancellationToken;

use super::change::{Change, ChangeKind, Count};
use super::fields::Field;
use super::read::{Found, Located};
use crate::object::Hash;
use crate::source::Warning;
use crate::tree::Cancelled;
use crate::view::{EntryInfo, SnapshotView};
use crate::warnings::Warnings;

pub(super) fn with_paths(
    views: &[SnapshotView; 2],
    found: Vec<Found>,
    warnings: &mut Warnings,
    cancel: &CancellationToken,
) -> Result<Vec<Change>, Cancelled> {
    let mut known = [HashMap::new(), HashMap::new()];
    for side in 0..2 {
        let unknown =
            |found: &Found| Some(found.entries[side].as_ref().filter(|it| it.path.is_none())?.info.reference.hash);
        let unknown: HashMap<Hash, Vec<u8>> = found.iter().filter_map(unknown).map(|hash| (hash, Vec::new())).collect();
        if !unknown.is_empty() {
            known[side] = from_tree(&views[side], unknown, warnings, cancel)?;
        }
    }
    let mut changes = Vec::with_capacity(found.len());
    for Found { entries: [before, after], fields } in found {
        let mut place = |side: usize, entry: Option<Located>| match entry {
            None => Ok(None),
            Some(Located { info, path }) => match path.or_else(|| known[side].get(&info.reference.hash).cloned()) {
                Some(path) => Ok(Some((path, info))),
                None => {
                    let problem = "it has no place in the tree; it is not compared".to_owned();
                    warnings.push(Warning { path: info.reference.to_string(), problem });
                    Err(())
                }
            },
        };
        if let (Ok(before), Ok(after)) = (place(0, before), place(1, after)) {
            changes.extend(change(before, after, fields));
        }
    }
    Ok(changes)
}

type Placed = Option<(Vec<u8>, EntryInfo)>;

fn change(before: Placed, after: Placed, fields: Vec<Field>) -> Option<Change> {
    let below = Count::default();
    Some(match (before, after) {
        (None, None) => return None,
        (Some((path, entry)), None) => {
            Change { kind: ChangeKind::Removed, path, from: None, fields, before: Some(entry), after: None, below }
        }
        (None, Some((path, entry))) => {
            Change { kind: ChangeKind::Added, path, from: None, fields, before: None, after: Some(entry), below }
        }
        (Some((from, before)), Some((path, after))) => {
            let moved = from != path;
            let kind = if moved { ChangeKind::Moved } else { Field::sort(&fields) };
            let from = moved.then_some(from);
            Change { kind, path, from, fields, before: Some(before), after: Some(after), below }
        }
    })
}

/// The paths of some filemetas, by the whole tree.
fn from_tree(
    view: &SnapshotView,
    mut wanted: HashMap<Hash, Vec<u8>>,
    warnings: &mut Warnings,
    cancel: &CancellationToken,
) -> Result<HashMap<Hash, Vec<u8>>, Cancelled> {
    let tree = view.tree(cancel)?;
    for entry in tree.entries() {
        if let Some(path) = wanted.get_mut(entry.filemeta) {
            *path = tree.path(entry.id);
        }
    }
    tree.problems().iter().for_each(|problem| warnings.push(problem.clone()));
    wanted.retain(|_, path| !path.is_empty());
    Ok(wanted)
}
