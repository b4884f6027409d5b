//! Buckets that keep every version of an object, where a delete is to remove all of them.

use std::collections::{BTreeMap, HashSet};

use cloudstic_engine::store::{Retry, StoreError, StoreErrorKind, StoreResult};
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::time::timeout;

use super::Shared;
use super::remove::Doomed;

impl Shared {
    /// Removes objects with all that they ever were. The last version goes last: if it went first, the one before would
    /// be there again. What the service keeps is hidden, as it is by any delete that names no version: nobody finds it any
    /// more, and once nothing keeps it, a rule of the bucket ends it.
    pub(super) async fn remove_versions(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        let found = self.all_versions(keys).await?;
        let seen: HashSet<&str> = found.iter().map(|found| found.doomed.key).collect();
        let (latest, older): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| found.is_latest);
        let older: Vec<_> = older.into_iter().map(|found| found.doomed).collect();
        let mut kept = by_key(self.delete_all(&older).await?);
        let going = latest.iter().filter(|found| !kept.contains_key(found.doomed.key));
        let going: Vec<_> = going.map(|found| found.doomed.clone()).collect();
        kept.extend(by_key(self.delete_all(&going).await?));
        for key in keys.iter().filter(|key| !seen.contains(key.as_str())) {
            if let Err(error) = self.remove_unlisted(key).await {
                kept.insert(key.clone(), error);
            }
        }
        self.hide(&latest, &mut kept).await?;
        Ok(kept.into_values().collect())
    }

    /// Hides what is `kept` because it may not be removed, and takes it out of there. A marker hides it already.
    async fn hide(&self, latest: &[Found<'_>], kept: &mut BTreeMap<String, StoreError>) -> StoreResult<()> {
        let mut hidden = Vec::new();
        let is_refused = |error: &&StoreError| matches!(error.kind, StoreErrorKind::Retained | StoreErrorKind::Denied);
        for error in kept.values().filter(is_refused) {
            let is_hidden = latest.iter().any(|found| found.is_marker && found.doomed.key == error.key);
            if is_hidden || self.delete_one(&self.doomed(&error.key)?).await.is_ok() {
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
        Ok(())
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
