//! `lock` and `break-lock`.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Lock {
    /// List the locks: who holds them, for what, since when and until when
    List(LockList),
}

#[derive(Debug, Args)]
pub(crate) struct LockList {
    /// The repository
    pub(crate) repository: String,
}

/// Remove all locks of a repository, whoever holds them
///
/// Removes all locks, whoever holds them; a job of this daemon that holds one is cancelled first. A lock of a program
/// that died goes away by itself within a minute, so this is for what does not. Whoever still works under a lock that is
/// removed may lose data to a prune: see `cloudsticctl lock list` first.
#[derive(Debug, Args)]
pub(crate) struct BreakLock {
    /// The repository
    pub(crate) repository: String,
    /// Do not ask, even if a holder looks alive
    #[arg(long, short)]
    pub(crate) yes: bool,
}
