//! Snapshots that were looked into a moment ago, kept for the next look: a mounted snapshot is read in many small calls.
//!
//! The one invariant: few are kept, none for long, and none that has failed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cloudstic_engine::dump::OpenFile;
use cloudstic_engine::object::{Hash, ObjectKind, ObjectRef};
use cloudstic_engine::repository::{Repository, RepositoryError};
use cloudstic_engine::tree::ReadObjects;
use cloudstic_engine::view::SnapshotView;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::supervisor::{TaskKind, TaskResult, Tasks};

/// Snapshots that are kept.
const KEPT: usize = 4;
/// Open files of each that are kept.
const FILES: usize = 16;
/// Of these, how many keep the data that they have read last.
const WARM: usize = 2;
/// What nobody has looked into for so long is not kept any more.
const IDLE: Duration = Duration::from_secs(60);

/// The snapshots that are kept, those looked into last at the end. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Views {
    kept: Arc<Mutex<Vec<Kept>>>,
    tasks: Tasks,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Kept {
    repository: Arc<Repository>,
    view: Arc<SnapshotView>,
    files: Vec<(Vec<u8>, Arc<OpenFile>)>,
    last_used: Instant,
}

impl Views {
    pub(super) fn new(tasks: Tasks, stop: CancellationToken) -> Self {
        Self { kept: Arc::default(), tasks, stop }
    }

    /// The snapshot of that name. One that is kept, and named by its whole hash, costs no request.
    pub(super) async fn get(
        &self,
        repository: &Arc<Repository>,
        name: &str,
        keep: bool,
    ) -> Result<Arc<SnapshotView>, RepositoryError> {
        if let Some(view) = whole(name).and_then(|reference| self.find(repository, reference)) {
            return Ok(view);
        }
        let (reference, snapshot) = repository.find_snapshot(name).await?;
        if let Some(view) = self.find(repository, reference) {
            return Ok(view);
        }
        let objects: Arc<dyn ReadObjects> = Arc::new(repository.reader().await?);
        let view = Arc::new(SnapshotView::new(objects, reference, snapshot));
        if keep {
            self.keep(repository, &view);
        }
        Ok(view)
    }

    fn find(&self, repository: &Arc<Repository>, reference: ObjectRef) -> Option<Arc<SnapshotView>> {
        let mut kept = lock(&self.kept);
        let at = kept
            .iter()
            .position(|kept| Arc::ptr_eq(&kept.repository, repository) && kept.view.reference() == reference)?;
        let mut found = kept.remove(at);
        found.last_used = Instant::now();
        let view = Arc::clone(&found.view);
        kept.push(found);
        Some(view)
    }

    fn keep(&self, repository: &Arc<Repository>, view: &Arc<SnapshotView>) {
        let mut kept = lock(&self.kept);
        let (repository, view) = (Arc::clone(repository), Arc::clone(view));
        let is_first = kept.is_empty();
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(Kept { repository, view, files: Vec::new(), last_used: Instant::now() });
        if is_first {
            self.tasks.spawn(TaskKind::Query, sweep(Arc::clone(&self.kept), self.stop.clone()));
        }
    }

    /// A file of a kept snapshot that is open already.
    pub(super) fn file(&self, view: &Arc<SnapshotView>, path: &[u8]) -> Option<Arc<OpenFile>> {
        let mut kept = lock(&self.kept);
        let kept = kept.iter_mut().find(|kept| Arc::ptr_eq(&kept.view, view))?;
        let at = kept.files.iter().position(|(other, _)| other == path)?;
        let found = kept.files.remove(at);
        let file = Arc::clone(&found.1);
        kept.files.push(found);
        kept.cool();
        Some(file)
    }

    /// Keeps an open file with its snapshot.
    pub(super) fn keep_file(&self, view: &Arc<SnapshotView>, path: Vec<u8>, file: &Arc<OpenFile>) {
        let mut kept = lock(&self.kept);
        let Some(kept) = kept.iter_mut().find(|kept| Arc::ptr_eq(&kept.view, view)) else { return };
        if kept.files.len() >= FILES {
            kept.files.remove(0);
        }
        kept.files.push((path, Arc::clone(file)));
        kept.cool();
    }

    /// Something failed with a snapshot: the next one who asks opens it anew.
    pub(super) fn forget(&self, view: &Arc<SnapshotView>) {
        lock(&self.kept).retain(|kept| !Arc::ptr_eq(&kept.view, view));
    }
}

impl Kept {
    fn cool(&self) {
        self.files.iter().rev().skip(WARM).for_each(|(_, file)| file.forget_data());
    }
}

/// Drops what nobody looks into, and ends when there is nothing left.
async fn sweep(kept: Arc<Mutex<Vec<Kept>>>, stop: CancellationToken) -> TaskResult {
    loop {
        let until = {
            let mut kept = lock(&kept);
            kept.retain(|kept| kept.last_used.elapsed() < IDLE);
            match kept.first() {
                Some(oldest) => oldest.last_used + IDLE,
                None => return Ok(()),
            }
        };
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep_until(until) => {}
        }
    }
}

/// A snapshot by its whole name.
fn whole(name: &str) -> Option<ObjectRef> {
    let hash = name.strip_prefix("snapshot/").unwrap_or(name).parse::<Hash>().ok()?;
    Some(ObjectRef::new(ObjectKind::Snapshot, hash))
}

fn lock(kept: &Mutex<Vec<Kept>>) -> MutexGuard<'_, Vec<Kept>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
