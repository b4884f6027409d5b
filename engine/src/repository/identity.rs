//! Whether the repository that was opened is still the one that lies there. Its folder may be moved away, its disk
//! unmounted, another repository made in its place: what is then written with the keys in memory nobody can ever read.
//!
//! The one invariant: a repository is told by the bytes of its marker and of the key slot that opened it, as they were
//! when it was opened, or as this process itself has changed them.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures::future::try_join_all;

use super::{MARKER_KEY, Repository, RepositoryError};
use crate::object::Hash;

/// The objects that tell a repository, by key.
#[derive(Debug)]
pub(super) struct Identity(Mutex<Vec<(String, Bytes)>>);

impl Identity {
    /// By its marker, and the key and the bytes of the slot that opened it, if it is encrypted.
    pub(super) fn new(marker: Bytes, slot: Option<(String, Bytes)>) -> Self {
        let mut objects = vec![(MARKER_KEY.to_owned(), marker)];
        objects.extend(slot);
        Self(Mutex::new(objects))
    }
}

impl Repository {
    /// Proves that the repository is still the one that was opened, with one or two small reads.
    ///
    /// # Errors
    /// [`RepositoryError::NotTheSame`], or what the store says.
    pub async fn prove_identity(&self) -> Result<(), RepositoryError> {
        let objects = self.identity.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let proofs = objects.iter().map(|(key, bytes)| self.prove_same(key, bytes));
        try_join_all(proofs).await.map(drop)
    }

    /// What tells this repository from every other one, also from a copy of it that lies elsewhere, but not from what it was
    /// when it had other key slots: for what is remembered of it. Not for people.
    pub fn fingerprint(&self) -> String {
        let objects = self.identity.0.lock().unwrap_or_else(PoisonError::into_inner);
        let marker = objects.iter().find(|(key, _)| key == MARKER_KEY).map(|(_, bytes)| Hash::of(bytes));
        format!("{} {}", self.store.describe(), marker.map(|hash| hash.to_string()).unwrap_or_default())
    }

    /// The name of the key slot that tells this repository, `password-default`: the one that opened it, unless slots were
    /// changed since. `None` if it is not encrypted.
    pub fn opened_by(&self) -> Option<String> {
        let objects = self.identity.0.lock().unwrap_or_else(PoisonError::into_inner);
        objects.iter().find_map(|(key, _)| key.strip_prefix("keys/")).map(str::to_owned)
    }

    /// From now on it is told by another key slot: the one that opened it was changed on purpose.
    pub(crate) fn identify_by(&self, slot: Option<(String, Bytes)>) {
        let mut objects = self.identity.0.lock().unwrap_or_else(PoisonError::into_inner);
        objects.retain(|(key, _)| key == MARKER_KEY);
        objects.extend(slot);
    }

    async fn prove_same(&self, key: &str, bytes: &Bytes) -> Result<(), RepositoryError> {
        let not_the_same =
            |problem| RepositoryError::NotTheSame { store: self.store.describe(), problem: format!("{key} {problem}") };
        match self.store.get(key).await {
            Ok(found) if found == bytes => Ok(()),
            Ok(_) => Err(not_the_same("differs")),
            Err(error) if error.is_not_found() => Err(not_the_same("is missing")),
            Err(error) => Err(error.into()),
        }
    }
}
