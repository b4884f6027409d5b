//! What executes a job: the one thing that the supervisor does not know itself.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cloudstic_engine::progress::Progress;
use cloudstic_engine::restore::Identity;
use cloudstic_proto::v1;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::id::JobId;
use super::log::JobLog;
use crate::failure::Failure;
use crate::state::State;

/// Executes jobs.
#[async_trait]
pub trait JobRunner: Send + Sync + 'static {
    /// Runs one job to its end. When `context.cancel` is cancelled it stops at the next safe point and gives
    /// [`JobError::Cancelled`]; if it is past the last one, it finishes. A panic ends the job, not the daemon.
    async fn run(&self, work: Work, context: JobContext) -> Result<v1::job::Report, JobError>;
}

/// What a job is to do.
#[derive(Debug)]
pub struct Work {
    /// As it was submitted, and checked.
    pub spec: v1::JobSpec,
    /// Whose rights to write files with; `None` for the daemon's own.
    pub identity: Option<Identity>,
    /// Where the bytes of an archive go.
    pub output: Option<mpsc::Sender<Bytes>>,
}

/// What a job gets from its surroundings.
#[derive(Clone)]
pub struct JobContext {
    /// Which job it is.
    pub id: JobId,
    /// What is to be remembered of it beside its report.
    pub log: Arc<JobLog>,
    /// Is told how it goes.
    pub progress: Arc<dyn Progress>,
    /// Asks it to stop.
    pub cancel: CancellationToken,
    /// What the daemon remembers from job to job.
    pub state: State,
}

/// Why a job did not reach its end.
#[derive(Debug, Clone, PartialEq)]
pub enum JobError {
    /// It was asked to stop, or whoever took its output went away.
    Cancelled,
    /// Anything else.
    Failed(Failure),
    /// One of these, after something was done for good: its report must not be lost.
    Midway {
        /// What was done.
        done: Box<v1::job::Report>,
        /// Why no more was.
        error: Box<JobError>,
    },
}

impl<E: Into<Failure>> From<E> for JobError {
    fn from(error: E) -> Self {
        let failure = error.into();
        if failure.reason == cloudstic_proto::Reason::Cancelled { Self::Cancelled } else { Self::Failed(failure) }
    }
}
