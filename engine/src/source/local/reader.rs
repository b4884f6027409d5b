//! The bytes of one file.

use std::fs::File;
use std::io::{self, Read};

use rustix::fs::Advice;

use super::stat::look_at_open;
use super::{FileReader, Stat};

/// From this size on, in bytes, telling the system that all of the file will be read is worth a system call.
const WORTH_ADVICE: u64 = 256 * 1024;

/// A regular file, open for reading.
pub(super) struct LocalReader {
    file: File,
    /// As the walk saw it.
    stat: Stat,
}

impl LocalReader {
    pub(super) fn new(file: File, stat: Stat) -> Self {
        if stat.size >= WORTH_ADVICE {
            // Only a hint: without it, the file is read all the same.
            let _ = rustix::fs::fadvise(&file, 0, None, Advice::Sequential);
        }
        Self { file, stat }
    }
}

impl Read for LocalReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl FileReader for LocalReader {
    fn unchanged(&mut self) -> bool {
        let key = |stat: &Stat| (stat.inode, stat.size, stat.mtime, stat.ctime);
        look_at_open(&self.file).is_ok_and(|(now, _)| key(&now) == key(&self.stat))
    }
}
