//! `prune`.

use clap::Args;

use super::{LockWait, Waiting, flags};

/// Remove from a repository what no snapshot needs
///
/// Data that no snapshot needs any more, after snapshots were forgotten or backups were cut off, is deleted. Packs of
/// which a small part is still needed are rewritten without the rest. Nobody else can work on the repository meanwhile.
///
/// Nothing is deleted unless everything that the snapshots need can be found; and it may be stopped or killed at any
/// moment: the next one goes on.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// The repository
    pub(crate) repository: String,
    /// Find out what would be removed, to the byte, and change nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    /// Rewrite a pack when more than this part of it is waste [default: 30]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) max_waste: Option<u32>,
    /// Copy at most so much out of such packs, as in "500M" or "2G"; those with the most waste come first
    #[arg(long, value_name = "SIZE", value_parser = flags::size)]
    pub(crate) max_repack_size: Option<u64>,
    #[command(flatten)]
    pub(crate) lock_wait: LockWait,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}
