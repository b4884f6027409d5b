//! Forgetting snapshots.

use cloudstic_proto::v1;
use serde::Serialize;

use super::{Filter, prune, seconds};
use crate::output::json::snapshot::Warning;
use crate::output::json::{Time, filled};

/// What was asked for.
#[derive(Serialize)]
pub(super) struct Spec<'a> {
    repository: &'a str,
    snapshots: &'a [String],
    policy: Option<Policy<'a>>,
    filter: Option<Filter<'a>>,
    group_by: Vec<&'static str>,
    remove_last: bool,
    dry_run: bool,
    prune: bool,
    max_waste_percent: Option<u32>,
    max_repack_bytes: Option<u64>,
    despite_unknown: bool,
    lock_wait: Option<f64>,
}

#[derive(Serialize)]
struct Policy<'a> {
    last: u32,
    hourly: u32,
    daily: u32,
    weekly: u32,
    monthly: u32,
    yearly: u32,
    within: Option<&'a str>,
    tags: &'a [String],
}

impl<'a> From<&'a v1::ForgetSpec> for Spec<'a> {
    fn from(spec: &'a v1::ForgetSpec) -> Self {
        let by = spec.group_by.unwrap_or(v1::GroupBy { source: true, account: true, path: true, tags: false });
        let words = [(by.source, "source"), (by.account, "account"), (by.path, "path"), (by.tags, "tags")];
        Self {
            repository: &spec.repository,
            snapshots: &spec.snapshots,
            policy: spec.policy.as_ref().map(Policy::from),
            filter: spec.filter.as_ref().map(Filter::from),
            group_by: words.into_iter().filter_map(|(wanted, word)| wanted.then_some(word)).collect(),
            remove_last: spec.remove_last,
            dry_run: spec.dry_run,
            prune: spec.prune,
            max_waste_percent: spec.max_waste_percent,
            max_repack_bytes: spec.max_repack_bytes,
            despite_unknown: spec.despite_unknown,
            lock_wait: seconds(spec.lock_wait.as_ref()),
        }
    }
}

impl<'a> From<&'a v1::RetentionPolicy> for Policy<'a> {
    fn from(policy: &'a v1::RetentionPolicy) -> Self {
        let v1::RetentionPolicy { last, hourly, daily, weekly, monthly, yearly, .. } = *policy;
        let within = filled(&policy.within);
        Self { last, hourly, daily, weekly, monthly, yearly, within, tags: &policy.tags }
    }
}

/// What it did.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    groups: Vec<Group<'a>>,
    unreadable: &'a [String],
    kept: u64,
    removed: u64,
    left_out: u64,
    warning_count: u64,
    warnings: Vec<Warning<'a>>,
    dry_run: bool,
    pruned: Option<prune::Report<'a>>,
}

#[derive(Serialize)]
struct Group<'a> {
    source: Option<&'a str>,
    account: Option<&'a str>,
    path: Option<&'a str>,
    tags: Option<&'a [String]>,
    snapshots: Vec<Verdict<'a>>,
}

#[derive(Serialize)]
struct Verdict<'a> {
    r#ref: &'a str,
    seq: u64,
    created: Time<'a>,
    source: &'a str,
    account: Option<&'a str>,
    path: Option<&'a str>,
    tags: &'a [String],
    keep: bool,
    reasons: Vec<&'a str>,
}

impl<'a> From<&'a v1::ForgetReport> for Report<'a> {
    fn from(report: &'a v1::ForgetReport) -> Self {
        Self {
            groups: report.groups.iter().map(Group::from).collect(),
            unreadable: &report.unreadable,
            kept: report.kept,
            removed: report.removed,
            left_out: report.left_out,
            warning_count: report.warning_count,
            warnings: report.warnings.iter().map(Warning::from).collect(),
            dry_run: report.dry_run,
            pruned: report.pruned.as_deref().map(prune::Report::from),
        }
    }
}

impl<'a> From<&'a v1::ForgetGroup> for Group<'a> {
    fn from(group: &'a v1::ForgetGroup) -> Self {
        Self {
            source: group.source.as_deref(),
            account: group.account.as_deref(),
            path: group.path.as_deref(),
            tags: group.by_tags.then_some(&group.tags),
            snapshots: group.snapshots.iter().map(Verdict::from).collect(),
        }
    }
}

impl<'a> From<&'a v1::ForgetVerdict> for Verdict<'a> {
    fn from(verdict: &'a v1::ForgetVerdict) -> Self {
        Self {
            r#ref: &verdict.r#ref,
            seq: verdict.seq,
            created: Time(verdict.created.as_ref()),
            source: &verdict.source,
            account: filled(&verdict.account),
            path: filled(&verdict.path),
            tags: &verdict.tags,
            keep: !verdict.reasons.is_empty(),
            reasons: verdict.reasons.iter().map(String::as_str).chain(filled(&verdict.goes)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::json::text;

    #[test]
    fn a_forget_has_its_documented_shape() {
        let policy = v1::RetentionPolicy { last: 1, within: "1y".to_owned(), ..v1::RetentionPolicy::default() };
        let filter = v1::SnapshotFilter { paths: vec!["/srv".to_owned()], ..v1::SnapshotFilter::default() };
        let spec = v1::ForgetSpec {
            repository: "home".to_owned(),
            policy: Some(policy),
            filter: Some(filter),
            lock_wait: Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }),
            ..v1::ForgetSpec::default()
        };
        assert_eq!(
            text(&Spec::from(&spec)),
            concat!(
                r#"{"repository":"home","snapshots":[],"policy":{"last":1,"hourly":0,"daily":0,"weekly":0,"monthly":0,"#,
                r#""yearly":0,"within":"1y","tags":[]},"filter":{"tags":[],"sources":[],"accounts":[],"paths":["/srv"]},"#,
                r#""group_by":["source","account","path"],"remove_last":false,"dry_run":false,"prune":false,"#,
                r#""max_waste_percent":null,"max_repack_bytes":null,"despite_unknown":false,"lock_wait":1.5}"#
            )
        );
        let verdict = v1::ForgetVerdict {
            r#ref: "snapshot/99bb".to_owned(),
            seq: 3,
            created: Some(prost_types::Timestamp { seconds: 1_795_232_795, nanos: 0 }),
            source: "local".to_owned(),
            path: "/srv".to_owned(),
            reasons: vec!["last".to_owned()],
            ..v1::ForgetVerdict::default()
        };
        let gone = v1::ForgetVerdict { goes: "no-rule".to_owned(), ..v1::ForgetVerdict::default() };
        let group = v1::ForgetGroup { path: Some("/srv".into()), snapshots: vec![verdict, gone], ..Default::default() };
        let report = v1::ForgetReport { groups: vec![group], kept: 1, dry_run: true, ..v1::ForgetReport::default() };
        assert_eq!(
            text(&Report::from(&report)),
            concat!(
                r#"{"groups":[{"source":null,"account":null,"path":"/srv","tags":null,"snapshots":[{"#,
                r#""ref":"snapshot/99bb","seq":3,"created":"2026-11-21T03:46:35Z","source":"local","account":null,"#,
                r#""path":"/srv","tags":[],"keep":true,"reasons":["last"]},{"#,
                r#""ref":"","seq":0,"created":null,"source":"","account":null,"path":null,"tags":[],"keep":false,"#,
                r#""reasons":["no-rule"]}]}],"unreadable":[],"kept":1,"removed":0,"#,
                r#""left_out":0,"warning_count":0,"warnings":[],"dry_run":true,"pruned":null}"#
            )
        );
    }
}
