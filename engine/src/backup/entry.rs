//! Storing one entry: its bytes if they may have changed, and its metadata.

use super::BackupError;
use super::compare::Known;
use super::file::{self, ChunkQueue, FileError, StoredContent};
use super::run::Run;
use crate::cache::Proves;
use crate::object::{EntryType, Extra, FileMeta, FileName, Hash, ObjectKind, ObjectRef, Posix, file_id_bytes, json};
use crate::source::{Described, Entry, SourceError, Warning};

/// An entry that is stored.
pub(super) struct StoredEntry {
    pub(super) filemeta: Hash,
    /// The name of its content, if it has any.
    pub(super) content: Option<Hash>,
    /// The entry as it was read, which may be a later look than the walk's.
    pub(super) entry: Entry,
    /// The bytes of the file.
    pub(super) size: u64,
    /// What an entry that has still the same [`Entry::stat`] proves.
    pub(super) proves: Proves,
}

/// Stores an entry; `None` if it cannot be read, which is then a warning. `first` is the content of the first name of a
/// file with several.
pub(super) fn store(
    run: &Run,
    queue: &ChunkQueue,
    entry: Entry,
    known: &Known,
    first: Option<StoredContent>,
    window: &mut Vec<u8>,
) -> Result<Option<StoredEntry>, BackupError> {
    let stored = match known {
        _ if !entry.has_content() => return store_without_content(run, entry),
        Known::Before { content: Some((content, hash)), .. } => {
            Some(StoredContent { content: *content, hash: *hash, size: entry.stat.size })
        }
        _ => None,
    };
    match first.or(stored) {
        Some(stored) => store_metadata(run, entry, stored),
        None => store_file(run, queue, entry, window),
    }
}

/// Stores the metadata of a file whose bytes are stored already.
fn store_metadata(run: &Run, entry: Entry, stored: StoredContent) -> Result<Option<StoredEntry>, BackupError> {
    match run.source.describe(&entry) {
        Ok((meta, warnings)) => {
            let proves = if warnings.is_empty() { Proves::Everything } else { Proves::Bytes(stored.hash) };
            run.warn_all(warnings);
            finish(run, entry, meta, Some(stored), proves).map(Some)
        }
        Err(problem) => skip(run, &entry, &problem),
    }
}

fn store_without_content(run: &Run, entry: Entry) -> Result<Option<StoredEntry>, BackupError> {
    let described = run.source.describe(&entry);
    let (meta, proves) = match described {
        Ok((meta, warnings)) => {
            let proves = if warnings.is_empty() { Proves::Everything } else { Proves::Nothing };
            run.warn_all(warnings);
            (meta, proves)
        }
        // What is in the folder was, or will be, walked all the same, and needs it.
        Err(problem) if entry.entry_type == EntryType::Folder => {
            run.warn(&entry, problem.problem());
            (bare_folder(&entry), Proves::Nothing)
        }
        Err(problem) => return skip(run, &entry, &problem),
    };
    finish(run, entry, meta, None, proves).map(Some)
}

/// Reads a file; if it changes meanwhile, once more. What changes again is stored as it was read, with a warning.
fn store_file(
    run: &Run,
    queue: &ChunkQueue,
    mut entry: Entry,
    window: &mut Vec<u8>,
) -> Result<Option<StoredEntry>, BackupError> {
    for is_retry in [false, true] {
        let described = match run.source.describe_and_open(&entry) {
            Err(SourceError::Replaced { .. }) if !is_retry => None,
            Err(problem) => return skip(run, &entry, &problem),
            Ok(described) => Some(described),
        };
        if let Some(Described { meta, warnings, mut reader }) = described {
            run.progress.path(&shown(&entry));
            let stored = match file::store(run, queue, &mut *reader, window) {
                Ok(stored) => stored,
                Err(FileError::Fatal(failure)) => return Err(failure),
                Err(FileError::Unreadable(cause)) => {
                    run.warn(&entry, format!("it cannot be read: {cause}"));
                    return Ok(None);
                }
            };
            run.add_read(stored.size);
            let is_consistent = reader.unchanged() && stored.size == entry.stat.size;
            if is_consistent || is_retry {
                let proves = match (is_consistent, warnings.is_empty()) {
                    (true, true) => Proves::Everything,
                    (true, false) => Proves::Bytes(stored.hash),
                    (false, _) => Proves::Nothing,
                };
                if !is_consistent {
                    run.warn(&entry, "it changed while it was read, twice; it is stored as it was read".to_owned());
                }
                run.warn_all(warnings);
                return finish(run, entry, meta, Some(stored), proves).map(Some);
            }
        }
        entry = match run.source.refresh(&entry) {
            Ok(entry) => entry,
            Err(problem) => return skip(run, &entry, &problem),
        };
    }
    Ok(None)
}

fn skip(run: &Run, entry: &Entry, problem: &SourceError) -> Result<Option<StoredEntry>, BackupError> {
    run.warn(entry, problem.problem());
    Ok(None)
}

fn finish(
    run: &Run,
    entry: Entry,
    mut meta: FileMeta,
    stored: Option<StoredContent>,
    proves: Proves,
) -> Result<StoredEntry, BackupError> {
    let size = stored.as_ref().map_or(0, |stored| stored.size);
    if let Some(stored) = stored.filter(|_| entry.stat.links > 1 && entry.hardlink.is_none()) {
        run.note_content(&entry.file_id, stored);
    }
    if let Some(StoredContent { content, hash, size }) = stored {
        meta.content_hash = hash.to_string();
        meta.content_ref = content.hash.to_string();
        meta.size = size;
    }
    let bytes = json::encode(&meta);
    let filemeta = Hash::of(&bytes);
    run.write(ObjectRef::new(ObjectKind::Filemeta, filemeta), &bytes)?;
    Ok(StoredEntry { filemeta, content: stored.map(|stored| stored.content.hash), entry, size, proves })
}

/// A folder of which nothing can be said but what the walk saw.
fn bare_folder(entry: &Entry) -> FileMeta {
    let FileName { text: name, base64: name_b64 } = FileName::from_bytes(&entry.name);
    let parent = entry.file_id.rsplit_once('/').map(|(parent, _)| vec![parent.to_owned()]);
    FileMeta {
        version: 0,
        file_id: entry.file_id.clone(),
        name,
        entry_type: EntryType::Folder,
        parents: parent,
        paths: Vec::new(),
        content_hash: String::new(),
        content_ref: String::new(),
        size: 0,
        mtime: entry.stat.mtime.0,
        owner: String::new(),
        extra: Extra::from_posix(Posix { mtime_nsec: entry.stat.mtime.1, name_b64, ..Posix::default() }),
        mode: entry.stat.mode,
        uid: entry.stat.uid,
        gid: entry.stat.gid,
        btime: entry.stat.btime,
        flags: 0,
        xattrs: Default::default(),
    }
}

fn shown(entry: &Entry) -> String {
    crate::shown::path(&file_id_bytes(&entry.file_id))
}

impl Run {
    /// A warning about an entry.
    pub(super) fn warn(&self, entry: &Entry, problem: String) {
        self.warn_all(vec![Warning { path: shown(entry), problem }]);
    }
}
