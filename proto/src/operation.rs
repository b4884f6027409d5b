//! What both sides ask of every operation that a job can do: a line for each here, and a file for each elsewhere.

use prost::Message;

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

    /// Takes out the lists of a long one, so that many fit into one message.
    pub fn shorten(&mut self) {
        if self.encoded_len() <= LISTED {
            return;
        }
        match &mut self.operation {
            Some(Operation::Backup(spec)) => {
                spec.tags.clear();
                spec.excludes.clear();
            }
            Some(Operation::Restore(spec)) => spec.paths.clear(),
            Some(Operation::Archive(spec)) => spec.paths.clear(),
            Some(Operation::Forget(spec)) => {
                spec.snapshots.clear();
                spec.policy.iter_mut().for_each(|policy| policy.tags.clear());
                spec.filter = None;
            }
            Some(Operation::Tag(spec)) => {
                spec.snapshots.clear();
                spec.tags.clear();
                spec.filter = None;
            }
            Some(Operation::Copy(spec)) => {
                spec.snapshots.clear();
                spec.filter = None;
            }
            Some(Operation::Stats(spec)) => {
                spec.snapshots.clear();
                spec.filter = None;
            }
            Some(Operation::Prune(_) | Operation::Check(_) | Operation::Repair(_)) | None => {}
        }
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
            Self::Repair(report) => {
                report.left_out > 0 || report.snapshots.iter().any(|it| lacks(it.lost.len(), it.lost_count))
            }
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

    /// Takes out of its lists what is beyond `room` bytes, so that it fits into one message; what counts stays right.
    pub fn fit(&mut self, mut room: usize) {
        match self {
            Self::Backup(report) => drop(cut(&mut report.warnings, &mut room)),
            Self::Restore(report) => drop(cut(&mut report.warnings, &mut room)),
            Self::Forget(report) => {
                let unreadable = report.unreadable.len();
                report.unreadable.retain(|name| take(name.len(), &mut room));
                report.left_out += (unreadable - report.unreadable.len()) as u64;
                report.groups.retain_mut(|group| {
                    let snapshots = std::mem::take(&mut group.snapshots);
                    if !take(group.encoded_len(), &mut room) {
                        report.left_out += snapshots.len() as u64;
                        return false;
                    }
                    group.snapshots = snapshots;
                    report.left_out += cut(&mut group.snapshots, &mut room).len() as u64;
                    true
                });
                cut(&mut report.warnings, &mut room);
            }
            Self::Tag(report) => {
                cut(&mut report.changed, &mut room);
                cut(&mut report.warnings, &mut room);
            }
            Self::Prune(report) => drop(cut(&mut report.warnings, &mut room)),
            Self::Copy(report) => {
                report.left_out += cut(&mut report.snapshots, &mut room).len() as u64;
                cut(&mut report.warnings, &mut room);
            }
            Self::Stats(report) => {
                report.left_out += cut(&mut report.snapshots, &mut room).len() as u64;
                cut(&mut report.warnings, &mut room);
            }
            Self::Check(report) => {
                cut(&mut report.faults, &mut room);
                cut(&mut report.remarks, &mut room);
            }
            Self::Repair(report) => {
                // Of every snapshot something is told before all is told of one.
                let mut for_paths = room / 2;
                report.snapshots.iter_mut().for_each(|snapshot| drop(cut(&mut snapshot.lost, &mut for_paths)));
                report.cut_snapshots(&mut room);
                let faults = cut(&mut report.beyond_repair, &mut room).len() as u64;
                report.left_out += faults;
                report.left_out_losses += faults;
            }
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
            Self::Check(report) => {
                report.faults.clear();
                report.remarks.clear();
            }
            Self::Repair(report) => {
                report.snapshots.iter_mut().for_each(|snapshot| snapshot.lost.clear());
                report.cut_snapshots(&mut { LISTED });
                report.left_out += report.beyond_repair.len() as u64;
                report.left_out_losses += std::mem::take(&mut report.beyond_repair).len() as u64;
            }
        }
    }
}

/// Bytes of a list that a job in a list of jobs may have.
const LISTED: usize = 2048;

/// Takes so many bytes of the room, if it has them.
fn take(bytes: usize, room: &mut usize) -> bool {
    // What is before each thing in a list is no longer.
    let left = room.checked_sub(bytes + 8);
    *room = left.unwrap_or(0);
    left.is_some()
}

/// Leaves the first things that there is room for, and gives the others.
fn cut<T: Message>(list: &mut Vec<T>, room: &mut usize) -> Vec<T> {
    let left = list.iter().position(|thing| !take(thing.encoded_len(), room));
    list.split_off(left.unwrap_or(list.len()))
}

