//! The supervisor with a fake runner: what jobs go through, and what survives.
#![allow(clippy::unwrap_used, clippy::panic)]

use cloudstic_proto::v1::JobState;
use proptest::prelude::*;
use tempfile::TempDir;

use super::fake::{FakeRunner, Starts, Verdict, fake_runner};
use super::*;
use crate::clock::SteppingClock;

struct Bench {
    supervisor: Supervisor,
    starts: Starts,
    state: State,
    tasks: Tasks,
    folder: TempDir,
}

fn bench(jobs: usize) -> Bench {
    bench_with(jobs, fake_runner(true))
}

fn bench_with(jobs: usize, (runner, starts): (Arc<FakeRunner>, Starts)) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(SteppingClock::default());
    let (state, _) = State::open(folder.path(), 100, clock.now()).unwrap();
    let tasks = Tasks::default();
    let limits = Limits { jobs, ..Limits::default() };
    let supervisor = Supervisor::start(state.clone(), None, limits, runner, clock, &tasks);
    Bench { supervisor, starts, state, tasks, folder }
}

fn backup_of(profile: &str) -> Submission {
    let backup = v1::BackupSpec { profile: profile.to_owned(), ..Default::default() };
    let spec = v1::JobSpec { operation: Some(v1::job_spec::Operation::Backup(backup)) };
    let description = Description { spec, repository: "main".into(), profile: profile.to_owned(), uid: 7 };
    let profiles = if profile.is_empty() { Vec::new() } else { vec![profile.to_owned()] };
    let needs = Needs {
        profiles,
        repository: "main".into(),
        lock: Some(cloudstic_engine::lock::Kind::Shared),
        ..Needs::default()
    };
    Submission { description, needs, skip_if_busy: false, identity: None, output: None }
}

impl Bench {
    async fn submit(&self, profile: &str) -> JobId {
        self.supervisor.submit(backup_of(profile)).await.unwrap().id.parse().unwrap()
    }

    async fn last(&self, id: JobId) -> v1::Job {
        self.supervisor.watch(id).await.unwrap().last().await.unwrap()
    }

    async fn state_of(&self, id: JobId) -> JobState {
        self.supervisor.job(id).await.unwrap().state()
    }
}

#[tokio::test]
async fn a_job_goes_from_queued_to_its_end_and_every_step_is_stored() {
    let bench = bench(1);
    let id = bench.submit("home").await;
    let started = bench.starts.next().await;
    assert_eq!(bench.state.job(id).await.unwrap().unwrap().state(), JobState::Running);
    started.context.progress.advance(3, 30);
    started.succeed();
    let job = bench.last(id).await;
    assert_eq!(job.state(), JobState::Succeeded);
    assert_eq!(job.progress.as_ref().unwrap().bytes_done, 30);
    assert!(job.submitted_at.unwrap().seconds < job.started_at.unwrap().seconds);
    assert!(job.started_at.unwrap().seconds < job.ended_at.unwrap().seconds);
    assert_eq!(bench.state.job(id).await.unwrap().unwrap(), job);
    assert!(bench.supervisor.active().is_empty());
}

#[tokio::test]
async fn a_job_that_stops_midway_keeps_the_report_of_what_it_had_done() {
    let bench = bench(1);
    let report = v1::job::Report::Forget(v1::ForgetReport { removed: 2, ..Default::default() });
    for (error, state) in [
        (JobError::Failed(Failure::internal("the prune failed")), JobState::Failed),
        (JobError::Cancelled, JobState::Cancelled),
    ] {
        let id = bench.submit("home").await;
        let stop = JobError::Midway { done: Box::new(report.clone()), error: Box::new(error) };
        bench.starts.next().await.end(Verdict::Stop(stop));
        let job = bench.last(id).await;
        assert_eq!((job.state(), job.report.as_ref()), (state, Some(&report)));
        assert_eq!(job.failure.is_some(), state == JobState::Failed);
        assert_eq!(bench.state.job(id).await.unwrap().unwrap(), job);
    }
}

#[tokio::test]
async fn a_job_goes_on_if_what_it_finds_cannot_be_kept_and_says_so() {
    let bench = bench(1);
    std::fs::write(bench.folder.path().join("findings"), b"in the way").unwrap();
    let id = bench.submit("home").await;
    let started = bench.starts.next().await;
    let warning = cloudstic_engine::source::Warning { path: "a".into(), problem: "gone".into() };
    started.context.progress.warning(&warning);
    let report = v1::BackupReport { warning_count: 1, ..Default::default() };
    started.end(Verdict::Report(v1::job::Report::Backup(report)));
    assert_eq!(bench.last(id).await.state(), JobState::Partial);
    let log = bench.state.log(id).await.unwrap();
    let said = |line: &&v1::LogLine| line.level == "warning" && line.message.contains("is not whole: 1 more");
    assert_eq!(log.iter().filter(said).count(), 1, "{log:?}");
}

