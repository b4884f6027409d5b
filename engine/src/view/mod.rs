//! One snapshot, opened to be looked at again and again: single entries, single files, and its whole tree only when
//! something cannot be answered without it.
//!
//! The one invariant: what is found the quick way is what the whole tree would have said. An entry is taken only if its
//! filemeta agrees with where it was found; in doubt the tree decides.

mod compact;
mod entry;
mod error;
mod folder;
mod lookup;
mod many;
mod paths;
mod told;

use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::object::{EntryType, FileMeta, ObjectKind, ObjectRef, Snapshot};
use crate::repository::{Repository, RepositoryError};
use crate::source::Warning;
use crate::tree::{Cancelled, ReadObjects, Tree, read_json};

pub(crate) use compact::{Entries, Pieces, Text, Texts};
pub use entry::EntryInfo;
pub use error::QueryError;
pub use folder::Listed;
pub(crate) use many::read_many;
pub(crate) use paths::{by_path, is_within, path_of, path_order};
pub(crate) use told::Told;

/// An open snapshot. Blocking but for [`SnapshotView::open`]: for worker threads only.
pub struct SnapshotView {
    reference: ObjectRef,
    snapshot: Snapshot,
    objects: Arc<dyn ReadObjects>,
    tree: Mutex<Option<Arc<Tree>>>,
}

/// An entry that was asked for by its path.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// Its filemeta object.
    pub reference: ObjectRef,
    /// What that says.
    pub meta: FileMeta,
}

impl SnapshotView {
    /// Opens the snapshot of that name: see [`Repository::find_snapshot`].
    ///
    /// # Errors
    /// As there.
    pub async fn open(repository: &Arc<Repository>, name: &str) -> Result<Self, RepositoryError> {
        let (reference, snapshot) = repository.find_snapshot(name).await?;
        Ok(Self::new(Arc::new(repository.reader().await?), reference, snapshot))
    }

    /// A snapshot that was read already.
    pub fn new(objects: Arc<dyn ReadObjects>, reference: ObjectRef, snapshot: Snapshot) -> Self {
        Self { reference, snapshot, objects, tree: Mutex::default() }
    }

    /// Its name.
    pub const fn reference(&self) -> ObjectRef {
        self.reference
    }

    /// What it says.
    pub const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What it reads with.
    pub fn objects(&self) -> &dyn ReadObjects {
        &*self.objects
    }

    /// What was found damaged so far and has cost nothing.
    pub fn detours(&self) -> Vec<Warning> {
        self.objects.detours()
    }

    /// The whole tree, loaded once and then kept. Whoever asks while it is being loaded waits for it.
    ///
    /// # Errors
    /// If `cancel` was cancelled meanwhile.
    pub fn tree(&self, cancel: &CancellationToken) -> Result<Arc<Tree>, Cancelled> {
        let mut kept = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = &*kept {
            return Ok(Arc::clone(tree));
        }
        let tree = Arc::new(load(&*self.objects, &self.snapshot, cancel)?);
        *kept = Some(Arc::clone(&tree));
        Ok(tree)
    }

    /// The entry at a path, slashes at whose ends do not matter; `None` if there is none. Where fileIds are paths this
    /// reads one way down the tree and no more.
    ///
    /// # Errors
    /// [`QueryError::Read`] if what leads there is damaged, [`QueryError::Cancelled`].
    pub fn entry(&self, path: &[u8], cancel: &CancellationToken) -> Result<Option<Resolved>, QueryError> {
        if by_path(&self.snapshot.source)
            && let Some(found) = lookup::entry(&*self.objects, self.snapshot.root, path)?
        {
            return Ok(Some(found.resolved));
        }
        let tree = self.tree(cancel)?;
        let Some(id) = tree.find(path) else { return Ok(None) };
        let reference = ObjectRef::new(ObjectKind::Filemeta, *tree.get(id).filemeta);
        let meta = read_json(&*self.objects, &reference)?;
        Ok(Some(Resolved { reference, meta }))
    }
}

impl SnapshotView {
    /// What lies directly in a folder, or the entry itself if it is none. `None` if only the tree can tell, also
    /// whether there is anything at the path: see [`SnapshotView::tree`].
    ///
    /// # Errors
    /// [`QueryError::Read`] if what leads there is damaged, [`QueryError::Cancelled`].
    pub fn list(&self, path: &[u8], cancel: &CancellationToken) -> Result<Option<Listed>, QueryError> {
        if !by_path(&self.snapshot.source) {
            return Ok(None);
        }
        let (objects, root) = (&*self.objects, self.snapshot.root);
        if path.iter().all(|&byte| byte == b'/') {
            return Ok(folder::folder(objects, root, "", cancel)?);
        }
        let Some(lookup::Found { resolved: Resolved { reference, meta }, path, by_folder }) =
            lookup::entry(objects, root, path)?
        else {
            return Ok(None);
        };
        match (meta.entry_type, by_folder) {
            (EntryType::Folder, true) => Ok(folder::folder(objects, root, &meta.file_id, cancel)?),
            (EntryType::Folder, false) => Ok(None),
            (EntryType::File, _) => {
                let entries = vec![(path, EntryInfo::new(reference, &meta))];
                Ok(Some(Listed { entries, warnings: Vec::new() }))
            }
        }
    }
}

impl std::fmt::Debug for SnapshotView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotView").field("reference", &self.reference).finish_non_exhaustive()
    }
}

/// Loads the tree of a snapshot.
pub(crate) fn load(
    objects: &dyn ReadObjects,
    snapshot: &Snapshot,
    cancel: &CancellationToken,
) -> Result<Tree, Cancelled> {
    // Where the source collected modes, one that is left out is 0 (format, section 6).
    Tree::load(objects, snapshot.root, by_path(&snapshot.source), cancel)
}

/// Runs work that blocks, away from the async threads. If nobody waits for it any more, it is cancelled.
pub(crate) async fn blocking<T: Send + 'static, E: From<Cancelled> + Send + 'static>(
    cancel: CancellationToken,
    work: impl FnOnce(&CancellationToken) -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let cancel = cancel.child_token();
    let _guard = cancel.clone().drop_guard();
    match tokio::task::spawn_blocking(move || work(&cancel)).await {
        Ok(done) => done,
        Err(why) if why.is_panic() => std::panic::resume_unwind(why.into_panic()),
        Err(_) => Err(Cancelled.into()),
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
