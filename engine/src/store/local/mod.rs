//! A folder of this host as a store (format, section 1): a key is a path under the root.
//!
//! The one invariant: when a write returns, the object is whole, in place, and survives a crash of the machine. So a
//! write goes to a temporary file, is flushed, renamed into place, and the folder is flushed too. Temporary files end
//! in `.tmp`; what a dead writer left is never listed, and swept by later writers.

mod conditional;
mod folder;
mod guard;
mod write;

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};

use super::{Capabilities, ObjectStat, ObjectStore, StoreError, StoreErrorKind, StoreResult, Version, delete_each};
use folder::Folders;

/// How names of temporary files end.
const TEMPORARY: &str = ".tmp";

/// `ENFILE` and `EMFILE`, for which there is no [`ErrorKind`].
const TOO_MANY_FILES: [i32; 2] = [23, 24];

/// A folder of this host.
#[derive(Debug, Clone)]
pub struct LocalStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    folders: Folders,
}

impl LocalStore {
    /// A store in this folder, which need not exist yet: [`ObjectStore::create_root`] makes it.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self { shared: Arc::new(Shared { folders: Folders::new(root.clone()), root }) }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.shared.root
    }

    /// Runs file system work where it may block.
    async fn blocking<T, F>(&self, key: &str, work: F) -> StoreResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&Shared, &Path) -> io::Result<T> + Send + 'static,
    {
        let path = self.shared.path(key)?;
        let (shared, key) = (Arc::clone(&self.shared), key.to_owned());
        let name = key.clone();
        let work = move || work(&shared, &path).map_err(|cause| shared.error(&key, &cause));
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(panic) => Err(self.shared.error(&name, &io::Error::other(panic))),
        }
    }
}

impl Shared {
    fn path(&self, key: &str) -> StoreResult<PathBuf> {
        let bad = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains('\0');
        if key.split('/').any(bad) || key.ends_with(TEMPORARY) {
            return Err(self.failure(key, StoreErrorKind::InvalidKey, String::new()));
        }
        Ok(self.root.join(key))
    }

    fn describe(&self) -> String {
        format!("local:{}", self.root.display())
    }

    fn failure(&self, key: &str, kind: StoreErrorKind, detail: String) -> StoreError {
        StoreError { kind, key: key.to_owned(), backend: self.describe(), detail }
    }

