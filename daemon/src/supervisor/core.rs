//! The task that owns the jobs. Every transition happens here, one at a time: store it, then tell it.
//!
//! A state that cannot be stored is the end of this task, and with it of the daemon: it must not go on and tell what
//! nobody will remember.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use cloudstic_proto::Reason;
use cloudstic_proto::v1::{self, JobState};
use futures::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tokio_util::sync::CancellationToken;

use super::job::{Ended, Outcome, Queued, Running, state_word};
use super::{
    JobContext, JobError, JobId, JobLog, JobRunner, Limits, LiveJob, LiveJobs, LogLevel, Queue, Submission, TaskKind,
    Tasks, Work, no_such_job, panic_text,
};
use crate::clock::Clock;
use crate::failure::Failure;
use crate::state::{State, StateError};

/// How often the progress of a running job is told, and its log stored.
const TELL_EVERY: Duration = Duration::from_millis(200);

type Answer<T> = oneshot::Sender<Result<T, Failure>>;

/// What can be asked of the supervisor.
#[derive(Debug)]
pub(super) enum Command {
    Submit {
        submission: Box<Submission>,
        answer: Answer<v1::Job>,
    },
    Cancel {
        id: JobId,
        answer: Option<Answer<v1::Job>>,
    },
    /// From the task of the job.
    Ended {
        id: JobId,
        result: Result<v1::job::Report, JobError>,
    },
    /// No job is to start that takes a lock of this repository, until it is released.
    Hold {
        repository: String,
        answer: oneshot::Sender<()>,
    },
    Release {
        repository: String,
    },
    Stop {
        grace: Duration,
        answer: oneshot::Sender<()>,
    },
}

pub(super) struct Core {
    state: State,
    live: Arc<LiveJobs>,
    runner: Arc<dyn JobRunner>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    commands: mpsc::UnboundedReceiver<Command>,
    own_commands: mpsc::UnboundedSender<Command>,
    queue: Queue,
    waiting: BTreeMap<JobId, Waiting>,
    running: BTreeMap<JobId, Active>,
    last: Option<JobId>,
    stopping: bool,
}

struct Waiting {
    job: Queued,
    work: Work,
    live: Arc<LiveJob>,
}

struct Active {
    job: Running,
    live: Arc<LiveJob>,
    cancel: CancellationToken,
    /// Somebody asked it to stop (not the end of the daemon).
    unwanted: bool,
}

impl Core {
    pub(super) fn new(
        state: State,
        live: Arc<LiveJobs>,
        last: Option<JobId>,
        limits: Limits,
        runner: Arc<dyn JobRunner>,
        clock: Arc<dyn Clock>,
        tasks: Tasks,
    ) -> (mpsc::UnboundedSender<Command>, Self) {
        let (own_commands, commands) = mpsc::unbounded_channel();
        let core = Self {
            state,
            live,
            runner,
            clock,
            tasks,
            commands,
            own_commands: own_commands.clone(),
            queue: Queue::new(limits),
            waiting: BTreeMap::new(),
            running: BTreeMap::new(),
            last,
            stopping: false,
        };
        (own_commands, core)
    }

    pub(super) async fn run(mut self) -> Result<(), StateError> {
        let result = self.work().await;
        // After a failure jobs may still run, and nobody would wait for them.
        for active in self.running.values() {
            active.cancel.cancel();
        }
        result
    }

    async fn work(&mut self) -> Result<(), StateError> {
        while let Some(command) = self.commands.recv().await {
            if let Command::Stop { grace, answer } = command {
                self.stop(grace).await?;
                let _ = answer.send(());
                return Ok(());
            }
            self.obey(command).await?;
            self.start_ready().await?;
        }
        Ok(())
    }

    async fn obey(&mut self, command: Command) -> Result<(), StateError> {
        match command {
            Command::Submit { submission, answer } => {
                let job = self.submit(*submission).await;
                let (answered, result) = match job {
                    Ok(job) => (job, Ok(())),
                    Err(error) => (Err(Failure::internal(error.to_string())), Err(error)),
                };
                let _ = answer.send(answered);
                result
            }
            Command::Cancel { id, answer } => {
                self.cancel(id).await?;
                if let Some(answer) = answer {
                    let _ = answer.send(self.look(id).await);
                }
                Ok(())
            }
            Command::Ended { id, result } => self.ended(id, result).await,
            Command::Hold { repository, answer } => {
                self.queue.hold(&repository);
                let _ = answer.send(());
                Ok(())
            }
            Command::Release { repository } => {
                self.queue.release(&repository);
                Ok(())
            }
            // The first one is being obeyed: dropping the answer says that the supervisor is gone.
            Command::Stop { .. } => Ok(()),
        }
    }

