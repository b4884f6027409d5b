//! Writing what is too large for one request, in parts. Parts of an upload that does not end cost money, so that whatever
//! ends one early takes them away again.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use cloudstic_engine::store::StoreErrorKind;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::body::Body;
use super::write::{Answer, Condition, judge};
use super::{Refusal, Shared, within};

/// The size of a part unless there would be too many, in bytes. S3 wants at least 5 MiB.
const PART: u64 = 8 << 20;

/// The most parts that S3 allows.
const MOST_PARTS: u64 = 10_000;

/// How many parts are sent at once, each held in memory.
const AT_ONCE: usize = 4;

fn part_size(length: u64) -> u64 {
    PART.max(length.div_ceil(MOST_PARTS).next_multiple_of(1 << 20))
}

impl Shared {
    pub(super) async fn put_in_parts(
        &self,
        key: &str,
        name: &str,
        body: &Body,
        condition: Option<Condition<'_>>,
    ) -> Result<Answer, Refusal> {
        let beginning = self
            .client
            .create_multipart_upload()
            .bucket(self.bucket())
            .key(name)
            .set_storage_class(self.storage_class(key))
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.encryption_key());
        let Some(id) = self.heard(self.soon(beginning.send()).await)?.upload_id else {
            let detail = "the service began an upload and did not name it".to_owned();
            return Err(Refusal { kind: StoreErrorKind::Denied, code: String::new(), status: 0, detail });
        };
        let (client, bucket) = (self.client.clone(), self.bucket().to_owned());
        let limit = self.settings.stall;
        let upload = Upload { client, bucket, name: name.to_owned(), id, limit, is_open: true };
        let answer = self.finish(&upload, body, condition).await;
        match answer {
            Ok(Answer::Won(_)) => upload.done(),
            _ => upload.abort().await,
        }
        answer
    }

    async fn finish(&self, upload: &Upload, body: &Body, condition: Option<Condition<'_>>) -> Result<Answer, Refusal> {
        let (length, size) = (body.len(), part_size(body.len()));
        // An empty object has one part, too.
        let count = length.div_ceil(size).max(1);
        let parts: Vec<CompletedPart> = stream::iter(0..count)
            .map(|number| self.send_part(upload, body, number, number * size..length.min((number + 1) * size)))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let (if_none_match, if_match) = Condition::headers(condition);
        let completing = self
            .client
            .complete_multipart_upload()
            .bucket(&upload.bucket)
            .key(&upload.name)
            .upload_id(&upload.id)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .set_if_none_match(if_none_match)
            .set_if_match(if_match);
        let answer = self.in_time(completing.send()).await;
        judge(self.heard(answer).map(|output| output.e_tag), condition)
    }

    async fn send_part(
        &self,
        upload: &Upload,
        body: &Body,
        number: u64,
        range: std::ops::Range<u64>,
    ) -> Result<CompletedPart, Refusal> {
        let bytes = body.read(range).await.map_err(|cause| Refusal::unreadable(&cause))?;
        // There are at most 10,000, counted from 1.
        let number = i32::try_from(number + 1).unwrap_or(i32::MAX);
        let answer = self
            .client
            .upload_part()
            .bucket(&upload.bucket)
            .key(&upload.name)
            .upload_id(&upload.id)
            .part_number(number)
            .body(ByteStream::from(bytes))
            .send()
            .await;
        let etag = self.heard(answer)?.e_tag;
        Ok(CompletedPart::builder().part_number(number).set_e_tag(etag).build())
    }
}

/// An upload that was begun. If it is dropped open, because nobody waits for it any more, it is aborted all the same.
struct Upload {
    client: Client,
    bucket: String,
    name: String,
    id: String,
    /// How long the service may think about an end of it.
    limit: Duration,
    is_open: bool,
}

impl Upload {
    fn done(mut self) {
        self.is_open = false;
    }

    async fn abort(mut self) {
        self.is_open = false;
        abort(&self.client, &self.bucket, &self.name, &self.id, self.limit).await;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let (true, Ok(runtime)) = (self.is_open, tokio::runtime::Handle::try_current()) {
            let (client, id) = (self.client.clone(), std::mem::take(&mut self.id));
            let (bucket, name) = (std::mem::take(&mut self.bucket), std::mem::take(&mut self.name));
            let limit = self.limit;
            runtime.spawn(async move { abort(&client, &bucket, &name, &id, limit).await });
        }
    }
}

/// If this fails, the parts stay until a rule of the bucket takes them away.
async fn abort(client: &Client, bucket: &str, name: &str, id: &str, limit: Duration) {
    let aborting = client.abort_multipart_upload().bucket(bucket).key(name).upload_id(id).send();
    if let Err(error) = within(limit, aborting).await {
        let refusal = Refusal::of(&error);
        if refusal.code != "NoSuchUpload" {
            tracing::warn!(
                bucket,
                name,
                problem = refusal.detail,
                "parts of an upload that failed are left in the bucket"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_object_has_no_more_parts_than_are_allowed() {
        for length in [0, 1, PART, PART + 1, 10_000 * PART, 10_000 * PART + 1, 5 << 40] {
            let size = part_size(length);
            assert!(size >= 5 << 20 && length.div_ceil(size) <= MOST_PARTS, "{length}");
        }
    }
}
