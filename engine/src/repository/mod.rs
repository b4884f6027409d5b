//! A repository: making it, opening it, and reading and writing its objects.
//!
//! The one invariant: an object that is read was proven to be the one that its name says, and an object that is
//! written is named by what is in it. Snapshots are the last thing a writer writes, so that everything a snapshot needs
//! is in the store before the snapshot is.

mod catalog;
mod commit;
mod doom;
mod error;
mod existing;
mod filter;
mod identity;
mod index;
mod init;
mod numbering;
mod open;
mod pack_cache;
mod reader;
mod remove;
mod restate;
mod snapshots;
mod writer;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

pub(crate) use catalog::{StoredCatalog, WholeCatalog};
pub(crate) use commit::GENERATOR;
pub use commit::NewSnapshot;
pub use error::{ReadError, RepositoryError};
pub use existing::Existing;
pub use filter::{SnapshotFilter, SnapshotSelection};
pub(crate) use index::{INDEX_MAX, LATEST_KEY, SNAPSHOTS_KEY};
pub use init::{InitOptions, InitReport};
pub use numbering::Numbering;
pub use reader::ObjectReader;
pub use remove::Replacement;
pub use snapshots::SnapshotList;
pub(crate) use snapshots::newer;
pub use writer::{ObjectWriter, Stored, Written};

pub use crate::crypto::Credential;

use crate::chunker::Chunker;
use crate::crypto::{RepositoryKeys, Sealer};
use crate::object::{ChunkerKind, Hash, ObjectKind, ObjectRef, RepositoryMarker, SnapshotEntry};
use crate::store::ObjectStore;

/// The key of the repository marker.
pub(crate) const MARKER_KEY: &str = "config";

/// An open repository. Share it in an `Arc`. Whoever keeps one asks [`Repository::prove_identity`] before using it again.
#[derive(Debug)]
pub struct Repository {
    store: Arc<dyn ObjectStore>,
    marker: RepositoryMarker,
    keys: Option<RepositoryKeys>,
    sealer: Sealer,
    identity: identity::Identity,
    catalog: tokio::sync::Mutex<Option<catalog::LoadedCatalog>>,
    /// Held while a snapshot is committed.
    commits: tokio::sync::Mutex<()>,
    /// Snapshots that were read and proven; they never change.
    proven: Mutex<HashMap<ObjectRef, SnapshotEntry>>,
    /// What `index/snapshots` said when it was last read.
    indexed: Mutex<HashMap<ObjectRef, SnapshotEntry>>,
    /// Indexes that were found damaged, and how.
    damage: Mutex<BTreeMap<String, String>>,
    /// Whether only this process knows what is in some packs.
    remembers: AtomicBool,
    /// The kinds of which too many lie by themselves to be listed for a few.
    many: existing::Many,
    /// How often the catalog was put right.
    heals: Arc<AtomicU64>,
}

impl Repository {
    /// Counts in `heals` how often the catalog has to be put right from the footers of the packs.
    pub fn counting_heals(mut self, heals: Arc<AtomicU64>) -> Self {
        self.heals = heals;
        self
    }

    /// Whether these are its keys.
    pub(crate) fn has_keys(&self, keys: &RepositoryKeys) -> bool {
        self.keys.as_ref().is_some_and(|own| own.is_same(keys))
    }

    /// The store it lies on.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// Its marker.
    pub fn marker(&self) -> &RepositoryMarker {
        &self.marker
    }

    /// What seals and opens its objects.
    pub fn sealer(&self) -> &Sealer {
        &self.sealer
    }

    /// What cuts its files.
    pub fn chunker(&self) -> Chunker {
        let seed = match (self.marker.chunker, &self.keys) {
            (Some(ChunkerKind::Keyed), Some(keys)) => keys.chunker_seed(),
            _ => 0,
        };
        Chunker::new(seed)
    }

    /// The name of a chunk with these bytes (format, section 5).
    pub fn chunk_ref(&self, data: &[u8]) -> ObjectRef {
        ObjectRef::new(ObjectKind::Chunk, self.dedup_name(data))
    }

    /// The name of the content with this hash (format, section 5).
    pub fn content_ref(&self, content_hash: &Hash) -> ObjectRef {
        let name = match &self.keys {
            Some(keys) => keys.dedup_name(&content_hash.to_hex()),
            None => *content_hash,
        };
        ObjectRef::new(ObjectKind::Content, name)
    }

    fn dedup_name(&self, data: &[u8]) -> Hash {
        self.keys.as_ref().map_or_else(|| Hash::of(data), |keys| keys.dedup_name(data))
    }
}
