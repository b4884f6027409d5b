//! `stats`.

use cloudstic_engine::lock::Kind;
use cloudstic_engine::stats::{self, SnapshotStats, StatsReport, StatsRequest};
use cloudstic_proto::v1;
use v1::job::Report;

use crate::operations::leases::Wanted;
use crate::operations::{Engine, convert};
use crate::supervisor::{JobContext, JobError};

impl Engine {
    pub(super) async fn stats(&self, spec: v1::StatsSpec, context: JobContext) -> Result<Report, JobError> {
        let repository = self.open_for(&spec.repository, &context).await?;
        let request = |lease| StatsRequest { snapshots: spec.snapshots, filter: convert::filter(spec.filter), lease };
        let work = |lease, cancel| stats::stats(repository.clone(), request(lease), context.progress.clone(), cancel);
        let wanted = Wanted {
            name: &spec.repository,
            repository: &repository,
            kind: Kind::Shared,
            operation: "stats",
            wait: spec.lock_wait,
            only_reads: true,
        };
        let report = self.under_lock(wanted, &context, work).await?;
        Ok(Report::Stats(message(report)))
    }
}

fn message(report: StatsReport) -> v1::StatsReport {
    let StatsReport { snapshots, total, repository, warnings, warning_count } = report;
    v1::StatsReport {
        snapshots: snapshots.into_iter().map(snapshot).collect(),
        total: Some(v1::StatsTotals {
            files: total.files,
            folders: total.folders,
            others: total.others,
            raw_bytes: total.raw_bytes,
            distinct_bytes: total.distinct_bytes,
            data_stored_bytes: total.data_stored_bytes,
            metadata_stored_bytes: total.metadata_stored_bytes,
        }),
        repository: Some(v1::RepositoryStats {
            snapshots: repository.snapshots,
            packs: repository.packs,
            pack_bytes: repository.pack_bytes,
            single_bytes: repository.single_bytes,
            unreferenced_bytes: repository.unreferenced_bytes,
            overhead_bytes: repository.overhead_bytes,
            catalog_bytes: repository.catalog_bytes,
            index_bytes: repository.index_bytes,
        }),
        warnings: warnings.iter().map(convert::warning).collect(),
        warning_count,
        left_out: 0,
    }
}

fn snapshot(stats: SnapshotStats) -> v1::SnapshotStats {
    v1::SnapshotStats {
        r#ref: stats.reference.to_string(),
        seq: stats.seq,
        created: convert::moment(&stats.created),
        path: stats.path,
        files: stats.files,
        folders: stats.folders,
        others: stats.others,
        raw_bytes: stats.raw_bytes,
        stored_bytes: stats.stored_bytes,
        unique_bytes: stats.unique_bytes,
    }
}
