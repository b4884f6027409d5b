//! What holds among the entries of one tree: each fileId and each path once, parents that are folders up to the top.

use super::entries::{Entries, Facts, TOP};
use super::faults::Findings;
use super::graph::{Below, Graph};
use super::report::Problem;
use crate::object::ObjectRef;

/// The entries of one tree.
struct Tree<'a> {
    entries: &'a Entries,
    /// Numbers of filemetas, sorted by the hash of their fileIds.
    sorted: Vec<(u64, u32)>,
    /// Whether a part of the tree is lost: then what is missing is no fault of its own.
    is_partial: bool,
}

/// Checks one tree; what is wrong with it is a fault of the snapshots that have it.
pub(super) fn check_tree(
    graph: &Graph,
    entries: &Entries,
    root: ObjectRef,
    snapshots: &[ObjectRef],
    findings: &mut Findings,
) {
    let mut problems = tree_problems(graph, entries, root);
    problems.truncate(TOLD);
    for snapshot in snapshots {
        for (number, problem) in &problems {
            let text = format!("{}: {problem}", entries.numbers.object(*number));
            let fault = findings.fault(&snapshot.key(), Problem::Malformed(text));
            findings.bad.entry(*snapshot).or_insert(fault);
        }
    }
}

/// The entries of a tree that do not fit to the others, and why.
pub(crate) fn tree_problems(graph: &Graph, entries: &Entries, root: ObjectRef) -> Vec<(u32, &'static str)> {
    let mut tree = Tree { entries, sorted: Vec::new(), is_partial: false };
    graph.walk(root, |_, below| match below {
        Below::Entries(numbers) => {
            tree.sorted.extend(numbers.iter().map(|number| (entries.facts(*number).key, *number)));
        }
        Below::Unknown => tree.is_partial = true,
        Below::Nodes(_) => {}
    });
    tree.sorted.sort_unstable();
    tree.problems()
}

/// In place of a parent there is nothing.
pub(crate) const NO_PARENT: &str = "its parent is not in the snapshot";

/// So many problems of one tree are told.
const TOLD: usize = 100;

impl Tree<'_> {
    fn problems(&self) -> Vec<(u32, &'static str)> {
        let mut problems = Vec::new();
        let twice = self.sorted.windows(2).filter(|pair| pair[0].0 == pair[1].0);
        problems.extend(twice.map(|pair| (pair[1].1, "another entry has its fileId")));
        let mut places: Vec<(u64, u32)> = self
            .sorted
            .iter()
            .map(|(_, number)| (self.facts(*number), *number))
            .filter(|(facts, _)| facts.is_read())
            .map(|(facts, number)| (facts.place, number))
            .collect();
        places.sort_unstable();
        let clashes = places.windows(2).filter(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1);
        problems.extend(clashes.map(|pair| (pair[1].1, "another entry has its path")));
        drop(places);
        problems.extend(self.sorted.iter().filter_map(|(_, number)| Some((*number, self.parent_problem(*number)?))));
        if problems.is_empty() {
            problems.extend(self.looped().map(|number| (number, "its parents form a loop")));
        }
        problems
    }

    fn facts(&self, number: u32) -> Facts {
        self.entries.facts(number)
    }

    fn parent(&self, facts: &Facts) -> Option<usize> {
        self.sorted.binary_search_by_key(&facts.parent, |(key, _)| *key).ok()
    }

    fn parent_problem(&self, number: u32) -> Option<&'static str> {
        let facts = self.facts(number);
        if !facts.is_read() || facts.parent == TOP {
            return None;
        }
        match self.parent(&facts).map(|at| self.facts(self.sorted[at].1)) {
            None if self.is_partial => None,
            None => Some(NO_PARENT),
            Some(parent) if parent.is_read() && !parent.is_folder() => Some("its parent is not a folder"),
            Some(_) => None,
        }
    }

    /// An entry whose parents do not lead to the top.
    fn looped(&self) -> Option<u32> {
        // 0: not visited; else the number of the walk that has been here.
        let mut visited = vec![0_u32; self.sorted.len()];
        for start in 0..self.sorted.len() {
            let (walk, mut at) = (start as u32 + 1, Some(start));
            while let Some(here) = at {
                match visited[here] {
                    0 => visited[here] = walk,
                    by if by == walk => return Some(self.sorted[here].1),
                    _ => break,
                }
                let facts = self.facts(self.sorted[here].1);
                at = if facts.is_read() && facts.parent != TOP { self.parent(&facts) } else { None };
            }
        }
        None
    }
}
