//! The threads of a backup: one walks and compares, the others store what is new or changed.
//!
//! Memory is bounded: a fixed number of entries and of bytes of chunks may wait, and what else grows with the tree (its
//! entries, the stat records) waits in temporary files.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};

use crossbeam_channel::{Receiver, Sender};
use tokio_util::sync::CancellationToken;

use super::compare::{Known, Previous};
use super::entry::{self, StoredEntry};
use super::file::ChunkQueue;
use super::folder::FolderRecords;
use super::links::Links;
use super::run::{EntryTask, Outcome, Run, Shared, cached};
use super::{BackupError, BackupReport, BackupRequest, is_settled};
use crate::cache::{CacheUpdate, CachedEntry, Proves, SourceKey};
use crate::hamt::TreeBuilder;
use crate::object::EntryType;
use crate::progress::Progress;
use crate::repository::{ObjectWriter, Repository};
use crate::source::{Entry, FileType, Listing};
use crate::warnings::Warnings;

/// Entries that may wait for a worker.
const ENTRIES_WAITING: usize = 1024;

/// A backup that is about to run.
pub(super) struct Pipeline {
    run: Run,
    previous: Previous,
    threads: usize,
}

impl Pipeline {
    pub(super) fn new(
        repository: &Arc<Repository>,
        request: &BackupRequest,
        previous: Previous,
        writer: Option<ObjectWriter>,
        key: SourceKey,
        progress: Arc<dyn Progress>,
        cancel: CancellationToken,
    ) -> Result<Self, BackupError> {
        let update = match (&request.cache, request.dry_run) {
            (Some(_), false) => Some(CacheUpdate::new(key)?),
            _ => None,
        };
        let shared = Shared {
            tree: TreeBuilder::new(),
            report: BackupReport::default(),
            warnings: Warnings::default(),
            update,
            links: Links::default(),
            stale_links: HashSet::new(),
            failure: None,
        };
        let run = Run {
            repository: Arc::clone(repository),
            source: Arc::clone(&request.source),
            chunker: repository.chunker(),
            progress,
            cancel,
            clock: Arc::clone(&request.clock),
            writer,
            failed: AtomicBool::new(false),
            added_bytes: AtomicU64::new(0),
            stored_bytes: AtomicU64::new(0),
            read_bytes: AtomicU64::new(0),
            hole: OnceLock::new(),
            shared: Mutex::new(shared),
        };
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Self { run, previous, threads })
    }

    /// Walks and stores; blocking.
    pub(super) fn run(self) -> Result<Outcome, BackupError> {
        let Self { run, previous, threads } = self;
        if let Err(failure) = run.store_everything(&previous, threads) {
            if let Some(writer) = &run.writer {
                writer.settle();
            }
            return Err(failure);
        }
        run.finish(&previous, threads)
    }
}

impl Run {
    fn store_everything(&self, previous: &Previous, threads: usize) -> Result<(), BackupError> {
        self.with_workers(threads, |entries| self.walk(previous, entries))?;
        let promoted = self.lock().links.promote();
        self.store_all(threads, promoted)?;
        let others = self.lock().links.take_others();
        self.store_all(threads, others)?;
        self.forget_stale_links();
        Ok(())
    }

    /// Runs `produce` here while workers take what it sends, and waits until all of that is stored.
    fn with_workers(
        &self,
        threads: usize,
        produce: impl FnOnce(&Sender<EntryTask>) -> Result<(), BackupError>,
    ) -> Result<(), BackupError> {
        let (entry_sender, entries) = crossbeam_channel::bounded(ENTRIES_WAITING);
        let (chunk_sender, chunks) = crossbeam_channel::unbounded();
        let waiting = Arc::default();
        let produced = std::thread::scope(|scope| {
            for _ in 0..threads {
                let (sender, receiver) = (chunk_sender.clone(), chunks.clone());
                let queue = ChunkQueue { sender: Some(sender), receiver, waiting: Arc::clone(&waiting) };
                let entries = entries.clone();
                scope.spawn(move || self.work(&entries, queue));
            }
            drop((chunk_sender, chunks, entries));
            let produced = produce(&entry_sender);
            drop(entry_sender);
            produced
        });
        match self.lock().failure.take() {
            Some(failure) => Err(failure),
            None if self.cancel.is_cancelled() => Err(BackupError::Cancelled),
            None => produced,
        }
    }

