//! Replacing and removing an object only if it is unchanged: looked at and done under the folder's guard.
//!
//! The new file is written and flushed before the guard is taken, so that nobody holds it while a disk is slow.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::folder::Folders;
use super::{guard, read, write};
use crate::store::Version;

/// Replaces an object if it is still `version`, and gives the new file; `None` if it is not.
pub(super) fn replace(
    folders: &Folders,
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
    version: &Version,
) -> io::Result<Option<File>> {
    let (folder, temporary, file) = write::prepare(folders, path, write)?;
    let replaced = guard::hold(path).and_then(|_guard| {
        let unchanged = is(path, version)?;
        if unchanged {
            fs::rename(&temporary, path)?;
        }
        Ok(unchanged)
    });
    if !matches!(replaced, Ok(true)) {
        let _ = fs::remove_file(&temporary);
        return replaced.map(|_| None);
    }
    folder.flush().map(|()| Some(file))
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

/// What tells a file from every other one that was ever renamed into its place: no file is changed once it is there.
pub(super) fn version(metadata: &Metadata) -> Version {
    let (size, inode) = (metadata.size(), metadata.ino());
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    let changed = (metadata.ctime(), metadata.ctime_nsec());
    Version::new(format!("{BY_STAT}{size} {inode} {modified:?} {changed:?}"))
}

/// How versions begin that come from [`version`]; others are of bytes.
const BY_STAT: &str = "stat ";

fn is(path: &Path, expected: &Version) -> io::Result<bool> {
    let found = match expected.token().starts_with(BY_STAT) {
        true => fs::metadata(path).map(|metadata| version(&metadata)),
        false => read(path).map(|bytes| Version::of(&bytes)),
    };
    match found {
        Ok(found) => Ok(found == *expected),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(cause),
    }
}
