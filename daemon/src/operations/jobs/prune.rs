//! `prune`.

use std::collections::BTreeSet;

use cloudstic_engine::lock::Kind;
use cloudstic_engine::prune::{self, MAX_WASTE_PERCENT, PruneReport, PruneRequest};
use cloudstic_proto::v1;
use v1::job::Report;

use crate::failure::Failure;
use crate::operations::leases::Wanted;
use crate::operations::{Engine, convert};
use crate::supervisor::{JobContext, JobError};

impl Engine {
    pub(super) async fn prune(&self, spec: v1::PruneSpec, context: JobContext) -> Result<Report, JobError> {
        let v1::PruneSpec { repository: name, dry_run, max_waste_percent, max_repack_bytes, lock_wait } = spec;
        let max_waste_percent = match max_waste_percent {
            None => MAX_WASTE_PERCENT,
            Some(percent) => u8::try_from(percent).map_err(|_| Failure::internal("more than a hundred percent"))?,
        };
        let repository = self.open_for(&name, &context).await?;
        let wanted = Wanted {
            name: &name,
            repository: &repository,
            // As it was let in with.
            kind: if dry_run { Kind::Shared } else { Kind::Exclusive },
            operation: "prune",
            wait: lock_wait,
            only_reads: dry_run,
        };
        let work = |lease, cancel| {
            let request =
                PruneRequest { dry_run, max_waste_percent, max_repack_bytes, without: BTreeSet::new(), lease };
            prune::prune(repository.clone(), request, context.progress.clone(), cancel)
        };
        let report = self.under_lock(wanted, &context, work).await?;
        if !dry_run {
            self.metrics.pruned(&name, report.freed_bytes, report.removed_objects);
        }
        Ok(Report::Prune(message(report, dry_run)))
    }
}

pub(super) fn message(report: PruneReport, dry_run: bool) -> v1::PruneReport {
    v1::PruneReport {
        snapshots: report.snapshots,
        needed_objects: report.needed_objects,
        packs_before: report.packs_before,
        packs_after: report.packs_after,
        packs_deleted: report.packs_deleted,
        packs_rewritten: report.packs_rewritten,
        packs_written: report.packs_written,
        removed_objects: report.removed_objects,
        deleted_bytes: report.deleted_bytes,
        written_bytes: report.written_bytes,
        freed_bytes: report.freed_bytes,
        unused_bytes: report.unused_bytes,
        warnings: report.warnings.iter().map(convert::warning).collect(),
        warning_count: report.warning_count,
        dry_run,
    }
}
