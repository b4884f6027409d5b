//! One change, and how much all of them are.

use super::fields::Field;
use crate::view::EntryInfo;

/// One entry that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// How.
    pub kind: ChangeKind,
    /// Where it is; where it was, if it was removed.
    pub path: Vec<u8>,
    /// Where it was, if it moved.
    pub from: Option<Vec<u8>>,
    /// What of it differs: in path and all else for what was added or removed, so none is named then.
    pub fields: Vec<Field>,
    /// What it was; `None` if it was added.
    pub before: Option<EntryInfo>,
    /// What it is; `None` if it was removed.
    pub after: Option<EntryInfo>,
    /// For a folder that moved as a whole: what is below it, which has no changes of its own.
    pub below: Count,
}

/// How an entry differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It is gone.
    Removed,
    /// It is new.
    Added,
    /// It is something else now: a link where a folder was.
    Type,
    /// Its bytes differ.
    Content,
    /// Only what is around its bytes differs: mode, owner, times, attributes, where a link points.
    Metadata,
    /// It has another path, and may differ in more.
    Moved,
}

/// A number of entries, and the bytes of the files among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Ordinary files.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Links and special files.
    pub others: u64,
    /// Bytes of files.
    pub bytes: u64,
}

impl Count {
    pub(super) fn add(&mut self, entry: &EntryInfo) {
        match (entry.is_folder, entry.kind) {
            (true, _) => self.folders += 1,
            (false, Some(_)) => self.others += 1,
            (false, None) => {
                self.files += 1;
                self.bytes = self.bytes.saturating_add(entry.size);
            }
        }
    }

    fn add_all(&mut self, other: &Self) {
        self.files += other.files;
        self.folders += other.folders;
        self.others += other.others;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// How much changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// What is new.
    pub added: Count,
    /// What is gone.
    pub removed: Count,
    /// Whose content or type changed, as it is now.
    pub modified: Count,
    /// The bytes that these had before.
    pub modified_bytes_before: u64,
    /// Of what only metadata changed.
    pub metadata: Count,
    /// What has another path, with what is below folders that moved.
    pub moved: Count,
}

impl Totals {
    pub(super) fn of(changes: impl Iterator<Item = Change>) -> Self {
        let mut totals = Self::default();
        for change in changes {
            let Some(entry) = change.after.as_ref().or(change.before.as_ref()) else { continue };
            let count = match change.kind {
                ChangeKind::Added => &mut totals.added,
                ChangeKind::Removed => &mut totals.removed,
                ChangeKind::Type | ChangeKind::Content => {
                    let before = change.before.as_ref().map_or(0, |before| before.size);
                    totals.modified_bytes_before = totals.modified_bytes_before.saturating_add(before);
                    &mut totals.modified
                }
                ChangeKind::Metadata => &mut totals.metadata,
                ChangeKind::Moved => &mut totals.moved,
            };
            count.add(entry);
            count.add_all(&change.below);
        }
        totals
    }
}
