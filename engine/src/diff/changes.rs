//! All changes, kept compactly: renames are known only when all else is, so they have to wait for these.

use super::change::{Change, ChangeKind, Count};
use super::fields::{Field, Fields};
use crate::view::{Entries, is_within, path_order};

/// What changed, in path order, a folder before what is in it; what moved stands where it is now.
///
/// Some 130 bytes for each entry that is new or gone and 250 for one that is another now, and its path.
#[derive(Debug)]
pub struct Changes {
    entries: Entries,
    all: Vec<Record>,
    /// What is below folders that moved.
    below: Vec<Count>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Record {
    /// The numbers of the entry as it was and as it is.
    entries: [Option<u32>; 2],
    fields: Fields,
    pub(super) kind: ChangeKind,
    /// One more than its number in `below`.
    below: u32,
}

impl Changes {
    /// How many.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The one in this place, from 0.
    pub fn get(&self, at: usize) -> Option<Change> {
        let record = self.all.get(at)?;
        let [before, after] = record.entries;
        let below = (record.below as usize).checked_sub(1).and_then(|at| self.below.get(at));
        Some(Change {
            kind: record.kind,
            path: self.path(record).to_vec(),
            from: self.from(record).map(<[u8]>::to_vec),
            fields: record.fields.to_vec(),
            before: before.and_then(|number| self.entries.info(number)),
            after: after.and_then(|number| self.entries.info(number)),
            below: below.copied().unwrap_or_default(),
        })
    }

    /// Each of them, made when it is its turn.
    pub fn iter(&self) -> impl Iterator<Item = Change> + '_ {
        (0..self.len()).filter_map(|at| self.get(at))
    }
}

impl Changes {
    pub(super) fn new(entries: Entries) -> Self {
        Self { entries, all: Vec::new(), below: Vec::new() }
    }

    pub(super) const fn entries(&self) -> &Entries {
        &self.entries
    }

    /// Adds what became of an entry, in the same place or in another one.
    pub(super) fn add(&mut self, entries: [Option<u32>; 2], fields: Fields) {
        let kind = match entries {
            [None, None] => return,
            [Some(_), None] => ChangeKind::Removed,
            [None, Some(_)] => ChangeKind::Added,
            [Some(before), Some(after)] if self.entries.path(before) != self.entries.path(after) => ChangeKind::Moved,
            _ => Field::sort(fields),
        };
        self.all.push(Record { entries, fields, kind, below: 0 });
    }

    pub(super) fn records(&self) -> &[Record] {
        &self.all
    }

    /// Where it is; where it was, if it was removed.
    pub(super) fn path(&self, record: &Record) -> &[u8] {
        let [before, after] = record.entries;
        after.or(before).map_or(&[], |number| self.entries.path(number))
    }

    /// Where it was, if it moved.
    fn from(&self, record: &Record) -> Option<&[u8]> {
        let before = record.entries[0].filter(|_| record.kind == ChangeKind::Moved)?;
        Some(self.entries.path(before))
    }

    /// The number of what is new or gone.
    pub(super) fn single(record: &Record) -> Option<u32> {
        let [before, after] = record.entries;
        before.xor(after)
    }

    /// Whether something changed at a path or below it.
    pub(super) fn any_within(&self, folder: &[u8]) -> bool {
        self.all.iter().any(|record| is_within(self.path(record), folder))
    }

    /// Keeps what happened at some paths or below them.
    pub(super) fn keep_within(&mut self, folders: &[&[u8]]) {
        let mut all = std::mem::take(&mut self.all);
        let within = |path: &[u8]| folders.iter().any(|folder| is_within(path, folder));
        all.retain(|record| within(self.path(record)) || self.from(record).is_some_and(within));
        self.all = all;
    }

    /// Makes one change of what is gone and what is new, which have these places.
    pub(super) fn join(&mut self, gone: usize, new: usize, fields: Fields, below: Count) {
        let Some(before) = self.all.get(gone).and_then(|record| record.entries[0]) else { return };
        let Some(record) = self.all.get_mut(new) else { return };
        record.entries[0] = Some(before);
        record.fields = fields.with(Field::Path);
        record.kind = ChangeKind::Moved;
        if below != Count::default() {
            self.below.push(below);
            record.below = self.below.len() as u32;
        }
    }

    /// Keeps those in places for which `keep` says so.
    pub(super) fn keep(&mut self, keep: &[bool]) {
        let mut places = keep.iter();
        self.all.retain(|_| places.next().copied().unwrap_or(true));
    }

    pub(super) fn sort(&mut self) {
        let mut all = std::mem::take(&mut self.all);
        all.sort_unstable_by(|a, b| {
            path_order(self.path(a), self.path(b)).then(a.kind.cmp(&b.kind)).then(a.entries.cmp(&b.entries))
        });
        self.all = all;
    }
}
