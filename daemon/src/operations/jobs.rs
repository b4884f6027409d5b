//! Jobs with the engine: from what was submitted to the engine's request, and from its report to the API's.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cloudstic_engine::backup::{self, BackupRequest};
use cloudstic_engine::lock::{Kind, LeaseWatch};
use cloudstic_engine::progress::Phase;
use cloudstic_engine::repository::Repository;
use cloudstic_engine::restore::{self, ArchiveRequest, Overwrite, RestoreRequest};
use cloudstic_engine::source::local::{LocalOptions, LocalSource};
use cloudstic_proto::{Reason, v1};
use v1::job::Report;
use v1::job_spec::Operation;

use super::leases::Wanted;
use super::{Engine, convert, paths};
use crate::failure::Failure;
use crate::supervisor::{JobContext, JobError, JobRunner, Work};

#[async_trait]
impl JobRunner for Engine {
    async fn run(&self, work: Work, context: JobContext) -> Result<Report, JobError> {
        let Work { spec, identity, output } = work;
        match spec.operation {
            Some(Operation::Backup(spec)) => self.backup(spec, context).await,
            Some(Operation::Restore(spec)) => self.restore(spec, identity, context).await,
            Some(Operation::Archive(spec)) => {
                let output = output.ok_or_else(|| Failure::internal("an archive without an output"))?;
                self.archive(spec, output, context).await
            }
            None => Err(Failure::internal("a job without an operation").into()),
        }
    }
}

impl Engine {
    async fn backup(&self, spec: v1::BackupSpec, context: JobContext) -> Result<Report, JobError> {
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
        let report = if spec.dry_run {
            let done = work(LeaseWatch::not_needed(), context.cancel.clone()).await;
            self.judged(&name, &repository, done)?
        } else {
            let wanted = Wanted {
                name: &name,
                repository: &repository,
                kind: Kind::Shared,
                operation: "backup",
                wait: spec.lock_wait,
                only_reads: false,
            };
            self.under_lock(wanted, &context, work).await?
        };
        Ok(Report::Backup(convert::backup_report(report, spec.dry_run)))
    }

    async fn restore(
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
        Ok(Report::Restore(convert::restore_report(report, spec.dry_run)))
    }

    async fn archive(
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
        Ok(Report::Restore(convert::restore_report(report, spec.dry_run)))
    }

    /// Opens the repository of a job, unless the job is cancelled before that is done.
    async fn open_for(&self, name: &str, context: &JobContext) -> Result<Arc<Repository>, JobError> {
        context.progress.phase(Phase::Opening);
        tokio::select! {
            biased;
            () = context.cancel.cancelled() => Err(JobError::Cancelled),
            repository = self.open.get(name) => Ok(repository?),
        }
    }

    /// What a job's end says about the repository that it used.
    pub(super) fn judged<T, E: Into<Failure>>(
        &self,
        name: &str,
        repository: &Arc<Repository>,
        done: Result<T, E>,
    ) -> Result<T, JobError> {
        if let Some(meter) = self.open.meter(name) {
            let (requests, sent, received) = (meter.requests(), meter.sent(), meter.received());
            tracing::debug!(repository = name, requests, sent, received, "asked of the store since the start");
        }
        done.map_err(|error| {
            let failure = error.into();
            self.open.failed(name, repository, &failure);
            failure.into()
        })
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

/// A restore takes a shared lock always, on a dry run too.
const fn restoring<'a>(
    name: &'a str,
    repository: &'a Arc<Repository>,
    wait: Option<prost_types::Duration>,
) -> Wanted<'a> {
    Wanted { name, repository, kind: Kind::Shared, operation: "restore", wait, only_reads: true }
}

struct Plan {
    /// Of the repository.
    name: String,
    path: PathBuf,
    tags: Vec<String>,
    options: LocalOptions,
}

fn inside(paths: &[Vec<u8>]) -> Vec<Vec<u8>> {
    paths.iter().map(|path| paths::inside(path).to_vec()).collect()
}
