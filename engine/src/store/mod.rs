//! Where objects live: the [`ObjectStore`] trait, its backends, and the layers around them.
//!
//! A store knows keys and bytes, nothing of what they mean. The one invariant: no reader ever sees a partial object.

mod error;
pub mod limits;
mod local;
mod meter;
pub mod sftp;
mod version;

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
#[cfg(any(test, feature = "testing"))]
pub mod hooked;
#[cfg(any(test, feature = "testing"))]
pub mod memory;

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

pub(crate) use error::unless_retained;
pub use error::{Retry, StoreError, StoreErrorKind, StoreResult};
pub use local::LocalStore;
#[cfg(any(test, feature = "testing"))]
pub use memory::MemoryStore;
pub use meter::{Meter, MeteredStore, OperationCount, StoreOperation};
pub use version::Version;

/// A flat space of keys (`type/name`) and bytes.
///
/// Keys are relative, use `/`, and have no empty, `.` or `..` component. Every method may be called from any number of
/// tasks at once. Errors name the key and the backend, and say whether a retry can help.
#[async_trait]
pub trait ObjectStore: Send + Sync + fmt::Debug {
    /// Makes the place that the objects lie in, where a store has one that can be missing. Only the making of a
    /// repository calls this: everything else fails with [`StoreErrorKind::Gone`] where the place is missing, for what
    /// is written to another place than the repository's is lost.
    async fn create_root(&self) -> StoreResult<()>;

    /// Writes an object, replacing what was there. Atomic: a reader sees the old bytes or the new ones. Durable: when
    /// it returns, the object survives a crash of the machine.
    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()>;

    /// The same for an object that is too large to be held in memory: all bytes of a file, from its beginning.
    async fn put_file(&self, key: &str, file: File) -> StoreResult<()>;

    /// Writes an object only if there is none; `false` if there was one. Atomic where [`Capabilities::atomic_create`]
    /// says so: of any number of callers at once, exactly one gets `true`.
    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> StoreResult<bool>;

    /// Replaces an object only if it is still the one that [`ObjectStore::get_versioned`] gave; `false` if it was
    /// changed or removed since. Atomic where [`Capabilities::conditional_replace`] says so: of any number of callers
    /// with one version, at most one gets `true`. Elsewhere it looks first and then writes.
    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, version: &Version) -> StoreResult<bool>;

    /// [`ObjectStore::put_file`] only if the object is still the one that [`ObjectStore::stat_versioned`] or
    /// [`ObjectStore::get_versioned`] gave or, with `None`, only if there is none; gives what [`ObjectStore::stat_versioned`]
    /// would say of it then, `None` if it was not written. Atomic where [`ObjectStore::put_if_unchanged`] and
    /// [`ObjectStore::put_if_absent`] are. Elsewhere it looks first and then writes.
    async fn put_file_if_unchanged(
        &self,
        key: &str,
        file: File,
        version: Option<&Version>,
    ) -> StoreResult<Option<Version>>;

    /// The whole object.
    async fn get(&self, key: &str) -> StoreResult<Bytes>;

    /// The whole object, and what tells these bytes of it from any others.
    async fn get_versioned(&self, key: &str) -> StoreResult<(Bytes, Version)>;

    /// The bytes `range` of an object; an error of kind [`StoreErrorKind::Corrupt`] if it is shorter than that.
    async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes>;

    /// The first bytes of an object, at most `most` and at least one, with what [`ObjectStore::stat_versioned`] says of the
    /// same state of it: one request for what is small as a rule.
    async fn get_start(&self, key: &str, most: u64) -> StoreResult<(Bytes, ObjectStat, Version)>;

    /// Size and modification time.
    async fn stat(&self, key: &str) -> StoreResult<ObjectStat>;

    /// The same, and what tells this state of the object from any other, without reading it.
    async fn stat_versioned(&self, key: &str) -> StoreResult<(ObjectStat, Version)>;

    /// Removes an object; one that is not there is no error.
    async fn delete(&self, key: &str) -> StoreResult<()>;

    /// [`ObjectStore::delete`] of many objects, in as few requests as the backend needs. Gives the errors of those that
    /// could not be removed, each with its key; an error of its own if that cannot be told of each.
    async fn delete_many(&self, keys: &[String]) -> StoreResult<Vec<StoreError>>;

    /// Removes an object only if it is still the one that [`ObjectStore::get_versioned`] gave; `false` if it was changed
    /// or is gone already. Atomic where [`Capabilities::conditional_delete`] says so.
    async fn delete_if_unchanged(&self, key: &str, version: &Version) -> StoreResult<bool>;

    /// Every object whose key begins with `prefix`, which ends with `/` or is empty; in no particular order.
    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>>;

    /// What time it is by the store's clock, the one that all its clients share; `None` if it does not tell.
    async fn now(&self) -> StoreResult<Option<SystemTime>>;

    /// What this backend can do.
    fn capabilities(&self) -> Capabilities;

    /// What to call it in messages: `local:/srv/backup`, never with credentials in it.
    fn describe(&self) -> String;
}

/// [`ObjectStore::delete_many`] for backends that know no better: one by one, as many at once as the backend likes.
pub async fn delete_each(store: &dyn ObjectStore, keys: &[String]) -> Vec<StoreError> {
    stream::iter(0..keys.len())
        .map(|at| store.delete(&keys[at]))
        .buffer_unordered(store.capabilities().concurrency)
        .filter_map(|deleted| async { deleted.err() })
        .collect()
        .await
}

/// What a listing or a stat tells of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectStat {
    /// The key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// When it was last written, by the store's clock.
    pub modified: SystemTime,
}

/// What a backend can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether [`ObjectStore::put_if_absent`] has exactly one winner.
    pub atomic_create: bool,
    /// Whether [`ObjectStore::put_if_unchanged`] is atomic, against every other writer of the object.
    pub conditional_replace: bool,
    /// Whether [`ObjectStore::delete_if_unchanged`] is.
    pub conditional_delete: bool,
    /// How many requests at once it likes.
    pub concurrency: usize,
}