#[tokio::test]
async fn the_second_job_of_a_profile_waits_for_the_first_and_others_do_not() {
    let bench = bench(3);
    let (first, second, other) = (bench.submit("home").await, bench.submit("home").await, bench.submit("srv").await);
    let one = bench.starts.next().await;
    let three = bench.starts.next().await;
    assert_eq!(bench.state_of(first).await, JobState::Running);
    assert_eq!(bench.state_of(second).await, JobState::Queued);
    assert_eq!(bench.state_of(other).await, JobState::Running);
    three.succeed();
    bench.last(other).await;
    assert!(!bench.starts.any().await);
    one.succeed();
    bench.starts.next().await.succeed();
    assert_eq!(bench.last(second).await.state(), JobState::Succeeded);
}

#[tokio::test]
async fn a_job_that_would_only_wait_for_its_profile_can_be_skipped() {
    let bench = bench(2);
    let first = bench.submit("home").await;
    let started = bench.starts.next().await;
    let skip = |profile| Submission { skip_if_busy: true, ..backup_of(profile) };
    let skipped = bench.supervisor.submit(skip("home")).await.unwrap();
    assert_eq!(skipped.state(), JobState::Skipped);
    let reason = skipped.failure.clone().unwrap();
    assert_eq!(reason.reason, "PROFILE_BUSY");
    assert!(reason.message.contains(&first.to_string()), "{}", reason.message);
    assert_eq!(bench.last(skipped.id.parse().unwrap()).await, skipped);

    started.succeed();
    bench.last(first).await;
    let free = bench.supervisor.submit(skip("home")).await.unwrap();
    bench.starts.next().await.succeed();
    assert_eq!(bench.last(free.id.parse().unwrap()).await.state(), JobState::Succeeded);
}

#[tokio::test]
async fn neither_a_dry_run_nor_a_cancelled_job_hides_the_last_backup() {
    let bench = bench(1);
    let real = bench.submit("home").await;
    bench.starts.next().await.succeed();
    bench.last(real).await;
    let spec = v1::BackupSpec { dry_run: true, ..Default::default() };
    let mut dry = backup_of("home");
    dry.description.spec.operation = Some(v1::job_spec::Operation::Backup(spec));
    let dry = bench.supervisor.submit(dry).await.unwrap().id.parse().unwrap();
    bench.starts.next().await.succeed();
    bench.last(dry).await;
    let cancelled = bench.submit("home").await;
    let _started = bench.starts.next().await;
    bench.supervisor.cancel(cancelled).await.unwrap();
    bench.last(cancelled).await;
    let ids: Vec<_> = bench.supervisor.last_backups().await.unwrap().into_iter().map(|job| job.id).collect();
    assert_eq!(ids, [real.to_string()]);
}

#[tokio::test]
async fn a_waiting_job_is_cancelled_at_once_and_a_running_one_when_it_stops() {
    let bench = bench(1);
    let (running, waiting) = (bench.submit("").await, bench.submit("").await);
    let _started = bench.starts.next().await;
    assert_eq!(bench.supervisor.cancel(waiting).await.unwrap().state(), JobState::Cancelled);
    assert_eq!(bench.supervisor.cancel(running).await.unwrap().id, running.to_string());
    assert_eq!(bench.last(running).await.state(), JobState::Cancelled);
    // And again: nothing changes any more.
    assert_eq!(bench.supervisor.cancel(running).await.unwrap().state(), JobState::Cancelled);
    let unknown = bench.supervisor.cancel(JobId(1)).await.unwrap_err();
    assert_eq!(unknown.reason, Reason::NoSuchJob);
}

#[tokio::test]
async fn a_job_that_finishes_although_it_was_cancelled_has_succeeded() {
    let bench = bench_with(1, fake_runner(false));
    let id = bench.submit("").await;
    let started = bench.starts.next().await;
    bench.supervisor.cancel(id).await.unwrap();
    started.succeed();
    assert_eq!(bench.last(id).await.state(), JobState::Succeeded);
}

#[tokio::test]
async fn a_panic_ends_its_job_and_nothing_else() {
    let bench = bench(1);
    let (bad, good) = (bench.submit("").await, bench.submit("").await);
    bench.starts.next().await.end(Verdict::Panic);
    let job = bench.last(bad).await;
    assert_eq!((job.state(), job.failure.unwrap().reason.as_str()), (JobState::Failed, "INTERNAL"));
    bench.starts.next().await.succeed();
    assert_eq!(bench.last(good).await.state(), JobState::Succeeded);
}

