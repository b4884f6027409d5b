//! What is sent: bytes, or a file that is too large to be held in memory.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use aws_sdk_s3::primitives::{ByteStream, Length};
use bytes::Bytes;
use cloudstic_engine::store::{StoreErrorKind, StoreResult};

use super::Shared;

/// Up to this size a file is read into memory and sent with one request, in bytes.
pub(super) const IN_MEMORY: u64 = 8 << 20;

#[derive(Debug)]
pub(super) enum Body {
    Bytes(Bytes),
    /// A file, and its size in bytes.
    File(Arc<File>, u64),
}

impl Shared {
    /// All bytes of a file.
    pub(super) async fn body(&self, key: &str, file: File) -> StoreResult<Body> {
        let made = async {
            let length = file.metadata()?.len();
            let body = Body::File(Arc::new(file), length);
            if length > IN_MEMORY { Ok(body) } else { body.read(0..length).await.map(Body::Bytes) }
        };
        made.await.map_err(|cause| self.unreadable(key, &cause))
    }

    /// The file that was to be sent cannot be read.
    pub(super) fn unreadable(&self, key: &str, cause: &io::Error) -> cloudstic_engine::store::StoreError {
        self.error(key, StoreErrorKind::Other, format!("the file to be stored cannot be read: {cause}"))
    }
}

impl Body {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, length) => *length,
        }
    }

    /// These bytes of it.
    pub(super) async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        match self {
            Self::Bytes(bytes) => {
                let start = usize::try_from(range.start).map_err(io::Error::other)?;
                Ok(bytes.slice(start..start + length))
            }
            Self::File(file, _) => {
                let file = Arc::clone(file);
                let reading = tokio::task::spawn_blocking(move || {
                    let mut bytes = vec![0; length];
                    file.read_exact_at(&mut bytes, range.start).map(|()| bytes.into())
                });
                reading.await.map_err(io::Error::other)?
            }
        }
    }

    /// The whole of it, for one request at a time.
    pub(super) async fn stream(&self) -> io::Result<ByteStream> {
        match self {
            Self::Bytes(bytes) => Ok(ByteStream::from(bytes.clone())),
            Self::File(file, length) => {
                let mut file = tokio::fs::File::from_std(file.try_clone()?);
                tokio::io::AsyncSeekExt::rewind(&mut file).await?;
                let stream = ByteStream::read_from().file(file).length(Length::Exact(*length)).build().await;
                stream.map_err(io::Error::other)
            }
        }
    }
}
