//! Documents about jobs: the job itself, a file for what is special to each operation, and log lines.

mod backup;
mod check;
mod copy;
mod forget;
mod prune;
mod repair;
mod restore;
mod stats;
mod tag;

use cloudstic_proto::v1::{self, JobState, job, job_spec};
use serde::Serialize;

pub(crate) use self::restore::Archive;
use super::{Path, Time, filled};

/// A job, wherever one is shown.
#[derive(Serialize)]
pub(crate) struct Job<'a> {
    id: &'a str,
    operation: Option<&'static str>,
    state: &'static str,
    repository: &'a str,
    profile: Option<&'a str>,
    uid: u32,
    submitted_at: Time<'a>,
    started_at: Time<'a>,
    ended_at: Time<'a>,
    spec: Option<Spec<'a>>,
    progress: Option<Progress<'a>>,
    failure: Option<Failure<'a>>,
    report: Option<Report<'a>>,
}

impl<'a> From<&'a v1::Job> for Job<'a> {
    fn from(job: &'a v1::Job) -> Self {
        Self {
            id: &job.id,
            operation: job.spec.as_ref().and_then(v1::JobSpec::word),
            state: state(job.state()),
            repository: &job.repository,
            profile: filled(&job.profile),
            uid: job.uid,
            submitted_at: Time(job.submitted_at.as_ref()),
            started_at: Time(job.started_at.as_ref()),
            ended_at: Time(job.ended_at.as_ref()),
            spec: job.spec.as_ref().and_then(|spec| spec.operation.as_ref()).map(Spec::from),
            progress: job.progress.as_ref().map(Progress::from),
            failure: job.failure.as_ref().map(|failure| Failure { reason: &failure.reason, message: &failure.message }),
            report: job.report.as_ref().map(|report| match report {
                job::Report::Backup(report) => Report::Backup(report.into()),
                job::Report::Restore(report) => Report::Restore(report.into()),
                job::Report::Forget(report) => Report::Forget(report.into()),
                job::Report::Tag(report) => Report::Tag(report.into()),
                job::Report::Prune(report) => Report::Prune(report.into()),
                job::Report::Copy(report) => Report::Copy(report.into()),
                job::Report::Stats(report) => Report::Stats(report.into()),
                job::Report::Check(report) => Report::Check(report.into()),
                job::Report::Repair(report) => Report::Repair(report.into()),
            }),
        }
    }
}

/// `job list`.
#[derive(Serialize)]
pub(crate) struct Jobs<'a> {
    jobs: Vec<Job<'a>>,
}

impl<'a> From<&'a [v1::Job]> for Jobs<'a> {
    fn from(jobs: &'a [v1::Job]) -> Self {
        Self { jobs: jobs.iter().map(Job::from).collect() }
    }
}

/// The word for a job's state.
pub(crate) const fn state(state: JobState) -> &'static str {
    match state {
        JobState::Unspecified => "unknown",
        JobState::Queued => "queued",
        JobState::Running => "running",
        JobState::Succeeded => "succeeded",
        JobState::Partial => "partial",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
        JobState::Interrupted => "interrupted",
        JobState::Skipped => "skipped",
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Spec<'a> {
    Backup(backup::Spec<'a>),
    Restore(restore::Spec<'a>),
    Archive(restore::ArchiveSpec<'a>),
    Forget(forget::Spec<'a>),
    Tag(tag::Spec<'a>),
    Prune(prune::Spec<'a>),
    Copy(copy::Spec<'a>),
    Stats(stats::Spec<'a>),
    Check(check::Spec<'a>),
    Repair(repair::Spec<'a>),
}

impl<'a> From<&'a job_spec::Operation> for Spec<'a> {
    fn from(operation: &'a job_spec::Operation) -> Self {
        match operation {
            job_spec::Operation::Backup(spec) => Self::Backup(spec.into()),
            job_spec::Operation::Restore(spec) => Self::Restore(spec.into()),
            job_spec::Operation::Archive(spec) => Self::Archive(spec.into()),
            job_spec::Operation::Forget(spec) => Self::Forget(spec.into()),
            job_spec::Operation::Tag(spec) => Self::Tag(spec.into()),
            job_spec::Operation::Prune(spec) => Self::Prune(spec.into()),
            job_spec::Operation::Copy(spec) => Self::Copy(spec.into()),
            job_spec::Operation::Stats(spec) => Self::Stats(spec.into()),
            job_spec::Operation::Check(spec) => Self::Check(spec.into()),
            job_spec::Operation::Repair(spec) => Self::Repair(spec.into()),
        }
    }
}

/// Which snapshots.
#[derive(Serialize)]
struct Filter<'a> {
    tags: &'a [String],
    sources: &'a [String],
    accounts: &'a [String],
    paths: &'a [String],
}

impl<'a> From<&'a v1::SnapshotFilter> for Filter<'a> {
    fn from(filter: &'a v1::SnapshotFilter) -> Self {
        let v1::SnapshotFilter { tags, sources, accounts, paths } = filter;
        Self { tags, sources, accounts, paths }
    }
}

/// A duration in seconds.
#[allow(clippy::cast_precision_loss, reason = "nobody waits for so long that it would show")]
pub(super) fn seconds(duration: Option<&prost_types::Duration>) -> Option<f64> {
    duration.map(|duration| duration.seconds as f64 + f64::from(duration.nanos) / 1e9)
}

#[derive(Serialize)]
struct Progress<'a> {
    phase: &'a str,
    files_done: u64,
    files_total: Option<u64>,
    bytes_done: u64,
    bytes_total: Option<u64>,
    #[serde(flatten)]
    path: Path<'a>,
    warnings: u64,
}

impl<'a> From<&'a v1::Progress> for Progress<'a> {
    fn from(progress: &'a v1::Progress) -> Self {
        let known = |total: u64| (total > 0).then_some(total);
        Self {
            phase: &progress.phase,
            files_done: progress.files_done,
            files_total: known(progress.files_total),
            bytes_done: progress.bytes_done,
            bytes_total: known(progress.bytes_total),
            path: Path::new(filled(&progress.path)),
            warnings: progress.warnings,
        }
    }
}

#[derive(Serialize)]
struct Failure<'a> {
    reason: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Report<'a> {
    Backup(backup::Report<'a>),
    Restore(restore::Report<'a>),
    Forget(forget::Report<'a>),
    Tag(tag::Report<'a>),
    Prune(prune::Report<'a>),
    Copy(copy::Report<'a>),
    Stats(stats::Report<'a>),
    Check(check::Report<'a>),
    Repair(repair::Report<'a>),
}

/// One line of `job logs`.
#[derive(Serialize)]
pub(crate) struct LogLine<'a> {
    time: Time<'a>,
    level: &'a str,
    message: &'a str,
}

impl<'a> From<&'a v1::LogLine> for LogLine<'a> {
    fn from(line: &'a v1::LogLine) -> Self {
        Self { time: Time(line.time.as_ref()), level: &line.level, message: &line.message }
    }
}

#[cfg(test)]
mod tests;
