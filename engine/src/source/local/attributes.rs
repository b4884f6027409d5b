//! Everything about an entry but its bytes, as the format stores it (format, sections 6 and 11.3).
//!
//! The numbers come from the walk's look at the entry ([`Entry::stat`]), so that a filemeta and the stat cache always
//! speak of the same moment. The entry is opened once; that it still is what the walk saw is asked of what was opened,
//! not of the name. FIFOs, sockets and devices are never opened for reading.

use std::os::fd::OwnedFd;

use base64::prelude::{BASE64_STANDARD, Engine};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::folder::Folders;
use super::stat::look_at_open;
use super::xattrs::{self, Holder};
use super::{Entry, FileType, SourceError, Stat, Warning, path};
use crate::object::{Extra, FileMeta, FileName, Kind, Posix};

/// An entry that was opened.
pub(super) struct Opened {
    pub file: OwnedFd,
    /// Why it is open as a place only, if that is not due to what it is.
    pub unreadable: Option<Errno>,
    for_reading: bool,
}

/// Opens an entry: for reading if it is a file or folder and that is allowed.
pub(super) fn open(folders: &Folders, entry: &Entry) -> Result<Opened, SourceError> {
    let opened = open_unchecked(folders, entry).map_err(|error| failed(entry, error))?;
    let (now, _) = look_at_open(&opened.file).map_err(|error| failed(entry, error))?;
    if (now.inode, now.file_type) == (entry.stat.inode, entry.stat.file_type) {
        Ok(opened)
    } else {
        Err(SourceError::Replaced { path: shown(entry) })
    }
}

fn open_unchecked(folders: &Folders, entry: &Entry) -> Result<Opened, Errno> {
    let folder = folders.get(path::parent(&entry.file_id))?;
    let extra = match entry.stat.file_type {
        FileType::Regular => Some(OFlags::empty()),
        FileType::Folder => Some(OFlags::DIRECTORY),
        _ => None,
    };
    let mut unreadable = None;
    if let Some(extra) = extra {
        match folders.open_for_reading(&folder, &entry.name, extra, entry.stat.uid) {
            Ok(file) => return Ok(Opened { file, unreadable, for_reading: true }),
            Err(error @ (Errno::ACCESS | Errno::PERM)) => unreadable = Some(error),
            Err(error) => return Err(error),
        }
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&folder, entry.name.as_slice(), flags, Mode::empty())?;
    Ok(Opened { file, unreadable, for_reading: false })
}

/// The filemeta, without content, of an entry that was opened.
pub(super) fn describe(entry: &Entry, opened: &Opened) -> Result<(FileMeta, Vec<Warning>), SourceError> {
    let stat = &entry.stat;
    let name = FileName::from_bytes(&entry.name);
    let mut posix = posix_of(stat);
    posix.name_b64 = name.base64;
    posix.hardlink = entry.hardlink.clone();
    if stat.file_type == FileType::Symlink {
        let target = rustix::fs::readlinkat(&opened.file, c"", Vec::new()).map_err(|error| failed(entry, error))?;
        match target.into_string() {
            Ok(target) => posix.target = Some(target),
            Err(error) => posix.target_b64 = Some(BASE64_STANDARD.encode(error.into_cstring().to_bytes())),
        }
    }
    let holder = if opened.for_reading { Holder::Open(&opened.file) } else { Holder::Place(&opened.file) };
    let (xattrs, problems) = xattrs::read(&holder);
    let parent = path::parent(&entry.file_id);
    let meta = FileMeta {
        version: 0,
        file_id: entry.file_id.clone(),
        name: name.text,
        entry_type: entry.entry_type,
        parents: (!parent.is_empty()).then(|| vec![parent.to_owned()]),
        paths: Vec::new(),
        content_hash: String::new(),
        content_ref: String::new(),
        size: if entry.has_content() { stat.size } else { 0 },
        mtime: stat.mtime.0,
        owner: String::new(),
        extra: Extra::from_posix(posix),
        mode: stat.mode,
        uid: stat.uid,
        gid: stat.gid,
        btime: stat.btime,
        flags: if opened.for_reading { inode_flags(&opened.file) } else { 0 },
        xattrs,
    };
    let warnings = problems.into_iter().map(|problem| Warning { path: shown(entry), problem }).collect();
    Ok((meta, warnings))
}

/// What a stat alone says.
fn posix_of(stat: &Stat) -> Posix {
    let kind = match stat.file_type {
        FileType::Regular | FileType::Folder => None,
        FileType::Symlink => Some(Kind::Symlink),
        FileType::Fifo => Some(Kind::Fifo),
        FileType::Socket => Some(Kind::Socket),
        FileType::CharDevice => Some(Kind::Char),
        FileType::BlockDevice => Some(Kind::Block),
    };
    let device = matches!(kind, Some(Kind::Char | Kind::Block)).then_some(stat.rdev);
    Posix {
        kind,
        mtime_nsec: stat.mtime.1,
        rdev_major: device.map(|(major, _)| major),
        rdev_minor: device.map(|(_, minor)| minor),
        sparse: stat.file_type == FileType::Regular && stat.blocks < stat.size.div_ceil(512),
        ..Posix::default()
    }
}

/// 0 where the file system has none.
fn inode_flags(file: &OwnedFd) -> u32 {
    rustix::fs::ioctl_getflags(file).map_or(0, |flags| flags.bits())
}

/// What an error of the system means for an entry that the walk saw.
pub(super) fn failed(entry: &Entry, error: Errno) -> SourceError {
    let path = shown(entry);
    match error {
        Errno::NOENT | Errno::STALE => SourceError::Vanished { path },
        Errno::LOOP | Errno::NOTDIR | Errno::XDEV | Errno::NXIO => SourceError::Replaced { path },
        error => SourceError::Io { path, cause: error.into() },
    }
}

pub(super) fn shown(entry: &Entry) -> String {
    path::printable(&path::path_bytes(&entry.file_id))
}
