//! `tag`.

use clap::{ArgGroup, Args, Subcommand};

use super::{LockWait, SourceFilter, Waiting};

/// Change the tags of snapshots
///
/// A snapshot is named by what is in it, so one with other tags gets another name; its time, number and files stay.
#[derive(Debug, Subcommand)]
pub(crate) enum Tag {
    /// Give snapshots more tags
    Add(TagArgs),
    /// Take tags from snapshots
    Remove(TagArgs),
    /// Give snapshots these tags in the place of all that they have
    Set(TagArgs),
}

#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("filter").multiple(true).args(["with_tag", "source", "account", "path"]),
    group = ArgGroup::new("which").multiple(true).required(true)
        .args(["snapshots", "with_tag", "source", "account", "path"])
)]
pub(crate) struct TagArgs {
    /// The repository
    pub(crate) repository: String,
    /// Snapshots: "latest", or the beginning of a hash
    #[arg(value_name = "SNAPSHOT", conflicts_with = "filter")]
    pub(crate) snapshots: Vec<String>,
    /// The tag (repeatable)
    #[arg(long, value_name = "TAG", required = true)]
    pub(crate) tag: Vec<String>,
    /// Only snapshots that have this tag already (repeatable: all of them)
    #[arg(long, value_name = "TAG")]
    pub(crate) with_tag: Vec<String>,
    #[command(flatten)]
    pub(crate) filter: SourceFilter,
    /// Say what would be changed, but change nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) lock_wait: LockWait,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}
