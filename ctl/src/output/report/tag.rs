//! Changing tags.

use cloudstic_proto::v1::TagReport;

use crate::output::human::{self, count};
use crate::output::table::{Align, Table};

/// Which snapshots have other tags now. Each line ends with a newline.
pub(super) fn did(report: &TagReport) -> String {
    let mut table = Table::new([
        ("SEQ", Align::Right),
        ("SNAPSHOT", Align::Left),
        ("NOW", Align::Left),
        ("TAGS", Align::Left),
        ("BEFORE", Align::Left),
    ]);
    for changed in &report.changed {
        table.row([
            changed.seq.to_string(),
            human::short_hash(&changed.old_ref).to_owned(),
            if report.dry_run { human::NOTHING.to_owned() } else { human::short_hash(&changed.new_ref).to_owned() },
            changed.after.join(", "),
            changed.before.join(", "),
        ]);
    }
    let table = if report.changed.is_empty() { String::new() } else { format!("{table}\n") };
    let number = count(report.changed_count, "snapshot", "snapshots");
    let did = if report.dry_run { "dry run: would change the tags of" } else { "changed the tags of" };
    match report.unchanged {
        0 => format!("{table}{did} {number}\n"),
        same => format!("{table}{did} {number}; {} had them so already\n", count(same, "snapshot", "snapshots")),
    }
}

#[cfg(test)]
mod tests {
    use cloudstic_proto::v1::Retagged;

    use super::*;

    #[test]
    fn old_and_new_names_stand_beside_each_other() {
        let changed = Retagged {
            old_ref: format!("snapshot/{:064}", 1),
            new_ref: format!("snapshot/{}", "f".repeat(64)),
            seq: 7,
            before: vec!["a".to_owned()],
            after: vec!["a".to_owned(), "b".to_owned()],
        };
        let report = TagReport { changed: vec![changed], changed_count: 1, unchanged: 2, ..TagReport::default() };
        assert_eq!(
            did(&report),
            "\
SEQ  SNAPSHOT      NOW           TAGS  BEFORE
  7  000000000000  ffffffffffff  a, b  a

changed the tags of 1 snapshot; 2 snapshots had them so already
"
        );
        let dry = did(&TagReport { dry_run: true, ..report });
        assert!(dry.contains("  7  000000000000  -  ") && dry.contains("would change the tags of 1 snapshot"), "{dry}");
    }
}
