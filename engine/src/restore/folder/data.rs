//! How the bytes of a file get into it, and how zeros do without being written.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate};

/// Blocks of zeros that become holes in a sparse file, in bytes.
const BLOCK: usize = 4096;
const ZEROS: [u8; BLOCK] = [0; BLOCK];
/// From this length on, zeros are cheaper to allocate than to write.
const ALLOCATE: usize = 64 << 10;

/// Leaves blocks of zeros out.
pub(super) fn write_sparse(file: &File, at: u64, piece: &[u8]) -> io::Result<()> {
    // The first block ends where the file's own first block boundary after `at` is.
    let first = (BLOCK - (at % BLOCK as u64) as usize).min(piece.len());
    let (head, tail) = piece.split_at(first);
    let mut from = 0;
    let mut end = 0;
    for block in std::iter::once(head).chain(tail.chunks(BLOCK)) {
        if is_zero(block) {
            file.write_all_at(&piece[from..end], at + from as u64)?;
            from = end + block.len();
        }
        end += block.len();
    }
    file.write_all_at(&piece[from..end], at + from as u64)
}

/// Gives every byte its room on the disk. For long zeros that is enough: what is allocated and was never written reads
/// as zeros. The file is a new one.
pub(super) fn write_dense(file: &File, at: u64, piece: &[u8]) -> io::Result<()> {
    let allocated = piece.len() >= ALLOCATE
        && is_zero(piece)
        && fallocate(file, FallocateFlags::empty(), at, piece.len() as u64).is_ok();
    // Not every file system can; and if there is no room, writing says so.
    if allocated { Ok(()) } else { file.write_all_at(piece, at) }
}

fn is_zero(piece: &[u8]) -> bool {
    piece.chunks(BLOCK).all(|block| block == &ZEROS[..block.len()])
}
