//! What becomes of what is already in the target.

use rustix::fd::OwnedFd;
use rustix::fs::{Dir, FileType, Mode, OFlags, Statx, openat};

use crate::object::Kind;
use crate::restore::Overwrite;
use crate::tree::TreeEntry;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Write it; what is there, if anything, is replaced.
    Write,
    /// What is there stays, and is as good as what would be written.
    Same,
    /// What is there stays, whatever it is.
    Keep,
    /// A folder with something in it is there: never removed.
    Occupied,
}

/// Decides about an entry that is not a folder.
pub(super) fn decide(
    overwrite: Overwrite,
    entry: &TreeEntry<'_>,
    folder: &OwnedFd,
    existing: Option<&Statx>,
) -> Decision {
    let Some(existing) = existing else { return Decision::Write };
    match overwrite {
        Overwrite::Never => Decision::Keep,
        Overwrite::IfChanged if is_same(entry, existing) => Decision::Same,
        _ if file_type(existing) == FileType::Directory && !is_empty(folder, entry.name) => Decision::Occupied,
        Overwrite::IfChanged | Overwrite::Always => Decision::Write,
    }
}

/// Same type, size and modification time.
fn is_same(entry: &TreeEntry<'_>, existing: &Statx) -> bool {
    let size = entry.kind.is_some() || existing.stx_size == entry.size;
    let mtime = (existing.stx_mtime.tv_sec, existing.stx_mtime.tv_nsec);
    type_of(entry) == file_type(existing) && size && mtime == entry.mtime
}

pub(super) fn type_of(entry: &TreeEntry<'_>) -> FileType {
    match entry.kind {
        _ if entry.is_folder => FileType::Directory,
        None => FileType::RegularFile,
        Some(Kind::Symlink) => FileType::Symlink,
        Some(Kind::Fifo) => FileType::Fifo,
        Some(Kind::Socket) => FileType::Socket,
        Some(Kind::Char) => FileType::CharacterDevice,
        Some(Kind::Block) => FileType::BlockDevice,
    }
}

pub(super) fn file_type(stat: &Statx) -> FileType {
    FileType::from_raw_mode(stat.stx_mode.into())
}

/// Whether a folder has nothing in it; one that cannot be read counts as full.
fn is_empty(parent: &OwnedFd, name: &[u8]) -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(entries) = openat(parent, name, flags, Mode::empty()).and_then(Dir::new) else { return false };
    entries.flatten().all(|entry| matches!(entry.file_name().to_bytes(), b"." | b".."))
}
