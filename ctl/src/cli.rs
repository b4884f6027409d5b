//! The command line: what can be asked, and how `--help` explains it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

const AFTER_HELP: &str = "\
Exit codes:
    0  success
    1  error
    2  wrong usage
    3  partial: it was done, with warnings that say what is missing, damaged or uncertain
   10  the store has no repository
   11  the repository is locked by another operation
   12  wrong or missing credential
  130  interrupted or cancelled";

/// Talks to the Cloudstic backup daemon.
#[derive(Debug, Parser)]
#[command(name = "cloudsticctl", version, after_help = AFTER_HELP, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The daemon's socket
    #[arg(long, global = true, env = "CLOUDSTIC_SOCKET", default_value = cloudstic_proto::DEFAULT_SOCKET, value_name = "PATH")]
    pub(crate) socket: PathBuf,
    /// Write JSON to standard output, and errors as JSON to standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No progress and no summary; data, warnings and errors stay
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// No progress
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the daemon, its active jobs, and each repository's last backup
    Status,
    /// Make a repository on its configured store
    Init(Init),
    /// Back up a profile, or a path into a repository
    Backup(Backup),
    /// Restore a snapshot to a directory or into a ZIP archive
    Restore(Restore),
    /// List the snapshots of a repository
    List(List),
    /// List the entries of a snapshot
    Ls(Ls),
    /// Look at jobs, follow and cancel them
    #[command(subcommand)]
    Job(Job),
    /// Look at the locks of a repository
    #[command(subcommand)]
    Lock(Lock),
    /// Remove all locks of a repository, whoever holds them
    BreakLock(BreakLock),
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The repository's name in the daemon's configuration
    pub(crate) repository: String,
    /// Do not encrypt it (refused if credentials are configured)
    #[arg(long)]
    pub(crate) unencrypted: bool,
    /// Also make a recovery key and show its 24 words, this once
    #[arg(long, conflicts_with = "unencrypted")]
    pub(crate) recovery: bool,
    /// Let the key decide where files are cut into chunks
    #[arg(long, conflicts_with = "unencrypted")]
    pub(crate) keyed_chunker: bool,
}

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

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("destination").args(["to", "zip"]).required(true))]
pub(crate) struct Restore {
    /// The repository
    pub(crate) repository: String,
    /// A snapshot: "latest", or the beginning of its hash
    pub(crate) snapshot: String,
    /// Only these paths inside the snapshot
    pub(crate) paths: Vec<OsString>,
    /// Only this path inside the snapshot (repeatable; the same as a PATHS argument)
    #[arg(long = "path", value_name = "PATH")]
    pub(crate) path: Vec<OsString>,
    /// Let the daemon restore to this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
    /// Write a ZIP archive to this file, with your own rights; "-" is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) zip: Option<PathBuf>,
    /// Replace the archive FILE if it exists
    #[arg(long, conflicts_with = "to")]
    pub(crate) force: bool,
    /// What to do with files that exist in DIR
    #[arg(long, value_enum, default_value_t = Overwrite::IfChanged, conflicts_with = "zip")]
    pub(crate) overwrite: Overwrite,
    /// Say what would be restored, but write nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) lock_wait: LockWait,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Overwrite {
    /// Keep every existing file
    Never,
    /// Replace files that differ in size or modification time
    IfChanged,
    /// Replace everything
    Always,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// The repository; may be left out if exactly one is configured
    pub(crate) repository: Option<String>,
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
}

/// Everything below the given paths is listed, a folder before its children. Names are printed safely: control
/// characters, backslashes and bytes that are not UTF-8 become escapes like \n, \\ and \xff, so a line is always one
/// entry, on a terminal and in a pipe.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// The repository
    pub(crate) repository: String,
    /// A snapshot: "latest", or the beginning of its hash
    pub(crate) snapshot: String,
    /// Only these paths and what is below them
    pub(crate) paths: Vec<OsString>,
    /// Also mode, owner, group, size, modification time, and where a link points
    #[arg(long, short)]
    pub(crate) long: bool,
    /// Only the entries directly in the folder, not what is below
    #[arg(long)]
    pub(crate) shallow: bool,
    /// Print names as they are, byte for byte
    #[arg(long)]
    pub(crate) raw: bool,
    /// Like --raw, and end entries with a zero byte instead of a newline
    #[arg(long, short = '0')]
    pub(crate) null: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Job {
    /// List jobs, the newest first
    List(JobList),
    /// Show one job
    Show(JobId),
    /// Follow a job until it has ended; exits with its outcome, and leaves it alone when interrupted
    Watch(JobId),
    /// Ask a job to stop at the next safe point
    Cancel(JobId),
    /// Show what a job logged
    Logs(JobLogs),
}

#[derive(Debug, Args)]
pub(crate) struct JobId {
    /// The job's id
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct JobList {
    /// Only jobs of this repository
    pub(crate) repository: Option<String>,
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
}

#[derive(Debug, Args)]
pub(crate) struct JobLogs {
    /// The job's id
    pub(crate) id: String,
    /// Go on until the job has ended
    #[arg(long, short)]
    pub(crate) follow: bool,
}

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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn refused(args: &[&str]) -> ErrorKind {
        Cli::try_parse_from([&["cloudsticctl"], args].concat()).map(|_| ()).unwrap_err().kind()
    }

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn restore_wants_exactly_one_destination() {
        assert_eq!(refused(&["restore", "r", "latest"]), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused(&["restore", "r", "latest", "--to", "d", "--zip", "f"]), ErrorKind::ArgumentConflict);
        assert_eq!(
            refused(&["restore", "r", "latest", "--zip", "f", "--overwrite", "never"]),
            ErrorKind::ArgumentConflict
        );
        assert_eq!(refused(&["restore", "r", "latest", "--to", "d", "--force"]), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn the_last_of_wait_and_no_wait_counts() {
        let wait = |args: &[&str]| match Cli::try_parse_from([&["cloudsticctl", "backup", "p"], args].concat()) {
            Ok(Cli { command: Command::Backup(backup), .. }) => backup.waiting.wait(),
            other => panic!("{other:?}"),
        };
        assert!(wait(&[]));
        assert!(!wait(&["--no-wait"]));
        assert!(wait(&["--no-wait", "--wait"]));
        assert!(!wait(&["--wait", "--no-wait"]));
    }
}
