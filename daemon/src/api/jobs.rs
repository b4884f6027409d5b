//! The service `Jobs`.

use std::sync::Arc;

use cloudstic_proto::v1::{self, jobs_server::Jobs};
use futures::stream::{self, BoxStream, Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::{Services, admit, guard};
use crate::failure::Failure;
use crate::supervisor::{FoundSource, JobId, JobUpdates, LogFollower, LogSource, is_terminal};

/// How many jobs a list has unless the caller says otherwise, and at most.
const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 1000;

pub(super) struct JobsService(pub(super) Arc<Services>);

#[tonic::async_trait]
impl Jobs for JobsService {
    type WatchStream = BoxStream<'static, Result<v1::JobEvent, Status>>;
    type LogsStream = BoxStream<'static, Result<v1::LogLine, Status>>;
    type FindingsStream = BoxStream<'static, Result<v1::Findings, Status>>;

    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::Job>, Status> {
        let caller = guard::caller(&request)?;
        let Services { access, config, supervisor, .. } = &*self.0;
        let submission = admit::job(request.into_inner().spec, &caller, access, config)?;
        Ok(Response::new(supervisor.submit(submission).await?))
    }

    async fn get(&self, request: Request<v1::GetJobRequest>) -> Result<Response<v1::Job>, Status> {
        let id = job_id(&request.into_inner().id)?;
        Ok(Response::new(self.0.supervisor.job(id).await?))
    }

    async fn list(&self, request: Request<v1::ListJobsRequest>) -> Result<Response<v1::ListJobsResponse>, Status> {
        let v1::ListJobsRequest { limit, repository } = request.into_inner();
        let limit = if limit == 0 { DEFAULT_LIMIT } else { MAX_LIMIT.min(limit as usize) };
        let jobs = self.0.supervisor.jobs(limit, &repository).await?;
        Ok(Response::new(v1::ListJobsResponse { jobs }))
    }

    async fn cancel(&self, request: Request<v1::CancelJobRequest>) -> Result<Response<v1::Job>, Status> {
        let caller = guard::caller(&request)?;
        let id = job_id(&request.into_inner().id)?;
        let job = self.0.supervisor.cancel(id).await?;
        tracing::info!(job = %id, uid = caller.uid, "a caller asked the job to stop");
        Ok(Response::new(job))
    }

    async fn watch(&self, request: Request<v1::WatchJobRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let id = job_id(&request.into_inner().id)?;
        let updates = self.0.supervisor.watch(id).await?;
        Ok(Response::new(events(updates).boxed()))
    }

    async fn logs(&self, request: Request<v1::JobLogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
        let v1::JobLogsRequest { id, follow } = request.into_inner();
        let lines = match self.0.supervisor.log(job_id(&id)?).await? {
            LogSource::Stored(lines) => stream::iter(lines).boxed(),
            LogSource::Live(mut follower) => {
                let ready = stream::iter(follower.ready());
                if follow { ready.chain(grown(follower)).boxed() } else { ready.boxed() }
            }
        };
        Ok(Response::new(lines.map(Ok).boxed()))
    }

    async fn findings(
        &self,
        request: Request<v1::JobFindingsRequest>,
    ) -> Result<Response<Self::FindingsStream>, Status> {
        let source = self.0.supervisor.findings(job_id(&request.into_inner().id)?).await?;
        Ok(Response::new(found(source).boxed()))
    }
}

/// A batch at a time, each read when the one before it is on its way.
fn found(source: FoundSource) -> impl Stream<Item = Result<v1::Findings, Status>> {
    stream::unfold(Some(source), |source| async move {
        match source?.batch().await {
            Ok((findings, _)) if findings.is_empty() => None,
            Ok((findings, source)) => Some((Ok(v1::Findings { findings }), Some(source))),
            Err(failure) => Some((Err(failure.into()), None)),
        }
    })
}

/// The updates up to the terminal one. Without that one, the end of the stream would lie.
fn events(updates: JobUpdates) -> impl Stream<Item = Result<v1::JobEvent, Status>> {
    stream::unfold((updates, false), |(mut updates, over)| async move {
        if over {
            return None;
        }
        match updates.next().await {
            Some(job) => {
                let over = is_terminal(job.state());
                Some((Ok(v1::JobEvent { job: Some(job) }), (updates, over)))
            }
            None => Some((Err(Failure::shutting_down().into()), (updates, true))),
        }
    })
}

/// The lines that a job logs from here to its end.
fn grown(follower: LogFollower) -> impl Stream<Item = v1::LogLine> {
    let chunks = stream::unfold(follower, |mut follower| async move {
        let lines = follower.wait().await?;
        Some((stream::iter(lines), follower))
    });
    chunks.flatten()
}

fn job_id(text: &str) -> Result<JobId, Failure> {
    text.parse().map_err(|error| Failure::bad_request(format!("{text:?} is no job: {error}")))
}
