//! Restores as a ZIP stream.
//!
//! One thread reads ahead, one compresses and sends. The promise: an archive with a central directory is right, and
//! lacks only what the report's warnings say. What goes wrong while a file's bytes are already under way poisons the
//! output, which then ends without one.

mod options;
mod output;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use tokio::sync::mpsc::Sender;
use zip::result::ZipError;
use zip::write::{StreamWriter, ZipWriter};

use output::{Output, Poison};

use super::RestoreError;
use super::content::Proof;
use super::feed::{Fed, Feeder, Ready};
use super::gate::Gate;
use super::plan::Plan;
use super::tally::Tally;
use crate::object::{FileMeta, Kind};
use crate::progress::Phase;
use crate::repository::{ReadError, RepositoryError};
use crate::tree::{EntryId, ReadObjects, Tree, TreeEntry, show_path};
use crate::workers;

/// Files up to this size are proven before any of their bytes are sent.
const WHOLE: u64 = 8 << 20;
/// Names in an archive are at most 65,535 bytes long, less what else is in an entry's header.
const NAME_MAX: usize = 65_000;

/// Writes the archive; how it went is in the tally. Without an output it only counts.
pub(super) fn archive(
    objects: &dyn ReadObjects,
    tree: &Tree,
    plan: &Plan,
    tally: &Tally<'_>,
    gate: &Gate,
    output: Option<Sender<Bytes>>,
) {
    tally.progress.phase(Phase::Writing);
    let entries: Vec<EntryId> = plan.entries().filter(|&id| can_hold(tree, tally, id)).collect();
    let bytes = entries.iter().map(|&id| tree.get(id).size).sum();
    tally.progress.expect(entries.iter().filter(|&&id| !tree.get(id).is_folder).count() as u64, bytes);
    let Some(output) = output else {
        return entries.iter().for_each(|&id| count(tally, &tree.get(id)));
    };
    objects.expect(&mut entries.iter().filter_map(|&id| tree.content(id)));
    let needs_meta = |entry: &TreeEntry<'_>| entry.kind == Some(Kind::Symlink);
    let feeder = Feeder { objects, tree, tally, gate, whole: WHOLE, needs_meta };
    let next = AtomicUsize::new(0);
    let (sender, receiver) = crossbeam_channel::bounded(1);
    std::thread::scope(|scope| {
        let (entries, next) = (&entries, &next);
        workers::spawn(scope, move || feeder.run(entries, next, &sender));
        let mut archive = Archive::new(tree, tally, output, entries.len());
        let done = receiver.into_iter().flatten().try_for_each(|fed| archive.add(fed)).and_then(|()| archive.finish());
        match done {
            Ok(()) | Err(Stop::Stopped) => {}
            Err(Stop::Read(why)) => tally.fail(RepositoryError::Read(why).into()),
            Err(Stop::Write(why)) if why.kind() == io::ErrorKind::BrokenPipe => tally.fail(RestoreError::OutputClosed),
            Err(Stop::Write(cause)) => tally.fail(RestoreError::Target { path: "the archive".to_owned(), cause }),
        }
    });
}

fn can_hold(tree: &Tree, tally: &Tally<'_>, id: EntryId) -> bool {
    let entry = tree.get(id);
    let path = tree.path(id);
    let problem = match entry.kind {
        Some(Kind::Fifo | Kind::Socket | Kind::Char | Kind::Block) => "a ZIP archive cannot hold special files",
        _ if path.len() > NAME_MAX => "its path is too long for a ZIP archive",
        _ => return true,
    };
    tally.warn(show_path(&path), format!("{problem}; left out"));
    false
}

fn count(tally: &Tally<'_>, entry: &TreeEntry<'_>) {
    let counter = match entry.kind {
        _ if entry.is_folder => &tally.folders,
        Some(_) => &tally.others,
        None => &tally.files,
    };
    tally.add(counter, 1);
    tally.add(&tally.bytes, entry.size);
}

/// Why the archive ends early.
enum Stop {
    Read(ReadError),
    Write(io::Error),
    Stopped,
}

impl From<io::Error> for Stop {
    fn from(why: io::Error) -> Self {
        Self::Write(why)
    }
}

impl From<ZipError> for Stop {
    fn from(why: ZipError) -> Self {
        Self::Write(match why {
            ZipError::Io(why) => why,
            why => io::Error::other(why),
        })
    }
}

