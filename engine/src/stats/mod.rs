//! Stats: how much snapshots hold, what that takes in the store, and what each one takes alone.
//!
//! Every node and filemeta, and the list of chunks of every large file, is read once, whatever number of snapshots need
//! it; no file data are. What they lead to is kept as numbers, the lists of them in a temporary file; then each snapshot
//! is walked in memory. The one invariant: an object is counted once for each snapshot that needs it, by the length that
//! the catalog or a listing has for it.
//!
//! Some 40 bytes a filemeta and 20 an object are kept.

mod arena;
mod count;
mod graph;
mod report;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::lock::{LeaseWatch, LockLost};
use crate::object::{ObjectKind, ObjectRef, SnapshotEntry};
use crate::pack::CATALOG_KEY;
use crate::progress::{Phase, Progress};
use crate::reach::Alone;
use crate::repository::{ObjectReader, Repository, RepositoryError, SnapshotFilter};
use crate::source::Warning;
use crate::store::{ObjectStat, ObjectStore};
use crate::tree::Cancelled;
use crate::warnings::Warnings;
use futures::stream::TryStreamExt;
use graph::Graph;

pub use report::{RepositoryStats, SnapshotStats, StatsReport, Totals};

/// What to count.
#[derive(Debug, Clone)]
pub struct StatsRequest {
    /// Names of snapshots; all that match the filter if there is none.
    pub snapshots: Vec<String>,
    /// What they are like if none is named.
    pub filter: SnapshotFilter,
    /// A shared lock.
    pub lease: LeaseWatch,
}

/// Why nothing was counted.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// The repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The repository lock was lost.
    #[error(transparent)]
    LockLost(#[from] LockLost),
    /// The system: threads, temporary files.
    #[error("nothing can be counted: {0}")]
    System(#[from] std::io::Error),
    /// Cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl From<Cancelled> for StatsError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

/// Counts. What cannot be read is a warning of the report, and is not counted.
pub async fn stats(
    repository: Arc<Repository>,
    request: StatsRequest,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<StatsReport, StatsError> {
    progress.phase(Phase::Opening);
    request.lease.confirm().await?;
    let list = repository.snapshots().await?;
    let mut chosen = Vec::new();
    for name in &request.snapshots {
        let (reference, _) = repository.find_snapshot(name).await?;
        if !chosen.contains(&reference) {
            chosen.push(reference);
        }
    }
    if request.snapshots.is_empty() {
        let matching = list.readable.iter().filter(|entry| request.filter.matches(entry));
        chosen = matching.map(|entry| entry.reference).collect();
    }
    let mut warnings = Warnings::default();
    for warning in list.unreadable {
        progress.warning(&warning);
        warnings.push(warning);
    }
    let reader = repository.reader().await?;
    let there = There::look(&**repository.store()).await?;
    let snapshots = list.readable;
    let working =
        tokio::task::spawn_blocking(move || work(&reader, &there, &snapshots, &chosen, &*progress, &cancel, warnings));
    working.await.map_err(std::io::Error::other)?
}

/// What listings tell.
struct There {
    alone: Alone,
    /// Snapshots that lie by themselves.
    snapshots: Vec<(ObjectRef, u64)>,
    packs: u64,
    pack_bytes: u64,
    catalog_bytes: u64,
    index_bytes: u64,
}

impl There {
    async fn look(store: &dyn ObjectStore) -> Result<Self, StatsError> {
        let failed = |error| StatsError::Repository(RepositoryError::Store(error));
        let alone = Alone::list(store).await.map_err(failed)?;
        let snapshots = store.list("snapshot/").try_filter_map(|stat| {
            let object = stat.key.parse::<ObjectRef>().ok();
            futures::future::ready(Ok(object.map(|object| (object, stat.size))))
        });
        let snapshots = snapshots.try_collect().await.map_err(failed)?;
        let add = |(count, bytes), stat: ObjectStat| async move { Ok((count + 1, bytes + stat.size)) };
        let (packs, pack_bytes) = store.list("packs/").try_fold((0, 0), add).await.map_err(failed)?;
        let mut sizes = [0, 0];
        for (key, size) in [CATALOG_KEY, "index/snapshots"].into_iter().zip(&mut sizes) {
            match store.stat(key).await {
                Ok(stat) => *size = stat.size,
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let [catalog_bytes, index_bytes] = sizes;
        Ok(Self { alone, snapshots, packs, pack_bytes, catalog_bytes, index_bytes })
    }

    /// What a snapshot object takes.
    fn snapshot_length(&self, reader: &ObjectReader, snapshot: &ObjectRef) -> u64 {
        let packed = reader.catalog().find(snapshot).map(|location| location.length);
        let alone = || self.snapshots.iter().find(|(object, _)| object == snapshot).map(|(_, size)| *size);
        packed.or_else(alone).unwrap_or_default()
    }
}

fn work(
    reader: &ObjectReader,
    there: &There,
    snapshots: &[SnapshotEntry],
    chosen: &[ObjectRef],
    progress: &dyn Progress,
    cancel: &CancellationToken,
    mut warnings: Warnings,
) -> Result<StatsReport, StatsError> {
    progress.phase(Phase::Listing);
    let graph = Graph::read(reader, &there.alone, snapshots, progress, cancel, &mut warnings)?;
    let counted = count::count(&graph, snapshots, chosen, cancel)?;
    let mut report = StatsReport { total: counted.total, ..StatsReport::default() };
    if counted.missing > 0 {
        let problem = format!("{} objects that snapshots need are missing: check the repository", counted.missing);
        let warning = Warning { path: String::new(), problem };
        progress.warning(&warning);
        warnings.push(warning);
    }
    for (entry, counts) in snapshots.iter().zip(counted.snapshots) {
        if chosen.contains(&entry.reference) {
            let own = there.snapshot_length(reader, &entry.reference);
            report.total.metadata_stored_bytes += own;
            report.snapshots.push(SnapshotStats::new(entry, &counts, own));
        }
    }
    let catalog = reader.catalog();
    let named: u64 = ObjectKind::ALL
        .into_iter()
        .flat_map(|kind| (0..catalog.count(kind) as u32).filter_map(move |number| catalog.length_at(kind, number)))
        .sum();
    let alone: u64 = ObjectKind::ALL.into_iter().flat_map(|kind| there.alone.objects(kind)).map(|(_, size)| size).sum();
    let packed_snapshots: u64 = (0..catalog.count(ObjectKind::Snapshot) as u32)
        .filter_map(|n| catalog.length_at(ObjectKind::Snapshot, n))
        .sum();
    report.repository = RepositoryStats {
        snapshots: snapshots.len() as u64,
        packs: there.packs,
        pack_bytes: there.pack_bytes,
        single_bytes: alone,
        unreferenced_bytes: (named + alone).saturating_sub(packed_snapshots + counted.needed_bytes),
        overhead_bytes: there.pack_bytes.saturating_sub(named),
        catalog_bytes: there.catalog_bytes,
        index_bytes: there.index_bytes,
    };
    (report.warnings, report.warning_count) = warnings.into_parts();
    Ok(report)
}
