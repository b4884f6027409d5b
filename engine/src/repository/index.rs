//! `index/snapshots` and `index/latest`: what saves reading all snapshots; and what was found damaged.

use std::sync::PoisonError;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Repository, RepositoryError};
use crate::object::{Latest, SnapshotEntry, json};
use crate::pack::Location;
use crate::source::Warning;

/// The key of the snapshot catalog.
pub(crate) const SNAPSHOTS_KEY: &str = "index/snapshots";
/// The key of the pointer to the latest snapshot.
pub(crate) const LATEST_KEY: &str = "index/latest";

/// The most bytes that an index may decode to: some 100,000 snapshots.
pub(crate) const INDEX_MAX: usize = 64 << 20;

impl Repository {
    /// What `index/snapshots` says; nothing if it is missing or damaged.
    pub(crate) async fn read_index(&self) -> Result<Vec<SnapshotEntry>, RepositoryError> {
        let index: Vec<SnapshotEntry> = self.read_sealed(SNAPSHOTS_KEY, None).await?.unwrap_or_default();
        let indexed = index.iter().map(|entry| (entry.reference, entry.clone())).collect();
        *self.indexed.lock().unwrap_or_else(PoisonError::into_inner) = indexed;
        Ok(index)
    }

    /// What `index/latest` says; nothing if it is missing or damaged. One in a pack shadows one by itself.
    pub(super) async fn read_latest(&self) -> Result<Option<Latest>, RepositoryError> {
        let location = self.catalog().await?.pointer(LATEST_KEY);
        self.read_sealed(LATEST_KEY, location).await
    }

    async fn read_sealed<T: DeserializeOwned + Send + 'static>(
        &self,
        key: &str,
        location: Option<Location>,
    ) -> Result<Option<T>, RepositoryError> {
        let stored = match location {
            Some(Location { pack, offset, length }) => {
                self.store.get_range(&format!("packs/{pack}"), offset..offset + length).await
            }
            None => self.store.get(key).await,
        };
        let stored = match stored {
            Ok(stored) => stored,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let sealer = self.sealer.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let plain = sealer.open(&stored, INDEX_MAX).map_err(|problem| problem.to_string())?;
            json::decode(&plain).map_err(|problem| problem.to_string())
        });
        match opened.await? {
            Ok(value) => {
                self.forget_damage(key);
                Ok(Some(value))
            }
            Err(problem) => {
                self.note_damage(key, problem);
                Ok(None)
            }
        }
    }

    /// Writes an index, and gives what it was made of back.
    pub(super) async fn put_index<T: Serialize + Send + 'static>(
        &self,
        key: &str,
        value: T,
    ) -> Result<T, RepositoryError> {
        let sealer = self.sealer.clone();
        let sealing = tokio::task::spawn_blocking(move || (sealer.seal(&json::encode(&value)), value));
        let (sealed, value) = sealing.await?;
        self.store.put(key, Bytes::from(sealed?)).await?;
        self.forget_damage(key);
        Ok(value)
    }

    /// Remembers that an index is not what it should be. It has cost nothing, because everything in it can be had
    /// otherwise; who restores is told.
    pub(super) fn note_damage(&self, key: &str, problem: String) {
        let mut damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        if damage.insert(key.to_owned(), problem.clone()).is_none() {
            tracing::warn!(key, problem, "damaged");
        }
    }

    pub(super) fn forget_damage(&self, key: &str) {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    pub(crate) fn forget_damage_except(&self, is_damaged: impl Fn(&str) -> bool) {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner).retain(|key, _| is_damaged(key));
    }

    /// What is damaged as far as it is known, and has cost nothing.
    pub(crate) fn damage(&self) -> Vec<Warning> {
        let damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        damage.iter().map(|(path, problem)| Warning { path: path.clone(), problem: problem.clone() }).collect()
    }
}
