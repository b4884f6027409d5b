//! Stats.

use std::fmt::Write;

use cloudstic_proto::v1::StatsReport;

use crate::output::human::{self, NOTHING, ratio, size};
use crate::output::table::{Align, Table};

/// What was counted. Each line ends with a newline.
pub(super) fn did(report: &StatsReport) -> String {
    let mut table = Table::new([
        ("SEQ", Align::Right),
        ("CREATED", Align::Left),
        ("SNAPSHOT", Align::Left),
        ("FILES", Align::Right),
        ("FOLDERS", Align::Right),
        ("OTHERS", Align::Right),
        ("SIZE", Align::Right),
        ("STORED", Align::Right),
        ("ALONE", Align::Right),
        ("PATH", Align::Left),
    ]);
    for snapshot in &report.snapshots {
        table.row([
            snapshot.seq.to_string(),
            human::time(snapshot.created.as_ref()),
            human::short_hash(&snapshot.r#ref).to_owned(),
            snapshot.files.to_string(),
            snapshot.folders.to_string(),
            snapshot.others.to_string(),
            size(snapshot.raw_bytes),
            size(snapshot.stored_bytes),
            size(snapshot.unique_bytes),
            snapshot.path.clone(),
        ]);
    }
    let (total, repository) = (report.total.unwrap_or_default(), report.repository.unwrap_or_default());
    let mut text = table.to_string();
    let snapshots = |number| human::count(number, "snapshot", "snapshots");
    // Writing into a String cannot fail.
    if report.left_out > 0 {
        let _ = writeln!(text, "and {} that are too many to show", snapshots(report.left_out));
    }
    let _ = writeln!(
        text,
        "\n{} in {}: {} different ({} less by deduplication), {} stored ({} less by compression), and {} of metadata",
        size(total.raw_bytes),
        snapshots(report.snapshots.len() as u64 + report.left_out),
        size(total.distinct_bytes),
        times(total.raw_bytes, total.distinct_bytes),
        size(total.data_stored_bytes),
        times(total.distinct_bytes, total.data_stored_bytes),
        size(total.metadata_stored_bytes),
    );
    let _ = writeln!(
        text,
        "repository: {} in {}, {} beside them; {} that no snapshot needs, {} of footers and leftovers; catalogs {}",
        size(repository.pack_bytes),
        human::count(repository.packs, "pack", "packs"),
        size(repository.single_bytes),
        size(repository.unreferenced_bytes),
        size(repository.overhead_bytes),
        size(repository.catalog_bytes + repository.index_bytes),
    );
    text
}

fn times(more: u64, less: u64) -> String {
    ratio(more, less).map_or_else(|| NOTHING.to_owned(), |ratio| format!("{ratio:.2} times"))
}

#[cfg(test)]
mod tests {
    use cloudstic_proto::v1::{RepositoryStats, SnapshotStats, StatsTotals};

    use super::*;

    #[test]
    fn ratios_are_told_and_none_where_there_is_nothing() {
        let report = StatsReport {
            snapshots: vec![SnapshotStats { seq: 7, files: 2, unique_bytes: 1024, ..SnapshotStats::default() }],
            total: Some(StatsTotals {
                raw_bytes: 4096,
                distinct_bytes: 2048,
                data_stored_bytes: 1024,
                ..StatsTotals::default()
            }),
            repository: Some(RepositoryStats { packs: 1, ..RepositoryStats::default() }),
            ..StatsReport::default()
        };
        let text = did(&report);
        assert!(text.contains("4.0 KiB in 1 snapshot: 2.0 KiB different (2.00 times less by dedup"), "{text}");
        assert!(text.contains("1.0 KiB stored (2.00 times less by compression)"), "{text}");
        assert!(text.contains("1.0 KiB") && text.contains("in 1 pack,"), "{text}");
        let shortened = did(&StatsReport { left_out: 2, ..report });
        assert!(shortened.contains("and 2 snapshots that are too many") && shortened.contains("in 3 snapshots:"));
        assert!(did(&StatsReport::default()).contains("(- less by deduplication)"));
    }
}
