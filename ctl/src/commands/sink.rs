//! Where an archive's bytes go: a new file that appears only when it is complete, or standard output.
//!
//! The invariant: a file of the wanted name never holds half an archive, and no existing file is touched unless asked.
//! A thread of its own writes, so that a slow disk or reader does not keep the program from noticing a signal.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tempfile::{NamedTempFile, TempPath};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::Error;

/// Parts on their way to the writing thread. They are at most 16 MiB each, and usually much smaller.
const QUEUE: usize = 4;

/// An archive that is being written. Dropping it removes the temporary file.
pub(crate) struct Sink {
    queue: mpsc::Sender<Bytes>,
    writer: JoinHandle<io::Result<(File, u64)>>,
    place: Place,
}

enum Place {
    Stdout,
    File { path: PathBuf, temporary: TempPath, replace: bool },
}

impl Sink {
    /// Standard output. It must not be a terminal: archives are no text.
    pub(crate) fn stdout() -> Result<Self, Error> {
        // Around the buffer of `io::stdout`, which looks for lines.
        let file = io::stdout().as_fd().try_clone_to_owned().map_err(|source| failed(Path::new(STDOUT), source))?;
        Ok(Self::new(file.into(), Place::Stdout))
    }

    /// A file, by way of a temporary one beside it. Its mode is 0600, since an archive may hold what only its owner
    /// could read.
    pub(crate) fn file(path: &Path, replace: bool) -> Result<Self, Error> {
        check(path, replace)?;
        let folder = folder_of(path);
        let name = path.file_name().ok_or_else(|| Error::Arguments(format!("{} names no file", path.display())))?;
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(name);
        prefix.push(".");
        let temporary = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".part")
            .tempfile_in(folder)
            .map_err(|source| failed(path, source))?;
        let (file, temporary) = NamedTempFile::into_parts(temporary);
        Ok(Self::new(file, Place::File { path: path.to_owned(), temporary, replace }))
    }

    fn new(file: File, place: Place) -> Self {
        let (queue, mut parts) = mpsc::channel::<Bytes>(QUEUE);
        let writer = tokio::task::spawn_blocking(move || {
            let mut file = file;
            let mut written = 0;
            while let Some(part) = parts.blocking_recv() {
                file.write_all(&part)?;
                written += part.len() as u64;
            }
            Ok((file, written))
        });
        Self { queue, writer, place }
    }

    /// Hands over the next bytes. `false` says that writing has failed; [`Sink::finish`] says why.
    pub(crate) async fn write(&self, part: Bytes) -> bool {
        self.queue.send(part).await.is_ok()
    }

    /// Waits until all is written, and lets a file appear under its name. Returns its size in bytes.
    ///
    /// With `complete` unset it only waits, and the file is gone afterwards.
    pub(crate) async fn finish(self, complete: bool) -> Result<u64, Error> {
        let Self { queue, writer, place } = self;
        drop(queue);
        let path = match &place {
            Place::Stdout => Path::new(STDOUT),
            Place::File { path, .. } => path,
        };
        let result = writer.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        let (file, written) = result.map_err(|source| failed(path, source))?;
        match place {
            Place::File { path, temporary, replace } if complete => publish(&file, temporary, &path, replace)?,
            _ => {}
        }
        Ok(written)
    }
}

const STDOUT: &str = "standard output";

fn failed(path: &Path, source: io::Error) -> Error {
    Error::File { path: path.to_owned(), source }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Refuses early what renaming would do wrongly: replace a file unasked, or a device, link or folder at all.
fn check(path: &Path, replace: bool) -> Result<(), Error> {
    match path.symlink_metadata() {
        Ok(found) if !found.is_file() => Err(Error::Arguments(format!(
            "{} is not a regular file: give another name, or `-` for standard output",
            path.display()
        ))),
        Ok(_) if !replace => Err(Error::FileExists(path.to_owned())),
        _ => Ok(()),
    }
}

/// The bytes are on disk before the name is, and the name before anybody is told.
fn publish(file: &File, temporary: TempPath, path: &Path, replace: bool) -> Result<(), Error> {
    file.sync_all().map_err(|source| failed(path, source))?;
    let renamed = if replace { temporary.persist(path) } else { temporary.persist_noclobber(path) };
    renamed.map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => Error::FileExists(path.to_owned()),
        _ => failed(path, error.error),
    })?;
    File::open(folder_of(path)).and_then(|folder| folder.sync_all()).map_err(|source| failed(path, source))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[tokio::test]
    async fn nothing_appears_before_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.zip");
        let sink = Sink::file(&path, false).unwrap();
        assert!(sink.write(Bytes::from_static(b"abc")).await);
        assert!(!path.exists());
        assert_eq!(sink.finish(true).await.unwrap(), 3);
        assert_eq!(fs::read(&path).unwrap(), b"abc");
        assert_eq!(names(dir.path()), ["a.zip"]);
    }

    #[tokio::test]
    async fn an_incomplete_archive_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.zip");
        let sink = Sink::file(&path, false).unwrap();
        sink.write(Bytes::from_static(b"abc")).await;
        sink.finish(false).await.unwrap();
        drop(Sink::file(&path, false).unwrap());
        assert!(names(dir.path()).is_empty());
    }

    #[tokio::test]
    async fn a_file_that_appears_meanwhile_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.zip");
        let sink = Sink::file(&path, false).unwrap();
        fs::write(&path, "mine").unwrap();
        assert!(matches!(sink.finish(true).await, Err(Error::FileExists(_))));
        assert_eq!(fs::read(&path).unwrap(), b"mine");
        assert_eq!(names(dir.path()), ["a.zip"]);
    }

    #[tokio::test]
    async fn only_regular_files_are_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.zip");
        std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        assert!(matches!(Sink::file(&path, true), Err(Error::Arguments(_))));
        fs::remove_file(&path).unwrap();
        fs::write(&path, "old").unwrap();
        assert!(matches!(Sink::file(&path, false), Err(Error::FileExists(_))));
        let sink = Sink::file(&path, true).unwrap();
        sink.write(Bytes::from_static(b"new")).await;
        sink.finish(true).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