struct Archive<'a> {
    tree: &'a Tree,
    tally: &'a Tally<'a>,
    /// Entries that are still to come.
    left: usize,
    /// Dropped before `zip`, so that what that one still writes goes nowhere.
    poison: PoisonOnDrop,
    zip: ZipWriter<StreamWriter<Output>>,
}

/// However an archive ends, other than by [`Archive::finish`], it must not look like a whole one.
struct PoisonOnDrop(Poison);

impl Drop for PoisonOnDrop {
    fn drop(&mut self) {
        self.0.take();
    }
}

impl<'a> Archive<'a> {
    fn new(tree: &'a Tree, tally: &'a Tally<'a>, sender: Sender<Bytes>, left: usize) -> Self {
        let poison = Poison::default();
        let zip = ZipWriter::new_stream(Output::new(sender, poison.clone()));
        Self { tree, tally, left, poison: PoisonOnDrop(poison), zip }
    }

    /// Adds an entry, or warns that it cannot be.
    fn add(&mut self, fed: Fed) -> Result<(), Stop> {
        if self.tally.stopped() {
            return Err(Stop::Stopped);
        }
        self.left -= 1;
        let entry = self.tree.get(fed.id);
        let mut path = self.tree.path(fed.id);
        let problem = match fed.ready {
            Err(why) => why.to_string(),
            Ok(_) if entry.kind.is_none() && entry.content_hash.is_none() && entry.size > 0 => {
                format!("filemeta/{} names no data", entry.filemeta)
            }
            Ok(ready) => match entry.kind {
                _ if entry.is_folder => {
                    path.push(b'/');
                    return self.add_folder(&entry, &path);
                }
                Some(_) => match ready.meta.as_ref().and_then(FileMeta::posix).and_then(|posix| posix.target_bytes()) {
                    Some(target) => return self.add_symlink(&entry, &path, &target),
                    None => format!("filemeta/{} names no link target", entry.filemeta),
                },
                None => return self.add_file(&entry, &path, ready),
            },
        };
        self.tally.warn(show_path(&path), problem);
        Ok(())
    }

    fn add_folder(&mut self, entry: &TreeEntry<'_>, path: &[u8]) -> Result<(), Stop> {
        let options = options::options(entry, path);
        match std::str::from_utf8(path) {
            Ok(name) => self.zip.add_directory(name, options)?,
            Err(_) => self.zip.start_file_with_options(options)?,
        }
        count(self.tally, entry);
        Ok(())
    }

    fn add_symlink(&mut self, entry: &TreeEntry<'_>, path: &[u8], target: &[u8]) -> Result<(), Stop> {
        self.zip.start_file_with_options(options::options(entry, path))?;
        self.zip.write_all(target)?;
        self.done(entry);
        Ok(())
    }

    fn add_file(&mut self, entry: &TreeEntry<'_>, path: &[u8], ready: Ready) -> Result<(), Stop> {
        if entry.size > WHOLE {
            self.tally.progress.path(&show_path(path));
        }
        let options = options::compressed(options::options(entry, path), entry, &ready.data.head);
        self.zip.start_file_with_options(options)?;
        let mut proof = ready.data.rest.as_ref().and_then(|_| Proof::new(self.tree, entry));
        for piece in ready.data.head.into_iter().map(Ok).chain(ready.data.rest.into_iter().flatten()) {
            if self.tally.stopped() {
                return Err(Stop::Stopped);
            }
            let piece = piece.map_err(Stop::Read)?;
            if let Some(proof) = &mut proof {
                proof.update(&piece);
            }
            self.zip.write_all(&piece)?;
            self.tally.progress.advance(0, piece.len() as u64);
        }
        if self.tally.stopped() {
            return Err(Stop::Stopped);
        }
        if let Some(proof) = proof {
            proof.finish().map_err(Stop::Read)?;
        }
        self.done(entry);
        Ok(())
    }

    fn done(&self, entry: &TreeEntry<'_>) {
        count(self.tally, entry);
        self.tally.progress.advance(1, 0);
    }

    /// Writes the central directory.
    fn finish(self) -> Result<(), Stop> {
        // Entries are missing if the thread that reads has panicked.
        if self.tally.stopped() || self.left > 0 {
            return Err(Stop::Stopped);
        }
        let Self { zip, poison, .. } = self;
        let sent = zip.finish().map_err(Stop::from).and_then(|stream| Ok(stream.into_inner().finish()?));
        drop(poison);
        sent
    }
}
