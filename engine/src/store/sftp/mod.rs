//! A folder on an SFTP server as a store (format, section 1): a key is a path under the root.
//!
//! The one invariant: no reader ever sees a part of an object. So a write goes to a temporary file, is flushed where the
//! server can do that, and then renamed into place; *create if absent* is a hard link to the name, which fails if there is
//! one; what is changed on condition is changed under a [`guard`]. What the server cannot do atomically, which
//! [`probe`] finds out, is told in the capabilities and done in two steps.
//!
//! The SFTP session goes through a process of `ssh` ([`connection`]), so that keys, agents, jump hosts and host keys work
//! as people know them. Names that end in `.tmp` are never listed; what dead writers left is swept when a writer lists.

pub mod askpass;
mod command;
mod connection;
mod failure;
mod files;
mod folder;
mod guard;
mod link;
mod list;
mod location;
mod probe;
mod settings;
mod temporary;
#[cfg(test)]
mod tests;
mod version;
mod write;

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::{Capabilities, ObjectStat, ObjectStore, StoreError, StoreErrorKind, StoreResult, Version, delete_each};
use connection::Connection;
use failure::Trouble;
use files::Content;
use folder::TEMPORARY;
use guard::Change;
use link::Link;
pub use location::{BadSftpLocation, SftpLocation};
use probe::Can;
pub use probe::SftpProbe;
pub use settings::{HostKey, SftpLogin, SftpSettings};

/// How many requests at once it likes: each is many small ones, which share the line.
const CONCURRENCY: usize = 8;

/// What was written before so long is surely not written in this second, however much the clocks drift.
const OLD: Duration = Duration::from_secs(120);

/// SFTP tells times in whole seconds, cut off: on average they are so much later.
const HALF_A_SECOND: Duration = Duration::from_millis(500);

/// A folder on an SFTP server.
#[derive(Debug)]
pub struct SftpStore {
    link: Link,
    probe: SftpProbe,
    /// What the server can do; nothing as long as it is not known.
    can: OnceCell<Can>,
    /// The time at the server at some moment.
    time: OnceCell<(SystemTime, Instant)>,
    /// It has written something, so that it may clean up after others who did.
    writes: AtomicBool,
}

impl SftpStore {
    /// Connects, and finds out what the server can do, unless `probe` knows it already. The folder need not be there:
    /// [`ObjectStore::create_root`] makes it.
    pub async fn connect(settings: SftpSettings, probe: SftpProbe) -> StoreResult<Self> {
        if settings.host_key == HostKey::Insecure {
            tracing::warn!(
                store = %settings.location,
                "the server's host key is not checked (insecure): anybody on the way can read and change what is sent"
            );
        }
        let store = Self {
            link: Link::new(settings),
            probe,
            can: OnceCell::new(),
            time: OnceCell::new(),
            writes: AtomicBool::new(false),
        };
        let connection = store.connection("").await?;
        store.find_out(&connection).await.map_err(|trouble| store.error("", trouble))?;
        Ok(store)
    }

    async fn find_out(&self, connection: &Arc<Connection>) -> Result<(), Trouble> {
        if let Some(can) = self.probe.ask(self.link.settings(), connection).await? {
            // It cannot change: every client of the server finds the same.
            let _ = self.can.set(can);
        }
        Ok(())
    }

    fn can(&self) -> Can {
        self.can.get().copied().unwrap_or(Can { link: false, guard: false })
    }

    fn root(&self) -> &str {
        self.link.settings().location.path()
    }

    fn path(&self, key: &str) -> StoreResult<String> {
        let bad = |part: &str| matches!(part, "" | "." | "..") || part.contains('\0') || part.ends_with(TEMPORARY);
        if key.split('/').any(bad) {
            let (key, backend) = (key.to_owned(), self.describe());
            return Err(StoreError { kind: StoreErrorKind::InvalidKey, key, backend, detail: String::new() });
        }
        Ok(format!("{}/{key}", self.root()))
    }

    async fn connection(&self, key: &str) -> StoreResult<Arc<Connection>> {
        self.link.connection().await.map_err(|trouble| self.error(key, trouble))
    }

    async fn at(&self, key: &str) -> StoreResult<(Arc<Connection>, String)> {
        let path = self.path(key)?;
        Ok((self.connection(key).await?, path))
    }

    fn error(&self, key: &str, trouble: Trouble) -> StoreError {
        let (kind, detail) = trouble.told();
        StoreError { kind, key: key.to_owned(), backend: self.describe(), detail }
    }

    /// What is missing may be all of it.
    async fn told<T>(&self, key: &str, connection: &Connection, result: Result<T, Trouble>) -> StoreResult<T> {
        let Err(trouble) = result else { return result.map_err(|trouble| self.error(key, trouble)) };
        let mut error = self.error(key, trouble);
        if error.is_not_found() && matches!(folder::is_there(connection, self.root()).await, Ok(false)) {
            error.kind = StoreErrorKind::Gone;
            error.detail = "mount its disk there or put its folder back, and try again".to_owned();
        }
        Err(error)
    }

    /// Beside this, files are made to see what time it is.
    fn clock(&self) -> String {
        format!("{}/.clock", self.root())
    }

