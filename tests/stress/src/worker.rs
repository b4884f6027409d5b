//! One of the processes: backs up its own tree, or prunes, again and again, and writes down what came of it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cloudstic_engine::backup::{self, BackupError, BackupReport, BackupRequest};
use cloudstic_engine::cache::StatCache;
use cloudstic_engine::lock::{Kind, LeaseWatch, LockError, Locks, Timing};
use cloudstic_engine::progress::Silent;
use cloudstic_engine::prune::{self, PruneError, PruneReport, PruneRequest};
use cloudstic_engine::repository::{Repository, RepositoryError};
use cloudstic_engine::source::local::{LocalOptions, LocalSource};
use cloudstic_engine::store::{StoreError, StoreErrorKind};
use tokio_util::sync::CancellationToken;

use crate::conductor::busy;
use crate::slow::{open, store};
use crate::{Arguments, tree};

/// What a process wrote into its log, a line each.
pub(crate) mod word {
    /// With the snapshot and the fingerprint of its tree.
    pub(crate) const STORED: &str = "stored";
    /// With the number of packs that were deleted.
    pub(crate) const PRUNED: &str = "pruned";
    /// With a snapshot that is going to be removed.
    pub(crate) const REMOVES: &str = "removes";
    /// The lock is another's.
    pub(crate) const REFUSED: &str = "refused";
    /// The process was stopped in the middle of a request, or the one that it waited for was.
    pub(crate) const SLOW: &str = "slow";
    /// The lock was lost.
    pub(crate) const LOST: &str = "lost";
    /// With what should not have happened.
    pub(crate) const ERROR: &str = "error";
}

/// What a process keeps from one backup to the next, as a daemon does; every other one keeps nothing.
#[derive(Default)]
pub(crate) struct Kept {
    repository: Option<Arc<Repository>>,
    cache: Option<Arc<StatCache>>,
}

/// Works until there is a file `stop`.
pub(crate) fn run(arguments: &Arguments, folder: &Path, number: u64) -> anyhow::Result<()> {
    let log = File::options().create(true).append(true).open(folder.join(format!("log-{number}")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let busy = busy(folder, number);
    let mut kept = Kept::default();
    if number % 4 == 2 {
        kept.cache = Some(Arc::new(StatCache::open(&folder.join(format!("cache-{number}")))?));
    }
    runtime.block_on(async {
        while !folder.join("stop").exists() {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..400))).await;
            File::create(&busy)?;
            let line = if number.is_multiple_of(4) {
                prune(arguments, folder, &log).await
            } else {
                back_up(arguments, folder, number, &mut kept).await
            };
            std::fs::remove_file(&busy)?;
            (&log).write_all(format!("{line}\n").as_bytes())?;
        }
        Ok(())
    })
}

/// One more backup when all have ended: it makes the indexes right that a killed process left.
pub(crate) async fn last_backup(arguments: &Arguments, folder: &Path) -> anyhow::Result<()> {
    let done = try_back_up(arguments, folder, &folder.join("tree-0"), &mut Kept::default()).await?;
    done.map(drop).map_err(Into::into)
}

async fn back_up(arguments: &Arguments, folder: &Path, number: u64, kept: &mut Kept) -> String {
    let source = folder.join(format!("tree-{number}"));
    match try_back_up(arguments, folder, &source, kept).await {
        Ok(Ok(report)) if report.warning_count > 0 => format!("{} warnings: {:?}", word::ERROR, report.warnings),
        Ok(Ok(BackupReport { snapshot: Some(snapshot), .. })) => match tree::fingerprint(&source) {
            Ok(fingerprint) => format!("{} {snapshot} {fingerprint}", word::STORED),
            Err(error) => format!("{} {error}", word::ERROR),
        },
        Ok(Ok(_)) => format!("{} a backup without a snapshot", word::ERROR),
        Ok(Err(BackupError::LockLost(lost))) => format!("{} {lost}", word::LOST),
        Ok(Err(error)) => {
            let is_slow = matches!(&error, BackupError::Repository(RepositoryError::Store(store)) if is_slow(store));
            format!("{} backup: {error}", if is_slow { word::SLOW } else { word::ERROR })
        }
        Err(error) => outside(&error),
    }
}

