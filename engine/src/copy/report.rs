//! What a copy did.

use super::run::Counts;
use crate::object::ObjectRef;
use crate::source::Warning;

/// What a copy did.
#[derive(Debug, Clone, Default)]
pub struct CopyReport {
    /// Every snapshot that was wanted, oldest first.
    pub snapshots: Vec<SnapshotCopy>,
    /// Files whose contents the target did not have.
    pub files: u64,
    /// Bytes of these files.
    pub read_bytes: u64,
    /// Bytes that were new to the target, before compression and encryption.
    pub added_bytes: u64,
    /// What these take in its store.
    pub stored_bytes: u64,
    /// The first warnings.
    pub warnings: Vec<Warning>,
    /// How many there were.
    pub warning_count: u64,
    /// Whether nothing was written.
    pub dry_run: bool,
}

/// What became of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotCopy {
    /// The snapshot.
    pub source: ObjectRef,
    /// Its copy, if there is one.
    pub copy: Option<ObjectRef>,
    /// The number of a new copy in the target; else 0.
    pub seq: u64,
    /// What was done.
    pub state: CopyState,
    /// The target has it already, with other tags.
    pub other_tags: bool,
}

/// What became of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyState {
    /// It was copied.
    Copied,
    /// It would be.
    WouldCopy,
    /// The target has it already.
    Present,
    /// It was copied without what is damaged.
    Incomplete,
    /// It was not copied, because of damage.
    Damaged,
}

impl CopyReport {
    pub(super) fn add(&mut self, counts: Counts) {
        self.files += counts.files;
        self.read_bytes += counts.read;
        self.added_bytes += counts.added;
        self.stored_bytes += counts.stored;
    }
}
