//! Removing objects, one by one or many at once.

use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use cloudstic_engine::store::{StoreError, StoreErrorKind, StoreResult, Version};
use futures::stream::{self, StreamExt};

use super::write::etag;
use super::{Refusal, Shared};

/// The most that one request removes.
const BATCH: usize = 1000;

/// An object in the bucket, or one version of it.
#[derive(Debug, Clone)]
pub(super) struct Doomed<'a> {
    pub(super) key: &'a str,
    pub(super) name: String,
    pub(super) version: Option<String>,
}

impl Shared {
    pub(super) async fn delete(&self, key: &str) -> StoreResult<()> {
        if self.settings.removes_versions {
            let errors = self.remove_versions(&[key.to_owned()]).await?;
            return errors.into_iter().next().map_or(Ok(()), Err);
        }
        self.delete_one(&self.doomed(key)?).await
    }

    pub(super) fn doomed<'a>(&self, key: &'a str) -> StoreResult<Doomed<'a>> {
        Ok(Doomed { key, name: self.name(key)?, version: None })
    }

    pub(super) async fn delete_many(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        if self.settings.removes_versions {
            return self.remove_versions(keys).await;
        }
        let doomed: Vec<_> = keys.iter().map(|key| self.doomed(key)).collect::<StoreResult<_>>()?;
        self.delete_all(&doomed).await
    }

    pub(super) async fn delete_if_unchanged(&self, key: &str, version: &Version) -> StoreResult<bool> {
        if !self.conditions.delete || self.settings.removes_versions {
            return match self.stat(key).await {
                Ok((_, found)) if found == *version => self.delete(key).await.map(|()| true),
                Ok(_) => Ok(false),
                Err(error) if error.is_not_found() => Ok(false),
                Err(error) => Err(error),
            };
        }
        let name = self.name(key)?;
        self.try_delete(&name, version).await.map_err(|refusal| self.refused(key, refusal))
    }

    /// One conditional request.
    pub(super) async fn try_delete(&self, name: &str, version: &Version) -> Result<bool, Refusal> {
        let request = self.client.delete_object().bucket(self.bucket()).key(name).if_match(etag(version));
        match self.heard(self.soon(request.send()).await) {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.is_unmet() || refusal.kind == StoreErrorKind::NotFound => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    pub(super) async fn delete_one(&self, doomed: &Doomed<'_>) -> StoreResult<()> {
        let request = self.client.delete_object().bucket(self.bucket()).key(&doomed.name);
        let answer = self.soon(request.set_version_id(doomed.version.clone()).send()).await;
        match self.done(doomed.key, answer) {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }

    /// In batches, where the service takes these.
    pub(super) async fn delete_all(&self, all: &[Doomed<'_>]) -> StoreResult<Vec<StoreError>> {
        let mut errors = Vec::new();
        for batch in all.chunks(BATCH) {
            match batch {
                [] => {}
                [one] => errors.extend(self.delete_one(one).await.err()),
                _ if self.takes_batches() => errors.extend(self.delete_batch(batch).await?),
                _ => errors.extend(self.delete_each(batch).await),
            }
        }
        Ok(errors)
    }

    async fn delete_batch(&self, batch: &[Doomed<'_>]) -> StoreResult<Vec<StoreError>> {
        let identifier =
            |it: &Doomed<'_>| ObjectIdentifier::builder().key(&it.name).set_version_id(it.version.clone()).build().ok();
        let objects: Vec<_> = batch.iter().filter_map(identifier).collect();
        let Ok(list) = Delete::builder().set_objects(Some(objects)).quiet(true).build() else {
            return Ok(self.delete_each(batch).await);
        };
        let answer = self.in_time(self.client.delete_objects().bucket(self.bucket()).delete(list).send()).await;
        let output = match self.heard(answer) {
            Ok(output) => output,
            // Some want another checksum than the SDK's, and some do not know this request at all.
            Err(refusal) if refusal.is_unknown_request() => {
                self.batches.refuse();
                tracing::debug!(store = self.settings.name, problem = refusal.detail, "no batches of deletes here");
                return Ok(self.delete_each(batch).await);
            }
            Err(refusal) => return Err(self.refused(batch.first().map_or("", |doomed| doomed.key), refusal)),
        };
        let mut failed = Vec::new();
        for error in output.errors() {
            let refusal = Refusal::of_one(error.code().unwrap_or_default(), error.message().unwrap_or_default());
            match batch.iter().find(|doomed| Some(doomed.name.as_str()) == error.key()) {
                Some(_) if refusal.kind == StoreErrorKind::NotFound => {}
                Some(doomed) => failed.push(self.refused(doomed.key, refusal)),
                // Whose it is, nobody knows, and so of none that it is gone.
                None => return Err(self.refused(batch.first().map_or("", |doomed| doomed.key), refusal)),
            }
        }
        Ok(failed)
    }

    async fn delete_each(&self, batch: &[Doomed<'_>]) -> Vec<StoreError> {
        stream::iter(0..batch.len())
            .map(|at| self.delete_one(&batch[at]))
            .buffer_unordered(self.settings.concurrency.max(1))
            .filter_map(|deleted| async { deleted.err() })
            .collect()
            .await
    }

    fn takes_batches(&self) -> bool {
        self.batches.are_taken()
    }
}

/// Whether the service takes requests of some sort; it does until it refuses.
#[derive(Debug, Default)]
pub(super) struct Taken(AtomicBool);

impl Taken {
    pub(super) fn are_taken(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }

    pub(super) fn refuse(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
