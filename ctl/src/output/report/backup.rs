//! Backups.

use std::fmt::Write;

use cloudstic_proto::v1::{BackupReport, Counts};

use crate::output::human::{self, size};

/// What a backup did. Each line ends with a newline.
pub(super) fn did(report: &BackupReport) -> String {
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
