//! Writing objects: each once, small ones in packs, with a bounded number of bytes on their way to the store.
//!
//! A content in chunks is never in the store before these are: what an operation that broke off has left counts as stored
//! for the next one, which does not look into it.
//!
//! Nothing is sent while it is in doubt whether the lock still holds: after a suspend, what waits here goes on only when
//! that is known.

mod filling;
mod sending;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::filling::{Filling, Full, Released};
use self::sending::{Flight, Sending};
use super::{Existing, Repository, RepositoryError};
use crate::lock::LeaseWatch;
use crate::object::{ObjectKind, ObjectRef, PACKED_MAX};
use crate::pack::{FinishedPack, PackMembers};

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
    sending: Sending,
    filling: Mutex<Filling>,
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
            sending: Sending::default(),
            filling: Mutex::default(),
        }
    }
}

impl ObjectWriter {
    /// Writes an object, unless it is there already.
    pub fn write(&self, object: ObjectRef, plain: &[u8]) -> Result<Stored, RepositoryError> {
        self.write_after(&[], object, plain)
    }

    /// Writes a content that names `chunks`, which this writer was given before: as soon as it may.
    pub fn write_after(
        &self,
        chunks: &[ObjectRef],
        object: ObjectRef,
        plain: &[u8],
    ) -> Result<Stored, RepositoryError> {
        let write = || {
            if self.has(&object)? {
                return Ok(Stored::Before);
            }
            let sealed = self.repository.sealer.seal(plain)?;
            let size = sealed.len() as u64;
            self.store_after(chunks, object, sealed)?;
            Ok(Stored::Now(size))
        };
        // Others rely on it that what is claimed will be there.
        write().inspect_err(|error| self.sending.fail(error))
    }

    fn store_after(&self, chunks: &[ObjectRef], object: ObjectRef, sealed: Vec<u8>) -> Result<(), RepositoryError> {
        // Under its key, a prune that was stopped may yet delete it.
        let is_packed = object.kind.is_data() && (sealed.len() <= PACKED_MAX || self.existing.is_doomed(&object)?);
        if !chunks.is_empty() {
            let released = self.lock().hold((object, sealed), !is_packed, chunks, &self.sending);
            return self.send_released(released);
        }
        if !is_packed {
            return self.send_alone(object, sealed);
        }
        let full = self.lock().pack(object, &sealed, &self.sending);
        full.map_or(Ok(()), |full| self.send_pack(full))
    }

    /// Waits until everything is in the store for good.
    pub fn finish(self) -> Result<Written, RepositoryError> {
        let flushed = self.flush();
        self.settle();
        flushed?;
        self.sending.check()?;
        let packs = std::mem::take(&mut self.lock().packs);
        Ok(Written { packs })
    }

    fn flush(&self) -> Result<(), RepositoryError> {
        loop {
            // If a chunk cannot be stored, no pack is needed either.
            self.settle();
            self.sending.check()?;
            let held = self.lock().held();
            let released = self.lock().release(&self.sending);
            self.send_released(released)?;
            let rest = self.lock().take_rest(&self.sending);
            let is_stuck = rest.is_empty() && self.lock().held() == held;
            rest.into_iter().try_for_each(|full| self.send_pack(full))?;
            match self.lock().held() {
                0 => return Ok(()),
                left if is_stuck => {
                    return Err(RepositoryError::System(format!("{left} contents name chunks that were not written")));
                }
                // The rest had chunks of theirs.
                _ => {}
            }
        }
    }

    /// Waits until nothing is on its way to the store any more. After this, a writer that is given up writes nothing.
    pub fn settle(&self) {
        self.runtime.block_on(self.sending.nothing());
    }

    /// Whether an object is in the repository, or will be when this writer is finished. If not, this writer has to
    /// write it.
    fn has(&self, object: &ObjectRef) -> Result<bool, RepositoryError> {
        if !self.lock().claim(object) {
            return Ok(true);
        }
        // Where contents lie by themselves, a second copy of so little is cheaper than the question.
        let is_there = match object.kind {
            ObjectKind::Content => self.existing.has_packed(object),
            _ => self.existing.contains(object)?,
        };
        if is_there {
            self.lock().is_there(object);
        }
        Ok(is_there)
    }

    /// Sends the contents that need not wait for chunks any more, and the packs that are full by that.
    fn send_released(&self, released: Released) -> Result<(), RepositoryError> {
        let Released { packs, alone } = released;
        packs.into_iter().try_for_each(|full| self.send_pack(full))?;
        alone.into_iter().try_for_each(|(content, sealed)| self.send_alone(content, sealed))
    }

    fn send_alone(&self, object: ObjectRef, sealed: Vec<u8>) -> Result<(), RepositoryError> {
        // First the room: packs that have some of it may wait for this object as soon as it is on its way.
        let room = self.room_for(sealed.len())?;
        let flight = self.lock().alone(&object, &self.sending);
        self.send(object.key(), sealed.into(), room, flight, None);
        Ok(())
    }

    fn send_pack(&self, full: Full) -> Result<(), RepositoryError> {
        let Full { builder, after, flight } = full;
        let finished = builder.finish(&self.repository.sealer).map_err(RepositoryError::from);
        // What fails is to be known before the flight ends.
        let prepared = finished.and_then(|pack| Ok((self.room_for(pack.bytes.len())?, pack)));
        let (room, FinishedPack { bytes, members }) = prepared.inspect_err(|error| self.sending.fail(error))?;
        self.send(format!("packs/{}", members.pack), bytes, room, flight, after);
        self.lock().packs.push(members);
        Ok(())
    }

    /// Waits until there is room for so many bytes, if nothing has failed.
    fn room_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit, RepositoryError> {
        self.sending.check()?;
        let units = bytes.div_ceil(UNIT).clamp(1, IN_FLIGHT / UNIT) as u32;
        let acquired = self.runtime.block_on(Arc::clone(&self.room).acquire_many_owned(units));
        acquired.map_err(|cause| RepositoryError::System(cause.to_string()))
    }

    fn send(&self, key: String, bytes: Bytes, room: OwnedSemaphorePermit, flight: Flight, after: Option<u32>) {
        let (store, lease, sending) = (Arc::clone(&self.repository.store), self.lease.clone(), self.sending.clone());
        self.runtime.spawn(async move {
            let _room = room;
            if let Some(after) = after {
                sending.alone_until(after).await;
            }
            let sent = async {
                sending.check()?;
                lease.confirm().await?;
                Ok(store.put(&key, bytes).await?)
            };
            flight.end(sent.await);
        });
    }

    fn lock(&self) -> MutexGuard<'_, Filling> {
        self.filling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
