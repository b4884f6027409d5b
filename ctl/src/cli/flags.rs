//! What several commands understand.

use std::ffi::OsString;

use clap::{ArgGroup, Args};

use super::value;

/// Whether to stay until a job has ended.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Waiting {
    /// Stay until the job has ended and exit with its outcome (the default)
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Only submit the job and print its id
    #[arg(long, overrides_with = "wait")]
    no_wait: bool,
}

impl Waiting {
    pub(crate) const fn wait(self) -> bool {
        !self.no_wait
    }
}

/// How long to wait for whoever uses the repository.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct LockWait {
    /// Wait this long for a lock that somebody else holds, as in "90s" or "10m" [default: what the daemon's
    /// configuration says]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    lock_wait: Option<std::time::Duration>,
}

impl LockWait {
    pub(crate) fn wait(self) -> Option<prost_types::Duration> {
        // Longer than the API can say is for ever.
        self.lock_wait.map(|wait| wait.try_into().unwrap_or(prost_types::Duration { seconds: i64::MAX, nanos: 0 }))
    }
}

/// Snapshots from where they came.
#[derive(Debug, Default, Args)]
pub(crate) struct SourceFilter {
    /// Only snapshots of this source type ("local", "sftp", …; repeatable: of any of them)
    #[arg(long)]
    pub(crate) source: Vec<String>,
    /// Only snapshots of this account (for local sources the host; repeatable)
    #[arg(long)]
    pub(crate) account: Vec<String>,
    /// Only snapshots of this source path (repeatable)
    #[arg(long)]
    pub(crate) path: Vec<OsString>,
}

/// Snapshots by what they are like.
#[derive(Debug, Default, Args)]
#[command(group = ArgGroup::new("filter").multiple(true).args(["tag", "source", "account", "path"]))]
pub(crate) struct SnapshotFilter {
    /// Only snapshots with this tag (repeatable: with all of them)
    #[arg(long)]
    pub(crate) tag: Vec<String>,
    #[command(flatten)]
    pub(crate) source: SourceFilter,
}

/// How to prune.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct PruneOptions {
    /// Rewrite a pack when more than this part of it is waste [default: what the daemon's configuration says, else 30]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) max_waste: Option<u32>,
    /// Copy at most so much out of such packs, as in "500M" or "2G"; those with the most waste come first [default: what the
    /// daemon's configuration says, else no limit]
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    pub(crate) max_repack_size: Option<u64>,
    /// Prune although there are packs of which nothing says what is in them: they stay, but what only a lost snapshot in them
    /// would need goes; better let `cloudsticctl repair` look into them before
    #[arg(long)]
    pub(crate) despite_unknown_packs: bool,
}
