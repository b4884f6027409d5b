//! The daemon's side of the API, with canned answers.
//!
//! Tests set what it shall answer, and look at what it was asked.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use cloudstic_proto::v1::{
    ArchivePart, ArchiveSpec, BreakLocksRequest, BreakLocksResponse, CancelJobRequest, ChangeKeysRequest,
    ChangeKeysResponse, DiffPart, DiffRequest, Entries, FilePart, FindPart, FindRequest, Findings, GetJobRequest,
    InitRequest, InitResponse, Job, JobEvent, JobFindingsRequest, JobLogsRequest, JobSpec, JobState,
    ListEntriesRequest, ListJobsRequest, ListJobsResponse, ListKeysRequest, ListKeysResponse, ListLocksRequest,
    ListLocksResponse, ListRepositoriesRequest, ListRepositoriesResponse, ListSnapshotsRequest, ListSnapshotsResponse,
    LogLine, ObjectPart, ReadFileRequest, ReadObjectRequest, StatusRequest, StatusResponse, SubmitRequest,
    VersionRequest, VersionResponse, WatchJobRequest, daemon_server, jobs_server, keys_server, locks_server,
    repositories_server,
};
use cloudstic_proto::{REASON_KEY, Reason};
use tokio::net::UnixListener;
use tokio::sync::{Notify, mpsc};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;
type Stream<T> = ReceiverStream<Result<T, Status>>;

/// What is answered and what was asked.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) status: StatusResponse,
    /// The refusal of the next calls that may be refused.
    pub(crate) refusal: Option<Status>,
    /// The job at submit, and at each event after it.
    pub(crate) jobs: Vec<Job>,
    /// After the jobs, waits to be cancelled and then ends with this one; if it is running, it does not end.
    pub(crate) when_cancelled: Option<Job>,
    pub(crate) logs: Vec<LogLine>,
    pub(crate) findings: Vec<Findings>,
    pub(crate) init: InitResponse,
    pub(crate) repositories: ListRepositoriesResponse,
    pub(crate) snapshots: ListSnapshotsResponse,
    pub(crate) entries: Vec<Result<Entries, Status>>,
    /// Repeats the entries for ever.
    pub(crate) endless: bool,
    pub(crate) archive: Vec<Result<ArchivePart, Status>>,
    /// Keeps the archive stream open after its last part.
    pub(crate) archive_stays_open: bool,

    pub(crate) diff: Vec<Result<DiffPart, Status>>,
    pub(crate) find: Vec<Result<FindPart, Status>>,
    pub(crate) asked_find: Option<FindRequest>,
    pub(crate) file: Vec<Result<FilePart, Status>>,
    pub(crate) object: Vec<Result<ObjectPart, Status>>,
    pub(crate) locks: ListLocksResponse,
    pub(crate) broken: BreakLocksResponse,
    pub(crate) submitted: Option<JobSpec>,
    pub(crate) asked_snapshots: Option<ListSnapshotsRequest>,
    pub(crate) asked_entries: Option<ListEntriesRequest>,
    pub(crate) asked_archive: Option<ArchiveSpec>,
    pub(crate) asked_init: Option<InitRequest>,
    pub(crate) asked_break: Option<BreakLocksRequest>,
    pub(crate) keys: ChangeKeysResponse,
    /// Rings that it was asked, and answers when it is told to.
    pub(crate) keys_wait: bool,
    pub(crate) asked_keys: Vec<ChangeKeysRequest>,
}

/// The fake daemon; clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Fake {
    script: Arc<Mutex<Script>>,
    cancelled: Arc<Notify>,
    /// Rung when all that is scripted of a watch or an archive was sent.
    pub(crate) sent: Arc<Notify>,
    /// Lets a change of keys be answered.
    pub(crate) answers: Arc<Notify>,
}

