//! The API as a client sees it, over a real Unix socket, with a fake runner behind it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::result_large_err)]

use cloudstic_proto::v1::{
    self, JobState, daemon_client::DaemonClient, jobs_client::JobsClient, keys_client::KeysClient,
    locks_client::LocksClient, repositories_client::RepositoriesClient,
};
use cloudstic_proto::{REASON_KEY, Reason};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use v1::archive_part::Part;
use v1::finding::Finding;
use v1::job_spec::Operation;

use super::*;
use crate::accounts::Accounts;
use crate::clock::{Clock, SteppingClock};
use crate::config::AccessConfig;
use crate::failure::Failure;
use crate::operations::fake::{ListingSender, fake_queries};
use crate::state::State;
use crate::supervisor::fake::{Starts, Verdict, fake_runner};
use crate::supervisor::{JobError, Limits, TaskKind, Tasks};

/// Whoever the tests call as; neither root nor the daemon's user.
const ADA: u32 = 4711;

struct Bench {
    channel: Channel,
    starts: Starts,
    listing: ListingSender,
    unwanted: CancellationToken,
    _folder: TempDir,
}

fn as_ada(_: &Request<()>) -> Option<Peer> {
    Some(Peer { uid: ADA, gid: ADA })
}

/// A daemon that takes itself for root's, called by `identify`; ada is let in if `ada_may`.
async fn bench(identify: Identify, ada_may: bool) -> Bench {
    bench_of(0, identify, ada_may).await
}

async fn bench_of(own_uid: u32, identify: Identify, ada_may: bool) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(SteppingClock::default());
    let text =
        "[repositories.main]\nstore = \"local:/srv\"\n[profiles.home]\nrepository = \"main\"\nsource = \"/home\"";
    let config = Arc::new(Config::parse("test.toml".as_ref(), text, &Accounts::default()).unwrap());
    let (state, _) = State::open(folder.path(), 100, clock.now()).unwrap();
    let (tasks, stop) = (Tasks::default(), CancellationToken::new());
    let (runner, starts) = fake_runner(true);
    let (queries, listing, unwanted) = fake_queries();
    let users = if ada_may { [ADA].into() } else { [].into() };
    let services = Services {
        supervisor: Supervisor::start(state, None, Limits { jobs: 1, ..Limits::default() }, runner, clock, &tasks),
        queries,
        config,
        access: Access::new(AccessConfig { users, groups: [].into() }, own_uid),
        started_at: SystemTime::UNIX_EPOCH,
    };
    let path = folder.path().join("api.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tasks.spawn(TaskKind::Api, serve(listener, services, identify, stop));
    let channel = Endpoint::try_from(format!("unix:{}", path.display())).unwrap().connect().await.unwrap();
    Bench { channel, starts, listing, unwanted, _folder: folder }
}

impl Bench {
    fn jobs(&self) -> JobsClient<Channel> {
        JobsClient::new(self.channel.clone())
    }

    fn repositories(&self) -> RepositoriesClient<Channel> {
        RepositoriesClient::new(self.channel.clone())
    }

    async fn submit(&self, operation: Operation) -> Result<v1::Job, Status> {
        let spec = Some(v1::JobSpec { operation: Some(operation) });
        Ok(self.jobs().submit(v1::SubmitRequest { spec }).await?.into_inner())
    }

    async fn last_state(&self, id: &str) -> JobState {
        let mut events = self.jobs().watch(v1::WatchJobRequest { id: id.into() }).await.unwrap().into_inner();
        let mut last = JobState::Unspecified;
        while let Some(event) = events.message().await.unwrap() {
            last = event.job.unwrap().state();
        }
        last
    }
}

fn backup_home() -> Operation {
    Operation::Backup(v1::BackupSpec { profile: "home".into(), ..Default::default() })
}

fn latest() -> v1::ArchiveSpec {
    v1::ArchiveSpec { repository: "main".into(), snapshot: "latest".into(), ..Default::default() }
}

fn reason(status: &Status) -> Option<Reason> {
    status.metadata().get(REASON_KEY)?.to_str().ok()?.parse().ok()
}

