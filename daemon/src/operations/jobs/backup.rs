//! `backup`.

use std::path::PathBuf;
use std::sync::Arc;

use cloudstic_engine::backup::{self, BackupReport, BackupRequest, Counts};
use cloudstic_engine::lock::Kind;
use cloudstic_engine::source::local::{LocalOptions, LocalSource};
use cloudstic_proto::{Reason, v1};
use v1::job::Report;

use crate::failure::Failure;
use crate::operations::leases::Wanted;
use crate::operations::{Engine, convert, paths};
use crate::supervisor::{JobContext, JobError};

impl Engine {
    pub(super) async fn backup(&self, spec: v1::BackupSpec, context: JobContext) -> Result<Report, JobError> {
        let Plan { name, path, tags, options } = self.plan(&spec)?;
        let repository = self.open_for(&name, &context).await?;
        let source = tokio::task::spawn_blocking(move || LocalSource::new(path, options)).await;
        let source = source.map_err(|panic| Failure::internal(panic.to_string()))??;
        let cache = self.cache().await;
        let request = |lease| BackupRequest {
            source: Arc::new(source),
            cache,
            tags,
            dry_run: spec.dry_run,
            read_all: spec.read_all,
            clock: cloudstic_engine::clock::system(),
            lease,
        };
        let work = |lease, cancel| backup::backup(repository.clone(), request(lease), context.progress.clone(), cancel);
        let wanted = Wanted {
            name: &name,
            repository: &repository,
            kind: Kind::Shared,
            operation: "backup",
            wait: spec.lock_wait,
            only_reads: false,
        };
        let report = self.under_lock_unless(spec.dry_run, wanted, &context, work).await?;
        Ok(Report::Backup(message(report, spec.dry_run)))
    }

    /// What a backup is of: the profile with what the job adds, or what the job says alone.
    fn plan(&self, spec: &v1::BackupSpec) -> Result<Plan, Failure> {
        let mut plan = if spec.profile.is_empty() {
            let (name, path) = (spec.repository.clone(), paths::on_host(spec.path.clone()));
            Plan { name, path, tags: Vec::new(), options: LocalOptions::default() }
        } else {
            let profile = self.config.profiles.get(&spec.profile);
            let profile =
                profile.ok_or_else(|| Failure::new(Reason::NoSuchProfile, format!("no profile {:?}", spec.profile)))?;
            let (name, path) = (profile.repository.clone(), profile.source.clone());
            Plan { name, path, tags: profile.tags.clone(), options: profile.options.clone() }
        };
        let new_tags = spec.tags.iter().filter(|tag| !plan.tags.contains(tag)).cloned().collect::<Vec<_>>();
        plan.tags.extend(new_tags);
        plan.options.excludes.extend(spec.excludes.iter().cloned());
        Ok(plan)
    }
}

struct Plan {
    /// Of the repository.
    name: String,
    path: PathBuf,
    tags: Vec<String>,
    options: LocalOptions,
}

fn message(report: BackupReport, dry_run: bool) -> v1::BackupReport {
    v1::BackupReport {
        snapshot: convert::optional(report.snapshot),
        root: convert::optional(report.root),
        seq: report.seq,
        files: Some(counts(report.files)),
        folders: Some(counts(report.folders)),
        total_bytes: report.total_bytes,
        read_bytes: report.read_bytes,
        added_bytes: report.added_bytes,
        stored_bytes: report.stored_bytes,
        warnings: report.warnings.iter().map(convert::warning).collect(),
        warning_count: report.warning_count,
        dry_run,
    }
}

fn counts(counts: Counts) -> v1::Counts {
    v1::Counts { new: counts.new, changed: counts.changed, unmodified: counts.unmodified, removed: counts.removed }
}
