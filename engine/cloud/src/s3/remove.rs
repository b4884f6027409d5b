//! Removing objects, one by one or many at once.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use cloudstic_engine::store::{StoreError, StoreErrorKind, StoreResult, Version};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::write::etag;
use super::{Refusal, Shared};

/// The most that one request removes.
const BATCH: usize = 1000;

/// An object in the bucket, or one version of it.
#[derive(Debug, Clone)]
struct Doomed<'a> {
    key: &'a str,
    name: String,
    version: Option<String>,
}

impl Shared {
    pub(super) async fn delete(&self, key: &str) -> StoreResult<()> {
        if self.settings.removes_versions {
            let errors = self.remove_versions(&[key.to_owned()]).await?;
            return errors.into_iter().next().map_or(Ok(()), Err);
        }
        self.delete_one(&self.doomed(key)?).await
    }

    fn doomed<'a>(&self, key: &'a str) -> StoreResult<Doomed<'a>> {
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

    async fn delete_one(&self, doomed: &Doomed<'_>) -> StoreResult<()> {
        let request = self.client.delete_object().bucket(self.bucket()).key(&doomed.name);
        let answer = self.soon(request.set_version_id(doomed.version.clone()).send()).await;
        match self.done(doomed.key, answer) {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }

    /// In batches, where the service takes these.
    async fn delete_all(&self, all: &[Doomed<'_>]) -> StoreResult<Vec<StoreError>> {
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
            Err(refusal) if matches!(refusal.status, 400 | 405 | 501) => {
                self.batches.refuse();
                tracing::debug!(store = self.settings.name, problem = refusal.detail, "no batches of deletes here");
                return Ok(self.delete_each(batch).await);
            }
            Err(refusal) => return Err(self.refused(batch.first().map_or("", |doomed| doomed.key), refusal)),
        };
        let failed = output.errors().iter().filter_map(|error| {
            let refusal = Refusal::of_one(error.code().unwrap_or_default(), error.message().unwrap_or_default());
            let doomed = batch.iter().find(|doomed| Some(doomed.name.as_str()) == error.key())?;
            (refusal.kind != StoreErrorKind::NotFound).then(|| self.refused(doomed.key, refusal))
        });
        Ok(failed.collect())
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

    /// Removes objects with all that they ever were. The last version goes last: if it went first, the one before would
    /// be there again.
    async fn remove_versions(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        let found: Vec<_> = stream::iter(0..keys.len())
            .map(|at| self.versions(&keys[at]))
            .buffer_unordered(self.settings.concurrency.max(1))
            .try_collect()
            .await?;
        let (mut latest, mut older) = (Vec::new(), Vec::new());
        for (doomed, is_latest) in found.into_iter().flatten() {
            if is_latest { latest.push(doomed) } else { older.push(doomed) }
        }
        let mut errors = self.delete_all(&older).await?;
        let kept: BTreeSet<String> = errors.iter().map(|error| error.key.clone()).collect();
        latest.retain(|doomed| !kept.contains(doomed.key));
        errors.extend(self.delete_all(&latest).await?);
        Ok(errors)
    }

    /// Every version of an object and every marker of a deletion, and whether it is the last one.
    async fn versions<'a>(&self, key: &'a str) -> StoreResult<Vec<(Doomed<'a>, bool)>> {
        let name = self.name(key)?;
        let mut found = Vec::new();
        let (mut after_key, mut after_version) = (None, None);
        loop {
            let request = self.client.list_object_versions().bucket(self.bucket()).prefix(&name);
            let request = request.set_key_marker(after_key).set_version_id_marker(after_version);
            let page = self.done(key, self.soon(request.send()).await)?;
            let versions = page.versions().iter().map(|it| (it.key(), it.version_id(), it.is_latest()));
            let markers = page.delete_markers().iter().map(|it| (it.key(), it.version_id(), it.is_latest()));
            for (_, version, is_latest) in versions.chain(markers).filter(|(found, ..)| *found == Some(&name)) {
                let version = version.map(str::to_owned);
                found.push((Doomed { key, name: name.clone(), version }, is_latest.unwrap_or(false)));
            }
            // Others follow whose names begin like this one's.
            let is_last = page.next_key_marker().is_none_or(|next| next != name);
            if is_last || !page.is_truncated().unwrap_or(false) {
                return Ok(found);
            }
            (after_key, after_version) = (page.next_key_marker, page.next_version_id_marker);
        }
    }
}

/// Whether the service takes many deletes in one request; it does until it refuses.
#[derive(Debug, Default)]
pub(super) struct Batches(AtomicBool);

impl Batches {
    fn are_taken(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }

    fn refuse(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
