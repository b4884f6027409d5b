//! The daemon from its start to its end: what is made in which order, and taken down in the reverse one.
//!
//! The one invariant of the end: jobs get their terminal state while the API still answers, so whoever watches one learns
//! how it ended; and the state is closed last.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::api::{self, Services, Socket, SocketError};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::http::{self, HttpError};
use crate::metrics::Metrics;
use crate::operations::{Engine, Queries};
use crate::state::{State, StateError};
use crate::supervisor::{JobRunner, Limits, Supervisor, TaskKind, Tasks};

/// How long the end waits for tasks that have been told to end.
const LAST_TASKS: Duration = Duration::from_secs(3);

/// Why the daemon did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The address for metrics.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A part that it cannot do without.
    #[error("the daemon cannot go on: {0}")]
    Fault(String),
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    state: State,
    supervisor: Supervisor,
    tasks: Tasks,
    socket: Socket,
    /// Ends the API and the queries.
    stop: CancellationToken,
    grace: Duration,
}

/// Runs the daemon with the engine until `stop` is ready.
pub async fn run(config: Config, stop: impl Future<Output = ()>) -> Result<(), DaemonError> {
    let (config, tasks, token) = (Arc::new(config), Tasks::default(), CancellationToken::new());
    let metrics = Arc::new(Metrics::new(config.backends()));
    let engine = Arc::new(Engine::new(config.clone(), metrics.clone(), tasks.clone(), token.clone()));
    let (runner, clock) = (engine.clone(), Arc::new(SystemClock));
    let parts = Parts { runner, queries: engine, metrics, clock, tasks, stop: token };
    Daemon::start(config, parts).await?.run_until(stop).await
}

/// What a daemon is made of, besides its configuration.
pub struct Parts {
    /// Executes jobs.
    pub runner: Arc<dyn JobRunner>,
    /// Answers questions.
    pub queries: Arc<dyn Queries>,
    /// Tells how it goes.
    pub metrics: Arc<Metrics>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Has the tasks.
    pub tasks: Tasks,
    /// Is cancelled when the API ends.
    pub stop: CancellationToken,
}

