//! A file whose list of chunks was read, for reading any part of it.
//!
//! The list does not say how long a chunk is (format, section 5), so where one begins is known only once all before it,
//! or all behind it, were read. What was learnt is kept: each chunk is read for its length at most once, and from the end
//! of the file that is nearer.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::object::{Content, FileMeta, Hash, Hasher, ObjectKind, ObjectRef};
use crate::repository::ReadError;
use crate::tree::{ReadObjects, read_json};
use crate::view::QueryError;

/// Chunks that are kept for the next read of their neighbourhood.
const KEPT: usize = 2;

/// A file of a snapshot. Cheap to keep: 40 bytes a chunk, and the chunks that were read last.
#[derive(Debug)]
pub struct OpenFile {
    /// What is named if something is wrong.
    content: ObjectRef,
    size: u64,
    /// The hash of all bytes.
    expected: Option<Hash>,
    data: Data,
    known: Mutex<Known>,
}

#[derive(Debug)]
enum Data {
    /// Proven by the hash.
    Inline(Bytes),
    Chunks(Vec<ObjectRef>),
}

/// Where chunks lie, as far as it is known.
#[derive(Debug, Default)]
struct Known {
    /// Where the first chunks end.
    ends: Vec<u64>,
    /// Where the last chunks begin, the last one first.
    starts: Vec<u64>,
    /// The chunks read last.
    recent: Vec<(ObjectRef, Bytes)>,
}

type Sink<'a> = dyn FnMut(Bytes) -> Result<(), QueryError> + 'a;

impl OpenFile {
    /// Reads the list of a file.
    pub(super) fn new(objects: &dyn ReadObjects, reference: ObjectRef, meta: &FileMeta) -> Result<Self, ReadError> {
        let expected: Option<Hash> = meta.content_hash.parse().ok();
        let known = Mutex::default();
        let Some(content) = meta.content().filter(|_| expected.is_some()) else {
            if meta.size > 0 {
                return Err(damaged(reference, "it has no content, but a size".to_owned()));
            }
            return Ok(Self { content: reference, size: 0, expected: None, data: Data::Inline(Bytes::new()), known });
        };
        let mut list: Content = read_json(objects, &content)?;
        let inline = list.inline_data().map_err(|why| damaged(content, format!("its data are not base64: {why}")))?;
        let chunks = std::mem::take(&mut list.chunks);
        if let Some(other) = chunks.iter().find(|chunk| chunk.kind != ObjectKind::Chunk) {
            return Err(damaged(content, format!("{other} is in the place of a chunk")));
        }
        let data = match (chunks.is_empty(), inline.is_empty()) {
            (true, _) => {
                let found = Hash::of(&inline);
                if expected != Some(found) || inline.len() as u64 != meta.size {
                    return Err(wrong_data(content, found, expected));
                }
                Data::Inline(inline.into())
            }
            (false, true) => Data::Chunks(chunks),
            (false, false) => return Err(damaged(content, "it has both chunks and data".to_owned())),
        };
        Ok(Self { content, size: meta.size, expected, data, known })
    }

    /// Its size in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Frees the data that were read last; where chunks lie stays known.
    pub fn forget_data(&self) {
        self.known().recent = Vec::new();
    }

    /// Gives bytes from `offset` on, `length` of them or all up to the end. A whole file is held against its hash at
    /// the end; of a part, each chunk is proven by its name.
    ///
    /// # Errors
    /// What cannot be read, and what `sink` returns.
    pub fn read(
        &self,
        objects: &dyn ReadObjects,
        offset: u64,
        length: Option<u64>,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let start = offset.min(self.size);
        let end = length.map_or(self.size, |length| start.saturating_add(length).min(self.size));
        match &self.data {
            Data::Inline(data) => sink(data.slice(start as usize..end as usize)),
            Data::Chunks(chunks) if start == 0 && end == self.size => self.whole(objects, chunks, sink),
            Data::Chunks(_) if start == end => Ok(()),
            Data::Chunks(chunks) => self.part(objects, chunks, start..end, sink),
        }
    }

