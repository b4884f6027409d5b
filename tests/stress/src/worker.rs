//! One of the processes: backs up its own tree, or prunes, again and again, and writes down what came of it.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cloudstic_engine::backup::{self, BackupError, BackupReport, BackupRequest};
use cloudstic_engine::lock::{Kind, LeaseWatch, LockError, Locks, Timing};
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repository::Repository;
use cloudstic_engine::source::local::{LocalOptions, LocalSource};
use tokio_util::sync::CancellationToken;

use crate::prune::{self, PruneError};
use crate::slow::store;
use crate::{Arguments, tree};

/// What a process wrote into its log, a line each.
pub(crate) mod word {
    /// With the snapshot and the fingerprint of its tree.
    pub(crate) const STORED: &str = "stored";
    /// With the number of packs.
    pub(crate) const PRUNED: &str = "pruned";
    /// The lock is another's.
    pub(crate) const REFUSED: &str = "refused";
    /// The lock was lost.
    pub(crate) const LOST: &str = "lost";
    /// With what should not have happened.
    pub(crate) const ERROR: &str = "error";
}

/// Works until there is a file `stop`.
pub(crate) fn run(arguments: &Arguments, folder: &Path, number: u64) -> anyhow::Result<()> {
    let log = File::options().create(true).append(true).open(folder.join(format!("log-{number}")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        while !folder.join("stop").exists() {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..150))).await;
            let line = if number.is_multiple_of(4) {
                prune(arguments, folder).await
            } else {
                back_up(arguments, folder, number).await
            };
            (&log).write_all(format!("{line}\n").as_bytes())?;
        }
        Ok(())
    })
}

async fn back_up(arguments: &Arguments, folder: &Path, number: u64) -> String {
    let source = folder.join(format!("tree-{number}"));
    match try_back_up(arguments, folder, &source).await {
        Ok(Ok(report)) if report.warning_count > 0 => format!("{} warnings: {:?}", word::ERROR, report.warnings),
        Ok(Ok(BackupReport { snapshot: Some(snapshot), .. })) => match tree::fingerprint(&source) {
            Ok(fingerprint) => format!("{} {snapshot} {fingerprint}", word::STORED),
            Err(error) => format!("{} {error}", word::ERROR),
        },
        Ok(Ok(_)) => format!("{} a backup without a snapshot", word::ERROR),
        Ok(Err(BackupError::LockLost(lost))) => format!("{} {lost}", word::LOST),
        Ok(Err(error)) => format!("{} backup: {error}", word::ERROR),
        Err(error) => outside(&error),
    }
}

async fn try_back_up(
    arguments: &Arguments,
    folder: &Path,
    source: &Path,
) -> anyhow::Result<Result<BackupReport, BackupError>> {
    tree::change(source)?;
    let repository = Arc::new(Repository::open(store(arguments.store, folder), Vec::new()).await?);
    let source = Arc::new(LocalSource::new(source.to_owned(), LocalOptions::default())?);
    let locks = locks(arguments, folder, &repository);
    let work = |lease, cancel| {
        let request = BackupRequest {
            source,
            cache: None,
            tags: Vec::new(),
            dry_run: false,
            read_all: false,
            clock: cloudstic_engine::clock::system(),
            lease,
        };
        backup::backup(repository, request, Arc::new(Silent), cancel)
    };
    if arguments.without_locks {
        return Ok(work(LeaseWatch::not_needed(), CancellationToken::new()).await);
    }
    let lease = locks.acquire_with(Kind::Shared, "backup", patience(arguments)).await?;
    Ok(lease.during(&CancellationToken::new(), work).await)
}

async fn prune(arguments: &Arguments, folder: &Path) -> String {
    let pruned = async {
        let repository = Arc::new(Repository::open(store(arguments.store, folder), Vec::new()).await?);
        if arguments.without_locks {
            return anyhow::Ok(prune::prune(repository, LeaseWatch::not_needed()).await);
        }
        let locks = locks(arguments, folder, &repository);
        let lease = locks.acquire_with(Kind::Exclusive, "prune", patience(arguments)).await?;
        // What was opened before the lock may be older than what others have stored since.
        let repository = Arc::new(Repository::open(store(arguments.store, folder), Vec::new()).await?);
        anyhow::Ok(lease.during(&CancellationToken::new(), |lease, _| prune::prune(repository, lease)).await)
    };
    match pruned.await {
        Ok(Ok(packs)) => format!("{} {packs}", word::PRUNED),
        Ok(Err(PruneError::Lost(lost))) => format!("{} {lost}", word::LOST),
        Ok(Err(PruneError::Other(error))) => format!("{} prune: {error:#}", word::ERROR),
        Err(error) => outside(&error),
    }
}

fn outside(error: &anyhow::Error) -> String {
    let is_refusal = matches!(error.downcast_ref(), Some(LockError::Held(_)));
    format!("{} {error:#}", if is_refusal { word::REFUSED } else { word::ERROR })
}

fn locks(arguments: &Arguments, folder: &Path, repository: &Repository) -> Locks {
    let timing = Timing::scaled(Duration::from_millis(arguments.ttl_ms));
    Locks::new(store(arguments.store, folder), repository.sealer().clone()).with_timing(timing)
}

fn patience(arguments: &Arguments) -> Duration {
    Duration::from_millis(arguments.ttl_ms) * 4
}
