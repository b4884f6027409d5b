//! A bucket of S3, or of what speaks its language, as a store (format, section 1).
//!
//! The one invariant: each call sends the requests that it needs once, and when one is not answered, nothing is claimed
//! about what it did. Whoever calls again with the same bytes is told the truth: a conditional write that failed without
//! an answer and then finds its own bytes there was the one that won ([`unanswered`]).
//!
//! What the service does with conditions is not believed but tried ([`probe`]), by many clients at once, when a
//! repository is first used; a store is made with the result.

mod body;
mod client;
mod clock;
mod list;
mod multipart;
mod probe;
mod read;
mod refusal;
mod remove;
mod settings;
mod unanswered;
mod versions;
mod write;

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use bytes::Bytes;
use cloudstic_engine::store::{
    Capabilities, ObjectStat, ObjectStore, StoreError, StoreErrorKind, StoreResult, Version,
};
use futures::stream::BoxStream;
use tokio::time::timeout;

use crate::SetupError;
use body::Body;
use clock::StoreClock;
pub(crate) use refusal::{Refusal, chain};
use remove::Taken;
use unanswered::Unanswered;
use write::Condition;

pub use probe::Conditions;
pub use settings::{BadStorageClass, CONCURRENCY, Encryption, Refused, S3Settings, StorageClass};

/// How names of temporary files end, which are no objects.
const TEMPORARY: &str = ".tmp";

/// How many times as long as over a question a service may think over what it has to work on.
const WORK: u32 = 10;

/// A bucket. Its clones are the same one.
#[derive(Clone)]
pub struct S3Store {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    settings: S3Settings,
    conditions: Conditions,
    clock: StoreClock,
    unanswered: Unanswered,
    /// Many deletes in one request.
    batches: Taken,
    /// Deletes of old versions of indexes.
    trims: Taken,
    /// The bucket has been seen, so that a 404 is about the object.
    is_there: AtomicBool,
}

impl S3Store {
    /// Makes a client for the bucket; asks nothing of it yet. `conditions` are what [`S3Store::probe`] has found out about
    /// this service before.
    pub async fn connect(settings: S3Settings, conditions: Conditions) -> Result<Self, SetupError> {
        let clock = StoreClock::default();
        let client = client::make(&settings, clock.clone()).await?;
        Ok(Self::over(client, settings, conditions, clock))
    }

    /// The same bucket, with what is known of its service by now.
    pub fn with_conditions(&self, conditions: Conditions) -> Self {
        let Shared { client, settings, clock, .. } = &*self.shared;
        Self::over(client.clone(), settings.clone(), conditions, clock.clone())
    }

    fn over(client: Client, settings: S3Settings, conditions: Conditions, clock: StoreClock) -> Self {
        Self {
            shared: Arc::new(Shared {
                client,
                settings,
                conditions,
                clock,
                unanswered: Unanswered::default(),
                batches: Taken::default(),
                trims: Taken::default(),
                is_there: AtomicBool::new(false),
            }),
        }
    }

    /// What this store was made to believe of its service.
    pub fn conditions(&self) -> Conditions {
        self.shared.conditions
    }
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store")
            .field("name", &self.shared.settings.name)
            .field("conditions", &self.shared.conditions)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn bucket(&self) -> &str {
        self.settings.location.bucket()
    }

    /// The name in the bucket of the object with this key.
    fn name(&self, key: &str) -> StoreResult<String> {
        let is_bad = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains('\0');
        if key.split('/').any(is_bad) || key.ends_with(TEMPORARY) {
            return Err(self.error(key, StoreErrorKind::InvalidKey, String::new()));
        }
        Ok(self.settings.location.name_of(key))
    }

    fn error(&self, key: &str, kind: StoreErrorKind, detail: String) -> StoreError {
        StoreError { kind, key: key.to_owned(), backend: self.settings.name.clone(), detail }
    }

    fn refused(&self, key: &str, refusal: Refusal) -> StoreError {
        self.error(key, refusal.kind, refusal.detail)
    }

