//! What a job did, in a few lines for people; a file for each operation.

mod backup;
pub(crate) mod check;
mod copy;
mod forget;
mod prune;
pub(crate) mod repair;
mod restore;
mod stats;
mod tag;

use std::fmt::Write;

use cloudstic_proto::v1::{Job, JobSpec, JobState, Warning, job};

pub(crate) use self::restore::did as restore;
use super::human::{self, count};
use super::json::state;

/// A warning as one line.
pub(crate) fn warning(warning: &Warning) -> String {
    if warning.path.is_empty() {
        format!("warning: {}", warning.problem)
    } else {
        format!("warning: {}: {}", warning.path, warning.problem)
    }
}

/// The warnings of an ended job: the first of them, and how many there were.
pub(crate) fn warnings(job: &Job) -> (&[Warning], u64) {
    job.report.as_ref().map_or((&[], 0), job::Report::warnings)
}

/// That a job found more than its report has, and where the rest is.
pub(crate) fn shortened(job: &Job) -> Option<String> {
    let report = job.report.as_ref().filter(|report| report.is_shortened())?;
    let (warnings, count) = report.warnings();
    let more = match count.saturating_sub(warnings.len() as u64) {
        0 => "warning: this is not all that was found".to_owned(),
        more => format!("warning: and {more} more"),
    };
    Some(format!("{more}: `cloudsticctl job findings {}` has everything", job.id))
}

/// The plain word that not all went well. What a warning means only the warning knows: that something is missing, or
/// that it changed while it was read, or was found damaged and nothing is lost.
pub(crate) fn partial(warnings: u64) -> String {
    if warnings == 0 {
        return "PARTIAL: there were warnings; `cloudsticctl job logs` has them".to_owned();
    }
    format!("PARTIAL: {}, see above: what is missing, damaged or uncertain", count(warnings, "warning", "warnings"))
}

/// A job that has ended, with its report. Each line ends with a newline.
pub(crate) fn ended(job: &Job) -> String {
    let mut text = format!("job {} {}", job.id, state(job.state()));
    if let Some(seconds) = human::seconds_between(job.started_at.as_ref(), job.ended_at.as_ref()) {
        let _ = write!(text, " after {}", human::duration(seconds));
    }
    if job.state() == JobState::Skipped {
        text.push_str(": another job did its work");
    }
    text.push('\n');
    match &job.report {
        Some(job::Report::Backup(report)) => text + &backup::did(report),
        Some(job::Report::Restore(report)) => text + &restore::did(report),
        Some(job::Report::Forget(report)) => text + &forget::did(report),
        Some(job::Report::Tag(report)) => text + &tag::did(report),
        Some(job::Report::Prune(report)) => text + &prune::did(report),
        Some(job::Report::Copy(report)) => text + &copy::did(report),
        Some(job::Report::Stats(report)) => text + &stats::did(report),
        Some(job::Report::Check(report)) => text + &check::did(report),
        Some(job::Report::Repair(report)) => text + &repair::did(report),
        None => text,
    }
}

/// A job on one line, for what is still going on: `backup of home: queued`.
pub(crate) fn one_line(job: &Job) -> String {
    format!(
        "{} of {}: {}",
        job.spec.as_ref().and_then(JobSpec::word).unwrap_or("job"),
        job.repository,
        state(job.state())
    )
}

#[cfg(test)]
mod tests {
    use cloudstic_proto::v1::{BackupReport, Counts, RestoreReport};

    use super::*;

    #[test]
    fn a_backup_says_what_it_did() {
        let report = BackupReport {
            snapshot: "snapshot/99bb1f6cd4d1281419f3".to_owned(),
            seq: 3,
            files: Some(Counts { new: 1, changed: 2, unmodified: 3, removed: 4 }),
            total_bytes: 2048,
            read_bytes: 1024,
            ..BackupReport::default()
        };
        let job = Job {
            id: "a1".to_owned(),
            state: JobState::Succeeded.into(),
            report: Some(job::Report::Backup(report)),
            ..Job::default()
        };
        assert_eq!(
            ended(&job),
            "\
job a1 succeeded
snapshot 99bb1f6cd4d1 (number 3)
files:   1 new, 2 changed, 3 unmodified, 4 removed
folders: 0 new, 0 changed, 0 unmodified, 0 removed
read 1.0 KiB of 2.0 KiB
added 0 B, 0 B as stored
"
        );
    }

    #[test]
    fn a_dry_run_does_not_claim_to_have_written() {
        assert!(
            backup::did(&BackupReport { dry_run: true, ..BackupReport::default() }).starts_with("dry run: no snapshot")
        );
        assert!(
            restore::did(&RestoreReport { dry_run: true, ..RestoreReport::default() }).starts_with("dry run: would")
        );
    }

    #[test]
    fn partial_claims_no_more_than_the_warnings_do() {
        assert_eq!(partial(1), "PARTIAL: 1 warning, see above: what is missing, damaged or uncertain");
        assert_eq!(partial(3), "PARTIAL: 3 warnings, see above: what is missing, damaged or uncertain");
        assert!(partial(0).contains("job logs"));
    }
}
