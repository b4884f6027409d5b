//! Opening a repository.

use std::sync::{Arc, Mutex};

use futures::stream::TryStreamExt;

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
        let marker = read_marker(&*store).await?;
        let keys = if marker.encrypted { Some(unlock(&*store, credentials).await?) } else { None };
        let sealer = Sealer::new(keys.as_ref());
        Ok(Self {
            store,
            marker,
            keys,
            sealer,
            catalog: tokio::sync::Mutex::default(),
            commits: tokio::sync::Mutex::default(),
            proven: Mutex::default(),
            damage: Mutex::default(),
        })
    }
}

async fn read_marker(store: &dyn ObjectStore) -> Result<RepositoryMarker, RepositoryError> {
    let bytes = match store.get(MARKER_KEY).await {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => {
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
    Ok(marker)
}

async fn unlock(store: &dyn ObjectStore, credentials: Vec<Credential>) -> Result<RepositoryKeys, RepositoryError> {
    let mut keys: Vec<String> = store.list("keys/").map_ok(|stat| stat.key).try_collect().await?;
    keys.sort();
    let mut slots = Vec::new();
    let mut damaged = None;
    for key in &keys {
        match json::decode::<KeySlot>(&store.get(key).await?) {
            Ok(slot) => slots.push(slot),
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
        Some(keys) => Ok(keys),
        None => Err(damaged.unwrap_or(wrong)),
    }
}

fn try_slots(slots: &[KeySlot], credentials: &[Credential]) -> Result<Option<RepositoryKeys>, RepositoryError> {
    let mut failure = None;
    for credential in credentials {
        for slot in slots.iter().filter(|slot| slot.slot_type == credential.slot_type()) {
            match open_slot(slot, credential) {
                Ok(Some(master)) => return Ok(Some(master.derive())),
                Ok(None) => {}
                Err(error) => failure = Some(error),
            }
        }
    }
    failure.map_or(Ok(None), |error| Err(error.into()))
}
