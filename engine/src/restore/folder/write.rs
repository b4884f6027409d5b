//! Writes one entry. It is made under another name in the same folder, and takes its place only when all of it is
//! there and proven: what fails leaves nothing behind, and what was there before stays.

use std::fs::File;
use std::sync::Arc;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, linkat, makedev, mknodat, openat, renameat, renameat_with, symlinkat,
    unlinkat,
};
use rustix::io::Errno;

use super::Job;
use super::attributes::{self, Made};
use super::beneath::{Folders, Target, look};
use super::data::{write_dense, write_sparse};
use super::decide::{file_type, type_of};
use super::temporary::{Names, Temporary, take};
use crate::object::{FileMeta, Kind};
use crate::restore::Overwrite;
use crate::restore::content::Proof;
use crate::restore::feed::{Data, Ready};
use crate::tree::{EntryId, TreeEntry};

/// Why an entry is not written.
#[derive(Debug)]
pub(super) enum Fault {
    /// It cannot be; others can.
    Entry(String),
    /// Nothing more can be written.
    Target(Errno),
    /// The restore ends.
    Stopped,
}

impl Fault {
    pub(super) fn new(what: &str, why: Errno) -> Self {
        match why {
            Errno::NOSPC | Errno::DQUOT | Errno::ROFS => Self::Target(why),
            why => Self::Entry(format!("cannot {what}: {}", std::io::Error::from(why))),
        }
    }
}

/// One thread's means of writing.
pub(super) struct Writer<'a> {
    job: &'a Job<'a>,
    pub(super) folders: Folders<'a>,
    names: Names,
}

impl<'a> Writer<'a> {
    pub(super) fn new(job: &'a Job<'a>, target: &'a Target) -> Self {
        Self { job, folders: Folders::new(target, job.tree), names: Names::default() }
    }

    pub(super) fn folder_of(&mut self, entry: &TreeEntry<'_>) -> Result<Arc<OwnedFd>, Fault> {
        self.folders.get(entry.parent).map_err(|why| Fault::new("open its folder", why))
    }

    /// Writes a file, link or special file.
    pub(super) fn write(&mut self, entry: &TreeEntry<'_>, ready: Ready) -> Result<(), Fault> {
        let folder = self.folder_of(entry)?;
        match entry.kind {
            None => self.write_file(&folder, entry, ready),
            Some(kind) => self.make_in_place(&folder, entry, |writer, temporary| {
                writer.make_special(temporary, entry, kind, ready.meta.as_ref())
            }),
        }
    }

    /// Makes a hard link to an entry that was written before.
    pub(super) fn link(&mut self, entry: &TreeEntry<'_>, leader: &TreeEntry<'_>) -> Result<(), Fault> {
        let (folder, first) = (self.folder_of(entry)?, self.folder_of(leader)?);
        self.make_in_place(&folder, entry, |_, temporary| {
            linkat(&first, leader.name, &folder, temporary.name.as_str(), AtFlags::empty())
                .map_err(|why| Fault::new("link it", why))
        })
    }

    /// Makes something that cannot be locked, once more if another restore has swept it away.
    fn make_in_place(
        &mut self,
        folder: &OwnedFd,
        entry: &TreeEntry<'_>,
        make: impl Fn(&Self, &Temporary<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut once = || {
            let temporary = Temporary::new(folder, self.names.next());
            make(self, &temporary)?;
            Ok(self.put_in_place(temporary, entry))
        };
        match once()? {
            Err(Errno::NOENT) => once()?,
            placed => placed,
        }
        .map_err(|why| Fault::new("put it in its place", why))
    }

    fn write_file(&mut self, folder: &OwnedFd, entry: &TreeEntry<'_>, ready: Ready) -> Result<(), Fault> {
        if entry.content_hash.is_none() && entry.size > 0 {
            return Err(Fault::Entry(format!("filemeta/{} names no data", entry.filemeta)));
        }
        // Open, and so locked, until it has its name.
        let (temporary, file) = self.create(folder, entry).map_err(|why| Fault::new("create it", why))?;
        attributes::set_flags(file.as_fd(), entry, self.job.tally);
        self.write_data(&file, entry, ready.data)?;
        self.decorate(&Made::Open(file.as_fd()), entry, ready.meta.as_ref());
        self.put_in_place(temporary, entry).map_err(|why| Fault::new("put it in its place", why))
    }

    fn create<'b>(&mut self, folder: &'b OwnedFd, entry: &TreeEntry<'_>) -> Result<(Temporary<'b>, File), Errno> {
        let mode = if entry.mode.is_some() { Mode::RUSR | Mode::WUSR } else { Mode::from_raw_mode(0o666) };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        loop {
            let name = self.names.next();
            let file = openat(folder, name.as_str(), flags, mode)?;
            let temporary = Temporary::new(folder, name);
            if take(&file) {
                return Ok((temporary, File::from(file)));
            }
        }
    }

