//! The stat cache: what each file looked like at the last backup, and what was stored for it.
//!
//! It lives in one redb file that may be deleted at any time. The one invariant: it is never the only reason to believe
//! that an object exists. What it says of a source is bound to one snapshot, and believed only while that snapshot is
//! in the repository, for a snapshot keeps everything that it refers to.

mod record;
mod update;

use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadOnlyTable, ReadableDatabase, TableDefinition};

pub use record::{CachedEntry, Proves};
pub use update::CacheUpdate;

use crate::object::{Hash, ObjectRef, RepositoryMarker, SourceInfo, json};
use serde::{Deserialize, Serialize};

/// By source: what is known of it as a whole.
const SOURCES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("sources");
/// By source and folder: the records of what is in the folder.
const FOLDERS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("folders");

/// Memory that redb may use for its pages, in bytes.
const PAGE_CACHE: usize = 16 << 20;

/// The stat caches of all sources.
#[derive(Debug)]
pub struct StatCache {
    database: Database,
}

/// The cache file cannot be used. Backups go on without it.
#[derive(Debug, thiserror::Error)]
#[error("the cache {path} cannot be used: {problem}; it may be deleted")]
pub struct CacheError {
    /// The file.
    pub path: String,
    /// Why.
    pub problem: String,
}

/// Tells the sources of all repositories apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceKey([u8; 16]);

impl SourceKey {
    /// The key of a source in a repository.
    pub fn new(store: &str, marker: &RepositoryMarker, source: &SourceInfo) -> Self {
        let hash = Hash::of(&json::encode(&(store, marker, source)));
        let mut key = [0; 16];
        key.copy_from_slice(&hash.as_bytes()[..16]);
        Self(key)
    }
}

/// What is known of a source as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedSource {
    /// The snapshot that the records describe.
    pub snapshot: ObjectRef,
    /// Its entries that are not folders.
    pub files: u64,
    /// Its folders.
    pub folders: u64,
    /// The bytes of its files.
    pub bytes: u64,
}

impl StatCache {
    /// Opens the file, or makes it; one that is damaged is replaced by an empty one.
    pub fn open(path: &Path) -> Result<Self, CacheError> {
        let failure = |problem: String| CacheError { path: path.display().to_string(), problem };
        let open = || Database::builder().set_cache_size(PAGE_CACHE).create(path);
        let database = match open() {
            Ok(database) => database,
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => {
                return Err(failure("another process has it open".to_owned()));
            }
            Err(problem) => {
                tracing::warn!(path = %path.display(), %problem, "the stat cache is replaced by an empty one");
                std::fs::remove_file(path).map_err(|cause| failure(cause.to_string()))?;
                open().map_err(|cause| failure(cause.to_string()))?
            }
        };
        Ok(Self { database })
    }

    /// Forgets everything. If that fails, the next look at the cache will too, and it is not used.
    pub fn clear(&self) {
        let clear = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            transaction.delete_table(SOURCES)?;
            transaction.delete_table(FOLDERS)?;
            Ok(transaction.commit()?)
        };
        if let Err(problem) = clear() {
            tracing::warn!(%problem, "the stat cache cannot be cleared");
        }
    }

    /// What is known of a source, if anything.
    pub fn view(self: &Arc<Self>, key: SourceKey) -> Result<Option<CacheView>, redb::Error> {
        let transaction = self.database.begin_read()?;
        let sources = match transaction.open_table(SOURCES) {
            Ok(sources) => sources,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(bytes) = sources.get(key.0.as_slice())? else { return Ok(None) };
        let Ok(source) = json::decode(bytes.value()) else { return Ok(None) };
        Ok(Some(CacheView { key, source, folders: transaction.open_table(FOLDERS)? }))
    }
}

