//! Find: entries by name, size, time, type and content, in some or all snapshots.
//!
//! The one invariant: a subtree that several snapshots share is read once, and an entry that several have is found once,
//! with all of them. Memory holds the matches, and of the trees some 40 bytes a node and a filemeta that was read.

mod by_path;
mod by_tree;
mod filter;
mod matches;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use filter::{Criteria, Filter, Syntax};
pub use matches::Match;

use crate::object::{ObjectRef, Snapshot, SnapshotEntry};
use crate::progress::{Phase, Progress};
use crate::repository::{Repository, SnapshotFilter};
use crate::source::Warning;
use crate::tree::ReadObjects;
use crate::view::{QueryError, blocking, by_path};
use crate::warnings::Warnings;

use matches::Matches;

/// What to find, and where.
#[derive(Debug, Clone, Default)]
pub struct FindRequest {
    /// Names of snapshots as in [`Repository::find_snapshot`]; empty for all that match.
    pub snapshots: Vec<String>,
    /// In which snapshots if none is named.
    pub only: SnapshotFilter,
    /// What to find.
    pub criteria: Criteria,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct FindReport {
    /// The snapshots that were looked at, the newest first.
    pub snapshots: Vec<SnapshotEntry>,
    /// Each entry once: those of the newest snapshots first, then in path order.
    pub matches: Vec<Match>,
    /// The first warnings.
    pub warnings: Vec<Warning>,
    /// All of them; more than none means that there may be more to find.
    pub warning_count: u64,
}

/// Looks for entries.
pub async fn find(
    repository: Arc<Repository>,
    request: FindRequest,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<FindReport, QueryError> {
    let filter = Filter::new(&request.criteria)?;
    progress.phase(Phase::Opening);
    let mut warnings = Warnings::default();
    let listed = repository.snapshots().await?;
    let snapshots = if request.snapshots.is_empty() {
        listed.unreadable.into_iter().for_each(|warning| warnings.push(warning));
        listed.readable.into_iter().filter(|entry| request.only.matches(entry)).collect()
    } else {
        let mut chosen: Vec<SnapshotEntry> = Vec::new();
        for name in &request.snapshots {
            let (reference, snapshot): (ObjectRef, Snapshot) = repository.find_snapshot(name).await?;
            if chosen.iter().all(|entry| entry.reference != reference) {
                chosen.push(SnapshotEntry::new(reference, &snapshot));
            }
        }
        let place = |entry: &SnapshotEntry| listed.readable.iter().position(|it| it.reference == entry.reference);
        chosen.sort_by_key(place);
        chosen
    };
    let objects: Arc<dyn ReadObjects> = Arc::new(repository.reader().await?);
    blocking(cancel, move |cancel| {
        progress.phase(Phase::Listing);
        search(&*objects, snapshots, &filter, warnings, &*progress, cancel)
    })
    .await
}

/// Looks for entries in snapshots that are newest first.
pub(crate) fn search(
    objects: &dyn ReadObjects,
    snapshots: Vec<SnapshotEntry>,
    filter: &Filter,
    mut warnings: Warnings,
    progress: &dyn Progress,
    cancel: &CancellationToken,
) -> Result<FindReport, QueryError> {
    let mut matches = Matches::default();
    let mut nodes = by_path::Nodes::default();
    let mut trees = by_tree::Trees::default();
    for (number, snapshot) in (0..).zip(&snapshots) {
        progress.path(&snapshot.reference.to_string());
        if by_path(&snapshot.source) {
            nodes.search(objects, snapshot, number, filter, &mut matches, &mut warnings, cancel)?;
        } else {
            trees.search(objects, snapshot, number, filter, &mut matches, &mut warnings, cancel)?;
        }
    }
    objects.detours().into_iter().for_each(|detour| warnings.push(detour));
    let (warnings, warning_count) = warnings.into_parts();
    Ok(FindReport { snapshots, matches: matches.sorted(), warnings, warning_count })
}
