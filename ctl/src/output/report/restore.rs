//! Restores to a folder, and archives.

use std::fmt::Write;

use cloudstic_proto::v1::RestoreReport;

use crate::output::human::{count, size};

/// What a restore did. Each line ends with a newline.
pub(crate) fn did(report: &RestoreReport) -> String {
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
