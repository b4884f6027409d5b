//! `copy`.

use cloudstic_engine::copy::{self, CopyReport, CopyRequest, CopyState, SnapshotCopy};
use cloudstic_engine::lock::{Kind, LeaseWatch};
use cloudstic_engine::repository::SnapshotSelection;
use cloudstic_proto::v1;
use v1::job::Report;

use super::midway::Kept;
use crate::operations::leases::Wanted;
use crate::operations::{Engine, convert};
use crate::supervisor::{JobContext, JobError};

impl Engine {
    pub(super) async fn copy(&self, spec: v1::CopySpec, context: JobContext) -> Result<Report, JobError> {
        let from = self.open_for(&spec.from, &context).await?;
        let to = self.open_for(&spec.to, &context).await?;
        let selection = if spec.snapshots.is_empty() {
            SnapshotSelection::Matching(convert::filter(spec.filter))
        } else {
            SnapshotSelection::Named(spec.snapshots)
        };
        let request = |from, to| CopyRequest { selection, partial: spec.partial, dry_run: spec.dry_run, from, to };
        let progress = context.progress.clone();
        let kept = Kept::new();
        let done = if spec.dry_run {
            let request = request(LeaseWatch::not_needed(), LeaseWatch::not_needed());
            let done = copy::copy(from.clone(), to.clone(), request, progress, context.cancel.clone()).await;
            self.judged(&spec.from, &from, done)
        } else {
            let lock = |name, repository, only_reads| Wanted {
                name,
                repository,
                kind: Kind::Shared,
                operation: "copy",
                wait: spec.lock_wait,
                only_reads,
            };
            let locks = [lock(&spec.from, &from, true), lock(&spec.to, &to, false)];
            let work = |[of_from, of_to]: [LeaseWatch; 2], cancel| {
                kept.keep(copy::copy(from.clone(), to.clone(), request(of_from, of_to), progress, cancel))
            };
            self.under_two_locks(locks, &context, work).await
        };
        let told = |report| Report::Copy(message(report));
        done.map(told).map_err(|error| kept.with(error, told))
    }
}

fn message(report: CopyReport) -> v1::CopyReport {
    let count =
        |states: &[CopyState]| report.snapshots.iter().filter(|copy| states.contains(&copy.state)).count() as u64;
    v1::CopyReport {
        copied: count(&[CopyState::Copied, CopyState::WouldCopy]),
        present: count(&[CopyState::Present]),
        incomplete: count(&[CopyState::Incomplete]),
        damaged: count(&[CopyState::Damaged]),
        snapshots: report.snapshots.iter().map(snapshot).collect(),
        files: report.files,
        read_bytes: report.read_bytes,
        added_bytes: report.added_bytes,
        stored_bytes: report.stored_bytes,
        warnings: report.warnings.iter().map(convert::warning).collect(),
        warning_count: report.warning_count,
        dry_run: report.dry_run,
        left_out: 0,
    }
}

fn snapshot(copy: &SnapshotCopy) -> v1::CopiedSnapshot {
    let state = match copy.state {
        CopyState::Copied => "copied",
        CopyState::WouldCopy => "would-copy",
        CopyState::Present => "present",
        CopyState::Incomplete => "incomplete",
        CopyState::Damaged => "damaged",
    };
    v1::CopiedSnapshot {
        source: copy.source.to_string(),
        copy: convert::optional(copy.copy),
        seq: copy.seq,
        state: state.to_owned(),
        other_tags: copy.other_tags,
    }
}
