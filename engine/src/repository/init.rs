//! Making a repository.

use std::sync::Arc;

use bytes::Bytes;
use chrono::Utc;
use futures::stream::TryStreamExt;
use secrecy::SecretString;

use super::{Credential, MARKER_KEY, Repository, RepositoryError};
use crate::crypto::{MasterKey, make_recovery_slot, make_slot};
use crate::object::{ChunkerKind, KeySlot, RepositoryMarker, Timestamp, json};
use crate::store::{ObjectStore, StoreError};

/// How to make a repository.
#[derive(Debug, Clone, Default)]
pub struct InitOptions {
    /// A key slot is made for each. With none, and no recovery slot, the repository is not encrypted.
    pub credentials: Vec<Credential>,
    /// Also make a recovery slot with new words.
    pub recovery: bool,
    /// Chunk boundaries other than the CLI's.
    pub chunker: Option<ChunkerKind>,
}

/// What [`Repository::init`] made.
#[derive(Debug)]
pub struct InitReport {
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// The slots: `password-default`, …
    pub slots: Vec<String>,
    /// The words of the recovery slot, to be shown once.
    pub recovery_words: Option<SecretString>,
}

impl Repository {
    /// Makes a repository. The marker is written last, so that one that was not finished counts as none.
    ///
    /// # Errors
    /// [`RepositoryError::AlreadyInitialised`] where there is one, also when another init was quicker;
    /// [`RepositoryError::MarkerMissing`] where there are objects of one, for new key slots would make them unreadable.
    pub async fn init(store: Arc<dyn ObjectStore>, options: InitOptions) -> Result<InitReport, RepositoryError> {
        let already = || RepositoryError::AlreadyInitialised { store: store.describe() };
        match store.stat(MARKER_KEY).await {
            Ok(_) => return Err(already()),
            Err(error) if error.is_not_found() || error.is_gone() => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(found) = leftover(&*store).await? {
            return Err(RepositoryError::MarkerMissing { store: store.describe(), found });
        }
        let chunker = options.chunker;
        let (slots, recovery_words) = tokio::task::spawn_blocking(move || make_slots(&options)).await??;
        let encrypted = !slots.is_empty();
        if chunker.is_some() && !encrypted {
            return Err(RepositoryError::KeyedWithoutKey);
        }
        store.create_root().await?;
        for slot in &slots {
            let (key, bytes) = (slot.key(), Bytes::from(json::encode(slot)));
            if !store.put_if_absent(&key, bytes.clone()).await? && !is_there(&*store, &key, &bytes).await? {
                return Err(already());
            }
        }
        let marker = RepositoryMarker { version: 1, created: Timestamp::seconds(Utc::now()), encrypted, chunker };
        let bytes = Bytes::from(json::encode(&marker));
        if !store.put_if_absent(MARKER_KEY, bytes.clone()).await? && !is_own(&*store, &bytes, &slots).await? {
            return Err(already());
        }
        let slots = slots.iter().map(|slot| format!("{}-{}", slot.slot_type.as_str(), slot.label)).collect();
        Ok(InitReport { encrypted, slots, recovery_words })
    }
}

/// Whether an object has just these bytes. A write that was delivered twice meets itself, and is called a defeat; no two
/// key slots have the same bytes.
async fn is_there(store: &dyn ObjectStore, key: &str, bytes: &Bytes) -> Result<bool, StoreError> {
    Ok(store.get(key).await? == *bytes)
}

/// The same of the marker, which another init of the same second may have written: but not beside just these slots.
async fn is_own(store: &dyn ObjectStore, marker: &Bytes, slots: &[KeySlot]) -> Result<bool, StoreError> {
    if !is_there(store, MARKER_KEY, marker).await? {
        return Ok(false);
    }
    let mut found: Vec<_> = store.list("keys/").map_ok(|stat| stat.key).try_collect().await?;
    let mut own: Vec<_> = slots.iter().map(KeySlot::key).collect();
    found.sort_unstable();
    own.sort_unstable();
    Ok(found == own)
}

/// An object of a repository, where there is no marker.
pub(super) async fn leftover(store: &dyn ObjectStore) -> Result<Option<String>, StoreError> {
    for prefix in ["keys/", "snapshot/", "index/", "packs/", "chunk/", "content/", "filemeta/", "node/"] {
        match store.list(prefix).try_next().await {
            Ok(Some(found)) => return Ok(Some(found.key)),
            Ok(None) => {}
            Err(error) if error.is_gone() => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn make_slots(options: &InitOptions) -> Result<(Vec<KeySlot>, Option<SecretString>), RepositoryError> {
    let master = MasterKey::generate().map_err(|cause| RepositoryError::System(cause.to_string()))?;
    let mut slots = Vec::new();
    for credential in &options.credentials {
        slots.push(make_slot(&master, credential)?);
    }
    if !options.recovery {
        return Ok((slots, None));
    }
    let (slot, words) = make_recovery_slot(&master)?;
    slots.push(slot);
    Ok((slots, Some(words)))
}
