//! Writing one object, atomically and durably.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::TEMPORARY;
use super::folder::{Folder, Folders};

/// Writes an object, replacing what was there.
pub(super) fn replace(
    folders: &Folders,
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let (folder, temporary, _) = prepare(folders, path, write)?;
    publish(&temporary, fs::rename(&temporary, path))?;
    folder.flush()
}

/// Writes an object unless there is one, and gives its file; `None` if there was one.
pub(super) fn create(
    folders: &Folders,
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<Option<File>> {
    let (folder, temporary, file) = prepare(folders, path, write)?;
    let renamed = match renameat_with(CWD, &temporary, CWD, path, RenameFlags::NOREPLACE) {
        // A file system without this kind of rename has hard links, which are as atomic.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            let linked = fs::hard_link(&temporary, path);
            fs::remove_file(&temporary)?;
            linked
        }
        other => publish(&temporary, other.map_err(io::Error::from)),
    };
    match renamed {
        Ok(()) => folder.flush().map(|()| Some(file)),
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok(None),
        Err(cause) => Err(cause),
    }
}

/// Removes an object, if it is there.
pub(super) fn remove(folders: &Folders, path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => match path.parent() {
            Some(parent) => folders.open(parent)?.flush(),
            None => Ok(()),
        },
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(cause),
    }
}

/// What time the file system gives to a file that is made now.
pub(super) fn probe_time(path: &Path) -> io::Result<SystemTime> {
    let temporary = temporary_name(path);
    let modified = new_file(&temporary).and_then(|file| file.metadata()).and_then(|metadata| metadata.modified());
    let _ = fs::remove_file(&temporary);
    modified
}

/// A flushed temporary file beside `path`: its folder, its path, and itself.
pub(super) fn prepare(
    folders: &Folders,
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<(Arc<Folder>, PathBuf, File)> {
    let parent = path.parent().ok_or(ErrorKind::InvalidInput)?;
    let mut folder = folders.open(parent)?;
    let temporary = temporary_name(path);
    let mut file = match new_file(&temporary) {
        // Somebody removed the folder under us.
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            folders.forget(parent);
            folder = folders.open(parent)?;
            new_file(&temporary)?
        }
        other => other?,
    };
    publish(&temporary, fill(&mut file, write))?;
    Ok((folder, temporary, file))
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn fill(file: &mut File, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    write(file)?;
    file.sync_data()
}

/// Passes a result on, and removes the temporary file if it is an error.
pub(super) fn publish(temporary: &Path, result: io::Result<()>) -> io::Result<()> {
    if result.is_err() {
        let _ = fs::remove_file(temporary);
    }
    result
}

/// A name that no other writer uses: neither in this process, nor in another one, nor on another host of a shared
/// file system.
fn temporary_name(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut random = [0; 6];
    // Without random numbers the process and the counter still tell writers of this host apart.
    let _ = getrandom::fill(&mut random);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}-{count}-{}{TEMPORARY}", std::process::id(), hex::encode(random)));
    name.into()
}
