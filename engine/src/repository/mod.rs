//! A repository: making, opening, reading and writing its objects.

use std::sync::Arc;

use crate::object::{ChunkerKind, ObjectRef, Snapshot, SnapshotEntry};
use crate::store::{ObjectStore, StoreError};
use bytes::Bytes;
use secrecy::SecretString;

/// An open repository. Cheap to share: clone the `Arc` around it.
#[derive(Debug)]
pub struct Repository;

/// What can open a key slot. Debug output never shows the secret.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A password.
    Password(SecretString),
    /// 64 hex digits.
    PlatformKey(SecretString),
    /// 24 words.
    RecoveryWords(SecretString),
}

/// How to make a repository.
#[derive(Debug, Clone, Default)]
pub struct InitOptions {
    /// A slot for each; none: the repository is not encrypted.
    pub credentials: Vec<Credential>,
    /// Also make a recovery slot with new words.
    pub recovery: bool,
    /// Boundaries that depend on the key.
    pub chunker: Option<ChunkerKind>,
}

/// What [`Repository::init`] made.
#[derive(Debug)]
pub struct InitReport {
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// Slots: `password-default`, …
    pub slots: Vec<String>,
    /// The words of the recovery slot.
    pub recovery_words: Option<SecretString>,
}

impl Repository {
    /// Makes a repository.
    pub async fn init(_store: Arc<dyn ObjectStore>, _options: InitOptions) -> Result<InitReport, RepositoryError> {
        unimplemented!()
    }
    /// Opens one. Runs Argon2 for a password slot (some 150 ms): keep what it gives.
    pub async fn open(_store: Arc<dyn ObjectStore>, _credentials: Vec<Credential>) -> Result<Self, RepositoryError> {
        unimplemented!()
    }
    /// All snapshots, newest first.
    pub async fn snapshots(&self) -> Result<Vec<SnapshotEntry>, RepositoryError> {
        unimplemented!()
    }
    /// The snapshot of that name: `latest`, a reference, a hash or the beginning of one.
    pub async fn find_snapshot(&self, _name: &str) -> Result<(ObjectRef, Snapshot), RepositoryError> {
        unimplemented!()
    }
    /// Gives plain, proven objects; blocking, for worker threads.
    pub fn reader(self: &Arc<Self>) -> ObjectReader {
        unimplemented!()
    }
    /// The store.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        unimplemented!()
    }
}

/// Reads objects and proves each by its name. Blocking: for worker threads inside a tokio runtime's reach, never for
/// async tasks. Cheap to clone, `Send + Sync`; keeps the packs it used last.
#[derive(Debug, Clone)]
pub struct ObjectReader;

impl ObjectReader {
    /// The plain bytes of an object, proven by its hash (content objects excepted: prove the data).
    pub fn read(&self, _object: &ObjectRef) -> Result<Bytes, ReadError> {
        unimplemented!()
    }
    /// The same, parsed.
    pub fn read_json<T: serde::de::DeserializeOwned>(&self, _object: &ObjectRef) -> Result<T, ReadError> {
        unimplemented!()
    }
    /// Where an object lies, for reading in physical order: pack number and offset; plain objects last.
    pub fn locality(&self, _object: &ObjectRef) -> (u32, u64) {
        unimplemented!()
    }
}

/// An object that cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// Nowhere.
    #[error("{0} is missing")]
    Missing(ObjectRef),
    /// Not what its name says.
    #[error("{object} is damaged: {problem}")]
    Damaged {
        /// The object.
        object: ObjectRef,
        /// How it shows.
        problem: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What can go wrong with a repository as a whole.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// No marker.
    #[error("{store} holds no repository: check the place, or make one with `cloudsticctl init`")]
    NotInitialised {
        /// The store.
        store: String,
    },
    /// A marker is there.
    #[error("{store} holds a repository already")]
    AlreadyInitialised {
        /// The store.
        store: String,
    },
    /// No slot opens.
    #[error("no key slot of {store} opens with the given {given}: it is the wrong one, or the slot is damaged")]
    WrongCredential {
        /// The store.
        store: String,
        /// `password`, …
        given: String,
    },
    /// Credential needed.
    #[error("{store} is encrypted: give a credential for one of its slots ({slots})")]
    NoCredential {
        /// The store.
        store: String,
        /// Names.
        slots: String,
    },
    /// Not found or ambiguous.
    #[error("{problem}")]
    NoSuchSnapshot {
        /// Why.
        problem: String,
    },
    /// An object.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// `config`, a key slot, … is malformed.
    #[error("{key} is damaged: {problem}")]
    Malformed {
        /// The key.
        key: String,
        /// How.
        problem: String,
    },
}