impl Fake {
    pub(crate) async fn start(socket: &Path) -> Self {
        let fake = Self::default();
        let listener = UnixListener::bind(socket).unwrap();
        let server = Server::builder()
            .add_service(daemon_server::DaemonServer::new(fake.clone()))
            .add_service(jobs_server::JobsServer::new(fake.clone()))
            .add_service(keys_server::KeysServer::new(fake.clone()))
            .add_service(locks_server::LocksServer::new(fake.clone()))
            .add_service(repositories_server::RepositoriesServer::new(fake.clone()))
            .serve_with_incoming(UnixListenerStream::new(listener));
        tokio::spawn(server);
        fake
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    fn refuse(&self) -> Result<(), Status> {
        self.script().refusal.take().map_or(Ok(()), Err)
    }
}

/// An error as the daemon gives it.
pub(crate) fn status(reason: Reason, message: &str) -> Status {
    let mut status = Status::new(Code::FailedPrecondition, message);
    status.metadata_mut().insert(REASON_KEY, reason.as_str().parse().unwrap());
    status
}

#[tonic::async_trait]
impl daemon_server::Daemon for Fake {
    async fn version(&self, _: Request<VersionRequest>) -> Answer<VersionResponse> {
        Ok(Response::new(VersionResponse::default()))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Answer<StatusResponse> {
        self.refuse()?;
        Ok(Response::new(self.script().status.clone()))
    }
}

#[tonic::async_trait]
impl jobs_server::Jobs for Fake {
    async fn submit(&self, request: Request<SubmitRequest>) -> Answer<Job> {
        self.refuse()?;
        let mut script = self.script();
        script.submitted = request.into_inner().spec;
        Ok(Response::new(script.jobs.first().unwrap().clone()))
    }

    async fn get(&self, _: Request<GetJobRequest>) -> Answer<Job> {
        self.refuse()?;
        Ok(Response::new(self.script().jobs.last().unwrap().clone()))
    }

    async fn list(&self, _: Request<ListJobsRequest>) -> Answer<ListJobsResponse> {
        Ok(Response::new(ListJobsResponse { jobs: self.script().jobs.clone() }))
    }

    async fn cancel(&self, _: Request<CancelJobRequest>) -> Answer<Job> {
        self.refuse()?;
        self.cancelled.notify_one();
        Ok(Response::new(self.script().jobs.last().unwrap().clone()))
    }

    type WatchStream = Stream<JobEvent>;

