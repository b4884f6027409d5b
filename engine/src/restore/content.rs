//! The bytes of a file, and the proof that they are the right ones.
//!
//! Chunks are proven by their names; the list of them, the content object, is not (format, section 4). So the size is
//! watched at every piece, that a wrong list cannot fill the disk, and the hash of all data is what counts in the end.

use std::collections::VecDeque;
use std::vec::IntoIter;

use bytes::Bytes;

use crate::object::{Content, Hash, Hasher, ObjectKind, ObjectRef};
use crate::repository::ReadError;
use crate::tree::{BegunRead, ReadObjects, Tree, TreeEntry, read_json};

/// Chunks of a file that are being read while another one is worked on: they are some 1 MiB each, and a long line holds
/// several of them.
const BEGUN: usize = 6;

/// The pieces of a file, in order.
pub(super) struct Pieces<'a> {
    objects: &'a dyn ReadObjects,
    content: ObjectRef,
    chunks: IntoIter<ObjectRef>,
    /// What comes before these; without a read where it is the same chunk again.
    begun: VecDeque<(ObjectRef, Option<BegunRead<'a>>)>,
    inline: Option<Bytes>,
    /// The chunk read last: a run of zeros is one chunk many times.
    last: Option<(ObjectRef, Bytes)>,
    left: u64,
}

impl<'a> Pieces<'a> {
    /// Reads the content object of a file that has one.
    pub(super) fn open(objects: &'a dyn ReadObjects, content: ObjectRef, size: u64) -> Result<Self, ReadError> {
        let mut list: Content = read_json(objects, &content)?;
        let inline = list.inline_data().map_err(|why| damaged(content, format!("its data are not base64: {why}")))?;
        let chunks = std::mem::take(&mut list.chunks).into_iter();
        let inline = (!inline.is_empty()).then(|| inline.into());
        let mut pieces = Self { objects, content, chunks, begun: VecDeque::new(), inline, last: None, left: size };
        pieces.begin();
        Ok(pieces)
    }

    /// The next piece; `None` after the last, when there were as many bytes as there should be.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        let piece = match self.begun.pop_front() {
            Some((chunk, begun)) => Some(self.chunk(chunk, begun)?),
            None => self.inline.take(),
        };
        self.begin();
        match &piece {
            Some(piece) => {
                let more = || damaged(self.content, "it has more data than its file is long".to_owned());
                self.left = self.left.checked_sub(piece.len() as u64).ok_or_else(more)?;
            }
            None if self.left > 0 => {
                return Err(damaged(self.content, format!("it lacks the last {} bytes of its file", self.left)));
            }
            None => {}
        }
        Ok(piece)
    }

    /// Begins to read what comes soon.
    fn begin(&mut self) {
        while self.begun.len() < BEGUN
            && let Some(chunk) = self.chunks.next()
        {
            let before = self.begun.back().map(|(before, _)| before).or(self.last.as_ref().map(|(last, _)| last));
            let is_new = before != Some(&chunk) && chunk.kind == ObjectKind::Chunk;
            self.begun.push_back((chunk, is_new.then(|| self.objects.begin(&chunk))));
        }
    }

    fn chunk(&mut self, chunk: ObjectRef, begun: Option<BegunRead<'_>>) -> Result<Bytes, ReadError> {
        if let Some((last, bytes)) = &self.last
            && *last == chunk
        {
            return Ok(bytes.clone());
        }
        if chunk.kind != ObjectKind::Chunk {
            return Err(damaged(self.content, format!("{chunk} is in the place of a chunk")));
        }
        let bytes = begun.map_or_else(|| self.objects.read(&chunk), |begun| begun())?;
        self.last = Some((chunk, bytes.clone()));
        Ok(bytes)
    }
}

/// Watches the bytes of a file go by.
pub(super) struct Proof {
    content: ObjectRef,
    expected: Hash,
    size: u64,
    hasher: Hasher,
    seen: u64,
}

impl Proof {
    pub(super) fn new(tree: &Tree, entry: &TreeEntry<'_>) -> Option<Self> {
        let (content, expected) = (tree.content(entry.id)?, *entry.content_hash?);
        Some(Self { content, expected, size: entry.size, hasher: Hasher::new(), seen: 0 })
    }

    /// The content object that is proven.
    pub(super) const fn content(&self) -> ObjectRef {
        self.content
    }

    pub(super) fn update(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
        self.seen += piece.len() as u64;
    }

    /// Whether these were all of the right bytes.
    pub(super) fn finish(self) -> Result<(), ReadError> {
        let found = self.hasher.finish();
        if found == self.expected && self.seen == self.size {
            return Ok(());
        }
        Err(damaged(self.content, format!("its data have the hash {found}, not {}", self.expected)))
    }
}

fn damaged(object: ObjectRef, problem: String) -> ReadError {
    ReadError::Damaged { object, problem }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::object::json;
    use crate::pack::Catalog;
    use crate::tree::NameContents;
    use crate::tree::memory::Memory;

    /// Notes what it is told that will be read.
    struct Noting {
        memory: Memory,
        begun: Mutex<Vec<ObjectRef>>,
    }

    impl ReadObjects for Noting {
        fn read(&self, object: &ObjectRef) -> Result<Bytes, ReadError> {
            self.memory.read(object)
        }

        fn begin<'a>(&'a self, object: &ObjectRef) -> BegunRead<'a> {
            self.begun.lock().unwrap().push(*object);
            let object = *object;
            Box::new(move || self.memory.read(&object))
        }

        fn locality(&self, object: &ObjectRef) -> (u32, u64) {
            self.memory.locality(object)
        }

        fn catalog(&self) -> Arc<Catalog> {
            self.memory.catalog()
        }

        fn name_contents(&self) -> Arc<dyn NameContents> {
            self.memory.name_contents()
        }
    }

    #[test]
    fn chunks_are_begun_in_order_and_ahead_and_a_run_of_one_only_once() {
        let mut memory = Memory::default();
        let mut put = |byte: u8| memory.put(ObjectKind::Chunk, vec![byte; 10]);
        let (zeros, others): (ObjectRef, Vec<_>) = (put(0), (1..=9).map(&mut put).collect());
        let chunks = [&others[..2], &[zeros; 20], &others[2..]].concat();
        let expected: Vec<u8> = [vec![1, 2], vec![0; 20], (3..=9).collect()].concat();
        let size = 10 * chunks.len() as u64;
        let content = memory.put(ObjectKind::Content, json::encode(&Content::chunked(size, chunks)));
        let objects = Noting { memory, begun: Mutex::default() };
        let mut pieces = Pieces::open(&objects, content, size).unwrap();
        let begun = || objects.begun.lock().unwrap().len();
        assert_eq!(begun(), 3, "two, and the zeros once");
        for (at, byte) in expected.iter().enumerate() {
            assert_eq!(pieces.next().unwrap().unwrap(), vec![*byte; 10], "{at}");
            assert!(at < 16 || begun() == (3 + at - 15).min(10), "{at}: {}", begun());
        }
        assert!(pieces.next().unwrap().is_none());
        let all = [&others[..2], &[zeros], &others[2..]].concat();
        assert_eq!(*objects.begun.lock().unwrap(), all);
    }
}
