//! Where copies go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;

use super::CopyError;
use crate::object::ObjectRef;
use crate::repository::{Existing, ObjectReader, ObjectWriter, Repository, RepositoryError, Stored, Written};

/// The repository that is written, for one snapshot. Blocking: for worker threads.
#[derive(Debug)]
pub(super) struct Target {
    repository: Arc<Repository>,
    existing: Existing,
    reader: ObjectReader,
    /// `None` on a dry run.
    writer: Option<ObjectWriter>,
    added: AtomicU64,
    stored: AtomicU64,
    cancel: CancellationToken,
}

impl Target {
    pub(super) async fn new(
        repository: Arc<Repository>,
        existing: Existing,
        writer: Option<ObjectWriter>,
        cancel: CancellationToken,
    ) -> Result<Self, CopyError> {
        let reader = repository.reader().await?;
        let (added, stored) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { repository, existing, reader, writer, added, stored, cancel })
    }

    pub(super) const fn is_dry(&self) -> bool {
        self.writer.is_none()
    }

    pub(super) const fn reader(&self) -> &ObjectReader {
        &self.reader
    }

    pub(super) const fn repository(&self) -> &Arc<Repository> {
        &self.repository
    }

    pub(super) fn may_go_on(&self) -> Result<(), CopyError> {
        if self.cancel.is_cancelled() { Err(CopyError::Cancelled) } else { Ok(()) }
    }

    /// Whether it has an object; of filemetas and nodes only what is packed counts.
    pub(super) fn has(&self, object: &ObjectRef) -> Result<bool, CopyError> {
        self.existing.contains(object).map_err(|error| RepositoryError::from(error).into())
    }

    pub(super) fn chunk_ref(&self, data: &[u8]) -> ObjectRef {
        self.repository.chunk_ref(data)
    }

    /// Writes an object, unless it is there; nothing on a dry run.
    pub(super) fn write(&self, object: ObjectRef, plain: &[u8]) -> Result<Stored, CopyError> {
        let Some(writer) = &self.writer else { return Ok(Stored::Before) };
        Ok(self.count(plain, writer.write(object, plain)?))
    }

    /// The same for a content that names chunks.
    pub(super) fn write_after(
        &self,
        chunks: &[ObjectRef],
        content: ObjectRef,
        plain: &[u8],
    ) -> Result<Stored, CopyError> {
        let Some(writer) = &self.writer else { return Ok(Stored::Before) };
        Ok(self.count(plain, writer.write_after(chunks, content, plain)?))
    }

    fn count(&self, plain: &[u8], stored: Stored) -> Stored {
        if let Stored::Now(size) = stored {
            self.added.fetch_add(plain.len() as u64, Ordering::Relaxed);
            self.stored.fetch_add(size, Ordering::Relaxed);
        }
        stored
    }

    /// The bytes that were new so far, and what they take.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.added.load(Ordering::Relaxed), self.stored.load(Ordering::Relaxed))
    }

    /// Waits until everything is in the store for good.
    pub(super) fn finish(self) -> Result<Written, CopyError> {
        self.writer.map_or_else(|| Ok(Written::default()), |writer| writer.finish().map_err(CopyError::from))
    }

    /// Waits until nothing is on its way any more.
    pub(super) fn give_up(self) {
        if let Some(writer) = self.writer {
            writer.settle();
        }
    }
}