impl v1::RepairReport {
    /// How many things are lost or stay wrong: more than none makes a repair a partial one.
    pub fn losses(&self) -> u64 {
        let told: u64 = self.snapshots.iter().map(lost_in).sum();
        told + self.beyond_repair.len() as u64 + self.left_out_losses
    }

    fn cut_snapshots(&mut self, room: &mut usize) {
        let left_out = cut(&mut self.snapshots, room);
        self.left_out += left_out.len() as u64;
        self.left_out_losses += left_out.iter().map(lost_in).sum::<u64>();
    }
}

fn lost_in(snapshot: &v1::SnapshotRepair) -> u64 {
    snapshot.lost_count + u64::from(snapshot.unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 1 << 20;

    fn long(n: usize) -> String {
        format!("{n}{}", "x".repeat(4000))
    }

    fn warnings() -> (Vec<v1::Warning>, u64) {
        ((0..1000).map(|n| v1::Warning { path: long(n), problem: String::new() }).collect(), 5000)
    }

    fn fits(mut report: Report) -> Report {
        let (before, findings, is_partial) = (report.encoded_len(), report.finding_count(), report.is_partial());
        assert!(before > ROOM);
        report.fit(ROOM);
        // Not much is left out that there is room for.
        assert!((ROOM / 3..=ROOM).contains(&report.encoded_len()), "{}", report.encoded_len());
        assert_eq!((report.finding_count(), report.is_partial()), (findings, is_partial));
        let once = report.clone();
        report.fit(ROOM);
        assert_eq!(report, once);
        report
    }

    #[test]
    fn reports_with_many_long_lines_are_cut_and_count_on() {
        let (warnings, warning_count) = warnings();
        let report = fits(Report::Backup(v1::BackupReport { warnings, warning_count, ..Default::default() }));
        assert!(report.is_shortened());

        let snapshots = (0..9000).map(|n| v1::CopiedSnapshot {
            source: n.to_string(),
            state: "x".repeat(200),
            ..Default::default()
        });
        let copy = v1::CopyReport { snapshots: snapshots.collect(), copied: 9000, ..Default::default() };
        let Report::Copy(copy) = fits(Report::Copy(copy)) else { unreachable!() };
        assert_eq!(copy.snapshots.len() as u64 + copy.left_out, 9000);

        let snapshots = (0..900).map(|n| v1::SnapshotStats { path: long(n), ..Default::default() }).collect();
        let Report::Stats(stats) = fits(Report::Stats(v1::StatsReport { snapshots, ..Default::default() })) else {
            unreachable!()
        };
        assert_eq!(stats.snapshots.len() as u64 + stats.left_out, 900);
    }

    #[test]
    fn a_forget_counts_what_is_left_out_of_its_groups() {
        let snapshot = |n| v1::ForgetVerdict { path: long(n), ..Default::default() };
        let group = |n| v1::ForgetGroup {
            path: Some(long(n)),
            snapshots: (0..9).map(snapshot).collect(),
            ..Default::default()
        };
        let forget = v1::ForgetReport { groups: (0..100).map(group).collect(), kept: 900, ..Default::default() };
        let Report::Forget(forget) = fits(Report::Forget(forget)) else { unreachable!() };
        let told: usize = forget.groups.iter().map(|group| group.snapshots.len()).sum();
        assert_eq!(told as u64 + forget.left_out, 900);
    }

    #[test]
    fn a_repair_counts_what_is_lost_also_where_it_is_left_out() {
        let lost = || (0..10).map(|n| v1::LostPath { path: long(n), object: String::new() }).collect();
        let snapshot = |n| v1::SnapshotRepair { problem: long(n), lost: lost(), lost_count: 50, ..Default::default() };
        let beyond_repair = vec![v1::Fault { problem: long(0), ..Default::default() }; 500];
        let repair = v1::RepairReport {
            fault_count: 500,
            snapshots: (0..200).map(snapshot).collect(),
            beyond_repair,
            ..Default::default()
        };
        let mut report = fits(Report::Repair(repair));
        assert!(report.is_shortened());
        report.shorten();
        assert!(report.encoded_len() <= LISTED + 100, "{}", report.encoded_len());
        assert_eq!(report.finding_count(), 500 + 200 * 50 + 500);
        let Report::Repair(repair) = report else { unreachable!() };
        assert_eq!(repair.left_out + repair.snapshots.len() as u64, 700);
    }
}
