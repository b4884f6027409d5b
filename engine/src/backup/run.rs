//! What the threads of a backup share: what is known so far, and how an entry is counted, recorded and stored.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio_util::sync::CancellationToken;

use super::compare::{Known, Previous};
use super::file::StoredContent;
use super::folder::FolderRecords;
use super::links::Links;
use super::{BackupError, BackupReport};
use crate::cache::{CacheUpdate, CachedEntry, Part, Proves};
use crate::chunker::Chunker;
use crate::clock::Clock;
use crate::hamt::TreeBuilder;
use crate::object::{EntryType, Hash, ObjectRef, path_key};
use crate::progress::Progress;
use crate::repository::{ObjectWriter, Repository, Stored, Written};
use crate::source::{Entry, Source, Warning};
use crate::warnings::Warnings;

/// What a run gives.
pub(super) struct Outcome {
    pub(super) report: BackupReport,
    pub(super) written: Written,
    pub(super) update: Option<CacheUpdate>,
}

/// What all threads of a backup share.
pub(super) struct Run {
    pub(super) repository: Arc<Repository>,
    pub(super) source: Arc<dyn Source>,
    pub(super) chunker: Chunker,
    pub(super) progress: Arc<dyn Progress>,
    pub(super) cancel: CancellationToken,
    pub(super) clock: Arc<dyn Clock>,
    /// `None` on a dry run.
    pub(super) writer: Option<ObjectWriter>,
    pub(super) failed: AtomicBool,
    pub(super) added_bytes: AtomicU64,
    pub(super) stored_bytes: AtomicU64,
    pub(super) read_bytes: AtomicU64,
    /// The chunk of zeros that holes consist of, once there was one.
    pub(super) hole: OnceLock<ObjectRef>,
    pub(super) shared: Mutex<Shared>,
}

pub(super) struct Shared {
    pub(super) tree: TreeBuilder,
    pub(super) report: BackupReport,
    pub(super) warnings: Warnings,
    /// `None` without a cache, on a dry run, and after the first failure of its file.
    pub(super) update: Option<CacheUpdate>,
    pub(super) links: Links,
    /// Folders for which the cache has files with several names, and the walk has not.
    pub(super) stale_links: HashSet<String>,
    pub(super) failure: Option<BackupError>,
}

/// An entry that waits for a worker.
pub(super) struct EntryTask {
    pub(super) entry: Entry,
    pub(super) known: Known,
    pub(super) folder: Arc<FolderRecords>,
}

impl Run {
    /// Takes an entry over as it is known.
    pub(super) fn keep(&self, entry: &Entry, filemeta: Hash) {
        let size = if entry.has_content() { entry.stat.size } else { 0 };
        self.progress.advance(0, size);
        self.add(entry, filemeta, Some(filemeta), size);
    }

    /// Counts an entry and adds it to the tree.
    pub(super) fn add(&self, entry: &Entry, filemeta: Hash, before: Option<Hash>, size: u64) {
        self.progress.advance(1, 0);
        let parent = entry.file_id.rsplit_once('/').map_or("", |(parent, _)| parent);
        let route = path_key(parent, &entry.file_id);
        let mut shared = self.lock();
        shared.report.total_bytes += size;
        let counts = shared.counts(entry);
        match before {
            None => counts.new += 1,
            Some(before) if before == filemeta => counts.unmodified += 1,
            Some(_) => counts.changed += 1,
        }
        if entry.stat.links > 1 && entry.hardlink.is_none() && entry.entry_type == EntryType::File {
            shared.links.note_first(&entry.file_id);
        }
        if self.writer.is_some()
            && let Err(cause) = shared.tree.add(&entry.file_id, route, filemeta)
        {
            drop(shared);
            self.fail(cause.into());
        }
    }

    pub(super) fn count_dry(&self, entry: &Entry, known: &Known) {
        self.progress.advance(1, 0);
        let reads = entry.has_content() && !matches!(known, Known::Before { content: Some(_), .. });
        let size = if entry.has_content() { entry.stat.size } else { 0 };
        let mut shared = self.lock();
        shared.report.total_bytes += size;
        if reads {
            shared.report.read_bytes += size;
            shared.report.added_bytes += size;
        }
        // Whether the metadata differs is only known from what would be stored.
        match known {
            Known::Nothing => shared.counts(entry).new += 1,
            Known::Before { content: Some(_), .. } => shared.counts(entry).unmodified += 1,
            Known::Before { .. } if !entry.has_content() => shared.counts(entry).unmodified += 1,
            Known::Before { .. } | Known::Unchanged(_) => shared.counts(entry).changed += 1,
        }
    }

    pub(super) fn complete(&self, folder: &FolderRecords, record: Option<CachedEntry>) {
        if let Some(records) = folder.add(record) {
            self.lock().record(folder, &records);
        }
    }

