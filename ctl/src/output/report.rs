//! What a job did, in a few lines for people.

use std::fmt::Write;

use cloudstic_proto::v1::{BackupReport, Counts, Job, JobState, RestoreReport, Warning, job};

use super::human::{self, count, size};
use super::json::{operation, state};

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
    match &job.report {
        Some(job::Report::Backup(report)) => (&report.warnings, report.warning_count),
        Some(job::Report::Restore(report)) => (&report.warnings, report.warning_count),
        None => (&[], 0),
    }
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
        Some(job::Report::Backup(report)) => text + &backup(report),
        Some(job::Report::Restore(report)) => text + &restore(report),
        None => text,
    }
}

/// A job on one line, for what is still going on: `backup of home: queued`.
pub(crate) fn one_line(job: &Job) -> String {
    format!("{} of {}: {}", operation(job).unwrap_or("job"), job.repository, state(job.state()))
}

fn backup(report: &BackupReport) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = match report.snapshot.as_str() {
        "" if report.dry_run => writeln!(text, "dry run: no snapshot was written"),
        "" => writeln!(text, "no snapshot was written"),
        snapshot => writeln!(text, "snapshot {} (number {})", human::short_hash(snapshot), report.seq),
    };
    let _ = writeln!(text, "files:   {}", counts(report.files.as_ref()));
    let _ = writeln!(text, "folders: {}", counts(report.folders.as_ref()));
    let _ = writeln!(text, "read {} of {}", size(report.read_bytes), size(report.total_bytes));
    let added = if report.dry_run { "would add" } else { "added" };
    let _ = writeln!(text, "{added} {}, {} as stored", size(report.added_bytes), size(report.stored_bytes));
    text
}

fn counts(counts: Option<&Counts>) -> String {
    let counts = counts.copied().unwrap_or_default();
    format!(
        "{} new, {} changed, {} unmodified, {} removed",
        counts.new, counts.changed, counts.unmodified, counts.removed
    )
}

/// What a restore did. Each line ends with a newline.
pub(crate) fn restore(report: &RestoreReport) -> String {
    let mut text = format!(
        "{} {}, {}, {} (links and special files), {}\n",
        if report.dry_run { "dry run: would restore" } else { "restored" },
        count(report.files, "file", "files"),
        count(report.folders, "folder", "folders"),
        count(report.others, "other", "others"),
        size(report.bytes),
    );
    if report.skipped > 0 {
        let _ = writeln!(text, "left alone: {}", count(report.skipped, "existing entry", "existing entries"));
    }
    text
}

#[cfg(test)]
mod tests {
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
        assert!(backup(&BackupReport { dry_run: true, ..BackupReport::default() }).starts_with("dry run: no snapshot"));
        assert!(restore(&RestoreReport { dry_run: true, ..RestoreReport::default() }).starts_with("dry run: would"));
    }

    #[test]
    fn partial_claims_no_more_than_the_warnings_do() {
        assert_eq!(partial(1), "PARTIAL: 1 warning, see above: what is missing, damaged or uncertain");
        assert_eq!(partial(3), "PARTIAL: 3 warnings, see above: what is missing, damaged or uncertain");
        assert!(partial(0).contains("job logs"));
    }
}
