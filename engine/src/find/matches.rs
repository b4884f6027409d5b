//! What was found so far.

use std::collections::HashMap;
use std::ops::Range;

use crate::object::Hash;
use crate::view::{EntryInfo, path_order};

/// An entry that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// Its path.
    pub path: Vec<u8>,
    /// What it is.
    pub info: EntryInfo,
    /// Which snapshots have it just so: runs of numbers in the report's list, the newest first.
    pub snapshots: Vec<Range<u32>>,
}

impl Match {
    /// How many snapshots have it.
    pub fn count(&self) -> u64 {
        self.snapshots.iter().map(|run| u64::from(run.end - run.start)).sum()
    }

    /// The number of the newest snapshot that has it.
    pub fn newest(&self) -> u32 {
        self.snapshots.first().map_or(0, |run| run.start)
    }

    /// The number of the oldest snapshot that has it.
    pub fn oldest(&self) -> u32 {
        self.snapshots.last().map_or(0, |run| run.end.saturating_sub(1))
    }
}

/// All entries that were found, each with a number.
#[derive(Debug, Default)]
pub(super) struct Matches {
    all: Vec<Match>,
    numbers: HashMap<Hash, u32>,
}

impl Matches {
    /// The number of the entry that this hash stands for.
    pub(super) fn number(&self, identity: &Hash) -> Option<u32> {
        self.numbers.get(identity).copied()
    }

    pub(super) fn add(&mut self, identity: Hash, path: Vec<u8>, info: EntryInfo) -> u32 {
        let number = self.all.len() as u32;
        self.all.push(Match { path, info, snapshots: Vec::new() });
        self.numbers.insert(identity, number);
        number
    }

    /// A snapshot has an entry. Snapshots come in the order of their numbers.
    pub(super) fn mark(&mut self, number: u32, snapshot: u32) {
        let Some(found) = self.all.get_mut(number as usize) else { return };
        match found.snapshots.last_mut() {
            Some(run) if run.end > snapshot => {}
            Some(run) if run.end == snapshot => run.end += 1,
            _ => found.snapshots.push(snapshot..snapshot + 1),
        }
    }

    pub(super) fn sorted(self) -> Vec<Match> {
        let mut all = self.all;
        all.retain(|found| !found.snapshots.is_empty());
        all.sort_by(|a, b| a.newest().cmp(&b.newest()).then_with(|| path_order(&a.path, &b.path)));
        all
    }
}