    /// What time it is at the server, give or take what clocks drift since it was first asked.
    async fn estimated_time(&self, connection: &Connection) -> Result<SystemTime, Trouble> {
        let ask = || async {
            let time = match version::clock(connection, &self.clock()).await {
                // Who may not write there does not change anything either: a guess will do.
                Err(Trouble::Refused(_) | Trouble::Failed(_)) => SystemTime::now(),
                told => told?,
            };
            Ok::<_, Trouble>((time, Instant::now()))
        };
        let (time, at): &(SystemTime, Instant) = self.time.get_or_try_init(ask).await?;
        Ok(*time + at.elapsed())
    }
}

#[async_trait]
impl ObjectStore for SftpStore {
    async fn create_root(&self) -> StoreResult<()> {
        let connection = self.connection("").await?;
        let made = folder::make_all(&connection, self.root(), None).await;
        let made = match made {
            Ok(()) => self.find_out(&connection).await,
            failed => failed,
        };
        made.map_err(|trouble| self.error("", trouble))
    }

    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()> {
        self.replace(key, Content::Bytes(bytes)).await
    }

    async fn put_file(&self, key: &str, file: File) -> StoreResult<()> {
        self.replace(key, Content::File(Arc::new(file))).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> StoreResult<bool> {
        self.create(key, Content::Bytes(bytes)).await
    }

    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, version: &Version) -> StoreResult<bool> {
        self.change(key, Change::Replace(Content::Bytes(bytes)), version).await
    }

    async fn put_file_if_unchanged(
        &self,
        key: &str,
        file: File,
        version: Option<&Version>,
    ) -> StoreResult<Option<Version>> {
        let file = Arc::new(file);
        let content = Content::File(Arc::clone(&file));
        let is_written = match version {
            Some(version) => self.change(key, Change::Replace(content), version).await?,
            None => self.create(key, content).await?,
        };
        if !is_written {
            return Ok(None);
        }
        // Not what is there now: that may be another writer's already.
        let hashed = tokio::task::spawn_blocking(move || Version::of_file(&file)).await;
        let hashed = hashed.map_err(std::io::Error::other).flatten();
        hashed.map(Some).map_err(|cause| self.error(key, Trouble::Here(cause.to_string())))
    }

    async fn get(&self, key: &str) -> StoreResult<Bytes> {
        let (connection, path) = self.at(key).await?;
        let read = files::read(&connection, &path).await;
        self.told(key, &connection, read).await
    }

    async fn get_versioned(&self, key: &str) -> StoreResult<(Bytes, Version)> {
        let bytes = self.get(key).await?;
        let version = Version::of(&bytes);
        Ok((bytes, version))
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
        let (connection, path) = self.at(key).await?;
        let read = files::read_range(&connection, &path, range.start, range.end).await;
        self.told(key, &connection, read).await
    }

    async fn get_start(&self, key: &str, most: u64) -> StoreResult<(Bytes, ObjectStat, Version)> {
        let (stat, version) = self.stat_versioned(key).await?;
        let bytes = self.get_range(key, 0..stat.size.min(most)).await?;
        Ok((bytes, stat, version))
    }

    async fn stat(&self, key: &str) -> StoreResult<ObjectStat> {
        let (connection, path) = self.at(key).await?;
        let stat = version::stat(&connection, &path).await;
        let (size, modified) = self.told(key, &connection, stat).await?;
        Ok(ObjectStat { key: key.to_owned(), size, modified })
    }

    async fn stat_versioned(&self, key: &str) -> StoreResult<(ObjectStat, Version)> {
        let (connection, path) = self.at(key).await?;
        let looked = async {
            let now = self.estimated_time(&connection).await?;
            version::look(&connection, &path, |time| time + OLD < now).await
        };
        let (size, modified, version) = self.told(key, &connection, looked.await).await?;
        Ok((ObjectStat { key: key.to_owned(), size, modified }, version))
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        let (connection, path) = self.at(key).await?;
        match connection.call(connection.fs().remove_file(&path)).await {
            Err(Trouble::Missing) => Ok(()),
            // Not every server tells a missing file from other failures.
            Err(Trouble::Failed(_)) if matches!(folder::is_there(&connection, &path).await, Ok(false)) => Ok(()),
            other => other.map_err(|trouble| self.error(key, trouble)),
        }
    }

    async fn delete_many(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        Ok(delete_each(self, keys).await)
    }

    async fn delete_if_unchanged(&self, key: &str, version: &Version) -> StoreResult<bool> {
        self.change(key, Change::Remove, version).await
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
        self.list_all(prefix)
    }

    /// That of a file that is made now: the time of the server, which all its clients share.
    async fn now(&self) -> StoreResult<Option<SystemTime>> {
        let connection = self.connection("clock").await?;
        match version::clock(&connection, &self.clock()).await {
            Err(Trouble::Refused(_)) => Ok(None),
            told => self.told("clock", &connection, told).await.map(|time| Some(time + HALF_A_SECOND)),
        }
    }

    fn capabilities(&self) -> Capabilities {
        let Can { link, guard } = self.can();
        Capabilities {
            atomic_create: link,
            conditional_replace: guard,
            conditional_delete: guard,
            concurrency: CONCURRENCY,
        }
    }

    fn describe(&self) -> String {
        self.link.settings().location.to_string()
    }
}
