//! Every background task of the daemon is spawned here, has a kind, and is waited for here.
//!
//! The one invariant: no task dies unseen. What its end means is a matter of its kind: without a vital one the daemon
//! cannot do its work, so it stops; the failure of any other is logged.

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a task is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskKind {
    /// The owner of all jobs.
    Supervisor,
    /// The API's server.
    Api,
    /// What serves metrics.
    Http,
    /// One job.
    Job,
    /// Reads something for a caller of the API.
    Query,
    /// Changes something for a caller of the API, to its end even if the caller goes away.
    Change,
}

impl TaskKind {
    /// Whether the daemon cannot go on without it.
    const fn is_vital(self) -> bool {
        matches!(self, Self::Supervisor | Self::Api)
    }
}

/// How a task ends.
pub type TaskResult = Result<(), Box<dyn Error + Send + Sync>>;

/// All tasks. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    /// Cancelled when a vital task failed.
    faulted: CancellationToken,
    fault: Arc<Mutex<Option<String>>>,
}

impl Tasks {
    /// Runs a task.
    pub fn spawn(&self, kind: TaskKind, task: impl Future<Output = TaskResult> + Send + 'static) {
        let tasks = self.clone();
        self.tracker.spawn(async move {
            let problem = match AssertUnwindSafe(task).catch_unwind().await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(panic) => panic_text(panic.as_ref()),
            };
            tasks.failed(kind, problem);
        });
    }

    /// Runs blocking work, on a thread for such.
    pub fn spawn_blocking(&self, kind: TaskKind, work: impl FnOnce() + Send + 'static) {
        let tasks = self.clone();
        self.tracker.spawn_blocking(move || {
            if let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(work)) {
                tasks.failed(kind, panic_text(panic.as_ref()));
            }
        });
    }

    /// Why the daemon cannot go on; waits until that is so.
    pub async fn fault(&self) -> String {
        self.faulted.cancelled().await;
        self.fault_so_far().unwrap_or_default()
    }

    /// The same without waiting.
    pub fn fault_so_far(&self) -> Option<String> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until all tasks have ended. Nothing may be spawned from here on.
    pub async fn wait(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    fn failed(&self, kind: TaskKind, problem: String) {
        tracing::error!(?kind, problem, "a task of the daemon failed");
        if kind.is_vital() {
            self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(problem);
            self.faulted.cancel();
        }
    }
}

/// What a panic said.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    #[tokio::test]
    async fn a_vital_task_that_panics_stops_the_daemon_and_another_does_not() {
        let tasks = Tasks::default();
        tasks.spawn(TaskKind::Query, async { panic!("a query") });
        tasks.spawn(TaskKind::Query, async { Err("another query".into()) });
        tasks.spawn_blocking(TaskKind::Query, || panic!("a third"));
        tasks.wait().await;
        assert!(tasks.fault().now_or_never().is_none());

        let tasks = Tasks::default();
        tasks.spawn(TaskKind::Api, async { panic!("the API") });
        assert_eq!(tasks.fault().await, "the API");
    }
}
