//! `prune`.

use clap::Args;

use super::{LockWait, PruneOptions, Waiting};

/// Remove from a repository what no snapshot needs
///
/// Data that no snapshot needs any more, after snapshots were forgotten or backups were cut off, is deleted. Packs of
/// which a small part is still needed are rewritten without the rest. Nobody else can work on the repository meanwhile.
///
/// Nothing is deleted unless everything that the snapshots need can be found, and all packs are known: one of which nothing
/// says what is in it may hold a snapshot that another program has lost, and a repair looks into it. A prune may be stopped
/// or killed at any moment: the next one goes on.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// The repository
    pub(crate) repository: String,
    /// Find out what would be removed, to the byte, and change nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) pruning: PruneOptions,
    #[command(flatten)]
    pub(crate) lock_wait: LockWait,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}
