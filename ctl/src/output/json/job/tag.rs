//! Changing tags.

use cloudstic_proto::v1::{self, TagChange};
use serde::Serialize;

use super::{Filter, seconds};
use crate::output::json::filled;
use crate::output::json::snapshot::Warning;

/// What was asked for.
#[derive(Serialize)]
pub(super) struct Spec<'a> {
    repository: &'a str,
    snapshots: &'a [String],
    filter: Option<Filter<'a>>,
    change: Option<&'static str>,
    tags: &'a [String],
    dry_run: bool,
    lock_wait: Option<f64>,
}

impl<'a> From<&'a v1::TagSpec> for Spec<'a> {
    fn from(spec: &'a v1::TagSpec) -> Self {
        Self {
            repository: &spec.repository,
            snapshots: &spec.snapshots,
            filter: spec.filter.as_ref().map(Filter::from),
            change: match spec.change() {
                TagChange::Unspecified => None,
                TagChange::Add => Some("add"),
                TagChange::Remove => Some("remove"),
                TagChange::Set => Some("set"),
            },
            tags: &spec.tags,
            dry_run: spec.dry_run,
            lock_wait: seconds(spec.lock_wait.as_ref()),
        }
    }
}

/// What it did.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    changed_count: u64,
    changed: Vec<Retagged<'a>>,
    unchanged: u64,
    warning_count: u64,
    warnings: Vec<Warning<'a>>,
    dry_run: bool,
}

#[derive(Serialize)]
struct Retagged<'a> {
    old: &'a str,
    new: Option<&'a str>,
    seq: u64,
    before: &'a [String],
    after: &'a [String],
}

impl<'a> From<&'a v1::TagReport> for Report<'a> {
    fn from(report: &'a v1::TagReport) -> Self {
        let retagged = |changed: &'a v1::Retagged| Retagged {
            old: &changed.old_ref,
            new: filled(&changed.new_ref),
            seq: changed.seq,
            before: &changed.before,
            after: &changed.after,
        };
        Self {
            changed_count: report.changed_count,
            changed: report.changed.iter().map(retagged).collect(),
            unchanged: report.unchanged,
            warning_count: report.warning_count,
            warnings: report.warnings.iter().map(Warning::from).collect(),
            dry_run: report.dry_run,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::json::text;

    #[test]
    fn a_change_of_tags_has_its_documented_shape() {
        let (snapshots, tags) = (vec!["latest".to_owned()], vec!["x".to_owned()]);
        let spec = v1::TagSpec { snapshots, tags, change: TagChange::Set.into(), ..v1::TagSpec::default() };
        assert_eq!(
            text(&Spec::from(&spec)),
            concat!(
                r#"{"repository":"","snapshots":["latest"],"filter":null,"change":"set","tags":["x"],"#,
                r#""dry_run":false,"lock_wait":null}"#
            )
        );
        let changed = v1::Retagged { old_ref: "snapshot/1".to_owned(), seq: 3, ..v1::Retagged::default() };
        let report = v1::TagReport { changed: vec![changed], changed_count: 1, dry_run: true, ..Default::default() };
        assert_eq!(
            text(&Report::from(&report)),
            concat!(
                r#"{"changed_count":1,"changed":[{"old":"snapshot/1","new":null,"seq":3,"before":[],"after":[]}],"#,
                r#""unchanged":0,"warning_count":0,"warnings":[],"dry_run":true}"#
            )
        );
    }
}
