//! Replacing and removing an object only if it is unchanged: looked at and done under the folder's guard.
//!
//! The new file is written and flushed before the guard is taken, so that nobody holds it while a disk is slow.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use super::folder::Folders;
use super::{guard, read, write};
use crate::store::Version;

/// Replaces an object if it is still `version`; `false` if it is not.
pub(super) fn replace(folders: &Folders, path: &Path, bytes: &[u8], version: &Version) -> io::Result<bool> {
    let (folder, temporary) = write::prepare(folders, path, |file| file.write_all(bytes))?;
    let replaced = guard::hold(path).and_then(|_guard| {
        let unchanged = is(path, version)?;
        if unchanged {
            fs::rename(&temporary, path)?;
        }
        Ok(unchanged)
    });
    if !matches!(replaced, Ok(true)) {
        let _ = fs::remove_file(&temporary);
        return replaced;
    }
    folder.flush().map(|()| true)
}

/// Removes an object if it is still `version`; `false` if it is not.
pub(super) fn remove(folders: &Folders, path: &Path, version: &Version) -> io::Result<bool> {
    let parent = path.parent().ok_or(ErrorKind::InvalidInput)?;
    if !parent.exists() {
        return Ok(false);
    }
    let removed = guard::hold(path).and_then(|_guard| {
        let unchanged = is(path, version)?;
        if unchanged {
            fs::remove_file(path)?;
        }
        Ok(unchanged)
    })?;
    if removed {
        folders.open(parent)?.flush()?;
    }
    Ok(removed)
}

fn is(path: &Path, version: &Version) -> io::Result<bool> {
    match read(path) {
        Ok(bytes) => Ok(Version::of(&bytes) == *version),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(cause),
    }
}
