//! The 32 slots of a root, in memory while they are small and in an unnamed temporary file beyond that.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use super::SLOTS;
use crate::object::{Hash, LeafEntry, ObjectKind, ObjectRef};

/// What is kept in memory before it is written out, in bytes.
const BUFFERED_MAX: usize = 8 << 20;

#[derive(Default)]
pub(super) struct Buckets {
    buffers: [Vec<u8>; SLOTS],
    buffered: usize,
    spilled: Option<Spilled>,
    count: usize,
}

/// A record: path key (32 bytes), filemeta hash (32), length of the fileId (u32), fileId.
const FIXED: usize = 68;

struct Spilled {
    file: File,
    length: u64,
    /// Offset and length of each bucket's pieces.
    pieces: [Vec<(u64, usize)>; SLOTS],
}

impl Buckets {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn add(&mut self, bucket: usize, file_id: &str, path_key: &Hash, filemeta: &Hash) -> io::Result<()> {
        let length = u32::try_from(file_id.len()).map_err(|_| io::Error::other("a fileId of more than 4 GiB"))?;
        let buffer = &mut self.buffers[bucket];
        buffer.extend_from_slice(path_key.as_bytes());
        buffer.extend_from_slice(filemeta.as_bytes());
        buffer.extend_from_slice(&length.to_le_bytes());
        buffer.extend_from_slice(file_id.as_bytes());
        self.count += 1;
        self.buffered += FIXED + file_id.len();
        if self.buffered > BUFFERED_MAX { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> io::Result<()> {
        let spilled = match &mut self.spilled {
            Some(spilled) => spilled,
            none => none.insert(Spilled { file: tempfile::tempfile()?, length: 0, pieces: Default::default() }),
        };
        for (buffer, pieces) in self.buffers.iter_mut().zip(&mut spilled.pieces) {
            if !buffer.is_empty() {
                spilled.file.write_all(buffer)?;
                pieces.push((spilled.length, buffer.len()));
                spilled.length += buffer.len() as u64;
                buffer.clear();
            }
        }
        self.buffered = 0;
        Ok(())
    }

    /// Ends the collecting: from now on buckets are only loaded.
    pub(super) fn seal(self) -> io::Result<SealedBuckets> {
        Ok(SealedBuckets(self))
    }
}

pub(super) struct SealedBuckets(Buckets);

impl SealedBuckets {
    pub(super) fn len(&self) -> usize {
        self.0.count
    }

    /// The entries of a bucket, in no particular order.
    pub(super) fn load(&self, bucket: usize) -> io::Result<Vec<LeafEntry>> {
        let mut entries = Vec::new();
        if let Some(spilled) = &self.0.spilled {
            for &(offset, length) in &spilled.pieces[bucket] {
                let mut piece = vec![0; length];
                spilled.file.read_exact_at(&mut piece, offset)?;
                decode(&piece, &mut entries)?;
            }
        }
        decode(&self.0.buffers[bucket], &mut entries)?;
        Ok(entries)
    }
}

fn decode(mut records: &[u8], entries: &mut Vec<LeafEntry>) -> io::Result<()> {
    let cut = || io::Error::other("the temporary file of the tree is damaged");
    while !records.is_empty() {
        let (path_key, rest) = records.split_first_chunk::<32>().ok_or_else(cut)?;
        let (filemeta, rest) = rest.split_first_chunk::<32>().ok_or_else(cut)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(cut)?;
        entries.push(LeafEntry {
            key: String::from_utf8(key.to_vec()).map_err(|_| cut())?,
            path_key: Some(Hash::from_bytes(*path_key)),
            filemeta: ObjectRef::new(ObjectKind::Filemeta, Hash::from_bytes(*filemeta)),
        });
        records = rest;
    }
    Ok(())
}
