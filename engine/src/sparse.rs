//! Files with holes, read as runs: bytes that have to be read, and zeros that need not be.
//!
//! The one invariant: the runs in a row are the file, byte for byte. A reader that knows nothing of holes has one run.

use std::io::{self, Read};

/// What comes next in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// Something to read: so many bytes at most, never 0, before the next run has to be asked for. The file may end
    /// earlier.
    Data(u64),
    /// A hole of so many bytes, never 0, all of them zero. They are passed already: the next run comes after them.
    Hole(u64),
}

/// A reader that may know where its holes are.
pub trait ReadRuns: Read {
    /// What comes next. Who reads without asking gets holes as zeros.
    fn next_run(&mut self) -> io::Result<Run> {
        Ok(Run::Data(u64::MAX))
    }
}

impl<R: ReadRuns + ?Sized> ReadRuns for &mut R {
    fn next_run(&mut self) -> io::Result<Run> {
        (**self).next_run()
    }
}

impl ReadRuns for &[u8] {}