    async fn submit(&mut self, submission: Submission) -> Result<Result<v1::Job, Failure>, StateError> {
        if self.stopping {
            return Ok(Err(Failure::shutting_down()));
        }
        let Submission { description, needs, skip_if_busy, identity, output } = submission;
        let now = self.clock.now();
        let id = JobId::next(self.last, now);
        self.last = Some(id);
        let work = Work { spec: description.spec.clone(), identity, output };
        let job = Queued::new(id, description, now);
        let log = Arc::new(JobLog::new(self.clock.clone()));
        let operation = work.spec.word().unwrap_or("nothing");
        log.add(LogLevel::Info, format!("{operation} queued by user {}", job.job().uid));

        if let Some(holder) = self.queue.holder_of(&needs.profiles).filter(|_| skip_if_busy) {
            let skipped = job.skip(busy(&needs.profiles, holder), now);
            let live = LiveJob::new(skipped.job().clone(), log, self.state.findings_log(id));
            self.finish(id, skipped, &live).await?;
            return Ok(Ok(live.now()));
        }
        let told = job.job().clone();
        self.state.save(id, told.clone(), log.take_unstored()).await?;
        let live = Arc::new(LiveJob::new(told.clone(), log, self.state.findings_log(id)));
        self.live.insert(id, live.clone());
        self.queue.push(id, needs);
        self.waiting.insert(id, Waiting { job, work, live });
        Ok(Ok(told))
    }

    async fn cancel(&mut self, id: JobId) -> Result<(), StateError> {
        if let Some(Waiting { job, live, .. }) = self.waiting.remove(&id) {
            let ended = job.cancel(self.clock.now());
            return self.finish(id, ended, &live).await;
        }
        if let Some(active) = self.running.get_mut(&id) {
            active.unwanted = true;
            active.cancel.cancel();
            active.live.log.add(LogLevel::Info, "asked to stop".to_owned());
        }
        Ok(())
    }

    async fn look(&self, id: JobId) -> Result<v1::Job, Failure> {
        match self.live.get(id) {
            Some(live) => Ok(live.now()),
            None => self.state.job(id).await?.ok_or_else(|| no_such_job(id)),
        }
    }

    async fn start_ready(&mut self) -> Result<(), StateError> {
        while let Some(id) = self.queue.start_next() {
            let Some(Waiting { job, work, live }) = self.waiting.remove(&id) else { continue };
            let operation = work.spec.word().unwrap_or("nothing");
            let job = job.start(self.clock.now());
            live.log.add(LogLevel::Info, format!("{operation} started"));
            self.state.save(id, job.job().clone(), live.log.take_unstored()).await?;
            live.tell(job.job().clone());
            let v1::Job { repository, profile, uid, .. } = job.job();
            tracing::info!(job = %id, operation, repository, profile, uid, "job started");

            let cancel = CancellationToken::new();
            self.spawn(id, work, live.clone(), cancel.clone());
            self.running.insert(id, Active { job, live, cancel, unwanted: false });
        }
        Ok(())
    }

    fn spawn(&self, id: JobId, work: Work, live: Arc<LiveJob>, cancel: CancellationToken) {
        let (runner, state, commands) = (self.runner.clone(), self.state.clone(), self.own_commands.clone());
        self.tasks.spawn(TaskKind::Job, async move {
            let (log, progress) = (live.log.clone(), live.progress.clone());
            let context = JobContext { id, log, progress, cancel, state: state.clone() };
            let run = AssertUnwindSafe(async { runner.run(work, context).await }).catch_unwind();
            let result = tell_while(run, &live, || state.append(id, live.log.take_unstored())).await;
            let result = result.unwrap_or_else(|panic| Err(JobError::Failed(panicked(panic.as_ref()))));
            keep_findings(id, &live).await;
            // If the supervisor is gone, so is everybody who would want to know.
            let _ = commands.send(Command::Ended { id, result });
            Ok(())
        });
    }

