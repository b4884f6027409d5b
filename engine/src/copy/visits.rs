//! What the work on one snapshot does at each node and entry of its tree.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::CopyError;
use super::nodes::Visit;
use super::run::Done;
use super::table::Table;
use super::target::Target;
use crate::hamt::TreeBuilder;
use crate::numbers::{Number, Numbers, Set};
use crate::object::{Hash, LeafEntry, ObjectKind, ObjectRef, file_id_bytes};
use crate::source::Warning;
use crate::tree::show_path;

/// Gathers the filemetas that have not been copied yet.
pub(super) struct Gather<'a> {
    pub(super) filemetas: &'a mut Numbers,
    pub(super) table: &'a Table,
    pub(super) seen: Set,
    pub(super) new: Vec<Number>,
    pub(super) done: &'a mut Done,
}

impl Visit for Gather<'_> {
    fn entry(&mut self, entry: LeafEntry) -> Result<(), CopyError> {
        if entry.filemeta.kind != ObjectKind::Filemeta {
            let problem = format!("{} is in the place of a filemeta", entry.filemeta);
            self.done.lacks(Warning { path: show_path(&file_id_bytes(&entry.key)), problem });
            return Ok(());
        }
        let number = self.filemetas.of(&entry.filemeta);
        if !self.table.contains(number) && self.seen.insert(number) {
            self.new.push(number);
        }
        Ok(())
    }

    fn problem(&mut self, problem: Warning) -> Result<(), CopyError> {
        self.done.lacks(problem);
        Ok(())
    }
}

/// Tells of each entry that is lost.
pub(super) struct Tell<'a> {
    pub(super) filemetas: &'a mut Numbers,
    pub(super) lost: &'a HashMap<Number, String>,
    pub(super) found: HashSet<String>,
    pub(super) done: &'a mut Done,
}

impl Visit for Tell<'_> {
    fn entry(&mut self, entry: LeafEntry) -> Result<(), CopyError> {
        if let Some(problem) = self.lost.get(&self.filemetas.of(&entry.filemeta)) {
            let (path, problem) = (show_path(&file_id_bytes(&entry.key)), problem.clone());
            self.done.lacks(Warning { path, problem });
            self.found.insert(entry.key);
        }
        Ok(())
    }

    /// Told before.
    fn problem(&mut self, _: Warning) -> Result<(), CopyError> {
        Ok(())
    }
}

/// Writes the nodes as they are, or builds a tree of what the filemetas are called in the target.
pub(super) struct Build<'a> {
    pub(super) filemetas: &'a mut Numbers,
    pub(super) table: &'a Table,
    pub(super) target: &'a Target,
    /// `None` where every node keeps its name.
    pub(super) tree: Option<TreeBuilder>,
    /// The fileIds of entries that are lost. Of a local source, these are the beginnings of those below them.
    pub(super) left_out: &'a HashSet<String>,
    pub(super) lacks: u64,
}

impl Build<'_> {
    fn is_below_what_is_lost(&self, file_id: &str) -> bool {
        !self.left_out.is_empty() && file_id.match_indices('/').any(|(at, _)| self.left_out.contains(&file_id[..at]))
    }
}

impl Visit for Build<'_> {
    fn node(&mut self, node: &ObjectRef, bytes: &Bytes) -> Result<(), CopyError> {
        if self.tree.is_none() {
            self.target.write(*node, bytes)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: LeafEntry) -> Result<(), CopyError> {
        let LeafEntry { key, path_key, filemeta } = entry;
        let renamed = self.table.get(self.filemetas.of(&filemeta))?;
        // What is not in the table was told before.
        let (Some(renamed), true) = (renamed, self.tree.is_some()) else { return Ok(()) };
        if self.is_below_what_is_lost(&key) {
            self.lacks += 1;
        } else if let Some(tree) = &mut self.tree {
            // One that says nothing of its way is found by its fileId, here as there.
            tree.add(&key, path_key.unwrap_or_else(|| Hash::of(key.as_bytes())), renamed)?;
        }
        Ok(())
    }

    /// Told before.
    fn problem(&mut self, _: Warning) -> Result<(), CopyError> {
        Ok(())
    }
}