    async fn watch(&self, _: Request<WatchJobRequest>) -> Answer<Self::WatchStream> {
        let (jobs, last) = {
            let script = self.script();
            (script.jobs.clone(), script.when_cancelled.clone())
        };
        let (sender, receiver) = mpsc::channel(1);
        let fake = self.clone();
        tokio::spawn(async move {
            for job in jobs {
                let _ = sender.send(Ok(JobEvent { job: Some(job) })).await;
            }
            fake.sent.notify_one();
            if let Some(last) = last {
                fake.cancelled.notified().await;
                let stuck = last.state() == JobState::Running;
                let _ = sender.send(Ok(JobEvent { job: Some(last) })).await;
                if stuck {
                    sender.closed().await;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    type LogsStream = Stream<LogLine>;

    async fn logs(&self, _: Request<JobLogsRequest>) -> Answer<Self::LogsStream> {
        let logs = self.script().logs.clone();
        Ok(Response::new(stream(logs.into_iter().map(Ok).collect(), false)))
    }

    type FindingsStream = Stream<Findings>;

    async fn findings(&self, _: Request<JobFindingsRequest>) -> Answer<Self::FindingsStream> {
        let findings = self.script().findings.clone();
        Ok(Response::new(stream(findings.into_iter().map(Ok).collect(), false)))
    }
}

#[tonic::async_trait]
impl keys_server::Keys for Fake {
    async fn list(&self, _: Request<ListKeysRequest>) -> Answer<ListKeysResponse> {
        Ok(Response::new(ListKeysResponse::default()))
    }

    async fn change(&self, request: Request<ChangeKeysRequest>) -> Answer<ChangeKeysResponse> {
        let waits = {
            let mut script = self.script();
            script.asked_keys.push(request.into_inner());
            std::mem::take(&mut script.keys_wait)
        };
        if waits {
            self.sent.notify_one();
            self.answers.notified().await;
        }
        Ok(Response::new(self.script().keys.clone()))
    }
}

#[tonic::async_trait]
impl locks_server::Locks for Fake {
    async fn list(&self, _: Request<ListLocksRequest>) -> Answer<ListLocksResponse> {
        self.refuse()?;
        Ok(Response::new(self.script().locks.clone()))
    }

    async fn r#break(&self, request: Request<BreakLocksRequest>) -> Answer<BreakLocksResponse> {
        self.refuse()?;
        self.script().asked_break = Some(request.into_inner());
        Ok(Response::new(self.script().broken.clone()))
    }
}

#[tonic::async_trait]
impl repositories_server::Repositories for Fake {
    async fn list(&self, _: Request<ListRepositoriesRequest>) -> Answer<ListRepositoriesResponse> {
        Ok(Response::new(self.script().repositories.clone()))
    }

    async fn init(&self, request: Request<InitRequest>) -> Answer<InitResponse> {
        self.refuse()?;
        let mut script = self.script();
        script.asked_init = Some(request.into_inner());
        Ok(Response::new(script.init.clone()))
    }

    async fn list_snapshots(&self, request: Request<ListSnapshotsRequest>) -> Answer<ListSnapshotsResponse> {
        self.refuse()?;
        let mut script = self.script();
        script.asked_snapshots = Some(request.into_inner());
        Ok(Response::new(script.snapshots.clone()))
    }

    type ListEntriesStream = Stream<Entries>;

    async fn list_entries(&self, request: Request<ListEntriesRequest>) -> Answer<Self::ListEntriesStream> {
        self.refuse()?;
        let mut script = self.script();
        script.asked_entries = Some(request.into_inner());
        Ok(Response::new(stream(script.entries.clone(), script.endless)))
    }

    type RestoreArchiveStream = Stream<ArchivePart>;

    async fn restore_archive(&self, request: Request<ArchiveSpec>) -> Answer<Self::RestoreArchiveStream> {
        self.refuse()?;
        let mut script = self.script();
        script.asked_archive = Some(request.into_inner());
        let (parts, open) = (script.archive.clone(), script.archive_stays_open);
        let (sender, receiver) = mpsc::channel(1);
        let sent = Arc::clone(&self.sent);
        tokio::spawn(async move {
            for part in parts {
                let _ = sender.send(part).await;
            }
            sent.notify_one();
            if open {
                sender.closed().await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    type DiffStream = Stream<DiffPart>;

    async fn diff(&self, _: Request<DiffRequest>) -> Answer<Self::DiffStream> {
        self.refuse()?;
        Ok(Response::new(stream(self.script().diff.clone(), false)))
    }

    type FindStream = Stream<FindPart>;

    async fn find(&self, request: Request<FindRequest>) -> Answer<Self::FindStream> {
        self.refuse()?;
        let mut script = self.script();
        script.asked_find = Some(request.into_inner());
        Ok(Response::new(stream(script.find.clone(), false)))
    }

    type ReadFileStream = Stream<FilePart>;

    async fn read_file(&self, _: Request<ReadFileRequest>) -> Answer<Self::ReadFileStream> {
        self.refuse()?;
        Ok(Response::new(stream(self.script().file.clone(), false)))
    }

    type ReadObjectStream = Stream<ObjectPart>;

    async fn read_object(&self, _: Request<ReadObjectRequest>) -> Answer<Self::ReadObjectStream> {
        self.refuse()?;
        Ok(Response::new(stream(self.script().object.clone(), false)))
    }
}

fn stream<T: Clone + Send + 'static>(messages: Vec<Result<T, Status>>, endless: bool) -> Stream<T> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            for message in messages.clone() {
                if sender.send(message).await.is_err() {
                    return;
                }
            }
            if !endless {
                return;
            }
        }
    });
    ReceiverStream::new(receiver)
}

/// A job in a state.
pub(crate) fn job(state: JobState) -> Job {
    Job { id: "00000000000000a1".to_owned(), state: state.into(), repository: "home".to_owned(), ..Job::default() }
}