/// The records of one source, as they were when the view was taken.
pub struct CacheView {
    key: SourceKey,
    source: CachedSource,
    folders: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl CacheView {
    /// What is known of the source as a whole.
    pub fn source(&self) -> &CachedSource {
        &self.source
    }

    /// The records of a folder in byte order of their names; none if the folder is not known, or its records are
    /// damaged.
    pub fn folder(&self, folder: &str) -> Result<Vec<CachedEntry>, redb::Error> {
        let mut entries = self.part(folder, Part::Entries)?;
        let links = self.part(folder, Part::HardLinks)?;
        if !links.is_empty() {
            entries.extend(links);
            entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        }
        Ok(entries)
    }

    fn part(&self, folder: &str, part: Part) -> Result<Vec<CachedEntry>, redb::Error> {
        let records = self.folders.get(folder_key(self.key, folder, part).as_slice())?;
        Ok(records.and_then(|records| record::decode(records.value())).unwrap_or_default())
    }
}

/// Which entries of a folder: those with several names are walked, and recorded, by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Everything else.
    Entries,
    /// Files with several names.
    HardLinks,
}

/// No fileId has a U+0000 that is not followed by hex digits, so the mark cannot be part of one.
fn folder_key(source: SourceKey, folder: &str, part: Part) -> Vec<u8> {
    let mark: &[u8] = if part == Part::HardLinks { b"\0links" } else { b"" };
    [&source.0, folder.as_bytes(), mark].concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::object::ObjectKind;
    use crate::source::{FileType, Stat};

    fn entry(name: &str) -> CachedEntry {
        let stat = Stat {
            inode: 7,
            size: 5_000_000_000,
            mtime: (-3, 999_999_999),
            ctime: (1 << 40, 1),
            btime: 12,
            mode: 0o4755,
            uid: 1000,
            gid: u32::MAX,
            rdev: (8, 1),
            blocks: 77,
            links: 2,
            file_type: FileType::Regular,
        };
        let (filemeta, content) = (Hash::of(name.as_bytes()), Some(Hash::of(b"content")));
        let hardlink = Some("first/name".to_owned());
        CachedEntry { name: name.as_bytes().to_vec(), stat, hardlink, filemeta, content, proves: Proves::Everything }
    }

    fn source(n: u8) -> CachedSource {
        CachedSource { snapshot: ObjectRef::new(ObjectKind::Snapshot, Hash::of(&[n])), files: 1, folders: 2, bytes: 3 }
    }

    fn fill(cache: &Arc<StatCache>, key: SourceKey, folders: &[(&str, &[CachedEntry])], gone: &[&str], n: u8) {
        let mut update = CacheUpdate::new(key).unwrap();
        for (folder, entries) in folders {
            update.put(folder, Part::Entries, entries).unwrap();
        }
        for folder in gone {
            update.remove(folder);
        }
        update.commit(cache, &source(n)).unwrap();
    }

    #[test]
    fn records_come_back_and_removed_folders_take_what_is_below_them() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Arc::new(StatCache::open(&folder.path().join("cache.redb")).unwrap());
        let (key, other) = (SourceKey([1; 16]), SourceKey([2; 16]));
        let entries = [
            entry("a"),
            CachedEntry { hardlink: None, content: None, proves: Proves::Nothing, ..entry("b\u{ff}") },
            CachedEntry { proves: Proves::Bytes(Hash::of(b"data")), ..entry("c") },
        ];
        let all: [(&str, &[CachedEntry]); 4] = [("", &entries), ("d", &entries), ("d/e", &entries), ("d!", &entries)];
        fill(&cache, key, &all, &[], 1);
        fill(&cache, other, &all, &[], 1);
        let mut links = CacheUpdate::new(key).unwrap();
        links.put("d", Part::HardLinks, &[entry("link")]).unwrap();
        links.commit(&cache, &source(1)).unwrap();
        assert_eq!(cache.view(key).unwrap().unwrap().folder("d").unwrap().len(), 4);
        fill(&cache, key, &[], &["d"], 2);
        let view = cache.view(key).unwrap().unwrap();
        assert_eq!(view.source(), &source(2));
        let lengths = ["", "d", "d/e", "d!"].map(|folder| view.folder(folder).unwrap().len());
        assert_eq!(lengths, [3, 0, 0, 3]);
        assert_eq!(view.folder("d!").unwrap(), entries);
        assert_eq!(cache.view(other).unwrap().unwrap().folder("d/e").unwrap(), entries);
    }

    #[test]
    fn a_damaged_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache.redb");
        std::fs::write(&path, b"this is no database, and long enough to be looked at twice").unwrap();
        let cache = Arc::new(StatCache::open(&path).unwrap());
        assert!(cache.view(SourceKey([0; 16])).unwrap().is_none());
    }
}
