//! Gives each entry that differs its path: where it does not follow from the fileId, the whole tree has to be loaded.

use tokio_util::sync::CancellationToken;

use super::changes::Changes;
use super::read::{Found, Pair};
use crate::object::Hash;
use crate::source::Warning;
use crate::tree::Cancelled;
use crate::view::{Entries, SnapshotView};
use crate::warnings::Warnings;

pub(super) fn with_paths(
    views: &[SnapshotView; 2],
    found: Found,
    warnings: &mut Warnings,
    cancel: &CancellationToken,
) -> Result<Changes, Cancelled> {
    let Found { mut entries, pairs, unplaced } = found;
    for (view, unplaced) in views.iter().zip(unplaced) {
        if !unplaced.is_empty() {
            from_tree(&mut entries, view, unplaced, warnings, cancel)?;
        }
    }
    let mut changes = Changes::new(entries);
    for Pair { entries, fields } in pairs {
        let mut is_whole = true;
        for number in entries.into_iter().flatten().filter(|&number| changes.entries().path(number).is_empty()) {
            is_whole = false;
            let path = changes.entries().info(number).map(|info| info.reference.to_string()).unwrap_or_default();
            let problem = "it has no place in the tree; it is not compared".to_owned();
            warnings.push(Warning { path, problem });
        }
        if is_whole {
            changes.add(entries, fields);
        }
    }
    Ok(changes)
}

/// Places entries by the whole tree.
fn from_tree(
    entries: &mut Entries,
    view: &SnapshotView,
    mut unplaced: Vec<(Hash, u32)>,
    warnings: &mut Warnings,
    cancel: &CancellationToken,
) -> Result<(), Cancelled> {
    unplaced.sort_unstable();
    let tree = view.tree(cancel)?;
    for entry in tree.entries() {
        let first = unplaced.partition_point(|(filemeta, _)| filemeta < entry.filemeta);
        for (_, number) in unplaced.iter().skip(first).take_while(|(filemeta, _)| filemeta == entry.filemeta) {
            entries.place(*number, &tree.path(entry.id));
        }
    }
    tree.problems().iter().for_each(|problem| warnings.push(problem.clone()));
    Ok(())
}
