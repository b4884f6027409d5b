//! `backup`.

use std::ffi::OsString;

use clap::Args;

use super::{LockWait, Waiting};

#[derive(Debug, Args)]
#[command(
    override_usage = "cloudsticctl backup [OPTIONS] PROFILE\n       cloudsticctl backup [OPTIONS] --repository REPOSITORY PATH"
)]
pub(crate) struct Backup {
    /// A profile of the daemon's configuration; with --repository, the path to back up
    #[arg(value_name = "PROFILE|PATH")]
    pub(crate) what: OsString,
    /// The repository to back up into, without a profile
    #[arg(long, short)]
    pub(crate) repository: Option<String>,
    /// Give the snapshot a tag (repeatable)
    #[arg(long, value_name = "TAG")]
    pub(crate) tag: Vec<String>,
    /// Leave out what matches a gitignore-style pattern (repeatable)
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<String>,
    /// Walk and compare, but write nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    /// Read every file again, even if it looks unchanged
    #[arg(long)]
    pub(crate) read_all: bool,
    /// Do nothing if another job of the profile waits or runs, instead of waiting for it
    #[arg(long, conflicts_with = "repository")]
    pub(crate) skip_if_busy: bool,
    #[command(flatten)]
    pub(crate) lock_wait: LockWait,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}
