//! What a bucket in memory answers.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use sha2::{Digest, Sha256};

use super::{MemoryS3, State, wanted};
use crate::server::BUCKET;

async fn read(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let mut bytes = BytesMut::new();
    let mut body = body.ok_or_else(|| s3_error!(IncompleteBody))?;
    while let Some(piece) =
        body.try_next().await.map_err(|error| S3Error::with_source(S3ErrorCode::IncompleteBody, error))?
    {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

fn bucket(name: &str) -> S3Result<()> {
    if name == BUCKET { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
}

#[async_trait::async_trait]
impl S3 for MemoryS3 {
    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        bucket(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        bucket(&input.bucket)?;
        let bytes = read(input.body).await?;
        let mut inner = self.lock();
        self.check(&inner, &input.key, wanted(input.if_none_match, input.if_match).as_ref(), false)?;
        let etag = inner.write(&input.key, Some(bytes), None, self.versions);
        let class = input.storage_class.map(|class| class.as_str().to_owned());
        let encryption = input.server_side_encryption.map(|encryption| encryption.as_str().to_owned());
        let encryption = encryption.map(|kind| format!("{kind} {}", input.ssekms_key_id.unwrap_or_default()));
        inner.written.insert(input.key, (class, encryption));
        Ok(S3Response::new(PutObjectOutput { e_tag: Some(ETag::Strong(etag)), ..Default::default() }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        bucket(&input.bucket)?;
        let inner = self.lock();
        let state = inner.current(&input.key).ok_or_else(|| s3_error!(NoSuchKey))?;
        let mut bytes = state.bytes.clone().unwrap_or_default();
        let mut content_range = None;
        if let Some(range) = input.range {
            let range = range.check(bytes.len() as u64).map_err(|_| s3_error!(InvalidRange))?;
            content_range = Some(format!("bytes {}-{}/{}", range.start, range.end - 1, bytes.len()));
            bytes = bytes.slice(range.start as usize..range.end as usize);
        }
        let output = GetObjectOutput {
            content_length: Some(bytes.len() as i64),
            content_range,
            e_tag: Some(ETag::Strong(state.etag.clone())),
            last_modified: Some(state.modified.into()),
            body: Some(StreamingBlob::wrap(futures::stream::iter([Ok::<_, std::io::Error>(bytes)]))),
            ..Default::default()
        };
        Ok(S3Response::new(output))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        bucket(&request.input.bucket)?;
        let inner = self.lock();
        let state = inner.current(&request.input.key).ok_or_else(|| s3_error!(NoSuchKey))?;
        let output = HeadObjectOutput {
            content_length: state.bytes.as_ref().map(|bytes| bytes.len() as i64),
            e_tag: Some(ETag::Strong(state.etag.clone())),
            last_modified: Some(state.modified.into()),
            ..Default::default()
        };
        Ok(S3Response::new(output))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = request.input;
        bucket(&input.bucket)?;
        let mut inner = self.lock();
        self.check(&inner, &input.key, wanted(None, input.if_match).as_ref(), true)?;
        inner.delete(&input.key, input.version_id.as_deref(), self.versions)?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        bucket(&request.input.bucket)?;
        let mut inner = self.lock();
        if inner.batches_refused {
            return Err(s3_error!(InvalidRequest, "Missing required header for this request: Content-MD5"));
        }
        let mut errors = Vec::new();
        for object in request.input.delete.objects {
            if let Err(error) = inner.delete(&object.key, object.version_id.as_deref(), self.versions) {
                errors.push(Error {
                    code: Some(error.code().as_str().to_owned()),
                    message: error.message().map(str::to_owned),
                    key: Some(object.key),
                    ..Default::default()
                });
            }
        }
        Ok(S3Response::new(DeleteObjectsOutput { errors: Some(errors), ..Default::default() }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        bucket(&input.bucket)?;
        let (inner, prefix) = (self.lock(), input.prefix.unwrap_or_default());
        let after = input.continuation_token.or(input.start_after).unwrap_or_default();
        let found =
            inner.objects.range(after.clone()..).filter(|(name, _)| **name > after && name.starts_with(&prefix));
        let mut found: Vec<_> =
            found.filter_map(|(name, _)| Some((name, inner.current(name)?))).take(inner.page + 1).collect();
        let is_truncated = found.len() > inner.page;
        found.truncate(inner.page);
        let next = found.last().filter(|_| is_truncated).map(|(name, _)| (*name).clone());
        let object = |(name, state): (&String, &State)| Object {
            key: Some(name.clone()),
            size: state.bytes.as_ref().map(|bytes| bytes.len() as i64),
            last_modified: Some(state.modified.into()),
            ..Default::default()
        };
        let output = ListObjectsV2Output {
            contents: Some(found.into_iter().map(object).collect()),
            is_truncated: Some(is_truncated),
            next_continuation_token: next,
            ..Default::default()
        };
        Ok(S3Response::new(output))
    }

    async fn list_object_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let input = request.input;
        bucket(&input.bucket)?;
        let (inner, prefix) = (self.lock(), input.prefix.unwrap_or_default());
        let marker = input.key_marker.map(|key| (key, input.version_id_marker.unwrap_or_default()));
        let (mut versions, mut markers, mut next, mut count) = (Vec::new(), Vec::new(), None, 0);
        'all: for (name, states) in inner.objects.iter().filter(|(name, _)| name.starts_with(&prefix)) {
            for (at, state) in states.iter().enumerate().rev() {
                // The newest come first, and later ones have greater ids.
                if marker
                    .as_ref()
                    .is_some_and(|(key, version)| name < key || (name == key && state.version >= *version))
                {
                    continue;
                }
                if count == inner.page {
                    break 'all;
                }
                (count, next) = (count + 1, Some((name.clone(), state.version.clone())));
                let (key, version_id) = (Some(name.clone()), Some(state.version.clone()));
                let is_latest = Some(at + 1 == states.len());
                match &state.bytes {
                    Some(_) => versions.push(ObjectVersion { key, version_id, is_latest, ..Default::default() }),
                    None => markers.push(DeleteMarkerEntry { key, version_id, is_latest, ..Default::default() }),
                }
            }
        }
        let (next_key_marker, next_version_id_marker) = next.filter(|_| count == inner.page).unzip();
        let output = ListObjectVersionsOutput {
            is_truncated: Some(next_key_marker.is_some()),
            versions: Some(versions),
            delete_markers: Some(markers),
            next_key_marker,
            next_version_id_marker,
            ..Default::default()
        };
        Ok(S3Response::new(output))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        bucket(&request.input.bucket)?;
        let mut inner = self.lock();
        inner.count += 1;
        let id = format!("upload-{}", inner.count);
        inner.uploads.insert(id.clone(), BTreeMap::new());
        Ok(S3Response::new(CreateMultipartUploadOutput { upload_id: Some(id), ..Default::default() }))
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let input = request.input;
        let bytes = read(input.body).await?;
        let etag = hex::encode(&Sha256::digest(&bytes)[..16]);
        let mut inner = self.lock();
        let parts = inner.uploads.get_mut(&input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        parts.insert(input.part_number, bytes);
        Ok(S3Response::new(UploadPartOutput { e_tag: Some(ETag::Strong(etag)), ..Default::default() }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let mut inner = self.lock();
        self.check(&inner, &input.key, wanted(input.if_none_match, input.if_match).as_ref(), false)?;
        let parts = inner.uploads.remove(&input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        let listed = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        if !listed.iter().map(|part| part.part_number.unwrap_or(0)).eq(parts.keys().copied()) {
            return Err(s3_error!(InvalidPart));
        }
        let whole: BytesMut = parts.values().flatten().copied().collect();
        let etag = inner.write(&input.key, Some(whole.freeze()), Some(parts.len()), self.versions);
        Ok(S3Response::new(CompleteMultipartUploadOutput { e_tag: Some(ETag::Strong(etag)), ..Default::default() }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let aborted = self.lock().uploads.remove(&request.input.upload_id);
        aborted.ok_or_else(|| s3_error!(NoSuchUpload))?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}
