//! Removing objects, one by one or many at once.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use cloudstic_engine::store::{Retry, StoreError, StoreErrorKind, StoreResult, Version};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::time::timeout;

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

    /// Removes objects with all that they ever were. The last version goes last: if it went first, the one before would
    /// be there again. What the service keeps is hidden, as it is by any delete that names no version: nobody finds it any
    /// more, and once nothing keeps it, a rule of the bucket ends it.
    async fn remove_versions(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        let found = self.all_versions(keys).await?;
        let seen: HashSet<&str> = found.iter().map(|found| found.doomed.key).collect();
        let (latest, older): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| found.is_latest);
        let older: Vec<_> = older.into_iter().map(|found| found.doomed).collect();
        let mut kept = by_key(self.delete_all(&older).await?);
        let going = latest.iter().filter(|found| !kept.contains_key(found.doomed.key));
        let going: Vec<_> = going.map(|found| found.doomed.clone()).collect();
        kept.extend(by_key(self.delete_all(&going).await?));
        let mut hidden = Vec::new();
        for key in keys {
            if !seen.contains(key.as_str()) {
                self.remove_unlisted(key).await.map_or_else(|error| drop(kept.insert(key.clone(), error)), drop);
                continue;
            }
            let is_kept = |error: &StoreError| matches!(error.kind, StoreErrorKind::Retained | StoreErrorKind::Denied);
            let Some(error) = kept.get(key).filter(|error| is_kept(error)) else { continue };
            let is_hidden = latest.iter().any(|found| found.is_marker && found.doomed.key == key);
            if is_hidden || self.delete_one(&self.doomed(key)?).await.is_ok() {
                hidden.push(error.clone());
            }
        }
        if let Some(first) = hidden.first() {
            tracing::warn!(
                store = self.settings.name, objects = hidden.len(), %first,
                "what was removed is hidden, and stays in the bucket until nothing keeps it"
            );
        }
        hidden.iter().for_each(|error| drop(kept.remove(&error.key)));
        Ok(kept.into_values().collect())
    }

    /// What has no versions may be there all the same, at a service that lists none.
    async fn remove_unlisted(&self, key: &str) -> StoreResult<()> {
        match self.stat(key).await {
            Ok(_) => self.delete_one(&self.doomed(key)?).await,
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes what an index was before, where versions are removed: it is written by each backup, and nobody looks back.
    /// What cannot be removed is left to the next one.
    pub(super) async fn trim(&self, key: &str) {
        let is_index = key.starts_with("index/") && !key.starts_with("index/lock.");
        if !self.settings.removes_versions || !is_index || !self.trims.are_taken() {
            return;
        }
        let trimmed = async {
            let (latest, older): (Vec<_>, Vec<_>) =
                self.versions(key).await?.into_iter().partition(|found| found.is_latest);
            // What is not told apart stays.
            if latest.len() != 1 {
                return Ok(Vec::new());
            }
            let older: Vec<_> = older.into_iter().map(|found| found.doomed).collect();
            self.delete_all(&older).await
        };
        // The index is written, whatever becomes of this.
        let trimmed = timeout(self.settings.stall, trimmed).await.unwrap_or_else(|_| Ok(Vec::new()));
        let errors = trimmed.unwrap_or_else(|error| vec![error]);
        let Some(error) = errors.first() else { return };
        tracing::debug!(%error, "old versions are left");
        if matches!(error.kind, StoreErrorKind::Retained | StoreErrorKind::Denied) {
            self.trims.refuse();
        }
    }

    async fn all_versions<'a>(&self, keys: &'a [String]) -> StoreResult<Vec<Found<'a>>> {
        let found: Vec<_> = stream::iter(0..keys.len())
            .map(|at| self.versions(&keys[at]))
            .buffer_unordered(self.settings.concurrency.max(1))
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Every version of an object and every marker of a deletion.
    async fn versions<'a>(&self, key: &'a str) -> StoreResult<Vec<Found<'a>>> {
        let name = self.name(key)?;
        let mut found = Vec::new();
        let (mut after_key, mut after_version) = (None, None);
        loop {
            let request = self.client.list_object_versions().bucket(self.bucket()).prefix(&name);
            let request = request.set_key_marker(after_key).set_version_id_marker(after_version);
            let page = self.done(key, self.in_time(request.send()).await)?;
            let versions = page.versions().iter().map(|it| (it.key(), it.version_id(), it.is_latest(), false));
            let markers = page.delete_markers().iter().map(|it| (it.key(), it.version_id(), it.is_latest(), true));
            for (_, version, is_latest, is_marker) in versions.chain(markers).filter(|(it, ..)| *it == Some(&name)) {
                // Without a name of its own it would be the object that is removed.
                let Some(version) = version.map(str::to_owned) else { continue };
                let doomed = Doomed { key, name: name.clone(), version: Some(version) };
                found.push(Found { doomed, is_latest: is_latest.unwrap_or(false), is_marker });
            }
            match (page.is_truncated(), page.next_key_marker) {
                (Some(false), _) => return Ok(found),
                // Others follow whose names begin like this one's.
                (Some(true), Some(next)) if next != name => return Ok(found),
                (Some(true), next @ Some(_)) => (after_key, after_version) = (next, page.next_version_id_marker),
                _ => return Err(self.incomplete(key)),
            }
        }
    }
}

/// A version that there is.
#[derive(Debug)]
struct Found<'a> {
    doomed: Doomed<'a>,
    is_latest: bool,
    /// It says that the object was deleted.
    is_marker: bool,
}

/// One error for each object: of several that with which another try may help.
fn by_key(errors: Vec<StoreError>) -> BTreeMap<String, StoreError> {
    let mut all = BTreeMap::new();
    for error in errors {
        if error.retry() == Retry::MayHelp || !all.contains_key(&error.key) {
            all.insert(error.key.clone(), error);
        }
    }
    all
}

/// Whether the service takes requests of some sort; it does until it refuses.
#[derive(Debug, Default)]
pub(super) struct Taken(AtomicBool);

impl Taken {
    fn are_taken(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }

    fn refuse(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
