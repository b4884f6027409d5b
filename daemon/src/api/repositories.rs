//! The service `Repositories`.

use std::sync::Arc;

use bytes::Bytes;
use cloudstic_proto::v1::{self, JobState, repositories_server::Repositories};
use futures::stream::{self, BoxStream, Stream, StreamExt};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};
use v1::archive_part::Part;

use super::{Services, admit, guard};
use crate::failure::Failure;
use crate::operations::Answer;
use crate::supervisor::{JobId, Supervisor, state_word};

/// How many pieces of an archive wait for a slow caller at most; each has at most 256 KiB.
const PIECES_AHEAD: usize = 16;

pub(super) struct RepositoriesService(pub(super) Arc<Services>);

#[tonic::async_trait]
impl Repositories for RepositoriesService {
    type ListEntriesStream = BoxStream<'static, Result<v1::Entries, Status>>;
    type RestoreArchiveStream = BoxStream<'static, Result<v1::ArchivePart, Status>>;
    type DiffStream = BoxStream<'static, Result<v1::DiffPart, Status>>;
    type FindStream = BoxStream<'static, Result<v1::FindPart, Status>>;
    type ReadFileStream = BoxStream<'static, Result<v1::FilePart, Status>>;
    type ReadObjectStream = BoxStream<'static, Result<v1::ObjectPart, Status>>;

    async fn list(
        &self,
        _: Request<v1::ListRepositoriesRequest>,
    ) -> Result<Response<v1::ListRepositoriesResponse>, Status> {
        let config = &self.0.config;
        let info = |(name, repository): (&String, &crate::config::RepositoryConfig)| v1::RepositoryInfo {
            name: name.clone(),
            store: repository.store.to_string(),
            profiles: config.profiles_of(name).map(str::to_owned).collect(),
        };
        let repositories = config.repositories.iter().map(info).collect();
        Ok(Response::new(v1::ListRepositoriesResponse { repositories }))
    }

    async fn init(&self, request: Request<v1::InitRequest>) -> Result<Response<v1::InitResponse>, Status> {
        Ok(Response::new(self.0.queries.init(request.into_inner()).await?))
    }

    async fn list_snapshots(
        &self,
        request: Request<v1::ListSnapshotsRequest>,
    ) -> Result<Response<v1::ListSnapshotsResponse>, Status> {
        Ok(Response::new(self.0.queries.snapshots(request.into_inner()).await?))
    }

    async fn list_entries(
        &self,
        request: Request<v1::ListEntriesRequest>,
    ) -> Result<Response<Self::ListEntriesStream>, Status> {
        Ok(Response::new(parts(self.0.queries.entries(request.into_inner()).await?)))
    }

    async fn restore_archive(
        &self,
        request: Request<v1::ArchiveSpec>,
    ) -> Result<Response<Self::RestoreArchiveStream>, Status> {
        let caller = guard::caller(&request)?;
        let Services { supervisor, config, .. } = &*self.0;
        let (output, pieces) = mpsc::channel(PIECES_AHEAD);
        let submission = admit::archive(request.into_inner(), &caller, config, output)?;
        let job = supervisor.submit(submission).await?;
        let id = job.id.parse().map_err(|_| Failure::internal("a job with a malformed id"))?;
        let archive = Archive { id, supervisor: supervisor.clone(), pieces };
        Ok(Response::new(archive.parts(job.id).boxed()))
    }

    async fn diff(&self, request: Request<v1::DiffRequest>) -> Result<Response<Self::DiffStream>, Status> {
        Ok(Response::new(parts(self.0.queries.diff(request.into_inner()).await?)))
    }

    async fn find(&self, request: Request<v1::FindRequest>) -> Result<Response<Self::FindStream>, Status> {
        let request = request.into_inner();
        admit::not_both(&request.snapshots, request.filter.as_ref())?;
        Ok(Response::new(parts(self.0.queries.find(request).await?)))
    }

    async fn read_file(&self, request: Request<v1::ReadFileRequest>) -> Result<Response<Self::ReadFileStream>, Status> {
        Ok(Response::new(parts(self.0.queries.read_file(request.into_inner()).await?)))
    }

    async fn read_object(
        &self,
        request: Request<v1::ReadObjectRequest>,
    ) -> Result<Response<Self::ReadObjectStream>, Status> {
        let show_secrets = self.0.access.is_master(&guard::caller(&request)?);
        Ok(Response::new(parts(self.0.queries.read_object(request.into_inner(), show_secrets).await?)))
    }
}

/// An answer as a stream of messages.
fn parts<T: Send + 'static>(answer: Answer<T>) -> BoxStream<'static, Result<T, Status>> {
    let parts = stream::unfold(answer, |mut answer| async move {
        let part = answer.parts.recv().await?;
        Some((part.map_err(Status::from), answer))
    });
    parts.boxed()
}

/// The output of an archive job. Dropping it, because the caller has gone or has it all, cancels the job; one that has
/// ended does not mind.
struct Archive {
    id: JobId,
    supervisor: Supervisor,
    pieces: mpsc::Receiver<Bytes>,
}

impl Drop for Archive {
    fn drop(&mut self) {
        self.supervisor.abandon(self.id);
    }
}

impl Archive {
    /// The job's id, the data, and at the end the report or the failure.
    fn parts(self, id: String) -> impl Stream<Item = Result<v1::ArchivePart, Status>> {
        let first = stream::once(async move { Ok(part(Part::JobId(id))) });
        let rest = stream::unfold(Some(self), |archive| async move {
            let mut archive = archive?;
            match archive.pieces.recv().await {
                Some(piece) => Some((Ok(part(Part::Data(piece))), Some(archive))),
                None => Some((archive.end().await.map_err(Status::from), None)),
            }
        });
        first.chain(rest)
    }

    async fn end(&self) -> Result<v1::ArchivePart, Failure> {
        let ended = self.supervisor.watch(self.id).await?.last().await;
        let job = ended.ok_or_else(Failure::shutting_down)?;
        match (job.state(), job.report, job.failure) {
            (JobState::Succeeded | JobState::Partial, Some(v1::job::Report::Restore(report)), _) => {
                Ok(part(Part::Report(report)))
            }
            (JobState::Interrupted, ..) => Err(Failure::shutting_down()),
            (_, _, Some(failure)) => Err(Failure::from_message(&failure)),
            (state, ..) => {
                let message = format!("the job that makes the archive ended {}", state_word(state));
                Err(Failure::new(cloudstic_proto::Reason::Cancelled, message))
            }
        }
    }
}

fn part(part: Part) -> v1::ArchivePart {
    v1::ArchivePart { part: Some(part) }
}
