//! The supervisor owns every job, from its submission to its terminal state.
//!
//! One task (`core`) makes all state changes, one after the other, and stores each before it tells anybody: that is
//! the invariant. This handle sends it commands and answers questions from what is stored or live.

mod core;
mod id;
mod job;
mod live;
mod log;
mod progress;
mod queue;
mod runner;
mod tasks;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cloudstic_engine::restore::Identity;
use cloudstic_proto::v1::JobState;
use cloudstic_proto::{MAX_MESSAGE_BYTES, Reason, v1};
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use v1::finding::Finding;

pub use id::{BadJobId, JobId};
pub use job::{Description, Ended, Outcome, Queued, Running, is_terminal, state_word};
pub use live::{JobUpdates, LiveJob, LiveJobs};
pub use log::{JobLog, LogFollower, LogLevel};
pub use progress::JobProgress;
pub use queue::{Limits, Needs, Queue};
pub use runner::{JobContext, JobError, JobRunner, Work};
pub use tasks::{TaskKind, TaskResult, Tasks, panic_text};

use self::core::{Command, Core};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::state::{FindingsReader, State, StateError};

/// Bytes of jobs that one message may list.
const LISTED: usize = MAX_MESSAGE_BYTES - (1 << 20);

/// Speaks to the supervisor. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Supervisor {
    commands: mpsc::UnboundedSender<Command>,
    live: Arc<LiveJobs>,
    state: State,
}

/// A job to be.
#[derive(Debug)]
pub struct Submission {
    /// What it is.
    pub description: Description,
    /// What it has to itself while it runs.
    pub needs: Needs,
    /// End as skipped if another job holds one of its profiles.
    pub skip_if_busy: bool,
    /// See [`Work::identity`].
    pub identity: Option<Identity>,
    /// See [`Work::output`].
    pub output: Option<mpsc::Sender<Bytes>>,
}

/// See [`Supervisor::hold`].
#[derive(Debug)]
pub struct Hold {
    commands: mpsc::UnboundedSender<Command>,
    repository: String,
}

impl Drop for Hold {
    fn drop(&mut self) {
        // If the supervisor is gone, so are all jobs.
        let _ = self.commands.send(Command::Release { repository: std::mem::take(&mut self.repository) });
    }
}

/// The log of a job.
#[derive(Debug)]
pub enum LogSource {
    /// It may still grow.
    Live(LogFollower),
    /// The job is over.
    Stored(Vec<v1::LogLine>),
}

/// What a job has found.
#[derive(Debug)]
pub struct FoundSource {
    supervisor: Supervisor,
    id: JobId,
    reader: FindingsReader,
    if_cut: &'static str,
}

impl FoundSource {
    /// The next findings, and what gives those after them; nothing after the last one.
    pub async fn batch(self) -> Result<(Vec<v1::Finding>, Self), Failure> {
        let Self { supervisor, id, mut reader, if_cut } = self;
        let read = tokio::task::spawn_blocking(move || (reader.batch(if_cut), reader)).await;
        let (mut batch, reader) = read.map_err(|panic| Failure::internal(panic.to_string()))?;
        if let Some(Finding::End(end)) = batch.last_mut().and_then(|last| last.finding.as_mut())
            && end.missing.is_empty()
        {
            end.missing = supervisor.lacking(id).await?.to_owned();
        }
        Ok((batch, Self { supervisor, id, reader, if_cut }))
    }
}

impl Supervisor {
    /// Starts it. `last` is the newest job that is known.
    pub fn start(
        state: State,
        last: Option<JobId>,
        limits: Limits,
        runner: Arc<dyn JobRunner>,
        clock: Arc<dyn Clock>,
        tasks: &Tasks,
    ) -> Self {
        let live = Arc::new(LiveJobs::default());
        let (commands, core) = Core::new(state.clone(), live.clone(), last, limits, runner, clock, tasks.clone());
        tasks.spawn(TaskKind::Supervisor, async { Ok(core.run().await?) });
        Self { commands, live, state }
    }

    /// Puts a job into the queue.
    pub async fn submit(&self, submission: Submission) -> Result<v1::Job, Failure> {
        let submission = Box::new(submission);
        self.ask(|answer| Command::Submit { submission, answer }).await?
    }

    /// Asks a job to stop; gives it as it is then.
    pub async fn cancel(&self, id: JobId) -> Result<v1::Job, Failure> {
        self.ask(|answer| Command::Cancel { id, answer: Some(answer) }).await?
    }

    /// The same, for whoever cannot wait for an answer.
    pub fn abandon(&self, id: JobId) {
        let _ = self.commands.send(Command::Cancel { id, answer: None });
    }

    /// Lets no job start that takes a lock of this repository, for as long as what this gives is kept.
    pub async fn hold(&self, repository: &str) -> Result<Hold, Failure> {
        let name = repository.to_owned();
        self.ask(|answer| Command::Hold { repository: name, answer }).await?;
        Ok(Hold { commands: self.commands.clone(), repository: repository.to_owned() })
    }

    /// A job as it is now.
    pub async fn job(&self, id: JobId) -> Result<v1::Job, Failure> {
        match self.live.get(id) {
            Some(live) => Ok(live.now()),
            None => self.state.job(id).await?.ok_or_else(|| no_such_job(id)),
        }
    }

