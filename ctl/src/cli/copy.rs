//! `copy` and `stats`.

use std::ffi::OsString;

use clap::Args;

use super::{LockWait, Waiting};

/// Copy snapshots from one repository to another, with other keys and on another store
///
/// Snapshots that the target has already, from whatever repository they came, are left alone, so this can be run again
/// and again; one that was cut off goes on. Times, tags and sources stay. What is read is proven, and a snapshot with
/// damaged files is not copied, unless with --partial. The target numbers copies as they come, and "latest" is the highest
/// number: so copy older snapshots first, or all at once. This is also the way to another master key: see
/// `cloudsticctl key rotate-master`. Only root and the daemon's own user may copy.
#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// The repository to copy from
    pub(crate) from: String,
    /// The repository to copy to
    pub(crate) to: String,
    /// Only these snapshots: "latest", or the beginning of a hash
    #[arg(conflicts_with_all = ["tag", "source", "account", "path"])]
    pub(crate) snapshots: Vec<String>,
    /// Only snapshots with this tag
    #[arg(long)]
    pub(crate) tag: Option<String>,
    /// Only snapshots of this source type ("local", "sftp", …)
    #[arg(long)]
    pub(crate) source: Option<String>,
    /// Only snapshots of this account (for local sources the host)
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// Only snapshots of this source path
    #[arg(long)]
    pub(crate) path: Option<OsString>,
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
    pub(crate) snapshots: Vec<String>,
    #[command(flatten)]
    pub(crate) lock_wait: LockWait,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}
