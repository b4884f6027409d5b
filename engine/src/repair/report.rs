//! What a repair did.

use crate::check::Fault;
use crate::object::ObjectRef;

/// Lost paths of one snapshot that a report keeps.
pub const KEPT: usize = 1000;

/// What a repair did; on a dry run, what it would do.
#[derive(Debug, Clone, Default)]
pub struct RepairReport {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Faults that were found.
    pub fault_count: u64,
    /// The pack catalog.
    pub catalog: CatalogRepair,
    /// Whether `index/latest`, `index/snapshots` and the list of what no writer relies on were written anew.
    pub indexes: bool,
    /// Snapshots that were damaged, and what became of them.
    pub snapshots: Vec<SnapshotRepair>,
    /// Damaged packs and objects that were removed, after everything good in them was copied.
    pub removed_objects: u64,
    /// Damaged packs and objects that are still there, because they may only be removed if that was asked for.
    pub damaged_objects: u64,
    /// What is wrong and cannot be repaired: the marker, key slots; packs of which nobody knows all that is in them; what was
    /// to be removed and is retained by the store.
    pub beyond_repair: Vec<Fault>,
}

impl RepairReport {
    /// Whether anything that a user would look for is other than it was.
    pub(super) fn has_done_anything(&self) -> bool {
        let snapshots = self.snapshots.iter().any(|snapshot| snapshot.new.is_some() || snapshot.removed);
        self.catalog.rewritten || self.indexes || snapshots || self.removed_objects > 0
    }
}

/// What became of the pack catalog.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CatalogRepair {
    /// Whether it was written anew.
    pub rewritten: bool,
    /// Entries that pointed nowhere, or at something else than they said.
    pub dropped: u64,
    /// Objects that it did not know, or looked for elsewhere.
    pub recovered: u64,
    /// Good objects that were copied out of damaged packs.
    pub salvaged: u64,
}

/// What became of a damaged snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRepair {
    /// The damaged one.
    pub old: ObjectRef,
    /// What is in its place; `None` if nothing could be kept, and on a dry run.
    pub new: Option<ObjectRef>,
    /// Entries that the new one has.
    pub kept: u64,
    /// The first [`KEPT`] paths that are lost, and why.
    pub lost: Vec<LostPath>,
    /// How many those are.
    pub lost_count: u64,
    /// Whether there were more, of which nothing is known.
    pub unknown: bool,
    /// Folders whose own metadata were lost, and that were made anew or taken from another snapshot.
    pub remade_folders: u64,
    /// Whether the damaged one was removed.
    pub removed: bool,
    /// What is wrong with it as a whole, if it could not be read.
    pub problem: Option<String>,
}

/// A path that is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostPath {
    /// The path, fit to be shown.
    pub path: String,
    /// What it is lost by.
    pub object: String,
}
