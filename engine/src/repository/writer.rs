//! Writing objects: each once, small ones in packs, with a bounded number of bytes on their way to the store.
//!
//! A content in chunks is sent when these are there, and not before: what an operation that broke off has left counts as
//! stored for the next one, which does not look into it.
//!
//! Nothing is sent while it is in doubt whether the lock still holds: after a suspend, what waits here goes on only when
//! that is known.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

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
/// Bytes of contents that may wait for their chunks: those of some 10 GB of files. Nothing else is sent while the last of
/// these chunks are on their way, so this is not to happen often.
const HELD: usize = 512 << 10;

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
    /// Held for reading from when a chunk is claimed until it is in a pack or on its way.
    writing: RwLock<()>,
    /// Held while contents are released, so that no chunk is in a pack that only somebody else is about to send.
    releasing: Mutex<()>,
    state: Mutex<State>,
}

/// Why nothing more is written.
#[derive(Debug, Clone)]
enum Failure {
    Store(StoreError),
    Lock(LockLost),
    /// What was claimed could not be written.
    Other(String),
}

/// Something that others rely on while it is done. If it fails, or its thread does, nothing more is sent.
struct Promise {
    failure: Arc<Mutex<Option<Failure>>>,
    is_over: bool,
}

/// An object as it will be stored.
type Sealed = (ObjectRef, Vec<u8>);

#[derive(Debug, Default)]
struct State {
    /// Chunks and contents that this writer has taken on. Filemetas and nodes are unique within a backup.
    claimed: HashSet<ObjectRef>,
    /// File data and metadata go into packs of their own, so that reading a tree does not read the files.
    data: PackBuilder,
    metadata: PackBuilder,
    packs: Vec<PackMembers>,
    /// Contents that wait for their chunks, and how many bytes they have.
    held: Vec<Sealed>,
    held_bytes: usize,
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
            writing: RwLock::default(),
            releasing: Mutex::default(),
            state: Mutex::default(),
        }
    }
}

impl ObjectWriter {
    /// Writes an object, unless it is there already.
    pub fn write(&self, object: ObjectRef, plain: &[u8]) -> Result<Stored, RepositoryError> {
        let _writing = self.writing.read().unwrap_or_else(PoisonError::into_inner);
        let promise = self.promise();
        promise.end(self.seal_new(object, plain).and_then(|sealed| {
            let Some(sealed) = sealed else { return Ok(Stored::Before) };
            let size = sealed.len() as u64;
            self.place((object, sealed))?;
            Ok(Stored::Now(size))
        }))
    }

    /// Writes an object that names chunks which this writer was given before: when they are in the store.
    pub fn write_after_chunks(&self, object: ObjectRef, plain: &[u8]) -> Result<Stored, RepositoryError> {
        let promise = self.promise();
        let Some(sealed) = promise.end(self.seal_new(object, plain))? else { return Ok(Stored::Before) };
        let size = sealed.len();
        let is_much = {
            let mut state = self.lock();
            state.held.push((object, sealed));
            state.held_bytes += size;
            state.held_bytes >= HELD
        };
        if is_much {
            self.release(HELD)?;
        }
        Ok(Stored::Now(size as u64))
    }

    /// Waits until everything is in the store for good.
    pub fn finish(self) -> Result<Written, RepositoryError> {
        let flushed = self.flush();
        self.settle();
        flushed?;
        self.check()?;
        let packs = std::mem::take(&mut self.lock().packs);
        Ok(Written { packs })
    }

    fn flush(&self) -> Result<(), RepositoryError> {
        self.release(0)?;
        let metadata = std::mem::take(&mut self.lock().metadata);
        self.put_pack(metadata)
    }

    /// Sends the contents that wait for their chunks, as soon as these are there, if they have so many bytes.
    fn release(&self, least: usize) -> Result<(), RepositoryError> {
        let _releasing = self.releasing.lock().unwrap_or_else(PoisonError::into_inner);
        let (chunks, held) = {
            // Nobody is about to write a chunk that one of these contents names.
            let _all = self.writing.write().unwrap_or_else(PoisonError::into_inner);
            let mut state = self.lock();
            if state.held_bytes < least {
                return Ok(());
            }
            state.held_bytes = 0;
            (std::mem::take(&mut state.data), std::mem::take(&mut state.held))
        };
        let promise = self.promise();
        promise.end(self.send(chunks, held))
    }

