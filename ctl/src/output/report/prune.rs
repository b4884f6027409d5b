//! Prunes.

use std::fmt::Write;

use cloudstic_proto::v1::PruneReport;

use crate::output::human::{count, size};

/// What a prune did. Each line ends with a newline.
pub(super) fn did(report: &PruneReport) -> String {
    let dry = report.dry_run;
    let [freed, deleted, wrote] = if dry {
        ["dry run: nothing was changed\nwould free", "delete", "write"]
    } else {
        ["freed", "deleted", "wrote"]
    };
    let [before, after] = if dry { ["now", "then"] } else { ["before", "after"] };
    let (to_be, left) = if dry { ("to be ", "would be left") } else { ("", "is left") };
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "{freed} {}: {deleted} {}, {wrote} {}",
        size(report.freed_bytes),
        size(report.deleted_bytes),
        size(report.written_bytes),
    );
    let _ = writeln!(
        text,
        "objects: {} needed by {}, {} {to_be}removed",
        report.needed_objects,
        count(report.snapshots, "snapshot", "snapshots"),
        report.removed_objects,
    );
    let _ = writeln!(
        text,
        "packs:   {} {before}, {} {after}: {} {to_be}deleted, {} {to_be}rewritten as {}",
        report.packs_before, report.packs_after, report.packs_deleted, report.packs_rewritten, report.packs_written,
    );
    let _ = writeln!(text, "{} of what {left} in packs is not needed", size(report.unused_bytes));
    if report.unknown_packs > 0 {
        let (is, it) = if report.unknown_packs == 1 { ("is", "it") } else { ("are", "them") };
        let _ = writeln!(
            text,
            "{} ({}) {is} kept, because nothing says what is in {it}: a lost snapshot, maybe; `cloudsticctl repair` looks",
            count(report.unknown_packs, "pack", "packs"),
            size(report.unknown_bytes),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: PruneReport = PruneReport {
        snapshots: 2,
        needed_objects: 70,
        packs_before: 9,
        packs_after: 6,
        packs_deleted: 2,
        packs_rewritten: 2,
        packs_written: 1,
        removed_objects: 30,
        deleted_bytes: 4096,
        written_bytes: 1024,
        freed_bytes: 3072,
        unused_bytes: 512,
        unknown_packs: 0,
        unknown_bytes: 0,
        warnings: Vec::new(),
        warning_count: 0,
        dry_run: false,
    };

    #[test]
    fn it_says_what_was_done_and_on_a_dry_run_what_would_be() {
        assert_eq!(
            did(&REPORT),
            "\
freed 3.0 KiB: deleted 4.0 KiB, wrote 1.0 KiB
objects: 70 needed by 2 snapshots, 30 removed
packs:   9 before, 6 after: 2 deleted, 2 rewritten as 1
512 B of what is left in packs is not needed
"
        );
        assert_eq!(
            did(&PruneReport { dry_run: true, ..REPORT }),
            "\
dry run: nothing was changed
would free 3.0 KiB: delete 4.0 KiB, write 1.0 KiB
objects: 70 needed by 2 snapshots, 30 to be removed
packs:   9 now, 6 then: 2 to be deleted, 2 to be rewritten as 1
512 B of what would be left in packs is not needed
"
        );
        let text = did(&PruneReport { unknown_packs: 2, unknown_bytes: 2048, ..REPORT });
        let last = "2 packs (2.0 KiB) are kept, because nothing says what is in them: a lost snapshot, maybe; \
                    `cloudsticctl repair` looks\n";
        assert!(text.ends_with(last), "{text}");
    }
}
