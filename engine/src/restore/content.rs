//! The bytes of a file, and the proof that they are the right ones.
//!
//! Chunks are proven by their names; the list of them, the content object, is not (format, section 4). So the size is
//! watched at every piece, that a wrong list cannot fill the disk, and the hash of all data is what counts in the end.

use std::vec::IntoIter;

use bytes::Bytes;

use crate::object::{Content, Hash, Hasher, ObjectKind, ObjectRef};
use crate::repository::ReadError;
use crate::tree::{ReadObjects, Tree, TreeEntry, read_json};

/// The pieces of a file, in order.
pub(super) struct Pieces<'a> {
    objects: &'a dyn ReadObjects,
    content: ObjectRef,
    chunks: IntoIter<ObjectRef>,
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
        Ok(Self { objects, content, chunks, inline, last: None, left: size })
    }

    /// The next piece; `None` after the last, when there were as many bytes as there should be.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        let piece = match self.chunks.next() {
            Some(chunk) => Some(self.chunk(chunk)?),
            None => self.inline.take(),
        };
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

    fn chunk(&mut self, chunk: ObjectRef) -> Result<Bytes, ReadError> {
        if let Some((last, bytes)) = &self.last
            && *last == chunk
        {
            return Ok(bytes.clone());
        }
        if chunk.kind != ObjectKind::Chunk {
            return Err(damaged(self.content, format!("{chunk} is in the place of a chunk")));
        }
        let bytes = self.objects.read(&chunk)?;
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
