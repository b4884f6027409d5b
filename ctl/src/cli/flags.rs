//! What several commands understand.

use clap::Args;

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
