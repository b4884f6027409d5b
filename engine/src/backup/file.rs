//! Storing the bytes of one file: inside its content object if it is small, else in chunks that several workers store.

use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};

use super::BackupError;
use super::run::Run;
use crate::chunker::{Chunk, Chunks};
use crate::object::{Content, Hash, Hasher, INLINE_MAX, ObjectRef, json};
use crate::source::FileReader;

/// What a file holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredContent {
    pub(super) content: ObjectRef,
    pub(super) hash: Hash,
    pub(super) size: u64,
}

/// Why a file's bytes are not stored.
pub(super) enum FileError {
    /// It cannot be read: the backup goes on without it.
    Unreadable(io::Error),
    /// The backup cannot go on.
    Fatal(BackupError),
}

/// A chunk that waits for a worker.
pub(super) struct ChunkTask {
    file: Arc<ChunkedFile>,
    index: usize,
    data: Bytes,
}

/// The chunks of one file on their way to the store.
#[derive(Default)]
struct ChunkedFile {
    state: Mutex<ChunkedState>,
    done: Condvar,
}

#[derive(Default)]
struct ChunkedState {
    chunks: Vec<Option<ObjectRef>>,
    awaited: usize,
    failure: Option<BackupError>,
}

/// Where chunks wait, and how many bytes of them may.
pub(super) struct ChunkQueue {
    /// `None` when this worker cuts no more files.
    pub(super) sender: Option<Sender<ChunkTask>>,
    pub(super) receiver: Receiver<ChunkTask>,
    pub(super) waiting: Arc<AtomicUsize>,
}

/// Bytes of chunks that may wait for a worker.
const WAITING_MAX: usize = 12 << 20;

/// Stores what a reader gives. `window` is scratch space.
pub(super) fn store(
    run: &Run,
    queue: &ChunkQueue,
    reader: &mut dyn FileReader,
    window: &mut Vec<u8>,
) -> Result<StoredContent, FileError> {
    window.clear();
    let read = (&mut *reader).take(INLINE_MAX + 1).read_to_end(window).map_err(FileError::Unreadable)?;
    if read as u64 <= INLINE_MAX {
        run.progress.advance(0, read as u64);
        return store_inline(run, window).map_err(FileError::Fatal);
    }
    store_chunked(run, queue, reader, window)
}

fn store_inline(run: &Run, data: &[u8]) -> Result<StoredContent, BackupError> {
    let hash = Hash::of(data);
    let content = run.repository.content_ref(&hash);
    run.write(content, &Content::encode_inline(data))?;
    Ok(StoredContent { content, hash, size: data.len() as u64 })
}

fn store_chunked(
    run: &Run,
    queue: &ChunkQueue,
    reader: &mut dyn FileReader,
    window: &mut Vec<u8>,
) -> Result<StoredContent, FileError> {
    let file = Arc::new(ChunkedFile::default());
    let (mut hasher, mut size) = (Hasher::new(), 0u64);
    let mut chunks = Chunks::new(&run.chunker, reader, std::mem::take(window));
    let read = loop {
        if run.must_stop() {
            break Err(FileError::Fatal(BackupError::Cancelled));
        }
        match chunks.next_chunk() {
            Ok(Some(chunk)) => {
                let length = chunk.bytes().len() as u64;
                size += length;
                hasher.update(chunk.bytes());
                run.progress.advance(0, length);
                match chunk {
                    Chunk::Data(data) => file.enqueue(run, queue, data),
                    Chunk::Hole(zeros) => match run.store_hole(zeros) {
                        Ok(chunk) => file.lock().chunks.push(Some(chunk)),
                        Err(failure) => break Err(FileError::Fatal(failure)),
                    },
                }
            }
            Ok(None) => break Ok(()),
            Err(cause) => break Err(FileError::Unreadable(cause)),
        }
    };
    *window = chunks.into_window();
    // Also after a failure: no worker may go on with chunks of a file that is given up.
    let stored = file.wait(run, queue);
    let chunks = stored.map_err(FileError::Fatal)?;
    read?;
    let hash = hasher.finish();
    let content = run.repository.content_ref(&hash);
    let described = Content::chunked(size, chunks);
    run.write_after(&described.chunks, content, &json::encode(&described)).map_err(FileError::Fatal)?;
    Ok(StoredContent { content, hash, size })
}

impl ChunkedFile {
    /// Leaves a chunk to whichever worker is free, or stores it here if too many are waiting.
    fn enqueue(self: &Arc<Self>, run: &Run, queue: &ChunkQueue, data: Bytes) {
        let index = {
            let mut state = self.lock();
            state.chunks.push(None);
            state.awaited += 1;
            state.chunks.len() - 1
        };
        let length = data.len();
        let task = ChunkTask { file: Arc::clone(self), index, data };
        if queue.waiting.fetch_add(length, Ordering::Relaxed) + length > WAITING_MAX {
            queue.waiting.fetch_sub(length, Ordering::Relaxed);
            return task.store(run);
        }
        let unsent = match &queue.sender {
            Some(sender) => sender.send(task).err().map(crossbeam_channel::SendError::into_inner),
            None => Some(task),
        };
        if let Some(task) = unsent {
            task.take_from(queue).store(run);
        }
    }

    /// Stores chunks of any file until all of this one are stored.
    fn wait(&self, run: &Run, queue: &ChunkQueue) -> Result<Vec<ObjectRef>, BackupError> {
        while self.lock().awaited > 0 {
            match queue.receiver.try_recv() {
                Ok(task) => task.take_from(queue).store(run),
                Err(_) => {
                    let waiting = self.done.wait_while(self.lock(), |state| state.awaited > 0);
                    drop(waiting.unwrap_or_else(PoisonError::into_inner));
                }
            }
        }
        let mut state = self.lock();
        match state.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(state.chunks.iter().copied().flatten().collect()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, ChunkedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChunkTask {
    /// Notes that the chunk does not wait any more.
    pub(super) fn take_from(self, queue: &ChunkQueue) -> Self {
        queue.waiting.fetch_sub(self.data.len(), Ordering::Relaxed);
        self
    }

    /// Stores the chunk and tells its file.
    pub(super) fn store(self, run: &Run) {
        let chunk = run.repository.chunk_ref(&self.data);
        let stored = if run.must_stop() { Err(BackupError::Cancelled) } else { run.write(chunk, &self.data) };
        let mut state = self.file.lock();
        match stored {
            Ok(()) => state.chunks[self.index] = Some(chunk),
            Err(failure) => state.failure = state.failure.take().or(Some(failure)),
        }
        state.awaited -= 1;
        if state.awaited == 0 {
            self.file.done.notify_all();
        }
    }
}
