//! The service `Locks`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cloudstic_proto::v1::{self, locks_server::Locks};
use tonic::{Request, Response, Status};

use super::{Services, admit, guard};
use crate::failure::Failure;
use crate::supervisor::JobId;

/// How long a job that was cancelled for its lock may take to stop before the lock is removed all the same.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct LocksService(pub(super) Arc<Services>);

#[tonic::async_trait]
impl Locks for LocksService {
    async fn list(&self, request: Request<v1::ListLocksRequest>) -> Result<Response<v1::ListLocksResponse>, Status> {
        let locks = self.0.queries.locks(&request.into_inner().repository).await?;
        Ok(Response::new(v1::ListLocksResponse { locks }))
    }

    async fn r#break(
        &self,
        request: Request<v1::BreakLocksRequest>,
    ) -> Result<Response<v1::BreakLocksResponse>, Status> {
        admit::break_locks(&guard::caller(&request)?, &self.0.access)?;
        let repository = request.into_inner().repository;
        // A job that waits in the queue must not take a lock just to lose it again.
        let _hold = self.0.supervisor.hold(&repository).await?;
        let found = self.0.queries.locks(&repository).await?;
        let own: BTreeSet<JobId> = found.iter().filter_map(|lock| lock.job_id.parse().ok()).collect();
        futures::future::try_join_all(own.iter().map(|id| self.stop(*id))).await?;

        let mut removed = self.0.queries.break_locks(&repository).await?;
        // What the jobs gave back themselves is gone as well.
        let given_back = |lock: &v1::Lock| !lock.job_id.is_empty() && removed.iter().all(|other| other.key != lock.key);
        let given_back: Vec<_> = found.into_iter().filter(given_back).collect();
        removed.extend(given_back);
        let cancelled_jobs = own.iter().map(ToString::to_string).collect();
        Ok(Response::new(v1::BreakLocksResponse { removed, cancelled_jobs }))
    }
}

impl LocksService {
    /// Cancels a job and waits, not for ever, until it has ended.
    async fn stop(&self, id: JobId) -> Result<(), Failure> {
        self.0.supervisor.cancel(id).await?;
        let mut updates = self.0.supervisor.watch(id).await?;
        if tokio::time::timeout(PATIENCE, updates.last()).await.is_err() {
            tracing::warn!(job = %id, "the job has not stopped, and loses its lock");
        }
        Ok(())
    }
}
