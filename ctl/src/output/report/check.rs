//! Checks.

use std::fmt::Write;

use cloudstic_proto::v1::{CheckReport, Fault, Harm};

use crate::output::escape;
use crate::output::human::{count, short_hash, size};

/// What a check found. Each line ends with a newline.
pub(super) fn did(report: &CheckReport) -> String {
    let mut text = faults(report);
    for remark in &report.remarks {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "remark: {} {}", escape::text(&remark.object), escape::text(&remark.text));
    }
    more(&mut text, report.remark_count, report.remarks.len(), "remark", "remarks");
    let checked = count(report.snapshots, "snapshot", "snapshots");
    let _ = writeln!(text, "checked {checked}: {}", count(report.objects, "object is there", "objects are there"));
    if let Some(data) = &report.data {
        let part = if data.complete { "all data" } else { "a part of the data" };
        let (contents, packs) = (count(data.contents, "content", "contents"), count(data.packs, "pack", "packs"));
        let _ = writeln!(text, "read {part}: {contents} with {}, {packs}", size(data.bytes));
    }
    if report.unreferenced_objects + report.unneeded_packs > 0 {
        let objects = count(report.unreferenced_objects, "object", "objects");
        let packs = count(report.unneeded_packs, "pack", "packs");
        let _ = writeln!(text, "no snapshot needs {objects} and {packs}: `cloudsticctl prune` frees them");
    }
    if report.fault_count == 0 {
        text.push_str(if report.data.as_ref().is_some_and(|data| data.complete) {
            "no faults\n"
        } else {
            "no faults; not all data was read\n"
        });
    }
    text
}

/// The faults alone.
pub(crate) fn faults(report: &CheckReport) -> String {
    let mut text: String = report.faults.iter().map(fault).collect();
    more(&mut text, report.fault_count, report.faults.len(), "fault", "faults");
    text
}

/// One fault, and whom it hurts.
pub(super) fn fault(fault: &Fault) -> String {
    let mut text = format!("fault: {}", escape::text(&fault.object));
    if !fault.pack.is_empty() {
        let _ = write!(text, " (in {})", escape::text(&fault.pack));
    }
    let _ = writeln!(text, " {}", escape::text(&fault.problem));
    if fault.lost_objects > 1 {
        let _ = writeln!(text, "  {} lost by it", count(fault.lost_objects, "object is", "objects are"));
    }
    for harm in &fault.harm {
        let _ = writeln!(text, "  snapshot {}: {}", short_hash(&harm.snapshot), paths(harm));
    }
    let told = fault.harm.len() as u64;
    if fault.snapshots > told {
        let _ = writeln!(text, "  and {}", count(fault.snapshots - told, "more snapshot", "more snapshots"));
    }
    text
}

fn paths(harm: &Harm) -> String {
    let mut parts: Vec<String> = harm.paths.iter().map(|path| escape::text(path).into_owned()).collect();
    let more = harm.path_count.saturating_sub(harm.paths.len() as u64);
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    if harm.unknown {
        parts.push("entries of which nothing is known".to_owned());
    }
    if parts.is_empty() { "nothing that is known".to_owned() } else { parts.join(", ") }
}

fn more(text: &mut String, all: u64, told: usize, one: &str, many: &str) {
    let more = all.saturating_sub(told as u64);
    if more > 0 {
        let _ = writeln!(text, "and {} more", count(more, one, many));
    }
}

#[cfg(test)]
mod tests {
    use cloudstic_proto::v1::DataRead;

    use super::*;

    #[test]
    fn a_fault_says_what_where_and_whom_it_hurts() {
        let harm =
            Harm { snapshot: "snapshot/99bb1f6cd4d1281419f3".into(), path_count: 12, unknown: true, ..Harm::default() };
        let fault = Fault {
            object: "node/ab".into(),
            pack: "packs/cd".into(),
            problem: "is damaged: its bytes are not what its name says".into(),
            lost_objects: 2,
            harm: vec![Harm { paths: vec!["a\nb".into(), "c".into()], ..harm }],
            snapshots: 3,
            ..Fault::default()
        };
        let report =
            CheckReport { faults: vec![fault], fault_count: 5, snapshots: 1, objects: 7, ..CheckReport::default() };
        assert_eq!(
            did(&report),
            "\
fault: node/ab (in packs/cd) is damaged: its bytes are not what its name says
  2 objects are lost by it
  snapshot 99bb1f6cd4d1: a\\nb, c, 10 more, entries of which nothing is known
  and 2 more snapshots
and 4 faults more
checked 1 snapshot: 7 objects are there
"
        );
    }

    #[test]
    fn no_faults_are_only_claimed_of_what_was_read() {
        assert!(did(&CheckReport::default()).ends_with("no faults; not all data was read\n"));
        let data = Some(DataRead { complete: true, ..DataRead::default() });
        assert!(did(&CheckReport { data, ..CheckReport::default() }).ends_with("\nno faults\n"));
    }
}
