//! Which chunks and contents lie in the store by themselves. A few are asked for one by one; when there are many to ask
//! for, they are listed once.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::ready;
use futures::stream::TryStreamExt;
use tokio::runtime::Handle;

use crate::object::{ObjectKind, ObjectRef};
use crate::store::{ObjectStore, StoreError};

/// So many objects are asked for before they are listed.
const ASK_FIRST: u32 = 64;

#[derive(Debug)]
pub(super) struct PlainObjects {
    store: Arc<dyn ObjectStore>,
    asked: AtomicU32,
    listed: Mutex<Option<Arc<HashSet<ObjectRef>>>>,
}

impl PlainObjects {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, asked: AtomicU32::new(0), listed: Mutex::new(None) }
    }

    /// Whether an object lay in the store by itself when this was first needed, or does now. Blocking.
    pub(super) fn contains(&self, runtime: &Handle, object: &ObjectRef) -> Result<bool, StoreError> {
        if self.asked.fetch_add(1, Ordering::Relaxed) >= ASK_FIRST {
            return Ok(self.list(runtime)?.contains(object));
        }
        match runtime.block_on(self.store.stat(&object.key())) {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn list(&self, runtime: &Handle) -> Result<Arc<HashSet<ObjectRef>>, StoreError> {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(objects) = &*listed {
            return Ok(Arc::clone(objects));
        }
        let mut objects = HashSet::new();
        for kind in [ObjectKind::Chunk, ObjectKind::Content] {
            let prefix = format!("{}/", kind.as_str());
            let keys = self.store.list(&prefix).try_filter_map(|stat| ready(Ok(stat.key.parse::<ObjectRef>().ok())));
            objects.extend(runtime.block_on(keys.try_collect::<Vec<_>>())?);
        }
        Ok(Arc::clone(listed.insert(Arc::new(objects))))
    }
}
