//! `repair`.

use clap::Args;

use super::{LockWait, Waiting};

/// Put a damaged repository in order, and list what is lost
///
/// Rebuilds the pack catalog and the snapshot indexes, and makes a new snapshot of what is left of each damaged one, with its
/// number and time; what is lost is listed. Nothing is removed unless --forget-damaged is given. The next backup
/// stores lost files again if they are still in the source.
#[derive(Debug, Args)]
pub(crate) struct Repair {
    /// The repository
    pub(crate) repository: String,
    /// Say what would be done, but write nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    /// Read all data first, to find damage inside files too
    #[arg(long)]
    pub(crate) read_data: bool,
    /// Remove damaged snapshots, packs and objects when everything good of them is elsewhere; not what fails to be read
    #[arg(long)]
    pub(crate) forget_damaged: bool,
    #[command(flatten)]
    pub(crate) lock_wait: LockWait,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}
