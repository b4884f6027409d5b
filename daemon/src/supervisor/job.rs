//! The life of a job, as types: [`Queued`] → [`Running`] → [`Ended`].
//!
//! A transition takes the old state and gives the new one, and nothing leads out of [`Ended`]. So the one invariant,
//! that a job has exactly one terminal state, ever, is checked by the compiler within this process;
//! [`crate::state`] refuses to overwrite an ended job for all the rest.

use std::time::SystemTime;

use cloudstic_proto::MAX_MESSAGE_BYTES;
use cloudstic_proto::v1::{self, JobState};

use super::id::JobId;
use crate::failure::Failure;

/// A job that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Queued(v1::Job);

/// A job that runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Running(v1::Job);

/// A job that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended(v1::Job);

/// How a run went.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// To its end; warnings in the report make it `partial`, faults that were looked for `failed`.
    Done(v1::job::Report),
    /// Not to its end.
    Failed(Failure),
    /// Somebody asked it to stop.
    Cancelled,
    /// The daemon stopped.
    Interrupted,
}

/// What a new job is.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// What it is to do.
    pub spec: v1::JobSpec,
    /// The repository's name.
    pub repository: String,
    /// The profile's name, or nothing.
    pub profile: String,
    /// Who asked for it.
    pub uid: u32,
}

impl Queued {
    /// A new job.
    pub fn new(id: JobId, description: Description, now: SystemTime) -> Self {
        let Description { spec, repository, profile, uid } = description;
        Self(v1::Job {
            id: id.to_string(),
            spec: Some(spec),
            state: JobState::Queued.into(),
            submitted_at: Some(now.into()),
            uid,
            repository,
            profile,
            ..v1::Job::default()
        })
    }

    /// It starts.
    pub fn start(mut self, now: SystemTime) -> Running {
        self.0.state = JobState::Running.into();
        self.0.started_at = Some(now.into());
        Running(self.0)
    }

    /// Somebody does not want it any more.
    pub fn cancel(self, now: SystemTime) -> Ended {
        Ended::of(self.0, JobState::Cancelled, now)
    }

    /// The daemon stops before it started.
    pub fn interrupt(self, now: SystemTime) -> Ended {
        Ended::of(self.0, JobState::Interrupted, now)
    }

    /// Another job is at it; `reason` says which.
    pub fn skip(mut self, reason: Failure, now: SystemTime) -> Ended {
        self.0.failure = Some(reason.to_message());
        Ended::of(self.0, JobState::Skipped, now)
    }

    /// As the API has it.
    pub fn job(&self) -> &v1::Job {
        &self.0
    }
}

impl Running {
    /// It has done something for good, whatever becomes of the rest.
    pub fn has_done(&mut self, report: v1::job::Report) {
        self.0.report = Some(fitting(report));
    }

    /// It is over; `progress` is how far it came.
    pub fn end(mut self, outcome: Outcome, progress: v1::Progress, now: SystemTime) -> Ended {
        self.0.progress = Some(progress);
        let state = match outcome {
            Outcome::Done(report) => {
                // What looks for faults has done its work when it finds some, and all is not well then.
                self.0.failure = report.failure();
                let state = match (&self.0.failure, report.is_partial()) {
                    (Some(_), _) => JobState::Failed,
                    (None, false) => JobState::Succeeded,
                    (None, true) => JobState::Partial,
                };
                self.0.report = Some(fitting(report));
                state
            }
            Outcome::Failed(failure) => {
                self.0.failure = Some(failure.to_message());
                JobState::Failed
            }
            Outcome::Cancelled => JobState::Cancelled,
            Outcome::Interrupted => JobState::Interrupted,
        };
        Ended::of(self.0, state, now)
    }

    /// As the API has it.
    pub fn job(&self) -> &v1::Job {
        &self.0
    }
}

/// Whatever it has, everybody can be told of it: the job fits into one message with it.
fn fitting(mut report: v1::job::Report) -> v1::job::Report {
    report.fit(MAX_MESSAGE_BYTES / 2);
    report
}

