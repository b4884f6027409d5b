//! `copy` and `stats`.

use clap::Args;

use super::{LockWait, SnapshotFilter, Waiting};

/// Copy snapshots from one repository to another, with other keys and on another store
///
/// Snapshots that the target has already, from whatever repository they came, are left alone, so this can be run again
/// and again; one that was cut off goes on. Times, tags and sources stay; if tags were changed since on either side, the
/// copy keeps those that it has. What is read is proven, and a snapshot with damaged files is not copied, unless with
/// --partial. Among the target's snapshots a copy has its place by time, so an older one does not become "latest". This is
/// also the way to another master key: see `cloudsticctl key rotate-master`. Only root and the daemon's own user may copy.
#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// The repository to copy from
    #[arg(id = "from_repository", value_name = "FROM")]
    pub(crate) from: String,
    /// The repository to copy to
    #[arg(id = "to_repository", value_name = "TO")]
    pub(crate) to: String,
    /// Only these snapshots: "latest", or the beginning of a hash
    #[arg(conflicts_with = "filter")]
    pub(crate) snapshots: Vec<String>,
    #[command(flatten)]
    pub(crate) filter: SnapshotFilter,
    /// Copy snapshots with damaged files too, without these
    #[arg(long)]
    pub(crate) partial: bool,
    /// Say what would be copied, but write nothing; damaged files are not noticed, because none is read
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) lock_wait: LockWait,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// Count what snapshots hold, and what they take in the store
///
/// For each snapshot: its files, their sizes, what all it needs takes in the store, and the part of that which no other
/// snapshot needs. Then the same together, and the whole repository. No file data are read, so where files share some of
/// their chunks, the size of all different data is estimated.
#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// The repository
    pub(crate) repository: String,
    /// Only these snapshots: "latest", or the beginning of a hash
    #[arg(conflicts_with = "filter")]
    pub(crate) snapshots: Vec<String>,
    #[command(flatten)]
    pub(crate) filter: SnapshotFilter,
    #[command(flatten)]
    pub(crate) lock_wait: LockWait,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}
