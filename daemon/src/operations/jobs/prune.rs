//! `prune`.

use std::collections::BTreeSet;
use std::sync::Arc;

use cloudstic_engine::lock::Kind;
use cloudstic_engine::object::ObjectRef;
use cloudstic_engine::prune::{self, PruneReport, PruneRequest};
use cloudstic_engine::repository::Repository;
use cloudstic_proto::v1;
use v1::job::Report;

use crate::failure::Failure;
use crate::operations::leases::Wanted;
use crate::operations::{Engine, convert};
use crate::supervisor::{JobContext, JobError};

/// What a prune is to do, whichever job it is a part of.
pub(super) struct Prune<'a> {
    pub(super) name: &'a str,
    pub(super) repository: &'a Arc<Repository>,
    pub(super) dry_run: bool,
    /// Without it, what the configuration says.
    pub(super) max_waste_percent: Option<u32>,
    /// The same.
    pub(super) max_repack_bytes: Option<u64>,
    /// As in [`PruneRequest`].
    pub(super) despite_unknown: bool,
    /// Snapshots that a dry run takes for removed.
    pub(super) without: BTreeSet<ObjectRef>,
    pub(super) lock_wait: Option<prost_types::Duration>,
}

impl Engine {
    pub(super) async fn prune(&self, spec: v1::PruneSpec, context: JobContext) -> Result<Report, JobError> {
        let repository = self.open_for(&spec.repository, &context).await?;
        let prune = Prune {
            name: &spec.repository,
            repository: &repository,
            dry_run: spec.dry_run,
            max_waste_percent: spec.max_waste_percent,
            max_repack_bytes: spec.max_repack_bytes,
            despite_unknown: spec.despite_unknown,
            without: BTreeSet::new(),
            lock_wait: spec.lock_wait,
        };
        self.prune_now(prune, &context).await.map(Report::Prune)
    }

    /// Prunes, under a lock of its own.
    pub(super) async fn prune_now(&self, prune: Prune<'_>, context: &JobContext) -> Result<v1::PruneReport, JobError> {
        let Prune { name, repository, dry_run, max_waste_percent, max_repack_bytes, despite_unknown, .. } = prune;
        let Prune { without, lock_wait: wait, .. } = prune;
        let configured = self.open.configured(name)?.prune;
        let max_waste_percent = match max_waste_percent {
            None => configured.max_waste_percent,
            Some(percent) => u8::try_from(percent).map_err(|_| Failure::internal("more than a hundred percent"))?,
        };
        let max_repack_bytes = max_repack_bytes.or(configured.max_repack_bytes);
        // As it was let in with.
        let kind = if dry_run { Kind::Shared } else { Kind::Exclusive };
        let wanted = Wanted { name, repository, kind, operation: "prune", wait, only_reads: dry_run };
        let work = |lease, cancel| {
            let request =
                PruneRequest { dry_run, max_waste_percent, max_repack_bytes, despite_unknown, without, lease };
            prune::prune(Arc::clone(repository), request, context.progress.clone(), cancel)
        };
        let report = self.under_lock(wanted, context, work).await?;
        if !dry_run {
            self.metrics.pruned(name, report.freed_bytes, report.removed_objects);
        }
        Ok(message(report, dry_run))
    }
}

fn message(report: PruneReport, dry_run: bool) -> v1::PruneReport {
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
        unknown_packs: report.unknown_packs,
        unknown_bytes: report.unknown_bytes,
        warnings: report.warnings.iter().map(convert::warning).collect(),
        warning_count: report.warning_count,
        dry_run,
    }
}