    fn error(&self, key: &str, cause: &io::Error) -> StoreError {
        let kind = match cause.kind() {
            ErrorKind::NotFound if matches!(self.root.try_exists(), Ok(false)) => StoreErrorKind::Gone,
            ErrorKind::NotFound => StoreErrorKind::NotFound,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StoreErrorKind::Denied,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => StoreErrorKind::Full,
            ErrorKind::UnexpectedEof => StoreErrorKind::Corrupt,
            ErrorKind::Interrupted | ErrorKind::TimedOut => StoreErrorKind::Transient,
            // These say nothing of the object: it must not be taken for damaged.
            ErrorKind::OutOfMemory
            | ErrorKind::ResourceBusy
            | ErrorKind::StaleNetworkFileHandle
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::NotConnected => StoreErrorKind::Transient,
            _ if cause.raw_os_error().is_some_and(|code| TOO_MANY_FILES.contains(&code)) => StoreErrorKind::Transient,
            _ => StoreErrorKind::Other,
        };
        match kind {
            StoreErrorKind::Gone => {
                self.failure(key, kind, "mount its disk or put its folder back, and try again".into())
            }
            _ => self.failure(key, kind, cause.to_string()),
        }
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    async fn create_root(&self) -> StoreResult<()> {
        self.blocking("config", |shared, _| folder::make_all(&shared.root)).await
    }

    async fn put(&self, key: &str, bytes: Bytes) -> StoreResult<()> {
        self.blocking(key, move |shared, path| write::replace(&shared.folders, path, |file| file.write_all(&bytes)))
            .await
    }

    async fn put_file(&self, key: &str, mut source: File) -> StoreResult<()> {
        let write = move |file: &mut File| {
            source.rewind()?;
            io::copy(&mut source, file).map(drop)
        };
        self.blocking(key, move |shared, path| write::replace(&shared.folders, path, write)).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> StoreResult<bool> {
        self.blocking(key, move |shared, path| {
            let created = write::create(&shared.folders, path, |file| file.write_all(&bytes));
            created.map(|file| file.is_some())
        })
        .await
    }

    async fn put_if_unchanged(&self, key: &str, bytes: Bytes, version: &Version) -> StoreResult<bool> {
        let version = version.clone();
        self.blocking(key, move |shared, path| {
            let replaced = conditional::replace(&shared.folders, path, |file| file.write_all(&bytes), &version);
            replaced.map(|file| file.is_some())
        })
        .await
    }

    async fn put_file_if_unchanged(
        &self,
        key: &str,
        mut source: File,
        version: Option<&Version>,
    ) -> StoreResult<Option<Version>> {
        let version = version.cloned();
        let write = move |file: &mut File| {
            source.rewind()?;
            io::copy(&mut source, file).map(drop)
        };
        self.blocking(key, move |shared, path| {
            let written = match version {
                Some(version) => conditional::replace(&shared.folders, path, write, &version)?,
                None => write::create(&shared.folders, path, write)?,
            };
            written.map(|file| Ok(conditional::version(&file.metadata()?))).transpose()
        })
        .await
    }

    async fn get(&self, key: &str) -> StoreResult<Bytes> {
        self.blocking(key, |_, path| read(path)).await
    }

    async fn get_versioned(&self, key: &str) -> StoreResult<(Bytes, Version)> {
        let versioned = |bytes| {
            let version = Version::of(&bytes);
            (bytes, version)
        };
        self.blocking(key, move |_, path| read(path).map(versioned)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> StoreResult<Bytes> {
        self.blocking(key, move |_, path| {
            let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
            let file = File::open(path)?;
            if file.metadata()?.len() < range.end {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "it ends too early"));
            }
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, range.start)?;
            Ok(bytes.into())
        })
        .await
    }

    async fn get_start(&self, key: &str, most: u64) -> StoreResult<(Bytes, ObjectStat, Version)> {
        let name = key.to_owned();
        self.blocking(key, move |_, path| {
            let mut file = File::open(path)?;
            let metadata = file.metadata()?;
            let stat = ObjectStat { key: name, size: metadata.len(), modified: metadata.modified()? };
            let mut bytes = Vec::new();
            Read::by_ref(&mut file).take(most).read_to_end(&mut bytes)?;
            Ok((bytes.into(), stat, conditional::version(&metadata)))
        })
        .await
    }

    async fn stat(&self, key: &str) -> StoreResult<ObjectStat> {
        let name = key.to_owned();
        self.blocking(key, move |_, path| {
            let metadata = std::fs::metadata(path)?;
            Ok(ObjectStat { key: name, size: metadata.len(), modified: metadata.modified()? })
        })
        .await
    }

    async fn stat_versioned(&self, key: &str) -> StoreResult<(ObjectStat, Version)> {
        let name = key.to_owned();
        self.blocking(key, move |_, path| {
            let metadata = std::fs::metadata(path)?;
            let stat = ObjectStat { key: name, size: metadata.len(), modified: metadata.modified()? };
            Ok((stat, conditional::version(&metadata)))
        })
        .await
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.blocking(key, |shared, path| write::remove(&shared.folders, path)).await
    }

    async fn delete_many(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        Ok(delete_each(self, keys).await)
    }

    async fn delete_if_unchanged(&self, key: &str, version: &Version) -> StoreResult<bool> {
        let version = version.clone();
        self.blocking(key, move |shared, path| conditional::remove(&shared.folders, path, &version)).await
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
        let start = async move {
            let (sender, receiver) = tokio::sync::mpsc::channel(4);
            let (shared, prefix) = (Arc::clone(&self.shared), prefix.to_owned());
            tokio::task::spawn_blocking(move || {
                let listed = folder::list(&shared.root, &prefix, &mut |batch| sender.blocking_send(Ok(batch)).is_ok());
                if let Err(cause) = listed {
                    // The receiver may be gone, and then nobody wants to know.
                    let _ = sender.blocking_send(Err(shared.error(&prefix, &cause)));
                }
            });
            stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|next| (next, receiver)) })
        };
        stream::once(start)
            .flatten()
            .flat_map(|batch| match batch {
                Ok(batch) => stream::iter(batch.into_iter().map(Ok)).boxed(),
                Err(error) => stream::iter([Err(error)]).boxed(),
            })
            .boxed()
    }

    /// The folder may be another machine's, and then the time of a file that was just made is that machine's time.
    async fn now(&self) -> StoreResult<Option<SystemTime>> {
        self.blocking("clock", |_, path| write::probe_time(path)).await.map(Some)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { atomic_create: true, conditional_replace: true, conditional_delete: true, concurrency: 8 }
    }

    fn describe(&self) -> String {
        self.shared.describe()
    }
}

fn read(path: &Path) -> io::Result<Bytes> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::with_capacity(usize::try_from(file.metadata()?.len()).unwrap_or(0));
    file.read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;
    use crate::store::conformance;

    fn store() -> (tempfile::TempDir, LocalStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::new(folder.path().join("repository"));
        (folder, store)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn keeps_the_contract() {
        let (_folder, store) = store();
        conformance::check(&store).await;
    }

    #[tokio::test]
    async fn keys_cannot_leave_the_root() {
        let (folder, store) = store();
        store.create_root().await.unwrap();
        for key in ["../out", "a/../../out", "/etc/out", "a//b", "", "a/.", "a.tmp"] {
            let error = store.put(key, Bytes::from_static(b"x")).await.unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::InvalidKey, "{key}");
        }
        assert!(!folder.path().join("out").exists());
    }

    #[tokio::test]
    async fn leftovers_of_dead_writers_are_not_listed_and_old_ones_are_swept() {
        let (_folder, store) = store();
        let packs = store.root().join("packs");
        std::fs::create_dir_all(&packs).unwrap();
        for (name, age) in [("old.tmp", 48), ("new.tmp", 0)] {
            let file = File::create(packs.join(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(3600 * age)).unwrap();
        }
        store.put("packs/a", Bytes::from_static(b"x")).await.unwrap();
        let listed: Vec<_> = store.list("packs/").map(|stat| stat.unwrap().key).collect().await;
        assert_eq!(listed, ["packs/a"]);
        assert!(!packs.join("old.tmp").exists() && packs.join("new.tmp").exists());
    }

    #[tokio::test]
    async fn others_cannot_read_what_is_stored() {
        let (_folder, store) = store();
        store.create_root().await.unwrap();
        store.put("keys/password-default", Bytes::from_static(b"x")).await.unwrap();
        let mode = |path: &str| std::fs::metadata(store.root().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("keys"), mode("keys/password-default")), (0o700, 0o600));
    }
}
