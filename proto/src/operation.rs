//! What both sides ask of every operation that a job can do: a line for each here, and a file for each elsewhere.

use crate::v1::{self, job::Report, job_spec::Operation};

impl v1::JobSpec {
    /// The word for what the job does; none for what this version does not know.
    pub fn word(&self) -> Option<&'static str> {
        Some(match self.operation.as_ref()? {
            Operation::Backup(_) => "backup",
            Operation::Restore(_) => "restore",
            Operation::Archive(_) => "archive",
            Operation::Forget(_) => "forget",
            Operation::Tag(_) => "tag",
            Operation::Prune(_) => "prune",
            Operation::Copy(_) => "copy",
            Operation::Stats(_) => "stats",
        })
    }
}

impl Report {
    /// The first warnings, and how many there were.
    pub fn warnings(&self) -> (&[v1::Warning], u64) {
        match self {
            Self::Backup(report) => (&report.warnings, report.warning_count),
            Self::Restore(report) => (&report.warnings, report.warning_count),
            Self::Forget(report) => (&report.warnings, report.warning_count),
            Self::Tag(report) => (&report.warnings, report.warning_count),
            Self::Prune(report) => (&report.warnings, report.warning_count),
            Self::Copy(report) => (&report.warnings, report.warning_count),
            Self::Stats(report) => (&report.warnings, report.warning_count),
        }
    }

    /// Takes out what can be long, so that any number of reports fits into one message.
    pub fn shorten(&mut self) {
        match self {
            Self::Backup(report) => report.warnings.clear(),
            Self::Restore(report) => report.warnings.clear(),
            Self::Forget(report) => {
                report.groups.clear();
                report.unreadable.clear();
                report.warnings.clear();
            }
            Self::Tag(report) => {
                report.changed.clear();
                report.warnings.clear();
            }
            Self::Prune(report) => report.warnings.clear(),
            Self::Copy(report) => {
                report.snapshots.clear();
                report.warnings.clear();
            }
            Self::Stats(report) => {
                report.snapshots.clear();
                report.warnings.clear();
            }
        }
    }
}
