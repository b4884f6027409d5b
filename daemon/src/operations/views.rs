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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use cloudstic_engine::object::{Snapshot, SourceInfo};
    use cloudstic_engine::repository::InitOptions;
    use cloudstic_engine::store::LocalStore;

    use super::*;

    struct Bench {
        _folder: tempfile::TempDir,
        repository: Arc<Repository>,
        views: Views,
        tasks: Tasks,
    }

    impl Bench {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Arc::new(LocalStore::new(folder.path()));
            Repository::init(store.clone(), InitOptions::default()).await.unwrap();
            let repository = Arc::new(Repository::open(store, Vec::new()).await.unwrap());
            let tasks = Tasks::default();
            let views = Views::new(tasks.clone(), CancellationToken::new());
            Self { _folder: folder, repository, views, tasks }
        }

        async fn keep(&self, number: u8) -> Arc<SnapshotView> {
            let snapshot = Snapshot {
                version: 1,
                created: "2026-01-02T03:04:05Z".parse().unwrap(),
                root: None,
                seq: number.into(),
                source: SourceInfo::default(),
                meta: std::collections::BTreeMap::new(),
                tags: Vec::new(),
                change_token: String::new(),
                exclude_hash: String::new(),
            };
            let objects = Arc::new(self.repository.reader().await.unwrap());
            let view = Arc::new(SnapshotView::new(objects, reference(number), snapshot));
            self.views.keep(&self.repository, &view);
            view
        }

        fn has(&self, number: u8) -> bool {
            self.views.find(&self.repository, reference(number)).is_some()
        }
    }

    fn reference(number: u8) -> ObjectRef {
        ObjectRef::new(ObjectKind::Snapshot, Hash::of(&[number]))
    }

    #[tokio::test]
    async fn the_few_that_were_looked_into_last_are_kept_and_none_that_failed() {
        let bench = Bench::new().await;
        for number in 0..4 {
            bench.keep(number).await;
        }
        assert!(bench.has(0));
        let last = bench.keep(4).await;
        assert_eq!([0, 1, 2, 3, 4].map(|number| bench.has(number)), [true, false, true, true, true]);
        let by_name = bench.views.get(&bench.repository, &reference(4).to_string(), true).await.unwrap();
        assert!(Arc::ptr_eq(&by_name, &last));
        bench.views.forget(&last);
        assert!(!bench.has(4) && bench.has(3));
        // Another repository, or this one opened anew, has its own.
        let other = Bench::new().await;
        assert!(bench.views.find(&other.repository, reference(3)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_looks_into_is_given_back_and_the_sweeper_ends() {
        let bench = Bench::new().await;
        bench.keep(1).await;
        tokio::time::sleep(IDLE / 2).await;
        bench.keep(2).await;
        tokio::time::sleep(IDLE / 2 + Duration::from_millis(1)).await;
        assert!(!bench.has(1) && bench.has(2));
        tokio::time::sleep(IDLE + Duration::from_millis(1)).await;
        assert!(!bench.has(2));
        // And a new one starts with the next.
        bench.keep(3).await;
        tokio::time::sleep(IDLE + Duration::from_millis(1)).await;
        assert!(!bench.has(3));
        bench.tasks.wait().await;
    }
}
