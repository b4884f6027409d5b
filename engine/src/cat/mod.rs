//! Cat: one object of a repository by its key, as it is stored or as it is meant.
//!
//! The one invariant: what is given as an object's plain bytes was proven by its name, where names prove (format,
//! section 4); the rest is said not to be. What is damaged can still be had as it is stored.

mod key;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::crypto::OpenError;
use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::pack::{Catalog, Location};
use crate::repository::{ReadError, Repository, RepositoryError};
use crate::store::StoreError;
use crate::tree::Cancelled;
use crate::view::blocking;

pub use key::{Key, KeyError};

/// What to show.
#[derive(Debug, Clone)]
pub struct CatRequest {
    /// The object; see [`Key`].
    pub key: String,
    /// The bytes as they lie in the store, instead of the plain ones.
    pub stored: bool,
    /// Whether the secret part of a key slot may be shown.
    pub show_secrets: bool,
}

/// An object.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its whole key.
    pub key: String,
    /// Its bytes.
    pub bytes: Bytes,
    /// Whether its name proves that they are the right ones.
    pub proven: bool,
    /// Whether they are JSON.
    pub json: bool,
}

/// The most bytes that an index may decode to.
const INDEX_MAX: usize = 64 << 20;

/// Reads an object.
///
/// # Errors
/// [`CatError::Read`] if it is damaged or missing; asked for as `stored`, damage is no error.
pub async fn cat(
    repository: Arc<Repository>,
    request: CatRequest,
    cancel: CancellationToken,
) -> Result<Shown, CatError> {
    let key = match request.key.parse::<Key>()? {
        Key::Snapshot(name) => Key::Object(find_snapshot(&repository, &name).await?),
        key => key,
    };
    let CatRequest { stored, show_secrets, .. } = request;
    let name = key.to_string();
    if matches!(key, Key::Slot(_)) && stored && !show_secrets {
        return Err(CatError::Secret(name));
    }
    let reader = repository.reader().await?;
    if let (Key::Object(object), false) = (&key, stored) {
        let object = *object;
        let bytes = blocking(cancel, move |_| Ok::<_, CatError>(reader.read(&object)?)).await?;
        let json = object.kind != ObjectKind::Chunk;
        return Ok(Shown { key: name, bytes, proven: object.kind != ObjectKind::Content, json });
    }
    let bytes = get(&repository, &key, reader.catalog()).await?;
    if stored {
        let proven = matches!(&key, Key::Pack(hash) if Hash::of(&bytes) == *hash);
        return Ok(Shown { key: name, bytes, proven, json: false });
    }
    let sealer = repository.sealer().clone();
    blocking(cancel, move |_| {
        let damaged = |problem: String| CatError::Damaged { key: name.clone(), problem };
        let (bytes, proven, json) = match &key {
            Key::Object(_) | Key::Snapshot(_) => (bytes, false, true),
            Key::Pack(hash) if Hash::of(&bytes) == *hash => (bytes, true, false),
            Key::Pack(_) => return Err(damaged("its bytes are not what its name says".to_owned())),
            Key::Marker | Key::Catalog => (bytes, false, true),
            Key::Slot(_) if show_secrets => (bytes, false, true),
            Key::Slot(_) => (without_secret(&bytes).map_err(damaged)?, false, true),
            Key::Index(_) => {
                (sealer.open(&bytes, INDEX_MAX).map_err(|why| damaged(why.to_string()))?.into(), false, true)
            }
            // Plain as documented, or sealed as the CLI writes them (format, section 9).
            Key::Lock(_) => match sealer.open(&bytes, INDEX_MAX) {
                Ok(plain) => (plain.into(), false, true),
                Err(OpenError::NotEncrypted) => (bytes, false, true),
                Err(why) => return Err(damaged(why.to_string())),
            },
        };
        Ok(Shown { key: name, bytes, proven, json })
    })
    .await
}

async fn find_snapshot(repository: &Arc<Repository>, name: &str) -> Result<ObjectRef, CatError> {
    // By its whole name also if it is damaged, for it may be wanted as it is stored.
    match name.parse::<Hash>() {
        Ok(hash) => Ok(ObjectRef::new(ObjectKind::Snapshot, hash)),
        Err(_) => Ok(repository.find_snapshot(name).await?.0),
    }
}

/// The stored bytes: out of a pack if the catalog says so, else by themselves.
async fn get(repository: &Repository, key: &Key, catalog: &Catalog) -> Result<Bytes, CatError> {
    let location = match key {
        Key::Object(object) => catalog.find(object),
        Key::Index(name) => catalog.pointer(name),
        _ => None,
    };
    let store = repository.store();
    let got = match location {
        Some(Location { pack, offset, length }) => {
            match store.get_range(&format!("packs/{pack}"), offset..offset + length).await {
                Ok(bytes) => Ok(bytes),
                // It may lie by itself, too.
                Err(error) => store.get(&key.to_string()).await.map_err(|_| error),
            }
        }
        None => store.get(&key.to_string()).await,
    };
    got.map_err(|error| match (error.is_not_found(), key) {
        (true, Key::Object(object)) => CatError::Read(ReadError::Missing(*object)),
        (true, _) => CatError::Missing(key.to_string()),
        (false, _) => error.into(),
    })
}

fn without_secret(slot: &[u8]) -> Result<Bytes, String> {
    let mut slot: serde_json::Value = serde_json::from_slice(slot).map_err(|why| why.to_string())?;
    let fields = slot.as_object_mut().ok_or("it is no JSON object")?;
    fields.insert("wrapped_key".to_owned(), "(hidden)".into());
    serde_json::to_vec(&slot).map(Into::into).map_err(|why| why.to_string())
}

/// Why an object cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum CatError {
    /// The key makes no sense.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The object is damaged or missing.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is not named by a hash is damaged.
    #[error("{key} is damaged: {problem}; --stored gives its bytes as they are")]
    Damaged {
        /// Its key.
        key: String,
        /// How.
        problem: String,
    },
    /// There is none.
    #[error("the repository has no {0}")]
    Missing(String),
    /// A key slot as it is stored has the wrapped key in it.
    #[error("only root and the daemon's own user may see {0} as it is stored: it has the wrapped master key in it")]
    Secret(String),
    /// Cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl From<Cancelled> for CatError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}
