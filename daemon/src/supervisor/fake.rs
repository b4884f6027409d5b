//! A runner for tests: each job waits until the test says how it ends.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

use super::*;

/// How the test lets a job end.
pub(crate) enum Verdict {
    Report(v1::job::Report),
    Fail(Failure),
    Stop(JobError),
    Panic,
}

/// A job that has started.
pub(crate) struct Started {
    pub(crate) work: Work,
    pub(crate) context: JobContext,
    verdict: oneshot::Sender<Verdict>,
}

impl Started {
    pub(crate) fn end(self, verdict: Verdict) {
        let _ = self.verdict.send(verdict);
    }

    pub(crate) fn succeed(self) {
        self.end(Verdict::Report(v1::job::Report::Restore(v1::RestoreReport::default())));
    }
}

pub(crate) struct FakeRunner {
    started: mpsc::UnboundedSender<Started>,
    /// Whether a job that is asked to stop does so.
    obedient: bool,
}

/// The jobs that start, in order.
pub(crate) struct Starts(Mutex<mpsc::UnboundedReceiver<Started>>);

impl Starts {
    pub(crate) async fn next(&self) -> Started {
        match self.0.lock().await.recv().await {
            Some(started) => started,
            None => unreachable!("the runner is gone"),
        }
    }

    /// Whether a job has started that was not taken yet.
    pub(crate) async fn any(&self) -> bool {
        !self.0.lock().await.is_empty()
    }
}

pub(crate) fn fake_runner(obedient: bool) -> (Arc<FakeRunner>, Starts) {
    let (started, starts) = mpsc::unbounded_channel();
    (Arc::new(FakeRunner { started, obedient }), Starts(Mutex::new(starts)))
}

#[async_trait::async_trait]
impl JobRunner for FakeRunner {
    async fn run(&self, work: Work, context: JobContext) -> Result<v1::job::Report, JobError> {
        let (verdict, decided) = oneshot::channel();
        let cancel = context.cancel.clone();
        let _ = self.started.send(Started { work, context, verdict });
        let verdict = tokio::select! {
            verdict = decided => verdict,
            () = cancel.cancelled(), if self.obedient => return Err(JobError::Cancelled),
        };
        match verdict {
            Ok(Verdict::Report(report)) => Ok(report),
            Ok(Verdict::Fail(failure)) => Err(JobError::Failed(failure)),
            Ok(Verdict::Stop(error)) => Err(error),
            #[allow(clippy::panic)]
            Ok(Verdict::Panic) => panic!("out of luck"),
            Err(_) => Err(JobError::Cancelled),
        }
    }
}
