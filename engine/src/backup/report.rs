//! What a backup did.

use crate::object::ObjectRef;
use crate::source::Warning;

/// What a backup did.
#[derive(Debug, Clone, Default)]
pub struct BackupReport {
    /// The snapshot; `None` on a dry run.
    pub snapshot: Option<ObjectRef>,
    /// The root of its tree; `None` for an empty tree, and on a dry run that would change something.
    pub root: Option<ObjectRef>,
    /// Its number; 0 on a dry run.
    pub seq: u64,
    /// Files, and whatever else is no folder.
    pub files: Counts,
    /// Folders.
    pub folders: Counts,
    /// Bytes of all files in the tree.
    pub total_bytes: u64,
    /// Bytes that were read; on a dry run, that would be.
    pub read_bytes: u64,
    /// Bytes that were new to the repository: objects of all kinds before compression and encryption.
    pub added_bytes: u64,
    /// The same after it.
    pub stored_bytes: u64,
    /// The first [`crate::warnings::KEPT`] warnings.
    pub warnings: Vec<Warning>,
    /// How many there were. Any makes the backup a partial one.
    pub warning_count: u64,
}

/// How a tree differs from the one of the previous snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not there before.
    pub new: u64,
    /// Different: in content or metadata.
    pub changed: u64,
    /// The same.
    pub unmodified: u64,
    /// Not there any more.
    pub removed: u64,
}

impl Counts {
    /// How many the tree has now.
    pub fn present(&self) -> u64 {
        self.new + self.changed + self.unmodified
    }

    /// Whether anything differs.
    pub fn differs(&self) -> bool {
        self.new + self.changed + self.removed > 0
    }
}