    fn send(&self, mut pack: PackBuilder, held: Vec<Sealed>) -> Result<(), RepositoryError> {
        if !held.is_empty() {
            self.settle();
        }
        let mut alone = Vec::new();
        for (object, sealed) in held {
            // A chunk that is in the same pack comes with it.
            if self.is_packed(&object, &sealed)? {
                pack.add(object, &sealed);
            } else {
                alone.push((object, sealed));
            }
        }
        self.put_pack(pack)?;
        if !alone.is_empty() {
            self.settle();
        }
        alone.into_iter().try_for_each(|(object, sealed)| self.put(object.key(), sealed.into()))
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

    /// The object as it will be stored, if this writer has to write it.
    fn seal_new(&self, object: ObjectRef, plain: &[u8]) -> Result<Option<Vec<u8>>, RepositoryError> {
        Ok(if self.has(&object)? { None } else { Some(self.repository.sealer.seal(plain)?) })
    }

    fn is_packed(&self, object: &ObjectRef, sealed: &[u8]) -> Result<bool, RepositoryError> {
        // Under its key, a prune that was stopped may yet delete it.
        Ok(object.kind.is_data() && (sealed.len() <= PACKED_MAX || self.existing.is_doomed(object)?))
    }

    fn place(&self, (object, sealed): Sealed) -> Result<(), RepositoryError> {
        if !self.is_packed(&object, &sealed)? {
            return self.put(object.key(), sealed.into());
        }
        let mut state = self.lock();
        let builder = match object.kind {
            ObjectKind::Chunk | ObjectKind::Content => &mut state.data,
            ObjectKind::Filemeta | ObjectKind::Node | ObjectKind::Snapshot => &mut state.metadata,
        };
        builder.add(object, &sealed);
        if !builder.is_full() {
            return Ok(());
        }
        let full = std::mem::take(builder);
        drop(state);
        self.put_pack(full)
    }

    fn put_pack(&self, builder: PackBuilder) -> Result<(), RepositoryError> {
        if builder.is_empty() {
            return Ok(());
        }
        let FinishedPack { bytes, members } = builder.finish(&self.repository.sealer)?;
        self.put(format!("packs/{}", members.pack), bytes)?;
        self.lock().packs.push(members);
        Ok(())
    }

    /// Sends bytes to the store as soon as there is room for them.
    fn put(&self, key: String, bytes: Bytes) -> Result<(), RepositoryError> {
        self.check()?;
        let units = bytes.len().div_ceil(UNIT).clamp(1, IN_FLIGHT / UNIT) as u32;
        let acquired = self.runtime.block_on(Arc::clone(&self.room).acquire_many_owned(units));
        let permit = acquired.map_err(|cause| RepositoryError::System(cause.to_string()))?;
        let (store, lease, promise) = (Arc::clone(&self.repository.store), self.lease.clone(), self.promise());
        self.runtime.spawn(async move {
            // Given back last: whoever waits for it then sees what failed.
            let _permit = permit;
            let _ = promise.end(match lease.confirm().await {
                Ok(()) => store.put(&key, bytes).await.map_err(RepositoryError::from),
                Err(lost) => Err(lost.into()),
            });
        });
        Ok(())
    }

    fn check(&self) -> Result<(), RepositoryError> {
        match &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(Failure::Store(error)) => Err(error.clone().into()),
            Some(Failure::Lock(lost)) => Err(lost.clone().into()),
            Some(Failure::Other(problem)) => Err(RepositoryError::System(problem.clone())),
            None => Ok(()),
        }
    }

    fn promise(&self) -> Promise {
        Promise { failure: Arc::clone(&self.failure), is_over: false }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Promise {
    fn end<T>(mut self, result: Result<T, RepositoryError>) -> Result<T, RepositoryError> {
        self.is_over = true;
        result.inspect_err(|error| self.fail(error.into()))
    }

    fn fail(&self, failure: Failure) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if !self.is_over {
            self.fail(Failure::Other("what was to be stored was given up".to_owned()));
        }
    }
}

impl From<&RepositoryError> for Failure {
    fn from(error: &RepositoryError) -> Self {
        match error {
            RepositoryError::Store(error) => Self::Store(error.clone()),
            RepositoryError::LockLost(lost) => Self::Lock(lost.clone()),
            RepositoryError::System(problem) => Self::Other(problem.clone()),
            other => Self::Other(other.to_string()),
        }
    }
}
