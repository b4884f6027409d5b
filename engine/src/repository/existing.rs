//! Which objects a repository has, without reading them.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::stream::{StreamExt, TryStreamExt};
use tokio::runtime::Handle;

use super::{Repository, RepositoryError};
use crate::crypto::Sealer;
use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::pack::{Catalog, Doomed};
use crate::store::{ObjectStore, StoreError, StoreResult};

/// So many objects of a kind are what one request lists, in most stores. If there are not more, they are listed at once.
const PAGE: usize = 1000;

/// Where there are more, so many are asked for before they are listed.
const ASK_FIRST: u32 = 64;

/// The objects of a repository as they are at one moment: those in packs that exist, by the catalog; chunks and contents
/// that lie in the store by themselves, listed once if they are few or many are to be asked for, else asked for one by
/// one. Blocking: for worker threads. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Existing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    catalog: Arc<Catalog>,
    /// Whether packs are gone that the stored catalog names.
    lost: bool,
    repository: Arc<Repository>,
    runtime: Handle,
    chunks: Alone,
    contents: Alone,
    /// What a prune was about to delete, read when it matters for the first time.
    doomed: Mutex<Option<Arc<Doomed>>>,
}

/// The kinds of which a process has seen, at any time, that more than a [`PAGE`] lie by themselves.
#[derive(Debug, Default)]
pub(super) struct Many {
    chunks: AtomicBool,
    contents: AtomicBool,
}

/// The objects of one kind that lie by themselves.
#[derive(Debug, Default)]
struct Alone {
    asked: AtomicU32,
    /// Their names, sorted, as soon as they were listed.
    listed: Mutex<Option<Arc<[Hash]>>>,
}

impl Repository {
    /// What the repository has now.
    pub async fn existing(self: &Arc<Self>) -> Result<Existing, RepositoryError> {
        let (catalog, lost) = self.catalog_now().await?;
        Ok(Existing(Arc::new(Inner {
            catalog,
            lost,
            repository: Arc::clone(self),
            runtime: Handle::current(),
            chunks: Alone::default(),
            contents: Alone::default(),
            doomed: Mutex::default(),
        })))
    }
}

impl Existing {
    /// Whether packs are gone that the stored catalog names: then something of some snapshot is lost.
    pub fn has_lost_packs(&self) -> bool {
        self.0.lost
    }

    /// Whether an object exists, as far as this knows: of filemetas, nodes and snapshots only those in packs. What lies by
    /// itself and may be deleted at any moment does not.
    pub fn contains(&self, object: &ObjectRef) -> Result<bool, StoreError> {
        if self.has_packed(object) {
            return Ok(true);
        }
        let inner = &*self.0;
        let many = &inner.repository.many;
        let is_there = match object.kind {
            ObjectKind::Chunk => inner.lies_alone(object, &inner.chunks, &many.chunks)?,
            ObjectKind::Content => inner.lies_alone(object, &inner.contents, &many.contents)?,
            ObjectKind::Filemeta | ObjectKind::Node | ObjectKind::Snapshot => false,
        };
        Ok(is_there && !self.is_doomed(object)?)
    }

    /// Whether an object is in a pack.
    pub(super) fn has_packed(&self, object: &ObjectRef) -> bool {
        self.0.catalog.contains(object)
    }

    /// Whether a prune was about to delete an object that lies by itself: it may be gone at any moment, and so may what is
    /// written under its key.
    pub(super) fn is_doomed(&self, object: &ObjectRef) -> Result<bool, StoreError> {
        Ok(self.0.doomed()?.has(object))
    }
}

impl Inner {
    fn store(&self) -> &dyn ObjectStore {
        &**self.repository.store()
    }

    fn sealer(&self) -> &Sealer {
        self.repository.sealer()
    }

    fn doomed(&self) -> Result<Arc<Doomed>, StoreError> {
        let mut doomed = self.doomed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(doomed) = &*doomed {
            return Ok(Arc::clone(doomed));
        }
        let (read, _) = self.runtime.block_on(Doomed::read(self.store(), self.sealer()))?;
        Ok(Arc::clone(doomed.insert(Arc::new(read))))
    }

    fn lies_alone(&self, object: &ObjectRef, alone: &Alone, many: &AtomicBool) -> StoreResult<bool> {
        let has = |listed: &[Hash]| listed.binary_search(&object.hash).is_ok();
        {
            let mut listed = alone.listed.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(listed) = &*listed {
                return Ok(has(listed));
            }
            let asks = many.load(Ordering::Relaxed) && alone.asked.fetch_add(1, Ordering::Relaxed) < ASK_FIRST;
            if !asks {
                let most = if many.load(Ordering::Relaxed) { usize::MAX } else { PAGE };
                let (found, is_all) = self.runtime.block_on(self.list(object.kind, most))?;
                if is_all {
                    return Ok(has(listed.insert(found.into())));
                }
                many.store(true, Ordering::Relaxed);
            }
        }
        match self.runtime.block_on(self.store().stat(&object.key())) {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The names of those that lie by themselves, sorted, and whether these are all: not more than `most` are listed.
    async fn list(&self, kind: ObjectKind, most: usize) -> StoreResult<(Vec<Hash>, bool)> {
        let prefix = format!("{}/", kind.as_str());
        let (mut names, mut count) = (Vec::new(), 0);
        let mut listed = self.store().list(&prefix).take(most);
        while let Some(stat) = listed.try_next().await? {
            count += 1;
            names.extend(stat.key.parse::<ObjectRef>().ok().map(|found| found.hash));
        }
        names.sort_unstable();
        Ok((names, count < most))
    }
}
