//! What was counted. All sizes are in bytes.

use super::count::Counts;
use crate::object::{ObjectRef, SnapshotEntry, Timestamp};
use crate::source::Warning;

/// What was counted.
#[derive(Debug, Clone, Default)]
pub struct StatsReport {
    /// The snapshots that were asked for, newest first.
    pub snapshots: Vec<SnapshotStats>,
    /// All of these together.
    pub total: Totals,
    /// The whole repository.
    pub repository: RepositoryStats,
    /// What could not be read and is not counted: the first.
    pub warnings: Vec<Warning>,
    /// How many there were.
    pub warning_count: u64,
}

/// One snapshot.
#[derive(Debug, Clone)]
pub struct SnapshotStats {
    /// The snapshot.
    pub reference: ObjectRef,
    /// Its number.
    pub seq: u64,
    /// When it was made.
    pub created: Timestamp,
    /// Where it came from.
    pub path: String,
    /// Ordinary files.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Links and special files.
    pub others: u64,
    /// The sizes of all files.
    pub raw_bytes: u64,
    /// What all that it needs takes in the store.
    pub stored_bytes: u64,
    /// The part of that which no other snapshot needs: what removing this one alone would free.
    pub unique_bytes: u64,
}

/// Snapshots together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Ordinary files of all snapshots: one that is in two counts twice, here and in the next three.
    pub files: u64,
    /// Folders.
    pub folders: u64,
    /// Links and special files.
    pub others: u64,
    /// The sizes of all files.
    pub raw_bytes: u64,
    /// The sizes of all different data: of each content once, and estimated for those that share some of their chunks,
    /// because what each chunk holds is not known without reading it.
    pub distinct_bytes: u64,
    /// What these data take in the store: chunks and contents.
    pub data_stored_bytes: u64,
    /// What filemetas, nodes and snapshots take.
    pub metadata_stored_bytes: u64,
}

/// The repository.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RepositoryStats {
    /// Snapshots that can be read.
    pub snapshots: u64,
    /// Packs.
    pub packs: u64,
    /// Their sizes.
    pub pack_bytes: u64,
    /// Chunks, contents, filemetas and nodes that lie by themselves.
    pub single_bytes: u64,
    /// Objects that no readable snapshot needs.
    pub unreferenced_bytes: u64,
    /// What else is in packs: footers, and what no catalog names.
    pub overhead_bytes: u64,
    /// The pack catalog.
    pub catalog_bytes: u64,
    /// The snapshot catalog.
    pub index_bytes: u64,
}

impl SnapshotStats {
    pub(super) fn new(entry: &SnapshotEntry, counts: &Counts, own: u64) -> Self {
        Self {
            reference: entry.reference,
            seq: entry.seq,
            created: entry.created.clone(),
            path: entry.source.path.clone(),
            files: counts.files,
            folders: counts.folders,
            others: counts.others,
            raw_bytes: counts.raw,
            stored_bytes: counts.stored + own,
            unique_bytes: counts.unique + own,
        }
    }
}
