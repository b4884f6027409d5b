//! `job`.

use clap::{Args, Subcommand};

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
    Findings(JobFindings),
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

/// Show everything that a job found: warnings, faults and lost paths
///
/// A job tells, and its report has, only the first of them. A line for each, in the order in which they were found: those of a
/// damaged folder are together, and nothing is sorted. Of a job that still runs it is what it has found so far. Exits with 3
/// if there may be more than was kept.
#[derive(Debug, Args)]
pub(crate) struct JobFindings {
    /// The job's id
    pub(crate) id: String,
    /// Name every snapshot that a path is lost of, not only the newest and the oldest
    #[arg(long)]
    pub(crate) each: bool,
}