    /// Sends a question, whose answer begins to come soon, or not at all: of what is sent and not answered nothing else
    /// takes notice before its deadline, which allows for large answers on slow lines.
    async fn soon<T, E>(
        &self,
        asking: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, SdkError<E, HttpResponse>> {
        within(self.settings.stall, asking).await
    }

    /// Sends what the service has to work on before it answers: to put parts together, to remove a thousand objects.
    async fn in_time<T, E>(
        &self,
        asking: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, SdkError<E, HttpResponse>> {
        within(WORK * self.settings.stall, asking).await
    }

    /// What a request came to.
    fn heard<T, E>(&self, answer: Result<T, SdkError<E, HttpResponse>>) -> Result<T, Refusal>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        match answer {
            Ok(output) => {
                self.is_there.store(true, Ordering::Relaxed);
                Ok(output)
            }
            Err(error) => {
                let refusal = Refusal::of(&error);
                if refusal.kind == StoreErrorKind::Denied {
                    self.settings.refused.note();
                }
                Err(refusal)
            }
        }
    }

    /// The same for a request about one object, whose refusal is an error.
    fn done<T, E>(&self, key: &str, answer: Result<T, SdkError<E, HttpResponse>>) -> StoreResult<T>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        self.heard(answer).map_err(|refusal| self.refused(key, refusal))
    }

    /// Whether there is a bucket at all.
    async fn find_bucket(&self, key: &str) -> StoreResult<()> {
        let answer = self.soon(self.client.head_bucket().bucket(self.bucket()).send()).await;
        match self.heard(answer) {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.status == 404 => {
                let detail = "there is no such bucket: make it, or correct its name".to_owned();
                Err(self.error(key, StoreErrorKind::Gone, detail))
            }
            Err(refusal) => Err(self.refused(key, refusal)),
        }
    }
}

async fn within<T, E>(
    limit: Duration,
    asking: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
) -> Result<T, SdkError<E, HttpResponse>> {
    match timeout(limit, asking).await {
        Ok(answer) => answer,
        Err(late) => Err(SdkError::timeout_error(late)),
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    /// A bucket has an owner, a place and rules, so that its owner makes it.
    async fn create_root(&self) -> StoreResult<()> {
        self.shared.find_bucket("config").await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()> {
        self.shared.put(key, &Body::Bytes(bytes)).await
    }

    async fn put_file(&self, key: &str, file: File) -> StoreResult<()> {
        self.shared.put(key, &self.shared.body(key, file).await?).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> StoreResult<bool> {
        self.shared.put_on(key, &Body::Bytes(bytes), Condition::Absent).await.map(|written| written.is_some())
    }

    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, version: &Version) -> StoreResult<bool> {
        let written = self.shared.put_on(key, &Body::Bytes(bytes), Condition::Unchanged(version)).await;
        written.map(|written| written.is_some())
    }

    async fn put_file_if_unchanged(
        &self,
        key: &str,
        file: File,
        version: Option<&Version>,
    ) -> StoreResult<Option<Version>> {
        let body = self.shared.body(key, file).await?;
        self.shared.put_on(key, &body, version.map_or(Condition::Absent, Condition::Unchanged)).await
    }

    async fn get(&self, key: &str) -> StoreResult<Bytes> {
        self.shared.get(key).await.map(|(bytes, _)| bytes)
    }

    async fn get_versioned(&self, key: &str) -> StoreResult<(Bytes, Version)> {
        self.shared.get(key).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
        self.shared.get_range(key, range).await
    }

    async fn get_start(&self, key: &str, most: u64) -> StoreResult<(Bytes, ObjectStat, Version)> {
        self.shared.get_start(key, most).await
    }

    async fn stat(&self, key: &str) -> StoreResult<ObjectStat> {
        self.shared.stat(key).await.map(|(stat, _)| stat)
    }

    async fn stat_versioned(&self, key: &str) -> StoreResult<(ObjectStat, Version)> {
        self.shared.stat(key).await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.shared.delete(key).await
    }

    async fn delete_many(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        self.shared.delete_many(keys).await
    }

    async fn delete_if_unchanged(&self, key: &str, version: &Version) -> StoreResult<bool> {
        self.shared.delete_if_unchanged(key, version).await
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
        list::list(&self.shared, prefix)
    }

    /// From the last answer, if there was one a moment ago; else the bucket is looked at.
    async fn now(&self) -> StoreResult<Option<SystemTime>> {
        if let Some(now) = self.shared.clock.now() {
            return Ok(Some(now));
        }
        self.shared.find_bucket("clock").await?;
        Ok(self.shared.clock.now())
    }

    fn capabilities(&self) -> Capabilities {
        let Conditions { create, replace, delete, .. } = self.shared.conditions;
        Capabilities {
            atomic_create: create,
            conditional_replace: create && replace,
            // Versions go one after the other.
            conditional_delete: create && replace && delete && !self.shared.settings.removes_versions,
            concurrency: self.shared.settings.concurrency.max(1),
        }
    }

    fn describe(&self) -> String {
        self.shared.settings.name.clone()
    }
}
