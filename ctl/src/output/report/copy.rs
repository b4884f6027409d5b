//! Copies.

use std::fmt::Write;

use cloudstic_proto::v1::CopyReport;

use crate::output::human::{self, count, size};

/// What a copy did. Each line ends with a newline.
pub(super) fn did(report: &CopyReport) -> String {
    let mut text = String::new();
    for copy in report.snapshots.iter().filter(|copy| copy.state != "present") {
        let source = human::short_hash(&copy.source);
        // Writing into a String cannot fail.
        let _ = match copy.state.as_str() {
            "copied" => writeln!(text, "{source} is now {} (number {})", human::short_hash(&copy.copy), copy.seq),
            "incomplete" if copy.copy.is_empty() => writeln!(text, "{source} would be copied without what is damaged"),
            "incomplete" => {
                let copied = human::short_hash(&copy.copy);
                writeln!(text, "{source} is now {copied} (number {}), WITHOUT what is damaged", copy.seq)
            }
            "would-copy" => writeln!(text, "{source} would be copied"),
            "damaged" => writeln!(text, "{source} was NOT copied: it is damaged"),
            state => writeln!(text, "{source}: {state}"),
        };
    }
    let snapshots = |number| count(number, "snapshot", "snapshots");
    if report.left_out > 0 {
        let _ = writeln!(text, "and {} that are too many to show", snapshots(report.left_out));
    }
    let done = report.copied + report.incomplete;
    let copied = if report.dry_run { "dry run: would copy" } else { "copied" };
    let _ = writeln!(text, "{copied} {}; the target had {}", snapshots(done), snapshots(report.present));
    let other = report.snapshots.iter().filter(|copy| copy.other_tags).count() as u64;
    if other > 0 {
        let _ = writeln!(text, "tags differ in {}: those in the target were left as they are", snapshots(other));
    }
    if report.damaged > 0 {
        let _ = writeln!(text, "not copied, because of damage: {}", snapshots(report.damaged));
    }
    let read = if report.dry_run { "would read" } else { "read" };
    let _ = writeln!(text, "{read} {} of {}", size(report.read_bytes), count(report.files, "file", "files"));
    if !report.dry_run {
        let _ = writeln!(text, "added {}, {} as stored", size(report.added_bytes), size(report.stored_bytes));
    }
    text
}

#[cfg(test)]
mod tests {
    use cloudstic_proto::v1::CopiedSnapshot;

    use super::*;

    #[test]
    fn a_copy_says_what_became_of_every_snapshot_that_was_not_there() {
        let copy = |source: &str, copy: &str, seq, state: &str| CopiedSnapshot {
            source: format!("snapshot/{source}"),
            copy: copy.to_owned(),
            seq,
            state: state.to_owned(),
            other_tags: state == "present",
        };
        let report = CopyReport {
            snapshots: vec![
                copy("a", "snapshot/b", 2, "copied"),
                copy("c", "snapshot/d", 0, "present"),
                copy("e", "", 0, "damaged"),
            ],
            copied: 1,
            present: 1,
            damaged: 1,
            files: 3,
            left_out: 2,
            ..CopyReport::default()
        };
        assert_eq!(
            did(&report),
            "\
a is now b (number 2)
e was NOT copied: it is damaged
and 2 snapshots that are too many to show
copied 1 snapshot; the target had 1 snapshot
tags differ in 1 snapshot: those in the target were left as they are
not copied, because of damage: 1 snapshot
read 0 B of 3 files
added 0 B, 0 B as stored
"
        );
    }
}
