//! `forget`.

use std::collections::BTreeSet;

use cloudstic_engine::forget::{
    self, Fate, ForgetGroup, ForgetReport, ForgetRequest, GroupBy, Policy, Selection, Verdict, Zone,
};
use cloudstic_engine::lock::Kind;
use cloudstic_engine::object::ObjectRef;
use cloudstic_proto::v1;
use v1::job::Report;

use super::midway::Kept;
use super::prune::Prune;
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
        let kept = Kept::new();
        let work = |lease, cancel| {
            kept.keep(forget::forget(repository.clone(), request(lease), context.progress.clone(), cancel))
        };
        let wanted = Wanted {
            name: &name,
            repository: &repository,
            kind: Kind::Exclusive,
            operation: "forget",
            wait: spec.lock_wait,
            only_reads: false,
        };
        let report = match self.under_lock_unless(dry_run, wanted, &context, work).await {
            Ok(report) => report,
            Err(error) => {
                return Err(kept.with(error, |report| {
                    self.metrics.forgotten(&name, report.removed);
                    Report::Forget(message(report, dry_run))
                }));
            }
        };
        if !dry_run {
            self.metrics.forgotten(&name, report.removed);
        }
        let without = gone(&report);
        let mut told = message(report, dry_run);
        if spec.prune {
            // Under a lock of its own, so that each says in its lock what it does. On a dry run the snapshots are still
            // there, and are taken for removed.
            let prune = Prune {
                name: &name,
                repository: &repository,
                dry_run,
                max_waste_percent: spec.max_waste_percent,
                max_repack_bytes: spec.max_repack_bytes,
                despite_unknown: spec.despite_unknown,
                without,
                lock_wait: spec.lock_wait,
            };
            match self.prune_now(prune, &context).await {
                Ok(mut pruned) => {
                    // A job has one list of warnings.
                    told.warnings.append(&mut pruned.warnings);
                    told.warning_count += std::mem::take(&mut pruned.warning_count);
                    told.pruned = Some(Box::new(pruned));
                }
                Err(error) if dry_run => return Err(error),
                Err(error) => return Err(after_all(error, told)),
            }
        }
        Ok(Report::Forget(told))
    }
}

/// The snapshots that were removed, or on a dry run would be.
fn gone(report: &ForgetReport) -> BTreeSet<ObjectRef> {
    let verdicts = report.groups.iter().flat_map(|group| &group.verdicts);
    let removed = verdicts.filter(|verdict| !verdict.stays()).map(|verdict| verdict.snapshot.reference);
    removed.chain(report.unreadable.iter().copied()).collect()
}

/// What failed was the prune: the snapshots are gone all the same, and the report says which. Its reason is why the job
/// failed, for that is what can be done about it.
fn after_all(error: JobError, told: v1::ForgetReport) -> JobError {
    let error = match error {
        JobError::Failed(failure) => {
            let removed = match told.removed {
                0 => "no snapshot had to go".to_owned(),
                1 => "1 snapshot was removed".to_owned(),
                many => format!("{many} snapshots were removed"),
            };
            let message = format!("{removed}, and then the prune failed: {}", failure.message);
            JobError::Failed(Failure::new(failure.reason, message))
        }
        error => error,
    };
    JobError::Midway { done: Box::new(Report::Forget(told)), error: Box::new(error) }
}

fn selection(spec: &v1::ForgetSpec) -> Result<Selection, Failure> {
    let Some(policy) = &spec.policy else { return Ok(Selection::Named(spec.snapshots.clone())) };
    let filter = convert::filter(spec.filter.clone());
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
        pruned: None,
    }
}

fn verdict(Verdict { snapshot, fate }: Verdict) -> v1::ForgetVerdict {
    let (reasons, goes) = match fate {
        Fate::Stays(reasons) => (reasons.iter().map(|reason| reason.as_str().to_owned()).collect(), ""),
        Fate::Goes(cause) => (Vec::new(), cause.as_str()),
    };
    v1::ForgetVerdict {
        r#ref: snapshot.reference.to_string(),
        seq: snapshot.seq,
        created: convert::moment(&snapshot.created),
        source: snapshot.source.source_type,
        account: snapshot.source.account,
        path: snapshot.source.path,
        tags: snapshot.tags,
        reasons,
        goes: goes.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;
    use cloudstic_proto::Reason;

    #[test]
    fn a_prune_that_failed_says_how_many_snapshots_are_gone_and_keeps_its_reason() {
        let after = |removed| {
            let locked = JobError::Failed(Failure::new(Reason::Locked, "somebody has it"));
            let told = v1::ForgetReport { removed, ..Default::default() };
            match after_all(locked, told.clone()) {
                JobError::Midway { done, error } => match *error {
                    JobError::Failed(failure) if *done == Report::Forget(told) => (failure.reason, failure.message),
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        };
        for (removed, said) in
            [(0, "no snapshot had to go"), (1, "1 snapshot was removed"), (2, "2 snapshots were removed")]
        {
            let message = format!("{said}, and then the prune failed: somebody has it");
            assert_eq!(after(removed), (Reason::Locked, message));
        }
    }
}
