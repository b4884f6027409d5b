//! Files, read in blocks that are kept for a while, and ahead where somebody reads from the beginning to the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};

use super::cache::Cache;
use super::remote::{Fault, Remote};

/// The size of a block in bytes.
pub(crate) const BLOCK: u64 = 1 << 20;

/// How many bytes of files are kept. `--help` tells it.
pub(crate) const CAPACITY: usize = 64 << 20;

/// How many blocks are read ahead.
const AHEAD: u64 = 4;

/// What a block is a block of: files with the same description share theirs, also in other snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Identity {
    /// The hash of the object that describes it.
    Object([u8; 32]),
    /// Its place, where there is no hash.
    Place(Arc<str>, Arc<[u8]>),
}

/// A file that somebody has opened.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) snapshot: Arc<str>,
    pub(crate) path: Arc<[u8]>,
    pub(crate) size: u64,
    identity: Identity,
    /// Where the next read begins if it goes on from the last one.
    next: AtomicU64,
    /// The first block that was not read ahead yet.
    ahead: AtomicU64,
}

impl File {
    /// A file at its beginning.
    pub(crate) fn new(snapshot: Arc<str>, path: Vec<u8>, size: u64, identity: Option<[u8; 32]>) -> Self {
        let path: Arc<[u8]> = path.into();
        let place = || Identity::Place(Arc::clone(&snapshot), Arc::clone(&path));
        let identity = identity.map_or_else(place, Identity::Object);
        Self { identity, snapshot, path, size, next: AtomicU64::new(0), ahead: AtomicU64::new(0) }
    }

    /// What of a range lies in the file.
    fn within(&self, offset: u64, length: u64) -> std::ops::Range<u64> {
        let start = offset.min(self.size);
        start..offset.saturating_add(length).min(self.size).max(start)
    }

    /// The blocks that are worth reading now, as somebody reads this range: none unless it goes on from an earlier one.
    pub(crate) fn ahead_of(&self, offset: u64, length: u64) -> std::ops::Range<u64> {
        let range = self.within(offset, length);
        let expected = self.next.swap(range.end, Ordering::Relaxed);
        let block = range.end / BLOCK;
        // The kernel asks for several pieces at once, not always in order.
        let goes_on = offset > 0 && offset.abs_diff(expected) < BLOCK;
        if !goes_on {
            self.ahead.store(block, Ordering::Relaxed);
            return 0..0;
        }
        let end = (block + 1 + AHEAD).min(self.size.div_ceil(BLOCK));
        let start = self.ahead.fetch_max(end, Ordering::Relaxed).max(block + 1);
        start..end.max(start)
    }
}

/// Blocks of files.
pub(crate) struct Blocks {
    cache: Cache<(Identity, u64), Bytes>,
}

impl Blocks {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self { cache: Cache::new(CAPACITY, |block| block.len()) }
    }

    /// A block of a file: whole, or all up to the file's end.
    pub(crate) async fn block<R: Remote>(&self, remote: &R, file: &File, index: u64) -> Result<Bytes, Fault> {
        let range = file.within(index.saturating_mul(BLOCK), BLOCK);
        let length = range.end - range.start;
        let fetch = || async move {
            let bytes = remote.read(&file.snapshot, &file.path, range.start, length).await?;
            if bytes.len() as u64 == length {
                Ok(bytes)
            } else {
                Err(Fault::Failed(format!("{} bytes came instead of {length}", bytes.len())))
            }
        };
        self.cache.get(&(file.identity.clone(), index), fetch).await
    }

    /// What of a range lies in the file.
    pub(crate) async fn read<R: Remote>(
        &self,
        remote: &R,
        file: &File,
        offset: u64,
        length: u64,
    ) -> Result<Bytes, Fault> {
        let range = file.within(offset, length);
        let mut whole = BytesMut::new();
        for index in range.start / BLOCK..range.end.div_ceil(BLOCK) {
            let block = self.block(remote, file, index).await?;
            let first = index * BLOCK;
            // Both lie within a block, so they are small.
            let start = (range.start.max(first) - first) as usize;
            let end = (range.end.min(first + BLOCK) - first) as usize;
            let part = block.slice(start..end);
            if part.len() as u64 == range.end - range.start {
                return Ok(part);
            }
            whole.extend_from_slice(&part);
        }
        Ok(whole.freeze())
    }

    /// How many bytes are kept.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.cache.weight()
    }
}
