//! Threads that read the repository for those that write.
//!
//! Reading and writing are apart for two reasons: a large file is decoded ahead of the thread that hashes and writes it,
//! and the threads that write may have another user's rights, with which the repository could not, and a new thread of
//! the runtime must not, be reached. What they hold is bounded: a batch of small files or three pieces of a large one.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};

use super::content::{Pieces, Proof};
use super::gate::Gate;
use super::tally::Tally;
use crate::object::FileMeta;
use crate::repository::ReadError;
use crate::tree::{EntryId, ReadObjects, Tree, TreeEntry};

/// An entry with all that is needed to write it, or why there is not.
pub(super) struct Fed {
    pub(super) id: EntryId,
    pub(super) ready: Result<Ready, ReadError>,
}

pub(super) struct Ready {
    /// Where the tree does not say everything.
    pub(super) meta: Option<FileMeta>,
    pub(super) data: Data,
}

/// The bytes of a file.
pub(super) struct Data {
    /// The first of them; all, and proven, if there is no `rest`.
    pub(super) head: Vec<Bytes>,
    /// The others, to be proven by who takes them.
    pub(super) rest: Option<Receiver<Result<Bytes, ReadError>>>,
}

/// Pieces of a large file that wait for their writer.
const AHEAD: usize = 2;
/// A batch is full with so many bytes…
const BATCH_BYTES: usize = 1 << 20;
/// … or so many entries.
const BATCH_ENTRIES: usize = 64;

#[derive(Clone, Copy)]
pub(super) struct Feeder<'a> {
    pub(super) objects: &'a dyn ReadObjects,
    pub(super) tree: &'a Tree,
    pub(super) tally: &'a Tally<'a>,
    pub(super) gate: &'a Gate,
    /// Files up to so many bytes are read and proven as a whole first.
    pub(super) whole: u64,
    /// Of which entries the whole filemeta is needed.
    pub(super) needs_meta: fn(&TreeEntry<'_>) -> bool,
}

impl Feeder<'_> {
    /// Takes entries until there are no more, nobody takes them, or all has to stop. Entries are handed on in order if
    /// there is but one thread.
    pub(super) fn run(&self, entries: &[EntryId], next: &AtomicUsize, sender: &Sender<Vec<Fed>>) {
        loop {
            let from = next.fetch_add(BATCH_ENTRIES, Ordering::Relaxed);
            let Some(some) = entries.get(from..entries.len().min(from + BATCH_ENTRIES)) else { return };
            if some.is_empty() || self.feed(some, sender).is_err() {
                return;
            }
        }
    }

    fn feed(&self, entries: &[EntryId], sender: &Sender<Vec<Fed>>) -> Result<(), Gone> {
        let (mut batch, mut bytes) = (Vec::with_capacity(entries.len()), 0);
        for &id in entries {
            self.gate.wait();
            if self.tally.stopped() {
                return Err(Gone);
            }
            match self.read(id) {
                Ok((ready, None)) => {
                    bytes += ready.data.head.iter().map(Bytes::len).sum::<usize>();
                    batch.push(Fed { id, ready: Ok(ready) });
                }
                Ok((mut ready, Some(mut pieces))) => {
                    let (rest, receiver) = bounded(AHEAD);
                    ready.data.rest = Some(receiver);
                    batch.push(Fed { id, ready: Ok(ready) });
                    sender.send(std::mem::take(&mut batch)).map_err(|_| Gone)?;
                    bytes = 0;
                    self.stream(&mut pieces, &rest);
                }
                Err(why) => {
                    self.tally.unread(&why);
                    batch.push(Fed { id, ready: Err(why) });
                }
            }
            if bytes >= BATCH_BYTES {
                sender.send(std::mem::take(&mut batch)).map_err(|_| Gone)?;
                bytes = 0;
            }
        }
        if batch.is_empty() { Ok(()) } else { sender.send(batch).map_err(|_| Gone) }
    }

    /// Reads what is to be read before an entry is handed on; the pieces that are left, if it is large.
    fn read(&self, id: EntryId) -> Result<(Ready, Option<Pieces<'_>>), ReadError> {
        let entry = self.tree.get(id);
        let meta = if (self.needs_meta)(&entry) { Some(self.tree.read_filemeta(self.objects, id)?) } else { None };
        let mut ready = Ready { meta, data: Data { head: Vec::new(), rest: None } };
        let Some(mut proof) = Proof::new(self.tree, &entry) else { return Ok((ready, None)) };
        let mut pieces = Pieces::open(self.objects, proof.content(), entry.size)?;
        let mut bytes = 0;
        while let Some(piece) = pieces.next()? {
            bytes += piece.len() as u64;
            if entry.size <= self.whole {
                proof.update(&piece);
            }
            ready.data.head.push(piece);
            if entry.size > self.whole && bytes > self.whole {
                return Ok((ready, Some(pieces)));
            }
        }
        if entry.size > self.whole {
            ready.data.head.iter().for_each(|piece| proof.update(piece));
        }
        proof.finish()?;
        Ok((ready, None))
    }

    fn stream(&self, pieces: &mut Pieces<'_>, rest: &Sender<Result<Bytes, ReadError>>) {
        while !self.tally.stopped() {
            self.gate.wait();
            let piece = match pieces.next() {
                Ok(None) => return,
                Ok(Some(piece)) => Ok(piece),
                Err(why) => {
                    self.tally.unread(&why);
                    Err(why)
                }
            };
            let failed = piece.is_err();
            if rest.send(piece).is_err() || failed {
                return;
            }
        }
    }
}

/// Nobody takes what is read.
struct Gone;

/// Puts entries into the order in which their data lie.
pub(super) fn sort_physically(objects: &dyn ReadObjects, tree: &Tree, entries: &mut [EntryId]) {
    entries.sort_by_cached_key(|&id| {
        tree.content(id).map_or(0, |content| {
            let (pack, offset) = objects.locality(&content);
            // In 8 bytes, as there may be millions: packs have no more than 4 GiB.
            u64::from(pack) << 32 | offset.min(u32::MAX.into())
        })
    });
}
