//! Which objects a repository has, without reading them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::ready;
use futures::stream::TryStreamExt;
use tokio::runtime::Handle;

use super::{Repository, RepositoryError};
use crate::crypto::Sealer;
use crate::object::{ObjectKind, ObjectRef};
use crate::pack::{Catalog, Doomed};
use crate::store::{ObjectStore, StoreError};

/// So many chunks and contents are asked for before they are listed.
const ASK_FIRST: u32 = 64;

/// The objects of a repository as they are at one moment: those in packs that exist, by the catalog; chunks and
/// contents that lie in the store by themselves, asked for one by one while they are few, and listed once when there
/// are many to ask for. Blocking: for worker threads. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Existing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    catalog: Arc<Catalog>,
    /// Whether packs are gone that the stored catalog names.
    lost: bool,
    store: Arc<dyn ObjectStore>,
    sealer: Sealer,
    runtime: Handle,
    asked: AtomicU32,
    listed: Mutex<Option<Arc<HashSet<ObjectRef>>>>,
    /// What a prune was about to delete, read when it matters for the first time.
    doomed: Mutex<Option<Arc<Doomed>>>,
}

impl Repository {
    /// What the repository has now.
    pub async fn existing(&self) -> Result<Existing, RepositoryError> {
        let (catalog, lost) = self.catalog_now().await?;
        Ok(Existing(Arc::new(Inner {
            catalog,
            lost,
            store: Arc::clone(&self.store),
            sealer: self.sealer.clone(),
            runtime: Handle::current(),
            asked: AtomicU32::new(0),
            listed: Mutex::default(),
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
        let inner = &*self.0;
        if inner.catalog.contains(object) {
            return Ok(true);
        }
        if !matches!(object.kind, ObjectKind::Chunk | ObjectKind::Content) {
            return Ok(false);
        }
        if inner.asked.fetch_add(1, Ordering::Relaxed) >= ASK_FIRST {
            return Ok(inner.list()?.contains(object) && !self.is_doomed(object)?);
        }
        match inner.runtime.block_on(inner.store.stat(&object.key())) {
            Ok(_) => Ok(!self.is_doomed(object)?),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a prune was about to delete an object that lies by itself: it may be gone at any moment, and so may what is
    /// written under its key.
    pub(super) fn is_doomed(&self, object: &ObjectRef) -> Result<bool, StoreError> {
        Ok(self.0.doomed()?.has(object))
    }
}

impl Inner {
    fn doomed(&self) -> Result<Arc<Doomed>, StoreError> {
        let mut doomed = self.doomed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(doomed) = &*doomed {
            return Ok(Arc::clone(doomed));
        }
        let (read, _) = self.runtime.block_on(Doomed::read(&*self.store, &self.sealer))?;
        Ok(Arc::clone(doomed.insert(Arc::new(read))))
    }

    fn list(&self) -> Result<Arc<HashSet<ObjectRef>>, StoreError> {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(objects) = &*listed {
            return Ok(Arc::clone(objects));
        }
        let mut objects = HashSet::new();
        for kind in [ObjectKind::Chunk, ObjectKind::Content] {
            let prefix = format!("{}/", kind.as_str());
            let keys = self.store.list(&prefix).try_filter_map(|stat| ready(Ok(stat.key.parse::<ObjectRef>().ok())));
            objects.extend(self.runtime.block_on(keys.try_collect::<Vec<_>>())?);
        }
        Ok(Arc::clone(listed.insert(Arc::new(objects))))
    }
}