#[tokio::test]
async fn a_job_is_submitted_watched_listed_and_its_log_followed() {
    let bench = bench(as_ada, true).await;
    let job = bench.submit(backup_home()).await.unwrap();
    assert_eq!((job.state(), job.uid, job.repository.as_str()), (JobState::Queued, ADA, "main"));

    let started = bench.starts.next().await;
    let id = job.id.clone();
    let follow = v1::JobLogsRequest { id: id.clone(), follow: true };
    let mut log = bench.jobs().logs(follow).await.unwrap().into_inner();
    assert_eq!(log.message().await.unwrap().unwrap().message, format!("backup queued by user {ADA}"));
    started.succeed();
    assert_eq!(bench.last_state(&id).await, JobState::Succeeded);
    let mut last = String::new();
    while let Some(line) = log.message().await.unwrap() {
        last = line.message;
    }
    assert_eq!(last, "ended: succeeded");

    assert_eq!(findings(&bench, &id).await.unwrap(), [Finding::End(v1::FindingsEnd::default())]);
    let listed = bench.jobs().list(v1::ListJobsRequest::default()).await.unwrap().into_inner().jobs;
    assert_eq!(listed.len(), 1);
    let got = bench.jobs().get(v1::GetJobRequest { id }).await.unwrap().into_inner();
    assert_eq!(got.state(), JobState::Succeeded);
}

async fn findings(bench: &Bench, id: &str) -> Result<Vec<Finding>, Status> {
    let mut parts = bench.jobs().findings(v1::JobFindingsRequest { id: id.into() }).await?.into_inner();
    let mut findings = Vec::new();
    while let Some(part) = parts.message().await? {
        findings.extend(part.findings.into_iter().filter_map(|finding| finding.finding));
    }
    Ok(findings)
}

