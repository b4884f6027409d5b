//! `repair`.

use cloudstic_engine::lock::Kind;
use cloudstic_engine::repair::{self, LostPath, RepairReport, RepairRequest, SnapshotRepair};
use cloudstic_proto::v1;
use v1::job::Report;

use super::check::fault;
use super::midway::Kept;
use crate::operations::leases::Wanted;
use crate::operations::{Engine, convert};
use crate::supervisor::{JobContext, JobError};

/// Lost paths in one report, so that it fits into one message.
const PATHS: usize = 5000;

impl Engine {
    pub(super) async fn repair(&self, spec: v1::RepairSpec, context: JobContext) -> Result<Report, JobError> {
        let repository = self.open_for(&spec.repository, &context).await?;
        let v1::RepairSpec { read_data, forget_damaged, dry_run, .. } = spec;
        let request = |lease| RepairRequest { read_data, forget_damaged, dry_run, lease };
        let kept = Kept::new();
        let work = |lease, cancel| {
            kept.keep(repair::repair(repository.clone(), request(lease), context.progress.clone(), cancel))
        };
        let wanted = Wanted {
            name: &spec.repository,
            repository: &repository,
            kind: if dry_run { Kind::Shared } else { Kind::Exclusive },
            operation: "repair",
            wait: spec.lock_wait,
            only_reads: dry_run,
        };
        let done = self.under_lock(wanted, &context, work).await;
        // Its records rely on snapshots, and what these need may be among what is lost: the next backup looks itself.
        if let Some(cache) = self.cache().await.filter(|_| !dry_run) {
            let cleared = tokio::task::spawn_blocking(move || cache.clear()).await;
            cleared.map_err(|panic| crate::failure::Failure::internal(panic.to_string()))?;
        }
        let told = |report| Report::Repair(message(report));
        done.map(told).map_err(|error| kept.with(error, told))
    }
}

fn message(report: RepairReport) -> v1::RepairReport {
    let mut room = PATHS;
    v1::RepairReport {
        dry_run: report.dry_run,
        fault_count: report.fault_count,
        catalog: Some(v1::CatalogRepair {
            rewritten: report.catalog.rewritten,
            dropped: report.catalog.dropped,
            recovered: report.catalog.recovered,
            salvaged: report.catalog.salvaged,
        }),
        indexes: report.indexes,
        snapshots: report.snapshots.into_iter().map(|repaired| snapshot(repaired, &mut room)).collect(),
        removed_objects: report.removed_objects,
        damaged_objects: report.damaged_objects,
        beyond_repair: report.beyond_repair.iter().map(fault).collect(),
        left_out: 0,
        left_out_losses: 0,
    }
}

fn snapshot(repaired: SnapshotRepair, room: &mut usize) -> v1::SnapshotRepair {
    let path = |LostPath { path, object }| v1::LostPath { path, object };
    let lost: Vec<v1::LostPath> = repaired.lost.into_iter().take(*room).map(path).collect();
    *room -= lost.len();
    v1::SnapshotRepair {
        old: repaired.old.to_string(),
        new: convert::optional(repaired.new),
        kept: repaired.kept,
        lost,
        lost_count: repaired.lost_count,
        unknown: repaired.unknown,
        remade_folders: repaired.remade_folders,
        removed: repaired.removed,
        problem: repaired.problem.unwrap_or_default(),
    }
}
