//! `restore`, to a folder or into an archive.

use std::sync::Arc;

use cloudstic_engine::lock::Kind;
use cloudstic_engine::repository::Repository;
use cloudstic_engine::restore::{self, ArchiveRequest, Overwrite, RestoreReport, RestoreRequest};
use cloudstic_proto::v1;
use v1::job::Report;

use crate::operations::leases::Wanted;
use crate::operations::{Engine, convert, paths};
use crate::supervisor::{JobContext, JobError};

impl Engine {
    pub(super) async fn restore(
        &self,
        spec: v1::RestoreSpec,
        identity: Option<restore::Identity>,
        context: JobContext,
    ) -> Result<Report, JobError> {
        let repository = self.open_for(&spec.repository, &context).await?;
        let overwrite = match spec.overwrite() {
            v1::Overwrite::Never => Overwrite::Never,
            v1::Overwrite::Unspecified | v1::Overwrite::IfChanged => Overwrite::IfChanged,
            v1::Overwrite::Always => Overwrite::Always,
        };
        let request = |lease| RestoreRequest {
            snapshot: spec.snapshot,
            paths: inside(&spec.paths),
            target: paths::on_host(spec.target),
            overwrite,
            dry_run: spec.dry_run,
            identity,
            lease,
        };
        let work =
            |lease, cancel| restore::restore(repository.clone(), request(lease), context.progress.clone(), cancel);
        let wanted = restoring(&spec.repository, &repository, spec.lock_wait);
        let report = self.under_lock(wanted, &context, work).await?;
        Ok(Report::Restore(message(report, spec.dry_run)))
    }

    pub(super) async fn archive(
        &self,
        spec: v1::ArchiveSpec,
        output: tokio::sync::mpsc::Sender<bytes::Bytes>,
        context: JobContext,
    ) -> Result<Report, JobError> {
        let repository = self.open_for(&spec.repository, &context).await?;
        let (paths, dry_run) = (inside(&spec.paths), spec.dry_run);
        let request = |lease| ArchiveRequest { snapshot: spec.snapshot, paths, dry_run, lease };
        let work = |lease, cancel| {
            restore::archive(repository.clone(), request(lease), output, context.progress.clone(), cancel)
        };
        let wanted = restoring(&spec.repository, &repository, spec.lock_wait);
        let report = self.under_lock(wanted, &context, work).await?;
        Ok(Report::Restore(message(report, spec.dry_run)))
    }
}

/// A restore takes a shared lock always, on a dry run too.
const fn restoring<'a>(
    name: &'a str,
    repository: &'a Arc<Repository>,
    wait: Option<prost_types::Duration>,
) -> Wanted<'a> {
    Wanted { name, repository, kind: Kind::Shared, operation: "restore", wait, only_reads: true }
}

fn message(report: RestoreReport, dry_run: bool) -> v1::RestoreReport {
    v1::RestoreReport {
        snapshot: convert::optional(report.snapshot),
        files: report.files,
        folders: report.folders,
        others: report.others,
        bytes: report.bytes,
        skipped: report.skipped,
        warnings: report.warnings.iter().map(convert::warning).collect(),
        warning_count: report.warning_count,
        dry_run,
    }
}

fn inside(paths: &[Vec<u8>]) -> Vec<Vec<u8>> {
    paths.iter().map(|path| paths::inside(path).to_vec()).collect()
}
