//! Writing objects: each once, small ones in packs, with a bounded number of bytes on their way to the store.
//!
//! Nothing is sent while it is in doubt whether the lock still holds: after a suspend, what waits here goes on only when
//! that is known.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::{Existing, Repository, RepositoryError};
use crate::lock::{LeaseWatch, LockLost};
use crate::object::{ObjectKind, ObjectRef, PACKED_MAX};
use crate::pack::{FinishedPack, PackBuilder, PackMembers};
use crate::store::StoreError;

/// Bytes that may be on their way to the store at once. An SFTP server answers five times, one after the other, until one
/// object is there.
const IN_FLIGHT: usize = 24 << 20;
/// The unit in which they are counted.
const UNIT: usize = 4 << 10;

/// Writes the objects of one operation. Blocking: for worker threads, never for async tasks.
///
/// Nothing is promised of what was written until [`ObjectWriter::finish`] has returned.
#[derive(Debug)]
pub struct ObjectWriter {
    repository: Arc<Repository>,
    existing: Existing,
    lease: LeaseWatch,
    runtime: Handle,
    room: Arc<Semaphore>,
    failure: Arc<Mutex<Option<Failure>>>,
    state: Mutex<State>,
}

/// Why nothing more is written.
#[derive(Debug, Clone)]
enum Failure {
    Store(StoreError),
    Lock(LockLost),
}

#[derive(Debug, Default)]
struct State {
    /// Chunks and contents that this writer has taken on. Filemetas and nodes are unique within a backup.
    claimed: HashSet<ObjectRef>,
    /// File data and metadata go into packs of their own, so that reading a tree does not read the files.
    data: PackBuilder,
    metadata: PackBuilder,
    packs: Vec<PackMembers>,
}

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// The repository, or this writer, had it already.
    Before,
    /// It is new, and takes this many bytes.
    Now(u64),
}

/// What a writer has written.
#[derive(Debug, Default)]
pub struct Written {
    /// The new packs, and what is in them.
    pub packs: Vec<PackMembers>,
}

impl Repository {
    /// A writer that does not write again what exists. What it writes is for a snapshot that is made under `lease`.
    pub fn writer(self: &Arc<Self>, existing: Existing, lease: LeaseWatch) -> ObjectWriter {
        ObjectWriter {
            repository: Arc::clone(self),
            existing,
            lease,
            runtime: Handle::current(),
            room: Arc::new(Semaphore::new(IN_FLIGHT / UNIT)),
            failure: Arc::default(),
            state: Mutex::default(),
        }
    }
}

impl ObjectWriter {
    /// Writes an object, unless it is there already.
    pub fn write(&self, object: ObjectRef, plain: &[u8]) -> Result<Stored, RepositoryError> {
        if self.has(&object)? {
            return Ok(Stored::Before);
        }
        let sealed = self.repository.sealer.seal(plain)?;
        let size = sealed.len() as u64;
        // Under its key, a prune that was stopped may yet delete it.
        if object.kind.is_data() && (sealed.len() <= PACKED_MAX || self.existing.is_doomed(&object)?) {
            self.pack(object, &sealed)?;
        } else {
            self.put(object.key(), sealed.into())?;
        }
        Ok(Stored::Now(size))
    }

    /// Waits until everything is in the store for good.
    pub fn finish(self) -> Result<Written, RepositoryError> {
        let flushed = self.flush();
        self.settle();
        let packs = flushed?;
        self.check()?;
        Ok(Written { packs })
    }

    fn flush(&self) -> Result<Vec<PackMembers>, RepositoryError> {
        let State { data, metadata, mut packs, .. } = std::mem::take(&mut *self.lock());
        for builder in [data, metadata] {
            if !builder.is_empty() {
                packs.push(self.put_pack(builder)?);
            }
        }
        Ok(packs)
    }

    /// Waits until nothing is on its way to the store any more. After this, a writer that is given up writes nothing.
    pub fn settle(&self) {
        // All of the room is free again then. It fails only for a closed semaphore, and nobody closes it.
        let all = self.runtime.block_on(self.room.acquire_many((IN_FLIGHT / UNIT) as u32));
        drop(all);
    }

    /// Whether an object is in the repository, or will be when this writer is finished. If not, this writer has to
    /// write it.
    fn has(&self, object: &ObjectRef) -> Result<bool, RepositoryError> {
        let is_shared = matches!(object.kind, ObjectKind::Chunk | ObjectKind::Content);
        if is_shared && !self.lock().claimed.insert(*object) {
            return Ok(true);
        }
        // Where contents lie by themselves, a second copy of so little is cheaper than the question.
        match object.kind {
            ObjectKind::Content => Ok(self.existing.has_packed(object)),
            _ => Ok(self.existing.contains(object)?),
        }
    }

    fn pack(&self, object: ObjectRef, sealed: &[u8]) -> Result<(), RepositoryError> {
        let mut state = self.lock();
        let builder = match object.kind {
            ObjectKind::Chunk | ObjectKind::Content => &mut state.data,
            ObjectKind::Filemeta | ObjectKind::Node | ObjectKind::Snapshot => &mut state.metadata,
        };
        builder.add(object, sealed);
        if !builder.is_full() {
            return Ok(());
        }
        let full = std::mem::take(builder);
        drop(state);
        let members = self.put_pack(full)?;
        self.lock().packs.push(members);
        Ok(())
    }

    fn put_pack(&self, builder: PackBuilder) -> Result<PackMembers, RepositoryError> {
        let FinishedPack { bytes, members } = builder.finish(&self.repository.sealer)?;
        self.put(format!("packs/{}", members.pack), bytes)?;
        Ok(members)
    }

    /// Sends bytes to the store as soon as there is room for them.
    fn put(&self, key: String, bytes: Bytes) -> Result<(), RepositoryError> {
        self.check()?;
        let units = bytes.len().div_ceil(UNIT).clamp(1, IN_FLIGHT / UNIT) as u32;
        let acquired = self.runtime.block_on(Arc::clone(&self.room).acquire_many_owned(units));
        let permit = acquired.map_err(|cause| RepositoryError::System(cause.to_string()))?;
        let (store, failure) = (Arc::clone(&self.repository.store), Arc::clone(&self.failure));
        let lease = self.lease.clone();
        self.runtime.spawn(async move {
            let put = match lease.confirm().await {
                Ok(()) => store.put(&key, bytes).await.map_err(Failure::Store),
                Err(lost) => Err(Failure::Lock(lost)),
            };
            if let Err(problem) = put {
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(problem);
            }
            drop(permit);
        });
        Ok(())
    }

    fn check(&self) -> Result<(), RepositoryError> {
        match &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(Failure::Store(error)) => Err(error.clone().into()),
            Some(Failure::Lock(lost)) => Err(lost.clone().into()),
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
