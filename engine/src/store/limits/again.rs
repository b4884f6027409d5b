//! What a write that is tried again may meet: its own first try, whose answer was lost.
//!
//! So a condition that does not hold then proves nothing, and what is there counts. If it is what was to be written, the
//! write has won: whoever needs to know that it was *this* writer puts something of its own into the bytes.

use std::fs::File;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use super::LimitedStore;
use crate::store::{StoreError, StoreErrorKind, StoreResult, Version};

/// Bytes that are compared at once.
const PIECE: usize = 1 << 20;

impl LimitedStore {
    /// Whether the object has these bytes.
    pub(super) async fn has(&self, key: &str, bytes: &Bytes) -> StoreResult<bool> {
        match self.inner.get(key).await {
            Ok(found) => Ok(found == *bytes),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The version of the object if it has all bytes of this file.
    pub(super) async fn has_file(&self, key: &str, file: File) -> StoreResult<Option<Version>> {
        let length = file.metadata().map_err(|cause| self.unreadable(key, &cause))?.len();
        let version = match self.inner.stat_versioned(key).await {
            Ok((stat, _)) if stat.size != length => return Ok(None),
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?.1,
        };
        let found = match self.inner.get(key).await {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        let compared = tokio::task::spawn_blocking(move || is_same(&file, &found)).await;
        let is_same = compared.map_err(std::io::Error::other).flatten();
        Ok(is_same.map_err(|cause| self.unreadable(key, &cause))?.then_some(version))
    }

    /// Whether there is no such object.
    pub(super) async fn is_absent(&self, key: &str) -> StoreResult<bool> {
        match self.inner.stat(key).await {
            Ok(_) => Ok(false),
            Err(error) if error.is_not_found() => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// The same file, with a position of its own: a try that was given up may still be reading it.
    pub(super) fn reopen(&self, key: &str, file: &File) -> StoreResult<File> {
        use std::os::fd::AsRawFd;
        File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(|cause| self.unreadable(key, &cause))
    }

    fn unreadable(&self, key: &str, cause: &std::io::Error) -> StoreError {
        let detail = format!("a temporary file cannot be read: {cause}");
        StoreError { kind: StoreErrorKind::Other, key: key.to_owned(), backend: self.inner.describe(), detail }
    }
}

fn is_same(file: &File, bytes: &[u8]) -> std::io::Result<bool> {
    let mut read = vec![0; PIECE.min(bytes.len())];
    let mut at = 0;
    for piece in bytes.chunks(PIECE) {
        let read = &mut read[..piece.len()];
        file.read_exact_at(read, at)?;
        if read != piece {
            return Ok(false);
        }
        at += piece.len() as u64;
    }
    Ok(file.metadata()?.len() == at)
}
