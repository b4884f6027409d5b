//! Documents about jobs: the job itself, archives, and log lines.

use std::borrow::Cow;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloudstic_proto::v1::{self, JobState, Overwrite, job, job_spec};
use serde::Serialize;

use super::snapshot::Warning;
use super::{Time, filled, not_utf8};

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
            operation: operation(job),
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

/// The word for a job's operation; none for one that this version does not know.
pub(crate) fn operation(job: &v1::Job) -> Option<&'static str> {
    Some(match job.spec.as_ref()?.operation.as_ref()? {
        job_spec::Operation::Backup(_) => "backup",
        job_spec::Operation::Restore(_) => "restore",
        job_spec::Operation::Archive(_) => "archive",
    })
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
    Backup {
        profile: Option<&'a str>,
        repository: Option<&'a str>,
        path: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        path_b64: Option<String>,
        tags: &'a [String],
        excludes: &'a [String],
        dry_run: bool,
        read_all: bool,
        skip_if_busy: bool,
        lock_wait: Option<f64>,
    },
    Restore {
        repository: &'a str,
        snapshot: &'a str,
        #[serde(flatten)]
        paths: Paths<'a>,
        target: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        target_b64: Option<String>,
        overwrite: &'static str,
        dry_run: bool,
        lock_wait: Option<f64>,
    },
    Archive {
        repository: &'a str,
        snapshot: &'a str,
        #[serde(flatten)]
        paths: Paths<'a>,
        dry_run: bool,
        lock_wait: Option<f64>,
    },
}

/// A duration in seconds.
#[allow(clippy::cast_precision_loss, reason = "nobody waits for so long that it would show")]
fn seconds(duration: Option<&prost_types::Duration>) -> Option<f64> {
    duration.map(|duration| duration.seconds as f64 + f64::from(duration.nanos) / 1e9)
}

impl<'a> From<&'a job_spec::Operation> for Spec<'a> {
    fn from(operation: &'a job_spec::Operation) -> Self {
        match operation {
            job_spec::Operation::Backup(spec) => Self::Backup {
                profile: filled(&spec.profile),
                repository: filled(&spec.repository),
                path: (!spec.path.is_empty()).then(|| String::from_utf8_lossy(&spec.path)),
                path_b64: not_utf8(&spec.path),
                tags: &spec.tags,
                excludes: &spec.excludes,
                dry_run: spec.dry_run,
                read_all: spec.read_all,
                skip_if_busy: spec.skip_if_busy,
                lock_wait: seconds(spec.lock_wait.as_ref()),
            },
            job_spec::Operation::Restore(spec) => Self::Restore {
                repository: &spec.repository,
                snapshot: &spec.snapshot,
                paths: Paths::from(&*spec.paths),
                target: String::from_utf8_lossy(&spec.target),
                target_b64: not_utf8(&spec.target),
                overwrite: match spec.overwrite() {
                    Overwrite::Never => "never",
                    Overwrite::IfChanged | Overwrite::Unspecified => "if-changed",
                    Overwrite::Always => "always",
                },
                dry_run: spec.dry_run,
                lock_wait: seconds(spec.lock_wait.as_ref()),
            },
            job_spec::Operation::Archive(spec) => Self::Archive {
                repository: &spec.repository,
                snapshot: &spec.snapshot,
                paths: Paths::from(&*spec.paths),
                dry_run: spec.dry_run,
                lock_wait: seconds(spec.lock_wait.as_ref()),
            },
        }
    }
}

/// Paths inside a snapshot. If one of them is not UTF-8, the bytes of all are beside them, in the same order.
#[derive(Serialize)]
struct Paths<'a> {
    paths: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paths_b64: Option<Vec<String>>,
}

impl<'a> From<&'a [Vec<u8>]> for Paths<'a> {
    fn from(paths: &'a [Vec<u8>]) -> Self {
        let odd = paths.iter().any(|path| std::str::from_utf8(path).is_err());
        Self {
            paths: paths.iter().map(|path| String::from_utf8_lossy(path)).collect(),
            paths_b64: odd.then(|| paths.iter().map(|path| STANDARD.encode(path)).collect()),
        }
    }
}

#[derive(Serialize)]
struct Progress<'a> {
    phase: &'a str,
    files_done: u64,
    files_total: Option<u64>,
    bytes_done: u64,
    bytes_total: Option<u64>,
    path: Option<&'a str>,
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
            path: filled(&progress.path),
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
    Backup(BackupReport<'a>),
    Restore(RestoreReport<'a>),
}

#[derive(Serialize)]
struct BackupReport<'a> {
    snapshot: Option<&'a str>,
    root: Option<&'a str>,
    seq: u64,
    files: Counts,
    folders: Counts,
    total_bytes: u64,
    read_bytes: u64,
    added_bytes: u64,
    stored_bytes: u64,
    warning_count: u64,
    warnings: Vec<Warning<'a>>,
    dry_run: bool,
}

#[derive(Serialize, Default)]
struct Counts {
    new: u64,
    changed: u64,
    unmodified: u64,
    removed: u64,
}

impl From<&v1::Counts> for Counts {
    fn from(counts: &v1::Counts) -> Self {
        Self { new: counts.new, changed: counts.changed, unmodified: counts.unmodified, removed: counts.removed }
    }
}

impl<'a> From<&'a v1::BackupReport> for BackupReport<'a> {
    fn from(report: &'a v1::BackupReport) -> Self {
        Self {
            snapshot: filled(&report.snapshot),
            root: filled(&report.root),
            seq: report.seq,
            files: report.files.as_ref().map(Counts::from).unwrap_or_default(),
            folders: report.folders.as_ref().map(Counts::from).unwrap_or_default(),
            total_bytes: report.total_bytes,
            read_bytes: report.read_bytes,
            added_bytes: report.added_bytes,
            stored_bytes: report.stored_bytes,
            warning_count: report.warning_count,
            warnings: report.warnings.iter().map(Warning::from).collect(),
            dry_run: report.dry_run,
        }
    }
}

#[derive(Serialize)]
struct RestoreReport<'a> {
    snapshot: &'a str,
    files: u64,
    folders: u64,
    others: u64,
    bytes: u64,
    skipped: u64,
    warning_count: u64,
    warnings: Vec<Warning<'a>>,
    dry_run: bool,
}

impl<'a> From<&'a v1::RestoreReport> for RestoreReport<'a> {
    fn from(report: &'a v1::RestoreReport) -> Self {
        Self {
            snapshot: &report.snapshot,
            files: report.files,
            folders: report.folders,
            others: report.others,
            bytes: report.bytes,
            skipped: report.skipped,
            warning_count: report.warning_count,
            warnings: report.warnings.iter().map(Warning::from).collect(),
            dry_run: report.dry_run,
        }
    }
}

/// `restore --zip`.
#[derive(Serialize)]
pub(crate) struct Archive<'a> {
    job_id: &'a str,
    archive: Option<String>,
    archive_bytes: u64,
    report: RestoreReport<'a>,
}

impl<'a> Archive<'a> {
    /// An archive that is complete: its job, where it was written (nowhere on a dry run), and its size in bytes.
    pub(crate) fn new(job_id: &'a str, archive: Option<&Path>, bytes: u64, report: &'a v1::RestoreReport) -> Self {
        let archive = archive.map(|path| path.to_string_lossy().into_owned());
        Self { job_id, archive, archive_bytes: bytes, report: report.into() }
    }
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
#[path = "job_tests.rs"]
mod tests;
