//! Forgetting snapshots.

use std::fmt::Write;

use cloudstic_proto::v1::{ForgetGroup, ForgetReport, ForgetVerdict};

use super::prune;
use crate::output::escape;
use crate::output::human::{self, count};
use crate::output::table::{Align, Table};

/// What forget did: for each group what stays, why, and what went. Each line ends with a newline.
pub(super) fn did(report: &ForgetReport) -> String {
    let mut text = String::new();
    for group in &report.groups {
        let (kept, gone): (Vec<_>, Vec<_>) = group.snapshots.iter().partition(|verdict| !verdict.reasons.is_empty());
        let _ = writeln!(text, "\nSnapshots for {}:", escape::text(&title(group)));
        for (word, verdicts) in [("keep", kept), ("remove", gone)] {
            if !verdicts.is_empty() {
                let number = count(verdicts.len() as u64, "snapshot", "snapshots");
                let _ = write!(text, "\n{word} {number}:\n{}", table(&verdicts));
            }
        }
    }
    if !report.unreadable.is_empty() {
        let number = count(report.unreadable.len() as u64, "snapshot", "snapshots");
        let _ = writeln!(text, "\nremove {number} that cannot be read, but were named:");
        report.unreadable.iter().for_each(|name| text += &format!("{name}\n"));
    }
    if report.left_out > 0 {
        let _ = writeln!(text, "\nand {} that are too many to show", count(report.left_out, "snapshot", "snapshots"));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let number = count(report.removed, "snapshot", "snapshots");
    text += &match (report.removed, report.dry_run) {
        (0, _) => "No snapshots to remove\n".to_owned(),
        (_, true) => format!("dry run: would remove {number}\n"),
        (_, false) if report.pruned.is_some() => format!("removed {number}\n"),
        (_, false) => format!("removed {number}; what only they held takes room until a prune\n"),
    };
    if let Some(pruned) = &report.pruned {
        text += &prune::did(pruned);
    }
    text
}

/// As the CLI has it: `source:local, account:vm, path:/home`.
fn title(group: &ForgetGroup) -> String {
    let tags = group.by_tags.then(|| group.tags.join(","));
    let parts = [("source", &group.source), ("account", &group.account), ("path", &group.path), ("tags", &tags)];
    let named: Vec<_> = parts.iter().filter_map(|(name, value)| Some(format!("{name}:{}", value.as_ref()?))).collect();
    if named.is_empty() { "all".to_owned() } else { named.join(", ") }
}

/// Why it stays or goes.
fn why(verdict: &ForgetVerdict) -> String {
    match verdict.goes.as_str() {
        "" => verdict.reasons.join(", "),
        "no-rule" => "no rule keeps it".to_owned(),
        cause => cause.to_owned(),
    }
}

fn table(verdicts: &[&ForgetVerdict]) -> Table<8> {
    let mut table = Table::new([
        ("SEQ", Align::Right),
        ("CREATED", Align::Left),
        ("SNAPSHOT", Align::Left),
        ("SOURCE", Align::Left),
        ("ACCOUNT", Align::Left),
        ("PATH", Align::Left),
        ("TAGS", Align::Left),
        ("REASONS", Align::Left),
    ]);
    for verdict in verdicts {
        table.row([
            verdict.seq.to_string(),
            human::time(verdict.created.as_ref()),
            human::short_hash(&verdict.r#ref).to_owned(),
            verdict.source.clone(),
            verdict.account.clone(),
            verdict.path.clone(),
            verdict.tags.join(", "),
            why(verdict),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(seq: u64, reasons: &[&str]) -> ForgetVerdict {
        ForgetVerdict {
            r#ref: format!("snapshot/{seq:064}"),
            seq,
            source: "local".to_owned(),
            account: "vm".to_owned(),
            path: "/srv".to_owned(),
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
            ..ForgetVerdict::default()
        }
    }

    fn gone(seq: u64, why: &str) -> ForgetVerdict {
        ForgetVerdict { goes: why.to_owned(), ..verdict(seq, &[]) }
    }

    #[test]
    fn a_preview_says_of_each_snapshot_why_it_stays_or_goes() {
        let group = ForgetGroup {
            source: Some("local".to_owned()),
            account: Some("vm".to_owned()),
            path: Some("/srv\n".to_owned()),
            snapshots: vec![
                verdict(3, &["last", "daily"]),
                gone(2, "no-rule"),
                verdict(1, &["yearly"]),
                gone(0, "named"),
            ],
            ..ForgetGroup::default()
        };
        let report = ForgetReport { groups: vec![group], kept: 2, removed: 2, dry_run: true, ..Default::default() };
        assert_eq!(
            did(&report),
            "
Snapshots for source:local, account:vm, path:/srv\\n:

keep 2 snapshots:
SEQ  CREATED  SNAPSHOT      SOURCE  ACCOUNT  PATH  TAGS  REASONS
  3  -        000000000000  local   vm       /srv        last, daily
  1  -        000000000000  local   vm       /srv        yearly

remove 2 snapshots:
SEQ  CREATED  SNAPSHOT      SOURCE  ACCOUNT  PATH  TAGS  REASONS
  2  -        000000000000  local   vm       /srv        no rule keeps it
  0  -        000000000000  local   vm       /srv        named

dry run: would remove 2 snapshots
"
        );
    }

    #[test]
    fn groups_of_tags_and_of_all_have_their_names() {
        assert_eq!(title(&ForgetGroup::default()), "all");
        let tagged = ForgetGroup { by_tags: true, tags: vec!["a".into(), "b".into()], ..ForgetGroup::default() };
        assert_eq!(title(&tagged), "tags:a,b");
    }

    #[test]
    fn what_is_done_is_not_told_as_a_wish_nor_the_other_way_round() {
        assert_eq!(did(&ForgetReport::default()), "No snapshots to remove\n");
        let unreadable = vec!["snapshot/99".to_owned()];
        let did = did(&ForgetReport { removed: 1, unreadable, ..ForgetReport::default() });
        assert!(did.contains("\nremove 1 snapshot that cannot be read, but were named:\nsnapshot/99\n"), "{did}");
        assert!(did.contains("\nremoved 1 snapshot;"), "{did}");
    }
}