    fn write_data(&self, file: &File, entry: &TreeEntry<'_>, data: Data) -> Result<(), Fault> {
        let mut proof = data.rest.as_ref().and_then(|_| Proof::new(self.job.tree, entry));
        let mut at = 0;
        for piece in data.head.into_iter().map(Ok).chain(data.rest.into_iter().flatten()) {
            if self.job.tally.stopped() {
                return Err(Fault::Stopped);
            }
            let piece = piece.map_err(|why| Fault::Entry(why.to_string()))?;
            if let Some(proof) = &mut proof {
                proof.update(&piece);
            }
            let written = if entry.sparse { write_sparse(file, at, &piece) } else { write_dense(file, at, &piece) };
            written.map_err(|why| Fault::new("write it", errno(&why)))?;
            at += piece.len() as u64;
            self.job.tally.progress.advance(0, piece.len() as u64);
        }
        if self.job.tally.stopped() {
            return Err(Fault::Stopped);
        }
        if let Some(proof) = proof {
            proof.finish().map_err(|why| Fault::Entry(why.to_string()))?;
        }
        if entry.sparse { file.set_len(at).map_err(|why| Fault::new("write it", errno(&why))) } else { Ok(()) }
    }

    fn make_special(
        &self,
        temporary: &Temporary<'_>,
        entry: &TreeEntry<'_>,
        kind: Kind,
        meta: Option<&FileMeta>,
    ) -> Result<(), Fault> {
        let lacks = |what: &str| Fault::Entry(format!("filemeta/{} names no {what}", entry.filemeta));
        let posix = meta.and_then(FileMeta::posix);
        let (folder, name) = (temporary.folder, temporary.name.as_str());
        let made = if kind == Kind::Symlink {
            let target = posix.and_then(|posix| posix.target_bytes()).ok_or_else(|| lacks("link target"))?;
            symlinkat(target, folder, name)
        } else {
            let device = match kind {
                Kind::Char | Kind::Block => posix
                    .and_then(|posix| Some(makedev(posix.rdev_major?, posix.rdev_minor?)))
                    .ok_or_else(|| lacks("device"))?,
                _ => 0,
            };
            let mode = if entry.mode.is_some() { 0o600 } else { 0o666 };
            mknodat(folder, name, type_of(entry), Mode::from_raw_mode(mode), device)
        };
        made.map_err(|why| Fault::new("create it", why))?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let place = openat(folder, name, flags, Mode::empty()).map_err(|why| Fault::new("create it", why))?;
        self.decorate(&Made::Place(place.as_fd()), entry, meta);
        Ok(())
    }

    /// Sets the attributes of a folder that was made before.
    pub(super) fn decorate_folder(&mut self, entry: &TreeEntry<'_>, meta: Option<&FileMeta>) -> Result<(), Fault> {
        let parent = self.folder_of(entry)?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |more| openat(&parent, entry.name, flags | more, Mode::empty());
        match open(OFlags::RDONLY) {
            Ok(folder) => {
                attributes::set_flags(folder.as_fd(), entry, self.job.tally);
                self.decorate(&Made::Open(folder.as_fd()), entry, meta);
            }
            Err(Errno::ACCESS) => {
                let place = open(OFlags::PATH).map_err(|why| Fault::new("open it", why))?;
                self.decorate(&Made::Place(place.as_fd()), entry, meta);
            }
            Err(why) => return Err(Fault::new("open it", why)),
        }
        Ok(())
    }

    fn decorate(&self, made: &Made<'_>, entry: &TreeEntry<'_>, meta: Option<&FileMeta>) {
        let refused = attributes::apply(made, entry, meta, self.job.tally);
        if !refused.is_empty() {
            let each = refused.into_iter().map(|(what, why)| format!("its {what} ({})", std::io::Error::from(why)));
            self.job.warn(entry.id, format!("is there, but cannot be given {}", each.collect::<Vec<_>>().join(", ")));
        }
    }

    /// Makes an entry immutable or append-only.
    pub(super) fn seal(&mut self, id: EntryId) -> Result<(), Fault> {
        let entry = self.job.tree.get(id);
        let folder = self.folder_of(&entry)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = openat(&folder, entry.name, flags, Mode::empty()).map_err(|why| Fault::new("open it", why))?;
        attributes::seal(opened.as_fd(), &entry, self.job.tally);
        Ok(())
    }

    fn put_in_place(&self, mut temporary: Temporary<'_>, entry: &TreeEntry<'_>) -> Result<(), Errno> {
        let (folder, from) = (temporary.folder, temporary.name.as_str());
        let rename = || renameat(folder, from, folder, entry.name);
        let renamed = if self.job.overwrite == Overwrite::Never {
            match renameat_with(folder, from, folder, entry.name, RenameFlags::NOREPLACE) {
                Err(Errno::INVAL | Errno::NOSYS) => match look(folder, entry.name) {
                    Ok(None) => rename(),
                    Ok(Some(_)) => Err(Errno::EXIST),
                    Err(why) => Err(why),
                },
                renamed => renamed,
            }
        } else {
            match rename() {
                Err(Errno::ISDIR) => remove_folder(folder, entry.name).and_then(|()| rename()),
                renamed => renamed,
            }
        };
        renamed?;
        // Between two names of one file a rename does nothing, and the temporary one is still there.
        temporary.renamed = entry.hardlink.is_none();
        Ok(())
    }
}

/// Removes what is at a name to make room for a folder; never a folder.
pub(super) fn make_room(folder: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    match look(folder, name)? {
        Some(stat) if file_type(&stat) != FileType::Directory => unlinkat(folder, name, AtFlags::empty()),
        _ => Ok(()),
    }
}

/// Removes an empty folder.
fn remove_folder(folder: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    unlinkat(folder, name, AtFlags::REMOVEDIR)
}

fn errno(why: &std::io::Error) -> Errno {
    Errno::from_io_error(why).unwrap_or(Errno::IO)
}
