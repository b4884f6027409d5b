//! Jobs that have not ended yet, and how to watch them.
//!
//! Each has one slot that holds the newest state; watchers look at the slot at their own pace. So a slow watcher costs
//! nothing and holds up nobody, progress coalesces by itself, and the last thing in the slot, which every watcher gets
//! to see, is the terminal state.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use cloudstic_proto::v1::{self, JobState};
use tokio::sync::watch;

use super::id::JobId;
use super::job::is_terminal;
use super::log::JobLog;
use super::progress::JobProgress;
use crate::state::FindingsLog;

/// One job that has not ended.
#[derive(Debug)]
pub struct LiveJob {
    /// Its log.
    pub log: Arc<JobLog>,
    /// How far it is.
    pub progress: Arc<JobProgress>,
    /// What it finds.
    pub findings: Arc<FindingsLog>,
    newest: watch::Sender<v1::Job>,
}

impl LiveJob {
    /// A job that was stored just now.
    pub fn new(job: v1::Job, log: Arc<JobLog>, findings: FindingsLog) -> Self {
        let findings = Arc::new(findings);
        let progress = Arc::new(JobProgress::new(log.clone(), findings.clone()));
        Self { progress, log, findings, newest: watch::Sender::new(job) }
    }

    /// Tells everybody of a state that is stored.
    pub fn tell(&self, job: v1::Job) {
        self.newest.send_replace(job);
    }

    /// Tells everybody how far it is, while it runs.
    pub fn tell_progress(&self) {
        let progress = self.progress.now();
        self.newest.send_if_modified(|job| {
            let news = job.state() == JobState::Running && job.progress.as_ref() != Some(&progress);
            if news {
                job.progress = Some(progress);
            }
            news
        });
    }

    /// As it is now.
    pub fn now(&self) -> v1::Job {
        self.newest.borrow().clone()
    }
}

/// All jobs that have not ended.
#[derive(Debug, Default)]
pub struct LiveJobs(RwLock<BTreeMap<JobId, Arc<LiveJob>>>);

impl LiveJobs {
    /// A new one.
    pub fn insert(&self, id: JobId, job: Arc<LiveJob>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id, job);
    }

    /// One has ended; its watchers still get what is in its slot.
    pub fn remove(&self, id: JobId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// One of them.
    pub fn get(&self, id: JobId) -> Option<Arc<LiveJob>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// All of them, oldest first.
    pub fn all(&self) -> Vec<v1::Job> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().map(|job| job.now()).collect()
    }
}

/// A job as it is now, then every change of it, up to its terminal state.
#[derive(Debug)]
pub struct JobUpdates(Source);

#[derive(Debug)]
enum Source {
    Live { newest: watch::Receiver<v1::Job>, first: bool },
    Ended(Box<v1::Job>),
    Over,
}

impl JobUpdates {
    /// Of a job that lives.
    pub fn live(job: &LiveJob) -> Self {
        Self(Source::Live { newest: job.newest.subscribe(), first: true })
    }

    /// Of a job that is over.
    pub fn ended(job: v1::Job) -> Self {
        Self(Source::Ended(Box::new(job)))
    }

    /// The next one; `None` after the terminal state, or when the daemon stops without reaching one.
    pub async fn next(&mut self) -> Option<v1::Job> {
        let job = match &mut self.0 {
            Source::Live { newest, first } => {
                if !std::mem::take(first) && newest.changed().await.is_err() {
                    self.0 = Source::Over;
                    return None;
                }
                newest.borrow_and_update().clone()
            }
            Source::Ended(job) => std::mem::take(&mut **job),
            Source::Over => return None,
        };
        if is_terminal(job.state()) {
            self.0 = Source::Over;
        }
        Some(job)
    }

    /// The terminal state; `None` when the daemon stops without reaching one.
    pub async fn last(&mut self) -> Option<v1::Job> {
        while let Some(job) = self.next().await {
            if is_terminal(job.state()) {
                return Some(job);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock::SteppingClock;
    use crate::state::FindingsFolder;
    use cloudstic_engine::progress::Progress;

    fn live(job: v1::Job) -> LiveJob {
        let log = Arc::new(JobLog::new(Arc::new(SteppingClock::default())));
        let folder = Arc::new(FindingsFolder::new("/nonexistent".as_ref()));
        LiveJob::new(job, log, folder.log(JobId(1)))
    }

    fn job(state: JobState) -> v1::Job {
        v1::Job { state: state.into(), ..v1::Job::default() }
    }

    #[tokio::test]
    async fn a_slow_watcher_misses_progress_but_never_the_end() {
        let live = live(job(JobState::Running));
        let mut updates = JobUpdates::live(&live);
        assert_eq!(updates.next().await.unwrap().state(), JobState::Running);
        for _ in 0..1000 {
            live.progress.advance(1, 1);
            live.tell_progress();
        }
        live.tell(job(JobState::Succeeded));
        live.progress.advance(1, 1);
        live.tell_progress();
        drop(live);
        assert_eq!(updates.next().await.unwrap().state(), JobState::Succeeded);
        assert_eq!(updates.next().await, None);
    }

    #[tokio::test]
    async fn a_watcher_of_a_job_that_nobody_ends_is_let_go() {
        let live = live(job(JobState::Running));
        let mut updates = JobUpdates::live(&live);
        drop(live);
        assert_eq!(updates.last().await, None);
    }
}
