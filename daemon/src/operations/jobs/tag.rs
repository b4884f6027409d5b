//! `tag`.

use cloudstic_engine::lock::Kind;
use cloudstic_engine::repository::SnapshotSelection;
use cloudstic_engine::tag::{self, Retagged, TagChange, TagReport, TagRequest};
use cloudstic_proto::v1;
use v1::job::Report;

use super::midway::Kept;
use crate::failure::Failure;
use crate::operations::leases::Wanted;
use crate::operations::{Engine, convert};
use crate::supervisor::{JobContext, JobError};

/// So many snapshots are told in a report.
const TOLD: usize = 10_000;

impl Engine {
    pub(super) async fn tag(&self, spec: v1::TagSpec, context: JobContext) -> Result<Report, JobError> {
        let (name, dry_run) = (spec.repository.clone(), spec.dry_run);
        let repository = self.open_for(&name, &context).await?;
        let change = parse_change(&spec)?;
        let selection = match spec.filter {
            Some(wanted) => SnapshotSelection::Matching(convert::filter(Some(wanted))),
            None => SnapshotSelection::Named(spec.snapshots),
        };
        let request = |lease| TagRequest { selection, change, dry_run, lease };
        let kept = Kept::new();
        let work =
            |lease, cancel| kept.keep(tag::tag(repository.clone(), request(lease), context.progress.clone(), cancel));
        let wanted = Wanted {
            name: &name,
            repository: &repository,
            kind: Kind::Exclusive,
            operation: "tag",
            wait: spec.lock_wait,
            only_reads: false,
        };
        let done = self.under_lock_unless(dry_run, wanted, &context, work).await;
        let told = |report| Report::Tag(message(report, dry_run));
        done.map(told).map_err(|error| kept.with(error, told))
    }
}

/// What the engine is to change, if it makes sense.
pub(crate) fn parse_change(spec: &v1::TagSpec) -> Result<TagChange, Failure> {
    let tags = spec.tags.clone();
    let change = match spec.change() {
        v1::TagChange::Add => TagChange::Add(tags),
        v1::TagChange::Remove => TagChange::Remove(tags),
        v1::TagChange::Set => TagChange::Set(tags),
        v1::TagChange::Unspecified => {
            return Err(Failure::bad_request("say how to change the tags: add, remove or set"));
        }
    };
    change.check()?;
    Ok(change)
}

fn message(report: TagReport, dry_run: bool) -> v1::TagReport {
    let changed_count = report.changed.len() as u64;
    v1::TagReport {
        changed: report.changed.into_iter().take(TOLD).map(retagged).collect(),
        changed_count,
        unchanged: report.unchanged,
        warnings: report.warnings.iter().map(convert::warning).collect(),
        warning_count: report.warning_count,
        dry_run,
    }
}

fn retagged(Retagged { old, new, seq, before, after }: Retagged) -> v1::Retagged {
    v1::Retagged { old_ref: old.to_string(), new_ref: convert::optional(new), seq, before, after }
}
