//! What was found.
//!
//! Kept compactly, as there may be as many matches as entries: some 124 bytes each, and its path. A [`Match`] is made of
//! one only when somebody looks at it.

use std::ops::Range;

use crate::view::{Entries, EntryInfo, Pieces, path_order};

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

/// All entries that were found: those of the newest snapshots first, then in path order.
#[derive(Debug, Default)]
pub struct Matches {
    found: Found,
    /// Their numbers.
    order: Vec<u32>,
}

impl Matches {
    /// How many.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The one in this place, from 0.
    pub fn get(&self, at: usize) -> Option<Match> {
        self.found.get(*self.order.get(at)?)
    }

    /// Each of them, made when it is its turn.
    pub fn iter(&self) -> impl Iterator<Item = Match> + '_ {
        (0..self.len()).filter_map(|at| self.get(at))
    }
}

/// No run.
const NONE: u32 = u32::MAX;

/// What was found so far, each entry with a number.
#[derive(Debug, Default)]
pub(super) struct Found {
    entries: Entries,
    /// The first snapshots that have each.
    runs: Pieces<Run>,
    /// The others.
    more: Vec<Run>,
}

/// Neighbouring snapshots that have an entry.
#[derive(Debug, Clone, Copy)]
struct Run {
    start: u32,
    end: u32,
    /// In the first run the number of the last further one, in that the number of the one before; [`NONE`] if there is
    /// none.
    link: u32,
}

impl Found {
    pub(super) fn len(&self) -> u32 {
        self.entries.len()
    }

    pub(super) fn path(&self, number: u32) -> &[u8] {
        self.entries.path(number)
    }

    /// Adds an entry that a snapshot has.
    pub(super) fn add(&mut self, path: &[u8], info: &EntryInfo, snapshot: u32) -> u32 {
        self.runs.push(Run { start: snapshot, end: snapshot + 1, link: NONE });
        self.entries.push(path, info)
    }

    /// A snapshot has an entry. Snapshots come in the order of their numbers.
    pub(super) fn mark(&mut self, number: u32, snapshot: u32) {
        let Some(first) = self.runs.get_mut(number) else { return };
        let last = self.more.get_mut(first.link as usize);
        let end = last.map_or(&mut first.end, |last| &mut last.end);
        if *end == snapshot {
            *end += 1;
        } else if *end < snapshot {
            self.more.push(Run { start: snapshot, end: snapshot + 1, link: first.link });
            first.link = self.more.len() as u32 - 1;
        }
    }

    fn get(&self, number: u32) -> Option<Match> {
        let first = self.runs.get(number)?;
        let mut runs = Vec::new();
        let mut at = first.link;
        while let Some(run) = self.more.get(at as usize) {
            runs.push(run.start..run.end);
            at = run.link;
        }
        runs.push(first.start..first.end);
        runs.reverse();
        Some(Match { path: self.path(number).to_vec(), info: self.entries.info(number)?, snapshots: runs })
    }

    pub(super) fn sorted(self) -> Matches {
        let newest = |number: &u32| self.runs.get(*number).map(|run| run.start);
        let mut order: Vec<u32> = (0..self.len()).collect();
        order.sort_unstable_by(|a, b| {
            newest(a).cmp(&newest(b)).then_with(|| path_order(self.path(*a), self.path(*b))).then(a.cmp(b))
        });
        Matches { found: self, order }
    }
}
