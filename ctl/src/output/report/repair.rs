//! Repairs.

use std::fmt::Write;

use cloudstic_proto::v1::{CatalogRepair, RepairReport, SnapshotRepair};

use super::check::fault;
use crate::output::escape;
use crate::output::human::{count, short_hash};

/// That not everything could be repaired.
pub(crate) const PARTIAL: &str = "PARTIAL: something is lost, or cannot be repaired: see above";

/// What a repair did. Each line ends with a newline.
pub(super) fn did(report: &RepairReport) -> String {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = match (report.dry_run, report.fault_count) {
        (_, 0) => writeln!(text, "there were no faults"),
        (true, faults) => writeln!(text, "dry run: of {}", count(faults, "fault", "faults")),
        (false, faults) => writeln!(text, "found {}", count(faults, "fault", "faults")),
    };
    if let Some(catalog) = report.catalog.as_ref().filter(|catalog| catalog.rewritten) {
        text.push_str(&of_catalog(catalog, report.dry_run));
    }
    if report.indexes {
        let verb = if report.dry_run { "would be made" } else { "were made" };
        let _ = writeln!(text, "index/latest and index/snapshots {verb} anew");
    }
    for snapshot in &report.snapshots {
        text.push_str(&of_snapshot(snapshot, report.dry_run));
    }
    if report.removed_objects > 0 {
        let _ = writeln!(
            text,
            "removed {}",
            count(report.removed_objects, "damaged pack or object", "damaged packs and objects")
        );
    }
    if report.damaged_objects > 0 {
        let _ = writeln!(
            text,
            "{} still there, and no backup relies on them: --forget-damaged removes what was read and is wrong, and \
             nothing that the storage fails to read",
            count(report.damaged_objects, "damaged pack or object is", "damaged packs and objects are")
        );
    }
    for beyond in &report.beyond_repair {
        let _ = write!(text, "cannot be repaired: {}", fault(beyond));
    }
    if report.left_out > 0 {
        let more = count(report.left_out, "snapshot or fault", "snapshots and faults");
        let lost = count(report.left_out_losses, "thing", "things");
        let _ = writeln!(text, "and {more} that are too many to show, with {lost} lost by them");
    }
    text
}

fn of_catalog(catalog: &CatalogRepair, dry_run: bool) -> String {
    let verb = if dry_run { "would be written" } else { "was written" };
    format!(
        "index/packs {verb} anew: {} dropped, {} found again, {} copied out of damaged packs\n",
        catalog.dropped, catalog.recovered, catalog.salvaged
    )
}

fn of_snapshot(snapshot: &SnapshotRepair, dry_run: bool) -> String {
    let mut text = format!("snapshot {}", short_hash(&snapshot.old));
    if !snapshot.problem.is_empty() {
        let _ = write!(text, " ({})", escape::text(&snapshot.problem));
    }
    let kept = count(snapshot.kept, "entry", "entries");
    let _ = match (dry_run, snapshot.new.as_str()) {
        (true, _) if snapshot.kept > 0 => write!(text, ": would be made anew with {kept}"),
        (_, "") => write!(text, ": nothing of it can be kept"),
        (_, new) if new == snapshot.old => write!(text, ": was put back as it was"),
        (_, new) => write!(text, ": {} takes its place, with {kept}", short_hash(new)),
    };
    if snapshot.removed {
        text.push_str("; the damaged one was removed");
    }
    text.push('\n');
    if snapshot.remade_folders > 0 {
        let folders = count(snapshot.remade_folders, "folder", "folders");
        let _ = writeln!(text, "  the metadata of {folders} were lost, and made anew or taken from another snapshot");
    }
    for lost in &snapshot.lost {
        let _ = writeln!(text, "  lost: {} (by {})", escape::text(&lost.path), escape::text(&lost.object));
    }
    let more = snapshot.lost_count.saturating_sub(snapshot.lost.len() as u64);
    if more > 0 {
        let _ = writeln!(text, "  lost: {more} more");
    }
    if snapshot.unknown {
        text.push_str("  lost: entries of which nothing is known\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use cloudstic_proto::v1::LostPath;

    use super::*;

    #[test]
    fn every_lost_path_is_told_and_a_dry_run_does_not_claim_to_have_written() {
        let snapshot = SnapshotRepair {
            old: "snapshot/99bb1f6cd4d1281419f3".into(),
            new: "snapshot/11aa1f6cd4d1281419f3".into(),
            kept: 3,
            lost: vec![LostPath { path: "a\u{1b}b".into(), object: "chunk/cd".into() }],
            lost_count: 2,
            unknown: true,
            removed: true,
            ..SnapshotRepair::default()
        };
        let report = RepairReport { fault_count: 1, snapshots: vec![snapshot], ..RepairReport::default() };
        assert_eq!(
            did(&report),
            "\
found 1 fault
snapshot 99bb1f6cd4d1: 11aa1f6cd4d1 takes its place, with 3 entries; the damaged one was removed
  lost: a\\x1bb (by chunk/cd)
  lost: 1 more
  lost: entries of which nothing is known
"
        );
        let mut dry = RepairReport { dry_run: true, indexes: true, ..report };
        dry.snapshots[0].removed = false;
        assert!(!did(&dry).contains("too many"));
        dry.left_out = 2;
        dry.left_out_losses = 1;
        let told = did(&dry);
        assert!(
            told.ends_with("and 2 snapshots and faults that are too many to show, with 1 thing lost by them\n"),
            "{told}"
        );
        assert!(told.contains("would be made anew with 3 entries") && !told.contains("were made"), "{told}");
    }
}
