//! What the daemon does with the engine: runs jobs ([`JobRunner`]) and answers questions about repositories
//! ([`Queries`]).
//!
//! This is the only room that calls the engine's operations. The one invariant: what blocks runs on threads for that.

mod answering;
mod cloud;
pub(crate) mod convert;
#[cfg(test)]
pub(crate) mod fake;
mod jobs;
mod keys;
mod leases;
mod listing;
mod open;
mod paths;
mod queries;
mod reading;
mod remote;
mod views;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cloudstic_engine::cache::StatCache;
use cloudstic_proto::v1;
use tokio::sync::{OnceCell, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::Config;
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::supervisor::{Hold, Tasks};
pub(crate) use jobs::{parse_change, parse_policy};
use leases::Held;
use open::OpenRepositories;
pub use reading::Reading;
use views::Views;

#[cfg(doc)]
use crate::supervisor::JobRunner;

/// Questions about repositories that are no jobs.
#[async_trait]
pub trait Queries: Reading {
    /// Makes a repository.
    async fn init(&self, request: v1::InitRequest) -> Result<v1::InitResponse, Failure>;

    /// The snapshots of a repository that match, newest first, and what is wrong with those that cannot be read.
    async fn snapshots(&self, request: v1::ListSnapshotsRequest) -> Result<v1::ListSnapshotsResponse, Failure>;

    /// All locks of a repository.
    async fn locks(&self, repository: &str) -> Result<Vec<v1::Lock>, Failure>;

    /// Removes all locks of a repository, whoever holds them.
    async fn break_locks(&self, repository: &str) -> Result<Vec<v1::Lock>, Failure>;

    /// The key slots of a repository.
    async fn keys(&self, repository: &str) -> Result<v1::ListKeysResponse, Failure>;

    /// Changes the key slots of a repository. Nobody may take a lock of it while `hold` is kept.
    async fn change_keys(
        &self,
        request: v1::ChangeKeysRequest,
        hold: Option<Hold>,
    ) -> Result<v1::ChangeKeysResponse, Failure>;

    /// The entries of a snapshot. What fails before the first entry is an error of the call.
    async fn entries(&self, request: v1::ListEntriesRequest) -> Result<Listing, Failure>;
}

/// An answer that comes in parts; dropping it ends the work.
#[derive(Debug)]
pub struct Answer<T> {
    /// Ends after the last part or the first error.
    pub parts: mpsc::Receiver<Result<T, Failure>>,
    _cancel: DropGuard,
}

/// The entries of a snapshot as they come.
pub type Listing = Answer<v1::Entries>;

impl<T> Answer<T> {
    /// What arrives in `parts`; `cancel` is cancelled when nobody wants it any more.
    pub fn new(parts: mpsc::Receiver<Result<T, Failure>>, cancel: CancellationToken) -> Self {
        Self { parts, _cancel: cancel.drop_guard() }
    }
}

/// Both, with the engine.
#[derive(Debug)]
pub struct Engine {
    config: Arc<Config>,
    open: Arc<OpenRepositories>,
    views: Views,
    held: Arc<Held>,
    cache_path: PathBuf,
    cache: OnceCell<Option<Arc<StatCache>>>,
    metrics: Arc<Metrics>,
    tasks: Tasks,
    stop: CancellationToken,
}

impl Engine {
    /// Opens nothing yet. Queries end when `stop` is cancelled.
    pub fn new(config: Arc<Config>, metrics: Arc<Metrics>, tasks: Tasks, stop: CancellationToken) -> Self {
        Self {
            open: Arc::new(OpenRepositories::new(config.clone(), metrics.clone())),
            views: Views::new(tasks.clone(), stop.clone()),
            held: Arc::default(),
            cache_path: config.daemon.state_dir.join("cache.redb"),
            cache: OnceCell::new(),
            config,
            metrics,
            tasks,
            stop,
        }
    }

    /// The stat cache. It only makes backups quicker, so one that cannot be opened is done without.
    async fn cache(&self) -> Option<Arc<StatCache>> {
        let open = || async {
            let path = self.cache_path.clone();
            let opened = tokio::task::spawn_blocking(move || StatCache::open(&path).map_err(|error| error.to_string()));
            match opened.await.unwrap_or_else(|panic| Err(panic.to_string())) {
                Ok(cache) => Some(Arc::new(cache)),
                Err(error) => {
                    tracing::warn!(error, "backups go on without the stat cache, and will be slower");
                    None
                }
            }
        };
        self.cache.get_or_init(open).await.clone()
    }
}
