//! Everything that jobs found, a file for each job, in the folder `findings`: whatever there is no room for in a report.
//!
//! A file goes with its job. It has messages of the API one after the other, each behind its length, and at last one that
//! says that this was all; without that one, the daemon was killed while it was written. They may be long and are worth
//! less than what the jobs did, so the room for them is bounded, and a file that cannot be written ends no job. Above all
//! they never take the last room on their disk: there the daemon must still be able to store what becomes of its jobs.

mod log;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use cloudstic_proto::{MAX_MESSAGE_BYTES, v1};
use prost::Message;
use v1::finding::Finding;

pub use self::log::FindingsLog;
use crate::supervisor::JobId;

/// Bytes that the files of ended jobs may have together. One may have half of it, so that it has room when it ends.
const ROOM: u64 = 512 << 20;
/// A file that is not larger is not worth removing.
const SMALL: u64 = 4096;
/// Bytes that stay free on the disk, for everything that is worth more.
const FLOOR: u64 = 256 << 20;
/// How many findings are given at once, and about how many bytes.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 1 << 20;
/// The longest finding that is kept, in bytes: with a batch before it, it fits into a message.
const LONGEST: usize = MAX_MESSAGE_BYTES / 2;

/// The folder.
#[derive(Debug)]
pub struct FindingsFolder {
    path: PathBuf,
    room: u64,
    /// How many bytes are free on the disk of a folder.
    free: fn(&Path) -> io::Result<u64>,
    /// Those that are being written.
    open: Mutex<BTreeSet<JobId>>,
    /// Whoever removes or replaces a file has it.
    removing: Mutex<()>,
}

impl FindingsFolder {
    /// The one in a daemon's own folder. It is made when there is something to put into it.
    pub fn new(state_dir: &Path) -> Self {
        Self::with(state_dir, ROOM, free)
    }

    fn with(state_dir: &Path, room: u64, free: fn(&Path) -> io::Result<u64>) -> Self {
        let path = state_dir.join("findings");
        Self { path, room, free, open: Mutex::default(), removing: Mutex::default() }
    }

    /// Where a job can put what it finds.
    pub fn log(self: &Arc<Self>, id: JobId) -> FindingsLog {
        FindingsLog::new(Arc::clone(self), id)
    }

    /// What a job has found, up to now; `None` if nothing was kept. Blocks.
    pub fn read(&self, id: JobId) -> io::Result<Option<FindingsReader>> {
        match File::open(self.file(id)) {
            Ok(file) => Ok(Some(FindingsReader { file: Some(BufReader::new(file)), is_over: false })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes what jobs found that are not known any more. Blocks.
    pub(super) fn keep(&self, known: &BTreeSet<JobId>) {
        let _removing = self.removing();
        for (path, id, _) in self.files() {
            if id.is_none_or(|id| !known.contains(&id)) {
                remove(&path);
            }
        }
    }

    /// Removes what a job found. Blocks.
    pub(super) fn remove(&self, id: JobId) {
        let _removing = self.removing();
        remove(&self.file(id));
    }

    /// Removes what jobs found that ended before, the oldest first, until `newest`, which ends now, and the others have
    /// room. Blocks.
    fn make_room(&self, newest: JobId) {
        let _removing = self.removing();
        let open = self.open().clone();
        let mut ended: Vec<(bool, SystemTime, JobId, u64)> = Vec::new();
        for (_, id, metadata) in self.files() {
            let (Some(id), Some(metadata)) = (id, metadata) else { continue };
            if metadata.len() > SMALL && (id == newest || !open.contains(&id)) {
                // Nothing is written to a list after its end.
                let at = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                ended.push((id == newest, at, id, metadata.len()));
            }
        }
        ended.sort_unstable();
        let mut taken = 0;
        for (is_newest, _, id, size) in ended.into_iter().rev() {
            taken += size;
            if taken > self.room && !is_newest {
                self.forget(id);
            }
        }
    }

    /// Puts a word in the place of a list, or nothing if there is no room for a word. Whoever reads the list goes on with it.
    fn forget(&self, id: JobId) {
        let new = self.path.join(format!("{id}.new"));
        let replace = || {
            create(&new)?.write_all(&record(&end("it was removed to make room for what later jobs found")))?;
            fs::rename(&new, self.file(id))
        };
        if replace().is_err() {
            remove(&self.file(id));
            remove(&new);
        }
    }

    /// Why no more may be put on the disk.
    fn is_full(&self) -> Option<String> {
        match (self.free)(&self.path) {
            Ok(free) if free >= FLOOR => None,
            Ok(_) => Some(format!("less than {} MiB are free on the disk of the daemon's state", FLOOR >> 20)),
            Err(error) => Some(error.to_string()),
        }
    }

    fn file(&self, id: JobId) -> PathBuf {
        self.path.join(id.to_string())
    }

    /// All files, and the jobs that they are of.
    fn files(&self) -> impl Iterator<Item = (PathBuf, Option<JobId>, Option<fs::Metadata>)> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        entries.map(|entry| {
            let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
            (entry.path(), id, entry.metadata().ok())
        })
    }

    fn open(&self) -> MutexGuard<'_, BTreeSet<JobId>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn removing(&self) -> MutexGuard<'_, ()> {
        self.removing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            tracing::warn!(path = %path.display(), %error, "what an old job found cannot be removed");
        }
        _ => {}
    }
}

/// Bytes that are free on the disk of a folder.
fn free(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// It tells the names of files that others may not be allowed to see.
fn create(path: &Path) -> io::Result<File> {
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Whether there may be such a record.
fn fits(finding: &v1::Finding) -> bool {
    finding.encoded_len() <= LONGEST
}

/// As it lies in a file, if it fits.
fn record(finding: &v1::Finding) -> Vec<u8> {
    let length = finding.encoded_len();
    let mut bytes = Vec::with_capacity(4 + length);
    bytes.extend((length as u32).to_le_bytes());
    bytes.extend(finding.encode_to_vec());
    bytes
}

fn end(missing: &str) -> v1::Finding {
    v1::Finding { finding: Some(Finding::End(v1::FindingsEnd { missing: missing.to_owned() })) }
}

/// Reads what a job has found.
#[derive(Debug, Default)]
pub struct FindingsReader {
    file: Option<BufReader<File>>,
    /// Everything was given.
    is_over: bool,
}

impl FindingsReader {
    /// The next ones; at last one that says that it is the last one, for which `if_cut` is what is missing if the file does
    /// not say; and then nothing. Blocks.
    pub fn batch(&mut self, if_cut: &str) -> Vec<v1::Finding> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while !self.is_over && batch.len() < BATCH && bytes < BATCH_BYTES {
            let finding = match self.file.as_mut().map_or(Ok(None), next) {
                Ok(Some((finding, length))) => {
                    bytes += length;
                    finding
                }
                Ok(None) => end(if_cut),
                Err(error) => end(&format!("it cannot be read from here on: {error}")),
            };
            self.is_over = matches!(finding.finding, Some(Finding::End(_)));
            batch.push(finding);
        }
        batch
    }
}

/// `None` where the file ends, be it in the middle of a record.
fn next(file: &mut BufReader<File>) -> io::Result<Option<(v1::Finding, usize)>> {
    let (mut length, mut bytes) = ([0; 4], Vec::new());
    match file.read_exact(&mut length) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_MESSAGE_BYTES {
        return Err(io::Error::new(ErrorKind::InvalidData, "it makes no sense"));
    }
    file.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length {
        return Ok(None);
    }
    let finding = v1::Finding::decode(&*bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    Ok(Some((finding, length)))
}

#[cfg(test)]
mod tests;
