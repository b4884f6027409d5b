//! Folders of a local store: listing, and making what happened in them durable.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::TEMPORARY;
use super::guard::GUARD_FILE;
use crate::store::ObjectStat;

/// Temporary files this old belong to no living writer.
const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 3600);
/// Entries handed on at once by a listing.
const BATCH: usize = 1000;

/// The folders below a root that have been written to.
#[derive(Debug)]
pub(super) struct Folders {
    root: PathBuf,
    known: Mutex<HashMap<PathBuf, Arc<Folder>>>,
}

impl Folders {
    /// None yet.
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, known: Mutex::default() }
    }

    /// The folder, made if it is not there, with its parents below the root; swept when it is first used. The root
    /// itself is not made.
    pub(super) fn open(&self, path: &Path) -> io::Result<Arc<Folder>> {
        if let Some(folder) = lock(&self.known).get(path) {
            return Ok(Arc::clone(folder));
        }
        self.make(path)?;
        sweep(path);
        let folder = Arc::new(Folder { path: path.to_owned(), flushes: Mutex::default(), flushed: Condvar::new() });
        Ok(Arc::clone(lock(&self.known).entry(path.to_owned()).or_insert(folder)))
    }

    /// Forgets a folder that turned out to be gone.
    pub(super) fn forget(&self, path: &Path) {
        lock(&self.known).remove(path);
    }

    fn make(&self, path: &Path) -> io::Result<()> {
        if path == self.root {
            return fs::metadata(path).map(drop);
        }
        match make_one(path) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => match path.parent() {
                Some(parent) => self.make(parent).and_then(|()| make_one(path)),
                None => Err(cause),
            },
            other => other,
        }
    }
}

/// A folder whose flushes are shared: any number of writers that wait at the same time wait for one `fsync`.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    flushes: Mutex<Flushes>,
    flushed: Condvar,
}

#[derive(Debug, Default)]
struct Flushes {
    /// How many have asked so far, and for how many of them the folder has been flushed.
    asked: u64,
    done: u64,
    running: bool,
}

impl Folder {
    /// Returns when everything done in this folder before the call is durable.
    pub(super) fn flush(&self) -> io::Result<()> {
        let mut flushes = lock(&self.flushes);
        flushes.asked += 1;
        let ticket = flushes.asked;
        while flushes.done < ticket {
            if flushes.running {
                flushes = self.flushed.wait(flushes).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            flushes.running = true;
            let goal = flushes.asked;
            drop(flushes);
            let result = File::open(&self.path).and_then(|folder| folder.sync_all());
            flushes = lock(&self.flushes);
            flushes.running = false;
            if result.is_ok() {
                flushes.done = flushes.done.max(goal);
            }
            self.flushed.notify_all();
            result?;
        }
        Ok(())
    }
}

/// Makes a folder with all its parents.
pub(super) fn make_all(path: &Path) -> io::Result<()> {
    match make_one(path) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => match path.parent() {
            Some(parent) if parent != path => make_all(parent).and_then(|()| make_one(path)),
            _ => Err(cause),
        },
        other => other,
    }
}

fn make_one(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
            // A relative path of one name: its parent is the current folder.
            Some(_) => File::open(".")?.sync_all(),
            None => Ok(()),
        },
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(cause) => Err(cause),
    }
}

/// Removes old temporary files. What cannot be removed does no harm.
fn sweep(path: &Path) {
    let is_old = |entry: &fs::DirEntry| {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|modified| SystemTime::now().duration_since(modified).ok());
        let name = entry.file_name();
        let is_temporary = name.as_encoded_bytes().ends_with(TEMPORARY.as_bytes()) && name != GUARD_FILE;
        is_temporary && age > Some(LEFTOVER_AGE)
    };
    for leftover in fs::read_dir(path).into_iter().flatten().flatten().filter(is_old) {
        let _ = fs::remove_file(leftover.path());
    }
}

/// Gives every object below `prefix` to `give`, in batches, until it returns `false`. Fails where the root is missing.
pub(super) fn list(root: &Path, prefix: &str, give: &mut dyn FnMut(Vec<ObjectStat>) -> bool) -> io::Result<()> {
    let mut batch = Vec::new();
    let mut folders = vec![prefix.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(root.join(&folder)) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == ErrorKind::NotFound && fs::exists(root)? => continue,
            Err(cause) => return Err(cause),
        };
        for entry in entries {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let key = format!("{folder}{name}");
            if entry.file_type()?.is_dir() {
                folders.push(key + "/");
                continue;
            }
            // An object that was deleted since the folder was read is not there.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_file() && !name.ends_with(TEMPORARY) {
                batch.push(ObjectStat { key, size: metadata.len(), modified: metadata.modified()? });
            }
            if batch.len() >= BATCH && !give(std::mem::take(&mut batch)) {
                return Ok(());
            }
        }
    }
    give(batch);
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
