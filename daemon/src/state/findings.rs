//! Everything that jobs found, a file for each job, in the folder `findings`: whatever there is no room for in a report.
//!
//! A file goes with its job. It has messages of the API one after the other, each behind its length, and at last one that
//! says that this was all; without that one, the daemon was killed while it was written. They may be long and are worth
//! less than what the jobs did, so the room for them is bounded, and a file that cannot be written ends no job.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cloudstic_proto::{MAX_MESSAGE_BYTES, v1};
use prost::Message;
use v1::finding::Finding;

use crate::supervisor::JobId;

/// Bytes that the files of ended jobs may have together. One may have half of it, so that it has room when it ends.
const ROOM: u64 = 512 << 20;
/// A file that is not larger is not worth removing.
const SMALL: u64 = 4096;
/// How many findings are given at once, and about how many bytes.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 1 << 20;

/// The folder.
#[derive(Debug)]
pub struct FindingsFolder {
    path: PathBuf,
    room: u64,
    /// Those that are being written.
    open: Mutex<BTreeSet<JobId>>,
}

impl FindingsFolder {
    /// The one in a daemon's own folder. It is made when there is something to put into it.
    pub fn new(state_dir: &Path) -> Self {
        Self::with_room(state_dir, ROOM)
    }

    pub(super) fn with_room(state_dir: &Path, room: u64) -> Self {
        Self { path: state_dir.join("findings"), room, open: Mutex::default() }
    }

    /// Where a job can put what it finds.
    pub fn log(self: &Arc<Self>, id: JobId) -> FindingsLog {
        FindingsLog { folder: Arc::clone(self), id, file: Mutex::new(LogFile::None) }
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
        for (path, id, _) in self.files() {
            if id.is_none_or(|id| !known.contains(&id)) {
                remove(&path);
            }
        }
    }

    /// Removes what a job found. Blocks.
    pub(super) fn remove(&self, id: JobId) {
        remove(&self.file(id));
    }

    /// Removes what the oldest jobs found, until the others have room. Blocks.
    fn make_room(&self) {
        let open = self.open().clone();
        let mut ended: Vec<(JobId, u64)> = self.files().filter_map(|(_, id, size)| Some((id?, size))).collect();
        ended.retain(|(id, size)| !open.contains(id) && *size > SMALL);
        ended.sort_unstable();
        let mut taken = 0;
        for (id, size) in ended.into_iter().rev() {
            taken += size;
            if taken > self.room
                && let Err(error) = self.forget(id)
            {
                tracing::warn!(job = %id, %error, "what an old job found cannot be removed");
            }
        }
    }

    /// Puts a word in the place of a list. Whoever reads the list goes on with it.
    fn forget(&self, id: JobId) -> io::Result<()> {
        let new = self.path.join(format!("{id}.new"));
        let mut file = create(&new)?;
        file.write_all(&record(&end("it was removed to make room for what later jobs found"))?)?;
        fs::rename(&new, self.file(id))
    }

    fn file(&self, id: JobId) -> PathBuf {
        self.path.join(id.to_string())
    }

    /// All files, the jobs that they are of, and their sizes.
    fn files(&self) -> impl Iterator<Item = (PathBuf, Option<JobId>, u64)> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        entries.map(|entry| {
            let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
            (entry.path(), id, entry.metadata().map_or(0, |metadata| metadata.len()))
        })
    }

    fn open(&self) -> MutexGuard<'_, BTreeSet<JobId>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "what an old job found cannot be removed");
        }
        _ => {}
    }
}

/// It tells the names of files that others may not be allowed to see.
fn create(path: &Path) -> io::Result<File> {
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// As it lies in a file.
fn record(finding: &v1::Finding) -> io::Result<Vec<u8>> {
    let length = finding.encoded_len();
    if length > MAX_MESSAGE_BYTES / 2 {
        return Err(io::Error::new(ErrorKind::InvalidData, "a finding is too long"));
    }
    let mut bytes = Vec::with_capacity(4 + length);
    bytes.extend((length as u32).to_le_bytes());
    bytes.extend(finding.encode_to_vec());
    Ok(bytes)
}

fn end(missing: &str) -> v1::Finding {
    v1::Finding { finding: Some(Finding::End(v1::FindingsEnd { missing: missing.to_owned() })) }
}

/// What one job finds. The engine's threads call in here.
#[derive(Debug)]
pub struct FindingsLog {
    folder: Arc<FindingsFolder>,
    id: JobId,
    file: Mutex<LogFile>,
}

#[derive(Debug)]
enum LogFile {
    /// Nothing was found yet.
    None,
    Open {
        file: BufWriter<File>,
        size: u64,
    },
    /// It could not be written, or became too long.
    Failed {
        file: Option<BufWriter<File>>,
        why: String,
        left_out: u64,
    },
    Closed,
}

impl FindingsLog {
    /// Adds something.
    pub fn add(&self, finding: &v1::Finding) {
        let mut file = self.file();
        let why = match &mut *file {
            LogFile::None => match self.begin() {
                Ok(begun) => {
                    *file = LogFile::Open { file: begun, size: 0 };
                    drop(file);
                    return self.add(finding);
                }
                Err(error) => error.to_string(),
            },
            LogFile::Open { file, size } => match record(finding) {
                Ok(record) if *size + record.len() as u64 > self.folder.room / 2 => {
                    format!("it has {} MiB, which is the most", self.folder.room >> 21)
                }
                Ok(record) => match file.write_all(&record) {
                    Ok(()) => {
                        *size += record.len() as u64;
                        return;
                    }
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            },
            LogFile::Failed { left_out, .. } => {
                *left_out += 1;
                return;
            }
            LogFile::Closed => return,
        };
        let written = match std::mem::replace(&mut *file, LogFile::Closed) {
            LogFile::Open { file, .. } => Some(file),
            _ => None,
        };
        *file = LogFile::Failed { file: written, why, left_out: 1 };
    }

    fn begin(&self) -> io::Result<BufWriter<File>> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder.path)?;
        let file = create(&self.folder.file(self.id))?;
        self.folder.open().insert(self.id);
        Ok(BufWriter::new(file))
    }

    /// Lets those who read see what was added so far. Blocks.
    pub fn flush(&self) {
        if let LogFile::Open { file, .. } = &mut *self.file() {
            // It is tried again at the end, and told then.
            let _ = file.flush();
        }
    }

    /// Nothing more will be found; gives what the list lacks, and why. Blocks until it is on the disk.
    pub fn close(&self) -> Option<String> {
        let (file, missing) = match std::mem::replace(&mut *self.file(), LogFile::Closed) {
            LogFile::None | LogFile::Closed => return None,
            LogFile::Open { file, .. } => (Some(file), None),
            LogFile::Failed { file, why, left_out } => {
                (file, Some(format!("{left_out} more could not be kept: {why}")))
            }
        };
        let ended = file.map(|mut file| {
            file.write_all(&record(&end(missing.as_deref().unwrap_or_default()))?)?;
            file.flush()?;
            file.get_ref().sync_all()
        });
        self.folder.open().remove(&self.id);
        self.folder.make_room();
        missing.or_else(|| Some(ended?.err()?.to_string()))
    }

    fn file(&self) -> MutexGuard<'_, LogFile> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