#[tokio::test]
async fn who_may_see_a_job_sees_everything_that_it_found_also_while_it_runs() {
    const WARNINGS: usize = 3000;
    let adas = bench(as_ada, true).await;
    let id = adas.submit(backup_home()).await.unwrap().id;
    let started = adas.starts.next().await;
    let warning = |n: usize| cloudstic_engine::source::Warning { path: n.to_string(), problem: "gone".into() };
    (0..WARNINGS).for_each(|n| started.context.progress.warning(&warning(n)));
    let whole = |found: Vec<Finding>, missing: &str| {
        let (end, warnings) = found.split_last().unwrap();
        assert_eq!(*end, Finding::End(v1::FindingsEnd { missing: missing.into() }));
        let paths = warnings.iter().map(|finding| match finding {
            Finding::Warning(warning) => warning.path.clone(),
            other => panic!("{other:?}"),
        });
        assert!(paths.eq((0..WARNINGS).map(|n| n.to_string())));
    };
    whole(findings(&adas, &id).await.unwrap(), "the job has not ended");
    started.succeed();
    adas.last_state(&id).await;
    whole(findings(&adas, &id).await.unwrap(), "");
    let lost = || Failure::new(Reason::LockLost, "lost");
    let done = v1::job::Report::Forget(v1::ForgetReport { removed: 1, ..Default::default() });
    let midway = JobError::Midway { done: Box::new(done), error: Box::new(JobError::Failed(lost())) };
    for end in [Verdict::Fail(lost()), Verdict::Stop(midway)] {
        let id = adas.submit(backup_home()).await.unwrap().id;
        let started = adas.starts.next().await;
        started.context.progress.warning(&warning(0));
        started.end(end);
        adas.last_state(&id).await;
        let found = findings(&adas, &id).await.unwrap();
        let all = matches!(&found[..], [Finding::Warning(_), Finding::End(end)] if end.missing.contains("its end"));
        assert!(all, "{found:?}");
    }
    let id = adas.submit(backup_home()).await.unwrap().id;
    let faults = v1::job::Report::Check(v1::CheckReport { fault_count: 1, ..Default::default() });
    let started = adas.starts.next().await;
    started.context.progress.warning(&warning(0));
    started.end(Verdict::Report(faults));
    assert_eq!(adas.last_state(&id).await, JobState::Failed);
    let found = findings(&adas, &id).await.unwrap();
    assert!(matches!(&found[..], [_, Finding::End(end)] if end.missing.is_empty()), "{found:?}");
    let refused = findings(&adas, "00000000000000ff").await.unwrap_err();
    assert_eq!(reason(&refused), Some(Reason::NoSuchJob));
    let strangers = bench(as_ada, false).await;
    assert_eq!(findings(&strangers, &id).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn every_listed_caller_sees_locks_and_only_who_has_the_daemons_rights_breaks_them() {
    let request = || v1::BreakLocksRequest { repository: "main".into() };
    let locks = |bench: &Bench| LocksClient::new(bench.channel.clone());
    let adas = bench(as_ada, true).await;
    assert!(locks(&adas).list(v1::ListLocksRequest::default()).await.is_ok());
    assert_eq!(reason(&locks(&adas).r#break(request()).await.unwrap_err()), Some(Reason::PermissionDenied));
    let own = bench_of(ADA, as_ada, false).await;
    assert!(locks(&own).r#break(request()).await.is_ok());
}

#[tokio::test]
async fn only_who_has_the_daemons_rights_sees_and_changes_keys() {
    let keys = |bench: &Bench| KeysClient::new(bench.channel.clone());
    let remove = v1::RemoveKey { slot: "password-default".into(), force: false };
    let change = Some(v1::change_keys_request::Change::Remove(remove));
    let request = || v1::ChangeKeysRequest { repository: "main".into(), change: change.clone(), ..Default::default() };
    let adas = bench(as_ada, true).await;
    let listed = keys(&adas).list(v1::ListKeysRequest::default()).await;
    assert_eq!(reason(&listed.unwrap_err()), Some(Reason::PermissionDenied));
    assert_eq!(reason(&keys(&adas).change(request()).await.unwrap_err()), Some(Reason::PermissionDenied));
    let own = bench_of(ADA, as_ada, false).await;
    assert!(keys(&own).list(v1::ListKeysRequest::default()).await.is_ok());
    assert!(keys(&own).change(request()).await.is_ok());
    let nothing = v1::ChangeKeysRequest::default();
    assert_eq!(reason(&keys(&own).change(nothing).await.unwrap_err()), Some(Reason::BadRequest));
}

#[tokio::test]
async fn the_status_names_what_runs_and_the_last_backup() {
    let bench = bench(as_ada, true).await;
    let status = || async {
        let mut client = DaemonClient::new(bench.channel.clone());
        client.status(v1::StatusRequest {}).await.unwrap().into_inner()
    };
    let id = bench.submit(backup_home()).await.unwrap().id;
    let started = bench.starts.next().await;
    let busy = status().await;
    assert_eq!(busy.active_jobs.iter().map(|job| &job.id).collect::<Vec<_>>(), [&id]);
    assert_eq!(busy.repositories[0].last_backup, None);
    started.end(Verdict::Fail(Failure::new(Reason::StoreFull, "full")));
    assert_eq!(bench.last_state(&id).await, JobState::Failed);
    let idle = status().await;
    assert!(idle.active_jobs.is_empty());
    assert_eq!(idle.repositories[0].store, "local:/srv");
    assert_eq!(idle.repositories[0].last_backup.as_ref().unwrap().id, id);
}

#[tokio::test]
async fn a_refusal_has_a_reason_for_programs() {
    let bench = bench(as_ada, true).await;
    let refused = |operation| async { reason(&bench.submit(operation).await.unwrap_err()).unwrap() };
    let path = v1::BackupSpec { repository: "main".into(), path: "/etc".into(), ..Default::default() };
    assert_eq!(refused(Operation::Backup(path)).await, Reason::PermissionDenied);
    let profile = v1::BackupSpec { profile: "nope".into(), ..Default::default() };
    assert_eq!(refused(Operation::Backup(profile)).await, Reason::NoSuchProfile);

    let unknown = bench.jobs().get(v1::GetJobRequest { id: "00000000000000aa".into() }).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown)), (Code::NotFound, Some(Reason::NoSuchJob)));
    let malformed = bench.jobs().cancel(v1::CancelJobRequest { id: "x".into() }).await.unwrap_err();
    assert_eq!(reason(&malformed), Some(Reason::BadRequest));
}

#[tokio::test]
async fn a_restore_of_another_user_runs_with_the_rights_of_that_user() {
    let bench = bench(as_ada, true).await;
    let (repository, snapshot, target) = ("main".into(), "latest".into(), "/tmp/x".into());
    let spec = v1::RestoreSpec { repository, snapshot, target, ..Default::default() };
    bench.submit(Operation::Restore(spec)).await.unwrap();
    let identity = bench.starts.next().await.work.identity.unwrap();
    assert_eq!((identity.uid, identity.gid), (ADA, ADA));
}

#[tokio::test]
async fn strangers_get_nothing_not_even_health_and_reflection() {
    let bench = bench(as_ada, false).await;
    let refused = bench.submit(backup_home()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::PermissionDenied, Some(Reason::PermissionDenied)));
    let mut health = HealthClient::new(bench.channel.clone());
    let refused = health.check(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_caller_whom_the_system_does_not_name_is_refused() {
    let bench = bench(|_| None, true).await;
    assert_eq!(bench.submit(backup_home()).await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn the_real_peer_is_known_and_its_own_daemon_is_healthy() {
    let own = rustix::process::geteuid().as_raw();
    let bench = bench_of(own, by_socket, false).await;
    assert_eq!(bench.submit(backup_home()).await.unwrap().uid, own);
    let service = "cloudstic.v1.Jobs".to_owned();
    let mut health = HealthClient::new(bench.channel.clone());
    let answer = health.check(HealthCheckRequest { service }).await.unwrap().into_inner();
    assert_eq!(answer.status, tonic_health::pb::health_check_response::ServingStatus::Serving as i32);
}

#[tokio::test]
async fn an_archive_is_the_id_the_data_in_order_and_the_report() {
    let bench = bench(as_ada, true).await;
    let mut parts = bench.repositories().restore_archive(latest()).await.unwrap().into_inner();
    let mut started = bench.starts.next().await;
    let output = started.work.output.take().unwrap();
    output.send("one".into()).await.unwrap();
    output.send("two".into()).await.unwrap();
    drop(output);
    started.succeed();

    let mut next = async || parts.message().await.unwrap().and_then(|part| part.part);
    let Some(Part::JobId(id)) = next().await else { panic!("no id") };
    assert_eq!(next().await, Some(Part::Data("one".into())));
    assert_eq!(next().await, Some(Part::Data("two".into())));
    assert_eq!(next().await, Some(Part::Report(v1::RestoreReport::default())));
    assert_eq!(next().await, None);
    assert_eq!(bench.last_state(&id).await, JobState::Succeeded);
}

#[tokio::test]
async fn an_archive_that_fails_ends_with_the_reason_and_without_a_report() {
    let bench = bench(as_ada, true).await;
    let mut parts = bench.repositories().restore_archive(latest()).await.unwrap().into_inner();
    let mut started = bench.starts.next().await;
    started.work.output.take().unwrap().send("half".into()).await.unwrap();
    started.end(Verdict::Fail(Failure::new(Reason::Damaged, "chunk/… is damaged")));
    assert!(matches!(parts.message().await.unwrap().unwrap().part, Some(Part::JobId(_))));
    assert!(matches!(parts.message().await.unwrap().unwrap().part, Some(Part::Data(_))));
    let error = parts.message().await.unwrap_err();
    assert_eq!((error.code(), reason(&error)), (Code::DataLoss, Some(Reason::Damaged)));
    assert_eq!(error.message(), "chunk/… is damaged");
}

#[tokio::test]
async fn a_caller_who_goes_away_cancels_the_archive_also_when_it_waits() {
    let bench = bench(as_ada, true).await;
    let mut running = bench.repositories().restore_archive(latest()).await.unwrap().into_inner();
    let started = bench.starts.next().await;
    let mut waiting = bench.repositories().restore_archive(latest()).await.unwrap().into_inner();
    let mut ids = Vec::new();
    for parts in [&mut running, &mut waiting] {
        let Some(Part::JobId(id)) = parts.message().await.unwrap().unwrap().part else { panic!("no id") };
        ids.push(id);
    }
    drop(waiting);
    assert_eq!(bench.last_state(&ids[1]).await, JobState::Cancelled);
    drop(running);
    started.context.cancel.cancelled().await;
    assert_eq!(bench.last_state(&ids[0]).await, JobState::Cancelled);
}

#[tokio::test]
async fn a_listing_that_breaks_off_ends_with_an_error() {
    let bench = bench(as_ada, true).await;
    bench.listing.send(Ok(v1::Entries::default())).await.unwrap();
    let request = v1::ListEntriesRequest { repository: "main".into(), ..Default::default() };
    let mut parts = bench.repositories().list_entries(request).await.unwrap().into_inner();
    assert!(parts.message().await.unwrap().is_some());
    bench.listing.send(Err(Failure::new(Reason::NoSuchPath, "no"))).await.unwrap();
    assert_eq!(reason(&parts.message().await.unwrap_err()), Some(Reason::NoSuchPath));
}

#[tokio::test]
async fn a_listing_that_nobody_reads_any_more_is_ended() {
    let bench = bench(as_ada, true).await;
    bench.listing.send(Ok(v1::Entries::default())).await.unwrap();
    let mut parts = bench.repositories().list_entries(v1::ListEntriesRequest::default()).await.unwrap().into_inner();
    parts.message().await.unwrap();
    drop(parts);
    bench.unwanted.cancelled().await;
}