pub(crate) async fn try_back_up(
    arguments: &Arguments,
    folder: &Path,
    source: &Path,
    kept: &mut Kept,
) -> anyhow::Result<Result<BackupReport, BackupError>> {
    tree::change(source)?;
    let repository = match kept.repository.take() {
        Some(repository) => repository,
        None => open(arguments.store, folder).await?,
    };
    let cache = kept.cache.clone();
    kept.repository = cache.is_some().then(|| Arc::clone(&repository));
    let source = Arc::new(LocalSource::new(source.to_owned(), LocalOptions::default())?);
    let locks = locks(arguments, folder, &repository);
    let work = |lease, cancel| {
        let request = BackupRequest {
            source,
            cache,
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

/// Snapshots that are kept; of more, the pruning processes remove some.
const KEPT: usize = 12;

async fn prune(arguments: &Arguments, folder: &Path, log: &File) -> String {
    let pruned = try_prune(arguments, folder, |repository, lease| async move {
        let snapshots = repository.proven_snapshots().await?.readable;
        if snapshots.len() > KEPT {
            let removed = snapshots[fastrand::usize(1..snapshots.len())].reference;
            let mut log = log;
            log.write_all(format!("{} {removed}\n", word::REMOVES).as_bytes()).map_err(system)?;
            repository.remove_snapshots(&BTreeSet::from([removed]), &lease).await?;
        }
        Ok(())
    });
    match pruned.await {
        Ok(Ok(report)) => format!("{} {}", word::PRUNED, report.packs_deleted + report.packs_rewritten),
        Ok(Err(PruneError::LockLost(lost))) => format!("{} {lost}", word::LOST),
        Ok(Err(error)) => {
            let is_slow = matches!(&error, PruneError::Repository(RepositoryError::Store(store)) if is_slow(store));
            format!("{} prune: {error}", if is_slow { word::SLOW } else { word::ERROR })
        }
        Err(error) => outside(&error),
    }
}

fn system(error: std::io::Error) -> RepositoryError {
    RepositoryError::System(error.to_string())
}

/// Prunes under an exclusive lock, after something else was done under it.
pub(crate) async fn try_prune<F: Future<Output = Result<(), RepositoryError>>>(
    arguments: &Arguments,
    folder: &Path,
    before: impl FnOnce(Arc<Repository>, LeaseWatch) -> F,
) -> anyhow::Result<Result<PruneReport, PruneError>> {
    let repository = open(arguments.store, folder).await?;
    let locks = locks(arguments, folder, &repository);
    let work = async |lease: LeaseWatch, cancel| {
        before(Arc::clone(&repository), lease.clone()).await?;
        let request = PruneRequest {
            dry_run: false,
            max_waste_percent: arguments.max_waste,
            max_repack_bytes: None,
            despite_unknown: false,
            without: Default::default(),
            lease,
        };
        prune::prune(repository, request, Arc::new(Silent), cancel).await
    };
    if arguments.without_locks {
        return Ok(work(LeaseWatch::not_needed(), CancellationToken::new()).await);
    }
    let lease = locks.acquire_with(Kind::Exclusive, "prune", patience(arguments)).await?;
    Ok(lease.during(&CancellationToken::new(), work).await)
}

fn outside(error: &anyhow::Error) -> String {
    let word = match error.downcast_ref() {
        Some(LockError::Held(_)) => word::REFUSED,
        Some(LockError::Store(store)) if is_slow(store) => word::SLOW,
        _ => word::ERROR,
    };
    format!("{word} {error:#}")
}

fn is_slow(error: &StoreError) -> bool {
    error.kind == StoreErrorKind::Transient
}

fn locks(arguments: &Arguments, folder: &Path, repository: &Repository) -> Locks {
    let timing = Timing::scaled(Duration::from_millis(arguments.ttl_ms));
    Locks::new(store(arguments.store, folder), repository.sealer().clone()).with_timing(timing)
}

fn patience(arguments: &Arguments) -> Duration {
    Duration::from_millis(arguments.ttl_ms) * 4
}
