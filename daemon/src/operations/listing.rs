//! The entries of a tree in messages of bounded size: all, or those of some paths, deep or shallow.

use std::collections::BTreeSet;

use cloudstic_engine::object::Kind;
use cloudstic_engine::tree::{self, EntryId, ReadObjects, Tree, TreeEntry};
use cloudstic_engine::view::{Listed, SnapshotView};
use cloudstic_proto::{Reason, v1};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{convert, paths};
use crate::failure::Failure;

/// How many entries or warnings go into one message.
const BATCH: usize = 500;

/// Which entries are wanted. Must be asked for every entry, a folder before what is in it.
#[derive(Debug)]
pub(super) struct Selection {
    /// No path was given.
    root: bool,
    chosen: BTreeSet<EntryId>,
    /// The folders that are wanted with what is below them.
    inside: BTreeSet<EntryId>,
    shallow: bool,
}

impl Selection {
    /// What a request asks for; a path that is not in the tree is an error.
    pub(super) fn new(tree: &Tree, request: &v1::ListEntriesRequest) -> Result<Self, Failure> {
        let mut selection = Self::of(request.paths.is_empty(), request.shallow);
        for path in &request.paths {
            match paths::inside(path) {
                b"" => selection.root = true,
                path => selection.choose(tree.find(path).ok_or_else(|| no_such_path(path, request))?),
            }
        }
        Ok(selection)
    }

    fn of(root: bool, shallow: bool) -> Self {
        Self { root, chosen: BTreeSet::new(), inside: BTreeSet::new(), shallow }
    }

    fn choose(&mut self, id: EntryId) {
        self.chosen.insert(id);
    }

    fn takes(&mut self, id: EntryId, parent: Option<EntryId>, is_folder: bool) -> bool {
        let is_chosen = self.chosen.contains(&id);
        if self.shallow {
            let is_child = parent.map_or(self.root, |parent| self.chosen.contains(&parent));
            return is_child || (is_chosen && !is_folder);
        }
        if self.root {
            return true;
        }
        let wanted = is_chosen || parent.is_some_and(|parent| self.inside.contains(&parent));
        if wanted && is_folder {
            self.inside.insert(id);
        }
        wanted
    }
}

/// Sends what is selected. The first message has the snapshot; problems of the tree come before the entries.
pub(super) fn send(
    tree: &Tree,
    reader: &dyn ReadObjects,
    mut selection: Selection,
    head: v1::Snapshot,
    parts: &mpsc::Sender<Result<v1::Entries, Failure>>,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    let send = |part: v1::Entries| parts.blocking_send(Ok(part)).map_err(|_| Failure::from(tree::Cancelled));
    let mut part = v1::Entries { snapshot: Some(head), ..v1::Entries::default() };
    for problem in tree.problems().iter().chain(&reader.detours()) {
        part.warnings.push(convert::warning(problem));
        if part.warnings.len() == BATCH {
            send(std::mem::take(&mut part))?;
        }
    }
    for entry in tree.entries() {
        if !selection.takes(entry.id, entry.parent, entry.is_folder) {
            continue;
        }
        match described(tree, reader, &entry) {
            Ok(entry) => part.entries.push(entry),
            Err(problem) => part.warnings.push(problem),
        }
        if part.entries.len() + part.warnings.len() >= BATCH {
            if cancel.is_cancelled() {
                return Err(tree::Cancelled.into());
            }
            send(std::mem::take(&mut part))?;
        }
    }
    // Also when it is empty: the first message must have come.
    send(part)
}

/// What lies in one folder, where that can be had without the whole tree.
pub(super) fn shallow(
    view: &SnapshotView,
    request: &v1::ListEntriesRequest,
    cancel: &CancellationToken,
) -> Result<Option<Listed>, Failure> {
    match (request.shallow, request.paths.as_slice()) {
        (true, []) => Ok(view.list(b"", cancel)?),
        (true, [path]) => Ok(view.list(paths::inside(path), cancel)?),
        _ => Ok(None),
    }
}

/// Sends what lies in one folder.
pub(super) fn send_listed(
    listed: Listed,
    objects: &dyn ReadObjects,
    head: v1::Snapshot,
    parts: &mpsc::Sender<Result<v1::Entries, Failure>>,
) -> Result<(), Failure> {
    let send = |part: v1::Entries| parts.blocking_send(Ok(part)).map_err(|_| Failure::from(tree::Cancelled));
    let warnings = listed.warnings.iter().chain(&objects.detours()).map(convert::warning).collect();
    send(v1::Entries { snapshot: Some(head), warnings, ..v1::Entries::default() })?;
    let mut entries = listed.entries.into_iter().map(|(path, info)| convert::entry_info(&info, path));
    loop {
        let entries: Vec<v1::Entry> = entries.by_ref().take(BATCH).collect();
        if entries.is_empty() {
            return Ok(());
        }
        send(v1::Entries { entries, ..v1::Entries::default() })?;
    }
}

fn described(tree: &Tree, reader: &dyn ReadObjects, entry: &TreeEntry<'_>) -> Result<v1::Entry, v1::Warning> {
    let mut described = convert::entry(entry, tree.path(entry.id));
    if entry.kind == Some(Kind::Symlink) {
        let filemeta = tree.read_filemeta(reader, entry.id).map_err(|error| v1::Warning {
            path: cloudstic_engine::show_path(&described.path),
            problem: error.to_string(),
        })?;
        described.target = filemeta.posix().and_then(|posix| posix.target_bytes()).unwrap_or_default();
    }
    Ok(described)
}

fn no_such_path(path: &[u8], request: &v1::ListEntriesRequest) -> Failure {
    let message = format!("\"{}\" is not in snapshot {}: see `cloudsticctl ls`", path.escape_ascii(), request.snapshot);
    Failure::new(Reason::NoSuchPath, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a/` with `a/b/` with `a/b/c`, `a/d`; and `e`.
    const TREE: [(u32, Option<u32>, bool); 5] =
        [(0, None, true), (1, Some(0), true), (2, Some(1), false), (3, Some(0), false), (4, None, false)];

    fn selected(mut selection: Selection) -> Vec<u32> {
        let taken =
            TREE.into_iter().filter(|(id, parent, folder)| selection.takes(EntryId(*id), parent.map(EntryId), *folder));
        taken.map(|(id, ..)| id).collect()
    }

    fn of(chosen: &[u32], shallow: bool) -> Vec<u32> {
        let mut selection = Selection::of(chosen.is_empty(), shallow);
        chosen.iter().for_each(|id| selection.choose(EntryId(*id)));
        selected(selection)
    }

    #[test]
    fn deep_is_the_path_and_all_below() {
        assert_eq!(of(&[], false), [0, 1, 2, 3, 4]);
        assert_eq!(of(&[0], false), [0, 1, 2, 3]);
        assert_eq!(of(&[1, 4], false), [1, 2, 4]);
        assert_eq!(of(&[2], false), [2]);
    }

    #[test]
    fn shallow_is_what_lies_directly_in_a_folder_or_a_file_itself() {
        assert_eq!(of(&[], true), [0, 4]);
        assert_eq!(of(&[0], true), [1, 3]);
        assert_eq!(of(&[0, 1], true), [1, 2, 3]);
        assert_eq!(of(&[2], true), [2]);
    }
}
