//! Jobs with the engine, a file for each operation: from what was submitted to the engine's request, and from its report
//! to the API's.

mod backup;
mod check;
mod copy;
mod forget;
mod midway;
mod prune;
mod repair;
mod restore;
mod stats;
mod tag;

use std::sync::Arc;

use async_trait::async_trait;
use cloudstic_engine::progress::Phase;
use cloudstic_engine::repository::Repository;
use cloudstic_proto::v1;
use v1::job::Report;
use v1::job_spec::Operation;

pub(crate) use self::forget::parse_policy;
pub(crate) use self::tag::parse_change;
use super::Engine;
use crate::failure::Failure;
use crate::supervisor::{JobContext, JobError, JobRunner, Work};

#[async_trait]
impl JobRunner for Engine {
    async fn run(&self, work: Work, context: JobContext) -> Result<Report, JobError> {
        let Work { spec, identity, output } = work;
        match spec.operation {
            Some(Operation::Backup(spec)) => self.backup(spec, context).await,
            Some(Operation::Restore(spec)) => self.restore(spec, identity, context).await,
            Some(Operation::Check(spec)) => self.check(spec, context).await,
            Some(Operation::Repair(spec)) => self.repair(spec, context).await,
            Some(Operation::Archive(spec)) => {
                let output = output.ok_or_else(|| Failure::internal("an archive without an output"))?;
                self.archive(spec, output, context).await
            }
            Some(Operation::Forget(spec)) => self.forget(spec, context).await,
            Some(Operation::Tag(spec)) => self.tag(spec, context).await,
            Some(Operation::Prune(spec)) => self.prune(spec, context).await,
            Some(Operation::Copy(spec)) => self.copy(spec, context).await,
            Some(Operation::Stats(spec)) => self.stats(spec, context).await,
            None => Err(Failure::internal("a job without an operation").into()),
        }
    }
}

impl Engine {
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
        let meter = self.open.meter(name);
        let (requests, sent, received) = (meter.requests(), meter.sent(), meter.received());
        tracing::debug!(repository = name, requests, sent, received, "asked of the store since the start");
        done.map_err(|error| {
            let failure = error.into();
            self.open.failed(name, repository, &failure);
            failure.into()
        })
    }
}