impl Daemon {
    /// Takes the state folder, ends what an earlier daemon left, and listens.
    pub async fn start(config: Arc<Config>, parts: Parts) -> Result<Self, DaemonError> {
        let Parts { runner, queries, metrics, clock, tasks, stop } = parts;
        let settings = &config.daemon;
        let started_at = clock.now();
        let (state, recovered) = State::open(&settings.state_dir, settings.keep_jobs, started_at)?;
        for job in &recovered.interrupted {
            tracing::warn!(job = job.id, repository = job.repository, "the daemon ended before this job did");
        }
        for (name, repository) in &config.repositories {
            if let Some((fingerprint, at)) = state.last_whole(&repository.store.to_string()).await? {
                metrics.checked_whole(name, &fingerprint, at);
            }
        }
        // Before the supervisor: if the address is taken, nothing has begun.
        let (socket, listener) = Socket::listen(&settings.socket, settings.socket_group).await?;
        let for_metrics = match config.http.listen {
            Some(address) => Some(http::listen(address).await?),
            None => None,
        };
        let repositories = config.repositories.iter();
        let limits = Limits {
            jobs: settings.max_running_jobs,
            repositories: repositories.filter_map(|(name, it)| Some((name.clone(), it.max_running_jobs?))).collect(),
        };
        let supervisor = Supervisor::start(state.clone(), recovered.last_id, limits, runner, clock, &tasks);
        let services = Services {
            supervisor: supervisor.clone(),
            queries,
            access: Access::new(config.access.clone(), rustix::process::geteuid().as_raw()),
            config: config.clone(),
            started_at,
        };
        tasks.spawn(TaskKind::Api, api::serve(listener, services, api::by_socket, stop.clone()));
        if let Some(listener) = for_metrics {
            tasks.spawn(TaskKind::Http, http::serve(listener, metrics, stop.clone()));
        }
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            socket = %settings.socket.display(),
            config = %config.path.display(),
            "cloudsticd is ready"
        );
        Ok(Self { state, supervisor, tasks, socket, stop, grace: settings.shutdown_grace })
    }

    /// Works until `stop` is ready or a vital part fails, then ends in good order.
    pub async fn run_until(self, stop: impl Future<Output = ()>) -> Result<(), DaemonError> {
        let fault = tokio::select! {
            () = stop => None,
            fault = self.tasks.fault() => Some(fault),
        };
        tracing::info!("stopping");
        self.supervisor.stop(self.grace).await;
        self.stop.cancel();
        if tokio::time::timeout(LAST_TASKS, self.tasks.wait()).await.is_err() {
            tracing::warn!("some tasks did not end in time and are left behind");
        }
        drop(self.socket);
        self.state.close().await;
        tracing::info!("stopped");
        match fault.or(self.tasks.fault_so_far()) {
            Some(fault) => Err(DaemonError::Fault(fault)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use cloudstic_proto::v1::{self, JobState, jobs_client::JobsClient};
    use futures::FutureExt;
    use tokio::sync::oneshot;
    use tonic::transport::Endpoint;

    use super::*;
    use crate::accounts::Accounts;
    use crate::clock::SteppingClock;
    use crate::operations::fake::fake_queries;
    use crate::supervisor::fake::{Starts, fake_runner};

    async fn start(folder: &std::path::Path) -> (Daemon, Starts) {
        let text = format!(
            "[daemon]\nsocket = \"{0}/sock\"\nstate_dir = \"{0}/state\"\n[repositories.main]\nstore = \"local:/srv\"\n\
             [profiles.home]\nrepository = \"main\"\nsource = \"/home\"",
            folder.display()
        );
        let config = Config::parse("test.toml".as_ref(), &text, &Accounts::default()).unwrap();
        let (runner, starts) = fake_runner(true);
        let (queries, ..) = fake_queries();
        let (tasks, stop) = (Tasks::default(), CancellationToken::new());
        let (metrics, clock) = (Arc::new(Metrics::new(config.backends())), Arc::new(SteppingClock::default()));
        let parts = Parts { runner, queries, metrics, clock, tasks, stop };
        (Daemon::start(Arc::new(config), parts).await.unwrap(), starts)
    }

    #[tokio::test]
    async fn a_stop_ends_jobs_tells_their_watchers_and_does_not_wait_for_a_silent_client() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("sock");
        let (daemon, starts) = start(folder.path()).await;
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(daemon.run_until(stopped.map(drop)));

        let silent = tokio::net::UnixStream::connect(&socket).await.unwrap();
        let channel = Endpoint::try_from(format!("unix:{}", socket.display())).unwrap().connect().await.unwrap();
        let mut jobs = JobsClient::new(channel);
        let backup = v1::BackupSpec { profile: "home".into(), ..Default::default() };
        let spec = Some(v1::JobSpec { operation: Some(v1::job_spec::Operation::Backup(backup)) });
        let id = jobs.submit(v1::SubmitRequest { spec }).await.unwrap().into_inner().id;
        let mut events = jobs.watch(v1::WatchJobRequest { id }).await.unwrap().into_inner();
        let _started = starts.next().await;

        stop.send(()).unwrap();
        let mut last = None;
        while let Some(event) = events.message().await.unwrap() {
            last = event.job;
        }
        assert_eq!(last.unwrap().state(), JobState::Interrupted);
        running.await.unwrap().unwrap();
        assert!(!socket.exists());
        drop(silent);
    }

    #[tokio::test]
    async fn a_second_daemon_does_not_start_and_leaves_the_first_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (daemon, _starts) = start(folder.path()).await;
        let text = format!("[daemon]\nsocket = \"{0}/2\"\nstate_dir = \"{0}/state\"", folder.path().display());
        let config = Config::parse("test.toml".as_ref(), &text, &Accounts::default()).unwrap();
        let error = run(config, std::future::pending()).await.unwrap_err();
        assert!(matches!(error, DaemonError::State(StateError::InUse { .. })), "{error}");
        assert!(folder.path().join("sock").exists());
        daemon.run_until(std::future::ready(())).await.unwrap();
    }
}