    pub(super) fn finish(self, previous: &Previous, threads: usize) -> Result<Outcome, BackupError> {
        let Self { shared, writer, .. } = self;
        let (added, stored) = (self.added_bytes, self.stored_bytes);
        let Shared { tree, mut report, warnings, update, .. } =
            shared.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (files, folders, _) = previous.totals();
        report.files.removed = files.saturating_sub(report.files.changed + report.files.unmodified);
        report.folders.removed = folders.saturating_sub(report.folders.changed + report.folders.unmodified);
        let differs = report.files.differs() || report.folders.differs();
        let mut written = Written::default();
        if let Some(writer) = writer {
            let root = match previous.root() {
                Some(root) if !differs => Ok(Some(root)),
                _ => tree.build(threads, |node, bytes| write(&writer, &added, &stored, node, &bytes)),
            };
            let finished = writer.finish();
            report.root = root?;
            written = finished?;
        } else if !differs {
            report.root = previous.root();
        }
        report.read_bytes += self.read_bytes.into_inner();
        report.added_bytes += added.into_inner();
        report.stored_bytes += stored.into_inner();
        (report.warnings, report.warning_count) = warnings.into_parts();
        Ok(Outcome { report, written, update })
    }

    /// Writes an object, unless the repository has it.
    pub(super) fn write(&self, object: ObjectRef, plain: &[u8]) -> Result<(), BackupError> {
        match &self.writer {
            Some(writer) => write(writer, &self.added_bytes, &self.stored_bytes, object, plain),
            None => Ok(()),
        }
    }

    /// Writes a content that names chunks, likewise.
    pub(super) fn write_after(
        &self,
        chunks: &[ObjectRef],
        content: ObjectRef,
        plain: &[u8],
    ) -> Result<(), BackupError> {
        if let Some(writer) = &self.writer {
            let stored = writer.write_after(chunks, content, plain)?;
            count(&self.added_bytes, &self.stored_bytes, plain, stored);
        }
        Ok(())
    }

    /// Stores a chunk of a hole, which is named and written only once.
    pub(super) fn store_hole(&self, zeros: &[u8]) -> Result<ObjectRef, BackupError> {
        if let Some(chunk) = self.hole.get() {
            return Ok(*chunk);
        }
        let chunk = self.repository.chunk_ref(zeros);
        self.write(chunk, zeros)?;
        Ok(*self.hole.get_or_init(|| chunk))
    }

    /// Whether the backup has failed or was cancelled.
    pub(super) fn must_stop(&self) -> bool {
        self.failed.load(Ordering::Relaxed) || self.cancel.is_cancelled()
    }

    /// Counts bytes that were read.
    pub(super) fn add_read(&self, bytes: u64) {
        self.read_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Remembers the content of a file with several names, for the others.
    pub(super) fn note_content(&self, first: &str, content: StoredContent) {
        self.lock().links.note_content(first, content);
    }

    /// Records warnings.
    pub(super) fn warn_all(&self, warnings: Vec<Warning>) {
        if warnings.is_empty() {
            return;
        }
        let mut shared = self.lock();
        for warning in warnings {
            self.progress.warning(&warning);
            shared.warnings.push(warning);
        }
    }

    pub(super) fn fail(&self, failure: BackupError) {
        self.failed.store(true, Ordering::Relaxed);
        self.lock().failure.get_or_insert(failure);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    pub(super) fn counts(&mut self, entry: &Entry) -> &mut super::Counts {
        match entry.entry_type {
            EntryType::Folder => &mut self.report.folders,
            EntryType::File => &mut self.report.files,
        }
    }

    /// Keeps the records of a folder for the cache.
    pub(super) fn record(&mut self, folder: &FolderRecords, records: &[CachedEntry]) {
        let part = if folder.hard_links { Part::HardLinks } else { Part::Entries };
        let Some(update) = &mut self.update else { return };
        if let Err(problem) = update.put(&folder.file_id, part, records) {
            tracing::warn!(%problem, "the stat cache cannot be written; the next backup compares with the snapshot");
            self.update = None;
        }
    }
}

fn write(
    writer: &ObjectWriter,
    added: &AtomicU64,
    stored: &AtomicU64,
    object: ObjectRef,
    plain: &[u8],
) -> Result<(), BackupError> {
    count(added, stored, plain, writer.write(object, plain)?);
    Ok(())
}

fn count(added: &AtomicU64, stored: &AtomicU64, plain: &[u8], what: Stored) {
    if let Stored::Now(size) = what {
        added.fetch_add(plain.len() as u64, Ordering::Relaxed);
        stored.fetch_add(size, Ordering::Relaxed);
    }
}

pub(super) fn cached(entry: Entry, filemeta: Hash, content: Option<Hash>, proves: Proves) -> CachedEntry {
    CachedEntry { name: entry.name, stat: entry.stat, hardlink: entry.hardlink, filemeta, content, proves }
}