#[tokio::test]
async fn warnings_and_the_failure_are_in_the_stored_log() {
    let bench = bench(1);
    let id = bench.submit("home").await;
    let started = bench.starts.next().await;
    let warning = cloudstic_engine::source::Warning { path: "a/b".into(), problem: "no permission".into() };
    started.context.progress.warning(&warning);
    started.end(Verdict::Fail(Failure::new(Reason::StoreFull, "the store is full")));
    assert_eq!(bench.last(id).await.progress.unwrap().warnings, 1);
    let LogSource::Stored(lines) = bench.supervisor.log(id).await.unwrap() else { panic!("still live") };
    let lines: Vec<_> = lines.iter().map(|line| (line.level.as_str(), line.message.as_str())).collect();
    let expected = [
        ("info", "backup queued by user 7"),
        ("info", "backup started"),
        ("warning", "a/b: no permission"),
        ("error", "the store is full"),
        ("info", "ended: failed"),
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_stop_interrupts_what_waits_and_what_runs_and_takes_nothing_new() {
    let bench = bench(1);
    let (running, waiting) = (bench.submit("").await, bench.submit("").await);
    let _started = bench.starts.next().await;
    let mut watched = bench.supervisor.watch(running).await.unwrap();
    bench.supervisor.stop(Duration::from_secs(60)).await;
    assert_eq!(bench.state_of(running).await, JobState::Interrupted);
    assert_eq!(bench.state_of(waiting).await, JobState::Interrupted);
    assert_eq!(watched.last().await.unwrap().state(), JobState::Interrupted);
    assert_eq!(bench.supervisor.submit(backup_of("")).await.unwrap_err().reason, Reason::ShuttingDown);
    bench.tasks.wait().await;
}

#[tokio::test]
async fn a_job_that_does_not_stop_is_interrupted_when_the_grace_is_over() {
    let bench = bench_with(1, fake_runner(false));
    let id = bench.submit("").await;
    let started = bench.starts.next().await;
    bench.supervisor.stop(Duration::ZERO).await;
    assert_eq!(bench.state_of(id).await, JobState::Interrupted);
    // Its late success changes nothing.
    started.succeed();
    bench.tasks.wait().await;
    assert_eq!(bench.state_of(id).await, JobState::Interrupted);
}

#[tokio::test]
async fn a_state_that_cannot_be_written_stops_everything_and_nothing_is_told() {
    let bench = bench(1);
    let id = bench.submit("").await;
    let started = bench.starts.next().await;
    let mut watched = bench.supervisor.watch(id).await.unwrap();
    bench.state.close().await;
    assert_eq!(bench.supervisor.submit(backup_of("")).await.unwrap_err().reason, Reason::Internal);
    assert!(bench.tasks.fault().await.contains("closed"));
    started.context.cancel.cancelled().await;
    assert_eq!(bench.supervisor.submit(backup_of("")).await.unwrap_err().reason, Reason::ShuttingDown);
    drop(bench);
    assert_eq!(watched.last().await, None);
}

#[tokio::test]
async fn lists_are_newest_first_and_by_repository() {
    let bench = bench(1);
    let (first, second) = (bench.submit("").await, bench.submit("").await);
    let ids = |jobs: Vec<v1::Job>| jobs.into_iter().map(|job| job.id).collect::<Vec<_>>();
    assert_eq!(ids(bench.supervisor.jobs(10, "main").await.unwrap()), [second.to_string(), first.to_string()]);
    assert_eq!(ids(bench.supervisor.jobs(1, "").await.unwrap()), [second.to_string()]);
    assert!(bench.supervisor.jobs(10, "other").await.unwrap().is_empty());
    assert_eq!(ids(bench.supervisor.active()), [first.to_string(), second.to_string()]);
}

#[derive(Debug, Clone)]
enum Action {
    Submit(bool),
    Cancel(usize),
    End(bool),
    Panic,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        any::<bool>().prop_map(Action::Submit),
        (0..4usize).prop_map(Action::Cancel),
        any::<bool>().prop_map(Action::End),
        Just(Action::Panic),
    ];
    prop::collection::vec(action, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_calls_gives_a_job_two_terminal_states(actions in actions(), obedient: bool) {
        tokio::runtime::Runtime::new().unwrap().block_on(play(actions, obedient));
    }
}

/// Does all that, with one watcher a job from its beginning, then stops; each watcher must see one terminal state, last.
async fn play(actions: Vec<Action>, obedient: bool) {
    let bench = bench_with(2, fake_runner(obedient));
    let mut watched = Vec::new();
    for action in actions {
        match action {
            Action::Submit(profile) => {
                let id = bench.submit(if profile { "home" } else { "" }).await;
                let mut updates = bench.supervisor.watch(id).await.unwrap();
                let seen = tokio::spawn(async move {
                    let mut states = Vec::new();
                    while let Some(job) = updates.next().await {
                        states.push(job.state());
                    }
                    states
                });
                watched.push((id, seen));
            }
            Action::Cancel(number) => {
                if let Some((id, _)) = watched.get(number) {
                    bench.supervisor.cancel(*id).await.unwrap();
                }
            }
            Action::End(_) | Action::Panic if !bench.starts.any().await => {}
            Action::End(true) => bench.starts.next().await.succeed(),
            Action::End(false) => bench.starts.next().await.end(Verdict::Fail(Failure::internal("x"))),
            Action::Panic => bench.starts.next().await.end(Verdict::Panic),
        }
    }
    bench.supervisor.stop(Duration::ZERO).await;
    for (id, seen) in watched {
        let states = seen.await.unwrap();
        let (last, before) = states.split_last().unwrap();
        assert!(is_terminal(*last), "{states:?}");
        assert!(before.iter().all(|state| !is_terminal(*state)), "{states:?}");
        assert_eq!(bench.state_of(id).await, *last);
    }
}