    fn walk(&self, previous: &Previous, entries: &Sender<EntryTask>) -> Result<(), BackupError> {
        let (mut expected_files, mut expected_bytes) = (0, 0);
        let (files, folders, bytes) = previous.totals();
        self.progress.expect(files + folders, bytes);
        self.source.walk(&mut |listing| {
            for entry in listing.entries.iter().filter(|entry| entry.has_content()) {
                expected_bytes += entry.stat.size;
            }
            expected_files += listing.entries.len() as u64;
            // Until the walk has seen more than there was the last time, that is the better guess.
            self.progress.expect(expected_files.max(files + folders), expected_bytes.max(bytes));
            self.take_listing(listing, previous, entries);
            if self.must_stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        self.progress.expect(expected_files, expected_bytes);
        Ok(())
    }

    /// Compares the entries of one folder with what is known of them, and gives what has to be stored to the workers.
    fn take_listing(&self, listing: Listing, previous: &Previous, entries: &Sender<EntryTask>) {
        let Listing { folder, entries: listed, hard_links, warnings } = listing;
        self.warn_all(warnings);
        let known_entries = previous.folder(&folder);
        self.forget_removed(&folder, known_entries.cached(), &listed, hard_links);
        let known: Vec<Known> = listed.iter().map(|entry| known_entries.entry(entry)).collect();
        let unchanged = |known: &Known| matches!(known, Known::Unchanged(_));
        if known.iter().all(unchanged) && self.is_recorded(known_entries.cached(), &listed, hard_links) {
            for (entry, known) in listed.iter().zip(&known) {
                if let Known::Unchanged(filemeta) = known {
                    self.keep(entry, *filemeta);
                }
            }
            return;
        }
        let records = Arc::new(FolderRecords::new(folder, hard_links, listed.len()));
        if listed.is_empty() {
            self.lock().record(&records, &[]);
        }
        for (entry, known) in listed.into_iter().zip(known) {
            let folder = Arc::clone(&records);
            if let Known::Unchanged(filemeta) = known {
                self.keep(&entry, filemeta);
                self.complete(&folder, known_entries.record(&entry));
            } else if entry.hardlink.is_some() {
                self.lock().links.defer(EntryTask { entry, known, folder });
            } else if entries.send(EntryTask { entry, known, folder }).is_err() {
                return;
            }
        }
    }

    /// Whether the cache has just these entries for this part of the folder, so that its records may stay.
    fn is_recorded(&self, cached: &[CachedEntry], listed: &[Entry], hard_links: bool) -> bool {
        cached.iter().filter(|known| known.has_several_names() == hard_links).count() == listed.len()
    }

    /// Notes what the cache has of a folder and the walk has not.
    fn forget_removed(&self, folder: &str, cached: &[CachedEntry], listed: &[Entry], hard_links: bool) {
        if hard_links {
            self.lock().stale_links.remove(folder);
            return;
        }
        if cached.iter().any(CachedEntry::has_several_names) {
            self.lock().stale_links.insert(folder.to_owned());
        }
        let is_listed = |name: &[u8]| {
            let found = listed.binary_search_by(|entry| entry.name.as_slice().cmp(name));
            found.is_ok_and(|at| listed[at].entry_type == EntryType::Folder)
        };
        let removed = cached.iter().filter(|known| known.stat.file_type == FileType::Folder && !is_listed(&known.name));
        let mut shared = self.lock();
        let Some(update) = &mut shared.update else { return };
        for known in removed {
            let name = crate::object::file_id_component(&known.name);
            update.remove(&if folder.is_empty() { name.into_owned() } else { format!("{folder}/{name}") });
        }
    }

    fn forget_stale_links(&self) {
        let mut shared = self.lock();
        for file_id in std::mem::take(&mut shared.stale_links) {
            shared.record(&FolderRecords::new(file_id, true, 0), &[]);
        }
    }

    fn store_all(&self, threads: usize, tasks: Vec<EntryTask>) -> Result<(), BackupError> {
        if tasks.is_empty() {
            return Ok(());
        }
        self.with_workers(threads, |entries| {
            // Nobody takes them any more when the backup has failed, and then that is what is told.
            let _ = tasks.into_iter().all(|task| entries.send(task).is_ok());
            Ok(())
        })
    }

    /// Stores entries and chunks until there are no more. Chunks come first: they hold memory.
    fn work(&self, entries: &Receiver<EntryTask>, mut queue: ChunkQueue) {
        let mut window = Vec::new();
        loop {
            if let Ok(chunk) = queue.receiver.try_recv() {
                chunk.take_from(&queue).store(self);
                continue;
            }
            crossbeam_channel::select! {
                recv(queue.receiver) -> chunk => {
                    if let Ok(chunk) = chunk {
                        chunk.take_from(&queue).store(self);
                    }
                }
                recv(entries) -> task => match task {
                    Ok(task) => self.store_entry(&queue, task, &mut window),
                    Err(_) => break,
                },
            }
        }
        // Others may still cut large files; their chunks end when nobody can send any more.
        queue.sender = None;
        while let Ok(chunk) = queue.receiver.recv() {
            chunk.take_from(&queue).store(self);
        }
    }

    fn store_entry(&self, queue: &ChunkQueue, task: EntryTask, window: &mut Vec<u8>) {
        if self.must_stop() {
            return;
        }
        let EntryTask { entry, known, folder } = task;
        if self.writer.is_none() {
            return self.count_dry(&entry, &known);
        }
        // Before the first look: what changes after it has a later time, unless that is the same tick of the clock.
        let looked_at = self.clock.now();
        let first = entry.hardlink.as_ref().and_then(|first| self.lock().links.content_of(first));
        match entry::store(self, queue, entry, &known, first, window) {
            Ok(Some(stored)) => {
                let before = match known {
                    Known::Nothing => None,
                    Known::Unchanged(filemeta) | Known::Before { filemeta, .. } => Some(filemeta),
                };
                let StoredEntry { filemeta, content, entry, size, proves } = stored;
                self.add(&entry, filemeta, before, size);
                let proves = if is_settled(&entry.stat, looked_at) { proves } else { Proves::Nothing };
                self.complete(&folder, Some(cached(entry, filemeta, content, proves)));
            }
            Ok(None) => self.complete(&folder, None),
            Err(failure) => self.fail(failure),
        }
    }
}