    fn whole(&self, objects: &dyn ReadObjects, chunks: &[ObjectRef], sink: &mut Sink<'_>) -> Result<(), QueryError> {
        let mut hasher = Hasher::new();
        let mut seen = 0;
        for (at, chunk) in chunks.iter().enumerate() {
            let data = self.chunk(objects, chunk)?;
            seen += data.len() as u64;
            if seen > self.size {
                return Err(self.too_long().into());
            }
            self.known().learn_end(at, seen);
            hasher.update(&data);
            sink(data)?;
        }
        let found = hasher.finish();
        if seen != self.size || self.expected != Some(found) {
            return Err(wrong_data(self.content, found, self.expected).into());
        }
        Ok(())
    }

    fn part(
        &self,
        objects: &dyn ReadObjects,
        chunks: &[ObjectRef],
        range: Range<u64>,
        sink: &mut Sink<'_>,
    ) -> Result<(), QueryError> {
        let (mut at, mut start) = self.locate(objects, chunks, range.start)?;
        while start < range.end {
            let Some(chunk) = chunks.get(at) else { return Err(self.too_short(start).into()) };
            let data = self.chunk(objects, chunk)?;
            let end = start + data.len() as u64;
            if end > self.size {
                return Err(self.too_long().into());
            }
            self.known().learn_end(at, end);
            let from = range.start.max(start) - start;
            let to = range.end.min(end) - start;
            sink(data.slice(from as usize..to as usize))?;
            (at, start) = (at + 1, end);
        }
        Ok(())
    }

    /// The chunk that has a byte of the file, and where it begins.
    fn locate(&self, objects: &dyn ReadObjects, chunks: &[ObjectRef], offset: u64) -> Result<(usize, u64), QueryError> {
        loop {
            let (front, front_end, back, back_start) = {
                let known = self.known();
                let (front, back) = (known.ends.len(), known.starts.len());
                let front_end = known.ends.last().copied().unwrap_or(0);
                let back_start = known.starts.last().copied().unwrap_or(self.size);
                if offset < front_end {
                    let at = known.ends.partition_point(|&end| end <= offset);
                    return Ok((at, if at == 0 { 0 } else { known.ends[at - 1] }));
                }
                if offset >= back_start {
                    let behind = known.starts.partition_point(|&start| start > offset);
                    return Ok((chunks.len() - 1 - behind, known.starts[behind]));
                }
                (front, front_end, back, back_start)
            };
            if front + back >= chunks.len() {
                return Err(self.too_short(front_end).into());
            }
            if offset - front_end <= back_start - offset {
                let end = front_end + self.chunk(objects, &chunks[front])?.len() as u64;
                if end > self.size {
                    return Err(self.too_long().into());
                }
                self.known().learn_end(front, end);
            } else {
                let length = self.chunk(objects, &chunks[chunks.len() - 1 - back])?.len() as u64;
                let start = back_start.checked_sub(length).ok_or_else(|| self.too_long())?;
                self.known().learn_start(back, start);
            }
        }
    }

    fn chunk(&self, objects: &dyn ReadObjects, chunk: &ObjectRef) -> Result<Bytes, ReadError> {
        if let Some((_, data)) = self.known().recent.iter().find(|(recent, _)| recent == chunk) {
            return Ok(data.clone());
        }
        let data = objects.read(chunk)?;
        if data.is_empty() {
            return Err(damaged(*chunk, "it is empty".to_owned()));
        }
        let mut known = self.known();
        if known.recent.len() >= KEPT {
            known.recent.remove(0);
        }
        known.recent.push((*chunk, data.clone()));
        Ok(data)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn too_long(&self) -> ReadError {
        damaged(self.content, "it has more data than its file is long".to_owned())
    }

    fn too_short(&self, seen: u64) -> ReadError {
        let lacking = self.size.saturating_sub(seen);
        damaged(self.content, format!("its chunks are not as long as its file: {lacking} bytes are missing"))
    }
}

impl Known {
    /// The chunk number `at` ends there. Others may have learnt it meanwhile.
    fn learn_end(&mut self, at: usize, end: u64) {
        if self.ends.len() == at {
            self.ends.push(end);
        }
    }

    /// The chunk number `at` from behind begins there.
    fn learn_start(&mut self, at: usize, start: u64) {
        if self.starts.len() == at {
            self.starts.push(start);
        }
    }
}

fn wrong_data(content: ObjectRef, found: Hash, expected: Option<Hash>) -> ReadError {
    let expected = expected.map_or_else(|| "a hash".to_owned(), |hash| hash.to_string());
    damaged(content, format!("its data have the hash {found}, not {expected}"))
}

fn damaged(object: ObjectRef, problem: String) -> ReadError {
    ReadError::Damaged { object, problem }
}
