//! What of a tree is restored: everything, or some paths with all below them and the folders above.

use std::collections::{HashMap, HashSet};

use super::RestoreError;
use super::tally::Tally;
use crate::object::{ObjectRef, Snapshot};
use crate::source::Warning;
use crate::tree::{EntryId, Tree, show_path};
use crate::view::by_path;

pub(super) struct Plan {
    selected: Vec<bool>,
    paths: Vec<String>,
    /// Whether what is told of an entry names it by its path, also where its own metadata cannot be read.
    ids_are_paths: bool,
    /// For a first name that is not selected, the second name that stands in for it.
    stand_ins: HashMap<EntryId, EntryId>,
    /// Entries that other selected ones are links to.
    pub(super) leaders: HashSet<EntryId>,
}

impl Plan {
    pub(super) fn new(
        tree: &Tree,
        paths: &[Vec<u8>],
        (reference, snapshot): (ObjectRef, &Snapshot),
    ) -> Result<Self, RestoreError> {
        let is_all = |path: &Vec<u8>| path.iter().all(|&byte| byte == b'/');
        let all = paths.iter().all(is_all) || paths.iter().any(is_all);
        let mut plan = Self {
            selected: vec![all; tree.len()],
            paths: if all { Vec::new() } else { paths.iter().map(|path| trimmed(path)).collect() },
            ids_are_paths: by_path(&snapshot.source),
            stand_ins: HashMap::new(),
            leaders: HashSet::new(),
        };
        for path in paths.iter().filter(|_| !all) {
            let id = tree.find(path).ok_or_else(|| not_there(tree, path, reference))?;
            let below = tree.subtree(id);
            plan.selected[below.start as usize..below.end as usize].fill(true);
            let mut above = tree.get(id).parent;
            while let Some(folder) = above {
                plan.selected[folder.0 as usize] = true;
                above = tree.get(folder).parent;
            }
        }
        plan.choose_leaders(tree);
        Ok(plan)
    }

    fn choose_leaders(&mut self, tree: &Tree) {
        for second in tree.entries().filter(|entry| self.selected[entry.id.0 as usize]) {
            let Some(first) = second.hardlink else { continue };
            if self.selected[first.0 as usize] {
                self.leaders.insert(first);
            } else if let Some(&stand_in) = self.stand_ins.get(&first) {
                self.leaders.insert(stand_in);
            } else {
                self.stand_ins.insert(first, second.id);
            }
        }
    }

    /// The selected entries, in path order.
    pub(super) fn entries(&self) -> impl Iterator<Item = EntryId> {
        self.selected.iter().zip(0..).filter(|(selected, _)| **selected).map(|(_, at)| EntryId(at))
    }

    /// The entry that this one is to be a hard link to.
    pub(super) fn leader_of(&self, tree: &Tree, id: EntryId) -> Option<EntryId> {
        let first = tree.get(id).hardlink?;
        let leader = if self.selected[first.0 as usize] { first } else { *self.stand_ins.get(&first)? };
        (leader != id).then_some(leader)
    }

    /// How many of them are in a folder.
    pub(super) fn count_below(&self, tree: &Tree, folder: EntryId) -> usize {
        let below = tree.subtree(folder);
        self.selected[below.start as usize + 1..below.end as usize].iter().filter(|selected| **selected).count()
    }

    /// Tells of what is not in the tree, as far as it concerns what is selected.
    pub(super) fn tell_problems(&self, tree: &Tree, tally: &Tally<'_>) {
        for problem in tree.problems().iter().filter(|problem| self.concerns(problem)) {
            tally.warn(problem.path.clone(), problem.problem.clone());
        }
        let more = tree.problem_count() - tree.problems().len() as u64;
        if more > 0 {
            tally.warn(
                String::new(),
                format!("{more} more entries cannot be read: `cloudsticctl check` names all of them"),
            );
            tally.warn_uncounted(more - 1);
        }
    }

    fn concerns(&self, problem: &Warning) -> bool {
        // What is below a lost node is not known: it may be anything.
        self.paths.is_empty()
            || !self.ids_are_paths
            || problem.path.starts_with("node/")
            || self.paths.iter().any(|path| is_within(&problem.path, path) || is_within(path, &problem.path))
    }
}

fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Why a path is not in the tree: the snapshot never had it, or it is lost.
fn not_there(tree: &Tree, path: &[u8], reference: ObjectRef) -> RestoreError {
    let (wanted, snapshot) = (trimmed(path), reference.to_string());
    match tree.problems().iter().find(|problem| is_within(&wanted, &problem.path)) {
        Some(Warning { problem, .. }) => RestoreError::Lost { path: wanted, snapshot, problem: problem.clone() },
        None => RestoreError::NoSuchPath { path: show_path(path), snapshot },
    }
}

fn trimmed(path: &[u8]) -> String {
    let names: Vec<_> = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
    show_path(&names.join(&b'/'))
}