    async fn ended(&mut self, id: JobId, result: Result<v1::job::Report, JobError>) -> Result<(), StateError> {
        let Some(mut active) = self.running.remove(&id) else { return Ok(()) };
        let outcome = self.outcome(&mut active, result);
        self.end(id, active, outcome).await
    }

    fn outcome(&self, active: &mut Active, result: Result<v1::job::Report, JobError>) -> Outcome {
        match result {
            Ok(report) => Outcome::Done(report),
            Err(JobError::Failed(failure)) => Outcome::Failed(failure),
            Err(JobError::Cancelled) if self.stopping && !active.unwanted => Outcome::Interrupted,
            Err(JobError::Cancelled) => Outcome::Cancelled,
            Err(JobError::Midway { done, error }) => {
                active.job.has_done(*done);
                self.outcome(active, Err(*error))
            }
        }
    }

    async fn end(&mut self, id: JobId, active: Active, outcome: Outcome) -> Result<(), StateError> {
        let Active { job, live, .. } = active;
        let ended = job.end(outcome, live.progress.now(), self.clock.now());
        self.finish(id, ended, &live).await
    }

    /// Stores a terminal state and tells it.
    async fn finish(&mut self, id: JobId, ended: Ended, live: &LiveJob) -> Result<(), StateError> {
        let job = ended.job();
        let outcome = state_word(job.state());
        if let Some(failure) = &job.failure {
            let level = if job.state() == JobState::Skipped { LogLevel::Warning } else { LogLevel::Error };
            live.log.add(level, failure.message.clone());
        }
        live.log.add(LogLevel::Info, format!("ended: {outcome}"));
        self.state.save(id, job.clone(), live.log.take_unstored()).await?;
        live.tell(job.clone());
        live.log.close();
        self.live.remove(id);
        self.queue.remove(id);

        let failure = job.failure.as_ref();
        let reason = failure.map(|failure| failure.reason.as_str());
        let error = failure.map(|failure| failure.message.as_str());
        tracing::info!(job = %id, repository = job.repository, outcome, reason, error, "job ended");
        Ok(())
    }

    async fn stop(&mut self, grace: Duration) -> Result<(), StateError> {
        self.stopping = true;
        for (id, Waiting { job, live, .. }) in std::mem::take(&mut self.waiting) {
            let ended = job.interrupt(self.clock.now());
            self.finish(id, ended, &live).await?;
        }
        for active in self.running.values() {
            active.cancel.cancel();
        }
        let deadline = Instant::now() + grace;
        while !self.running.is_empty() {
            let Ok(Some(command)) = timeout_at(deadline, self.commands.recv()).await else { break };
            self.obey(command).await?;
        }
        for (id, active) in std::mem::take(&mut self.running) {
            tracing::warn!(job = %id, "the job did not stop within the grace period");
            self.end(id, active, Outcome::Interrupted).await?;
        }
        Ok(())
    }
}

/// Puts what a job found on the disk. If that cannot be done, it is said, and ends no job.
async fn keep_findings(id: JobId, live: &LiveJob) {
    let findings = live.findings.clone();
    let closed = tokio::task::spawn_blocking(move || findings.close()).await;
    if let Some(missing) = closed.unwrap_or_else(|panic| Some(panic.to_string())) {
        live.log.add(LogLevel::Warning, format!("the list of what was found is not whole: {missing}"));
        tracing::warn!(job = %id, missing, "the list of what the job found is not whole");
    }
}

/// Runs a job and, while it runs, tells how far it is and calls `store`.
async fn tell_while<T>(run: impl Future<Output = T>, live: &LiveJob, store: impl Fn()) -> T {
    let mut run = std::pin::pin!(run);
    let mut ticks = interval(TELL_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            result = &mut run => return result,
            _ = ticks.tick() => {
                live.tell_progress();
                store();
            }
        }
    }
}

fn busy(profiles: &[String], holder: JobId) -> Failure {
    let profiles = profiles.join(", ");
    Failure::new(Reason::ProfileBusy, format!("job {holder} holds profile {profiles}: nothing was done"))
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    Failure::internal(format!(
        "the job panicked ({}): this is a bug in cloudsticd, please report it",
        panic_text(panic)
    ))
}
