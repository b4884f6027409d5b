//! What both sides ask of every operation that a job can do: a line for each here, and a file for each elsewhere.

use crate::Reason;
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
            Operation::Check(_) => "check",
            Operation::Repair(_) => "repair",
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
            Self::Check(_) => (&[], 0),
            Self::Repair(_) => (&[], 0),
        }
    }

    /// How many things were found.
    pub fn finding_count(&self) -> u64 {
        match self {
            Self::Check(report) => report.fault_count + report.remark_count,
            Self::Repair(report) => report.fault_count + report.losses(),
            other => other.warnings().1,
        }
    }

    /// Whether more was found than is told here.
    pub fn is_shortened(&self) -> bool {
        let lacks = |told: usize, all: u64| (told as u64) < all;
        match self {
            Self::Check(report) => {
                let is_short = |fault: &v1::Fault| {
                    let harm = fault.harm.iter().any(|harm| lacks(harm.paths.len(), harm.path_count));
                    harm || lacks(fault.harm.len(), fault.snapshots)
                };
                lacks(report.faults.len(), report.fault_count)
                    || lacks(report.remarks.len(), report.remark_count)
                    || report.faults.iter().any(is_short)
            }
            Self::Repair(report) => report.snapshots.iter().any(|it| lacks(it.lost.len(), it.lost_count)),
            other => lacks(other.warnings().0.len(), other.warnings().1),
        }
    }

    /// Whether not all was done, or something is lost.
    pub fn is_partial(&self) -> bool {
        match self {
            Self::Repair(report) => report.losses() > 0,
            other => other.warnings().1 > 0,
        }
    }

    /// Why a job failed whose work was done all the same: it looked for faults, and found some.
    pub fn failure(&self) -> Option<v1::Failure> {
        let Self::Check(v1::CheckReport { fault_count, damaged_snapshots, .. }) = self else { return None };
        if *fault_count == 0 {
            return None;
        }
        let faults = if *fault_count == 1 { "1 fault".to_owned() } else { format!("{fault_count} faults") };
        let harm = match damaged_snapshots {
            0 => "nothing that a snapshot needs is lost by them".to_owned(),
            1 => "something of 1 snapshot is lost".to_owned(),
            many => format!("something of {many} snapshots is lost"),
        };
        let message = format!("the check found {faults}, and {harm}: see them, then `cloudsticctl repair`");
        Some(v1::Failure { reason: Reason::Damaged.as_str().to_owned(), message })
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
            Self::Check(report) => {
                report.faults.clear();
                report.remarks.clear();
            }
            Self::Repair(report) => {
                report.snapshots.iter_mut().for_each(|snapshot| snapshot.lost.clear());
                report.beyond_repair.clear();
            }
        }
    }
}

impl v1::RepairReport {
    /// How many things are lost or stay wrong: more than none makes a repair a partial one.
    pub fn losses(&self) -> u64 {
        let of_snapshot = |snapshot: &v1::SnapshotRepair| snapshot.lost_count + u64::from(snapshot.unknown);
        self.snapshots.iter().map(of_snapshot).sum::<u64>() + self.beyond_repair.len() as u64
    }
}
