//! Opening a repository.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::stream::TryStreamExt;

use super::existing::Many;
use super::identity::Identity;
use super::{Credential, MARKER_KEY, Repository, RepositoryError};
use crate::crypto::{RepositoryKeys, Sealer, open_slot};
use crate::object::{KeySlot, RepositoryMarker, json};
use crate::store::ObjectStore;

impl Repository {
    /// Opens a repository with the first of the credentials that opens one of its slots. A password costs some 150 ms
    /// of CPU for each slot that is tried: keep what this gives.
    ///
    /// # Errors
    /// [`RepositoryError::NotInitialised`], [`RepositoryError::NoCredential`], [`RepositoryError::WrongCredential`].
    pub async fn open(store: Arc<dyn ObjectStore>, credentials: Vec<Credential>) -> Result<Self, RepositoryError> {
        let (marker, marker_bytes) = read_marker(&*store).await?;
        let (keys, slot) = if marker.encrypted {
            let (keys, slot) = unlock(&*store, credentials).await?;
            (Some(keys), Some(slot))
        } else {
            (None, None)
        };
        let sealer = Sealer::new(keys.as_ref());
        Ok(Self {
            store,
            marker,
            keys,
            sealer,
            identity: Identity::new(marker_bytes, slot),
            catalog: tokio::sync::Mutex::default(),
            commits: tokio::sync::Mutex::default(),
            proven: Mutex::default(),
            indexed: Mutex::default(),
            damage: Mutex::default(),
            remembers: AtomicBool::new(false),
            many: Many::default(),
            heals: Arc::default(),
        })
    }
}

async fn read_marker(store: &dyn ObjectStore) -> Result<(RepositoryMarker, Bytes), RepositoryError> {
    let bytes = match store.get(MARKER_KEY).await {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() || error.is_gone() => {
            let store_name = store.describe();
            return Err(match super::init::leftover(store).await? {
                Some(found) => RepositoryError::MarkerMissing { store: store_name, found },
                None => RepositoryError::NotInitialised { store: store_name },
            });
        }
        Err(error) => return Err(error.into()),
    };
    let marker: RepositoryMarker =
        json::decode(&bytes).map_err(|cause| RepositoryError::malformed(MARKER_KEY, cause))?;
    if marker.version != 1 {
        return Err(RepositoryError::UnknownVersion { store: store.describe(), version: marker.version });
    }
    Ok((marker, bytes))
}

/// The key and the bytes of a slot.
type StoredSlot = (String, Bytes);

async fn unlock(
    store: &dyn ObjectStore,
    credentials: Vec<Credential>,
) -> Result<(RepositoryKeys, StoredSlot), RepositoryError> {
    let mut keys: Vec<String> = store.list("keys/").map_ok(|stat| stat.key).try_collect().await?;
    keys.sort();
    let mut slots = Vec::new();
    let mut damaged = None;
    for key in &keys {
        let bytes = store.get(key).await?;
        match json::decode::<KeySlot>(&bytes) {
            Ok(slot) => slots.push((slot, (key.clone(), bytes))),
            // A slot of a later kind, or a damaged one, must not keep the others from opening.
            Err(cause) => damaged = Some(RepositoryError::malformed(key, cause)),
        }
    }
    if credentials.is_empty() {
        let slots = keys.iter().filter_map(|key| key.strip_prefix("keys/")).collect::<Vec<_>>().join(", ");
        return Err(RepositoryError::NoCredential { store: store.describe(), slots });
    }
    let given: Vec<_> = credentials.iter().map(|credential| credential.slot_type().as_str()).collect();
    let wrong = RepositoryError::WrongCredential { store: store.describe(), given: given.join(", ") };
    match tokio::task::spawn_blocking(move || try_slots(&slots, &credentials)).await?? {
        Some(opened) => Ok(opened),
        None => Err(damaged.unwrap_or(wrong)),
    }
}

fn try_slots(
    slots: &[(KeySlot, StoredSlot)],
    credentials: &[Credential],
) -> Result<Option<(RepositoryKeys, StoredSlot)>, RepositoryError> {
    let mut failure = None;
    for credential in credentials {
        for (slot, stored) in slots.iter().filter(|(slot, _)| slot.slot_type == credential.slot_type()) {
            match open_slot(slot, credential) {
                Ok(Some(master)) => return Ok(Some((master.derive(), stored.clone()))),
                Ok(None) => {}
                Err(error) => failure = Some(error),
            }
        }
    }
    failure.map_or(Ok(None), |error| Err(error.into()))
}
