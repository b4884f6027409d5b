//! Removing snapshots, and putting others in their place.
//!
//! What points to a snapshot goes before it: `index/latest` and `index/snapshots` first name only what remains, then the
//! pack catalog loses what the CLI had packed, and plain objects are deleted last. So whatever is cut off, nothing points
//! to what is not there, and every snapshot that is still there is whole: it is gone after the next try, or stays. One that
//! the store retains (object lock) stays and is named again.
//!
//! The lock must be exclusive: a backup at the same time might follow on what is being removed.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::ready;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::{Repository, RepositoryError};
use crate::lock::LeaseWatch;
use crate::object::{ObjectRef, Snapshot, SnapshotEntry};
use crate::store::{StoreError, unless_retained};

/// A snapshot that takes the place of another one.
#[derive(Debug, Clone)]
pub struct Replacement {
    /// What is removed.
    pub old: ObjectRef,
    /// What is there instead. It gets the time and the number of the old one, whatever it says.
    pub new: Snapshot,
}

impl Repository {
    /// Removes snapshots, readable or not; one that is not there is no error. Their data stays until a prune. Gives what the
    /// store says of those that it retains for as long as somebody has set: they are there as before.
    pub async fn remove_snapshots(
        self: &Arc<Self>,
        snapshots: &BTreeSet<ObjectRef>,
        lease: &LeaseWatch,
    ) -> Result<Vec<StoreError>, RepositoryError> {
        if snapshots.is_empty() {
            return Ok(Vec::new());
        }
        let _alone = self.commits.lock().await;
        lease.prove().await?;
        self.prove_identity().await?;
        let all = self.proven_snapshots().await?.readable;
        self.remove(all, snapshots, lease).await
    }

    /// Puts snapshots in the place of others, and gives their names, in the same order. The new ones are all there
    /// before the first old one goes; if it is cut off in between, both are. Also gives what the store says of the old ones
    /// that it retains.
    ///
    /// # Errors
    /// If an old one cannot be read, for its time and number are taken from it.
    pub async fn replace_snapshots(
        self: &Arc<Self>,
        replacements: Vec<Replacement>,
        lease: &LeaseWatch,
    ) -> Result<(Vec<ObjectRef>, Vec<StoreError>), RepositoryError> {
        if replacements.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let _alone = self.commits.lock().await;
        lease.prove().await?;
        self.prove_identity().await?;
        let mut all = self.proven_snapshots().await?.readable;
        let mut removed: BTreeSet<ObjectRef> = replacements.iter().map(|replacement| replacement.old).collect();
        let mut names = Vec::with_capacity(replacements.len());
        for Replacement { old, new } in replacements {
            let Snapshot { created, seq, .. } = self.read_snapshot(old).await?;
            let (snapshot, reference, sealed) = self.seal_snapshot(Snapshot { created, seq, ..new }).await?;
            names.push(reference);
            if all.iter().all(|entry| entry.reference != reference) {
                lease.confirm().await?;
                all.push(self.put_snapshot(reference, &snapshot, sealed, lease).await?);
            }
        }
        removed.retain(|old| !names.contains(old));
        let retained = self.remove(all, &removed, lease).await?;
        Ok((names, retained))
    }

    /// Removes some of all snapshots that can be read, and some that cannot. Gives what is said of those that stay.
    async fn remove(
        self: &Arc<Self>,
        all: Vec<SnapshotEntry>,
        removed: &BTreeSet<ObjectRef>,
        lease: &LeaseWatch,
    ) -> Result<Vec<StoreError>, RepositoryError> {
        let (going, mut staying): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|entry| removed.contains(&entry.reference));
        self.publish(staying.clone(), removed, lease).await?;
        let retained: Vec<(ObjectRef, StoreError)> = stream::iter(removed.clone())
            .map(|snapshot| async move {
                lease.confirm().await?;
                let retained = unless_retained(self.store.delete(&snapshot.key()).await)?;
                if retained.is_none() {
                    self.forget_snapshot(&snapshot);
                }
                Ok::<_, RepositoryError>(retained.map(|error| (snapshot, error)))
            })
            .buffer_unordered(self.store.capabilities().concurrency)
            .try_filter_map(|retained| ready(Ok(retained)))
            .try_collect()
            .await?;
        if !retained.is_empty() {
            let is_retained = |name: &ObjectRef| retained.iter().any(|(snapshot, _)| snapshot == name);
            staying.extend(going.into_iter().filter(|entry| is_retained(&entry.reference)));
            let gone = removed.iter().copied().filter(|snapshot| !is_retained(snapshot)).collect();
            self.publish(staying, &gone, lease).await?;
        }
        Ok(retained.into_iter().map(|(_, error)| error).collect())
    }
}

#[cfg(test)]
mod tests;