    /// The newest jobs first, at most `limit`; only those of `repository`, if it is not empty. Their reports come without
    /// their lists, and so do long specs, so that many fit into one message; if there are still more, the oldest are left out.
    pub async fn jobs(&self, limit: usize, repository: &str) -> Result<Vec<v1::Job>, Failure> {
        let repository = repository.to_owned();
        let wanted = move |job: &v1::Job| repository.is_empty() || job.repository == repository;
        let stored = self.state.newest(limit, wanted).await?;
        let newest = |job: v1::Job| match job.id.parse().ok().and_then(|id| self.live.get(id)) {
            Some(live) => shortened(live.now()),
            None => shortened(job),
        };
        let mut room = LISTED;
        let fits = |job: &v1::Job| {
            let left = room.checked_sub(job.encoded_len() + 8);
            room = left.unwrap_or(0);
            left.is_some()
        };
        Ok(stored.into_iter().map(newest).take_while(fits).collect())
    }

    /// The last backup of each repository that came to its end or failed, newest first. A dry run is none.
    pub async fn last_backups(&self) -> Result<Vec<v1::Job>, Failure> {
        let mut seen = std::collections::BTreeSet::new();
        let wanted = move |job: &v1::Job| {
            let operation = job.spec.as_ref().and_then(|spec| spec.operation.as_ref());
            let is_backup = matches!(operation, Some(v1::job_spec::Operation::Backup(spec)) if !spec.dry_run);
            let has_an_end = matches!(job.state(), JobState::Succeeded | JobState::Partial | JobState::Failed);
            is_backup && has_an_end && seen.insert(job.repository.clone())
        };
        Ok(self.state.newest(usize::MAX, wanted).await?.into_iter().map(shortened).collect())
    }

    /// Queued and running jobs, oldest first.
    pub fn active(&self) -> Vec<v1::Job> {
        self.live.all().into_iter().map(shortened).collect()
    }

    /// A job as it is now, then its changes.
    pub async fn watch(&self, id: JobId) -> Result<JobUpdates, Failure> {
        match self.live.get(id) {
            Some(live) => Ok(JobUpdates::live(&live)),
            None => Ok(JobUpdates::ended(self.job(id).await?)),
        }
    }

    /// What a job logged.
    pub async fn log(&self, id: JobId) -> Result<LogSource, Failure> {
        if let Some(live) = self.live.get(id) {
            return Ok(LogSource::Live(LogFollower::new(live.log.clone())));
        }
        self.job(id).await?;
        Ok(LogSource::Stored(self.state.log(id).await?))
    }

    /// What a job has found, up to now.
    pub async fn findings(&self, id: JobId) -> Result<FoundSource, Failure> {
        let live = self.live.get(id);
        if let Some(findings) = live.as_ref().map(|live| live.findings.clone()) {
            let flushed = tokio::task::spawn_blocking(move || findings.flush()).await;
            flushed.map_err(|panic| Failure::internal(panic.to_string()))?;
        }
        let job = self.job(id).await?;
        let reader = self.state.findings(id).await?;
        let has_found = job.report.as_ref().is_some_and(|report| report.finding_count() > 0);
        let if_cut = match (live, &reader) {
            (Some(_), _) => "the job has not ended",
            (None, Some(_)) => "the daemon ended while it was written",
            (None, None) if has_found => "it was not kept",
            (None, None) => "",
        };
        Ok(FoundSource { supervisor: self.clone(), id, reader: reader.unwrap_or_default(), if_cut })
    }

    /// What is missing of a list of findings that is whole, because of how the job ended: a check that lost its lock, for
    /// example, may have seen what a prune was doing.
    async fn lacking(&self, id: JobId) -> Result<&'static str, Failure> {
        // The list ends just before the job does.
        let job = self.watch(id).await?.last().await.ok_or_else(Failure::shutting_down)?;
        let report = job.report.as_ref();
        let came_to_its_end = match job.state() {
            JobState::Succeeded | JobState::Partial => true,
            // Because of what it found.
            JobState::Failed => job.failure.is_some() && report.and_then(v1::job::Report::failure) == job.failure,
            _ => false,
        };
        Ok(if came_to_its_end { "" } else { "the job did not come to its end, so not all of it may be so" })
    }

    /// Takes no more jobs, interrupts what waits and what runs, and returns when all of it has its terminal state: at
    /// the end of the grace period even those that have not stopped.
    pub async fn stop(&self, grace: Duration) {
        let _ = self.ask(|answer| Command::Stop { grace, answer }).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Failure> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).map_err(|_| Failure::shutting_down())?;
        answered.await.map_err(|_| Failure::shutting_down())
    }
}

fn no_such_job(id: JobId) -> Failure {
    Failure::new(
        Reason::NoSuchJob,
        format!("there is no job {id}, or it is too old to be remembered: see `cloudsticctl job list`"),
    )
}

fn shortened(mut job: v1::Job) -> v1::Job {
    if let Some(report) = &mut job.report {
        report.shorten();
    }
    if let Some(spec) = &mut job.spec {
        spec.shorten();
    }
    job
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        Self::internal(error.to_string())
    }
}
