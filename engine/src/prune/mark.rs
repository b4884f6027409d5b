//! What all snapshots need. Each snapshot is read: an index may be wrong.

use std::sync::{Arc, PoisonError};

use tokio_util::sync::CancellationToken;

use super::PruneError;
use super::survey::Survey;
use crate::object::{ObjectRef, Snapshot, SnapshotEntry};
use crate::progress::Progress;
use crate::reach::Reach;
use crate::repository::{ObjectReader, ReadError, Repository};

/// What was marked.
pub(super) struct Marked {
    pub(super) snapshots: Vec<SnapshotEntry>,
    pub(super) reach: Reach,
}

/// Reads the snapshots and marks what they need.
pub(super) async fn mark(
    repository: &Arc<Repository>,
    survey: &Survey,
    references: Vec<ObjectRef>,
    progress: &Arc<dyn Progress>,
    cancel: &CancellationToken,
) -> Result<Marked, PruneError> {
    let reader = repository.known_reader(Arc::clone(&survey.whole.catalog));
    let alone = survey.alone.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
    let (progress, cancel) = (Arc::clone(progress), cancel.clone());
    let marking = tokio::task::spawn_blocking(move || {
        let snapshots = read_snapshots(&reader, &references, &cancel)?;
        let reach = Reach::mark(&reader, alone, &snapshots, &*progress, &cancel)?;
        // Only this reader's own detours are of objects: those of indexes have other keys.
        let misplaced = reader.detours().into_iter().find(|detour| {
            detour.path.parse::<ObjectRef>().is_ok_and(|object| object.kind.is_data() && reach.needs(&object))
        });
        match misplaced {
            Some(detour) => Err(PruneError::Misplaced { object: detour.path }),
            None => Ok(Marked { snapshots, reach }),
        }
    });
    marking.await?
}

fn read_snapshots(
    reader: &ObjectReader,
    references: &[ObjectRef],
    cancel: &CancellationToken,
) -> Result<Vec<SnapshotEntry>, PruneError> {
    let (mut snapshots, mut first, mut count) = (Vec::new(), None, 0);
    for reference in references {
        if cancel.is_cancelled() {
            return Err(PruneError::Cancelled);
        }
        match reader.read_json::<Snapshot>(reference) {
            Ok(snapshot) => snapshots.push(SnapshotEntry::new(*reference, &snapshot)),
            Err(ReadError::Store(error)) => return Err(error.into()),
            Err(problem) => {
                count += 1;
                first.get_or_insert_with(|| (reference.key(), problem.to_string()));
            }
        }
    }
    match first {
        Some((key, problem)) => Err(PruneError::Snapshot { key, problem, count }),
        None => Ok(snapshots),
    }
}
