//! Jobs that stop midway: what they had done by then goes with their end, whatever ended them.

use std::sync::{Mutex, PoisonError};

use cloudstic_engine::midway::Midway;
use cloudstic_proto::v1::job::Report;

use crate::supervisor::JobError;

/// Holds what an operation had done when it stopped. A lost lock takes the place of its error, and must not take that too.
pub(super) struct Kept<R>(Mutex<Option<R>>);

impl<R> Kept<R> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Does the work; its error goes on without what was done.
    pub(super) async fn keep<E: Midway<Report = R>>(&self, work: impl Future<Output = Result<R, E>>) -> Result<R, E> {
        work.await.map_err(|error| {
            let (error, done) = error.into_done();
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = done;
            error
        })
    }

    /// The end of the job: with a report if something was done.
    pub(super) fn with(self, error: JobError, message: impl FnOnce(R) -> Report) -> JobError {
        match self.0.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(done) => JobError::Midway { done: Box::new(message(done)), error: Box::new(error) },
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use cloudstic_engine::copy::{CopyError, CopyReport};
    use cloudstic_engine::lock::{LockLost, LostReason};
    use cloudstic_proto::v1;

    use super::*;

    #[tokio::test]
    async fn what_was_done_outlives_the_error_that_brought_it() {
        let done = CopyReport { files: 7, ..CopyReport::default() };
        let stopped = CopyError::Midway { done: done.into(), error: CopyError::Cancelled.into() };
        let kept = Kept::new();
        let error = kept.keep(std::future::ready(Err::<CopyReport, _>(stopped))).await.unwrap_err();
        assert!(matches!(error, CopyError::Cancelled), "{error}");
        // As a lease does when it is lost.
        let lost = LockLost { operation: "copy".to_owned(), reason: LostReason::Gone, left: None };
        let lost = JobError::from(CopyError::LockLost(lost));
        let message =
            |done: CopyReport| Report::Copy(v1::CopyReport { files: done.files, ..v1::CopyReport::default() });
        let report = v1::CopyReport { files: 7, ..v1::CopyReport::default() };
        let midway = JobError::Midway { done: Box::new(Report::Copy(report)), error: Box::new(lost.clone()) };
        assert_eq!(kept.with(lost, message), midway);

        let kept = Kept::new();
        let nothing = kept.keep(std::future::ready(Err(CopyError::Cancelled))).await.unwrap_err();
        assert_eq!(kept.with(nothing.into(), message), JobError::Cancelled);
    }
}