impl Ended {
    fn of(mut job: v1::Job, state: JobState, now: SystemTime) -> Self {
        job.state = state.into();
        job.ended_at = Some(now.into());
        Self(job)
    }

    /// What a dead daemon left behind: a job of its that had not ended is interrupted; one that had is left alone.
    pub fn left_behind(job: v1::Job, now: SystemTime) -> Option<Self> {
        (!is_terminal(job.state())).then(|| Self::of(job, JobState::Interrupted, now))
    }

    /// As the API has it.
    pub fn job(&self) -> &v1::Job {
        &self.0
    }
}

/// Whether a job in this state is over.
pub const fn is_terminal(state: JobState) -> bool {
    match state {
        JobState::Unspecified | JobState::Queued | JobState::Running => false,
        JobState::Succeeded | JobState::Partial | JobState::Failed => true,
        JobState::Cancelled | JobState::Interrupted | JobState::Skipped => true,
    }
}

/// The word for a state that the log and messages use.
pub const fn state_word(state: JobState) -> &'static str {
    match state {
        JobState::Unspecified => "unknown",
        JobState::Queued => "queued",
        JobState::Running => "running",
        JobState::Succeeded => "succeeded",
        JobState::Partial => "partial",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
        JobState::Interrupted => "interrupted",
        JobState::Skipped => "skipped",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn queued() -> Queued {
        let description =
            Description { spec: v1::JobSpec::default(), repository: "main".into(), profile: String::new(), uid: 7 };
        Queued::new(JobId(1), description, SystemTime::UNIX_EPOCH)
    }

    fn restored(warning_count: u64) -> Outcome {
        Outcome::Done(v1::job::Report::Restore(v1::RestoreReport { warning_count, ..Default::default() }))
    }

    #[test]
    fn warnings_make_a_run_partial() {
        let now = SystemTime::UNIX_EPOCH;
        let end = |outcome| queued().start(now).end(outcome, v1::Progress::default(), now);
        assert_eq!(end(restored(0)).job().state(), JobState::Succeeded);
        assert_eq!(end(restored(1)).job().state(), JobState::Partial);
    }

    #[test]
    fn a_check_that_finds_faults_has_failed_and_tells_them() {
        let now = SystemTime::UNIX_EPOCH;
        let check = |fault_count| v1::job::Report::Check(v1::CheckReport { fault_count, ..Default::default() });
        let end = |count| queued().start(now).end(Outcome::Done(check(count)), v1::Progress::default(), now);
        assert_eq!((end(0).job().state(), &end(0).job().failure), (JobState::Succeeded, &None));
        let found = end(2).job().clone();
        assert_eq!(found.state(), JobState::Failed);
        assert_eq!(found.failure.unwrap().reason, "DAMAGED");
        assert_eq!(found.report, Some(check(2)));
    }

    #[test]
    fn what_was_done_before_a_failure_or_a_cancel_is_told_with_it() {
        let (now, forgotten) = (SystemTime::UNIX_EPOCH, v1::job::Report::Forget(v1::ForgetReport::default()));
        let end = |outcome| {
            let mut running = queued().start(now);
            running.has_done(forgotten.clone());
            running.end(outcome, v1::Progress::default(), now).job().clone()
        };
        let failed = end(Outcome::Failed(Failure::internal("the prune failed")));
        assert_eq!((failed.state(), failed.report.as_ref()), (JobState::Failed, Some(&forgotten)));
        assert_eq!(failed.failure.unwrap().message, "the prune failed");
        let cancelled = end(Outcome::Cancelled);
        assert_eq!((cancelled.state(), cancelled.report), (JobState::Cancelled, Some(forgotten)));
    }

    #[test]
    fn what_a_dead_daemon_left_is_interrupted_once() {
        let now = SystemTime::UNIX_EPOCH;
        for job in [queued().job().clone(), queued().start(now).job().clone()] {
            let ended = Ended::left_behind(job, now).unwrap();
            assert_eq!(ended.job().state(), JobState::Interrupted);
            assert_eq!(Ended::left_behind(ended.job().clone(), now), None);
        }
        let cancelled = queued().cancel(now);
        assert_eq!(Ended::left_behind(cancelled.job().clone(), now), None);
    }
}
