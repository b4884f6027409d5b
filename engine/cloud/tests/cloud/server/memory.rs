//! Buckets in memory. Conditions are looked at and met at one moment, if it is told to believe in them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use sha2::{Digest, Sha256};

/// What it makes of conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Believes {
    /// They are met.
    All,
    /// Those on deletes are not looked at.
    Writes,
    /// None is looked at.
    Nothing,
    /// Requests with one are refused, as B2 does.
    Refuses,
}

/// Buckets in memory. Its clones are the same ones.
#[derive(Clone)]
pub(crate) struct MemoryS3 {
    inner: Arc<Mutex<Inner>>,
    believes: Believes,
    /// Every state of an object is kept.
    versions: bool,
}

#[derive(Default)]
struct Inner {
    objects: BTreeMap<String, Vec<State>>,
    uploads: HashMap<String, BTreeMap<i32, Bytes>>,
    retained: HashSet<String>,
    page: usize,
    count: u64,
    batches_refused: bool,
    /// With which class and encryption each object was written.
    pub(super) written: HashMap<String, (Option<String>, Option<String>)>,
}

/// One state of an object; a marker that it was deleted has no bytes.
#[derive(Clone)]
struct State {
    bytes: Option<Bytes>,
    etag: String,
    version: String,
    modified: SystemTime,
}

impl MemoryS3 {
    pub(crate) fn new(believes: Believes) -> Self {
        let inner = Inner { page: 1000, ..Inner::default() };
        Self { inner: Arc::new(Mutex::new(inner)), believes, versions: false }
    }

    /// One that keeps every state of an object.
    pub(crate) fn with_versions(believes: Believes) -> Self {
        Self { versions: true, ..Self::new(believes) }
    }

    /// Listings have so many names to a page.
    pub(crate) fn set_page(&self, page: usize) {
        self.lock().page = page;
    }

    /// Nobody can delete this any more.
    pub(crate) fn retain(&self, name: &str) {
        self.lock().retained.insert(name.to_owned());
    }

    pub(crate) fn refuse_batches(&self) {
        self.lock().batches_refused = true;
    }

    /// Puts objects there without being asked.
    pub(crate) fn fill(&self, names: impl Iterator<Item = String>) {
        let mut inner = self.lock();
        for name in names {
            inner.write(&name, Some(Bytes::from_static(b"x")), None, false);
        }
    }

    /// All states of all objects, by name.
    pub(crate) fn states(&self) -> Vec<String> {
        self.lock().objects.iter().flat_map(|(name, states)| vec![name.clone(); states.len()]).collect()
    }

    pub(crate) fn uploads(&self) -> usize {
        self.lock().uploads.len()
    }

    /// The class and the encryption that an object was written with.
    pub(crate) fn written(&self, name: &str) -> (Option<String>, Option<String>) {
        self.lock().written.get(name).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn check(&self, inner: &Inner, name: &str, condition: Option<&Wanted>, deletes: bool) -> S3Result<()> {
        let Some(condition) = condition else { return Ok(()) };
        match (self.believes, deletes) {
            (Believes::Refuses, _) => {
                return Err(s3_error!(
                    NotImplemented,
                    "A header you provided implies functionality that is not implemented"
                ));
            }
            (Believes::Nothing, _) | (Believes::Writes, true) => return Ok(()),
            _ => {}
        }
        let found = inner.current(name);
        let holds = match condition {
            Wanted::Absent => found.is_none(),
            Wanted::Is(_) if found.is_none() => return Err(s3_error!(NoSuchKey)),
            Wanted::Is(etag) => found.is_some_and(|state| state.etag == *etag),
        };
        if holds { Ok(()) } else { Err(s3_error!(PreconditionFailed)) }
    }
}

enum Wanted {
    Absent,
    Is(String),
}

fn wanted(if_none_match: Option<ETagCondition>, if_match: Option<ETagCondition>) -> Option<Wanted> {
    let is = if_match.and_then(ETagCondition::into_etag).map(|etag| Wanted::Is(etag.into_value()));
    if_none_match.map(|_| Wanted::Absent).or(is)
}

impl Inner {
    fn current(&self, name: &str) -> Option<&State> {
        self.objects.get(name)?.last().filter(|state| state.bytes.is_some())
    }

    fn write(&mut self, name: &str, bytes: Option<Bytes>, parts: Option<usize>, keeps: bool) -> String {
        self.count += 1;
        let hash = hex::encode(Sha256::digest(bytes.as_deref().unwrap_or_default()));
        let etag = parts.map_or(hash[..32].to_owned(), |parts| format!("{}-{parts}", &hash[..32]));
        let version = format!("v{:06}", self.count);
        let state = State { bytes, etag: etag.clone(), version, modified: SystemTime::now() };
        let states = self.objects.entry(name.to_owned()).or_default();
        if !keeps {
            states.clear();
        }
        states.push(state);
        etag
    }

    fn delete(&mut self, name: &str, version: Option<&str>, keeps: bool) -> S3Result<()> {
        if self.retained.contains(name) {
            return Err(s3_error!(AccessDenied, "Access Denied because object protected by object lock."));
        }
        match version {
            Some(version) => {
                if let Some(states) = self.objects.get_mut(name) {
                    states.retain(|state| state.version != version);
                }
            }
            None if keeps && self.current(name).is_some() => drop(self.write(name, None, None, true)),
            None => drop(self.objects.remove(name)),
        }
        self.objects.retain(|_, states| !states.is_empty());
        Ok(())
    }
}

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
    if name == super::BUCKET { Ok(()) } else { Err(s3_error!(NoSuchBucket)) }
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
