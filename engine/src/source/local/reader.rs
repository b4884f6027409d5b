//! The bytes of one file, holes left out.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use rustix::fs::{Advice, SeekFrom};
use rustix::io::Errno;

use super::stat::look_at_open;
use super::{FileReader, Stat};
use crate::sparse::{ReadRuns, Run};

/// From this size on, in bytes, telling the system that all of the file will be read is worth a system call.
const WORTH_ADVICE: u64 = 256 * 1024;

/// A regular file, open for reading.
pub(super) struct LocalReader {
    file: File,
    /// As the walk saw it.
    stat: Stat,
    at: u64,
    may_have_holes: bool,
}

impl LocalReader {
    pub(super) fn new(file: File, stat: Stat) -> Self {
        if stat.size >= WORTH_ADVICE {
            // Only a hint: without it, the file is read all the same.
            let _ = rustix::fs::fadvise(&file, 0, None, Advice::Sequential);
        }
        Self { file, stat, at: 0, may_have_holes: stat.blocks < stat.size.div_ceil(512) }
    }

    fn find_run(&self) -> Result<Run, Errno> {
        let data = match rustix::fs::seek(&self.file, SeekFrom::Data(self.at)) {
            // Nothing but a hole up to the end, wherever that is now.
            Err(Errno::NXIO) => (rustix::fs::fstat(&self.file)?.st_size as u64).max(self.at),
            data => data?,
        };
        if data > self.at {
            return Ok(Run::Hole(data - self.at));
        }
        let end = match rustix::fs::seek(&self.file, SeekFrom::Hole(self.at)) {
            Err(Errno::NXIO) => self.at,
            end => end?,
        };
        Ok(Run::Data(if end > self.at { end - self.at } else { u64::MAX }))
    }
}

impl Read for LocalReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl ReadRuns for LocalReader {
    fn next_run(&mut self) -> io::Result<Run> {
        if !self.may_have_holes {
            return Ok(Run::Data(u64::MAX));
        }
        // Not every file system tells; then the zeros are read.
        let run = self.find_run().unwrap_or(Run::Data(u64::MAX));
        if let Run::Hole(length) = run {
            self.at += length;
        }
        Ok(run)
    }
}

impl FileReader for LocalReader {
    fn unchanged(&mut self) -> bool {
        let key = |stat: &Stat| (stat.inode, stat.size, stat.mtime, stat.ctime);
        look_at_open(&self.file).is_ok_and(|(now, _)| key(&now) == key(&self.stat))
    }
}
