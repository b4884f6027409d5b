//! Reading objects, and looking at them.

use std::error::Error;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use bytes::Bytes;
use cloudstic_engine::store::{ObjectStat, StoreError, StoreErrorKind, StoreResult, Version};

use super::{Shared, chain};

/// The most memory that is set aside because the service says how long an object is, in bytes.
const BELIEVED: u64 = 64 << 20;

impl Shared {
    pub(super) async fn get(&self, key: &str) -> StoreResult<(Bytes, Version)> {
        let name = self.name(key)?;
        let answer = self.soon(self.client.get_object().bucket(self.bucket()).key(name).send()).await;
        let mut output = self.done(key, answer)?;
        let version = output.e_tag.take().map(Version::new);
        let bytes = self.receive(key, output).await?;
        let version = version.unwrap_or_else(|| Version::of(&bytes));
        Ok((bytes, version))
    }

    pub(super) async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
        let short = || self.error(key, StoreErrorKind::Corrupt, "it ends too early".to_owned());
        if range.is_empty() {
            // There is no way to ask for nothing.
            let (stat, _) = self.stat(key).await?;
            return if range.end > stat.size { Err(short()) } else { Ok(Bytes::new()) };
        }
        let name = self.name(key)?;
        let wanted = format!("bytes={}-{}", range.start, range.end - 1);
        let answer = self.soon(self.client.get_object().bucket(self.bucket()).key(name).range(wanted).send()).await;
        let output = match self.done(key, answer) {
            Err(error) if error.kind == StoreErrorKind::Corrupt => return Err(short()),
            other => other?,
        };
        let is_part = output.content_range.is_some();
        if is_part && output.content_length.and_then(|it| u64::try_from(it).ok()) < Some(range.end - range.start) {
            return Err(short());
        }
        let bytes = self.receive(key, output).await?;
        // Who knows no ranges sends everything.
        let start = if is_part { 0 } else { range.start };
        let slice = |at: u64| usize::try_from(at).ok();
        match (slice(start), slice(start + (range.end - range.start))) {
            (Some(start), Some(end)) if end <= bytes.len() => Ok(bytes.slice(start..end)),
            _ => Err(short()),
        }
    }

    pub(super) async fn get_start(&self, key: &str, most: u64) -> StoreResult<(Bytes, ObjectStat, Version)> {
        let name = self.name(key)?;
        let wanted = format!("bytes=0-{}", most.max(1) - 1);
        let answer = self.soon(self.client.get_object().bucket(self.bucket()).key(name).range(wanted).send()).await;
        let mut output = match self.done(key, answer) {
            // There is no first byte.
            Err(error) if error.kind == StoreErrorKind::Corrupt => {
                return self.stat(key).await.map(|(stat, version)| (Bytes::new(), stat, version));
            }
            other => other?,
        };
        let total = output.content_range.as_deref().and_then(|range| range.rsplit_once('/')?.1.parse().ok());
        let modified = output.last_modified.as_ref().map_or(SystemTime::UNIX_EPOCH, time);
        let etag = output.e_tag.take();
        let mut bytes = self.receive(key, output).await?;
        let size = total.unwrap_or(bytes.len() as u64);
        // Who knows no ranges sends everything.
        bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        Ok((bytes, ObjectStat { key: key.to_owned(), size, modified }, version_of(etag, size, modified)))
    }

    async fn receive(&self, key: &str, output: GetObjectOutput) -> StoreResult<Bytes> {
        let GetObjectOutput { mut body, content_length, .. } = output;
        let length = content_length.and_then(|length| u64::try_from(length).ok());
        let mut bytes = Vec::with_capacity(length.unwrap_or(0).min(BELIEVED) as usize);
        while let Some(piece) = body.next().await {
            bytes.extend_from_slice(&piece.map_err(|cause| self.cut_off(key, &cause))?);
        }
        if length.is_some_and(|length| length != bytes.len() as u64) {
            return Err(self.error(key, StoreErrorKind::Transient, "the answer was cut off".to_owned()));
        }
        Ok(bytes.into())
    }

    /// Not all bytes of an answer came.
    pub(super) fn cut_off(&self, key: &str, cause: &(dyn Error + 'static)) -> StoreError {
        self.error(key, StoreErrorKind::Transient, format!("the answer was cut off: {}", chain(cause)))
    }

    pub(super) async fn stat(&self, key: &str) -> StoreResult<(ObjectStat, Version)> {
        let name = self.name(key)?;
        let answer = self.soon(self.client.head_object().bucket(self.bucket()).key(name).send()).await;
        let output = match self.heard(answer) {
            Ok(output) => output,
            Err(refusal) => {
                // This answer says just "404": of the object, if the bucket was seen before.
                if refusal.kind == StoreErrorKind::NotFound && !self.is_there.load(Ordering::Relaxed) {
                    self.find_bucket(key).await?;
                }
                return Err(self.refused(key, refusal));
            }
        };
        let size = output.content_length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0);
        let modified = output.last_modified.as_ref().map_or(SystemTime::UNIX_EPOCH, time);
        Ok((ObjectStat { key: key.to_owned(), size, modified }, version_of(output.e_tag, size, modified)))
    }
}

/// Without an ETag a version cannot be told; the time and the size are the next best.
fn version_of(etag: Option<String>, size: u64, modified: SystemTime) -> Version {
    etag.map_or_else(|| Version::new(format!("{size} {modified:?}")), Version::new)
}

pub(super) fn time(time: &DateTime) -> SystemTime {
    SystemTime::try_from(*time).unwrap_or(SystemTime::UNIX_EPOCH)
}
