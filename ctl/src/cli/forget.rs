//! `forget`.

use clap::{ArgGroup, Args};

use super::{LockWait, PruneOptions, SnapshotFilter, Waiting};

/// Remove snapshots: named ones, or those that a policy does not keep
///
/// Removes the snapshots that are named, or with --keep options those that none of these keeps. Each group of snapshots
/// is looked at on its own. An hour, a day, a week (ISO), a month or a year counts if it has a snapshot, in the daemon's
/// local time, and its newest one stays. A snapshot that cannot be read, or whose time lies in the future, always stays
/// unless it is named. What takes room is only freed by a prune.
#[derive(Debug, Args)]
#[command(
    override_usage = "cloudsticctl forget [OPTIONS] REPOSITORY SNAPSHOT...\n       cloudsticctl forget [OPTIONS] --keep-... REPOSITORY",
    group = ArgGroup::new("keep").multiple(true).args([
        "keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly", "keep_within", "keep_tag",
    ]),
    group = ArgGroup::new("pruning").multiple(true).args(["max_waste", "max_repack_size", "despite_unknown_packs"]).requires("prune"),
    group = ArgGroup::new("what").multiple(true).required(true).args([
        "snapshots", "keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly", "keep_within",
        "keep_tag",
    ])
)]
pub(crate) struct Forget {
    /// The repository
    pub(crate) repository: String,
    /// Snapshots to remove: "latest", or the beginning of a hash; one that cannot be read by its whole hash
    #[arg(value_name = "SNAPSHOT", conflicts_with_all = ["keep", "filter"])]
    pub(crate) snapshots: Vec<String>,
    /// Keep the newest N
    #[arg(long, value_name = "N")]
    pub(crate) keep_last: Option<u32>,
    /// Keep the newest of each of the last N hours that have one
    #[arg(long, value_name = "N")]
    pub(crate) keep_hourly: Option<u32>,
    /// Keep the newest of each of the last N days that have one
    #[arg(long, value_name = "N")]
    pub(crate) keep_daily: Option<u32>,
    /// Keep the newest of each of the last N weeks that have one
    #[arg(long, value_name = "N")]
    pub(crate) keep_weekly: Option<u32>,
    /// Keep the newest of each of the last N months that have one
    #[arg(long, value_name = "N")]
    pub(crate) keep_monthly: Option<u32>,
    /// Keep the newest of each of the last N years that have one
    #[arg(long, value_name = "N")]
    pub(crate) keep_yearly: Option<u32>,
    /// Keep all from this long before the newest one on, as in "30d" or "2y5m7d3h" (years, months, days, hours)
    #[arg(long, value_name = "SPAN")]
    pub(crate) keep_within: Option<String>,
    /// Keep all that have this tag (repeatable)
    #[arg(long, value_name = "TAG")]
    pub(crate) keep_tag: Vec<String>,
    /// What makes a group: any of "source", "account", "path" and "tags", with commas between, or "none"
    #[arg(long, value_name = "WORDS", default_value = "source,account,path", value_parser = group_by)]
    pub(crate) group_by: GroupBy,
    #[command(flatten)]
    pub(crate) filter: SnapshotFilter,
    /// Let a group lose its last snapshot
    #[arg(long)]
    pub(crate) remove_last: bool,
    /// Say what would be removed, what would stay, and why, but remove nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    /// Then remove what no snapshot needs any more, as `cloudsticctl prune` does; if only that fails, the exit code is its
    /// own (11 if the repository is locked), and the snapshots are gone all the same
    #[arg(long)]
    pub(crate) prune: bool,
    #[command(flatten)]
    pub(crate) pruning: PruneOptions,
    #[command(flatten)]
    pub(crate) lock_wait: LockWait,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// By what snapshots are grouped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GroupBy {
    pub(crate) source: bool,
    pub(crate) account: bool,
    pub(crate) path: bool,
    pub(crate) tags: bool,
}

fn group_by(words: &str) -> Result<GroupBy, String> {
    let mut by = GroupBy::default();
    if words == "none" {
        return Ok(by);
    }
    for word in words.split(',') {
        let part = match word {
            "source" => &mut by.source,
            "account" => &mut by.account,
            "path" => &mut by.path,
            "tags" => &mut by.tags,
            _ => return Err(format!("{word:?} is none of source, account, path and tags")),
        };
        *part = true;
    }
    Ok(by)
}
