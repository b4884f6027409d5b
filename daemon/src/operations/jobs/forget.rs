//! `forget`.

use cloudstic_engine::forget::{
    self, Filter, ForgetGroup, ForgetReport, ForgetRequest, GroupBy, Policy, Selection, Verdict, Zone,
};
use cloudstic_engine::lock::{Kind, LeaseWatch};
use cloudstic_proto::v1;
use v1::job::Report;

use crate::failure::Failure;
use crate::operations::leases::Wanted;
use crate::operations::{Engine, convert};
use crate::supervisor::{JobContext, JobError};

/// So many snapshots are told in a report: a few megabytes.
const TOLD: usize = 20_000;

impl Engine {
    pub(super) async fn forget(&self, spec: v1::ForgetSpec, context: JobContext) -> Result<Report, JobError> {
        let (name, dry_run) = (spec.repository.clone(), spec.dry_run);
        let repository = self.open_for(&name, &context).await?;
        let selection = selection(&spec)?;
        let request = |lease| ForgetRequest {
            selection,
            group_by: spec.group_by.map_or_else(GroupBy::default, group_by),
            remove_last: spec.remove_last,
            dry_run,
            clock: cloudstic_engine::clock::system(),
            zone: Zone::system(),
            lease,
        };
        let work = |lease, cancel| forget::forget(repository.clone(), request(lease), context.progress.clone(), cancel);
        let report = if dry_run {
            let done = work(LeaseWatch::not_needed(), context.cancel.clone()).await;
            self.judged(&name, &repository, done)?
        } else {
            let wanted = Wanted {
                name: &name,
                repository: &repository,
                kind: Kind::Exclusive,
                operation: "forget",
                wait: spec.lock_wait,
                only_reads: false,
            };
            let report = self.under_lock(wanted, &context, work).await?;
            self.metrics.forgotten(&name, report.removed);
            report
        };
        Ok(Report::Forget(message(report, dry_run)))
    }
}

fn selection(spec: &v1::ForgetSpec) -> Result<Selection, Failure> {
    let Some(policy) = &spec.policy else { return Ok(Selection::Named(spec.snapshots.clone())) };
    let filter = filter(spec.filter.clone());
    Ok(Selection::Policy { filter, policy: parse_policy(policy)? })
}

/// The engine's policy.
pub(crate) fn parse_policy(policy: &v1::RetentionPolicy) -> Result<Policy, Failure> {
    let within = match policy.within.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|error: forget::ParseSpanError| Failure::bad_request(error.to_string()))?),
    };
    let v1::RetentionPolicy { last, hourly, daily, weekly, monthly, yearly, .. } = *policy;
    Ok(Policy { last, hourly, daily, weekly, monthly, yearly, within, tags: policy.tags.clone() })
}

pub(super) fn filter(filter: Option<v1::SnapshotFilter>) -> Filter {
    let v1::SnapshotFilter { tags, sources, accounts, paths } = filter.unwrap_or_default();
    Filter { tags, sources, accounts, paths }
}

const fn group_by(by: v1::GroupBy) -> GroupBy {
    GroupBy { source: by.source, account: by.account, path: by.path, tags: by.tags }
}

fn message(report: ForgetReport, dry_run: bool) -> v1::ForgetReport {
    let mut room = TOLD;
    let mut left_out = 0;
    let group = |ForgetGroup { key, mut verdicts }| {
        let told = verdicts.len().min(room);
        room -= told;
        left_out += (verdicts.len() - told) as u64;
        verdicts.truncate(told);
        v1::ForgetGroup {
            source: key.source,
            account: key.account,
            path: key.path,
            by_tags: key.tags.is_some(),
            tags: key.tags.unwrap_or_default(),
            snapshots: verdicts.into_iter().map(verdict).collect(),
        }
    };
    v1::ForgetReport {
        groups: report.groups.into_iter().map(group).collect(),
        unreadable: report.unreadable.iter().map(ToString::to_string).collect(),
        kept: report.kept,
        removed: report.removed,
        warnings: report.warnings.iter().map(convert::warning).collect(),
        warning_count: report.warning_count,
        dry_run,
        left_out,
    }
}

fn verdict(Verdict { snapshot, reasons }: Verdict) -> v1::ForgetVerdict {
    v1::ForgetVerdict {
        r#ref: snapshot.reference.to_string(),
        seq: snapshot.seq,
        created: convert::moment(&snapshot.created),
        source: snapshot.source.source_type,
        account: snapshot.source.account,
        path: snapshot.source.path,
        tags: snapshot.tags,
        reasons: reasons.iter().map(|reason| reason.as_str().to_owned()).collect(),
    }
}
